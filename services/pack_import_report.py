"""What an import of market data did, and what is odd about it."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from db.pack_checks import Finding


@dataclass(frozen=True, slots=True)
class Keeping:
    """Packs that were frozen before an older day was restated. What a frozen pack sees never changes.

    Attributes:
        restated: the first day that was restated.
        packs: how many packs of later days there are; `first` and `last` are the days of theirs.
    """

    restated: date
    packs: int
    first: date
    last: date

    def as_json(self) -> dict[str, Any]:
        """Return JSON-ready columns."""
        return {
            "restated": str(self.restated),
            "packs": self.packs,
            "first": str(self.first),
            "last": str(self.last),
        }

    def __str__(self) -> str:
        if self.packs == 1:
            return (
                f"the pack of {self.first} was frozen before and keeps the old rows of {self.restated};"
                " the new ones are seen from the next pack on that is frozen"
            )
        return (
            f"{self.packs} packs, {self.first} to {self.last}, were frozen before and keep the old rows of what was"
            f" restated from {self.restated} on; the new ones are seen from the next pack on that is frozen"
        )


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A security that two codes of one standard scheme mean on the same day: one of them is probably another's."""

    symbol: str
    message: str

    def as_json(self) -> dict[str, Any]:
        """Return JSON-ready columns."""
        return {"symbol": self.symbol, "message": self.message}

    def __str__(self) -> str:
        return f"{self.symbol}: {self.message}"


@dataclass(slots=True)
class ImportReport:
    """What an import did; with `dry_run` what it would do.

    Attributes:
        packs: day, revision, id and digest of each new pack.
        identifiers: how many were new or changed.
        doubtful: what is odd about the identifiers; `warnings` are those of packs.
        calendar: name of the policy's calendar, and the last day it is known for; packs are expected up to that day.
        to_come: days of new packs that have not begun anywhere: a mistyped year, mostly.
        keeping: packs after a restated day that were frozen before this import: they go on seeing its old rows.
    """

    created: int = 0
    restated: int = 0
    unchanged: int = 0
    identifiers: int = 0
    doubtful: list[Doubtful] = field(default_factory=list)
    calendar: tuple[str, date] | None = None
    packs: list[dict[str, Any]] = field(default_factory=list)
    keeping: Keeping | None = None
    to_come: list[date] = field(default_factory=list)
    faulty: list[tuple[date, Finding]] = field(default_factory=list)
    warnings: list[tuple[date, Finding]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return JSON-ready columns."""
        return {
            "created": self.created,
            "restated": self.restated,
            "unchanged": self.unchanged,
            "identifiers": self.identifiers,
            "doubtful": [found.as_json() for found in self.doubtful],
            "calendar": self.calendar and {"name": self.calendar[0], "known_until": str(self.calendar[1])},
            "packs": self.packs,
            "keeping": self.keeping and self.keeping.as_json(),
            "to_come": [str(on) for on in self.to_come],
            "faulty": [{"day": str(on), **found.as_json()} for on, found in self.faulty],
            "warnings": [{"day": str(on), **found.as_json()} for on, found in self.warnings],
        }
