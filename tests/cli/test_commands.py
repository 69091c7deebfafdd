"""Errors, exit codes and help of the command as a whole."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from cli.commands import Commands
from cli.exits import Exit, exit_of
from cli.failures import CommandFailed, explain
from cli.main import app
from tests.cli.command import ROOT, invoke, spawn
from tests.provenance.stage import document, parsed, run, step
from topics.errors import Code, RetryableError, TerminalError
from topics.messages import ExecutionStatus

COMMANDS = ("try", "demo", "up", "down", "status", "run", "executions", "dlq", "patterns", "capabilities", "packs")
MORE = ("ledger", "topics", "worker", "migrate", "bench", "version")


def test_help_names_every_command_and_exit_code() -> None:
    text = invoke("--help").stdout
    for name in (*COMMANDS, *MORE):
        assert f" {name} " in text
    for part in ("3 rejected", "4 failed", "5 timed out", "6 cancelled"):
        assert part in " ".join(text.split())


@pytest.mark.parametrize("name", COMMANDS + MORE)
def test_every_command_has_help(name: str) -> None:
    found = invoke(name, "--help")
    assert found.exit_code == 0
    assert "Usage:" in found.stdout


def test_root_group_handles_errors() -> None:
    assert isinstance(get_command(app), Commands)


def test_version() -> None:
    assert invoke("version").stdout == invoke("--version").stdout
    assert invoke("version").stdout.startswith("dawsos ")


def test_statuses_have_distinct_codes() -> None:
    codes = {exit_of(status.value) for status in ExecutionStatus}
    assert len(codes) == len(ExecutionStatus)
    assert exit_of("succeeded") == 0
    assert codes.isdisjoint({Exit.USAGE, Exit.ERROR, Exit.UNAVAILABLE})


def test_a_tracing_option_shows_the_traceback() -> None:
    quiet = spawn("patterns", "validate", "/nonexistent.json")
    assert quiet.returncode == Exit.USAGE
    assert "Traceback" not in quiet.stderr
    assert quiet.stderr.count("\n") == 1
    loud = spawn("--debug", "patterns", "validate", "/nonexistent.json")
    assert "Traceback" in loud.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "portfolio_overview"),
        ("packs", "list"),
        ("dlq", "list"),
        ("executions", "list"),
        ("topics", "describe"),
        ("migrate",),
    ],
)
def test_without_an_instance_commands_say_how_to_get_one(arguments: tuple[str, ...]) -> None:
    found = invoke(*arguments)
    assert found.exit_code == Exit.UNAVAILABLE
    assert "dawsos up" in found.stderr
    assert found.stdout == ""


def test_services_that_do_not_answer(tmp_path: Path) -> None:
    found = spawn(
        "packs",
        "list",
        DAWSOS_KAFKA="kafka://127.0.0.1:1",
        DAWSOS_POSTGRES="postgresql://nobody:secret@127.0.0.1:1/none",
        DAWSOS_REDIS="redis://127.0.0.1:1",
    )
    assert found.returncode == Exit.UNAVAILABLE
    assert "Traceback" not in found.stderr
    assert "secret" not in found.stderr


async def test_two_files_are_compared_though_the_instance_does_not_answer(tmp_path: Path) -> None:
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for file, value in zip(files, ("10", "12"), strict=True):
        source = document(step("echo", "answer", args={"value": value}))
        file.write_text(json.dumps(parsed(await run(source))))
    found = spawn(
        "diff",
        *map(str, files),
        DAWSOS_KAFKA="kafka://127.0.0.1:1",
        DAWSOS_POSTGRES="postgresql://nobody:secret@127.0.0.1:1/none",
        DAWSOS_REDIS="redis://127.0.0.1:1",
    )
    assert found.returncode == Exit.ERROR, found.stderr
    assert "10 → 12" in found.stdout
    assert "the instance does not answer" in found.stderr and "Traceback" not in found.stderr


def test_a_file_that_was_changed_is_no_answer_to_compare(tmp_path: Path) -> None:
    true, forged = tmp_path / "true.json", tmp_path / "forged.json"
    result = parsed(asyncio.run(run(document(step("echo", "answer", args={"value": "10"})))))
    true.write_text(json.dumps(result))
    assert invoke("diff", str(true), str(true)).exit_code == 0
    forged.write_text(json.dumps({**result, "data": {"answer": "12"}}))
    found = invoke("diff", str(true), str(forged))
    assert found.exit_code == Exit.ERROR and "the same answer" not in found.stdout
    assert f"{forged} does not fit its digests" in found.stdout and f"{forged}#/data/answer: " in found.stdout
    assert f"{true} does not fit" not in found.stdout and "10 → 12" in found.stdout
    answer = json.loads(invoke("diff", str(true), str(forged), "--json").stdout)
    assert answer["same"] is False and [*answer["altered"]] == [str(forged)]


def test_a_principal_without_a_part_is_said_by_its_form() -> None:
    for given in ("User:gw", "gateway=", "=User:gw"):
        found = invoke("topics", "acls", "--principal", given)
        assert (
            found.exit_code == Exit.USAGE
            and f"expected PART=PRINCIPAL, as gateway=User:gw, got '{given}'" in found.stderr
        )
    assert "expected parts of" in invoke("topics", "acls", "--principal", "x=User:gw").stderr


def test_bad_setting_is_a_usage_error() -> None:
    found = spawn("status", DAWSOS_KAFKA="http://x", DAWSOS_PARTITIONS="0")
    assert found.returncode == Exit.USAGE
    assert "DAWSOS_KAFKA" in found.stderr
    assert "DAWSOS_PARTITIONS" in found.stderr


def test_status_without_an_instance() -> None:
    found = invoke("status", "--json")
    assert found.exit_code == 3
    assert json.loads(found.stdout)["running"] is False


def test_known_errors_are_explained() -> None:
    terminal = explain(TerminalError(Code.NO_PACK, "no pack for that day"))
    assert terminal is not None
    assert (terminal.message, terminal.code) == ("no pack for that day", Exit.ERROR)
    fleeting = explain(RetryableError(Code.UPSTREAM_FAILED, "Postgres is away"))
    assert fleeting is not None
    assert fleeting.code == Exit.UNAVAILABLE
    own = CommandFailed("text", Exit.USAGE)
    assert explain(own) is own
    assert explain(ZeroDivisionError("x")) is None


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_interrupt_ends_with_130(tmp_path: Path) -> None:
    # A FIFO nobody writes to: the command is surely busy reading when the signal comes.
    fifo = tmp_path / "slow.json"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "patterns", "validate", str(fifo)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell lets what it starts in the background ignore it, and with it everything started by that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    writer = os.open(fifo, os.O_WRONLY)  # returns once the command has opened the other end
    try:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        os.close(writer)
    assert process.returncode == Exit.INTERRUPTED
    assert err == "error: interrupted\n"
    assert out == ""
