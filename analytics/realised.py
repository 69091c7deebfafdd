"""Realised gains by lot: what each closing of units earned, price and currency apart.

Per closed part of a lot, in the lot's currency: proceeds = −units × trade price, cost = what the lot gave up, gain =
proceeds − cost; signs make it hold for shorts too. In base currency, with S the rate of the sale's day and S₀ the rate
of the cost's:

    gain base = proceeds·S − cost·S₀ = (proceeds − cost)·S  [price]  +  cost·(S − S₀)  [currency]

A sale priced in another currency P than its lot's cost is proceeds·P in base, and that / S in the lot's currency, both
at the rates of its day; the rest holds as it stands.

Only the ledger knows what was traded: units that are given away, moved or exchanged realise nothing, also when a price
is written (their rows have no gain), and what comes back keeps its cost in base currency; see `analytics.basis`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext

from analytics.basis import Closed, Lots, RateOn
from analytics.bookings import BookingRow, sold
from analytics.fees import Fees
from analytics.numbers import CONTEXT

LONG_TERM_DAYS = 365


@dataclass(frozen=True, slots=True)
class Disposal:
    """One closed part of one lot.

    Attributes:
        qty: units closed, positive for a sale, negative for covering a short.
        currency: of cost and gain.
        price, proceeds: in `price_currency`, which may be another. Proceeds, cost and gain are signed: covering a short
            has negative proceeds and cost.
        gain: None with a `reason` when it needs a rate between the two that is missing.
        gain_base: None with a `reason` when a rate is missing.
        gain_price_base, gain_currency_base: sum to `gain_base`.
        days_held: calendar days.
        fees: commissions by currency; not part of the gains.
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
    price_currency: str
    proceeds: Decimal
    cost: Decimal
    gain: Decimal | None
    cost_base: Decimal | None
    proceeds_base: Decimal | None
    gain_base: Decimal | None
    gain_price_base: Decimal | None
    gain_currency_base: Decimal | None
    fees: Mapping[str, Decimal]
    reason: str

    @property
    def long_term(self) -> bool:
        """Whether it was held for more than a year."""
        return self.days_held > LONG_TERM_DAYS


def disposals(rows: Iterable[BookingRow], asof: date, base: str, rate_on: RateOn) -> tuple[Disposal, ...]:
    """Return what was closed up to `asof`, in order; see `disposed`."""
    return tuple(disposal for _, disposal in disposed(rows, asof, base, rate_on))


def disposed(
    rows: Iterable[BookingRow], asof: date, base: str, rate_on: RateOn
) -> tuple[tuple[BookingRow, Disposal], ...]:
    """Return what was closed up to `asof`, in order, each with the row that closed it.

    Args:
        rows: ordered by date; all of them, because the cost in base currency comes from the opening ones.
        asof: last day that counts.
        base: currency of base amounts.
        rate_on: exchange rate of a day; `base` itself is never asked for.

    Cost: O(rows).
    """
    every = tuple(rows)
    lots, fees = Lots(base, rate_on), Fees(every)
    with localcontext(CONTEXT):
        return tuple(
            (closed.row, _disposal(closed, price, lots, fees))
            for closed in lots.fold(every, asof)
            if sold(closed.row) and (price := closed.row.price) is not None
        )


def _disposal(closed: Closed, price: Decimal, lots: Lots, fees: Fees) -> Disposal:
    row, removed = closed.row, closed.cost_base
    paid_in = row.price_currency or row.currency
    rate, paid_rate = lots.rate(row.currency, row.on), lots.rate(paid_in, row.on)
    proceeds, cost = -row.qty * price, -row.amount
    in_base = None if paid_rate is None else proceeds * paid_rate
    whole = None if in_base is None or removed is None else in_base - removed
    gain = proceeds - cost if paid_in == row.currency else None
    if gain is None and in_base is not None and rate:
        gain = in_base / rate - cost
    by_price = None if rate is None or in_base is None or whole is None else in_base - cost * rate
    lacks, missing = row.currency, closed.acquired
    if paid_rate is None or rate is None:
        lacks, missing = paid_in if paid_rate is None else row.currency, row.on
    return Disposal(
        lot=row.lot,
        symbol=row.symbol,
        account=row.account,
        acquired=closed.acquired,
        closed=row.on,
        days_held=(row.on - closed.acquired).days,
        qty=-row.qty,
        currency=row.currency,
        price=price,
        price_currency=paid_in,
        proceeds=proceeds,
        cost=cost,
        gain=gain,
        cost_base=removed,
        proceeds_base=in_base,
        gain_base=whole,
        gain_price_base=by_price,
        gain_currency_base=None if whole is None or by_price is None else whole - by_price,
        fees=fees.of(row),
        reason="" if whole is not None and by_price is not None else f"no {lacks}/{lots.base} rate on {missing}",
    )
