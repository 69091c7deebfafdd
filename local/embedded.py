"""The embedded services of one data directory, started together and stopped together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from local.data_dir import DataDir, Instance
from local.errors import PortTaken, ServiceFailed
from local.kafka import KafkaServer
from local.postgres import PostgresServer
from local.process import ProcessRecord
from local.server import Server
from local.valkey import ValkeyServer
from settings import Settings, cache_folder

START_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the services are, with passwords (hidden in the repr); the form of `DAWSOS_…` values."""

    kafka: str
    postgres: str = field(repr=False)
    postgres_admin: str = field(repr=False)
    redis: str = field(repr=False)

    def apply(self, settings: Settings) -> Settings:
        """The same settings with these addresses."""
        return settings.with_addresses(
            kafka=self.kafka,
            postgres=self.postgres,
            postgres_admin=self.postgres_admin,
            redis=self.redis,
        )

    def environment(self) -> dict[str, str]:
        """`DAWSOS_…` variables for a child process."""
        return {
            "DAWSOS_KAFKA": self.kafka,
            "DAWSOS_POSTGRES": self.postgres,
            "DAWSOS_POSTGRES_ADMIN": self.postgres_admin,
            "DAWSOS_REDIS": self.redis,
        }


class EmbeddedServices:
    """Async context manager: locks the directory, starts what the settings leave open, stops it at the end.

    A service whose address is set is external and not touched. Start-up cleans up what a killed run left. Ports:
    recorded ones are used again; one that another program took is replaced, unless the user fixed it.
    """

    def __init__(
        self,
        data_dir: Path,
        settings: Settings,
        *,
        on_ready: Callable[[Server], None] = lambda server: None,
        on_leftover: Callable[[ProcessRecord], None] = lambda record: None,
        say: Callable[[str], None] = lambda text: None,
        others: Callable[[], Iterable[ProcessRecord]] = tuple,
    ) -> None:
        """Nothing is started.

        Args:
            data_dir: locked while the context is open.
            settings: addresses that are set are external; fixed ports; cache folder; start timeout.
            on_ready: called as each server answers.
            on_leftover: called for each process of an earlier run that had to be stopped.
            say: told before anything that takes long.
            others: further processes to remember for the next start's clean-up.
        """
        self.data_dir = DataDir(data_dir)
        self.settings = settings
        self.servers: dict[str, Server] = {}
        self.gateway_port = 0
        self._on_ready = on_ready
        self._on_leftover = on_leftover
        self._say = say
        self._others = others
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Addresses:
        """Start everything in parallel.

        Raises:
            DataDirInUse, EmbeddedMissing, PortTaken, ServiceFailed, LocalError: nothing is left running.
        """
        async with AsyncExitStack() as stack:
            stack.enter_context(self.data_dir)
            for record in await asyncio.to_thread(self.data_dir.stop_leftovers):
                self._on_leftover(record)
            stack.push_async_callback(self._stop)
            await self._start_all()
            self._stack = stack.pop_all()
        return self.addresses()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the servers and give the directory back."""
        await self._stack.aclose()

    def addresses(self) -> Addresses:
        """Embedded and external addresses together; valid once started."""
        settings = self.settings
        kafka, postgres, redis = (self.servers.get(name) for name in ("kafka", "postgres", "valkey"))
        admin = postgres.admin_url if isinstance(postgres, PostgresServer) else None
        return Addresses(
            kafka=kafka.url if kafka else settings.kafka_url(),
            postgres=postgres.url if postgres else settings.postgres_url(),
            postgres_admin=admin or settings.postgres_admin_url(),
            redis=redis.url if redis else settings.redis_url(),
        )

    def records(self) -> Iterator[ProcessRecord]:
        """The running server processes."""
        for server in self.servers.values():
            if server.child is not None:
                yield server.child.record

    def record_processes(self) -> None:
        """Remember servers and others, so that the next start can clean up after a kill."""
        self.data_dir.record_processes([*self.records(), *self._others()])

    async def restart(self, name: str) -> None:
        """Start one server again after its process ended; same port, same data."""
        await self._start(name)

    async def _start_all(self) -> None:
        settings = self.settings
        fixed = {
            "kafka": settings.kafka_port,
            "postgres": settings.postgres_port,
            "valkey": settings.redis_port,
            "gateway": settings.gateway_port,
        }
        instance = self.data_dir.instance()
        ports = self.data_dir.choose_ports(fixed)
        self.gateway_port = ports["gateway"]
        if settings.kafka is None:
            self.servers["kafka"] = self._kafka(instance, ports["kafka"], ports["kafka_controller"])
        if settings.postgres is None:
            self.servers["postgres"] = PostgresServer(self.data_dir, instance, ports["postgres"])
        if settings.redis is None:
            self.servers["valkey"] = ValkeyServer(self.data_dir, instance, ports["valkey"])
        starts = [asyncio.ensure_future(self._start_somewhere(name, fixed)) for name in self.servers]
        try:
            await asyncio.gather(*starts)
        finally:
            # One failed: let the others come to rest before anything is stopped.
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)

    def _kafka(self, instance: Instance, port: int, controller_port: int) -> KafkaServer:
        return KafkaServer(
            self.data_dir,
            instance,
            port,
            controller_port=controller_port,
            cache=cache_folder(self.settings.cache_dir),
            flush_every_message=self.settings.kafka_flush_every_message,
            optimizing=self.settings.kafka_optimizing,
            say=self._say,
        )

    async def _start_somewhere(self, name: str, fixed: dict[str, int | None]) -> None:
        """Start; when the port was taken meanwhile, choose another one."""
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                await self._start(name)
            except (PortTaken, ServiceFailed) as error:
                taken = isinstance(error, PortTaken) or "ddress already in use" in str(error)
                if not taken or attempt == START_ATTEMPTS:
                    raise
                if fixed[name] is not None:
                    raise PortTaken(
                        f"{name}: port {fixed[name]} ({self.servers[name].variable}_PORT) is in use by "
                        "another program: free it, choose another, or leave the variable empty"
                    ) from error
                self._move(name, fixed)
            else:
                self._on_ready(self.servers[name])
                return

    def _move(self, name: str, fixed: dict[str, int | None]) -> None:
        avoid = ("kafka", "kafka_controller") if name == "kafka" else (name,)
        keep: dict[str, int | None] = {
            **{other: server.port for other, server in self.servers.items()},
            "gateway": self.gateway_port,
            name: None,
        }
        ports = self.data_dir.choose_ports({**fixed, **keep}, avoid)
        server = self.servers[name]
        if name == "kafka":
            self.servers[name] = self._kafka(server.instance, ports[name], ports["kafka_controller"])
        else:
            server.port = ports[name]

    async def _start(self, name: str) -> None:
        server = self.servers[name]
        # Recorded as soon as the process exists, so that a kill during start-up can be cleaned up.
        server.on_spawn = self.record_processes
        await server.start(self.settings.start_timeout_s)

    async def _stop(self) -> None:
        await asyncio.gather(*(server.stop() for server in self.servers.values()))
        self.data_dir.record_processes([])
