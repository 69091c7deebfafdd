"""`dawsos worker …`: the long-running processes. Any number of each may run."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    help="Run one worker process until SIGTERM or Ctrl-C. `dawsos up` starts all kinds; "
    "start more of any kind, on any machine that reaches the same Kafka, to scale.",
)


@app.command()
def orchestrator() -> None:
    """Advance executions: requests, results and signals in; steps and results out."""
    from cli.instance import connected
    from streams.worker import run_orchestrator

    run_orchestrator(connected())


@app.command()
def agents(
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="AGENT", help="Run just this agent; repeatable.")
    ] = None,
) -> None:
    """Answer steps: one consumer group per agent.

    [bold]Example[/]

      dawsos worker agents --only financial_analyst
    """
    from cli.instance import connected
    from streams.worker import run_agents

    run_agents(connected(), only or ())


@app.command()
def projector() -> None:
    """Write results and dead letters to Postgres, apply pack announcements, relay pack events."""
    from cli.instance import connected
    from streams.worker import run_projector

    run_projector(connected())


@app.command()
def gateway() -> None:
    """Serve HTTP: executions, patterns, packs, health; `dawsos status` shows the address."""
    from cli.instance import connected
    from gateway.worker import run_gateway

    run_gateway(connected())
