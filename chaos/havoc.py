"""Does to a running instance what the schedule says. Signals go to that instance's processes only, by its own state."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import asyncpg
from redis.asyncio import Redis

from chaos.faults import Fault, Kind
from local.data_dir import DataDir
from local.process import ProcessRecord, is_running
from local.state import Part, running_state
from settings import Settings

_KILLS = {
    Kind.KILL_ORCHESTRATOR: ("orchestrator-", signal.SIGKILL),
    Kind.KILL_AGENTS: ("agents-", signal.SIGKILL),
    Kind.TERM_ORCHESTRATOR: ("orchestrator-", signal.SIGTERM),
    Kind.TERM_AGENTS: ("agents-", signal.SIGTERM),
    Kind.KILL_PROJECTOR: ("projector", signal.SIGKILL),
    Kind.KILL_KAFKA: ("kafka", signal.SIGKILL),
    Kind.KILL_POSTGRES: ("postgres", signal.SIGKILL),
    # Fast shutdown: clients are disconnected, nothing is lost, the next start needs no recovery.
    Kind.STOP_POSTGRES: ("postgres", signal.SIGINT),
    Kind.KILL_REDIS: ("valkey", signal.SIGKILL),
}
_PAUSES = {Kind.PAUSE_ORCHESTRATOR: "orchestrator-", Kind.PAUSE_AGENTS: "agents-"}
_SWITCH_TRIES_S = 30.0
# The artifact store refuses rows as a Postgres does whose disk is full. The switch is a row, so it needs no DDL while
# the run goes on; the function runs as its owner, because the application's role may not read the switch.
_FULL_DISK = """
CREATE SCHEMA IF NOT EXISTS chaos;
CREATE TABLE IF NOT EXISTS chaos.full_disk (until timestamptz NOT NULL);
CREATE OR REPLACE FUNCTION chaos.refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF EXISTS (SELECT FROM chaos.full_disk WHERE until > clock_timestamp()) THEN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
    END IF;
    RETURN NEW;
END $$;
GRANT USAGE ON SCHEMA chaos TO PUBLIC;
CREATE OR REPLACE TRIGGER chaos_full_disk BEFORE INSERT OR UPDATE ON artifacts
    FOR EACH ROW EXECUTE FUNCTION chaos.refuse();
"""


class Havoc:
    """Carries out faults on the instance of a data directory.

    Args:
        settings: with addresses and the data directory.
        report: takes a line for each fault that was done.
    """

    def __init__(self, settings: Settings, report: Callable[[str], None]) -> None:
        self._settings = settings
        self._data_dir = DataDir(settings.data_dir)
        self._report = report
        self._paused: list[ProcessRecord] = []
        self.done: dict[str, int] = {}

    async def prepare(self) -> None:
        """Install the trigger of the full disk, switched off; before any fault."""
        connection = await asyncpg.connect(self._settings.postgres_admin_url())
        try:
            await connection.execute(_FULL_DISK)
        finally:
            await connection.close()

    async def run(self, faults: tuple[Fault, ...]) -> None:
        """Do all faults at their times, counted from now; returns when the last one is over."""
        begun = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(max(0.0, begun + fault.at_s - time.monotonic()))
                group.create_task(self._do(fault))

    async def _do(self, fault: Fault) -> None:
        done = await self._carried_out(fault)
        if done is not None:
            self.done[fault.kind.value] = self.done.get(fault.kind.value, 0) + 1
            self._report(done)

    async def _carried_out(self, fault: Fault) -> str | None:
        if fault.kind in _KILLS:
            prefix, number = _KILLS[fault.kind]
            record = self._send(prefix, fault.pick, number)
            return None if record is None else f"{number.name} to {record.name} ({record.pid})"
        if fault.kind in _PAUSES:
            return await self._pause(_PAUSES[fault.kind], fault)
        if fault.kind is Kind.FLUSH_REDIS:
            return await self._flush()
        return await self._fill_disk(fault.lasts_s)

    def _send(self, prefix: str, pick: int, number: signal.Signals) -> ProcessRecord | None:
        """Send a signal to one of the running processes with such a name; None if there is none just now."""
        state = running_state(self._data_dir)
        records = [_record(part) for part in (state.parts if state else ()) if part.name.startswith(prefix)]
        running = [record for record in records if record is not None and is_running(record)]
        if not running:
            return None
        record = running[pick % len(running)]
        with suppress(ProcessLookupError):
            os.kill(record.pid, number)
            return record
        return None

    async def _pause(self, prefix: str, fault: Fault) -> str | None:
        record = self._send(prefix, fault.pick, signal.SIGSTOP)
        if record is None:
            return None
        self._report(f"SIGSTOP to {record.name} ({record.pid}) for {fault.lasts_s:g} s")
        self._paused.append(record)
        await asyncio.sleep(fault.lasts_s)
        self._wake(record)
        return f"SIGCONT to {record.name} ({record.pid})"

    def _wake(self, record: ProcessRecord) -> None:
        self._paused.remove(record)
        if is_running(record):
            with suppress(ProcessLookupError):
                os.kill(record.pid, signal.SIGCONT)

    def wake_all(self) -> None:
        """Let everything that is still paused go on; for the end of a run, however it ends."""
        for record in list(self._paused):
            self._wake(record)

    async def _flush(self) -> str | None:
        redis = Redis.from_url(self._settings.redis_url())
        try:
            await redis.flushall()
        except Exception:
            # It is being killed at the moment, which empties it too.
            return None
        finally:
            await redis.aclose()
        return "FLUSHALL to redis"

    async def _fill_disk(self, seconds: float) -> str | None:
        deadline = time.monotonic() + _SWITCH_TRIES_S
        while time.monotonic() < deadline:
            try:
                connection = await asyncpg.connect(self._settings.postgres_admin_url(), timeout=3)
                try:
                    await connection.execute(
                        "INSERT INTO chaos.full_disk VALUES (clock_timestamp() + make_interval(secs => $1))", seconds
                    )
                finally:
                    await connection.close()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(0.5)
            else:
                return f"the artifact store is full (SQLSTATE 53100) for {seconds:g} s"
        return None


def _record(part: Part) -> ProcessRecord | None:
    return None if part.pid is None else ProcessRecord(part.name, part.pid, part.started, part.log)
