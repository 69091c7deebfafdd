"""Everything of one run: the log, the workers, the services behind the agents, and what goes wrong."""

import hashlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from functools import cache
from typing import Any
from uuid import UUID

import streams.failstop
import streams.orchestrator
from orchestrator.registry import PatternRegistry
from settings import Settings
from simulation.agents import Agents, Effects, Packs, Redis, Store
from simulation.check import Broken, Check
from simulation.client import Client
from simulation.faults import FAULTS_END_S, Dice, Kind, Plan, Point, plan_of
from simulation.group import Group
from simulation.log import CAUSE, Log, Record
from simulation.loop import PROCESS, Killed, Process, SimLoop
from simulation.orchestrator import Orchestrator
from simulation.patterns import registry
from streams.orchestrator import limits_of
from topics.codec import encode, execution_id_of
from topics.messages import ExecuteRequest, PackEvent, PackRef, PackStatus
from topics.table import CAPABILITY_RESULTS, PACK_EVENTS

ORCHESTRATORS = "orchestrators"
_AGENTS = "agents"
_END_S = 600.0
_CALM_S = 2.5
_GIVE_UP_S = 60.0
_TICK_S = 5.0
# Set by mutations only: what the consumer model does after a recovery, and where agents answer.
SEEK_AFTER_RESUME = False
WRONG_PARTITION = False
Worker = Orchestrator | Agents


@cache
def _settings(partitions: int, in_flight_max: int, tenant_in_flight_max: int) -> Settings:
    return Settings.model_construct(
        topic_prefix="",
        partitions=partitions,
        in_flight_max=in_flight_max,
        tenant_in_flight_max=tenant_in_flight_max,
        deadline_s_default=300.0,
    )


class World:
    """One run.

    Args:
        seed: decides everything.
        without: kinds of faults to leave out.
        crash_at: kill whoever passes the point with this number; None as the seed says.
        executions: how many to ask for at most; None as the seed says.

    Attributes:
        points: passed so far.
        failure: what broke, or None.
        ends: why processes ended, and how many.
    """

    def __init__(
        self,
        seed: int,
        without: Iterable[Kind] = (),
        crash_at: int | None = None,
        executions: int | None = None,
    ) -> None:
        self.seed = seed
        self.dice = Dice.of(seed)
        self.plan: Plan = plan_of(self.dice, without, crash_at)
        crowd = self.plan.has(Kind.CROWD)
        self.settings = _settings(self.plan.partitions, *((3, 2) if crowd else (1024, 384)))
        self.limits = limits_of(self.settings)
        self.patterns: PatternRegistry = registry(self.limits)
        self.loop = SimLoop()
        self.loop.on_error = self._escaped
        self.check = Check(self)
        self.log = Log(self.loop, self.plan.partitions, self._appended)
        self.effects = Effects()
        self.redis = Redis()
        self.artifacts = Store()
        self.packs = Packs(self._announce)
        self.orchestrators_group = ORCHESTRATORS
        self.groups = {name: Group(self, name) for name in (ORCHESTRATORS, _AGENTS)}
        self.workers: list[Worker] = []
        self.gates_opened: set[tuple[str, bytes, str]] = set()
        self.points = 0
        self.garbage = 0
        self.failure: Broken | None = None
        self.ends: Counter[str] = Counter()
        self.trace: list[tuple[Any, ...]] = []
        self.seek_after_resume = SEEK_AFTER_RESUME
        self.wrong_partition = WRONG_PARTITION
        self._seq = 0
        self._number = 0
        self._last_record_s = 0.0
        self._upgraded = False
        self._away: tuple[float, float] = (0.0, 0.0)
        self.client = Client(self, executions)

    # --- running -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run to the end, or until something is broken (`failure`)."""
        plan = self.plan
        self.loop.outside(self._begin)
        for _ in range(plan.orchestrators):
            self._start(ORCHESTRATORS)
        for _ in range(plan.agents):
            self._start(_AGENTS)
        self._run_until(lambda: self.client.answered() and self.loop.now_s > self.client.ends_s)
        if self.failure is None and not self.client.answered():
            waiting = self.client.unanswered()
            key = waiting[0].encode()
            self.halt(
                Broken("nothing is stuck", f"no result of {', '.join(waiting)} after {self.loop.now_s:.0f} s", key)
            )
        if self.failure is None:
            self._run_until(self._at_rest)
        if self.failure is None:
            try:
                self.check.finished()
                self.client.compare()
            except Broken:
                pass
        for worker in list(self.workers):
            worker.process.kill("the run is over")

    def _run_until(self, done: Callable[[], bool]) -> None:
        loop = self.loop
        while self.failure is None and loop.now_s < _END_S and not done():
            loop.run_until(loop.now_s + 1.0)

    def _at_rest(self) -> bool:
        """Tell whether nothing happened for a while and everything is committed, or will not be any more."""
        calm_s = self.loop.now_s - max(self._last_record_s, self.client.ends_s)
        return calm_s > _CALM_S and (calm_s > _GIVE_UP_S or self.check.all_committed())

    def digest(self) -> str:
        """Return the SHA-256 of everything that happened, in order."""
        whole = hashlib.sha256()
        for entry in self.trace:
            whole.update(repr(entry).encode())
        return whole.hexdigest()

    def halt(self, failure: Broken) -> None:
        """Stop the run: something is broken."""
        if self.failure is None:
            self.failure = failure
        self.loop.halted = True

    def note(self, *entry: Any) -> None:
        """Remember something that happened."""
        self.trace.append((round(self.loop.now_s * 1000, 3), *entry))

    def _escaped(self, error: BaseException) -> None:
        if isinstance(error, Broken):
            self.halt(error)
        else:
            self.halt(Broken("no exception escapes", f"{type(error).__name__}: {error}"))

    def _appended(self, record: Record) -> None:
        self._last_record_s = self.loop.now_s
        writer = "-" if record.writer is None else record.writer.name
        self.note(record.topic, record.partition, record.offset, record.key, writer, record.value)
        self.check.appended(record)

    # --- what workers meet ---------------------------------------------------------------------------------------

    def passes(self, point: Point, process: Process) -> None:
        """Kill or stop the process if the plan says so; every passage has a number."""
        self.points += 1
        number = self.points
        if number in self.plan.crashes and process.alive:
            self.note("crash", process.name, point.name, number)
            process.kill(f"killed at point {number} ({point.name})")
            raise Killed
        if number in self.plan.pauses:
            self.note("pause", process.name, point.name, number, self.plan.pauses[number])
            process.pause(self.plan.pauses[number])

    def routed(self, topic: str, partition: int) -> int:
        """Return the partition a record goes to: the one asked for."""
        if self.wrong_partition and topic == CAPABILITY_RESULTS:
            return (partition + 1) % self.plan.partitions
        return partition

    def troubled(self, kind: Kind) -> bool:
        """Tell whether this kind of fault happens now."""
        return self.loop.now_s < FAULTS_END_S and self.plan.has(kind)

    def vanishes(self) -> bool:
        """Tell whether a request to an agent gets lost."""
        return self.troubled(Kind.AGENT) and self.dice.agents.random() < 0.03

    def service_is_away(self) -> bool:
        """Tell whether the service behind the agents does not answer now."""
        return self._away[0] <= self.loop.now_s < self._away[1]

    def clock_of_a_machine(self) -> tuple[float, float]:
        """Return how fast its clock runs, and by how many seconds it is ahead."""
        if not self.plan.has(Kind.TIMERS):
            return 1.0, 0.0
        draw = self.dice.plan
        return 1.0 + draw.uniform(-1e-4, 1e-4), draw.choice((0.0, 3600.0, -3600.0, draw.uniform(-1, 1)))

    def patterns_now(self) -> PatternRegistry:
        """Return the patterns a worker that starts now finds in its folders."""
        return registry(self.limits, self._upgraded)

    # --- workers -------------------------------------------------------------------------------------------------

    def _start(self, kind: str) -> None:
        self._number += 1
        name = f"{kind[:-1]}-{self._number}"
        worker: Worker = (Orchestrator if kind == ORCHESTRATORS else Agents)(self, name, self.groups[kind])
        self.note("start", name)
        self.workers.append(worker)
        worker.process.on_death.append(lambda: self._died(kind, worker))
        worker.start()

    def _died(self, kind: str, worker: Worker) -> None:
        why = worker.process.why
        self.note("end", worker.process.name, why)
        self.workers.remove(worker)
        self.ends[why.split(" at point")[0].split(" for ")[0].split(" to ")[0].split(":")[0]] += 1
        if worker.process.why not in ("terminated", "the run is over"):
            # The supervisor starts another one.
            self.loop.outside(self.loop.call_later, 0.3 + 1.5 * self.dice.faults.random(), self._start, kind)

    def _terminate(self, kind: str) -> None:
        """SIGTERM to one worker, and another one soon, or a moment before."""
        group = self.groups[kind]
        candidates = [
            each for each in self.workers if each in group.members or isinstance(each, Agents) == (kind == _AGENTS)
        ]
        if not candidates:
            return
        worker = self.dice.faults.choice(candidates)
        self.note("terminate", worker.process.name)
        self.loop.call_later(2.0 * self.dice.faults.random(), self._start, kind)
        worker.process.spawn(worker.stop())

    # --- faults --------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        faults, call_later = self.dice.faults, self.loop.call_later
        self._prepare_packs()
        self.client.begin()
        if self.plan.has(Kind.REBALANCE):
            for _ in range(faults.choice((1, 2, 3))):
                kind = faults.choice((ORCHESTRATORS, ORCHESTRATORS, _AGENTS))
                call_later(0.5 + 12 * faults.random(), faults.choice((self._terminate, self._join_for_a_while)), kind)
        if self.plan.has(Kind.OUTAGE):
            begins_s = 4 * faults.random()
            self._away = (begins_s, begins_s + faults.choice((0.5, 2.0, 5.0)))
        if self.plan.has(Kind.REDIS):
            for _ in range(3):
                call_later(8 * faults.random(), self._lose_redis)
        if self.plan.has(Kind.UPGRADE):
            call_later(4 * faults.random(), self._upgrade)

    def _join_for_a_while(self, kind: str) -> None:
        self._start(kind)
        self.loop.call_later(2.0 + 8.0 * self.dice.faults.random(), self._leave, kind)

    def _leave(self, kind: str) -> None:
        members = [each for each in self.workers if isinstance(each, Agents) == (kind == _AGENTS)]
        if len(members) > 1:
            worker = self.dice.faults.choice(members)
            self.note("terminate", worker.process.name)
            worker.process.spawn(worker.stop())

    def _lose_redis(self) -> None:
        self.redis.flush()
        if self.dice.faults.random() < 0.4:
            self.redis.away = True
            self.loop.call_later(3.0 * self.dice.faults.random(), self._redis_is_back)

    def _redis_is_back(self) -> None:
        self.redis.away = False

    def _upgrade(self) -> None:
        self._upgraded = True
        for worker in list(self.workers):
            if isinstance(worker, Orchestrator):
                self.loop.call_later(3.0 * self.dice.faults.random(), worker.process.kill, "upgraded")

    # --- packs ---------------------------------------------------------------------------------------------------

    def _prepare_packs(self) -> None:
        """Prepare five days: fresh; warming, then fresh or failed; superseded; warming until a revision is fresh."""
        faults, changing = self.dice.faults, self.plan.has(Kind.PACKS)
        first = PackStatus.WARMING if changing else PackStatus.FRESH
        for day, status in enumerate((PackStatus.FRESH, first, first, PackStatus.FRESH, first)):
            self.packs.set(pack(day, 1, status))
        if changing:
            for day in (1, 2, 3, 4):
                self.loop.call_later(6.0 * faults.random(), self.change_pack, day)

    def change_pack(self, day: int) -> None:
        """Let what has to happen to a day's pack happen, once."""
        known = self.packs.on(day_of(day))
        if known.revision > 1 or not self.plan.has(Kind.PACKS):
            return
        if day == 1 and known.status == PackStatus.WARMING:
            self.packs.set(pack(day, 1, PackStatus.FRESH))
        elif day == 2 and known.status == PackStatus.WARMING:
            self.packs.set(pack(day, 1, PackStatus.FAILED))
        elif day in (3, 4):
            if day == 3:
                self.packs.set(pack(day, 1, PackStatus.SUPERSEDED))
            self.packs.set(pack(day, 2, PackStatus.FRESH))

    def asked_for_pack(self, asof: date) -> None:
        """An agent has just read a pack's status: the worst moment for a change."""
        if self.troubled(Kind.PACKS) and self.dice.faults.random() < 0.3:
            self.loop.outside(self.loop.call_later, 0.02 * self.dice.faults.random(), self.change_pack, asof.day - 1)

    def _announce(self, changed: PackRef) -> None:
        self._seq += 1
        value = encode(PackEvent(pack=changed, seq=self._seq))
        delay_s = 0.0 if self.loop.now_s == 0.0 else 0.02 + 0.4 * self.dice.faults.random() ** 2
        self.loop.outside(
            self.loop.call_later, delay_s, self.log.append, PACK_EVENTS, 0, str(changed.pack_id).encode(), value
        )


def day_of(number: int) -> date:
    """Return the session with this number, from 0."""
    return date(2026, 1, 1 + number)


def pack(day: int, revision: int, status: PackStatus) -> PackRef:
    """Return the pack of a day."""
    return PackRef(
        pack_id=pack_id(day, revision), policy="sim", asof_date=day_of(day), revision=revision, status=status
    )


def pack_id(day: int, revision: int) -> UUID:
    """Return the id of a pack."""
    return UUID(int=0x50000000000040008000000000000000 + day * 16 + revision)


@contextmanager
def simulating() -> Iterator[None]:
    """Put the simulator's seams in place: how a process is left, and who sees what the engine decides."""
    advance = streams.orchestrator.advance

    def seen(state: Any, event: Any, pattern: Any, limits: Any) -> Any:
        cause = CAUSE.get()
        if cause is not None:
            cause.fact = event
            body = event.message
            name = (
                execution_id_of(body.tenant, body.request_id) if isinstance(body, ExecuteRequest) else body.execution_id
            )
            cause.key = name.encode()
        return advance(state, event, pattern, limits)

    with ExitStack() as stack:
        # A killed process leaves coroutines behind that nobody will await.
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        stack.enter_context(patched(streams.failstop, "leave", _leave))
        stack.enter_context(patched(streams.orchestrator, "advance", seen))
        stack.enter_context(patched(streams.orchestrator, "_TICK_S", _TICK_S))
        yield


@contextmanager
def patched(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Set an attribute for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _leave(reason: str, error: BaseException | None) -> Any:
    process = PROCESS.get()
    assert process is not None
    why = reason if error is None else f"{reason}: {type(error).__name__}: {error}"
    process.kill(why)
    raise Killed
