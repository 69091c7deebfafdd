"""Capability agents on Kafka: a plain consumer per agent, a bounded pool, answers confirmed before commits.

Offsets are committed in order per partition, each after its answer is in the log. An answer goes to the partition the
request names, where the execution lives. Running a request twice is normal (a worker died before its commit); the
idempotency key in the request makes effects harmless, and the engine takes the first answer.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Any

import aiokafka

from settings import Settings
from streams import tracing
from streams.clients import MESSAGE_BYTES_MAX, start_consumer, topic_name
from streams.dead_letter import Stage, dead_letter
from streams.durable.pace import pace_fetches
from streams.failstop import PauseWatch, fail_stop
from streams.headers import as_list, carried
from streams.liveness import Place
from streams.logs import about, position
from streams.places import behind, ends_of
from streams.timers import BrokerClock
from topics.codec import Undecodable, decode, encode, key_of
from topics.errors import Code
from topics.messages import CapabilityRequest, CapabilityResult, ErrorBody
from topics.table import CAPABILITY_RESULTS, DEAD_LETTERS, capability_requests

log = logging.getLogger(__name__)

RUNNING_MAX = 128
# More than executions in flight by default: calls that wait for the limit of their capability must not fill it.
UNCOMMITTED_MAX = 4096
ANSWER_BYTES_MAX = 1_900_000
SESSION_TIMEOUT_S = 6.0
_COMMIT_INTERVAL_S = 1.0
_REVOKE_WAIT_S = 10.0
_STOP_WAIT_S = 7.0
Handle = Callable[[CapabilityRequest], Awaitable[CapabilityResult]]
OpenConsumer = Callable[..., Awaitable[Any]]


class _Entry:
    """One request taken from a partition; `pooled` while it has a place in the pool, `done` once it is answered.

    `deadline_ms` is the request's, by the broker's time; 0 before it is read.
    """

    __slots__ = ("deadline_ms", "done", "offset", "pooled")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.done = False
        self.pooled = True
        self.deadline_ms = 0


class AgentWorker(aiokafka.ConsumerRebalanceListener):
    """Runs the requests of one agent.

    Args:
        settings: where Kafka is, prefix, partitions.
        agent: name of the agent; its topic is `capability-requests.<agent>`, its group `agent.<agent>`.
        handle: runs one request; expected to answer errors rather than raise.
        producer: a started idempotent producer, shared by all agents of the process.
        clock: the broker's time, shared with whatever compares deadlines in `handle`; None for one of its own.
        limited: capabilities with a limit of their own; they wait and run outside the pool, so that others find room.
        open_consumer: as `start_consumer`, which it is by default.
        pause_watch: looked at before each answer; None for one of its own.
    """

    def __init__(
        self,
        settings: Settings,
        agent: str,
        handle: Handle,
        producer: Any,
        clock: BrokerClock | None = None,
        limited: frozenset[str] = frozenset(),
        open_consumer: OpenConsumer = start_consumer,
        pause_watch: PauseWatch | None = None,
    ) -> None:
        self.agent = agent
        self._settings = settings
        self._handle = handle
        self._producer = producer
        self._limited = limited
        self._results = topic_name(settings, CAPABILITY_RESULTS)
        self._dead_letters = topic_name(settings, DEAD_LETTERS)
        self._clock = clock or BrokerClock()
        self._open_consumer = open_consumer
        self._pause_watch = pause_watch or PauseWatch(SESSION_TIMEOUT_S / 2)
        self._windows: dict[aiokafka.TopicPartition, deque[_Entry]] = {}
        self._commits: dict[aiokafka.TopicPartition, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = asyncio.Semaphore(RUNNING_MAX)
        self._uncommitted = asyncio.Semaphore(UNCOMMITTED_MAX)
        self._stopping = asyncio.Event()
        self._committed: dict[aiokafka.TopicPartition, int] = {}
        self._taken: dict[aiokafka.TopicPartition, int] = {}
        self.answers: Counter[str] = Counter()
        self.dead_letters: Counter[str] = Counter()
        self._consumer: Any = None
        self._loops: list[asyncio.Task[None]] = []

    @property
    def calls(self) -> int:
        """Requests under way."""
        return len(self._tasks)

    async def places(self) -> dict[tuple[str, int], Place]:
        """Return where this worker stands in the partitions it is assigned.

        A request under way whose deadline has not come keeps its partition still by right; so it does with every other
        partition while the pool is full.

        Raises:
            KafkaError: the broker does not answer.
        """
        found: dict[tuple[str, int], Place] = {}
        now_ms = self._clock.now_ms()
        full = self._running.locked() or self._uncommitted.locked()
        busy = full and any(_has_time(entry, now_ms) for window in self._windows.values() for entry in window)
        for tp, (end, read) in (await ends_of(self._consumer, self._consumer.assignment())).items():
            window, committed = self._windows.get(tp), self._committed.get(tp, -1)
            under_way = self._taken.get(tp, -1) > committed
            waiting = max(1, end - max(committed, 0)) if under_way or behind(read, committed, end) else 0
            rightly = busy or bool(window and _has_time(window[0], now_ms))
            found[tp.topic, tp.partition] = Place(committed, end, waiting, 0.0 if rightly else 1.0)
        return found

    async def start(self) -> None:
        """Join the group and begin to take requests; returns once partitions are assigned."""
        group = topic_name(self._settings, f"agent.{self.agent}")
        self._consumer = await self._open_consumer(
            self._settings,
            client_id=f"agent.{self.agent}",
            group_id=group,
            session_timeout_ms=int(SESSION_TIMEOUT_S * 1000),
            heartbeat_interval_ms=int(SESSION_TIMEOUT_S * 250),
            rebalance_timeout_ms=30_000,
            max_poll_interval_ms=900_000,
        )
        assigned = self._assigned = asyncio.Event()
        self._consumer.subscribe([topic_name(self._settings, capability_requests(self.agent))], listener=self)
        self._loops = [
            asyncio.create_task(self._consume(), name=f"agent-{self.agent}"),
            asyncio.create_task(self._commit_regularly(), name=f"commit-{self.agent}"),
            asyncio.create_task(self._pause_watch.run(), name=f"watch-{self.agent}"),
        ]
        await assigned.wait()

    async def stop(self) -> None:
        """Take no more requests, answer those under way, commit, and leave the group."""
        self._stopping.set()
        for loop in self._loops[:1]:
            loop.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_WAIT_S)
        for loop in self._loops[1:]:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self._commit()
        await self._consumer.stop()

    async def run_until(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then stop; a failed loop raises."""
        stopping = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([stopping, *self._loops], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await self.stop()
        for loop in done - {stopping}:
            loop.result()

    async def on_partitions_revoked(self, revoked: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Answer what is under way before somebody else gets the partitions."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=_REVOKE_WAIT_S)
        await self._commit()
        for partition in revoked:
            window = self._windows.pop(partition, None)
            for _ in window or ():
                self._uncommitted.release()
            self._commits.pop(partition, None)
            self._committed.pop(partition, None)
            self._taken.pop(partition, None)

    async def on_partitions_assigned(self, assigned: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Note that this worker serves."""
        log.info("agent %s has %s partitions", self.agent, len(assigned))
        self._assigned.set()

    async def _consume(self) -> None:
        consumer = self._consumer
        while not self._stopping.is_set():
            fetched = await consumer.getmany(timeout_ms=1000, max_records=500)
            pace_fetches(consumer, sum(map(len, fetched.values())))
            for records in fetched.values():
                # Before the first is begun: later ones may say that its time is over.
                self._clock.observe(records[-1].timestamp)
            for partition, records in fetched.items():
                self._taken[partition] = records[-1].offset + 1
                for record in records:
                    await self._uncommitted.acquire()
                    await self._running.acquire()
                    entry = _Entry(record.offset)
                    window = self._windows.setdefault(partition, deque())
                    window.append(entry)
                    task = asyncio.create_task(self._serve(record, partition, window, entry))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)

    async def _serve(
        self, record: Any, partition: aiokafka.TopicPartition, window: deque[_Entry], entry: _Entry
    ) -> None:
        try:
            try:
                delivery = await self._answer(record, entry)
            finally:
                self._leave_pool(entry)
            await delivery
        except Exception as error:
            fail_stop(f"no confirmed answer to {position(record)}", error)
        entry.done = True
        if self._windows.get(partition) is not window:
            return
        while window and window[0].done:
            self._commits[partition] = window.popleft().offset + 1
            self._uncommitted.release()

    def _leave_pool(self, entry: _Entry) -> None:
        if entry.pooled:
            entry.pooled = False
            self._running.release()

    async def _answer(self, record: Any, entry: _Entry) -> Awaitable[Any]:
        """Run one request and send its answer; returns the answer's delivery."""
        try:
            request = decode(record.value, CapabilityRequest, bytes_max=MESSAGE_BYTES_MAX)
        except Undecodable as error:
            return await self._bury(record, Stage.DECODE, str(error))
        assert isinstance(request, CapabilityRequest)
        entry.deadline_ms = request.deadline_at_ms
        if not 0 <= request.reply_partition < self._settings.partitions:
            limit = self._settings.partitions - 1
            reason = f"expected reply_partition from 0 to {limit}, got {request.reply_partition}"
            return await self._bury(record, Stage.CAPABILITY, reason)
        if request.capability in self._limited:
            self._leave_pool(entry)
        now_ms = self._clock.now_ms()
        if request.deadline_at_ms <= now_ms:
            late_ms = now_ms - request.deadline_at_ms
            text = f"{request.capability} was not started: its deadline passed {late_ms} ms ago"
            # Nothing was tried, and it is only this attempt's time that is over: the engine may ask again.
            answer = _failed(request, Code.STEP_TIMEOUT, text, retryable=True)
        else:
            try:
                answer = await self._traced(request, record) if tracing.is_on() else await self._handle(request)
            except Exception as error:
                log.exception(
                    "the agent runtime failed",
                    extra={
                        "execution_id": request.execution_id,
                        "step_id": request.step_id,
                        "position": position(record),
                    },
                )
                answer = _failed(request, Code.INTERNAL, f"{request.capability}: {type(error).__name__} in the agent")
        data = encode(answer)
        if len(data) > ANSWER_BYTES_MAX:
            text = f"expected an answer of at most {ANSWER_BYTES_MAX} bytes, {request.capability} gave {len(data)}"
            answer = _failed(request, Code.OUTPUT_TOO_LARGE, text)
            data = encode(answer)
        self.answers["succeeded" if answer.error is None else answer.error.code.value] += 1
        self._pause_watch.check()
        return await self._producer.send(
            self._results,
            data,
            key_of(request.execution_id),
            request.reply_partition,
            None,
            as_list(carried(record.headers)),
        )

    async def _traced(self, request: CapabilityRequest, record: Any) -> CapabilityResult:
        attributes = {
            **tracing.kafka(record.topic, "process", record),
            "dawsos.execution_id": request.execution_id,
            "dawsos.step_id": request.step_id,
            "dawsos.attempt": request.attempt,
        }
        with tracing.span(request.capability, "consumer", record.headers, attributes) as made:
            answer = await self._handle(request)
            if answer.error is not None:
                made.set_attribute("error.type", answer.error.code.value)
            return answer

    async def _bury(self, record: Any, stage: Stage, reason: str) -> Awaitable[Any]:
        letter = dead_letter(record, stage, reason)
        self.dead_letters[stage] += 1
        log.warning("dead letter (%s): %s", stage, reason, extra=about(record))
        return await self._producer.send(self._dead_letters, letter.value, letter.key, headers=letter.headers)

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(_COMMIT_INTERVAL_S)
            await self._commit()

    async def _commit(self) -> None:
        commits, self._commits = self._commits, {}
        if not commits:
            return
        try:
            await self._consumer.commit(commits)
            self._committed.update(commits)
        except (aiokafka.errors.CommitFailedError, aiokafka.errors.IllegalStateError) as error:
            # The partitions are somebody else's by now, who will run these requests again.
            log.info("agent %s could not commit: %s", self.agent, error)


def _has_time(entry: _Entry, now_ms: int) -> bool:
    return not entry.done and entry.deadline_ms > now_ms


def _failed(request: CapabilityRequest, code: Code, text: str, *, retryable: bool = False) -> CapabilityResult:
    return CapabilityResult(
        execution_id=request.execution_id,
        tenant=request.tenant,
        step_id=request.step_id,
        attempt=request.attempt,
        error=ErrorBody(code=code, message=text, retryable=retryable),
    )
