"""What two data versions differ in, in lines for people: restated prices and rates, bookings, and the patterns' texts.

Everything here may be missing (no database, a portfolio since deleted, a pack of another system); what cannot be found
is left out, and `provenance.diff` then names the versions alone.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Protocol
from uuid import UUID

import orjson

from orchestrator.catalogue import Catalogue
from provenance.diff import Evidence
from provenance.formulas import pins_of
from services.replay import PatternTexts
from topics.errors import RetryableError, TerminalError

LINES_MAX = 50
_BOOKED = ("on", "kind", "account", "symbol", "currency", "qty", "amount", "price", "price_currency", "text")
Rows = Sequence[Mapping[str, Any]]


class PriceColumns(Protocol):
    """What a pack sees, as columns; see `db.pack_series.PackSeries`."""

    @property
    def dates(self) -> tuple[date, ...]: ...  # noqa: D102
    @property
    def closes(self) -> Mapping[str, Sequence[Any]]: ...  # noqa: D102
    @property
    def rates(self) -> Mapping[tuple[str, str], Sequence[Any]]: ...  # noqa: D102


class Packs(Protocol):
    """See `db.packs.PackRepository`."""

    async def series(  # noqa: D102
        self, pack_id: UUID, symbols: Sequence[str], currencies: Sequence[str], start: date | None
    ) -> PriceColumns: ...


class Snapshots(Protocol):
    """See `agents.ports.SnapshotStore`."""

    async def load(  # noqa: D102
        self, tenant: str, user_id: UUID, portfolio_id: UUID, commit: str
    ) -> tuple[str, list[dict[str, str | int | None]]] | None: ...


async def gather_evidence(
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    catalogue: Catalogue,
    texts: PatternTexts | None,
    packs: Packs | None,
    snapshots: Snapshots | None,
) -> Evidence:
    """Return what is known of two results.

    Args:
        a: a result as parsed JSON.
        b: the other one.
        catalogue: says which pins a capability reads.
        texts: patterns by digest.
        packs: prices and rates.
        snapshots: booked ledgers of the results' user.
    """
    before, after = a["trace"], b["trace"]
    details: dict[str, Sequence[str]] = {}
    booked = [await _booked(each, snapshots) for each in (a, b)]
    if before.get("ledger_commit_hash") != after.get("ledger_commit_hash") and None not in booked:
        details["pin:ledger"] = _cut(booking_changes(booked[0] or (), booked[1] or ()))
    if packs is not None and before.get("pricing_pack_id") != after.get("pricing_pack_id"):
        rows = [row for each in booked for row in each or ()]
        found = await _pack_changes(before, after, rows, packs)
        if found is not None:
            details["pin:pack"] = _cut(found)
    pattern_a, pattern_b = [await _document(each.get("pattern_digest"), texts) for each in (before, after)]
    if pattern_a is not None and pattern_b is not None and pattern_a != pattern_b:
        details["pattern"] = _cut(pattern_changes(pattern_a, pattern_b))
    needs = {name: spec.needs for name, spec in catalogue.capabilities.items()}
    return Evidence(pattern_a, pattern_b, needs, details)


def price_changes(a: PriceColumns, b: PriceColumns) -> Iterator[str]:
    """Yield every price and rate that one pack sees otherwise than another: restated ones, then the newest of each."""
    shared = sorted(set(a.dates) & set(b.dates))
    places = {day: (a.dates.index(day), b.dates.index(day)) for day in shared[-400:]} if shared else {}
    for what, left, right in (("", a.closes, b.closes), ("rate ", a.rates, b.rates)):
        for name in sorted({*left, *right}, key=str):
            shown = name if isinstance(name, str) else "/".join(name)
            old, new = left.get(name, ()), right.get(name, ())  # type: ignore[arg-type]
            for day, (first, second) in places.items():
                was = old[first] if first < len(old) else None
                now = new[second] if second < len(new) else None
                if was != now:
                    yield f"restated {what}{shown} of {day}: {_number(was)} → {_number(now)}"
            if a.dates[-1] != b.dates[-1]:
                was, now = _last(a.dates, old), _last(b.dates, new)
                if was != now:
                    yield f"{what}{shown}: {was} → {now}"


def booking_changes(a: Rows, b: Rows) -> Iterator[str]:
    """Yield bookings that only one of two ledgers has; where a line stands in its file does not count."""
    before, after = (Counter(tuple(row.get(key) for key in _BOOKED) for row in rows) for rows in (a, b))
    for sign, rows in (("only in A", before - after), ("only in B", after - before)):
        for row in sorted(rows.elements(), key=str):
            named = dict(zip(_BOOKED, row, strict=True))
            what = f"{named['qty']} {named['symbol']}" if named["symbol"] else ""
            parts = [named["on"], named["kind"], what, f"{named['amount']} {named['currency']}", named["text"]]
            yield f"{sign}: {' '.join(str(part) for part in parts if part)}"


def pattern_changes(a: Any, b: Any, at: str = "") -> Iterator[str]:
    """Yield each place in which two pattern documents differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in dict.fromkeys([*b, *a]):
            yield from pattern_changes(a.get(key), b.get(key), f"{at}/{key}")
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for index, (left, right) in enumerate(zip(a, b, strict=True)):
            yield from pattern_changes(left, right, f"{at}/{index}")
    elif a != b:
        yield f"{at}: {_short(a)} → {_short(b)}"


async def _pack_changes(
    before: Mapping[str, Any], after: Mapping[str, Any], rows: Rows, packs: Packs
) -> Iterator[str] | None:
    left, right = pins_of(before), pins_of(after)
    if left is None or right is None:
        return None
    symbols = sorted({str(row["symbol"]) for row in rows if row.get("symbol")})
    currencies = sorted(
        {str(row[name]) for row in rows for name in ("currency", "price_currency") if row.get(name)}
        | {left["base_ccy"], right["base_ccy"]}
    )
    try:
        series = [
            await packs.series(UUID(str(pins["pricing_pack_id"])), symbols, currencies, None) for pins in (left, right)
        ]
    except (TerminalError, RetryableError):
        return None
    return price_changes(series[0], series[1])


async def _booked(result: Mapping[str, Any], snapshots: Snapshots | None) -> Rows | None:
    trace = result["trace"]
    if snapshots is None or not trace.get("portfolio_id") or not trace.get("ledger_commit_hash"):
        return None
    user_id, portfolio_id = UUID(str(result["user_id"])), UUID(str(trace["portfolio_id"]))
    try:
        found = await snapshots.load(str(result["tenant"]), user_id, portfolio_id, trace["ledger_commit_hash"])
    except RetryableError:
        return None
    return None if found is None else found[1]


async def _document(digest: str | None, texts: PatternTexts | None) -> dict[str, Any] | None:
    text = await texts.get(digest) if digest and texts else None
    return None if text is None else orjson.loads(text.source)


def _cut(lines: Iterator[str]) -> tuple[str, ...]:
    listed = list(lines)
    more = len(listed) - LINES_MAX
    return (*listed[:LINES_MAX], *((f"and {more} more",) if more > 0 else ()))


def _last(dates: Sequence[date], values: Sequence[Any]) -> str:
    for day, value in zip(reversed(dates), reversed(values), strict=False):
        if value is not None:
            return f"{_number(value)} ({day})"
    return "none"


def _number(value: Any) -> str:
    return "none" if value is None else f"{value:f}"


def _short(value: Any) -> str:
    text = "absent" if value is None else orjson.dumps(value).decode()
    return text if len(text) <= 80 else f"{text[:77]}…"
