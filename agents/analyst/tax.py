"""Tax lots: what closing them realised, and what the open ones hold. Facts for a tax return, no advice."""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal

from pydantic import Field

from agents.analyst.desk import Desk, Stamped, ValuedRows, cite, pinned, stamp
from agents.capability import capability
from agents.context import CapabilityContext
from agents.fields import Exact, Money, Part
from agents.positions import total
from analytics.realised import LONG_TERM_DAYS, Disposal, disposals


class DisposalRow(Part):
    """One closed part of one lot; price and currency gain sum to `gain_base`."""

    closed: date
    symbol: str
    qty: Exact = Field(description="units sold of the lot (bought back, of a short), on the share basis of that day")
    lot: str
    account: str
    acquired: date
    days_held: int
    long_term: bool
    currency: str = Field(description="of cost and gain")
    price: Exact = Field(description="trade price per unit")
    price_currency: str = Field(description="of price and proceeds")
    proceeds: Money = Field(description="units × trade price, before commission")
    cost: Money = Field(description="what the lot gave up")
    gain: Money | None = Field(description="proceeds − cost, proceeds at the rate of the sale if in another currency")
    fees: dict[str, Money] = Field(description="commissions of the sale by currency, by units; not part of the gain")
    cost_base: Money | None = Field(description="cost × rate of the purchase")
    proceeds_base: Money | None = Field(description="proceeds × rate of the sale")
    gain_base: Money | None = Field(description="proceeds·S − cost·S₀")
    gain_price_base: Money | None = Field(description="(proceeds − cost)·S")
    gain_currency_base: Money | None = Field(description="cost·(S − S₀)")
    reason: str | None


class YearGains(Part):
    """Realised gains of one calendar year in base currency; null when a rate of the year is missing."""

    year: int
    disposals: int
    gain_base: Money | None = Field(description="Σ proceeds·S − cost·S₀")
    gain_price_base: Money | None = Field(description="Σ (proceeds − cost)·S")
    gain_currency_base: Money | None = Field(description="Σ cost·(S − S₀)")
    long_term: Money | None = Field(description="Σ gains of lots held more than a year")
    short_term: Money | None = Field(description="Σ gains of lots held up to a year")


class RealisedGains(Stamped):
    """Realised gains, each tied to its lot, and their sums by year.

    Attributes:
        commissions: per currency, all trades of the time, purchases too; not part of the gains.
    """

    rows: tuple[DisposalRow, ...] = Field(strict=False)
    years: tuple[YearGains, ...] = Field(strict=False)
    gain_base: Money | None = Field(description="Σ proceeds·S − cost·S₀")
    gain_price_base: Money | None = Field(description="Σ (proceeds − cost)·S")
    gain_currency_base: Money | None = Field(description="Σ cost·(S − S₀)")
    proceeds_base: Money | None = Field(description="Σ proceeds × rate of the sale")
    cost_base: Money | None = Field(description="Σ cost × rate of the purchase")
    long_term: Money | None = Field(description="Σ gains of lots held more than a year")
    short_term: Money | None = Field(description="Σ gains of lots held up to a year")
    fees: dict[str, Money] = Field(description="Σ commissions of these sales by currency; not part of the gains")
    commissions: dict[str, Money]
    booking: str


class OpenLotRow(Part):
    """One open lot at the pack's price."""

    symbol: str
    lot: str
    account: str
    acquired: date
    days_held: int
    long_term: bool
    qty: Exact = Field(description="q: open units of the lot, on the share basis of the day")
    currency: str
    cost_local: Money
    cost_per_unit: Exact | None = Field(description="cost / units")
    cost_base: Money | None = Field(description="cost × rate of the purchase")
    price: Exact | None = Field(description="P: close of the pack, per unit")
    value_base: Money | None = Field(description="q·P·S")
    unrealized_pl: Money | None = Field(description="value − cost")
    reason: str | None


class LotDetails(Stamped):
    """Open lots, by symbol and day of acquisition, with their sums."""

    rows: tuple[OpenLotRow, ...] = Field(strict=False)
    value_base: Money | None = Field(description="Σ q·P·S")
    cost_base: Money | None = Field(description="Σ cost × rate of the purchase")
    unrealized_pl: Money | None = Field(description="Σ value − cost")
    long_term: Money | None = Field(description="Σ unrealised of lots held more than a year")
    short_term: Money | None = Field(description="Σ unrealised of lots held up to a year")


class TaxGroup(Desk):
    """Realised gains and open lots."""

    @capability("tax.realized_gains", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",))
    async def realized_gains(self, context: CapabilityContext, year: int | None = None) -> RealisedGains:
        """Tie each realised gain to its lot, price and currency apart, at the rates of the days they happened."""
        pins = pinned(context)
        # The history is asked for what looks like a forgotten split: then units and costs per unit are wrong, too.
        book, _ = await self._books.performance(context)
        cite(context, book)
        every = disposals(book.snapshot.rows, pins.asof, pins.base_ccy, book.rate_on)
        found = [each for each in every if year is None or each.closed.year == year]
        commissions = _added(
            {row.currency: -row.amount}
            for row in book.snapshot.rows
            if row.kind == "commission" and row.on <= pins.asof and year in (None, row.on.year)
        )
        missing = "; ".join(dict.fromkeys(each.reason for each in found if each.reason))
        years = sorted({each.closed.year for each in found})
        names = ("gain_base", "gain_price_base", "gain_currency_base", "proceeds_base", "cost_base")
        sums = {name: total(getattr(each, name) for each in found) for name in names} | _by_term(found)
        return RealisedGains(
            rows=tuple(_disposal(each) for each in found),
            years=tuple(_year(at, [each for each in found if each.closed.year == at]) for at in years),
            **sums,
            fees=_added(each.fees for each in found),
            commissions=commissions,
            booking=book.portfolio.booking,
            **stamp(
                pins,
                f"lot by lot as booked ({book.portfolio.booking} unless the account says otherwise);"
                " proceeds at the rate of the sale, cost at the rate of the purchase; before commissions",
                len(found),
                reasons={name: missing for name, value in sums.items() if value is None},
                warnings=["gains are before commissions"] if any(commissions.values()) else (),
            ),
        )

    @capability("tax.lot_details", pure=True, needs=("pack",))
    async def lot_details(self, context: CapabilityContext, positions: ValuedRows) -> LotDetails:
        """List every open lot with its cost, value and unrealised gain."""
        pins = pinned(context)
        context.report(source=f"pricing_pack:{pins.pricing_pack_id}", asof=pins.asof)
        rows: list[OpenLotRow] = []
        for row in positions:
            for lot in row.lots:
                value = None
                if row.price is not None and row.fx_rate is not None:
                    value = lot.qty * row.price * row.fx_rate
                gain = None if value is None or lot.cost_base is None else value - lot.cost_base
                days = (pins.asof - lot.acquired).days
                rows.append(
                    OpenLotRow(
                        symbol=row.symbol,
                        lot=lot.id,
                        account=lot.account,
                        acquired=lot.acquired,
                        days_held=days,
                        long_term=days > LONG_TERM_DAYS,
                        qty=lot.qty,
                        currency=lot.currency,
                        cost_local=lot.cost_local,
                        cost_per_unit=round(lot.cost_local / lot.qty, 10) if lot.qty else None,
                        cost_base=lot.cost_base,
                        price=row.price,
                        value_base=value,
                        unrealized_pl=gain,
                        reason=None if gain is not None else row.reason or "no exchange rate on the trade date",
                    )
                )
        rows.sort(key=lambda row: (row.symbol, row.acquired, row.lot))
        missing = "; ".join(dict.fromkeys(f"{row.symbol}: {row.reason}" for row in rows if row.reason))
        sums = {
            "value_base": total(row.value_base for row in rows),
            "cost_base": total(row.cost_base for row in rows),
            "unrealized_pl": total(row.unrealized_pl for row in rows),
            "long_term": total(row.unrealized_pl for row in rows if row.long_term),
            "short_term": total(row.unrealized_pl for row in rows if not row.long_term),
        }
        return LotDetails(
            rows=tuple(rows),
            **sums,
            **stamp(
                pins,
                f"open lots; long-term is more than {LONG_TERM_DAYS} days",
                len(rows),
                reasons={name: missing for name, value in sums.items() if value is None},
            ),
        )


def _added(amounts: Iterable[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    """Return sums by currency, in their order."""
    found: dict[str, Decimal] = {}
    for each in amounts:
        for currency, amount in each.items():
            found[currency] = found.get(currency, Decimal(0)) + amount
    return dict(sorted(found.items()))


def _disposal(each: Disposal) -> DisposalRow:
    names = [name for name in DisposalRow.model_fields if name not in ("long_term", "fees", "reason")]
    return DisposalRow(
        **{name: getattr(each, name) for name in names},
        fees=dict(each.fees),
        long_term=each.long_term,
        reason=each.reason or None,
    )


def _year(year: int, found: list[Disposal]) -> YearGains:
    return YearGains(
        year=year,
        disposals=len(found),
        gain_base=total(each.gain_base for each in found),
        gain_price_base=total(each.gain_price_base for each in found),
        gain_currency_base=total(each.gain_currency_base for each in found),
        **_by_term(found),
    )


def _by_term(found: list[Disposal]) -> dict[str, Decimal | None]:
    return {
        "long_term": total(each.gain_base for each in found if each.long_term),
        "short_term": total(each.gain_base for each in found if not each.long_term),
    }
