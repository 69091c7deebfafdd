"""Pricing packs in memory, one per day of a price file. Never written to, so always fresh.

A day without prices is answered by the last one before it, as a calendar's target day is (`db.pack_choice`). The file
has no calendar, so that is said unless only a weekend lies between, and in a hole too long to carry prices over it is
refused: never silently an older day.

A pack's SHA-256 is chained over all days up to its own, because that is what it sees; its id is derived from it. The
same files give the same packs anywhere.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import NAMESPACE_URL, UUID, uuid5

from agents.ports import PriceRow, RateRow, Security
from analytics.fx import CARRY_DAYS_MAX
from db.pack_choice import PackDecision
from topics.canonical import digest
from topics.errors import Code, TerminalError
from topics.messages import PackRef, PackStatus

POLICY = "files"
_SATURDAY = 5
_NAMESPACE = uuid5(NAMESPACE_URL, "dawsos-executor:local-pack")


@dataclass(frozen=True, slots=True)
class LocalSeries:
    """Prices and rates up to a pack; see `agents.ports.PackSeries`."""

    dates: tuple[date, ...]
    prices: tuple[PriceRow, ...]
    rates: tuple[RateRow, ...]
    sources: tuple[str, ...] = ()


class LocalPacks:
    """Packs of a price file and a rate file; the calendar is the days that have a price.

    Args:
        prices: ordered by day.
        rates: ordered by day; days between packs belong to the next one.
        start: first day there is a pack for; None for the first priced day. Prices and rates before it still serve
            as carried values and trade-date rates.
    """

    def __init__(self, prices: Sequence[PriceRow], rates: Sequence[RateRow], start: date | None = None) -> None:
        self._prices = tuple(prices)
        self._rates = tuple(rates)
        self._price_days = [row[0] for row in self._prices]
        self._rate_days = [row[0] for row in self._rates]
        self.dates = tuple(on for on in sorted(set(self._price_days)) if start is None or on >= start)
        self._by_id: dict[UUID, PackRef] = {}
        self._by_day: dict[date, PackRef] = {}
        seen = digest([POLICY, start.isoformat() if start else None])
        price_at = rate_at = 0
        for on in self.dates:
            price_end = bisect_right(self._price_days, on)
            rate_end = bisect_right(self._rate_days, on)
            seen = digest([seen, _cells(self._prices[price_at:price_end]), _cells(self._rates[rate_at:rate_end])])
            price_at, rate_at = price_end, rate_end
            pack = PackRef(
                pack_id=uuid5(_NAMESPACE, seen),
                policy=POLICY,
                asof_date=on,
                revision=1,
                status=PackStatus.FRESH,
                content_sha256=seen,
            )
            self._by_id[pack.pack_id] = self._by_day[on] = pack

    async def resolve(self, policy: str, asof: date | None, pack_id: UUID | None) -> PackDecision:
        """See `agents.ports.PackPort`."""
        if pack_id is not None:
            pack = self._pack(pack_id)
            if asof is not None and asof != pack.asof_date:
                raise TerminalError(Code.INVALID_REQUEST, f"pack {pack_id} is of {pack.asof_date}, not of {asof}")
            return PackDecision(pack.asof_date, pack, self._before(pack.asof_date))
        at = len(self.dates) if asof is None else bisect_right(self.dates, asof)
        if not at:
            known = f"the prices begin on {self.dates[0]}" if self.dates else "there are no prices"
            raise TerminalError(Code.NO_PACK, f"no pack for {asof}: {known}")
        on = self.dates[at - 1]
        following = self.dates[at] if at < len(self.dates) else None
        warning = None if asof is None else _day_short(asof, on, following)
        return PackDecision(on, self._by_day[on], self._before(on), (warning,) if warning else ())

    async def series(
        self, pack_id: UUID, symbols: Sequence[str], currencies: Sequence[str], start: date | None
    ) -> LocalSeries:
        """See `agents.ports.PackPort`."""
        last = self._pack(pack_id).asof_date
        first = start or date.min
        wanted, money = set(symbols), set(currencies)
        return LocalSeries(
            dates=self.dates[bisect_left(self.dates, first) : bisect_right(self.dates, last)],
            prices=tuple(
                row
                for row in self._prices[bisect_left(self._price_days, first) : bisect_right(self._price_days, last)]
                if row[1] in wanted
            ),
            rates=tuple(
                row
                for row in self._rates[bisect_left(self._rate_days, first) : bisect_right(self._rate_days, last)]
                if row[1] in money or row[2] in money
            ),
        )

    def prices_on(self, on: date) -> tuple[PriceRow, ...]:
        """Return the prices of a day."""
        return self._prices[bisect_left(self._price_days, on) : bisect_right(self._price_days, on)]

    def rates_until(self, on: date) -> tuple[RateRow, ...]:
        """Return the rates up to a day, ordered by day."""
        return self._rates[: bisect_right(self._rate_days, on)]

    async def securities(self, pack_id: UUID, symbols: Sequence[str]) -> Mapping[str, Security]:
        """See `agents.ports.PackPort`; a price file knows no names, so a symbol stands for itself."""
        return {}

    def _pack(self, pack_id: UUID) -> PackRef:
        pack = self._by_id.get(pack_id)
        if pack is None:
            raise TerminalError(Code.UNKNOWN_PACK, f"expected a pack made of these files, got {pack_id}")
        return pack

    def _before(self, on: date) -> PackRef | None:
        at = bisect_left(self.dates, on)
        return self._by_day[self.dates[at - 1]] if at else None


def _day_short(asof: date, on: date, following: date | None) -> str | None:
    """Return what to say of a day answered by the last priced day before it; None when nothing need be said.

    A file names no sessions, so only a weekend is known to be none. What is missing elsewhere may be a holiday as well
    as a hole: as long as a price may be carried it is a warning.

    Args:
        asof: day asked for.
        on: last priced day at or before it.
        following: first priced day after it; None past the end of the file, where the newest day answers.

    Raises:
        TerminalError: NO_PACK, when `asof` lies in a hole, more than `CARRY_DAYS_MAX` calendar days after `on`.
    """
    if asof == on:
        return None
    if following is None:
        return f"asked for {asof}; the prices end on {on}"
    age = (asof - on).days
    if age > CARRY_DAYS_MAX:
        raise TerminalError(
            Code.NO_PACK,
            f"no pack for {asof}: the prices have none between {on} and {following}, and a price may be carried"
            f" {CARRY_DAYS_MAX} calendar days",
        )
    if all((on + timedelta(days=day)).weekday() >= _SATURDAY for day in range(1, age + 1)):
        return None
    return f"asked for {asof}; the prices have none between {on} and {following}"


def _cells(rows: Iterable[PriceRow | RateRow]) -> list[list[str]]:
    return [[str(cell) for cell in row] for row in rows]
