"""`dawsos capabilities`: what agents can do."""

from __future__ import annotations

import json
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
    lines = [
        "# Capabilities",
        "",
        "What patterns can ask for, as `dawsos capabilities --markdown` prints it (generated: change the code, then",
        "`make golden`). With `DAWSOS_AGENTS` and `DAWSOS_CATALOGUES` the same command describes yours too.",
        "",
    ]
    for agent, entry in catalogue["agents"].items():
        lines += [f"## {agent} {entry.get('version', '')}".rstrip(), ""]
        for name, found in entry["capabilities"].items():
            lines += _section(name, found)
    return "\n".join(lines).rstrip()


def _section(name: str, found: dict[str, Any]) -> list[str]:
    # A catalogue file of somebody else's may leave out what has a default.
    needs = ", ".join(found.get("needs", ())) or "nothing"
    pure = found.get("pure", True)
    kept = f"pure, cached {_ttl(found.get('ttl_s'))}" if pure else "not pure: never cached, not recomputed"
    terms = [f"Pins it reads: {needs}", f"timeout {found.get('timeout_s', 30):g} s", kept]
    if "attempts_max" in found.get("retry", {}):
        terms.append(f"{found['retry']['attempts_max']} attempts")
    if found.get("concurrency_max") is not None:
        terms.append(f"{found['concurrency_max']} calls at a time")
    if found.get("rate_per_s") is not None:
        terms.append(f"{found['rate_per_s']:g} calls/s")
    lines = [f"### `{name}` v{found.get('version', 1)}", "", _escaped(found.get("summary", "")), ""]
    lines += [f"{'; '.join(terms)}.", ""]
    schema = found.get("input_schema", {})
    arguments, required = schema.get("properties", {}), set(schema.get("required", ()))
    if arguments:
        lines += ["| argument | type | default |", "|---|---|---|"]
        lines += [
            f"| `{argument}` | {_type(each)} | {_default(each, argument in required)} |"
            for argument, each in arguments.items()
        ]
        lines.append("")
    results = found.get("output_schema", {}).get("properties", {})
    if results:
        lines += [f"Answer: {', '.join(f'`{key}`' for key in results)}.", ""]
    return lines


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


def _type(schema: Any) -> str:
    if not isinstance(schema, dict):
        return "any"
    if "anyOf" in schema:
        kinds = [_type(each) for each in schema["anyOf"]]
        if "decimal" in kinds:  # pydantic takes a number in place of a decimal string
            kinds = [kind for kind in kinds if kind != "number"]
        return " or ".join(dict.fromkeys(kinds))
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"array of {_type(schema.get('items', {}))}"
    if kind == "string" and (schema.get("format") == "decimal" or "\\d" in schema.get("pattern", "")):
        return "decimal"
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)


def _default(schema: Any, required: bool) -> str:
    if required:
        return "required"
    if not isinstance(schema, dict) or "default" not in schema:
        return "–"
    text = json.dumps(schema["default"], ensure_ascii=False)
    return f"`{text}`" if len(text) <= 40 else "see the schema"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
