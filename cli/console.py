"""Where output goes: results to stdout, everything said on the way to stderr.

With `--json` stdout is exactly one JSON document (or one per line where a command says so), so it can be piped.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

# Wide enough that no list cuts an id; whoever reads a pipe is not bound to a window.
_WIDTH_WITHOUT_TERMINAL = 140


def out() -> Console:
    """Return a console on stdout, for results that people read."""
    return _console(sys.stdout)


def err() -> Console:
    """Return a console on stderr, for progress and errors."""
    return _console(sys.stderr)


def say(line: str) -> None:
    """Print one line of progress to stderr, as it stands (no markup)."""
    err().print(line, markup=False, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print one JSON document and a newline to stdout, keys in the order given."""
    import orjson

    print_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=_plain))


def print_bytes(data: bytes) -> None:
    """Print UTF-8 bytes and a newline to stdout."""
    sys.stdout.write(data.decode("utf-8") + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    return str(value)


def _console(stream: Any) -> Console:
    from rich.console import Console

    width = None if stream.isatty() else _WIDTH_WITHOUT_TERMINAL
    # Not emoji: `:A:` inside an account's name is none.
    return Console(file=stream, highlight=False, emoji=False, width=width, soft_wrap=False)
