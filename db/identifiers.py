"""What securities are called elsewhere: ISIN, FIGI, vendors' codes, each from a day to a day."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import asyncpg

from db.postgres import Connection, Pool, transaction, upstream_failures
from db.sql import query
from topics.errors import Code, TerminalError


@dataclass(frozen=True, slots=True)
class Identifier:
    """One code of one security.

    Attributes:
        symbol: the security.
        scheme: `isin`, `figi`, or a vendor's name such as `polygon`; lower case.
        value: the code.
        valid_from: first day it means this security; `date.min` without a beginning.
        valid_to: last day, included; `date.max` without an end.
    """

    symbol: str
    scheme: str
    value: str
    valid_from: date = date.min
    valid_to: date = date.max


class UnknownSecurities(TerminalError):
    """Codes were given of securities that are not there."""

    def __init__(self, symbols: Sequence[str]) -> None:
        super().__init__(Code.INVALID_INPUT, f"there is no security {', '.join(symbols)}")
        self.symbols = symbols


class IdentifierRepository:
    """Reads with any role, writes with a pipeline's or the owner's.

    Args:
        pool: from `db.postgres.open_pool`.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, identifiers: Sequence[Identifier], source: str) -> int:
        """Add codes, or end those that have no end yet; returns how many rows changed. Repeating changes nothing.

        Raises:
            UnknownSecurities: see there.
            TerminalError: INVALID_INPUT for a code that means another security at the same time, or stands there twice.
        """
        symbols = sorted({row.symbol for row in identifiers})
        times = Counter((row.scheme, row.value, row.valid_from) for row in identifiers)
        if twice := [f"{scheme} {value}" for (scheme, value, _), count in times.items() if count > 1]:
            raise TerminalError(Code.INVALID_INPUT, f"given twice from the same day: {', '.join(twice)}")
        try:
            async with transaction(self._pool) as connection:
                known = {row[0] for row in await connection.fetch(query("securities_ids"), symbols)}
                unknown = [symbol for symbol in symbols if symbol not in known]
                if unknown:
                    raise UnknownSecurities(unknown)
                done = await connection.execute(
                    query("identifiers_put"),
                    [row.symbol for row in identifiers],
                    [row.scheme for row in identifiers],
                    [row.value for row in identifiers],
                    [row.valid_from for row in identifiers],
                    [row.valid_to for row in identifiers],
                    source,
                )
                for row in identifiers:
                    named = await self._named(connection, row.scheme, [row.value])
                    if named.get((row.value, row.valid_from)) != row.symbol:
                        raise TerminalError(
                            Code.INVALID_INPUT, f"{row.scheme} {row.value} is another security's from {row.valid_from}"
                        )
        except (asyncpg.UniqueViolationError, asyncpg.CheckViolationError) as error:
            raise TerminalError(Code.INVALID_INPUT, f"identifiers: {error}") from error
        return int(done.rpartition(" ")[2])

    async def of(self, symbol: str) -> tuple[Identifier, ...]:
        """Return all codes of a security, by scheme and first day."""
        with upstream_failures("reading identifiers"):
            rows = await self._pool.fetch(query("identifiers_of"), symbol)
        return tuple(Identifier(symbol, row[0], row[1], row[2], row[3]) for row in rows)

    async def named(self, scheme: str, values: Sequence[str]) -> Mapping[str, tuple[Identifier, ...]]:
        """Return what each code means, over all times; unknown codes are absent."""
        with upstream_failures("reading identifiers"):
            rows = await self._pool.fetch(query("identifiers_known"), scheme, list(values))
        found: dict[str, tuple[Identifier, ...]] = {}
        for row in rows:
            found[row["value"]] = (*found.get(row["value"], ()), Identifier(**dict(row)))
        return found

    async def _named(
        self, connection: Connection, scheme: str, values: Sequence[str]
    ) -> Mapping[tuple[str, date], str]:
        rows = await connection.fetch(query("identifiers_known"), scheme, list(values))
        return {(row["value"], row["valid_from"]): row["symbol"] for row in rows}


def symbol_on(identifiers: Sequence[Identifier], on: date) -> str | None:
    """Return the security a code means on a day, None when it means none."""
    for row in identifiers:
        if row.valid_from <= on <= row.valid_to:
            return row.symbol
    return None
