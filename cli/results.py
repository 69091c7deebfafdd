"""What every command does with an `ExecutionResult`: print it, write files, choose the exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cli.console import out, print_bytes, say
from cli.exits import exit_of
from cli.failures import CommandFailed

if TYPE_CHECKING:
    from cli.hints import Hints
    from orchestrator.pattern import CompiledPattern
    from topics.messages import ExecutionResult


def deliver(
    result: ExecutionResult,
    *,
    as_json: bool,
    report: Path | None = None,
    holdings: Sequence[Mapping[str, Any]] = (),
    portfolio_name: str | None = None,
    pattern_name: str | None = None,
    pattern: CompiledPattern | None = None,
) -> None:
    """Print the result and write the report if one is wanted."""
    if as_json:
        print_bytes(result_bytes(result))
    else:
        from cli.summary import print_summary

        print_summary(out(), result, holdings, portfolio_name, _hints(result, pattern))
    if report is not None:
        write_report(report, result, holdings, portfolio_name, pattern_name, pattern)
        say(f"report: {report}")


def leave(result: ExecutionResult) -> None:
    """End the command with the code of the result's status.

    Raises:
        typer.Exit: always.
    """
    raise typer.Exit(exit_of(result.status.value))


def result_bytes(result: ExecutionResult) -> bytes:
    """Return the result as it travels, with nulls kept so that every documented key is there."""
    return result.__pydantic_serializer__.to_json(result, by_alias=True, indent=2)


def write_report(
    file: Path,
    result: ExecutionResult,
    holdings: Sequence[Mapping[str, Any]],
    portfolio_name: str | None,
    pattern_name: str | None,
    pattern: CompiledPattern | None = None,
) -> None:
    """Write the HTML report, making its folder.

    Without the pattern that ran it is looked up by its id, and its hints are used only if it is the very same.

    Raises:
        CommandFailed: the file cannot be written.
    """
    from cli.report.page import render

    page = render(
        result,
        holdings=holdings,
        portfolio_name=portfolio_name,
        pattern_name=pattern_name,
        hints=_hints(result, pattern),
    )
    write_file(file, page.encode("utf-8"))


def _hints(result: ExecutionResult, pattern: CompiledPattern | None) -> Hints:
    """Return what the pattern says of its panels; nothing when another version of it ran."""
    from cli.hints import NO_HINTS, hints_of
    from cli.instance import settings
    from cli.pattern_commands import find_pattern
    from services.catalogue import load_catalogue

    if pattern is None:
        try:
            pattern = find_pattern(result.pattern_id)
        except CommandFailed:
            return NO_HINTS
    if pattern.digest != result.trace.pattern_digest:
        return NO_HINTS
    return hints_of(pattern, load_catalogue(settings()))


def write_file(file: Path, data: bytes) -> None:
    """Write a file in one piece, making its folder.

    Raises:
        CommandFailed: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f".{file.name}.new")
        fresh.write_bytes(data)
        fresh.replace(file)
    except OSError as error:
        raise CommandFailed(f"cannot write {file}: {error.strerror}") from None
