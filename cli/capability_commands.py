"""`dawsos capabilities`: what agents can do."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.console import out, print_json
from cli.exits import Exit
from cli.failures import CommandFailed
from cli.options import AsJson


def capabilities_command(
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown reference.")] = False,
) -> None:
    """List every capability with its agent, version and what it needs.

    `--json` prints the capability catalogue that the pattern compiler reads, schemas included.
    """
    from cli.instance import settings
    from services.catalogue import catalogue_json

    if as_json and markdown:
        raise CommandFailed("expected one of --json and --markdown, got both", Exit.USAGE)
    catalogue = catalogue_json(settings())
    if as_json:
        print_json(catalogue)
    elif markdown:
        typer.echo(as_markdown(catalogue))
    else:
        _print_table(catalogue)


def as_markdown(catalogue: dict[str, Any]) -> str:
    """Return the catalogue as a reference page without trailing newline."""
    lines = ["# Capabilities", ""]
    for agent, entry in catalogue["agents"].items():
        lines += [f"## {agent} {entry['version']}", ""]
        for name, found in entry["capabilities"].items():
            needs = ", ".join(found["needs"]) or "nothing"
            kept = "never cached" if not found["pure"] else f"cached {_ttl(found['ttl_s'])}"
            lines += [f"### `{name}` v{found['version']}", "", _escaped(found["summary"]), ""]
            lines += [f"Pins it reads: {needs}. Timeout {found['timeout_s']:g} s, {kept}.", ""]
            arguments = found["input_schema"].get("properties", {})
            required = set(found["input_schema"].get("required", ()))
            if arguments:
                lines += ["| argument | type | required |", "|---|---|---|"]
                lines += [
                    f"| `{argument}` | {_type(schema)} | {'yes' if argument in required else 'no'} |"
                    for argument, schema in arguments.items()
                ]
                lines.append("")
            results = found["output_schema"].get("properties", {})
            if results:
                lines += [f"Answer: {', '.join(f'`{key}`' for key in results)}.", ""]
    return "\n".join(lines).rstrip()


def _print_table(catalogue: dict[str, Any]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    console = out()
    for agent, entry in catalogue["agents"].items():
        table = Table(
            title=f"{agent} {entry['version']}",
            title_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
        )
        table.add_column("Capability", no_wrap=True)
        table.add_column("Version", justify="right")
        table.add_column("Needs", no_wrap=True)
        table.add_column("Cached", no_wrap=True)
        table.add_column("What it does", ratio=1)
        for name, found in entry["capabilities"].items():
            cached = _ttl(found["ttl_s"]) if found["pure"] else "no"
            table.add_row(
                name, str(found["version"]), "\n".join(found["needs"]) or "–", cached, escape(found["summary"])
            )
        console.print(table)


def _ttl(ttl_s: int | None) -> str:
    return "while pinned" if ttl_s is None else f"for {ttl_s} s"


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    kind = schema.get("type", "any")
    if kind == "array":
        return f"array of {_type(schema.get('items', {}))}"
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
