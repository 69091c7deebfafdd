"""`dawsos bench …`: the figures of docs/performance.md, on your machine."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.console import out, print_json
from cli.exits import Exit
from cli.failures import CommandFailed
from cli.options import AsJson

app = typer.Typer(no_args_is_help=True, help="Measure this machine; figures are printed with machine and versions.")


@app.command()
def steps(
    concurrency: Annotated[
        str, typer.Option(metavar="N[,N…]", help="How many executions are kept under way; one row each.")
    ] = "1,16,128",
    flush: Annotated[bool, typer.Option("--flush", help="Let Kafka fsync after every message.")] = False,
    as_json: AsJson = False,
) -> None:
    """Three sequential no-op steps over real Kafka: p50, p99 and executions per second.

    Starts a system of its own in a temporary directory, in the topology of `dawsos up`, and stops it.

    [bold]Example[/]

      dawsos bench steps --concurrency 1,16,128 --json
    """
    from bench.steps import run_steps

    _show(run_steps(_levels(concurrency), flush_every_message=flush), as_json)


@app.command()
def overview(as_json: AsJson = False) -> None:
    """`portfolio_overview` with two years of days and ten positions: uncached, cached, and without Kafka."""
    from bench.overview import run_overview

    _show(run_overview(), as_json)


@app.command()
def engine(as_json: AsJson = False) -> None:
    """The pure engine alone: `advance` calls per second for patterns of several sizes."""
    from bench.engine import measure
    from bench.steps import machine

    _show({**measure(), "machine": machine()}, as_json)


@app.command()
def analytics(as_json: AsJson = False) -> None:
    """500 positions over ten years of days through time-weighted return and attribution, in CPU seconds."""
    from bench.analytics import run_analytics

    figures = run_analytics()
    _show(figures, as_json)
    if not as_json:
        out().print(f"peak memory {figures['peak_mb']} MB, residual {figures['residual_bp']} bp", style="dim")


@app.command()
def ledger(
    transactions: Annotated[int, typer.Option(min=1, max=1_000_000, metavar="N", help="How many.")] = 100_000,
    as_json: AsJson = False,
) -> None:
    """A generated ledger parsed and booked in a process of its own: CPU seconds and peak memory."""
    from bench.ledger import measure
    from bench.steps import machine

    _show({**measure(transactions), "machine": machine()}, as_json)


def _levels(text: str) -> tuple[int, ...]:
    try:
        levels = tuple(int(part) for part in text.split(","))
    except ValueError:
        levels = ()
    if not levels or min(levels) < 1:
        raise CommandFailed(f"--concurrency: expected numbers like 1,16,128, got {text!r}", Exit.USAGE)
    return levels


def _show(figures: dict[str, object], as_json: bool) -> None:
    if as_json:
        print_json(figures)
        return
    from rich import box
    from rich.table import Table

    rows = figures["rows"]
    assert isinstance(rows, list)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, justify="right" if isinstance(rows[0][name], int | float) else "left")
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int | float) else str(value) for value in row.values()))
    console = out()
    console.print(table)
    machine = figures.get("machine")
    if isinstance(machine, dict):
        console.print(", ".join(f"{name} {value}" for name, value in machine.items()), style="dim", soft_wrap=True)
