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
    from topics.messages import ExecutionResult


def deliver(
    result: ExecutionResult,
    *,
    as_json: bool,
    report: Path | None = None,
    holdings: Sequence[Mapping[str, Any]] = (),
    portfolio_name: str | None = None,
    pattern_name: str | None = None,
) -> None:
    """Print the result and write the report if one is wanted."""
    if as_json:
        print_bytes(result_bytes(result))
    else:
        from cli.summary import print_summary

        print_summary(out(), result, holdings, portfolio_name)
    if report is not None:
        write_report(report, result, holdings, portfolio_name, pattern_name)
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
) -> None:
    """Write the HTML report, making its folder.

    Raises:
        CommandFailed: the file cannot be written.
    """
    from cli.report.page import render

    page = render(result, holdings=holdings, portfolio_name=portfolio_name, pattern_name=pattern_name)
    write_file(file, page.encode("utf-8"))


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
