"""`dawsos topics …`: make the topics and compare them with the table they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import out, print_json, say
from cli.exits import Exit
from cli.figures import counted
from cli.options import AsJson

if TYPE_CHECKING:
    from streams.topics_admin import TopicState

app = typer.Typer(no_args_is_help=True, help="Create and check the Kafka topics.")


@app.command()
def create(as_json: AsJson = False) -> None:
    """Create the topics that are missing, then check all; existing topics are never changed.

    Refuses topics whose partition counts differ. `dawsos up` does this by itself.
    """
    import asyncio

    async def work() -> tuple[str, ...]:
        from cli.instance import connected
        from services.catalogue import load_catalogue
        from streams.clients import wait_for_kafka
        from streams.topics_admin import create_topics

        found = connected()
        await wait_for_kafka(found, timeout_s=10)
        return await create_topics(found, tuple(load_catalogue(found).agents))

    made = asyncio.run(work())
    if as_json:
        print_json({"created": sorted(made)})
    else:
        say(f"created {', '.join(sorted(made))}" if made else "all topics exist and fit")


@app.command()
def describe(as_json: AsJson = False) -> None:
    """Show every topic as it is on the cluster; exit code 1 when one does not fit."""
    states = _described()
    if as_json:
        print_json([_plain(state) for state in states])
    else:
        _print(states)
    if any(state.faults for state in states):
        raise typer.Exit(Exit.ERROR)


@app.command()
def plan(as_json: AsJson = False) -> None:
    """Say what `create` would create, with the broker's settings of each topic. Needs no right to create."""
    states = _described()
    from cli.instance import connected
    from streams.topics_admin import topic_configs

    found = connected()
    missing = [
        {
            "topic": state.name,
            "partitions": found.partitions,
            "replication": found.replication,
            "configs": topic_configs(state.spec),
        }
        for state in states
        if state.partitions == 0
    ]
    if as_json:
        print_json(missing)
        return
    for each in missing:
        configs = " ".join(f"--config {name}={value}" for name, value in sorted(each["configs"].items()))
        typer.echo(
            f"kafka-topics --create --topic '{each['topic']}' --partitions {each['partitions']} "
            f"--replication-factor {each['replication']} {configs}"
        )
    verb = "is" if len(missing) == 1 else "are"
    say(f"{counted(len(missing), 'topic')} {verb} missing" if missing else "all topics exist")


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Check every topic against the table; exit code 1 when one does not fit. Needs no right to create."""
    states = _described()
    faults = [fault for state in states for fault in state.faults]
    notes = [f"{state.name}: {note}" for state in states for note in state.notes]
    if as_json:
        print_json({"faults": faults, "notes": notes})
    else:
        for fault in faults:
            typer.echo(f"fault  {fault}")
        for note in notes:
            typer.echo(f"note   {note}")
        say("the topics do not fit" if faults else "all topics exist and fit")
    if faults:
        raise typer.Exit(Exit.ERROR)


@app.command()
def acls(
    principal: Annotated[
        list[str] | None,
        typer.Option("--principal", metavar="PART=PRINCIPAL", help="As gateway=User:gw; repeatable."),
    ] = None,
    part: Annotated[list[str] | None, typer.Option(help="Only these parts; repeatable.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the least rights each part needs, as kafka-acls commands. Asks no broker.

    Parts: orchestrator, agents, projector, gateway, operator (redrives dead letters), pipeline (announces packs) and
    upstream (asks for executions).
    """
    from dataclasses import asdict

    from cli.failures import CommandFailed
    from cli.instance import settings
    from services.catalogue import load_catalogue
    from streams.acls import PARTS, as_commands, least_privilege

    found = settings()
    principals: dict[str, str] = {}
    for each in principal or ():
        name, _, value = each.partition("=")
        if not (name and value):
            raise CommandFailed(f"--principal: expected PART=PRINCIPAL, as gateway=User:gw, got {each!r}", Exit.USAGE)
        principals[name] = value
    unknown = sorted((set(principals) | set(part or ())) - set(PARTS))
    if unknown:
        raise CommandFailed(f"expected parts of {', '.join(PARTS)}, got {', '.join(unknown)}", Exit.USAGE)
    wanted = [acl for acl in least_privilege(found, load_catalogue(found).agents) if not part or acl.part in part]
    if as_json:
        print_json([asdict(acl) for acl in wanted])
    else:
        typer.echo("\n".join(as_commands(wanted, principals)))


def _described() -> tuple[TopicState, ...]:
    import asyncio

    async def work() -> tuple[TopicState, ...]:
        from cli.instance import connected
        from services.catalogue import load_catalogue
        from streams.clients import wait_for_kafka
        from streams.topics_admin import describe_topics

        found = connected()
        await wait_for_kafka(found, timeout_s=10)
        return await describe_topics(found, tuple(load_catalogue(found).agents))

    return asyncio.run(work())


def _print(states: tuple[TopicState, ...]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("Topic", "Partitions", "Replicas", "Kept", "Carries", "Key"):
        table.add_column(
            name,
            justify="right" if name in ("Partitions", "Replicas") else "left",
            overflow="fold",
            no_wrap=name == "Topic",
        )
    for state in states:
        spec = state.spec
        kept = "newest per key" if spec.compacted else f"{spec.retention_ms / 86_400_000:g} days"
        carries = ", ".join(kind.__name__ for kind in spec.carries) or "bytes"
        table.add_row(
            escape(state.name), str(state.partitions or "missing"), str(state.replication), kept, carries, spec.key
        )
    out().print(table)
    for state in states:
        for fault in state.faults:
            typer.echo(f"fault  {fault}")
        for note in state.notes:
            typer.echo(f"note   {state.name}: {note}")


def _plain(state: TopicState) -> dict[str, object]:
    return {
        "topic": state.name,
        "partitions": state.partitions,
        "replication": state.replication,
        "compacted": state.spec.compacted,
        "retention_ms": state.spec.retention_ms,
        "carries": [kind.__name__ for kind in state.spec.carries],
        "key": state.spec.key,
        "purpose": state.spec.purpose,
        "faults": list(state.faults),
        "notes": list(state.notes),
    }
