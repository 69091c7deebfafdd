"""The parts of Faust and aiokafka that this package replaces or relies on the inside of, with the hash of their source.

A new version that leaves all of these alone is safe to take. One that changes any of them needs a look at what
changed, at the comment of the replacement, and a run of the recovery test, before the hash here is renewed with
`python -m streams.durable.upstream`.
"""

import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer, util
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import CoordinatorGroupRebalance, GroupCoordinator
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.sender import Sender
from faust.app.base import App
from faust.tables.base import Collection
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport import consumer
from faust.transport.drivers import aiokafka as driver
from mode.threads import QueueServiceThread, ServiceThread

VERSIONS = {"faust-streaming": "0.15.3", "aiokafka": "0.14"}

PARTS: tuple[Callable[..., Any], ...] = (
    # replaced
    consumer.Consumer._drain_messages,
    consumer.Consumer.perform_seek,
    driver.AIOKafkaConsumerThread.getmany,
    driver.AIOKafkaConsumerThread._create_worker_consumer,
    driver.AIOKafkaConsumerThread.on_start,
    driver.Producer.flush,
    driver.Producer._settings_extra,
    driver.Consumer._new_consumer_thread,
    Collection._new_store_by_url,
    TableManager.on_start,
    TableManager._update_channels,
    TableManager.on_rebalance,
    TableManager.on_partitions_revoked,
    TableManager.recovery.fget,  # type: ignore[attr-defined]
    App._new_transport,
    App._new_producer_transport,
    ServiceThread.start,
    ServiceThread.stop,
    ServiceThread._gather_remaining_tasks,
    QueueServiceThread.call_thread,
    util.get_running_loop,
    Sender._send_produce_req,
    Sender._sender_routine,
    Fetcher._get_actions_per_node,
    Fetcher._fetch_requests_routine,
    Fetcher.fetched_records,
    AIOKafkaConnection.send,
    AIOKafkaProducer.send,
    consumer.Consumer.getmany,
    # wrapped, by streams/lease.py
    GroupCoordinator._send_req,
    GroupCoordinator._do_heartbeat,
    GroupCoordinator._on_join_complete,
    GroupCoordinator.reset_generation,
    # relied on
    # (the recovery of Faust itself is not used: what it does beside reading changelogs must be known)
    Recovery.on_rebalance,
    Recovery._restart_recovery.fun,  # type: ignore[attr-defined]
    Recovery._resume_streams,
    Recovery.on_recovery_completed,
    GroupCoordinator._heartbeat_routine,
    GroupCoordinator._do_rejoin_group,
    GroupCoordinator.request_rejoin,
    CoordinatorGroupRebalance._send_sync_group_request,
    MessageAccumulator.drain_by_nodes,
    MessageAccumulator.add_message,
    Fetcher.close,
    Fetcher._proc_fetch_request,
    AIOKafkaConnection._handle_frame,
    AIOKafkaClient.send,
    consumer.Consumer._wait_next_records,
    consumer.Consumer._add_gap,
    consumer.Consumer._new_offset,
    consumer.Consumer._commit_offsets,
    consumer.Consumer.ack,
    consumer.Consumer.wait_empty,
    consumer.Consumer.on_partitions_revoked,
    App._on_partitions_revoked,
    App._on_partitions_assigned,
    ServiceThread._serve,
    AIOKafkaConsumer.seek_to_committed,
)

HASHES: Mapping[str, str] = {
    "faust.transport.consumer.Consumer._drain_messages": "44a2500309e83c63",
    "faust.transport.consumer.Consumer.perform_seek": "0e8c130ff4b0afd8",
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread.getmany": "26fc5fc9f3b667e1",
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread._create_worker_consumer": "c2701bfc3e6f6cad",
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread.on_start": "38b4e8bd1e10723a",
    "faust.transport.drivers.aiokafka.Producer.flush": "36d0cb3615f65b01",
    "faust.transport.drivers.aiokafka.Producer._settings_extra": "a4c7bc41b6382223",
    "faust.transport.drivers.aiokafka.Consumer._new_consumer_thread": "0870ec53dea75083",
    "faust.tables.base.Collection._new_store_by_url": "343a8125107d3f69",
    "faust.tables.manager.TableManager.on_start": "365dd25fbc0e0684",
    "faust.tables.manager.TableManager._update_channels": "88e3941facc934d6",
    "faust.tables.manager.TableManager.on_rebalance": "2d2c23a07bf54328",
    "faust.tables.manager.TableManager.on_partitions_revoked": "382852adff42ab99",
    "faust.tables.manager.TableManager.recovery": "f0bf5de78b4c3d23",
    "faust.app.base.App._new_transport": "42db531312dd776f",
    "faust.app.base.App._new_producer_transport": "eb3b4aa6a8961275",
    "mode.threads.ServiceThread.start": "f11841038a033a05",
    "mode.threads.ServiceThread.stop": "32d026539c3665b2",
    "mode.threads.ServiceThread._gather_remaining_tasks": "6f65b92dd1012485",
    "mode.threads.QueueServiceThread.call_thread": "479edda75b54734b",
    "aiokafka.util.get_running_loop": "f82e8978cbb2b075",
    "aiokafka.producer.sender.Sender._send_produce_req": "aea01ae4b6c794cc",
    "aiokafka.producer.sender.Sender._sender_routine": "2380dc5e333d9ebd",
    "aiokafka.consumer.fetcher.Fetcher._get_actions_per_node": "1dab2cf937d165d0",
    "aiokafka.consumer.fetcher.Fetcher._fetch_requests_routine": "2a8ec5932644c9b0",
    "aiokafka.consumer.fetcher.Fetcher.fetched_records": "be4348896b9b66af",
    "aiokafka.conn.AIOKafkaConnection.send": "5909ea32f4efca49",
    "aiokafka.producer.producer.AIOKafkaProducer.send": "08ce81263f439838",
    "faust.transport.consumer.Consumer.getmany": "4b168d84882a70d6",
    "aiokafka.consumer.group_coordinator.GroupCoordinator._send_req": "fa4b12e914ce9fcf",
    "aiokafka.consumer.group_coordinator.GroupCoordinator._do_heartbeat": "dc1d6632aaa68e96",
    "aiokafka.consumer.group_coordinator.GroupCoordinator._on_join_complete": "0b0b3d204b408f3c",
    "aiokafka.consumer.group_coordinator.GroupCoordinator.reset_generation": "537aa37c531b4de9",
    "faust.tables.recovery.Recovery.on_rebalance": "aa4d997a1795ceae",
    "faust.tables.recovery.Recovery._restart_recovery": "6bd8a8558a2dffe4",
    "faust.tables.recovery.Recovery._resume_streams": "d986a6710c1aca98",
    "faust.tables.recovery.Recovery.on_recovery_completed": "6ef567acf072e46d",
    "aiokafka.consumer.group_coordinator.GroupCoordinator._heartbeat_routine": "61d01028952239d0",
    "aiokafka.consumer.group_coordinator.GroupCoordinator._do_rejoin_group": "3cb016c98a087a71",
    "aiokafka.consumer.group_coordinator.GroupCoordinator.request_rejoin": "f70a261c91c38cb5",
    "aiokafka.consumer.group_coordinator.CoordinatorGroupRebalance._send_sync_group_request": "7429ca078ddf9bb7",
    "aiokafka.producer.message_accumulator.MessageAccumulator.drain_by_nodes": "fc995afbfc5718e2",
    "aiokafka.producer.message_accumulator.MessageAccumulator.add_message": "56ff7e6c19185f83",
    "aiokafka.consumer.fetcher.Fetcher.close": "1cd24bc1c442149e",
    "aiokafka.consumer.fetcher.Fetcher._proc_fetch_request": "59bf948fff47eed5",
    "aiokafka.conn.AIOKafkaConnection._handle_frame": "46a7d9b8cf7ca222",
    "aiokafka.client.AIOKafkaClient.send": "246b277687d7b687",
    "faust.transport.consumer.Consumer._wait_next_records": "6218e1969a636b3f",
    "faust.transport.consumer.Consumer._add_gap": "4df2573ded7c1c2c",
    "faust.transport.consumer.Consumer._new_offset": "1d2c7ea89a7ad4f1",
    "faust.transport.consumer.Consumer._commit_offsets": "1a69799041188441",
    "faust.transport.consumer.Consumer.ack": "5fcf41cf45153475",
    "faust.transport.consumer.Consumer.wait_empty": "e4662fe24f094819",
    "faust.transport.consumer.Consumer.on_partitions_revoked": "d04b7ae72c6fc206",
    "faust.app.base.App._on_partitions_revoked": "d5c895bbe57dc73a",
    "faust.app.base.App._on_partitions_assigned": "de932b7927db85b3",
    "mode.threads.ServiceThread._serve": "67809eae09573ac7",
    "aiokafka.consumer.consumer.AIOKafkaConsumer.seek_to_committed": "f6cd85c8b70a4ccf",
}


def name_of(part: Callable[..., Any]) -> str:
    """Return module and qualified name."""
    return f"{part.__module__}.{part.__qualname__}"


def source_hash(part: Callable[..., Any]) -> str:
    """Return the first 16 hex digits of the SHA-256 of a function's source."""
    return hashlib.sha256(inspect.getsource(part).encode()).hexdigest()[:16]


def changed() -> list[str]:
    """Return the names of parts whose source is not the one this package was written against."""
    return [name_of(part) for part in PARTS if HASHES.get(name_of(part)) != source_hash(part)]


if __name__ == "__main__":
    sys.stdout.write("".join(f'    "{name_of(part)}": "{source_hash(part)}",\n' for part in PARTS))
