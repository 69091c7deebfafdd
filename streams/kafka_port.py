"""What the processor and its acknowledgements ask of Kafka: `FaustPort` here, a simulated log in `simulation/`."""

from collections.abc import Awaitable
from typing import Any, Protocol

from streams.headers import Header


class KafkaPort(Protocol):
    """One worker's consumer and producer.

    Attributes:
        generation: of this member in its consumer group; events fetched in another one are somebody else's by now.
    """

    @property
    def generation(self) -> int: ...  # noqa: D102

    def forget(self, message: Any) -> None:
        """Do not wait for a message's acknowledgement: it was fetched before a rebalance."""
        ...

    def committed(self, topic: str, partition: int) -> int | None:
        """Return the offset this worker has committed for a partition it owns, or None."""
        ...

    def hold(self, topic: str, partitions: frozenset[int]) -> None:
        """Fetch nothing from these partitions of a topic, and again from those held before."""
        ...

    def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int | None,
        timestamp_ms: int | None,
        headers: list[Header] | None,
    ) -> Awaitable[Awaitable[Any]]:
        """Send a record; the outer awaitable ends when it is on its way, the inner when it is confirmed."""
        ...


class FaustPort:
    """The port of a Faust app.

    Args:
        app: on the durable transport.
    """

    __slots__ = ("_app",)

    def __init__(self, app: Any) -> None:
        self._app = app

    @property
    def generation(self) -> int:
        """See `KafkaPort`."""
        return self._app.consumer_generation_id

    def forget(self, message: Any) -> None:
        """See `KafkaPort`."""
        self._app.consumer._unacked_messages.discard(message)

    def committed(self, topic: str, partition: int) -> int | None:
        """See `KafkaPort`."""
        for tp, offset in self._app.consumer._committed_offset.items():
            if tp.topic == topic and tp.partition == partition:
                return offset
        return None

    def hold(self, topic: str, partitions: frozenset[int]) -> None:
        """See `KafkaPort`."""
        self._app.consumer.hold_partitions(topic, partitions)

    def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int | None,
        timestamp_ms: int | None,
        headers: list[Header] | None,
    ) -> Awaitable[Awaitable[Any]]:
        """See `KafkaPort`."""
        return self._app.producer._producer.send(topic, value, key, partition, timestamp_ms, headers)
