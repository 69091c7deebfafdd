"""`dawsos patterns test`: patterns over recorded answers of their steps, without agents, data or a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import print_json, say
from cli.exits import Exit
from cli.failures import CommandFailed
from cli.options import AsJson
from cli.output_files import why_not_writable

if TYPE_CHECKING:
    from orchestrator.pattern import CompiledPattern
    from services.fixtures import Fixture

_FOLDER = Path("fixtures")


def test_command(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH…]", help="Fixture files, or folders of them. Default: fixtures", show_default=False
        ),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Run each pattern for real and write what it does into its file.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run patterns over recorded answers of their steps, and print the first difference of each.

    A new fixture file needs no more than {"pattern": "my_pattern", "inputs": {}}; --record fills in the rest, from the
    bundled example data, or from the files it names.

    Exit code 0 when nothing differs, 1 when something does, 2 for a file that is no fixture.

    [bold]Examples[/]

      dawsos patterns test fixtures/my_pattern.json --record

      dawsos patterns test
    """
    import asyncio

    from services.fixtures import read_fixture

    # Read before anything runs or is written.
    fixtures = {file: read_fixture(file) for file in _files(paths or [_FOLDER])}
    for file in fixtures if record else ():
        if problem := why_not_writable(file):
            raise CommandFailed(f"--record: cannot write {file}: {problem}", Exit.USAGE)
    found = asyncio.run(_all(fixtures, record))
    if as_json:
        print_json(found)
    else:
        for each in found:
            typer.echo(f"{each['file']}: {each['difference'] or each['outcome']}")
    different = sum(each["outcome"] == "different" for each in found)
    if not as_json:
        counted = f"{len(found)} fixture{'s' if len(found) > 1 else ''}"
        say(f"{counted}, {different} different" if different else counted)
    raise typer.Exit(Exit.ERROR if different else Exit.OK)


async def _all(fixtures: dict[Path, Fixture], recording: bool) -> list[dict[str, Any]]:
    from cli.instance import settings
    from cli.pattern_commands import find_pattern
    from services.catalogue import load_catalogue
    from services.fixtures import check
    from services.patterns import load_patterns

    catalogue = load_catalogue(settings())
    known = load_patterns(settings(), catalogue)
    found: list[dict[str, Any]] = []
    for file, fixture in fixtures.items():
        named = fixture.pattern
        path = str(file.parent / named) if named.endswith(".json") else named
        pattern = known.newest(named) or find_pattern(path)
        if recording:
            await _record(file, fixture, pattern)
            outcome, difference = "recorded", None
        else:
            difference = await check(fixture, pattern, catalogue)
            outcome = "same" if difference is None else "different"
        found.append({"file": str(file), "pattern": pattern.id, "outcome": outcome, "difference": difference})
    return found


async def _record(file: Path, fixture: Fixture, pattern: CompiledPattern) -> None:
    from cli.instance import settings
    from cli.results import write_file
    from services.composition import build_runtime_local
    from services.fixtures import record
    from services.local_artifacts import LocalArtifacts
    from services.local_data import example_data, read_local_data

    given, beside = fixture.files, file.parent
    if given is None:
        data = example_data()
    else:
        fx = None if given.fx is None else beside / given.fx
        data = read_local_data(beside / given.ledger, beside / given.prices, fx, given.base)
    artifacts = LocalArtifacts()
    runtime = build_runtime_local(data, agents=settings().agents, artifacts=artifacts)
    write_file(file, (await record(fixture, pattern, runtime, artifacts, data.portfolio.id)).text())


def _files(paths: list[Path]) -> list[Path]:
    files = [file for path in paths for file in (sorted(path.rglob("*.json")) if path.is_dir() else [path])]
    if not files:
        raise CommandFailed(f"expected fixture files in {', '.join(map(str, paths))}, found none", Exit.USAGE)
    return files
