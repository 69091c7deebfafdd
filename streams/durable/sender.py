"""aiokafka's producer loop with fewer wake-ups, and requests that gather records in a crowd.

Stock waits with `asyncio.wait` for its requests and for new records: three more rounds of the event loop and a new set
of callbacks each time, on the path of every hop. Here whatever happens resolves the one future the loop waits for.
"""

import asyncio
from typing import Any

from aiokafka.errors import (
    KafkaError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    TransactionalIdAuthorizationFailed,
)
from aiokafka.producer.sender import Sender, SendProduceReqHandler

# From so many records per produce request on, records are gathered for a millisecond: a request costs broker and
# client as much CPU as several executions' worth of records, and in a crowd nobody waits for one hop alone.
CROWD_RECORDS = 64
CROWD_LINGER_S = 0.001
# Turns of the event loop from a record's `send` until it has left, while no request to its broker is under way.
SEND_TURNS = 3

_stock_routine = Sender._sender_routine


def install() -> None:
    """Let all producers of this process send so; calling it again changes nothing."""
    Sender._sender_routine = _sender_routine  # type: ignore[method-assign]
    Sender._send_produce_req = _send_produce_req  # type: ignore[method-assign]


async def _sender_routine(sender: Any) -> None:
    """Send what has gathered, one request to each broker at a time, until cancelled."""
    manager = sender._txn_manager
    if manager is not None and manager.transactional_id is not None:
        await _stock_routine(sender)
        return
    accumulator, muted, in_flight = sender._message_accumulator, sender._muted_partitions, sender._in_flight
    requests: set[asyncio.Task[None]] = set()
    failures: list[BaseException] = []

    def wake(_: Any = None) -> None:
        accumulator._wakeup(accumulator.waiter())

    def ended(request: asyncio.Task[None]) -> None:
        requests.discard(request)
        error = None if request.cancelled() else request.exception()
        if error is not None:
            failures.append(error)
        wake()

    try:
        while True:
            await sender._maybe_wait_for_pid()
            nodes, leaders_unknown = accumulator.drain_by_nodes(in_flight, muted)
            for node_id, batches in nodes.items():
                in_flight.add(node_id)
                muted.update(batches)
                request = asyncio.create_task(sender._send_produce_req(node_id, batches))
                requests.add(request)
                request.add_done_callback(ended)
            if leaders_unknown:
                sender.client.force_metadata_update().add_done_callback(wake)
            await accumulator.waiter()
            if failures:
                raise failures[0]
    except asyncio.CancelledError:
        for request in list(requests):
            await request
    except (ProducerFenced, OutOfOrderSequenceNumber, TransactionalIdAuthorizationFailed):
        raise
    except Exception as error:
        raise KafkaError("unexpected error while sending") from error


async def _send_produce_req(sender: Any, node_id: int, batches: dict[Any, Any]) -> None:
    """Send one produce request; after a crowded one, let records gather before the next to that broker."""
    await SendProduceReqHandler(sender, batches).do(node_id)
    if sum(batch.record_count for batch in batches.values()) >= CROWD_RECORDS:
        await asyncio.sleep(CROWD_LINGER_S)
    sender._in_flight.remove(node_id)
    for partition in batches:
        sender._muted_partitions.remove(partition)
