"""`dawsos verify`: does everything in a result fit its digests? No engine, database or Kafka is asked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import out, print_json, say
from cli.exits import Exit
from cli.failures import CommandFailed
from cli.figures import counted
from cli.options import AsJson

if TYPE_CHECKING:
    from provenance.verification import Verification

_BYTES_MAX = 256 * 1024 * 1024


def verify_command(
    files: Annotated[
        list[str], typer.Argument(metavar="RESULT.json…", help="Results as `--json` prints them; - is stdin.")
    ],
    pattern: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="The pattern; names and order of its steps are checked too."),
    ] = None,
    digest: Annotated[
        str | None,
        typer.Option(metavar="SHA256", help="Digest you know from elsewhere; the result has to have it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that nothing in a result was changed: figures, arguments, steps, pins and inputs against its digests.

    Exit code 0 when everything fits, 1 when something does not; each place is named. What a digest cannot show is
    whether the whole was made anew: for that compare --digest with one from a source you trust.

    [bold]Examples[/]

      dawsos verify result.json

      dawsos run portfolio_overview -p growth --json | dawsos verify - --json
    """
    document = None if pattern is None else read_object(str(pattern))
    found = {name: _verified(read_object(name), document, digest) for name in files}
    if as_json:
        print_json([{"file": name, **each.as_json()} for name, each in found.items()])
    else:
        for name, each in found.items():
            _print(name, each)
    raise typer.Exit(Exit.OK if all(each.sound for each in found.values()) else Exit.ERROR)


def _verified(result: dict[str, Any], pattern: dict[str, Any] | None, digest: str | None) -> Verification:
    from dataclasses import replace

    from provenance.verification import Finding, verify

    found = verify(result, pattern)
    if digest is None or digest == found.digest:
        return found
    return replace(found, findings=(*found.findings, Finding("/digest", f"expected {digest}, got {found.digest}")))


def _print(name: str, found: Verification) -> None:
    counts = ", ".join(
        (
            counted(found.figures, "output"),
            counted(found.arguments, "set of arguments", "sets of arguments"),
            f"{counted(found.steps, 'step')} recomputed",
        )
    )
    if found.sound:
        out().print(f"{name}: sound, digest {found.digest} ({counts})", markup=False, soft_wrap=True)
    for each in found.findings:
        typer.echo(f"{name}#{each.pointer}: {each.message}")
    for each in found.unchecked:
        say(f"{name}#{each.pointer}: not checked: {each.message}")


def read_object(name: str) -> dict[str, Any]:
    """Return the JSON object in a file; - is stdin.

    Raises:
        CommandFailed: it cannot be read, or is none.
    """
    import json

    try:
        data = sys.stdin.buffer.read(_BYTES_MAX + 1) if name == "-" else Path(name).read_bytes()
        if len(data) > _BYTES_MAX:
            raise CommandFailed(f"{name}: expected at most {_BYTES_MAX} bytes, got more", Exit.USAGE)
        value = json.loads(data)
    except OSError as error:
        raise CommandFailed(f"cannot read {name}: {error.strerror}", Exit.USAGE) from None
    except (ValueError, RecursionError) as error:
        raise CommandFailed(f"{name}: expected JSON: {error}", Exit.USAGE) from None
    if not isinstance(value, dict):
        raise CommandFailed(f"{name}: expected one result, got a {type(value).__name__}", Exit.USAGE)
    return value
