"""What a restatement changed: the rows of two packs side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from db.pack_content import PackContent, PriceRow, RateRow, plain


@dataclass(frozen=True, slots=True)
class RowChange:
    """One price or rate that differs between two packs.

    Attributes:
        kind: of the row.
        name: symbol, or `BASE/QUOTE`.
        before: number of the first pack; None when it has no such row.
        after: number of the second; None likewise.
        what: the columns that differ: `value`, `currency`, `basis`, `source`, `observed_on`; `added` or `removed`.
        others: (column, in the first pack, in the second) of those that are not `value`.
    """

    kind: Literal["price", "rate"]
    name: str
    before: Decimal | None
    after: Decimal | None
    what: tuple[str, ...]
    others: tuple[tuple[str, str, str], ...] = ()

    @property
    def restated(self) -> bool:
        """Whether the number itself differs, or the row is in one pack only."""
        return self.before != self.after

    def as_json(self) -> dict[str, object]:
        """Return JSON: numbers as decimal strings."""
        return {
            "kind": self.kind,
            "name": self.name,
            "before": None if self.before is None else plain(self.before),
            "after": None if self.after is None else plain(self.after),
            "what": list(self.what),
            "others": [{"column": column, "before": old, "after": new} for column, old, new in self.others],
        }

    def __str__(self) -> str:
        before = "none" if self.before is None else plain(self.before)
        after = "none" if self.after is None else plain(self.after)
        number = f"{before} → {after}" if self.restated else after
        others = [f"{column} {old} → {new}" for column, old, new in self.others]
        return f"{self.kind} of {self.name}: {', '.join((number, *others))}"


def difference(before: PackContent, after: PackContent) -> tuple[RowChange, ...]:
    """Return the rows that differ, prices first, by name; empty when the packs hold the same."""
    return (
        *_changes("price", {row.symbol: row for row in before.prices}, {row.symbol: row for row in after.prices}),
        *_changes(
            "rate",
            {f"{row.base}/{row.quote}": row for row in before.rates},
            {f"{row.base}/{row.quote}": row for row in after.rates},
        ),
    )


def _changes(
    kind: Literal["price", "rate"], before: Mapping[str, PriceRow | RateRow], after: Mapping[str, PriceRow | RateRow]
) -> tuple[RowChange, ...]:
    changes: list[RowChange] = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            what, others = ("removed",) if new is None else ("added",), ()
        else:
            then, now = _cells(old), _cells(new)
            what = tuple(column for column in then if then[column] != now[column])
            others = tuple((column, str(then[column]), str(now[column])) for column in what if column != "value")
        if what:
            changes.append(RowChange(kind, name, old and _number(old), new and _number(new), what, others))
    return tuple(changes)


def _number(row: PriceRow | RateRow) -> Decimal:
    return row.close if isinstance(row, PriceRow) else row.rate


def _cells(row: PriceRow | RateRow) -> dict[str, object]:
    shared = {"value": _number(row), "source": row.source, "observed_on": row.observed_on}
    return {**shared, "currency": row.currency, "basis": row.basis} if isinstance(row, PriceRow) else shared
