"""Booked rows → what is held at the end of a day, with cost in base currency.

Cost in base is cost × the exchange rate of the day the units were bought, also after partial
sales, splits and average-cost merging: a purchase adds at its own day's rate, a sale removes the
same share of the base cost as of the units.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from typing import Any

from analytics.bookings import BookingRow
from analytics.numbers import CONTEXT, ZERO, money, plain

# (currency, day) → base units per 1, None when there is no rate.
RateOn = Callable[[str, date], Decimal | None]


@dataclass(frozen=True, slots=True)
class LotHolding:
    """An open lot.

    Attributes:
        qty: signed units; negative for a short.
        cost_local: signed total cost in `currency`.
        cost_base: the same at trade-date rates; None when a rate was missing.
    """

    lot: str
    account: str
    symbol: str
    qty: Decimal
    currency: str
    cost_local: Decimal
    cost_base: Decimal | None
    acquired: date


@dataclass(frozen=True, slots=True)
class CashHolding:
    """Cash of one currency over all accounts; negative when borrowed."""

    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class ReceivableHolding:
    """A dividend between its ex-date and its pay date."""

    symbol: str
    currency: str
    amount: Decimal
    pay_date: date


@dataclass(frozen=True, slots=True)
class Holdings:
    """Everything held at the end of `asof`."""

    asof: date
    base: str
    lots: tuple[LotHolding, ...]
    cash: tuple[CashHolding, ...]
    receivables: tuple[ReceivableHolding, ...]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return JSON: money and quantities as decimal strings, dates as ISO text."""
        return {
            "asof": self.asof.isoformat(),
            "base_currency": self.base,
            "lots": [
                {
                    "lot": lot.lot,
                    "account": lot.account,
                    "symbol": lot.symbol,
                    "qty": plain(lot.qty),
                    "currency": lot.currency,
                    "cost_local": money(lot.cost_local),
                    "cost_per_unit_local": money(lot.cost_local / lot.qty),
                    "cost_base": money(lot.cost_base),
                    "acquired": lot.acquired.isoformat(),
                }
                for lot in self.lots
            ],
            "cash": [{"currency": cash.currency, "amount": money(cash.amount)} for cash in self.cash],
            "receivables": [
                {
                    "symbol": owed.symbol,
                    "currency": owed.currency,
                    "amount": money(owed.amount),
                    "pay_date": owed.pay_date.isoformat(),
                }
                for owed in self.receivables
            ],
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Holdings":
        """Rebuild holdings from `as_json` output."""
        return cls(
            asof=date.fromisoformat(value["asof"]),
            base=value["base_currency"],
            lots=tuple(
                LotHolding(
                    lot=lot["lot"],
                    account=lot["account"],
                    symbol=lot["symbol"],
                    qty=Decimal(lot["qty"]),
                    currency=lot["currency"],
                    cost_local=Decimal(lot["cost_local"]),
                    cost_base=None if lot["cost_base"] is None else Decimal(lot["cost_base"]),
                    acquired=date.fromisoformat(lot["acquired"]),
                )
                for lot in value["lots"]
            ),
            cash=tuple(CashHolding(cash["currency"], Decimal(cash["amount"])) for cash in value["cash"]),
            receivables=tuple(
                ReceivableHolding(
                    owed["symbol"],
                    owed["currency"],
                    Decimal(owed["amount"]),
                    date.fromisoformat(owed["pay_date"]),
                )
                for owed in value["receivables"]
            ),
            warnings=tuple(value["warnings"]),
        )


@dataclass(slots=True)
class _Running:
    """A lot while rows are folded; `base` becomes None once a rate is missing."""

    row: BookingRow
    qty: Decimal = ZERO
    cost: Decimal = ZERO
    base: Decimal | None = ZERO


def hold(rows: Iterable[BookingRow], asof: date, base: str, rate_on: RateOn) -> Holdings:
    """Fold rows up to and including `asof`.

    Args:
        rows: ordered by date.
        asof: last day that counts.
        base: currency of base costs.
        rate_on: exchange rate of a day (may carry a few days); `base` itself is never asked for.

    Returns: lots in opening order, cash and receivables sorted by currency and symbol.
    Cost: O(rows).
    """
    lots: dict[str, _Running] = {}
    cash: dict[str, Decimal] = {}
    owed: dict[tuple[str, str, date], Decimal] = {}
    warnings: list[str] = []
    with localcontext(CONTEXT):
        for row in rows:
            if row.on > asof:
                break
            if row.kind == "cash":
                cash[row.currency] = cash.get(row.currency, ZERO) + row.amount
            elif row.kind in ("lot", "split"):
                running = lots.get(row.lot)
                if running is None:
                    running = lots[row.lot] = _Running(row)
                _apply(running, row, base, rate_on, warnings)
                if not running.qty:
                    del lots[row.lot]
            elif row.kind == "receivable" and row.pay_date is not None:
                key = (row.symbol, row.currency, row.pay_date)
                owed[key] = owed.get(key, ZERO) + row.amount
    return Holdings(
        asof=asof,
        base=base,
        lots=tuple(
            LotHolding(
                lot=name,
                account=running.row.account,
                symbol=running.row.symbol,
                qty=running.qty,
                currency=running.row.currency,
                cost_local=running.cost,
                cost_base=running.base,
                acquired=running.row.acquired or running.row.on,
            )
            for name, running in lots.items()
        ),
        cash=tuple(CashHolding(currency, cash[currency]) for currency in sorted(cash) if cash[currency]),
        receivables=tuple(
            ReceivableHolding(symbol, currency, owed[symbol, currency, pay], pay)
            for symbol, currency, pay in sorted(owed)
            if owed[symbol, currency, pay]
        ),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _apply(running: _Running, row: BookingRow, base: str, rate_on: RateOn, warnings: list[str]) -> None:
    """Move a lot by one row, its base cost included."""
    grows = row.kind == "lot" and (not running.qty or (row.qty > 0) == (running.qty > 0))
    if grows:
        rate = Decimal(1) if row.currency == base else rate_on(row.currency, row.on)
        if rate is None:
            running.base = None
            warnings.append(f"no {row.currency}/{base} rate on {row.on}: base cost of {row.symbol} unknown")
        elif running.base is not None:
            running.base += row.amount * rate
    elif row.kind == "lot" and running.base is not None:
        running.base += running.base * row.qty / running.qty
    running.qty += row.qty
    running.cost += row.amount
