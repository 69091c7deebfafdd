"""The past as one pack sees it, and other things readers of packs get."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from db.pack_content import plain
from topics.errors import Code, TerminalError
from topics.messages import PackRef, PackStatus

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Security:
    """What a symbol stands for.

    Attributes:
        trading_ccy: ISO currency it trades in (never GBX: pence are a price unit).
        price_unit: divide a quoted price by this to get the currency (100 for pence), else 1.
    """

    symbol: str
    name: str
    trading_ccy: str
    exchange_mic: str | None = None
    price_unit: int = 1


@dataclass(frozen=True, slots=True)
class PackInfo:
    """A pack as people look at it.

    Attributes:
        supersedes: pack it replaced when it was frozen; None for a first revision.
        freeze_seq: order of freezing over all packs; None until then.
        known_at: when its data became known; None until it is frozen.
        findings: what the checks noticed, as `db.pack_checks.Finding.as_json`.
        failure: why it failed; None unless it did.
        prices, rates: how many rows it has.
    """

    ref: PackRef
    supersedes: UUID | None
    freeze_seq: int | None
    created_at: datetime
    known_at: datetime | None
    findings: tuple[Mapping[str, str | bool], ...]
    failure: str | None
    prices: int
    rates: int


@dataclass(frozen=True, slots=True)
class PackSeries:
    """What one pack sees of the past: per day the newest revision frozen no later than the pack itself.

    Attributes:
        dates: days that have a pack, ascending; the last is the pack's own day.
        closes: symbol → close per date, in units of `currencies[symbol]` (price units divided out); None where the
            day's pack has no price. Symbols no pack has a price of are absent.
        currencies: symbol → ISO currency of its closes.
        observed: symbol → per date the day the close was observed on; None where there is no close.
        rates: (base, quote) → quote units for 1 base, per date; None where the day's pack has no rate.
        sources: who published them, `prices:NAME` and `rates:NAME`, sorted.
    """

    dates: tuple[date, ...]
    closes: Mapping[str, tuple[Decimal | None, ...]]
    currencies: Mapping[str, str]
    observed: Mapping[str, tuple[date | None, ...]]
    rates: Mapping[tuple[str, str], tuple[Decimal | None, ...]]
    sources: tuple[str, ...] = ()


def continued(known: PackSeries, later: PackSeries) -> PackSeries:
    """Return a series followed by the days after it."""
    return PackSeries(
        known.dates + later.dates,
        _joined(known, known.closes, later, later.closes),
        {**known.currencies, **later.currencies},
        _joined(known, known.observed, later, later.observed),
        _joined(known, known.rates, later, later.rates),
        tuple(sorted({*known.sources, *later.sources})),
    )


def part(
    known: PackSeries,
    symbols: Sequence[str],
    currencies: Sequence[str],
    through: frozenset[str],
    start: date | None,
) -> PackSeries | None:
    """Return what a narrower question about the same pack is answered with.

    Args:
        known: answer to a question for at least these symbols and currencies, from this day or an earlier one on.
        symbols: asked for.
        currencies: asked for.
        through: the pack's pivots.
        start: first day; None for the first there is.

    Returns:
        None when that cannot be told from `known`: rows of several sources are mixed in it, or it has none of the days.
    """
    if len({source.partition(":")[0] for source in known.sources}) < len(known.sources):
        return None
    first = 0 if start is None else bisect_left(known.dates, start)
    if first == len(known.dates):
        return None
    closes = _cut({symbol: known.closes[symbol] for symbol in symbols if symbol in known.closes}, first)
    rates = _cut(
        {pair: column for pair, column in known.rates.items() if wanted_pair(*pair, currencies, through)}, first
    )
    there = {"prices": closes, "rates": rates}
    return PackSeries(
        known.dates[first:],
        closes,
        {symbol: known.currencies[symbol] for symbol in closes},
        {symbol: known.observed[symbol][first:] for symbol in closes},
        rates,
        tuple(source for source in known.sources if there[source.partition(":")[0]]),
    )


def _cut(columns: Mapping[_Key, tuple[_Value | None, ...]], first: int) -> dict[_Key, tuple[_Value | None, ...]]:
    """Return columns from a place on, without those that have nothing there."""
    cut = {key: column[first:] for key, column in columns.items()}
    return {key: column for key, column in cut.items() if any(value is not None for value in column)}


def _joined(
    known: PackSeries,
    before: Mapping[_Key, tuple[_Value | None, ...]],
    later: PackSeries,
    after: Mapping[_Key, tuple[_Value | None, ...]],
) -> dict[_Key, tuple[_Value | None, ...]]:
    nothing_before, nothing_after = (None,) * len(known.dates), (None,) * len(later.dates)
    return {key: before.get(key, nothing_before) + after.get(key, nothing_after) for key in {**before, **after}}


def in_currency(close: Decimal, price_unit: int) -> Decimal:
    """Return a quoted price in its currency, without trailing zeros."""
    return Decimal(plain(close / price_unit)) if price_unit != 1 else close


def require_same_units(securities: Iterable[Security], known: Mapping[str, Security]) -> None:
    """Refuse to change what frozen packs rest on.

    Raises:
        TerminalError: INVALID_INPUT when currency or price unit of a known security would change.
    """
    for security in securities:
        before = known.get(security.symbol)
        if before and (before.trading_ccy, before.price_unit) != (security.trading_ccy, security.price_unit):
            raise TerminalError(
                Code.INVALID_INPUT,
                f"{security.symbol} is quoted in {before.trading_ccy}/{before.price_unit} and frozen packs rest on "
                f"that: it cannot become {security.trading_ccy}/{security.price_unit}",
            )


def pivots(pairs: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Return the currencies that stand in more than one pair: those that cross rates can go through."""
    seen: set[str] = set()
    twice: set[str] = set()
    for currency in (currency for pair in pairs for currency in pair):
        (twice if currency in seen else seen).add(currency)
    return frozenset(twice)


def wanted_pair(base: str, quote: str, asked: Sequence[str], through: frozenset[str]) -> bool:
    """Whether a pair helps to convert between the currencies asked for.

    Both sides are asked for, or one is and the other is a pivot.
    """
    return (base in asked and (quote in asked or quote in through)) or (quote in asked and base in through)


def require_frozen(pack: PackRef | None, pack_id: UUID) -> PackRef:
    """Return a pack that has a past to see.

    Raises:
        TerminalError: UNKNOWN_PACK, PACK_WARMING or PACK_FAILED.
    """
    if pack is None:
        raise TerminalError(Code.UNKNOWN_PACK, f"there is no pack {pack_id}")
    if pack.status is PackStatus.WARMING:
        raise TerminalError(Code.PACK_WARMING, f"pack {pack_id} of {pack.asof_date} is still warming")
    if pack.status is PackStatus.FAILED:
        raise TerminalError(Code.PACK_FAILED, f"pack {pack_id} of {pack.asof_date} has failed")
    return pack
