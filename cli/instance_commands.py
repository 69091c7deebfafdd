"""`dawsos up`, `down`, `status` and `migrate`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_json, say
from cli.options import AsJson

if TYPE_CHECKING:
    from local.worker import WorkerSpec
    from settings import Settings

_COMMAND = (sys.executable, "-m", "cli.main")
WORKERS = ("orchestrator", "agents", "projector", "gateway")


def up_command(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return once everything is ready; it goes on in the background.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start Kafka, Postgres, Redis and all workers, and keep them running.

    What an address is set for (DAWSOS_KAFKA, DAWSOS_POSTGRES, DAWSOS_REDIS) is used, not started. Workers are
    separate processes and are restarted when they end. Data stays in the data directory.

    [bold]Examples[/]

      dawsos up                 in the foreground, until Ctrl-C

      dawsos up --detach        in the background; `dawsos down` stops it
    """
    from cli.instance import settings
    from local.commands import up

    raise typer.Exit(up(settings(), worker_specs(), prepare, detach=detach, as_json=as_json))


def down_command(as_json: AsJson = False) -> None:
    """Stop the instance of the data directory; its data stays."""
    from cli.instance import settings
    from local.commands import down

    raise typer.Exit(down(settings(), as_json=as_json))


def status_command(
    as_json: AsJson = False,
    secrets: Annotated[bool, typer.Option("--secrets", help="Show passwords in addresses.")] = False,
) -> None:
    """Say what runs, where, and since when. Exit code 3 when nothing runs, 1 when something is not ready."""
    from cli.instance import settings
    from local.commands import status

    raise typer.Exit(status(settings(), as_json=as_json, secrets=secrets))


def migrate_command(as_json: AsJson = False) -> None:
    """Bring the database to the current schema; does nothing when it is. `dawsos up` does this by itself."""
    import asyncio

    from cli.instance import connected
    from db.migrate import migrate

    found = connected()
    applied = asyncio.run(migrate(found.postgres_admin_url(), found.postgres_url()))
    if as_json:
        print_json({"applied": list(applied)})
    elif applied:
        say(f"applied {', '.join(applied)}")
    else:
        say("the schema is current")


def worker_specs() -> tuple[WorkerSpec, ...]:
    """Return the workers of a local instance: one process of each kind."""
    from local.worker import WorkerSpec

    return tuple(WorkerSpec(name, (*_COMMAND, "worker", name)) for name in WORKERS)


async def prepare(settings: Settings) -> None:
    """Make schema and topics; for `local.supervisor`."""
    import asyncio

    from db.migrate import migrate
    from services.catalogue import load_catalogue
    from streams.clients import wait_for_kafka
    from streams.topics_admin import create_topics

    async def topics() -> None:
        await wait_for_kafka(settings)
        await create_topics(settings, tuple(load_catalogue(settings).agents))

    await asyncio.gather(migrate(settings.postgres_admin_url(), settings.postgres_url()), topics())
