"""Run an instance: services, preparation (schema, topics), workers; keep all alive until told to stop.

The supervisor holds the lock of the data directory and is the parent of every process. When it is killed, the kernel
ends its children (Linux); when one of its children ends, it starts that one again. It stops workers before the
services they need.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

from local.data_dir import DataDir
from local.embedded import Addresses, EmbeddedServices
from local.errors import LocalError
from local.ports import LOOPBACK
from local.process import Child, ProcessRecord, put_aside, start_time
from local.server import Server
from local.state import Part, State, Status
from local.worker import Worker, WorkerSpec, backoff_s
from settings import Settings

Prepare = Callable[[Settings], Awaitable[None]]
Report = Callable[[str], None]

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WORKER_PATIENCE_S = 10.0
# The worker that has an address of its own.
GATEWAY = "gateway"
STUCK_PATIENCE_S = 5.0
FIRST_STARTS_MAX = 3
_LOGS_EVERY_S = 5.0


class Supervisor:
    """One run of one instance."""

    def __init__(
        self,
        settings: Settings,
        workers: Sequence[WorkerSpec],
        prepare: Prepare,
        report: Report = lambda line: None,
    ) -> None:
        """Nothing is started.

        Args:
            settings: addresses that are set are external services.
            workers: started together, once `prepare` is done.
            prepare: makes schema and topics; gets the settings with all addresses; idempotent.
            report: takes one line of progress for a person.
        """
        names = [spec.name for spec in workers]
        if len(set(names)) != len(names):
            raise LocalError(f"worker names must differ, got {', '.join(names)}")
        self._settings = settings
        self._specs = workers
        self._prepare = prepare
        self._report = report
        self._workers: list[Worker] = []
        self._server_restarts: dict[str, int] = {}
        self._ready_servers: set[str] = set()
        self._status: Status = "starting"
        self._addresses: Addresses | None = None
        self._services = EmbeddedServices(
            settings.data_dir,
            settings,
            on_ready=self._server_ready,
            say=report,
            on_leftover=lambda r: report(f"stopped {r.name} (pid {r.pid}) of an earlier run"),
            others=self._worker_records,
        )
        self._identity = ProcessRecord(
            "supervisor",
            os.getpid(),
            start_time(os.getpid()),
            str(self._data_dir.log_file("supervisor")),
        )

    @property
    def _data_dir(self) -> DataDir:
        return self._services.data_dir

    async def run(self, on_ready: Callable[[State], None] = lambda state: None) -> None:
        """Start everything, call `on_ready` once, watch until a stop signal; then stop in order.

        Raises:
            LocalError: start-up failed; nothing is left running.
        """
        async with _stop_signals() as stop:
            work = asyncio.ensure_future(self._run(on_ready))
            stopped = asyncio.ensure_future(stop.wait())
            await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not work.done():
                self._report("stopping")
                work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work

    async def _run(self, on_ready: Callable[[State], None]) -> None:
        async with self._services as addresses:
            try:
                self._addresses = addresses
                self._write_state()
                await self._prepare_instance(addresses)
                await self._start_workers(addresses)
                self._status = "ready"
                self._write_state()
                on_ready(self.state())
                await self._watch()
            finally:
                self._status = "stopping"
                self._write_state()
                await asyncio.shield(self._stop_workers())
                self._data_dir.state_file.unlink(missing_ok=True)

    async def _prepare_instance(self, addresses: Addresses) -> None:
        try:
            await self._prepare(addresses.apply(self._settings))
        except Exception as error:
            raise LocalError(
                f"preparing schema and topics failed: {getattr(error, 'message', None) or error}"
            ) from error

    def state(self) -> State:
        """The state as of now."""
        parts = [
            Part(
                name=server.name,
                kind="server",
                pid=server.child.pid if server.child else None,
                started=server.child.record.started if server.child else None,
                log=str(self._data_dir.log_file(server.name)),
                ready=server.name in self._ready_servers,
                ready_s=server.ready_s,
                restarts=self._server_restarts.get(server.name, 0),
            )
            for server in self._services.servers.values()
        ]
        parts += [
            Part(
                name=worker.name,
                kind="worker",
                pid=worker.child.pid if worker.child else None,
                started=worker.child.record.started if worker.child else None,
                log=str(self._data_dir.log_file(worker.name)),
                ready=worker.ready_s is not None,
                ready_s=worker.ready_s,
                restarts=worker.restarts,
                health=worker.health,
            )
            for worker in self._workers
        ]
        return State(self._status, self._identity, self._addresses, tuple(parts), self._gateway_url())

    def _gateway_url(self) -> str | None:
        if not any(spec.name == GATEWAY for spec in self._specs):
            return None
        host = self._settings.gateway_host
        shown = LOOPBACK if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
        return f"http://{shown}:{self._services.gateway_port}"

    def _write_state(self) -> None:
        self.state().write(self._data_dir)

    def _worker_records(self) -> Iterator[ProcessRecord]:
        return (worker.child.record for worker in self._workers if worker.child)

    def _spawn(self, worker: Worker) -> None:
        worker.spawn()
        self._services.record_processes()

    def _server_ready(self, server: Server) -> None:
        self._ready_servers.add(server.name)
        self._report(f"{server.name:<14} ready in {server.ready_s or 0:.1f} s, port {server.port}")
        self._write_state()

    def _worker_ready(self, worker: Worker) -> None:
        self._report(f"{worker.name:<14} ready in {worker.ready_s or 0:.1f} s")
        self._write_state()

    async def _start_workers(self, addresses: Addresses) -> None:
        environment = {
            **os.environ,
            **self._settings.environment(),
            **addresses.environment(),
            "DAWSOS_GATEWAY_PORT": str(self._services.gateway_port),
        }
        self._workers = [Worker(spec, self._data_dir, environment) for spec in self._specs]
        try:
            async with asyncio.TaskGroup() as group:
                for worker in self._workers:
                    group.create_task(self._first_start(worker))
        except ExceptionGroup as group:
            failures, others = group.split(LocalError)
            if failures is None or others is not None:
                raise
            raise LocalError("\n".join(str(error) for error in failures.exceptions)) from group

    async def _first_start(self, worker: Worker) -> None:
        for attempt in range(1, FIRST_STARTS_MAX + 1):
            self._spawn(worker)
            try:
                await worker.until_ready(self._settings.start_timeout_s)
            except LocalError:
                if attempt == FIRST_STARTS_MAX:
                    raise
                pause_s = worker.note_end()
                self._report(f"{worker.name:<14} ended while starting, again in {pause_s:.1f} s")
                await asyncio.sleep(pause_s)
            else:
                self._worker_ready(worker)
                return

    async def _watch(self) -> None:
        async with asyncio.TaskGroup() as group:
            for name in self._services.servers:
                group.create_task(self._keep_server(name))
            for worker in self._workers:
                group.create_task(self._keep_worker(worker))
            group.create_task(self._bound_logs())
            # With neither servers nor workers there is still an instance to hold until a signal comes.
            group.create_task(asyncio.Event().wait())

    async def _keep_worker(self, worker: Worker) -> None:
        while True:
            assert worker.child is not None
            code, why = await self._end_of(worker, worker.child)
            pause_s = worker.note_end(code)
            worker.ready_s = None
            self._report(f"{worker.name:<14} {why or f'ended with code {code}'}, again in {pause_s:.1f} s")
            self._write_state()
            await asyncio.sleep(pause_s)
            self._spawn(worker)
            try:
                await worker.until_ready(self._settings.start_timeout_s)
            except LocalError as error:
                self._report(str(error))
                await worker.child.stop(patience_s=WORKER_PATIENCE_S)
            else:
                self._worker_ready(worker)

    async def _bound_logs(self) -> None:
        """Keep every log from growing without end, our own too, while its process goes on."""
        while True:
            await asyncio.sleep(_LOGS_EVERY_S)
            # A full disk, say, is told by whoever needs it more.
            with contextlib.suppress(OSError):
                for part in (*self._services.servers.values(), *self._workers):
                    if part.child is not None:
                        part.child.bound_log()
                put_aside(self._data_dir.log_file("supervisor"))

    async def _end_of(self, worker: Worker, child: Child) -> tuple[int, str | None]:
        """Wait until a worker ends, or end it when it is stuck; its exit code, and why it was ended."""
        exited, stuck = asyncio.ensure_future(child.exited()), asyncio.ensure_future(worker.stuck())
        try:
            await asyncio.wait((exited, stuck), return_when=asyncio.FIRST_COMPLETED)
            if exited.done():
                return exited.result(), None
            why = stuck.result()
            self._report(f"{worker.name:<14} is stuck: {why}")
            return await child.stop(patience_s=STUCK_PATIENCE_S), "was stuck"
        finally:
            for task in (exited, stuck):
                task.cancel()
            await asyncio.gather(exited, stuck, return_exceptions=True)

    async def _keep_server(self, name: str) -> None:
        while True:
            server = self._services.servers[name]
            assert server.child is not None
            code = await server.child.exited()
            self._ready_servers.discard(name)
            failures = 0
            while name not in self._ready_servers:
                self._server_restarts[name] = self._server_restarts.get(name, 0) + 1
                self._report(f"{name:<14} ended with code {code}, starting it again")
                self._write_state()
                try:
                    await self._services.restart(name)
                except LocalError as error:
                    failures += 1
                    self._report(str(error))
                    await asyncio.sleep(backoff_s(failures))
                else:
                    self._server_ready(server)

    async def _stop_workers(self) -> None:
        children = [worker.child for worker in self._workers if worker.child]
        await asyncio.gather(*(child.stop(patience_s=WORKER_PATIENCE_S) for child in children))


@contextlib.asynccontextmanager
async def _stop_signals() -> AsyncIterator[asyncio.Event]:
    """An event that SIGINT, SIGTERM or SIGHUP sets."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
