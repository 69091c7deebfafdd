"""Exchange rates: base units per 1 unit of a currency, crossed through one pivot.

Sources quote in different directions (the ECB foreign units per euro, FRED either way), so a rate
row always says `base, quote, rate` = quote units for 1 base. Inverses and crosses are computed,
never stored. A rate that cannot be derived is None: it is never 1.0.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from analytics.numbers import CONTEXT

ONE = Decimal(1)
PIVOT = "EUR"
CARRY_DAYS_MAX = 5
# Quotes rounded to four digits may disagree by half a percent.
CONTRADICTION_MIN = 0.01
_INVERSE_ERROR_MAX = Decimal("1e-9")

# Prices on some exchanges are quoted in hundredths of the currency; these are price units, and
# no account is kept in them.
MINOR_UNITS = {"GBX": "GBP", "GBp": "GBP", "ZAc": "ZAR", "ZAC": "ZAR", "ILA": "ILS", "ILa": "ILS"}


class InconsistentRates(ValueError):
    """Two given rates contradict each other; the message names them."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate and how old it is.

    Attributes:
        rate: base units per 1 unit of the currency asked for.
        age_days: calendar days since it was observed; 0 on the day itself and for the base.
    """

    rate: Decimal
    age_days: int


def from_minor_unit(currency: str, price: Decimal) -> tuple[str, Decimal]:
    """Return currency and price in whole units: 1,234 GBX is 12.34 GBP."""
    whole = MINOR_UNITS.get(currency)
    return (currency, price) if whole is None else (whole, price / 100)


class Rates:
    """The rates of one day.

    Args:
        rows: (base, quote, rate): quote units for 1 base, rate above zero.
        pivot: currency crosses go through when there is no direct rate.

    Raises:
        InconsistentRates: a rate is not positive, or both directions of a pair are given and
            their product differs from 1 by more than 1e-9.
    """

    __slots__ = ("_cache", "_direct", "_pivot")

    def __init__(self, rows: Iterable[tuple[str, str, Decimal]], pivot: str = PIVOT):
        self._pivot = pivot
        self._direct: dict[tuple[str, str], Decimal] = {}
        self._cache: dict[tuple[str, str], Decimal | None] = {}
        for base, quote, rate in rows:
            if base == quote or rate <= 0:
                raise InconsistentRates(f"expected a positive {base}/{quote} rate, got {rate}")
            self._direct[base, quote] = rate
        for (base, quote), rate in self._direct.items():
            back = self._direct.get((quote, base))
            if back is not None and abs(rate * back - 1) > _INVERSE_ERROR_MAX:
                raise InconsistentRates(f"{base}/{quote} {rate} and {quote}/{base} {back} contradict each other")

    def rate(self, currency: str, base: str) -> Decimal | None:
        """Return base units per 1 `currency`: given, inverted or crossed; None if impossible."""
        if currency == base:
            return ONE
        key = (currency, base)
        if key not in self._cache:
            self._cache[key] = self._derive(currency, base)
        return self._cache[key]

    def _pair(self, currency: str, base: str) -> Decimal | None:
        direct = self._direct.get((currency, base))
        if direct is not None:
            return direct
        back = self._direct.get((base, currency))
        return None if back is None else CONTEXT.divide(ONE, back)

    def _derive(self, currency: str, base: str) -> Decimal | None:
        direct = self._pair(currency, base)
        if direct is not None:
            return direct
        for through in self._between():
            crossed = self._crossed(currency, base, through)
            if crossed is not None:
                return crossed
        return None

    def _between(self) -> Iterator[str]:
        """Yield the currencies to cross through: the pivot, but a file of the user's own may have another one."""
        yield self._pivot
        yield from sorted({name for pair in self._direct for name in pair} - {self._pivot})

    def _crossed(self, currency: str, base: str, through: str) -> Decimal | None:
        up = self._direct.get((through, base))
        down = self._direct.get((through, currency))
        if up is not None and down is not None:
            return CONTEXT.divide(up, down)  # one rounding instead of two
        left, right = self._pair(currency, through), self._pair(through, base)
        return None if left is None or right is None else CONTEXT.multiply(left, right)


@dataclass(frozen=True, slots=True)
class Triangle:
    """One given rate against the one crossed through a third currency; error = |given / crossed − 1|."""

    base: str
    quote: str
    through: str
    error: float


def triangles(given: Mapping[tuple[str, str], Decimal]) -> list[Triangle]:
    """Return every way to reach a pair of one day twice.

    Args:
        given: (base, quote) → quote units for 1 base, above zero.
    """
    if len({base for base, _ in given}) < 2:
        return []  # a source that quotes everything against one currency closes no triangle
    either = {**{(quote, base): 1 / rate for (base, quote), rate in given.items()}, **given}
    names = sorted({name for pair in given for name in pair})
    found: list[Triangle] = []
    for base, quote in sorted(given):
        for through in names:
            if through in (base, quote) or (base, through) not in either or (through, quote) not in either:
                continue
            crossed = either[base, through] * either[through, quote]
            found.append(Triangle(base, quote, through, abs(float(given[base, quote] / crossed) - 1.0)))
    return found


def contradiction(rows: Iterable[tuple[date, str, str, Decimal]]) -> str:
    """Say where rates of one day contradict each other most, if by more than rounded quotes can; else ""."""
    rows = list(rows)
    if len({row[1] for row in rows}) < 2:
        return ""  # as in `triangles`, and most often so
    by_day: dict[date, dict[tuple[str, str], Decimal]] = {}
    for on, base, quote, rate in rows:
        by_day.setdefault(on, {})[base, quote] = rate
    worst: tuple[float, date, Triangle] | None = None
    for on, given in sorted(by_day.items()):  # of equal ones the first day, in whatever order rows come
        for each in triangles(given):
            if each.error > CONTRADICTION_MIN and (worst is None or each.error > worst[0]):
                worst = (each.error, on, each)
    if worst is None:
        return ""
    error, on, each = worst
    return (
        f"exchange rates contradict each other: {each.base}/{each.quote} on {on} is {error:.1%} off the rate through"
        f" {each.through}; see data_quality"
    )


class FxHistory:
    """Rates of many days; a day without its own carries the last, at most five days.

    Args:
        rows: (on, base, quote, rate) in any order.
        pivot: as for `Rates`.
    """

    __slots__ = ("_days", "_known", "_rates")

    def __init__(self, rows: Iterable[tuple[date, str, str, Decimal]], pivot: str = PIVOT):
        by_day: dict[date, list[tuple[str, str, Decimal]]] = {}
        for on, base, quote, rate in rows:
            by_day.setdefault(on, []).append((base, quote, rate))
        self._days = sorted(by_day)
        self._rates = {on: Rates(by_day[on], pivot) for on in self._days}
        self._known: dict[tuple[str, str, date], Rate | None] = {}

    def rate(self, currency: str, base: str, on: date) -> Rate | None:
        """Return the rate of a day or the last one at most `CARRY_DAYS_MAX` days before it."""
        if currency == base:
            return Rate(ONE, 0)
        key = (currency, base, on)
        if key not in self._known:
            self._known[key] = self._find(currency, base, on)
        return self._known[key]

    def column(self, currency: str, base: str, dates: Iterable[date]) -> list[Decimal | None]:
        """Return the rate of each day as `rate` gives it, without its age."""
        if currency == base:
            return [ONE for _ in dates]
        found: list[Decimal | None] = []
        for on in dates:
            own = self._rates.get(on)
            rate = None if own is None else own.rate(currency, base)
            if rate is None:
                carried = self.rate(currency, base, on)
                rate = None if carried is None else carried.rate
            found.append(rate)
        return found

    def _find(self, currency: str, base: str, on: date) -> Rate | None:
        at = bisect_right(self._days, on) - 1
        while at >= 0:
            day = self._days[at]
            age = (on - day).days
            if age > CARRY_DAYS_MAX:
                return None
            found = self._rates[day].rate(currency, base)
            if found is not None:
                return Rate(found, age)
            at -= 1
        return None
