"""The submitter, a process of its own: `python -m chaos.submitter RECORD SEED EXECUTIONS SECONDS DAYS`.

It asks for the executions of a plan at an even rate and appends each request to the record once Kafka has confirmed
it. What is not confirmed is sent again, the same request, until it is. It reads no results: what became of its
requests is for the checker to find out.
"""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from aiokafka.errors import KafkaError

from chaos.mix import DEADLINE_S, GATE_WAIT_S, USER, Planned, plan
from chaos.record import Submission, append
from settings import Settings, load_settings
from streams.clients import start_producer, topic_name
from streams.routing import partition_of
from topics.codec import encode, execution_id_of, key_of
from topics.messages import CancelExecution, ExecuteRequest, Gate, GatePolicy
from topics.table import EXECUTION_REQUESTS, EXECUTION_SIGNALS

_UNCONFIRMED_MAX = 400
_CONFIRM_S = 20.0
_RETRY_S = 0.5


class Submitter:
    """Sends requests and cancels, each until it is confirmed."""

    def __init__(self, settings: Settings, record: TextIO) -> None:
        self._settings = settings
        self._record = record
        self._producer: Any = None
        self._renewing = asyncio.Lock()
        self._room = asyncio.Semaphore(_UNCONFIRMED_MAX)

    async def run(self, planned: list[Planned], seconds: float) -> None:
        """Submit all, evenly over so many seconds, and return when all are confirmed."""
        # The first fault may come before there is one.
        await self._renew(None)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with asyncio.TaskGroup() as group:
            for index, each in enumerate(planned):
                await asyncio.sleep(max(0.0, begun + seconds * index / len(planned) - loop.time()))
                await self._room.acquire()
                group.create_task(self._submit(each))
        await self._producer.stop()

    async def _submit(self, planned: Planned) -> None:
        try:
            request = ExecuteRequest(
                tenant=planned.tenant,
                request_id=planned.request_id,
                user_id=USER,
                pattern_id=planned.pattern_id,
                inputs=dict(planned.inputs),
                asof=planned.asof,
                gate=None if planned.day is None else Gate(policy=GatePolicy.WAIT, wait_s=GATE_WAIT_S),
                deadline_s=DEADLINE_S,
                submitted_at=datetime.now(UTC),
            )
            execution_id = execution_id_of(request.tenant, request.request_id)
            key = key_of(execution_id)
            cancel = encode(
                CancelExecution(execution_id=execution_id, tenant=request.tenant, user_id=USER, reason="chaos")
            )
            if planned.cancelled_early:
                await self._confirmed(EXECUTION_SIGNALS, cancel, key, by_key=False)
            tries, metadata = await self._confirmed(EXECUTION_REQUESTS, encode(request), key)
            append(
                self._record,
                Submission(
                    number=planned.number,
                    execution_id=execution_id,
                    tenant=request.tenant,
                    request_id=request.request_id,
                    pattern_id=request.pattern_id,
                    inputs=request.inputs,
                    asof=None if planned.asof is None else planned.asof.isoformat(),
                    cancelled=planned.cancelled,
                    tries=tries,
                    confirmed_at_ms=metadata.timestamp,
                    partition=metadata.partition,
                    deadline_s=DEADLINE_S,
                    parks=planned.day is not None,
                ),
            )
            if planned.repeated:
                await self._confirmed(EXECUTION_REQUESTS, encode(request), key)
            if planned.cancelled and not planned.cancelled_early:
                await self._confirmed(EXECUTION_SIGNALS, cancel, key, by_key=False)
        finally:
            self._room.release()

    async def _confirmed(self, topic: str, value: bytes, key: bytes, *, by_key: bool = True) -> tuple[int, Any]:
        """Send until the broker has confirmed; returns how often it was sent, and where it is."""
        partition = None if by_key else partition_of(key, self._settings.partitions)
        tries = 0
        while True:
            tries += 1
            producer = self._producer
            try:
                sent = producer.send_and_wait(topic_name(self._settings, topic), value, key, partition)
                return tries, await asyncio.wait_for(sent, _CONFIRM_S)
            except (KafkaError, TimeoutError, OSError, RuntimeError) as error:
                sys.stderr.write(f"not confirmed, sent again: {type(error).__name__}: {error}\n")
                await self._renew(producer)

    async def _renew(self, broken: Any) -> None:
        """Replace a producer that failed, or none: one that lost its sequence stays broken."""
        async with self._renewing:
            while self._producer is broken:
                await asyncio.sleep(_RETRY_S)
                try:
                    self._producer = await asyncio.wait_for(
                        start_producer(self._settings, "chaos-submitter"), _CONFIRM_S
                    )
                except (KafkaError, TimeoutError, OSError):
                    continue
                if broken is None:
                    continue
                stopping = asyncio.create_task(broken.stop())
                await asyncio.wait([stopping], timeout=1.0)
                stopping.cancel()


async def submit(record: Path, seed: int, executions: int, seconds: float, days: int) -> None:
    """Submit a plan and return when every request is confirmed and recorded."""
    with record.open("a", encoding="utf-8") as file:
        await Submitter(load_settings(), file).run(list(plan(seed, executions, days)), seconds)


def main() -> None:
    """Run with the arguments of the command line; addresses come from the environment."""
    record, seed, executions, seconds, days = sys.argv[1:]
    asyncio.run(submit(Path(record), int(seed), int(executions), float(seconds), int(days)))


if __name__ == "__main__":
    main()
