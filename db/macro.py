"""Macro series by vintage: every observation as it was first published and as it was revised."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from db.postgres import Pool, transaction, upstream_failures
from db.sql import query
from topics.errors import Code, TerminalError


@dataclass(frozen=True, slots=True)
class MacroRow:
    """One observation as known from a day on.

    Attributes:
        obs_date: the period it is about, by its first day.
        vintage: the day it was published or revised.
        value: None where the publisher has withdrawn it.
    """

    series_id: str
    obs_date: date
    vintage: date
    value: Decimal | None
    source: str


@dataclass(frozen=True, slots=True)
class SeenRow:
    """One observation as a pack sees it.

    Attributes:
        obs_date: first day of its period.
        vintage: day of the version.
        released: day of the first version.
        value: None where the publisher has withdrawn it.
    """

    series_id: str
    obs_date: date
    vintage: date
    released: date
    value: float | None
    source: str


class MacroRepository:
    """Reads with any role, adds with a pipeline's or the owner's.

    Args:
        pool: from `db.postgres.open_pool`.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, rows: Sequence[MacroRow]) -> int:
        """Add rows that are not there yet and return how many were new.

        Raises:
            TerminalError: INVALID_INPUT when a vintage is there with another value: a vintage never changes.
        """
        added = 0
        async with transaction(self._pool) as connection:
            for source in sorted({row.source for row in rows}):
                mine = [row for row in rows if row.source == source]
                columns = (
                    [row.series_id for row in mine],
                    [row.obs_date for row in mine],
                    [row.vintage for row in mine],
                    [row.value for row in mine],
                )
                differing = await connection.fetch(query("macro_differing"), *columns)
                if differing:
                    named = ", ".join(f"{row[0]} {row[1]} of {row[2]}" for row in differing[:5])
                    raise TerminalError(
                        Code.INVALID_INPUT,
                        f"a vintage never changes; {len(differing)} differ from what is stored: {named}",
                    )
                done = await connection.execute(query("macro_put"), *columns, source)
                added += int(done.rpartition(" ")[2])
        return added

    async def asof(self, series: Sequence[str], on: date) -> tuple[MacroRow, ...]:
        """Return each observation in the newest vintage of a day, by series and date."""
        with upstream_failures("reading macro series"):
            rows = await self._pool.fetch(query("macro_asof"), list(series), on)
        return tuple(
            MacroRow(row[0], row[1], row[2], None if row[3] is None else Decimal(row[3]), row[4]) for row in rows
        )

    async def seen(self, series: Sequence[str], pack_id: UUID) -> tuple[SeenRow, ...]:
        """Return what a frozen pack sees of these series (none: of all): rows added before it was frozen.

        Per period the newest vintage up to the pack's day, by series and date. It never changes.
        """
        with upstream_failures("reading macro series"):
            rows = await self._pool.fetch(query("macro_seen"), pack_id, list(series))
        return tuple(
            SeenRow(
                row["series_id"],
                row["obs_date"],
                row["vintage"],
                row["released"],
                None if row["value"] is None else float(row["value"]),
                row["source"],
            )
            for row in rows
        )
