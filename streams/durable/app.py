"""A Faust app with the durable parts wired in and its settings chosen."""

import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import faust
from yarl import URL

from streams.durable.monitor import QuietMonitor
from streams.durable.pace import use_fast_paths
from streams.durable.recovery import DurableTableManager
from streams.durable.table import FencedTable
from streams.durable.transport import DurableTransport
from streams.lease import GroupLease

SESSION_TIMEOUT_S = 6.0
REBALANCE_TIMEOUT_S = 30.0


class DurableApp(faust.App):
    """Faust app on the durable transport.

    Attributes:
        handler: takes each record of the stream topics, one after another, instead of the agents' streams; None for
            those.
        lease: of this worker's place in the group, asked before partitions are taken over; None for none.
    """

    lease: GroupLease | None = None
    handler: Callable[[Any], Awaitable[None]] | None = None

    def _new_transport(self) -> Any:
        return DurableTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Any:
        return DurableTransport(self.conf.broker_producer, self)


def make_app(
    group: str,
    *,
    owner: str,
    brokers: list[str],
    partitions: int,
    replication: int,
    data_dir: Path,
    message_bytes_max: int,
    credentials: Any = None,
    ssl_context: ssl.SSLContext | None = None,
) -> DurableApp:
    """Return an app that consumes at least once.

    Args:
        group: consumer group, also the prefix of changelog names.
        owner: name of this worker, unique in the group.
        brokers: `host:port` of bootstrap servers.
        partitions: count of every topic the app reads and of its changelogs.
        replication: of changelogs; only checked, topics are created beforehand.
        data_dir: for Faust's bookkeeping; one per worker, created if absent.
        message_bytes_max: longest message sent.
        credentials: Faust broker credentials; None for plain text.
        ssl_context: for TLS without SASL.
    """
    use_fast_paths()
    data_dir.mkdir(parents=True, exist_ok=True)
    app = DurableApp(
        group,
        broker=[URL(f"kafka://{broker}") for broker in brokers],
        broker_credentials=credentials,
        ssl_context=ssl_context,
        store="memory://",
        processing_guarantee="at_least_once",
        topic_partitions=partitions,
        topic_replication_factor=replication,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        producer_acks=-1,
        producer_linger=0,
        producer_request_timeout=60,
        producer_max_request_size=message_bytes_max,
        broker_client_id=group,
        broker_session_timeout=SESSION_TIMEOUT_S,
        broker_heartbeat_interval=SESSION_TIMEOUT_S / 4,
        broker_rebalance_timeout=REBALANCE_TIMEOUT_S,
        broker_request_timeout=60,
        broker_commit_interval=1.0,
        # A commit inside the drain loop would stall it; the timer above commits.
        broker_commit_every=10**9,
        broker_max_poll_records=500,
        consumer_max_fetch_size=max(1024 * 1024, message_bytes_max),
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=4096,
        stream_wait_empty=True,
        key_serializer="raw",
        value_serializer="raw",
        web_enabled=False,
        # Faust tells group members apart by this address even with the web server off.
        canonical_url=f"http://{owner}",
        worker_redirect_stdouts=False,
        datadir=data_dir,
        Monitor=QuietMonitor,
        Table=FencedTable,
        TableManager=DurableTableManager,
    )
    app.producer.buffer.max_messages = 10_000
    return app
