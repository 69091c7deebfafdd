"""The orchestrator processor: decode, load, advance, publish, store. Decisions are the engine's (`orchestrator/`).

One event at a time. Nothing is acknowledged before every row and message it caused is confirmed; when Kafka does not
confirm, the process ends. A message nobody can use goes to dead letters and is then acknowledged.
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from orchestrator.catalogue import NOBODY
from orchestrator.events import (
    DeadLetter,
    Decision,
    Event,
    EventMessage,
    PublishResult,
    SendRequest,
    StartTimer,
    WatchPack,
)
from orchestrator.execution import IN_FLIGHT, Execution, Status
from orchestrator.limits import Limits
from orchestrator.machine import advance, cut, internal_failure
from orchestrator.rows import RowsNewer
from orchestrator.versions import from_nobody
from settings import Settings
from streams import tracing
from streams.census import Census
from streams.clients import MESSAGE_BYTES_MAX, topic_name
from streams.dead_letter import Stage, dead_letter, undo_letter
from streams.durable.acks import OrderedAcks
from streams.durable.owned import NotOwner, OwnedRows
from streams.durable.sender import SEND_TURNS
from streams.execution_rows import ExecutionRows
from streams.failstop import PauseWatch, fail_stop
from streams.flow import FlowControl, PartitionFlow
from streams.freshness import FreshnessMap
from streams.headers import FORWARDED, Header, Headers, as_list, carried, was_forwarded
from streams.kafka_port import KafkaPort
from streams.lease import GroupLease
from streams.logs import about, position
from streams.pattern_book import Patterns
from streams.routing import partition_of
from streams.timers import BrokerClock, TimerHeap
from streams.trust import trust_of
from topics.codec import Undecodable, decode, encode, execution_id_of, key_of, salvage_request
from topics.messages import (
    CancelExecution,
    CapabilityRequest,
    CapabilityResult,
    ExecuteRequest,
    ExecutionResult,
    GateOpened,
    PackRef,
    StartExecution,
    TimerFired,
    Wire,
)
from topics.table import (
    CAPABILITY_RESULTS,
    DEAD_LETTERS,
    EXECUTION_REQUESTS,
    EXECUTION_RESULTS,
    EXECUTION_SIGNALS,
    capability_requests,
)

log = logging.getLogger(__name__)

_TICK_S = 0.25
_TIMER_BATCH = 500
_REFIRE_MS = 5_000
_REBUILD_YIELD_EVERY = 500
Delivery = Awaitable[Any]


@dataclass(frozen=True, slots=True)
class Source:
    """One input topic: what it carries and its letter in origins."""

    topic: str
    letter: str
    carries: tuple[type[Wire], ...]
    bytes_max: int


class Processor:
    """Handles every event of the partitions this worker owns.

    Args:
        settings: prefix, partitions, limits, retention.
        kafka: takes what is sent; knows the group's generation and what is committed.
        table: the state table.
        acks: window that acknowledges in order.
        patterns: for admissions and for running executions.
        pause_watch: looked at before each publication.
        lease: of this worker's place in the group; results need it.
        clock: the broker's time, as events tell it; None for one of its own.
    """

    def __init__(
        self,
        settings: Settings,
        kafka: KafkaPort,
        table: OwnedRows,
        acks: OrderedAcks,
        patterns: Patterns,
        pause_watch: PauseWatch,
        lease: GroupLease,
        clock: BrokerClock | None = None,
    ) -> None:
        self._settings = settings
        self._kafka = kafka
        self._table = table
        self._acks = acks
        self._patterns = patterns
        self._pause_watch = pause_watch
        self._lease = lease
        self._limits = limits_of(settings)
        self._trust = trust_of(settings)
        self._rows = ExecutionRows(table)
        self._clock = clock or BrokerClock()
        self._timers = TimerHeap()
        self._expiries = TimerHeap()
        self._finishing: set[bytes] = set()
        self.census = Census()
        self.freshness = FreshnessMap(self._open_gate)
        self.flow = FlowControl(
            settings.partitions, settings.in_flight_max, settings.tenant_in_flight_max, settings.queued_max
        )
        self._held: frozenset[int] = frozenset()
        name = self._name
        self.sources = {
            source.topic: source
            for source in (
                Source(name(EXECUTION_REQUESTS), "r", (ExecuteRequest,), settings.request_bytes_max),
                Source(name(CAPABILITY_RESULTS), "c", (CapabilityResult,), MESSAGE_BYTES_MAX),
                Source(
                    name(EXECUTION_SIGNALS),
                    "s",
                    (TimerFired, GateOpened, StartExecution, CancelExecution),
                    settings.request_bytes_max,
                ),
            )
        }
        self._agent_topics: dict[str, str] = {}
        self._partitions = settings.partitions
        self._requests = name(EXECUTION_REQUESTS)
        self._results = name(EXECUTION_RESULTS)
        self._answers = name(CAPABILITY_RESULTS)
        self._signals = name(EXECUTION_SIGNALS)
        self._dead_letters = name(DEAD_LETTERS)
        table.on_take_over = self._rebuild

    # --- one event -----------------------------------------------------------------------------------------------

    async def handle(self, event: Any) -> None:
        """Process one Faust event and hand it to the window; returns when the next one may come."""
        message = event.message
        if message.generation_id != self._kafka.generation or not self._table.owns(message.partition):
            # Fetched before a rebalance: its partition's owner gets it again.
            self._kafka.forget(message)
            return
        at_ms = round(message.timestamp * 1000)
        self._clock.observe(at_ms)
        source = self.sources[message.topic]
        fault = ""
        try:
            body: Any = decode(message.value, *source.carries, bytes_max=source.bytes_max)
        except Undecodable as error:
            fault = str(error)
            body = salvage_request(message.value, at_ms, source.bytes_max) if source.letter == "r" else None
            if body is None:
                await self._publish(event, self._bury(message, Stage.DECODE, fault))
                return
        if isinstance(body, (ExecuteRequest, CancelExecution)):
            refusal = self._trust.refusal(message.headers, message.value, body.tenant)
            if refusal is not None:
                await self._publish(event, self._bury(message, Stage.TRUST, refusal))
                return
        execution_id = (
            execution_id_of(body.tenant, body.request_id) if isinstance(body, ExecuteRequest) else body.execution_id
        )
        key = key_of(execution_id)
        if self._rows.partition(key) != message.partition:
            owner = partition_of(key, self._partitions)
            if owner != message.partition:
                await self._publish(event, self._forward(message, key, owner))
                return
        if isinstance(body, TimerFired) and at_ms < body.due_at_ms:
            self._clock.came_early(body.due_at_ms, at_ms)
        begins = isinstance(body, (ExecuteRequest, GateOpened))
        full = begins and self.flow.of(message.partition).full(body.tenant)
        fact = Event(body, at_ms, f"{source.letter}:{message.offset}", full, fault)
        if tracing.is_on():
            with self._span(message, key, body):
                await self._publish(event, self._step(message, key, fact))
            return
        await self._publish(event, self._step(message, key, fact))

    def _span(self, message: Any, key: bytes, body: Any) -> AbstractContextManager[Any]:
        """Make the span of one event: in the trace of its sender, or of its execution when nobody sent one along.

        What an opened gate starts was not waited for by the request: that is a link, too.
        """
        gate = isinstance(body, GateOpened)
        sent = [(name, value) for name, value in message.headers or () if name.lower() == tracing.TRACEPARENT]
        attributes = tracing.kafka(message.topic, "process", message)
        attributes["dawsos.execution_id"] = key.decode()
        attributes["dawsos.message"] = body.type
        headers = sent if sent and not gate else self._rows.headers(key)
        return tracing.span(f"process {body.type}", "consumer", headers, attributes, linked=gate)

    async def _publish(self, event: Any, work: Awaitable[Sequence[Delivery]]) -> None:
        try:
            self._pause_watch.check()
            await self._acks.add(event, await work)
        except Exception as error:
            fail_stop(f"publishing failed for {position(event.message)}", error)

    async def _step(self, message: Any, key: bytes, fact: Event) -> Sequence[Delivery]:
        """Let the engine decide, then store and send what it decided."""
        before: Execution | None = None
        pattern = None
        loaded = False
        deliveries: list[Delivery] = []
        try:
            before = self._rows.load(key)
            loaded = True
            pattern = self._pattern_for(before, fact.message)
            decision = advance(before, fact, pattern, self._limits)
        except Exception as error:
            log.exception("the engine failed", extra=self._fields(message, key))
            deliveries += await self._bury(message, Stage.PROCESS, f"{type(error).__name__}: {error}")
            if not loaded:
                return deliveries
            try:
                decision = internal_failure(
                    before, fact, pattern, f"{type(error).__name__} in the engine", self._limits
                )
            except Exception:
                log.exception("the execution could not be failed either", extra=self._fields(message, key))
                return deliveries
        if decision.note is not None:
            self.census.ignored[decision.note] += 1
            if log.isEnabledFor(logging.DEBUG):
                log.debug("ignored: %s", decision.note, extra=self._fields(message, key))
        deliveries += await self._carry_out(message, key, before, decision)
        return deliveries

    def _pattern_for(self, execution: Execution | None, body: EventMessage) -> Any:
        if execution is not None and execution.pattern_digest is not None:
            return self._patterns.by_digest(execution.pattern_digest, execution.pattern_versions)
        if isinstance(body, ExecuteRequest):
            return self._patterns.newest(body.pattern_id)
        return None

    async def _carry_out(
        self, message: Any, key: bytes, before: Execution | None, decision: Decision
    ) -> list[Delivery]:
        partition = message.partition
        after = decision.state
        headers = self._rows.headers(key)
        if before is None:
            headers = tuple(tracing.inject(carried(message.headers)))
        rows: list[asyncio.Future[Any]] = []
        if after is not None:
            self.census.move(None if before is None else before.status, after.status)
            rows = await self._rows.save(partition, key, before, after, headers)
            if not after.is_terminal and self._timers.later_than(key, after.timer_at_ms):
                # The engine asks for no timer that it takes to be armed; this one has come and gone meanwhile.
                self._timers.arm(key, after.next_due_at_ms() or after.timer_at_ms)
        deliveries: list[Delivery] = list(rows)
        results: list[ExecutionResult] = []
        for emit in decision.emits:
            if isinstance(emit, SendRequest):
                topic, data = self._command(emit, partition)
                send = self._send(topic, key, data, partition, as_list(headers))
                if emit.after_state and rows:
                    deliveries.append(asyncio.create_task(_after(rows, send)))
                else:
                    deliveries.append(await send)
            elif isinstance(emit, DeadLetter):
                deliveries.append(await self._put_before_people(message, key, emit, headers))
            elif isinstance(emit, StartTimer):
                self._timers.arm(key, emit.due_at_ms)
            elif isinstance(emit, WatchPack):
                await self.freshness.park(key, emit.pack_id)
            elif isinstance(emit, PublishResult):
                results.append(emit.result)
        if after is not None and (before is None or before.status is not after.status):
            self._set_timer(key, after)
            await self._moved(partition, key, before, after)
        if not results:
            return deliveries
        self._finishing.add(key)
        finish = self._finish(partition, key, deliveries, results, headers)
        return [asyncio.create_task(finish)]

    def _command(self, emit: SendRequest, partition: int) -> tuple[str, bytes]:
        """Return the topic and bytes of a command, or of the answer to one for which there is no agent any more."""
        if emit.agent == NOBODY:
            return self._answers, encode(from_nobody(emit.request))
        return self._agent_topic(emit.agent), addressed(emit.request, partition)

    def _set_timer(self, key: bytes, after: Execution) -> None:
        """Let an execution that waits, or has ended, not come up because of what it did before."""
        if after.is_terminal:
            self._timers.disarm(key)
        elif after.status not in IN_FLIGHT:
            due = after.next_due_at_ms()
            if due is not None:
                self._timers.postpone(key, due)

    async def _finish(
        self,
        partition: int,
        key: bytes,
        deliveries: list[Delivery],
        results: list[ExecutionResult],
        headers: Headers,
    ) -> None:
        """Publish results once the state that justifies them is durable; then only the terminal record is needed."""
        # Encoded while the rows, which leave first, are on their way.
        for _ in range(SEND_TURNS):
            await asyncio.sleep(0)
        encoded = [encode(result) for result in results]
        for delivery in deliveries:
            await delivery
        # Confirmed while nobody else can own the partition: whoever comes next finds this state and repeats its result.
        await self._lease.held()
        own = False
        for result, data in zip(results, encoded, strict=True):
            target = key_of(result.execution_id)
            own = own or target == key
            self.census.results[result.status] += 1
            # The answer to a conflicting request has an id, and so perhaps a partition, of its own.
            number = partition if target == key else partition_of(target, self._partitions)
            await (await self._send(self._results, target, data, number, as_list(headers)))
        self._finishing.discard(key)
        if own:
            await self._shrink(partition, key)

    async def _shrink(self, partition: int, key: bytes) -> None:
        execution = self._rows.load(key)
        if execution is None or not execution.is_terminal or not self._table.owns(partition):
            return
        if not execution.cut:
            for delivery in await self._rows.shrink(partition, key, execution, cut(execution)):
                await delivery
        expires = execution.expires_at_ms(self._settings.retention_s)
        if expires is not None:
            self._expiries.arm(key, expires)

    async def _put_before_people(self, message: Any, key: bytes, emit: DeadLetter, headers: Headers) -> Delivery:
        """Store what could not be undone: as the request that would undo it, or as the event where there is none."""
        if emit.request is None or emit.agent == NOBODY:
            letter = dead_letter(message, Stage.COMPENSATE, f"{emit.step_id}: {emit.reason}")
        else:
            topic, request = self._agent_topic(emit.agent), addressed(emit.request, message.partition)
            letter = undo_letter(message, topic, key, request, f"{emit.step_id}: {emit.reason}", headers)
        self.census.dead_letters[Stage.COMPENSATE] += 1
        log.error("not undone: %s: %s", emit.step_id, emit.reason, extra=self._fields(message, key))
        return await self._send(self._dead_letters, letter.key, letter.value, None, letter.headers)

    async def _bury(self, message: Any, stage: Stage, reason: str) -> list[Delivery]:
        letter = dead_letter(message, stage, reason)
        self.census.dead_letters[stage] += 1
        log.warning("dead letter (%s): %s", stage, reason, extra=about(message))
        return [await self._send(self._dead_letters, letter.key, letter.value, None, letter.headers)]

    async def _forward(self, message: Any, key: bytes, owner: int) -> list[Delivery]:
        if was_forwarded(message.headers):
            reason = f"expected partition {owner} for {key.decode()}, got {message.partition} after it was forwarded"
            return await self._bury(message, Stage.ROUTE, reason)
        mark: Header = (FORWARDED, position(message).encode())
        kept = [(name, value) for name, value in message.headers or () if value is not None]
        return [await self._send(message.topic, key, message.value, owner, [*kept, mark])]

    def _send(
        self, topic: str, key: bytes | None, value: bytes | None, partition: int | None, headers: list[Header] | None
    ) -> Awaitable[Delivery]:
        return self._kafka.send(topic, value, key, partition, None, headers)

    # --- time, gates, recovery -----------------------------------------------------------------------------------

    async def run_timers(self) -> None:
        """Fire due timers and drop expired records until cancelled."""
        while True:
            try:
                await self._fire_due()
                await self._drop_expired()
                for partition, flow in self.flow.items():
                    if self._table.owns(partition):
                        await self._start_queued(flow)
                if self._held:
                    self._hold_requests()
            except NotOwner as error:
                # A rebalance began meanwhile; the next owner looks at its timers itself.
                log.info("%s", error)
            except Exception as error:
                fail_stop("the timer loop failed", error)
            due = self._timers.next_due_at_ms()
            wait_s = _TICK_S if due is None else min(_TICK_S, max(0.001, (due - self._clock.now_ms()) / 1000))
            await self._timers.until_nearer(wait_s)

    async def _fire_due(self) -> None:
        now_ms = self._clock.now_ms()
        for key in self._timers.pop_due(now_ms, _TIMER_BATCH):
            execution = self._load_owned(key)
            due = None if execution is None else execution.next_due_at_ms()
            if execution is None or due is None:
                continue
            if due > now_ms:
                self._timers.arm(key, due)
                continue
            # Should the signal not settle it, look again.
            self._timers.arm(key, now_ms + _REFIRE_MS)
            self.census.timers_fired += 1
            self.census.late_ms.append(now_ms - due)
            fired = TimerFired(execution_id=execution.execution_id, tenant=execution.tenant, due_at_ms=due)
            await self._signal(key, fired)

    async def _drop_expired(self) -> None:
        now_ms = self._clock.now_ms()
        for key in self._expiries.pop_due(now_ms, _TIMER_BATCH):
            execution = self._load_owned(key)
            partition = self._rows.partition(key)
            if execution is None or partition is None:
                continue
            expires = execution.expires_at_ms(self._settings.retention_s)
            if expires is None:
                continue
            if expires > now_ms or not self._is_confirmed(key, partition, execution):
                self._expiries.arm(key, max(expires, now_ms + _REFIRE_MS))
                continue
            for delivery in await self._rows.delete(partition, key):
                _stop_if_lost(delivery)

    def _is_confirmed(self, key: bytes, partition: int, execution: Execution) -> bool:
        """Tell whether the event that ended an execution is acknowledged: then its result is published."""
        if execution.cut or execution.status is Status.CANCELLED_EARLY:
            return True
        if key in self._finishing or execution.origin is None:
            return False
        letter, _, offset = execution.origin.partition(":")
        topic = next(source.topic for source in self.sources.values() if source.letter == letter)
        committed = self._kafka.committed(topic, partition)
        return committed is not None and committed > int(offset)

    async def _moved(self, partition: int, key: bytes, before: Execution | None, after: Execution) -> None:
        """Keep count of what is in flight; start who is next, and stop taking requests when too many are queued."""
        flow = self.flow.of(partition)
        flow.moved(key, after.tenant, None if before is None else before.status, after.status)
        await self._start_queued(flow)
        if flow.held != (partition in self._held):
            self._hold_requests()

    async def _start_queued(self, flow: PartitionFlow) -> None:
        if flow.queued:
            for key, tenant in flow.starts(self._clock.now_ms()):
                await self._signal(key, StartExecution(execution_id=key.decode(), tenant=tenant))

    def _hold_requests(self) -> None:
        """Take no requests from the partitions where too many executions are queued; answers and signals flow on."""
        held = self.flow.held()
        if held != self._held:
            log.warning("requests wait in partitions %s: %s", sorted(held), "queues are full" if held else "none")
            self._held = held
        self._kafka.hold(self._requests, held)

    async def _open_gate(self, key: bytes, pack: PackRef) -> bool:
        execution = self._load_owned(key)
        if execution is None or not execution.waits_for(pack):
            return False
        opened = GateOpened(execution_id=execution.execution_id, tenant=execution.tenant, pack=pack)
        await self._signal(key, opened)
        return True

    async def _signal(self, key: bytes, signal: TimerFired | GateOpened | StartExecution) -> None:
        partition = self._rows.partition(key)
        if partition is not None:
            self._pause_watch.check()
            _stop_if_lost(await self._send(self._signals, key, encode(signal), partition, None))

    def _load_owned(self, key: bytes) -> Execution | None:
        partition = self._rows.partition(key)
        if partition is None or not self._table.owns(partition):
            return None
        try:
            return self._rows.load(key)
        except RowsNewer as error:
            # After a rollback. Going on would bury this execution's events, and it would never end.
            fail_stop(f"execution {key.decode()} was written by a newer release, start that one again: {error}")
        except Exception:
            log.exception("state rows cannot be read", extra={"execution_id": key.decode()})
            return None

    async def _rebuild(self, partitions: frozenset[int]) -> None:
        """Arm timers and park executions from the recovered rows, before any event is processed."""
        if self._table.taken_over_at_ms is not None:
            self._clock.set(self._table.taken_over_at_ms)
        self.census.recount()
        self._timers.clear()
        self._expiries.clear()
        self._finishing.clear()
        self.freshness.clear()
        self._rows.forget()
        for partition, key in self._rows.orphans():
            _stop_if_lost(await self._table.put(partition, key, None))
        running = 0
        working: list[tuple[int, int, bytes, str, Status]] = []
        for count, key in enumerate(self._rows.keys(), 1):
            if count % _REBUILD_YIELD_EVERY == 0:
                await asyncio.sleep(0)
            execution = self._load_owned(key)
            if execution is None:
                continue
            self.census.move(None, execution.status)
            due = execution.next_due_at_ms()
            if due is not None:
                running += 1
                self._timers.arm(key, due)
            expires = execution.expires_at_ms(self._settings.retention_s)
            if expires is not None:
                self._expiries.arm(key, expires)
            if execution.waiting_for_pack is not None:
                await self.freshness.park(key, execution.waiting_for_pack)
            partition = self._rows.partition(key)
            if partition is not None and (execution.status in IN_FLIGHT or execution.status is Status.QUEUED):
                working.append((execution.queued_at_ms, partition, key, execution.tenant, execution.status))
        self._count_anew(working)
        log.info("took over partitions %s: %s executions under way", sorted(partitions), running)

    def _count_anew(self, working: list[tuple[int, int, bytes, str, Status]]) -> None:
        """Fill the queues and counts, in one go: the timer loop looks at them meanwhile."""
        self.flow.clear()
        for _, partition, key, tenant, status in sorted(working):
            self.flow.of(partition).moved(key, tenant, None, status)
        self._hold_requests()

    # --- small things --------------------------------------------------------------------------------------------

    def _agent_topic(self, agent: str) -> str:
        topic = self._agent_topics.get(agent)
        if topic is None:
            topic = self._agent_topics[agent] = self._name(capability_requests(agent))
        return topic

    def _name(self, topic: str) -> str:
        return topic_name(self._settings, topic)

    def _fields(self, message: Any, key: bytes) -> dict[str, str]:
        return {"execution_id": key.decode(), "position": position(message)}


_TO_PARTITION_0 = b'"reply_partition":0}'


def addressed(request: CapabilityRequest, partition: int) -> bytes:
    """Return the bytes of a request whose answer is to come to a partition: `reply_partition` is its last member."""
    data = encode(request)
    if not data.endswith(_TO_PARTITION_0):
        raise AssertionError(f"expected reply_partition last, {request.capability} ends with {data[-40:]!r}")
    return b"%s%d}" % (data[:-2], partition)


def limits_of(settings: Settings) -> Limits:
    """Return the engine's bounds as the settings have them."""
    return Limits(
        steps_max=settings.steps_max,
        items_max=settings.foreach_items_max,
        attempts_max=settings.attempts_max,
        deadline_s_max=settings.deadline_s_max,
        deadline_s_default=settings.deadline_s_default,
        retention_s=settings.retention_s,
        inline_bytes=settings.inline_bytes_max,
        output_bytes=settings.result_inline_bytes_max,
    )


async def _after(rows: Sequence[Delivery], send: Awaitable[Delivery]) -> None:
    """Send only when the state that knows of it is confirmed."""
    for row in rows:
        await row
    await (await send)


def _stop_if_lost(delivery: Any) -> None:
    """End the process if a delivery nobody waits for fails."""

    def look(done: asyncio.Future[Any]) -> None:
        if not done.cancelled() and done.exception() is not None:
            fail_stop("Kafka did not confirm a message", done.exception())

    delivery.add_done_callback(look)
