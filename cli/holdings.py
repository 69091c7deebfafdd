"""The valued holdings behind a result.

`portfolio_overview` does not return them as an output, but its steps took them as arguments, and the trace keeps
arguments: inline when they are short, else as a reference to an artifact that the caller may be able to read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from cli.figures import decimal
from topics.messages import ExecutionResult

ReadArtifact = Callable[[str], Any]
"""SHA-256 → the JSON value, or None when it is not at hand."""


def find_holdings(result: ExecutionResult, read_artifact: ReadArtifact = lambda sha256: None) -> list[dict[str, Any]]:
    """Return rows with `symbol` and `value_base`, largest value first; empty when the result has none."""
    for candidate in _candidates(result, read_artifact):
        if _is_holdings(candidate):
            rows = [dict(row) for row in candidate]
            return sorted(rows, key=lambda row: (-(decimal(row.get("value_base")) or 0), str(row.get("symbol"))))
    return []


def artifact_refs(result: ExecutionResult) -> tuple[str, ...]:
    """Return the artifacts that `find_holdings` may ask for, in the order it would."""
    return tuple(dict.fromkeys(sha for step in result.trace.steps for _, sha in sorted(step.refs.items())))


def _candidates(result: ExecutionResult, read_artifact: ReadArtifact) -> Iterator[Any]:
    yield from result.data.values()
    for step in result.trace.steps:
        if step.args:
            yield from step.args.values()
    for sha256 in artifact_refs(result):
        yield read_artifact(sha256)


def _is_holdings(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) > 0
        and all(isinstance(row, Mapping) and "symbol" in row and "value_base" in row for row in value)
    )
