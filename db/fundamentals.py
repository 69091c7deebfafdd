"""Reported company figures in Postgres, by the day they were filed."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from db.filings import Filing
from db.postgres import Pool, upstream_failures
from db.sql import query


class FundamentalsRepository:
    """Annual reports. Reading works with the application's role, writing needs the owner's."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def reports(self, symbols: Sequence[str], asof: date) -> Mapping[str, Sequence[Mapping[str, object]]]:
        """Return each symbol's annual reports filed on or before `asof`, newest fiscal year first; absent if none.

        Of several filings of a year the last one known on that day counts.
        """
        with upstream_failures("reading fundamentals"):
            rows = await self._pool.fetch(query("fundamentals_get"), list(symbols), asof)
        found: dict[str, list[Mapping[str, object]]] = {}
        for row in rows:
            found.setdefault(row["symbol"], []).append(json.loads(row["report"]))
        return found

    async def add(self, filings: Iterable[Filing]) -> int:
        """Add filings and return how many are new; a filing that is there already stays as it is."""
        rows = list(filings)
        with upstream_failures("writing fundamentals"):
            done = await self._pool.execute(
                query("fundamentals_add"),
                [row.symbol for row in rows],
                [row.fiscal_year for row in rows],
                [row.filed_on for row in rows],
                [json.dumps(dict(row.report)) for row in rows],
            )
        return int(done.split()[-1])
