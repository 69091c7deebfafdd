"""Realised gains by lot: what each closing of units earned, price and currency apart.

Per closed part of a lot, in the lot's currency: proceeds = −units × trade price, cost = what the lot gave up, gain =
proceeds − cost; signs make it hold for shorts too. In base currency, with S the rate of the sale's day and S₀ the rate
of the cost's:

    gain base = proceeds·S − cost·S₀ = (proceeds − cost)·S  [price]  +  cost·(S − S₀)  [currency]

Units that leave at no known price (transfers, splits written as all lots out and back in) realise nothing.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext

from analytics.bookings import BookingRow
from analytics.numbers import CONTEXT, ZERO

RateOn = Callable[[str, date], Decimal | None]
LONG_TERM_DAYS = 365


@dataclass(frozen=True, slots=True)
class Disposal:
    """One closed part of one lot.

    Attributes:
        qty: units closed, positive for a sale, negative for covering a short.
        proceeds, cost, gain: in `currency`, signed: covering a short has negative proceeds and cost.
        gain_base: None with a `reason` when a rate is missing.
        gain_price_base, gain_currency_base: sum to `gain_base`.
        days_held: calendar days.
    """

    lot: str
    symbol: str
    account: str
    acquired: date
    closed: date
    days_held: int
    qty: Decimal
    currency: str
    price: Decimal
    proceeds: Decimal
    cost: Decimal
    gain: Decimal
    cost_base: Decimal | None
    proceeds_base: Decimal | None
    gain_base: Decimal | None
    gain_price_base: Decimal | None
    gain_currency_base: Decimal | None
    reason: str

    @property
    def long_term(self) -> bool:
        """Whether it was held for more than a year."""
        return self.days_held > LONG_TERM_DAYS


@dataclass(slots=True)
class _Open:
    qty: Decimal
    cost_base: Decimal | None
    acquired: date


def disposals(rows: Iterable[BookingRow], asof: date, base: str, rate_on: RateOn) -> tuple[Disposal, ...]:
    """Return what was closed up to `asof`, in order.

    Args:
        rows: ordered by date; all of them, because the cost in base currency comes from the opening ones.
        asof: last day that counts.
        base: currency of base amounts.
        rate_on: exchange rate of a day; `base` itself is never asked for.

    Cost: O(rows).
    """
    lots: dict[str, _Open] = {}
    found: list[Disposal] = []
    with localcontext(CONTEXT):
        for row in rows:
            if row.on > asof:
                break
            if row.kind == "split" and row.lot in lots:
                lots[row.lot].qty += row.qty
            if row.kind != "lot":
                continue
            rate = Decimal(1) if row.currency == base else rate_on(row.currency, row.on)
            lot = lots.get(row.lot)
            if lot is None or (row.qty > 0) == (lot.qty > 0):
                _open(lots, row, rate)
                continue
            found += _close(lots, lot, row, rate, base)
    return tuple(found)


def _open(lots: dict[str, _Open], row: BookingRow, rate: Decimal | None) -> None:
    lot = lots.setdefault(row.lot, _Open(ZERO, ZERO, row.acquired or row.on))
    lot.qty += row.qty
    lot.cost_base = None if rate is None or lot.cost_base is None else lot.cost_base + row.amount * rate


def _close(lots: dict[str, _Open], lot: _Open, row: BookingRow, rate: Decimal | None, base: str) -> list[Disposal]:
    share = -row.qty / lot.qty
    removed = None if lot.cost_base is None else lot.cost_base * share
    lot.qty += row.qty
    if removed is not None and lot.cost_base is not None:
        lot.cost_base -= removed
    if not lot.qty:
        del lots[row.lot]
    if row.price is None:
        return []
    proceeds, cost = -row.qty * row.price, -row.amount
    gain = proceeds - cost
    in_base = None if rate is None else proceeds * rate
    whole = None if in_base is None or removed is None else in_base - removed
    by_price = None if rate is None or whole is None else gain * rate
    missing = row.on if rate is None else lot.acquired
    return [
        Disposal(
            lot=row.lot,
            symbol=row.symbol,
            account=row.account,
            acquired=lot.acquired,
            closed=row.on,
            days_held=(row.on - lot.acquired).days,
            qty=-row.qty,
            currency=row.currency,
            price=row.price,
            proceeds=proceeds,
            cost=cost,
            gain=gain,
            cost_base=removed,
            proceeds_base=in_base,
            gain_base=whole,
            gain_price_base=by_price,
            gain_currency_base=None if whole is None or by_price is None else whole - by_price,
            reason="" if whole is not None else f"no {row.currency}/{base} rate on {missing}",
        )
    ]
