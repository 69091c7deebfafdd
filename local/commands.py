"""`dawsos up`, `down` and `status` as plain functions; each returns the exit code and prints through `typer.echo`.

Progress and errors go to stderr, results to stdout; with `as_json` stdout is exactly one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import typer

from local.data_dir import DataDir
from local.errors import LocalError
from local.probe import ask
from local.process import POLL_S, is_running, put_aside, whole_lines
from local.stack import UP_ARGV
from local.state import State, running_state
from local.supervisor import Prepare, Supervisor
from local.worker import WorkerSpec
from settings import Settings

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_NOT_RUNNING = 3
DOWN_PATIENCE_S = 45.0
READY_PATIENCE_S = 180.0


def up(
    settings: Settings,
    workers: Sequence[WorkerSpec],
    prepare: Prepare,
    *,
    detach: bool = False,
    as_json: bool = False,
    argv: Sequence[str] = UP_ARGV,
) -> int:
    """Run the instance of `settings.data_dir` in the foreground until a signal, or leave it in the background.

    Args:
        settings: addresses that are set are external services.
        workers: what to run beside the services.
        prepare: makes schema and topics before the workers start.
        detach: return as soon as everything is ready.
        as_json: print the state as JSON once ready.
        argv: the command that does the same in the foreground, for `detach`.

    Returns:
        0 when stopped by a signal, or when it is (already) up; 1 if it could not start.
    """
    data_dir = DataDir(settings.data_dir)
    state = running_state(data_dir)
    if state is not None:
        return _already_up(data_dir, state, as_json=as_json)
    if detach:
        return _detach(data_dir, settings, argv, as_json=as_json)
    try:
        supervisor = Supervisor(settings, workers, prepare, report=_progress)
        asyncio.run(supervisor.run(lambda ready: _ready(data_dir, ready, "Ctrl-C or `dawsos down`", as_json=as_json)))
    except LocalError as error:
        _progress(f"error: {error}")
        return EXIT_FAILED
    return EXIT_OK


def down(settings: Settings, *, as_json: bool = False) -> int:
    """Stop the instance; with nothing running, say so. 0, or 1 if something could not be stopped."""
    data_dir = DataDir(settings.data_dir)
    state = running_state(data_dir)
    try:
        if state is not None:
            _stop(data_dir, state)
            _answer({"stopped": True, "data_dir": str(data_dir.path)}, "stopped", as_json)
            return EXIT_OK
        leftovers = 0
        if data_dir.path.is_dir():
            with data_dir:
                leftovers = len(data_dir.stop_leftovers())
    except LocalError as error:
        _progress(f"error: {error}")
        return EXIT_FAILED
    text = f"nothing was running in {data_dir.path}"
    if leftovers:
        text = f"stopped {leftovers} processes that an earlier run left in {data_dir.path}"
    _answer({"stopped": leftovers > 0, "data_dir": str(data_dir.path)}, text, as_json)
    return EXIT_OK


def status(settings: Settings, *, as_json: bool = False, secrets: bool = False) -> int:
    """Say what runs. 0 when everything is ready and live, 3 when nothing runs, 1 in between."""
    data_dir = DataDir(settings.data_dir)
    state = running_state(data_dir)
    value: dict[str, Any] = {"running": state is not None, "data_dir": str(data_dir.path)}
    if state is None:
        _answer(value, f"nothing is running in {data_dir.path}", as_json)
        return EXIT_NOT_RUNNING
    public = state.public(secrets=secrets)
    verdicts = asyncio.run(_ask_all(state))
    for part in public["parts"]:
        part["live"] = None if part["health"] is None else (verdicts[part["name"]] or {}).get("live", False)
        part["troubles"] = (verdicts.get(part["name"]) or {}).get("troubles", [])
    lines = [f"{state.status} in {data_dir.path}, supervisor pid {state.supervisor.pid}"]
    for part in state.parts:
        what = f"ready in {part.ready_s:.1f} s" if part.ready and part.ready_s else "not ready"
        live = "" if part.name not in verdicts else f", {_verdict(verdicts[part.name])}"
        lines.append(f"  {part.name:<14} pid {part.pid}, {what}{live}, {part.restarts} restarts")
    lines += [f"  {name:<14} {url}" for name, url in (public["addresses"] or {}).items()]
    if state.gateway is not None:
        lines.append(f"  {'http':<14} {state.gateway}")
    _answer({**value, **public}, "\n".join(lines), as_json)
    red = any(verdict is None or not verdict.get("live") for verdict in verdicts.values())
    complete = state.status == "ready" and all(part.ready for part in state.parts) and not red
    return EXIT_OK if complete else EXIT_FAILED


async def _ask_all(state: State) -> dict[str, dict[str, Any] | None]:
    parts = {part.name: part.health for part in state.parts if part.health is not None}
    answers = await asyncio.gather(*(ask(url) for url in parts.values()))
    return dict(zip(parts, answers, strict=True))


def _verdict(verdict: dict[str, Any] | None) -> str:
    if verdict is None:
        return "no answer from its health endpoint"
    return "live" if verdict.get("live") else f"stuck: {'; '.join(verdict.get('troubles') or ['no reason given'])}"


def _already_up(data_dir: DataDir, state: State, *, as_json: bool) -> int:
    deadline = time.monotonic() + READY_PATIENCE_S
    current: State | None = state
    while current is not None and current.status == "starting" and time.monotonic() < deadline:
        time.sleep(POLL_S)
        current = running_state(data_dir)
    if current is None or current.status != "ready":
        _progress(f"error: the instance in {data_dir.path} is not ready; try `dawsos status`")
        return EXIT_FAILED
    _progress(f"already up in {data_dir.path} (supervisor pid {current.supervisor.pid})")
    if as_json:
        typer.echo(json.dumps(current.public()))
    return EXIT_OK


def _detach(data_dir: DataDir, settings: Settings, argv: Sequence[str], *, as_json: bool) -> int:
    log = data_dir.log_file("supervisor")
    log.parent.mkdir(parents=True, exist_ok=True)
    put_aside(log)
    with log.open("ab") as output:
        begun = output.tell()
        # Not a Child: this one is meant to outlive us.
        supervisor = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={
                **os.environ,
                **settings.environment(),
                "DAWSOS_DATA_DIR": str(data_dir.path),
            },
        )
    deadline = time.monotonic() + READY_PATIENCE_S
    while time.monotonic() < deadline:
        # Read before the state: what it says of its being ready is said below, with how to stop it from here.
        lines, begun = whole_lines(log, begun)
        state = running_state(data_dir)
        is_ready = state is not None and state.status == "ready" and state.supervisor.pid == supervisor.pid
        for line in lines:
            if not (is_ready and line.startswith(("gateway at", "ready;"))):
                _progress(line)
        if is_ready:
            assert state is not None
            # Its end is nobody's to wait for any more.
            supervisor.returncode = 0
            _ready(data_dir, state, "`dawsos down`", as_json=as_json)
            return EXIT_OK
        if supervisor.poll() is not None:
            break
        time.sleep(POLL_S)
    else:
        supervisor.terminate()
        supervisor.wait()
    state = running_state(data_dir)
    if state is not None and state.supervisor.pid != supervisor.pid:
        # Somebody else started one in the same moment, and was first.
        return _already_up(data_dir, state, as_json=as_json)
    for line in whole_lines(log, begun)[0]:
        _progress(line)
    return EXIT_FAILED


def _stop(data_dir: DataDir, state: State) -> None:
    os.kill(state.supervisor.pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_PATIENCE_S
    while is_running(state.supervisor):
        if time.monotonic() > deadline:
            raise LocalError(
                f"supervisor {state.supervisor.pid} did not stop within {DOWN_PATIENCE_S:g} s; "
                f"see {state.supervisor.log}"
            )
        time.sleep(POLL_S)


def _ready(data_dir: DataDir, state: State, how: str, *, as_json: bool) -> None:
    if state.gateway is not None:
        _progress(f"gateway at {state.gateway}")
    _progress(f"ready; data in {data_dir.path}; stop with {how}")
    if as_json:
        typer.echo(json.dumps(state.public()))
        sys.stdout.flush()


def _answer(value: dict[str, Any], text: str, as_json: bool) -> None:
    typer.echo(json.dumps(value) if as_json else text)


def _progress(line: str) -> None:
    typer.echo(line, err=True)
