"""`dawsos dlq …`: what could not be processed, why, and another try."""

from __future__ import annotations

import base64
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import out, print_json, say
from cli.dead_letter_filter import (
    NewerThan,
    OfTenant,
    OlderThan,
    Reason,
    Stage,
    Topic,
    make_filter,
    require_one_way,
)
from cli.exits import Exit
from cli.failures import CommandFailed
from cli.figures import counted
from cli.instance import app_pool, connected
from cli.options import AsJson

if TYPE_CHECKING:
    from db.dead_letters import DeadLetter, LetterFilter, Redriven
    from settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    help="Dead letters: records nobody could process, kept with their bytes. For operators only: "
    "they may hold any tenant's data.",
)
# One transaction and one message at a time; the process may be stopped between two.
_AT_ONCE = 100
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say which.")]


@app.command(name="list")
def list_command(
    stage: Stage = None,
    topic: Topic = None,
    reason: Reason = None,
    tenant: OfTenant = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    all_: Annotated[bool, typer.Option("--all", help="Also those that were redriven.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the newest first."""
    import asyncio

    async def read(found: Settings) -> Sequence[DeadLetter]:
        from db.dead_letters import DeadLetterRepository

        wanted = make_filter(found, stage, topic, reason, tenant, older_than, newer_than, None if all_ else True)
        async with app_pool(found) as pool:
            return await DeadLetterRepository(pool).list(wanted, limit=limit)

    letters = asyncio.run(read(connected()))
    if as_json:
        print_json([_plain(letter) for letter in letters])
    elif letters:
        _print_table(letters)
    else:
        say("no dead letters")


@app.command()
def show(
    letter: Annotated[int, typer.Argument(metavar="ID", help="Number of the dead letter.")], as_json: AsJson = False
) -> None:
    """Show one dead letter with its original bytes."""
    import asyncio

    async def read() -> Sequence[DeadLetter]:
        from db.dead_letters import DeadLetterRepository

        async with app_pool(connected()) as pool:
            return await DeadLetterRepository(pool).read([letter])

    letters = asyncio.run(read())
    if not letters:
        raise CommandFailed(f"there is no dead letter {letter}")
    found = letters[0]
    if as_json:
        print_json(_plain(found))
        return
    for name, value in _plain(found).items():
        if name not in ("value", "value_base64", "headers"):
            typer.echo(f"{name:<17} {'–' if value is None else value}")
    for name, data in found.headers:
        typer.echo(f"header {name}: {_text(data)}")
    typer.echo()
    typer.echo(_text(found.value))


@app.command()
def redrive(
    letters: Annotated[list[int] | None, typer.Argument(metavar="[ID]…", help="Numbers of dead letters.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All that were never redriven.")] = False,
    stage: Stage = None,
    topic: Topic = None,
    reason: Reason = None,
    tenant: OfTenant = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    again: Annotated[bool, typer.Option("--again", help="Also those that were redriven before.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Send dead letters to the topic they came from again, bytes and headers as they were.

    Do so after mending what stopped them. Name them, or say which by filters, or --all. Nothing is processed twice:
    executions and answers keep their identity, and a letter that was redriven is left alone unless --again is given.
    An undoing gets 60 s of new time.

    [bold]Examples[/]

      dawsos dlq redrive 17 18

      dawsos dlq redrive --stage compensate --reason "No space left" --dry-run
    """
    import asyncio

    filters = (stage, topic, reason, tenant, older_than, newer_than)
    require_one_way(letters, all_, filters)
    found = connected()
    wanted = make_filter(found, *filters, None if again else True)
    done = asyncio.run(_redrive(found, letters, wanted, again=again, dry_run=dry_run))
    if as_json:
        print_json(
            {
                "dry_run" if dry_run else "redriven": done.sent,
                "handled": [{"id": letter, "redriven_at": at.isoformat()} for letter, at in done.handled],
                "refused": [{"id": letter, "reason": why} for letter, why in done.refused],
                "unknown": done.unknown,
            }
        )
    else:
        what = "would be redriven" if dry_run else "redriven"
        say(f"{what}: {', '.join(map(str, done.sent)) or 'none'}")
        for letter, at in done.handled:
            say(f"{letter} was redriven at {at:%Y-%m-%d %H:%M:%S} UTC already; --again sends it once more")
        for letter, why in done.refused:
            say(f"{letter} was not sent: {why}")
        for letter in done.unknown:
            say(f"there is no dead letter {letter}")
    if done.refused or done.unknown:
        raise typer.Exit(Exit.ERROR)


@app.command()
def purge(
    letters: Annotated[list[int] | None, typer.Argument(metavar="[ID]…", help="Numbers of dead letters.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    redriven: Annotated[bool, typer.Option("--redriven", help="Only those that were redriven.")] = False,
    stage: Stage = None,
    topic: Topic = None,
    reason: Reason = None,
    tenant: OfTenant = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Remove dead letters from the database for good. What they say stays in the topic for 30 days.

    [bold]Example[/]

      dawsos dlq purge --redriven --older-than 30d --yes
    """
    import asyncio

    filters = (stage, topic, reason, tenant, older_than, newer_than)
    require_one_way(letters, all_, (*filters, redriven or None))
    found = connected()
    wanted = make_filter(found, *filters, False if redriven else None)

    async def find() -> tuple[int, ...]:
        from db.dead_letters import DeadLetterRepository

        async with app_pool(found) as pool:
            repository = DeadLetterRepository(pool)
            if letters:
                known = await repository.read(letters)
                return tuple(each.id for each in known if each.id is not None)
            return await repository.find(wanted)

    async def remove(ids: tuple[int, ...]) -> int:
        from db.dead_letters import DeadLetterRepository

        async with app_pool(found) as pool:
            return await DeadLetterRepository(pool).purge(ids)

    ids = asyncio.run(find())
    unknown = sorted(set(letters or ()) - set(ids))
    if not dry_run and ids and not yes:
        if as_json or not sys.stdin.isatty():
            raise CommandFailed(
                f"{counted(len(ids), 'dead letter')} would be removed for good: --yes is needed", Exit.USAGE
            )
        typer.confirm(f"Remove {counted(len(ids), 'dead letter')} for good?", abort=True, err=True)
    count = len(ids) if dry_run else asyncio.run(remove(ids))
    if as_json:
        print_json({"dry_run": dry_run, "purged": count, "ids": ids, "unknown": unknown})
    else:
        say(f"{'would remove' if dry_run else 'removed'} {count} dead letters")
        for letter in unknown:
            say(f"there is no dead letter {letter}")
    if unknown:
        raise typer.Exit(Exit.ERROR)


async def _redrive(
    found: Settings, letters: Sequence[int] | None, wanted: LetterFilter, *, again: bool, dry_run: bool
) -> Redriven:
    from db.dead_letters import DeadLetterRepository, Redriven
    from streams.clients import start_producer, wait_for_kafka
    from streams.redrive import Redriver

    async with app_pool(found) as pool:
        repository = DeadLetterRepository(pool)
        ids = sorted(letters or await repository.find(wanted))
        if dry_run:
            return _would(await repository.read(ids), ids, again=again)
        if not ids:
            return Redriven()
        await wait_for_kafka(found, timeout_s=10)
        producer = await start_producer(found, "redrive")
        try:
            send = Redriver(found, producer).send
            done = Redriven()
            for start in range(0, len(ids), _AT_ONCE):
                at = datetime.now(UTC)
                done += await repository.redrive(ids[start : start + _AT_ONCE], send, at, again=again)
            return done
        finally:
            await producer.stop()


def _would(letters: Sequence[DeadLetter], ids: Sequence[int], *, again: bool) -> Redriven:
    from db.dead_letters import Redriven

    known = {letter.id: letter.redriven_at for letter in letters}
    handled = () if again else tuple((each, at) for each in ids if (at := known.get(each)) is not None)
    left_alone = {each for each, _ in handled}
    return Redriven(
        sent=tuple(each for each in ids if each in known and each not in left_alone),
        handled=handled,
        unknown=tuple(each for each in ids if each not in known),
    )


def _print_table(letters: Sequence[DeadLetter]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("Id", "Arrived", "From", "Stage", "Tenant", "Reason"):
        table.add_column(name, justify="right" if name == "Id" else "left", overflow="fold")
    for letter in letters:
        arrived = f"{letter.arrived_at:%Y-%m-%d %H:%M:%S}"
        tenant = escape(letter.tenant or "–")
        table.add_row(str(letter.id), arrived, escape(_origin(letter)), letter.stage, tenant, escape(letter.reason))
    out().print(table)


def _origin(letter: DeadLetter) -> str:
    return f"{letter.origin_topic}/{letter.origin_partition}/{letter.origin_offset}"


def _plain(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "arrived_at": letter.arrived_at.isoformat(),
        "redriven_at": letter.redriven_at and letter.redriven_at.isoformat(),
        "stage": letter.stage,
        "tenant": letter.tenant,
        "reason": letter.reason,
        "origin_topic": letter.origin_topic,
        "origin_partition": letter.origin_partition,
        "origin_offset": letter.origin_offset,
        "key": _text(letter.key),
        "headers": [[name, _text(data)] for name, data in letter.headers],
        "value": _text(letter.value),
        "value_base64": None if letter.value is None else base64.b64encode(letter.value).decode(),
    }


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode("utf-8", "backslashreplace")
