"""`dawsos dlq …`: what could not be processed, why, and another try."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import out, print_json, say
from cli.exits import Exit
from cli.failures import CommandFailed
from cli.options import AsJson

if TYPE_CHECKING:
    from db.dead_letters import DeadLetter
    from settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    help="Dead letters: records nobody could process, kept with their bytes. For operators only: "
    "they may hold any tenant's data.",
)
_REDRIVEN_AT_ONCE_MAX = 1000


@app.command(name="list")
def list_command(
    stage: Annotated[str | None, typer.Option(help="Only those that stopped at decode, route, process, …")] = None,
    topic: Annotated[str | None, typer.Option(help="Only those that came from one topic.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also those that were redriven.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the newest first."""
    import asyncio

    async def read() -> Sequence[DeadLetter]:
        from cli.instance import app_pool, connected
        from db.dead_letters import DeadLetterRepository

        async with app_pool(connected()) as pool:
            return await DeadLetterRepository(pool).list(
                stage=stage, origin_topic=topic, waiting=None if all_ else True, limit=limit
            )

    letters = asyncio.run(read())
    if as_json:
        print_json([_plain(letter) for letter in letters])
        return
    if not letters:
        say("no dead letters")
        return
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("Id", "Arrived", "From", "Stage", "Reason"):
        table.add_column(name, justify="right" if name == "Id" else "left", overflow="fold")
    for letter in letters:
        arrived = f"{letter.arrived_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(str(letter.id), arrived, escape(_origin(letter)), letter.stage, escape(letter.reason))
    out().print(table)


@app.command()
def show(
    letter: Annotated[int, typer.Argument(metavar="ID", help="Number of the dead letter.")], as_json: AsJson = False
) -> None:
    """Show one dead letter with its original bytes."""
    import asyncio

    async def read() -> DeadLetter | None:
        from cli.instance import app_pool, connected
        from db.dead_letters import DeadLetterRepository

        async with app_pool(connected()) as pool:
            return await DeadLetterRepository(pool).show(letter)

    found = asyncio.run(read())
    if found is None:
        raise CommandFailed(f"there is no dead letter {letter}")
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
    topic: Annotated[str | None, typer.Option(help="With --all: only those that came from one topic.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send dead letters to the topic they came from again, bytes and headers as they were.

    Do so after mending what stopped them. Nothing is processed twice: executions keep their identity.
    """
    import asyncio

    if bool(letters) == all_:
        raise CommandFailed("expected either IDs or --all", Exit.USAGE)
    sent = asyncio.run(_redrive(tuple(letters or ()), topic))
    if as_json:
        print_json({"redriven": sent})
    else:
        say(f"redriven: {', '.join(map(str, sent)) if sent else 'none'}")


async def _redrive(ids: tuple[int, ...], topic: str | None) -> list[int]:
    from cli.instance import app_pool, connected
    from db.dead_letters import DeadLetterRepository

    found = connected()
    async with app_pool(found) as pool:
        repository = DeadLetterRepository(pool)
        if ids:
            letters = [await repository.show(each) for each in ids]
            unknown = [str(each) for each, letter in zip(ids, letters, strict=True) if letter is None]
            if unknown:
                raise CommandFailed(f"there is no dead letter {', '.join(unknown)}; nothing was redriven")
        else:
            letters = list(await repository.list(origin_topic=topic, waiting=True, limit=_REDRIVEN_AT_ONCE_MAX))
        wanted = [letter for letter in letters if letter is not None]
        await _send(found, wanted)
        sent = [letter.id for letter in wanted if letter.id is not None]
        await repository.mark_redriven(sent, datetime.now(UTC))
        return sent


async def _send(found: Settings, letters: Sequence[DeadLetter]) -> None:
    from streams.clients import start_producer
    from streams.dead_letter import OWN_HEADERS, redriven_value

    producer = await start_producer(found, "redrive")
    try:
        for letter in reversed(letters):
            headers = [(name, data) for name, data in letter.headers if name not in OWN_HEADERS and data is not None]
            now_ms = int(datetime.now(UTC).timestamp() * 1000)
            value = redriven_value(letter.origin_topic, letter.value, letter.stage, now_ms)
            await producer.send_and_wait(
                letter.origin_topic, value, letter.key, letter.origin_partition, headers=headers or None
            )
    finally:
        await producer.stop()


def _origin(letter: DeadLetter) -> str:
    return f"{letter.origin_topic}/{letter.origin_partition}/{letter.origin_offset}"


def _plain(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "arrived_at": letter.arrived_at.isoformat(),
        "redriven_at": letter.redriven_at and letter.redriven_at.isoformat(),
        "stage": letter.stage,
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
