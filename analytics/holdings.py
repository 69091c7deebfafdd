"""Booked rows → what is held at the end of a day, with cost in base currency.

Cost in base is cost × the exchange rate of the day the units were bought, also after partial sales, splits, moves
between accounts and average-cost merging; see `analytics.basis`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from typing import Any

from analytics.basis import Lots, RateOn
from analytics.bookings import BookingRow
from analytics.numbers import CONTEXT, ZERO, money, plain


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


def hold(rows: Sequence[BookingRow], asof: date, base: str, rate_on: RateOn) -> Holdings:
    """Fold rows up to and including `asof`.

    Args:
        rows: ordered by date.
        asof: last day that counts.
        base: currency of base costs.
        rate_on: exchange rate of a day (may carry a few days); `base` itself is never asked for.

    Returns: lots in opening order, cash and receivables sorted by currency and symbol.
    Cost: O(rows).
    """
    lots = Lots(base, rate_on)
    cash: dict[str, Decimal] = {}
    owed: dict[tuple[str, str, date], Decimal] = {}
    with localcontext(CONTEXT):
        for _ in lots.fold(rows, asof):
            pass
        for row in rows:
            if row.on > asof:
                break
            if row.kind == "cash":
                cash[row.currency] = cash.get(row.currency, ZERO) + row.amount
            elif row.kind == "receivable" and row.pay_date is not None:
                key = (row.symbol, row.currency, row.pay_date)
                owed[key] = owed.get(key, ZERO) + row.amount
    return Holdings(
        asof=asof,
        base=base,
        lots=tuple(
            LotHolding(
                lot=name,
                account=lot.row.account,
                symbol=lot.row.symbol,
                qty=lot.qty,
                currency=lot.row.currency,
                cost_local=lot.cost,
                cost_base=lot.cost_base,
                acquired=lot.acquired,
            )
            for name, lot in lots.open.items()
        ),
        cash=tuple(CashHolding(currency, cash[currency]) for currency in sorted(cash) if cash[currency]),
        receivables=tuple(
            ReceivableHolding(symbol, currency, owed[symbol, currency, pay], pay)
            for symbol, currency, pay in sorted(owed)
            if owed[symbol, currency, pay]
        ),
        warnings=tuple(dict.fromkeys(lots.warnings)),
    )
