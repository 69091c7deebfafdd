"""Upgrade, rollback, backup and restore with executions under way: `python -m chaos.rehearsal [--former REV]`.

Two releases: `--former` (HEAD by default) and this tree, with another pattern text. Executions of both run, and wait
for their pack while everything is stopped and started with the other release, then from a backup. Each must end with
the answer of the release that admitted it. Prints what was done and how long it took; exit code 1 if anything differs.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from chaos.mix import POLICY, day_of
from chaos.packs import WarmingPacks
from chaos.reading import read_topics
from local.state import connect
from settings import Settings, load_settings
from streams.publisher import ExecutionClient
from topics.codec import execution_id_of
from topics.messages import ExecuteRequest, Gate, GatePolicy
from topics.table import EXECUTION_RESULTS

ROOT = Path(__file__).resolve().parents[1]
COUNT = 20
_PATIENCE_S = 1800.0
_WITHIN_S = 180.0
_TENANT, _USER = "rehearsal", UUID(int=5)
_LIVE, _PARKED = "rehearsal_live", "rehearsal_parked"
# Four of these outlast a restart.
_STEP_MS = 4000


def patterns(release: str) -> Mapping[str, Any]:
    """Return the pattern files of a release: one that takes its time, and one that waits for its pack."""
    steps = [
        {"capability": "chaos.work", "as": f"part_{number}", "args": {"value": f"{{{{state.part_{number - 1}}}}}"}}
        for number in range(2, 5)
    ]
    first = {"capability": "chaos.work", "as": "part_1", "args": {"value": 1}}
    live = [step | {"args": {**step["args"], "ms": _STEP_MS}} for step in (first, *steps)]
    parked = [{"capability": "chaos.priced", "as": "day", "args": {}}]
    said = {"capability": "bench.noop", "as": "release", "args": {"value": release}}
    return {
        name: {
            "id": name,
            "name": name,
            "description": "For the rehearsal of upgrades.",
            "category": "analysis",
            "inputs": {},
            "steps": [*body, said],
            "outputs": ["release"],
        }
        for name, body in ((_LIVE, live), (_PARKED, parked))
    }


class Rehearsal:
    """One data directory, run by one release after the other."""

    def __init__(self, folder: Path, trees: Mapping[str, Path]) -> None:
        self._folder = folder
        self._state = folder / "state"
        self._trees = trees
        self._begun = time.monotonic()
        self.expected: dict[bytes, str] = {}
        for release in trees:
            (folder / release).mkdir()
            for name, pattern in patterns(release).items():
                (folder / release / f"{name}.json").write_text(json.dumps(pattern))

    def say(self, text: str) -> None:
        """Print a line with the time."""
        sys.stdout.write(f"{time.monotonic() - self._begun:6.1f} s  {text}\n")
        sys.stdout.flush()

    def dawsos(self, release: str, *arguments: str) -> None:
        """Run a command of a release."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(self._trees[release]),
            "DAWSOS_DATA_DIR": str(self._state),
            "DAWSOS_PATTERNS": str(self._folder / release),
            "DAWSOS_AGENTS": "chaos.agent:ChaosAgent",
            "DAWSOS_POLICY": POLICY,
        }
        command = [sys.executable, "-m", "cli.main", *arguments]
        subprocess.run(command, cwd=self._trees[release], env=environment, check=True, stderr=subprocess.DEVNULL)
        self.say(f"{release}: dawsos {' '.join(arguments)}")

    def settings(self) -> Settings:
        """Return what reaches the running instance."""
        return connect(load_settings(_env_file=None, data_dir=self._state, policy=POLICY))

    async def submit(self, release: str) -> None:
        """Ask for executions that run and executions that wait."""
        async with ExecutionClient(self.settings(), "rehearsal") as client:
            for name in (_LIVE, _PARKED):
                for number in range(COUNT):
                    asked = _request(name, f"{release} {name} {number}")
                    await client.submit(asked)
                    self.expected[execution_id_of(_TENANT, asked.request_id).encode()] = release
        await asyncio.sleep(_STEP_MS / 1000)
        self.say(f"{release}: {COUNT} executions run, {COUNT} wait for their pack")

    async def results(self, expected: Mapping[bytes, str]) -> int:
        """Wait for the results of some executions; returns how many are not what was expected.

        Raises:
            TimeoutError: they did not come.
        """
        settings = self.settings()
        async with asyncio.timeout(_WITHIN_S):
            while True:
                records = (await read_topics(settings, EXECUTION_RESULTS))[EXECUTION_RESULTS]
                found = {
                    record.key: orjson.loads(record.value or b"{}") for record in records if record.key in expected
                }
                if len(found) == len(expected):
                    break
                await asyncio.sleep(1.0)
        wrong = [key for key, result in found.items() if key and result["data"].get("release") != expected[key]]
        for key in wrong[:3]:
            self.say(f"wrong: {key!r}: {found[key]['status']} {found[key]['data']} {found[key].get('error')}")
        self.say(
            f"{len(found) - len(wrong)} of {len(expected)} executions ended as the release that admitted them says"
        )
        return len(wrong)

    def back_up(self) -> None:
        """Copy the data directory of a stopped instance."""
        with tarfile.open(self._folder / "backup.tar", "w") as archive:
            archive.add(self._state, "state")
        self.say(f"backup of {(self._folder / 'backup.tar').stat().st_size // 1024**2} MB")

    def restore(self) -> None:
        """Lose the data directory and put the backup in its place."""
        shutil.rmtree(self._state)
        with tarfile.open(self._folder / "backup.tar") as archive:
            archive.extractall(self._folder, filter="fully_trusted")
        self.say("data directory lost, backup restored")


def _request(name: str, request_id: str) -> ExecuteRequest:
    return ExecuteRequest(
        tenant=_TENANT,
        request_id=request_id,
        user_id=_USER,
        pattern_id=name,
        asof=day_of(0) if name == _PARKED else None,
        gate=Gate(policy=GatePolicy.WAIT, wait_s=_PATIENCE_S),
        deadline_s=_PATIENCE_S,
        submitted_at=datetime.now(UTC),
    )


async def rehearse(run: Rehearsal) -> int:
    """Go through all of it; returns how many executions did not end as they should."""
    run.dawsos("former", "up", "--detach")
    packs = WarmingPacks(run.settings(), 1)
    await packs.make()
    await run.submit("former")
    run.dawsos("former", "down")
    run.back_up()
    of_backup = dict(run.expected)
    run.dawsos("next", "up", "--detach")
    await run.submit("next")
    run.dawsos("next", "down")
    run.dawsos("former", "up", "--detach")
    await packs.freeze_next()
    wrong = await run.results(run.expected)
    run.dawsos("former", "down")
    run.restore()
    run.dawsos("next", "up", "--detach")
    packs.fresh = 0
    await packs.freeze_next()
    wrong += await run.results(of_backup)
    run.dawsos("next", "down")
    return wrong


@contextmanager
def _checkout(revision: str, folder: Path) -> Iterator[Path]:
    git = ("git", "-C", str(ROOT), "worktree")
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), revision], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def main() -> None:
    """Check out the former release, rehearse, stop everything."""
    parser = argparse.ArgumentParser(prog="python -m chaos.rehearsal", description=__doc__)
    parser.add_argument("--former", default="HEAD", help="Revision of the former release.")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dawsos-rehearsal-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # Postgres runs as another user when this is root.
        folder.chmod(0o711)
        with _checkout(chosen.former, folder / "tree") as former:
            run = Rehearsal(folder, {"former": former, "next": ROOT})
            try:
                wrong = asyncio.run(rehearse(run))
            finally:
                run.dawsos("next", "down")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
