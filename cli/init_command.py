"""`dawsos init`: a small tested project that extends the engine without a fork."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import print_json, say
from cli.exits import Exit
from cli.failures import CommandFailed
from cli.options import AsJson

_SOURCE = Path(__file__).parent / "scaffold"
# Where a file goes when it cannot lie here under its own name.
_ELSEWHERE = {"env.txt": ".env", "ignore.txt": ".gitignore", "vscode.json": ".vscode/settings.json"}
_NEXT = (
    "dawsos try house_concentration --example",
    "dawsos patterns test",
    "dawsos patterns schema > pattern.schema.json",
    "python -m pytest",
)


def init_command(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Made if it is not there; has to be empty.", file_okay=False)
    ] = Path(),
    as_json: AsJson = False,
) -> None:
    """Write a small project of your own: a pattern, an agent with one capability, a fixture and tests.

    [bold]Example[/]

      dawsos init house && cd house && dawsos patterns test
    """
    # A repository that was just made is empty enough.
    there = sorted(path.name for path in folder.iterdir() if path.name != ".git") if folder.exists() else []
    if there:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise CommandFailed(f"expected an empty or new folder, {folder} holds {there[0]}{more}", Exit.USAGE)
    written = write_scaffold(folder)
    if as_json:
        print_json({"folder": str(folder.resolve()), "files": written, "next": list(_NEXT)})
        return
    for name in written:
        typer.echo(str(folder / name))
    say("\nNext:")
    for line in (*([f"cd {folder}"] if folder != Path() else []), *_NEXT):
        say(f"  {line}")


def write_scaffold(folder: Path) -> list[str]:
    """Write the project's files and return their names, sorted.

    Raises:
        OSError: the folder cannot be written.
    """
    written: list[str] = []
    for source in sorted(_SOURCE.rglob("*")):
        if source.is_dir() or "__pycache__" in source.parts:
            continue
        own = source.relative_to(_SOURCE).as_posix()
        name = _ELSEWHERE.get(own, own)
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
        written.append(name)
    return sorted(written)
