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
def gateway(
    concurrency: Annotated[
        str, typer.Option(metavar="N[,N…]", help="How many executions are kept under way; one row each.")
    ] = "1,16,500",
    requests: Annotated[
        int, typer.Option(min=0, help="Then so many requests more, watching the gateway's memory.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """POST /execute against the same executions straight over Kafka, and the gateway's memory.

    [bold]Example[/]

      dawsos bench gateway --concurrency 1,500 --requests 100000
    """
    from bench.gateway import run_gateway_bench

    figures = run_gateway_bench(_levels(concurrency), requests)
    _show(figures, as_json)
    if not as_json and "memory" in figures:
        out().print(f"gateway, resident MB at each tenth of {requests} requests: {figures['memory']['resident_mb']}")


@app.command()
def overview(as_json: AsJson = False) -> None:
    """`portfolio_overview` with two years of days and ten positions: uncached, cached, and without Kafka."""
    from bench.overview import run_overview

    _show(run_overview(), as_json)


@app.command()
def foreach(as_json: AsJson = False) -> None:
    """A foreach step over 1,000 and 10,000 items that do nothing: seconds per execution."""
    from bench.foreach import run_foreach

    _show(run_foreach(), as_json)


@app.command()
def long(as_json: AsJson = False) -> None:
    """What a step of a 500-step pattern costs against one of a 5-step pattern, over Kafka."""
    from bench.long import run_long

    _show(run_long(), as_json)


@app.command()
def parked(
    count: Annotated[int, typer.Option("--parked", min=1, help="How many executions wait for their pack.")] = 100_000,
    as_json: AsJson = False,
) -> None:
    """Throughput of three durable steps beside executions that wait for their pack, and on a second system without any.

    Parking 100,000 executions and letting them go takes several minutes.
    """
    from bench.parked import run_parked

    _show(run_parked(count), as_json)


@app.command()
def recovery(
    records: Annotated[
        int, typer.Option(min=1, metavar="N", help="At least so many records in the changelog.")
    ] = 150_000,
    as_json: AsJson = False,
) -> None:
    """How long an orchestrator takes to have its state back after a restart, and memory per idle live execution."""
    from bench.recovery import run_recovery

    _show(run_recovery(records), as_json)


@app.command()
def timers(
    count: Annotated[int, typer.Option("--timers", min=100, help="How many come up at each load.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """How late timers are on an idle system, at half load, and saturated."""
    from bench.timers import run_timers

    _show(run_timers(count), as_json)


@app.command()
def failover(as_json: AsJson = False) -> None:
    """Seconds without progress after one of two orchestrators, or of two agent workers, is killed or stopped."""
    from bench.failover import run_failover

    _show(run_failover(), as_json)


@app.command()
def engine(as_json: AsJson = False) -> None:
    """The pure engine alone: `advance` calls per second for patterns of several sizes."""
    from bench.engine import measure
    from bench.machine import machine

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
    from bench.machine import machine

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
    cpu = figures.get("cpu_ms_per_execution")
    if isinstance(cpu, list):
        for each in cpu:
            parts = ", ".join(f"{name} {value}" for name, value in each.items() if name != "concurrency")
            console.print(f"CPU ms per execution at {each['concurrency']}: {parts}", soft_wrap=True)
    more = {name: value for name, value in figures.items() if isinstance(value, int | float)}
    if more:
        console.print(", ".join(f"{name} {value}" for name, value in more.items()))
    machine = figures.get("machine")
    if isinstance(machine, dict):
        console.print(", ".join(f"{name} {value}" for name, value in machine.items()), style="dim", soft_wrap=True)
