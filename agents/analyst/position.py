"""How a portfolio is spread, and one holding in depth."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from math import fsum
from typing import Literal

from pydantic import Field

from agents.analyst.desk import Desk, Stamped, ValuedRows, cite, pinned, stamp, unvalued_end
from agents.answers import ValuedRow
from agents.books import Book, unknown_symbol
from agents.capability import capability
from agents.context import CapabilityContext
from agents.fields import Exact, Money, MoneyText, Part, Ratio
from agents.ports import BookingRow
from agents.positions import total, unvalued
from analytics.allocation import concentration, grouped
from analytics.attribution import NotAdditive, attribute
from analytics.bookings import sold
from analytics.fees import Fees
from analytics.gains import Gain, gain_of
from analytics.history import History
from analytics.numbers import ZERO, money
from analytics.realised import disposed
from topics.errors import Code, TerminalError
from topics.messages import Pins

_TRANSACTIONS_MAX = 10_000
_METHOD_DEEP_DIVE = (
    "gains per day at the day's units, prices and rates, before costs; they sum to value − invested + income."
    " Those of portfolio.gains are measured against the cost instead: price and currency divide differently"
)


class ShareRow(Part):
    """One group's value and share of NAV."""

    name: str
    value: Money = Field(description="Σ q·P·S")
    weight: Ratio = Field(description="value / NAV with cash, receivables and shorts")
    holdings: int


class Allocation(Stamped):
    """Shares of NAV by kind, currency, sector and holding; each list sums to 1, shorts are negative."""

    nav: Money | None = Field(description="Σ q·P·S with cash, receivables and shorts")
    weight: Ratio | None = Field(description="Σ weights: 1")
    by_kind: tuple[ShareRow, ...] = Field(strict=False)
    by_currency: tuple[ShareRow, ...] = Field(strict=False)
    by_sector: tuple[ShareRow, ...] = Field(strict=False)
    by_holding: tuple[ShareRow, ...] = Field(strict=False)
    gross_exposure: Ratio | None = Field(description="Σ |w| over securities")
    net_exposure: Ratio | None = Field(description="Σ w over securities")
    hhi: Ratio | None = Field(description="Σ (w/Σw)² over long securities (Herfindahl–Hirschman)")
    effective_holdings: Ratio | None = Field(description="1 / HHI")
    largest: Ratio | None = Field(description="largest long weight")
    top_five: Ratio | None = Field(description="Σ of the five largest long weights")


class TransactionRow(Part):
    """One booked row about a security; `amount` as in the ledger's rows, plus is more wealth.

    Attributes:
        price_currency: of price and proceeds; a sale's may be another than `currency`.
        proceeds, gain: of what was sold; null where nothing was paid for units that went.
        cost: of the lot that came or went; both signs turn for a short.
        action: `buy`, `sell`, `short` or `cover` of a lot's row that trades at a price; else the kind, as for a move.
        qty: null where no units moved, as for a dividend.
        income: `amount` of what moves no lot: dividends, tax, what is owed, flows in kind.
    """

    on: date
    kind: str
    action: str
    qty: Exact | None = Field(description="units that came (+) or went (−), on the share basis of that day")
    price: Exact | None = Field(description="per unit, as traded")
    price_currency: str | None
    amount: Money
    currency: str
    account: str
    lot: str
    proceeds: Money | None = Field(description="units sold × trade price, before commission")
    cost: Money | None = Field(description="what the lot cost, or gave up")
    gain: Money | None = Field(description="proceeds − cost, proceeds at the rate of the sale if in another currency")
    fees: dict[str, Money] = Field(description="commissions by currency, spread by units; not part of the gain")
    income: Money | None = Field(description="amount of dividends, tax withheld, dividends owed and flows in kind")


class Transactions(Stamped):
    """What was booked on a security, oldest first."""

    symbol: str
    rows: tuple[TransactionRow, ...] = Field(strict=False)


class GainSplit(Part):
    """Gains in base currency since inception; they sum to `total` = value − invested + income."""

    price: Money = Field(description="Σ q·(p₁ − p₀)·S₀: capital gain at yesterday's rate")
    currency: Money = Field(description="Σ q·p₀·(S₁ − S₀): currency gain at yesterday's price")
    joint: Money = Field(description="Σ q·(p₁ − p₀)·(S₁ − S₀)")
    trading: Money = Field(description="Σ value of units traded at the close − what was paid")
    income: Money = Field(
        description="Σ dividends − tax withheld, at the ex-date's rate; what it changes until they are paid is cash's"
    )
    total: Money = Field(description="price + currency + joint + trading + income")
    invested: Money = Field(description="Σ paid for units − Σ received for units")


class HoldingSeries(Part):
    """Columns of equal length; `value` in base currency."""

    dates: tuple[date, ...] = Field(strict=False)
    units: tuple[Ratio, ...] = Field(strict=False)
    price: tuple[Ratio, ...] = Field(strict=False)
    value: tuple[MoneyText, ...] = Field(strict=False)


class DeepDive(Stamped):
    """One holding: what it is worth, what it cost, what it earned and how.

    Attributes:
        state: `held`, `closed` (held once) or `unknown` (never).
    """

    symbol: str
    name: str
    state: Literal["held", "closed", "unknown"]
    qty: Exact | None = Field(description="q: Σ units of the open lots")
    price: Exact | None = Field(description="P: close of the pack, per unit, on the share basis of the day")
    price_currency: str | None
    value: Money | None = Field(description="q·P·S")
    cost: Money | None = Field(description="Σ cost × trade-date rate")
    unrealized_pl: Money | None = Field(description="value − cost")
    weight: Ratio | None = Field(description="value / NAV")
    gains: GainSplit | None
    contribution: Ratio | None = Field(description="Σ (k_t/K)·w_t·r_t, Carino")
    first_held: date | None
    series: HoldingSeries


class PositionGroup(Desk):
    """Allocation, transactions and deep dives."""

    @capability("portfolio.allocation", pure=True, needs=("pack",))
    async def allocation(
        self, context: CapabilityContext, positions: ValuedRows, sectors: dict[str, str] | None = None
    ) -> Allocation:
        """Spread the value over kinds, currencies, sectors and holdings, and measure concentration."""
        pins = pinned(context)
        context.report(source=f"pricing_pack:{pins.pricing_pack_id}", asof=pins.asof)
        return _allocation(pins, positions, sectors or {})

    @capability("position.transactions", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",))
    async def transactions(self, context: CapabilityContext, symbol: str) -> Transactions:
        """List what was booked on a security up to the day."""
        pins = pinned(context)
        book = await self._books.load(context)
        cite(context, book)
        rows, missing = _transactions(book, symbol)
        warnings = []
        if len(rows) > _TRANSACTIONS_MAX:
            warnings.append(f"the last {_TRANSACTIONS_MAX} of {len(rows)} rows")
        kept = rows[-_TRANSACTIONS_MAX:]
        return Transactions(
            symbol=symbol,
            rows=tuple(kept),
            **stamp(
                pins,
                "booked rows at the pinned commit",
                len(kept),
                reasons={"gain": "; ".join(dict.fromkeys(missing))},
                warnings=warnings,
            ),
        )

    @capability("position.deep_dive", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",))
    async def deep_dive(self, context: CapabilityContext, positions: ValuedRows, symbol: str) -> DeepDive:
        """Show one holding: value, cost, and its gains split into price, currency, income and trading."""
        pins = pinned(context)
        book, performance = await self._books.performance(context)
        cite(context, book)
        row = next((row for row in positions if row.kind == "security" and row.symbol == symbol), None)
        gain = gain_of(performance.history, symbol)
        if row is None and gain is None:
            raise unknown_symbol(symbol, performance.history.symbols)
        why = unvalued_end(performance.twr, pins)
        reasons: dict[str, str] = {}
        if row is not None and row.value_base is None:
            reasons = dict.fromkeys(("value", "unrealized_pl", "weight", "gains"), row.reason or "no value")
            gain = None
        elif row is None:
            reasons = dict.fromkeys(("qty", "price", "value", "cost", "unrealized_pl", "weight"), "no longer held")
        elif gain is None:
            reasons["gains"] = performance.twr.reason or "no valued day"
        if why:
            # The history ends on an earlier day; its gains would pass for those of this one.
            gain = None
            reasons.setdefault("gains", why)
        added = None
        if not why:
            try:
                effects = attribute(performance.history, performance.twr)
            except NotAdditive as error:
                raise TerminalError(Code.RECONCILIATION_FAILED, str(error)) from error
            added = next((each.total for each in effects.by_position if each.name == symbol), None)
            why = effects.reason or "no effect on the return"
        if added is None:
            reasons["contribution"] = why
        series = _series(performance.history, symbol)
        return DeepDive(
            symbol=symbol,
            name=row.name if row else symbol,
            state="held" if row else "closed",
            qty=row.qty_open if row else None,
            price=row.price if row else None,
            price_currency=row.price_currency if row else None,
            value=row.value_base if row else None,
            cost=row.cost_base if row else None,
            unrealized_pl=row.unrealized_pl if row else None,
            weight=row.weight if row else None,
            gains=_split(gain) if gain else None,
            contribution=added,
            first_held=series.dates[0] if series.dates else None,
            series=series,
            **stamp(
                pins,
                _METHOD_DEEP_DIVE,
                len(series.dates),
                reasons=reasons,
                warnings=performance.twr.warnings,
            ),
        )


def _allocation(pins: Pins, positions: Sequence[ValuedRow], sectors: dict[str, str]) -> Allocation:
    nav = total(row.value_base for row in positions)
    figures = ("weight", "gross_exposure", "net_exposure", "hhi", "effective_holdings", "largest", "top_five")
    if nav is None or nav <= ZERO:
        missing = unvalued(positions)
        why = f"no value: {missing}" if nav is None else "the value is not above zero"
        names = (*figures, "by_kind", "by_currency", "by_sector", "by_holding", *(("nav",) if nav is None else ()))
        return Allocation(
            nav=nav,
            by_kind=(),
            by_currency=(),
            by_sector=(),
            by_holding=(),
            **dict.fromkeys(figures),
            **stamp(pins, "shares of NAV", 0, reasons=dict.fromkeys(names, why)),
        )

    def shares(names: Sequence[str]) -> tuple[ShareRow, ...]:
        parts = [(name, row.value_base or ZERO) for name, row in zip(names, positions, strict=True)]
        return tuple(
            ShareRow(name=share.name, value=share.value, weight=share.weight, holdings=share.holdings)
            for share in grouped(parts, nav)
        )

    found = concentration([row.weight for row in positions if row.kind == "security" and row.weight is not None])
    kinds = [_kind(row) for row in positions]
    classified = [sectors.get(row.symbol, "Unclassified") if row.kind == "security" else "Cash" for row in positions]
    none = "no long security"
    return Allocation(
        nav=nav,
        by_kind=shares(kinds),
        by_currency=shares([row.price_currency or row.trading_currency for row in positions]),
        by_sector=shares(classified) if sectors else (),
        by_holding=shares([row.symbol if row.kind == "security" else f"{row.kind}:{row.symbol}" for row in positions]),
        weight=fsum(float((row.value_base or ZERO) / nav) for row in positions),
        gross_exposure=found.gross,
        net_exposure=found.net,
        hhi=found.hhi,
        effective_holdings=found.effective_holdings,
        largest=found.largest,
        top_five=found.top_five,
        **stamp(
            pins,
            "shares of NAV with cash, receivables and shorts",
            len(positions),
            reasons={
                "by_sector": "" if sectors else "no sectors given",
                **({} if found.hhi is not None else dict.fromkeys(figures[3:], none)),
            },
        ),
    )


def _kind(row: ValuedRow) -> str:
    if row.kind == "security":
        return "short securities" if row.qty_open < 0 else "securities"
    return "cash" if row.kind == "cash" else "dividends owed"


def _transactions(book: Book, symbol: str) -> tuple[list[TransactionRow], list[str]]:
    """Return the rows of a security, and why gains of sales in another currency than the cost's are null."""
    pins = book.pins
    rows = [row for row in book.snapshot.rows if row.on <= pins.asof]
    sales = {id(row): sale for row, sale in disposed(rows, pins.asof, pins.base_ccy, book.rate_on)}
    fees = Fees(rows)
    missing: list[str] = []
    in_kind = {row.source for row in rows if row.kind == "external" and row.symbol == symbol}
    units: defaultdict[str, Decimal] = defaultdict(Decimal)
    found: list[TransactionRow] = []
    for row in rows:
        if row.symbol != symbol:
            continue
        # Units that go are of the other sign than what their lot holds.
        goes = row.kind == "lot" and row.qty * units[row.lot] < 0
        if row.kind in ("lot", "split"):
            units[row.lot] += row.qty
        sale = sales.get(id(row))
        if sale is not None and sale.gain is None:
            missing.append(sale.reason)
        found.append(
            TransactionRow(
                on=row.on,
                kind=row.kind,
                action=row.kind if row.source in in_kind else _action(row, goes=goes),
                qty=row.qty or None,
                price=row.price,
                price_currency=row.price_currency,
                amount=row.amount,
                currency=row.currency,
                account=row.account,
                lot=row.lot,
                proceeds=sale.proceeds if sale else None,
                cost=None if row.kind != "lot" else -row.amount if goes else row.amount,
                gain=sale.gain if sale else None,
                fees=fees.of(row),
                income=None if row.kind in ("lot", "split") else row.amount,
            )
        )
    return found, missing


def _action(row: BookingRow, *, goes: bool) -> str:
    if row.kind != "lot" or row.price is None:
        return row.kind
    if goes:
        # A move at a written price realises nothing.
        return row.kind if not sold(row) else "sell" if row.qty < 0 else "cover"
    return "buy" if row.qty > 0 else "short"


def _split(gain: Gain) -> GainSplit:
    names = ("price", "currency", "joint", "trading", "income", "total", "invested")
    return GainSplit(**{name: Decimal(repr(round(getattr(gain, name), 6))) for name in names})


def _series(history: History, symbol: str) -> HoldingSeries:
    if symbol not in history.symbols:
        return HoldingSeries(dates=(), units=(), price=(), value=())
    at = history.symbols.index(symbol)
    units = (history.begin[:, at] + history.traded[:, at]).tolist()
    price = history.price[:, at].tolist()
    rate = history.fx[:, int(history.symbol_currency[at])].tolist()
    first = next((day for day, held in enumerate(units) if held), len(units))
    kept = range(first, len(units))
    return HoldingSeries(
        dates=tuple(history.dates[day] for day in kept),
        units=tuple(units[day] for day in kept),
        price=tuple(price[day] for day in kept),
        value=tuple(
            money(Decimal(repr(round(units[day] * price[day] * rate[day], 6)))) or "0" if units[day] else "0"
            for day in kept
        ),
    )
