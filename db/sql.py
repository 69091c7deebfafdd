"""Named SQL: `queries.sql` holds one statement after each `-- name: …` line."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

_FILE = Path(__file__).with_name("queries.sql")
_MARK = "-- name:"


def parse_queries(text: str) -> Mapping[str, str]:
    """Return name → statement, without comments before the first name.

    Raises:
        ValueError: a name is used twice or has no statement.
    """
    queries: dict[str, str] = {}
    for part in text.split(_MARK)[1:]:
        name, _, statement = part.partition("\n")
        name, statement = name.strip(), statement.strip()
        if name in queries:
            raise ValueError(f"two queries are called {name!r}")
        if not name or not statement:
            raise ValueError(f"expected a name and a statement after {_MARK!r}, got {part[:60]!r}")
        queries[name] = statement
    return MappingProxyType(queries)


@cache
def _queries() -> Mapping[str, str]:
    return parse_queries(_FILE.read_text(encoding="utf-8"))


def query(name: str) -> str:
    """Return a statement of `queries.sql`.

    Raises:
        KeyError: there is none of that name.
    """
    return _queries()[name]
