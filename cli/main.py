"""The `dawsos` command: what exists and where it lives. Heavy imports happen inside the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import (
    bench_commands,
    capability_commands,
    chaos_commands,
    console_link,
    dead_letter_commands,
    demo,
    diff_command,
    execution_commands,
    fixture_command,
    init_command,
    instance_commands,
    ledger_commands,
    pack_commands,
    pattern_commands,
    portfolio_commands,
    replay_command,
    report_command,
    run,
    simulate_commands,
    token_command,
    topic_commands,
    try_files,
    verify_command,
    worker_commands,
)
from cli.commands import Commands, set_debug
from cli.instance import set_data_dir

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin with [bold]dawsos try --example[/] (no server) or [bold]dawsos demo[/] (everything).",
)

_START = "Begin"
_WORK = "Work"
_DATA = "Data and definitions"
_OPERATE = "Operate"


def _version(wanted: bool) -> None:
    if wanted:
        print_version()
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks instead of one-line errors.")] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="Instance to use; default: DAWSOS_DATA_DIR, else .dawsos in this folder.",
        ),
    ] = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Portfolio analytics as declarative patterns over Kafka, every figure pinned to its data.

    Exit codes: 0 done or succeeded, 1 error, 2 usage, 3 rejected, 4 failed, 5 timed out, 6 cancelled,
    7 service unavailable, 8 not verifiable, 130 interrupted.
    """
    set_debug(debug)
    set_data_dir(data_dir)


def print_version() -> None:
    """Print name and version to stdout."""
    from importlib.metadata import version

    typer.echo(f"dawsos {version('dawsos-executor')}")


app.command(name="try", rich_help_panel=_START, no_args_is_help=True)(try_files.try_command)
app.command(name="init", rich_help_panel=_START)(init_command.init_command)
app.command(name="demo", rich_help_panel=_START)(demo.demo_command)
app.command(name="up", rich_help_panel=_START)(instance_commands.up_command)
app.command(name="down", rich_help_panel=_START)(instance_commands.down_command)
app.command(name="status", rich_help_panel=_START)(instance_commands.status_command)
app.command(name="console", rich_help_panel=_START)(console_link.console_command)
app.command(name="run", rich_help_panel=_WORK, no_args_is_help=True)(run.run_command)
app.command(name="report", rich_help_panel=_WORK, no_args_is_help=True)(report_command.report_command)
app.command(name="verify", rich_help_panel=_WORK, no_args_is_help=True)(verify_command.verify_command)
app.command(name="replay", rich_help_panel=_WORK, no_args_is_help=True)(replay_command.replay_command)
app.command(name="diff", rich_help_panel=_WORK, no_args_is_help=True)(diff_command.diff_command)
app.add_typer(execution_commands.app, name="executions", rich_help_panel=_WORK)
app.add_typer(dead_letter_commands.app, name="dlq", rich_help_panel=_WORK)
pattern_commands.app.command(name="test")(fixture_command.test_command)
app.add_typer(pattern_commands.app, name="patterns", rich_help_panel=_DATA)
app.command(name="capabilities", rich_help_panel=_DATA)(capability_commands.capabilities_command)
app.add_typer(pack_commands.app, name="packs", rich_help_panel=_DATA)
app.add_typer(portfolio_commands.app, name="portfolios", rich_help_panel=_DATA)
app.add_typer(ledger_commands.app, name="ledger", rich_help_panel=_DATA)
app.add_typer(topic_commands.app, name="topics", rich_help_panel=_OPERATE)
app.add_typer(worker_commands.app, name="worker", rich_help_panel=_OPERATE)
app.command(name="token", rich_help_panel=_OPERATE)(token_command.token_command)
app.command(name="migrate", rich_help_panel=_OPERATE)(instance_commands.migrate_command)
app.add_typer(bench_commands.app, name="bench", rich_help_panel=_OPERATE)
app.command(name="chaos", rich_help_panel=_OPERATE)(chaos_commands.chaos_command)
app.command(name="simulate", rich_help_panel=_OPERATE)(simulate_commands.simulate_command)


@app.command(name="version", rich_help_panel=_OPERATE)
def version_command() -> None:
    """Print the version."""
    print_version()


def main() -> None:
    """Run the command line; never returns."""
    app()


if __name__ == "__main__":
    main()
