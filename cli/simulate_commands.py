"""`dawsos simulate`: run the engine against a simulated log, clock and network, and check it after every event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import err, out, print_json
from cli.exits import Exit
from cli.failures import CommandFailed
from cli.options import AsJson

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulation.faults import Kind
    from simulation.run import Caught, Failure, Summary

_ALL = "all"


def simulate_command(
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="How many runs, each with a seed of its own.")] = 2_000,
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="The first seed; the others follow it.")] = 1,
    mutation: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Build a fault into the code, to see it noticed; `all` tries each of them."),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="A kind of trouble to leave out; may be given again.")
    ] = None,
    executions: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most so many executions per run.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="To share the work; all processors by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the real core, processor and agents against a simulated Kafka that loses, delays and crashes.

    Needs no service. A seed decides everything: the executions, the order of all events, what is lost, who is killed
    at which point. After every event the invariants are checked, at the end each result is compared with a model that
    shares no code with the engine. A failing run is made as small as possible and told, with the command for it.

    Exit codes: 0 all runs are right (with --mutation: each was noticed), 1 otherwise.

    [bold]Example[/]

      dawsos simulate --seeds 2000
      dawsos simulate --seeds 1 --seed 42 --json
      dawsos simulate --mutation all
    """
    from simulation.mutations import MUTATIONS
    from simulation.run import cores, run_seeds, try_mutation

    kinds = _kinds(without or [])
    if mutation == _ALL:
        _mutations([_told(try_mutation(name, seed, seeds), as_json) for name in MUTATIONS], as_json)
        return
    if mutation is not None and mutation not in MUTATIONS:
        known = ", ".join((_ALL, *MUTATIONS))
        raise CommandFailed(f"--mutation: expected one of {known}, got {mutation!r}", Exit.USAGE)
    summary = run_seeds(
        seed,
        seeds,
        mutation=mutation,
        without=kinds,
        executions=executions,
        processes=processes or cores(),
        progress=None if as_json else _progress(seeds),
    )
    if as_json:
        print_json(summary.as_json())
    else:
        _show(summary)
    if (summary.failure is None) == (mutation is None):
        return
    raise typer.Exit(Exit.ERROR)


def _kinds(names: list[str]) -> list[Kind]:
    from simulation.faults import Kind

    known = {kind.value: kind for kind in Kind}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise CommandFailed(f"--without: expected some of {', '.join(known)}, got {', '.join(unknown)}", Exit.USAGE)
    return [known[name] for name in names]


def _progress(seeds: int) -> Callable[[Summary], None] | None:
    """Return what shows progress on a terminal; elsewhere a line now and then is enough."""
    console = err()
    step = max(50, seeds // 20) if not console.is_terminal else 50
    shown = 0

    def show(summary: Summary) -> None:
        nonlocal shown
        if summary.seeds - shown < step and summary.seeds < seeds:
            return
        shown = summary.seeds
        rate = summary.seeds / summary.wall_s if summary.wall_s else 0.0
        left_s = (seeds - summary.seeds) / rate if rate else 0.0
        line = f"{summary.seeds:,} of {seeds:,} seeds, {rate:.0f} per second, {left_s:.0f} s left"
        console.print(line, end="\r" if console.is_terminal and summary.seeds < seeds else "\n", markup=False)

    return show


def _told(caught: Caught, as_json: bool) -> Caught:
    if not as_json:
        console = out()
        if caught.failure is None:
            console.print(f"[red]not noticed[/] {caught.mutation} in {caught.seeds:,} seeds")
        else:
            found = caught.failure
            console.print(f"[green]noticed[/] {caught.mutation}: seed {found.seed}, {found.invariant}", soft_wrap=True)
    return caught


def _mutations(found: list[Caught], as_json: bool) -> None:
    if as_json:
        print_json({"ok": all(each.failure for each in found), "mutations": [each.as_json() for each in found]})
    if not all(each.failure for each in found):
        raise typer.Exit(Exit.ERROR)


def _show(summary: Summary) -> None:
    console = out()
    figures: dict[str, Any] = summary.as_json()
    console.print(
        f"{summary.seeds:,} seeds, {summary.executions:,} executions, {summary.events:,} events folded twice,"
        f" {figures['virtual_hours']:,} h of simulated time, {figures['seeds_per_core_second']} seeds per core second",
        soft_wrap=True,
    )
    for name in ("faults", "statuses", "worker_ends"):
        text = ", ".join(f"{key} {value:,}" for key, value in figures[name].items())
        console.print(f"{name.replace('_', ' ')}: {text}", markup=False, soft_wrap=True)
    if summary.failure is None:
        console.print("[green]all invariants hold[/]")
    else:
        _tell(summary.failure)


def _tell(failure: Failure) -> None:
    console = out()
    for line in failure.story:
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"[red]seed {failure.seed} breaks an invariant:[/] {failure.invariant}", soft_wrap=True)
    console.print(failure.text, markup=False, soft_wrap=True)
    console.print("Again, as small as it gets:", style="dim")
    console.print(f"  {failure.command}", markup=False, soft_wrap=True)
