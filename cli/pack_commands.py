"""`dawsos packs …`: pricing packs, from the bundled market data or loaded by a pipeline of yours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import pack_data_commands
from cli.console import out, print_json, say
from cli.exits import Exit
from cli.failures import CommandFailed
from cli.figures import counted
from cli.options import AsJson, parse_date
from cli.requests import parse_uuid

if TYPE_CHECKING:
    from uuid import UUID

    from db.pack_build import BuildReport
    from db.pack_series import PackInfo
    from db.pack_watch import Overdue

app = typer.Typer(
    no_args_is_help=True,
    help="Import, build, list, compare, freeze and supersede pricing packs: all prices and exchange rates of one day.",
)

app.command(name="import")(pack_data_commands.import_command)
app.command(name="verify")(pack_data_commands.verify_command)
app.command(name="diff")(pack_data_commands.diff_command)

PackId = Annotated[str, typer.Argument(metavar="PACK", help="Id of the pack, a UUID.")]


class Status(StrEnum):
    """Where a pack stands in its life."""

    WARMING = "warming"
    FRESH = "fresh"
    SUPERSEDED = "superseded"
    FAILED = "failed"


@app.command()
def build(
    start: Annotated[date, typer.Option("--from", parser=parse_date, metavar="YYYY-MM-DD", help="First day.")],
    end: Annotated[date, typer.Option("--to", parser=parse_date, metavar="YYYY-MM-DD", help="Last day.")],
    as_json: AsJson = False,
) -> None:
    """Make the packs of a range of days fresh, from the bundled closes and ECB rates.

    What is unchanged stays untouched; changed days get a new revision that supersedes the old one.

    [bold]Example[/]

      dawsos packs build --from 2004-01-02 --to 2012-12-31
    """
    import asyncio

    report = asyncio.run(_build(start, end, quiet=as_json))
    if as_json:
        print_json(
            {
                "created": report.created,
                "restated": report.restated,
                "unchanged": report.unchanged,
                "faulty": [{"day": on, **found.as_json()} for on, found in report.faulty],
                "warnings": [{"day": on, **found.as_json()} for on, found in report.warnings],
            }
        )
    else:
        say(f"{report.created} created, {report.restated} restated, {report.unchanged} unchanged")
        for on, found in report.faulty:
            say(f"{on} not built: {found.subject}: {found.message}")
        if report.warnings:
            say(f"{counted(len(report.warnings), 'warning')}; `dawsos packs show PACK` lists those of a pack")
    if report.faulty:
        raise typer.Exit(Exit.ERROR)


async def _build(start: date, end: date, *, quiet: bool) -> BuildReport:
    from cli.bars import Bars
    from cli.instance import connected, owner_pool
    from db.pack_writer import PackWriter
    from services.packs_build import build_packs

    async with owner_pool(connected()) as pool:
        with Bars(quiet=quiet) as bars:
            return await build_packs(
                PackWriter(pool), start, end, datetime.now(UTC), lambda done, total: bars.update("packs", done, total)
            )


@app.command(name="list")
def list_command(
    policy: Annotated[str | None, typer.Option(help="Only those of one pricing policy.")] = None,
    start: Annotated[date | None, typer.Option("--from", parser=parse_date, metavar="YYYY-MM-DD")] = None,
    end: Annotated[date | None, typer.Option("--to", parser=parse_date, metavar="YYYY-MM-DD")] = None,
    status: Annotated[Status | None, typer.Option(help="Only those that are so.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List packs, the newest first; days whose pack is overdue, and packs announced before their rows, are said so."""
    import asyncio

    async def read() -> tuple[Sequence[PackInfo], Sequence[Overdue], dict[UUID, str]]:
        from cli.instance import app_pool, connected
        from db.pack_watch import PackWatchRepository
        from db.packs import PackRepository
        from topics.messages import PackStatus

        async with app_pool(connected()) as pool:
            wanted = PackStatus(status.value) if status else None
            packs = await PackRepository(pool).list(policy, start, end, wanted, limit)
            watch = PackWatchRepository(pool)
            late = [each for each in await watch.overdue(datetime.now(UTC)) if policy in (None, each.policy)]
            early = {each.announcement.pack_id: each.problem for each in await watch.pending()}
            # A list that asks for one status is not about what is missing.
            return packs, late if status is None else [], early

    packs, late, early = asyncio.run(read())
    if as_json:
        print_json(
            [
                *({"status": "overdue", **asdict(each)} for each in late),
                *({**_plain(pack), "announced": early.get(pack.ref.pack_id)} for pack in packs),
                *(
                    {"pack_id": str(pack_id), "status": "announced", "announced": problem}
                    for pack_id, problem in early.items()
                    if all(pack.ref.pack_id != pack_id for pack in packs)
                ),
            ]
        )
        return
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("Day", "Revision", "Status", "Policy", "Prices", "Rates", "Pack"):
        table.add_column(name, justify="right" if name in ("Revision", "Prices", "Rates") else "left", no_wrap=True)
    for pack in packs:
        ref = pack.ref
        table.add_row(
            ref.asof_date.isoformat(),
            str(ref.revision),
            ref.status.value,
            escape(ref.policy),
            str(pack.prices),
            str(pack.rates),
            str(ref.pack_id),
        )
    out().print(table)
    for each in late:
        state = f"is {each.status}" if each.status else "is not there"
        say(f"overdue: {each.policy} of {each.asof_date} {state}, due {each.due_at:%Y-%m-%d %H:%M} UTC")
    for pack_id, problem in early.items():
        say(f"announced before its rows: {pack_id}: {problem}")


@app.command()
def show(pack: PackId, as_json: AsJson = False) -> None:
    """Show one pack with what its checks noticed."""
    import asyncio

    async def read() -> dict[str, Any]:
        from cli.instance import app_pool, connected
        from db.packs import PackRepository

        async with app_pool(connected()) as pool:
            packs, pack_id = PackRepository(pool), parse_uuid(pack, "PACK")
            shown = _plain(await packs.show(pack_id))
            return {**shown, "provenance": [asdict(origin) for origin in await packs.provenance(pack_id)]}

    found = asyncio.run(read())
    if as_json:
        print_json(found)
        return
    from rich.markup import escape
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    for name, value in found.items():
        if name not in ("findings", "provenance"):
            grid.add_row(name, "–" if value is None else escape(str(value)))
    out().print(grid)
    for each in found["provenance"]:
        typer.echo(f"{each['kind']} from {each['source']}: {each['name']}, SHA-256 {each['sha256'] or '–'}")
    for each in found["findings"]:
        typer.echo(f"{'fault' if each['fault'] else 'note'}  {each['kind']} {each['subject']}: {each['message']}")


@app.command()
def freeze(
    pack: PackId,
    sha256: Annotated[
        str | None, typer.Option(metavar="HEX", help="Digest the pack's rows must have; default: accept what is there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a warming pack and freeze it: from now on it is fresh and never changes.

    Executions that wait for it go on at once.
    """
    import asyncio

    async def work() -> Any:
        from cli.instance import app_pool, connected
        from db.packs import PackRepository

        async with app_pool(connected()) as pool:
            return await PackRepository(pool).freeze(parse_uuid(pack, "PACK"), sha256, datetime.now(UTC))

    ref = asyncio.run(work())
    if as_json:
        print_json(ref)
    else:
        say(f"{ref.pack_id} is {ref.status.value}, SHA-256 {ref.content_sha256}")


@app.command()
def supersede(
    pack: PackId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Withdraw a fresh pack without a successor. Its day has no usable pack until a new revision is frozen."""
    import asyncio

    pack_id = parse_uuid(pack, "PACK")
    if not yes and not typer.confirm(f"Withdraw pack {pack_id}? Executions of its day will find no pack", err=True):
        raise CommandFailed("not withdrawn", Exit.ERROR)

    async def work() -> None:
        from cli.instance import connected, owner_pool
        from db.pack_writer import PackWriter

        async with owner_pool(connected()) as pool:
            await PackWriter(pool).supersede(pack_id)

    asyncio.run(work())
    if as_json:
        print_json({"pack_id": str(pack_id), "status": "superseded"})
    else:
        say(f"{pack_id} is superseded")


def _plain(pack: PackInfo) -> dict[str, Any]:
    values = asdict(pack)
    values.pop("ref")
    return {**pack.ref.model_dump(mode="json"), **values}
