"""`dawsos chaos`: kill things under load and check that every request got exactly one answer."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import out, print_json, say
from cli.exits import Exit
from cli.options import AsJson

if TYPE_CHECKING:
    from chaos.run import Run


class Injected(StrEnum):
    """Damage done to what the checker reads, to see that it notices."""

    LOSS = "loss"
    CONFLICT = "conflict"


def chaos_command(
    executions: Annotated[int, typer.Option(min=1, metavar="N", help="How many executions to ask for.")] = 1000,
    minutes: Annotated[float, typer.Option(min=0.2, metavar="M", help="Over which they are asked for.")] = 2.0,
    seed: Annotated[int, typer.Option(help="Decides executions and faults.")] = 1,
    inject: Annotated[Injected | None, typer.Option(hidden=True)] = None,
    as_json: AsJson = False,
) -> None:
    """Kill, pause and restart everything under load, then check every request's answer.

    Starts a system of its own (in DAWSOS_DATA_DIR if that is set, else in a temporary directory), submits from a
    separate process, and reads all topics from their beginning afterwards. Ends with 1 on any loss, conflict, stuck
    execution or other fault. Takes the minutes given and up to four more if something hangs.

    [bold]Example[/]

      dawsos chaos --executions 1000 --minutes 2 --seed 7 --json
    """
    import asyncio
    import os
    from pathlib import Path

    from chaos.run import run_chaos

    given = os.environ.get("DAWSOS_DATA_DIR")
    run = asyncio.run(
        run_chaos(
            executions,
            minutes * 60,
            seed,
            data_dir=Path(given) if given else None,
            inject=None if inject is None else inject.value,
            report=say,
        )
    )
    if as_json:
        print_json(run.as_json())
    else:
        _show(run)
    if not run.ok:
        raise typer.Exit(Exit.ERROR)


def _show(run: Run) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    figures: dict[str, Any] = run.as_json()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("What")
    table.add_column("Number", justify="right")
    for name, value in figures.items():
        if isinstance(value, bool | dict | list):
            continue
        bad = name in run.findings.faults and value
        table.add_row(name.replace("_", " "), f"[red]{value:,}[/]" if bad else f"{value:,}")
    console = out()
    console.print(table)
    for name in ("done", "statuses", "errors"):
        text = ", ".join(f"{key} {value:,}" for key, value in figures[name].items())
        console.print(f"{name}: {text or 'none'}", markup=False, soft_wrap=True)
    for line in figures["differences"]:
        console.print(f"[red]not refolded[/] {escape(line)}", soft_wrap=True)
    for kind, lines in figures["faults"].items():
        for line in lines:
            console.print(f"[red]{kind}[/] {escape(line)}", soft_wrap=True)
