"""`dawsos patterns …`: list, show, validate and draw patterns, and their schema. No server is needed."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import out, print_json, say
from cli.exits import Exit
from cli.failures import CommandFailed
from cli.options import AsJson

if TYPE_CHECKING:
    from orchestrator.pattern import CompiledPattern
    from orchestrator.registry import PatternRegistry
    from settings import Settings
    from topics.errors import Fault

app = typer.Typer(no_args_is_help=True, help="List, show, validate, test and draw patterns; no server is needed.")


class GraphFormat(StrEnum):
    """How a graph is printed."""

    TEXT = "text"
    MERMAID = "mermaid"
    JSON = "json"


@app.command(name="list")
def list_command(as_json: AsJson = False) -> None:
    """List all patterns: the bundled ones and those of DAWSOS_PATTERNS."""
    patterns = _registry().patterns()
    if as_json:
        print_json([_summary(pattern) for pattern in patterns])
        return
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("Pattern", "Name", "Steps", "Inputs", "Outputs"):
        table.add_column(name, justify="right" if name == "Steps" else "left")
    for pattern in patterns:
        declared = ", ".join(pattern.inputs_schema.get("properties", {})) or "–"
        table.add_row(pattern.id, escape(pattern.name), str(len(pattern.steps)), declared, ", ".join(pattern.outputs))
    out().print(table)


@app.command()
def show(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="Id of a pattern, or a file.")],
    as_json: AsJson = False,
) -> None:
    """Show a pattern: its source, or with --json what the compiler made of it."""
    compiled = find_pattern(pattern)
    if as_json:
        print_json({**_summary(compiled), "steps": _steps(compiled), "inputs_schema": dict(compiled.inputs_schema)})
    else:
        typer.echo(compiled.source.decode("utf-8").rstrip())


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Pattern files or folders of them.")],
    as_json: AsJson = False,
) -> None:
    """Check pattern files and print everything that is wrong, each with file and JSON pointer.

    Exit code 0 when all are fine, 1 when there are faults.

    [bold]Example[/]

      dawsos patterns validate my_pattern.json patterns/
    """
    from cli.hint_faults import hint_faults
    from cli.instance import settings
    from orchestrator.compiler import compile_pattern
    from orchestrator.faults import PatternFaults
    from orchestrator.registry import library_of
    from services.catalogue import load_catalogue

    found = settings()
    catalogue = load_catalogue(found)
    sources = {str(file): _source(file) for file in _expand(files)}
    library = _library(found) | library_of(sources.items())
    faults: list[Fault] = []
    fine = 0
    for where, source in sources.items():
        try:
            wrong = hint_faults(compile_pattern(source, catalogue, where, library=library), catalogue, where)
        except PatternFaults as error:
            wrong = error.faults
        fine += not wrong
        faults.extend(fault for fault in wrong if fault not in faults)
    if as_json:
        listed = [{"file": each.where, "pointer": each.pointer, "message": each.message} for each in faults]
        print_json({"valid": fine, "faults": listed})
    else:
        for each in faults:
            typer.echo(str(each))
        files_wrong = len({each.where.partition(":")[0] for each in faults})
        say(f"{fine} valid, {files_wrong} with faults ({len(faults)} in all)" if faults else f"{fine} valid")
    raise typer.Exit(Exit.ERROR if faults else Exit.OK)


@app.command()
def graph(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="Id of a pattern, or a file.")],
    format_: Annotated[GraphFormat, typer.Option("--format", "-f", help="How to print it.")] = GraphFormat.TEXT,
) -> None:
    """Draw which steps wait for which.

    [bold]Example[/]

      dawsos patterns graph portfolio_overview --format mermaid
    """
    compiled = find_pattern(pattern)
    if format_ is GraphFormat.JSON:
        print_json({"id": compiled.id, "digest": compiled.digest, "steps": _steps(compiled)})
    else:
        typer.echo(mermaid(compiled) if format_ is GraphFormat.MERMAID else text_graph(compiled))


@app.command(name="schema")
def schema_command() -> None:
    """Print the JSON Schema of pattern files, with the capabilities, arguments and patterns that are known here.

    An editor that is given it completes their names and shows what they do; `dawsos patterns validate` checks more.

    [bold]Example[/]

      dawsos patterns schema > pattern.schema.json
    """
    from cli.instance import settings
    from orchestrator.completion import editor_schema
    from services.catalogue import load_catalogue
    from services.patterns import load_patterns

    found = settings()
    catalogue = load_catalogue(found)
    print_json(editor_schema(catalogue, load_patterns(found, catalogue).patterns()))


def find_pattern(name: str) -> CompiledPattern:
    """Return a known pattern, or the one in a file.

    Raises:
        PatternFaults: everything wrong with it.
        CommandFailed: there is neither.
    """
    from cli.instance import settings
    from orchestrator.compiler import compile_pattern
    from services.catalogue import load_catalogue

    file = Path(name)
    if file.suffix == ".json" or "/" in name:
        found = settings()
        return compile_pattern(_source(file), load_catalogue(found), str(file), library=_library(found))
    registry = _registry()
    compiled = registry.newest(name)
    if compiled is None:
        known = ", ".join(pattern.id for pattern in registry.patterns())
        raise CommandFailed(f"there is no pattern {name!r}; known: {known}", Exit.USAGE)
    return compiled


def waits_for(compiled: CompiledPattern) -> dict[str, tuple[str, ...]]:
    """Return per step the steps it waits for, without those that others imply.

    A parallel step waits for the steps it refers to, any other for all earlier ones too.
    """
    closure: dict[str, set[str]] = {}
    found: dict[str, tuple[str, ...]] = {}
    order: list[str] = []
    for step in compiled.steps:
        direct = set(step.after) | (set() if step.parallel else set(order))
        implied = {earlier for each in direct for earlier in closure[each]}
        found[step.id] = tuple(each for each in order if each in direct - implied)
        closure[step.id] = direct | implied
        order.append(step.id)
    return found


def mermaid(compiled: CompiledPattern) -> str:
    """Return a Mermaid flowchart; outputs have a double border."""
    waits = waits_for(compiled)
    lines = ["flowchart TD"]
    outputs = set(compiled.outputs.values())
    names = {step.id: f"s{step.index}" for step in compiled.steps}
    for step in compiled.steps:
        label = f"{step.id}<br/><small>{step.capability}</small>"
        shape = f'[["{label}"]]' if step.id in outputs else f'["{label}"]'
        lines.append(f"  {names[step.id]}{shape}")
    for step in compiled.steps:
        arrow = "-. if .->" if step.condition is not None else "-->"
        lines += [f"  {names[each]} {arrow} {names[step.id]}" for each in waits[step.id]]
    return "\n".join(lines)


def text_graph(compiled: CompiledPattern) -> str:
    """Return one line per step: its name, capability and the steps it waits for."""
    waits = waits_for(compiled)
    outputs = set(compiled.outputs.values())
    name_width = max(len(step.id) for step in compiled.steps)
    capability_width = max(len(step.capability) for step in compiled.steps)
    lines = [f"{compiled.name} ({compiled.id})"]
    for step in compiled.steps:
        marks = [
            "‖" if step.parallel else " ",
            "?" if step.condition is not None else " ",
            "*" if step.foreach is not None else " ",
            "↶" if step.compensate is not None else " ",
        ]
        after = ", ".join(waits[step.id])
        result = "  → output" if step.id in outputs else ""
        lines.append(
            f"{''.join(marks)} {step.id:<{name_width}}  {step.capability:<{capability_width}}  "
            f"{f'after {after}' if after else 'first'}{result}"
        )
    return "\n".join(lines)


def _source(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CommandFailed(f"cannot read the pattern file {file}: {error.strerror}", Exit.USAGE) from None


def _library(found: Settings) -> dict[str, tuple[str, bytes]]:
    """Return the known patterns as a library for sub-patterns."""
    from orchestrator.registry import library_of
    from services.patterns import pattern_folders, pattern_sources

    return library_of(pattern_sources(pattern_folders(found)))


def _registry() -> PatternRegistry:
    from cli.instance import settings
    from services.catalogue import load_catalogue
    from services.patterns import load_patterns

    found = settings()
    return load_patterns(found, load_catalogue(found))


def _summary(compiled: CompiledPattern) -> dict[str, Any]:
    return {
        "id": compiled.id,
        "name": compiled.name,
        "version": compiled.version,
        "description": compiled.document.get("description"),
        "category": compiled.document.get("category"),
        "digest": compiled.digest,
        "inputs": list(compiled.inputs_schema.get("properties", {})),
        "outputs": list(compiled.outputs),
        "capabilities": dict(compiled.capabilities),
    }


def _steps(compiled: CompiledPattern) -> list[dict[str, Any]]:
    waits = waits_for(compiled)
    outputs = set(compiled.outputs.values())
    return [
        {
            "id": step.id,
            "as": step.as_,
            "capability": step.capability,
            "version": step.version,
            "agent": step.agent,
            "parallel": step.parallel,
            "conditional": step.condition is not None,
            "waits_for": list(waits[step.id]),
            "reads": list(step.after),
            "output": step.id in outputs,
            "foreach": step.foreach and step.foreach.text,
            "undone_by": step.compensate and step.compensate.capability,
        }
        for step in compiled.steps
    ]


def _expand(files: list[Path]) -> list[Path]:
    found: list[Path] = []
    for file in files:
        found += (
            sorted(each for each in file.rglob("*.json") if each.name != "schema.json" and each.is_file())
            if file.is_dir()
            else [file]
        )
    if not found:
        raise CommandFailed("expected at least one pattern file, found none", Exit.USAGE)
    return found
