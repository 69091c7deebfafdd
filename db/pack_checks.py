"""Checks of a pack's content before it is frozen: coverage, triangulation of rates, jumps, stale observations.

A *fault* keeps the pack from being frozen; a *warning* is kept with the pack for people and the data-quality pattern.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from db.pack_content import CARRY_DAYS_MAX, PackContent, RateRow

JUMP_MAX = Decimal("0.25")
_TRIANGLE_TOLERANCE = Decimal("1e-9")
# Half of the last stored decimal of a rate: what rounding alone may cost.
_RATE_ROUNDING = Decimal("0.5e-10")

Kind = Literal["empty", "coverage", "triangulation", "jump", "stale"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing noticed about a pack.

    Attributes:
        fault: true when the pack must not be frozen.
        subject: symbol or `BASE/QUOTE`; empty for the whole pack.
        message: what was expected and what is there.
    """

    kind: Kind
    fault: bool
    subject: str
    message: str

    def as_json(self) -> dict[str, str | bool]:
        """Return the finding as it is stored with the pack."""
        return {"kind": self.kind, "fault": self.fault, "subject": self.subject, "message": self.message}


def check_content(
    content: PackContent, previous: PackContent | None, asof: date | None = None, required: Sequence[str] = ()
) -> tuple[Finding, ...]:
    """Return everything noticed, in a fixed order.

    Args:
        content: rows of the pack to freeze.
        previous: rows of the newest frozen pack of an earlier day; None for the first.
        asof: the pack's day, to tell observations that are too old or not yet made; None leaves that out.
        required: symbols the pack must have.
    """
    if not content.prices and not content.rates:
        return (Finding("empty", True, "", "expected prices or rates, the pack has no rows"),)
    return (
        *_required(content, required),
        *(() if previous is None else _all_gone(content, previous)),
        *(() if asof is None else _stale(content, asof)),
        *_missing_rates(content),
        *_triangles(content),
        *(() if previous is None else (*_gone(content, previous), *_jumps(content, previous))),
    )


def _required(content: PackContent, required: Sequence[str]) -> Iterator[Finding]:
    priced = {row.symbol for row in content.prices}
    for symbol in sorted(set(required) - priced):
        yield Finding("coverage", True, symbol, "the policy requires a price, the pack has none")


def _all_gone(content: PackContent, previous: PackContent) -> Iterator[Finding]:
    """A single security may end; that all end on one day means that the prices have not come."""
    if previous.prices and not content.prices:
        yield Finding("coverage", True, "", f"the pack before has {len(previous.prices)} prices, this one has none")


def _stale(content: PackContent, asof: date) -> Iterator[Finding]:
    """A close may be older than its pack, but is then said to be; nothing is older than what may be carried."""
    observed = [(row.symbol, row.observed_on) for row in content.prices]
    observed += [(f"{row.base}/{row.quote}", row.observed_on) for row in content.rates]
    closes = len(content.prices)
    for at, (name, on) in enumerate(observed):
        age = (asof - on).days
        if age < 0:
            yield Finding("stale", True, name, f"observed on {on}, after the pack's day {asof}")
        elif age > CARRY_DAYS_MAX:
            yield Finding(
                "stale", True, name, f"observed on {on}, {age} days before; at most {CARRY_DAYS_MAX} are carried"
            )
        elif age and at < closes:
            yield Finding("stale", False, name, f"close of {on}, {age} days before the pack's day")


def _missing_rates(content: PackContent) -> Iterator[Finding]:
    rated = {currency for row in content.rates for currency in (row.base, row.quote)}
    priced = sorted({row.currency for row in content.prices})
    for currency in priced:
        if currency not in rated and (rated or len(priced) > 1):
            yield Finding("coverage", False, currency, f"prices are in {currency}, but the pack has no rate for it")


def _gone(content: PackContent, previous: PackContent) -> Iterator[Finding]:
    symbols = {row.symbol for row in content.prices}
    for symbol in sorted({row.symbol for row in previous.prices} - symbols) if symbols else ():
        yield Finding("coverage", False, symbol, "the pack before has a price, this one has none")
    pairs = {(row.base, row.quote) for row in content.rates}
    for base, quote in sorted({(row.base, row.quote) for row in previous.rates} - pairs):
        yield Finding("coverage", False, f"{base}/{quote}", "the pack before has a rate, this one has none")


def _jumps(content: PackContent, previous: PackContent) -> Iterator[Finding]:
    closes = {(row.symbol, row.basis): row.close for row in previous.prices}
    for price in content.prices:
        before = closes.get((price.symbol, price.basis))
        if before and abs(price.close / before - 1) > JUMP_MAX:
            yield Finding("jump", False, price.symbol, _jump(before, price.close))
    rates = {(row.base, row.quote): row.rate for row in previous.rates}
    for rate in content.rates:
        before = rates.get((rate.base, rate.quote))
        if before and abs(rate.rate / before - 1) > JUMP_MAX:
            yield Finding("jump", False, f"{rate.base}/{rate.quote}", _jump(before, rate.rate))


def _jump(before: Decimal, now: Decimal) -> str:
    return f"moved from {before:f} to {now:f}, more than {JUMP_MAX:.0%} since the pack before (a split?)"


def _triangles(content: PackContent) -> Iterator[Finding]:
    """Every closed walk over two or three stored pairs must multiply to 1, up to the rounding of stored rates."""
    stored = {(row.base, row.quote): row for row in content.rates}
    neighbours: dict[str, set[str]] = defaultdict(set)
    for base, quote in stored:
        neighbours[base].add(quote)
        neighbours[quote].add(base)
    for (base, quote), row in sorted(stored.items()):
        back = stored.get((quote, base))
        if back is not None and base < quote:
            yield from _closed((row, True), (back, True))
        for middle in sorted(neighbours[base] & neighbours[quote]):
            # Each triangle once: from its alphabetically first pair.
            if middle > max(base, quote):
                yield from _closed((row, True), _leg(stored, quote, middle), _leg(stored, middle, base))


def _leg(stored: dict[tuple[str, str], RateRow], base: str, quote: str) -> tuple[RateRow, bool]:
    row = stored.get((base, quote))
    return (row, True) if row is not None else (stored[quote, base], False)


def _closed(*legs: tuple[RateRow, bool]) -> Iterator[Finding]:
    product = Decimal(1)
    tolerance = _TRIANGLE_TOLERANCE
    for row, forward in legs:
        product = product * row.rate if forward else product / row.rate
        tolerance += _RATE_ROUNDING / row.rate
    if abs(product - 1) > tolerance:
        names = " × ".join(
            f"{row.base}/{row.quote}" if forward else f"1/({row.base}/{row.quote})" for row, forward in legs
        )
        yield Finding("triangulation", True, names, f"expected a product of 1 (±{tolerance:.1e}), got {product:.12f}")
