"""Who asks for executions in a run: what is asked, repeated, cancelled and got wrong, and what must come of it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from simulation.faults import Kind
from simulation.log import START_MS
from simulation.model import Asked, faults
from streams.routing import partition_of
from topics.codec import encode, execution_id_of
from topics.messages import CancelExecution, ExecuteRequest, Gate, GatePolicy, TimerFired
from topics.table import CAPABILITY_RESULTS, EXECUTION_REQUESTS, EXECUTION_SIGNALS

if TYPE_CHECKING:
    from simulation.world import World

USER = UUID(int=7)
STRANGER = UUID(int=8)
_DEADLINE_S = 300.0
_PATTERNS = {
    "sim_sequence": 20,
    "sim_parallel": 14,
    "sim_pages": 6,
    "sim_foreach": 12,
    "sim_odd": 5,
    "sim_undo": 14,
    "sim_fan_undo": 8,
    "sim_gate": 22,
    "sim_nested": 5,
    "sim_errors": 6,
    "sim_large": 3,
}
_NAMES, _WEIGHTS = list(_PATTERNS), list(_PATTERNS.values())


class Client:
    """All clients of one run.

    Args:
        world: whose log they use.
        executions: to ask for at most; None as the seed says.

    Attributes:
        count: executions asked for.
        ends_s: when the last of their messages is sent.
    """

    def __init__(self, world: "World", executions: int | None) -> None:
        self._world = world
        self._dice = world.dice.client
        self._asked: dict[str, Asked] = {}
        self.count = min(self._dice.choice((1, 2, 3, 4, 6)), executions or 100)
        self._conflicts: set[str] = set()
        self.ends_s = 0.0

    def begin(self) -> None:
        """Plan everything that will be asked for."""
        for number in range(self.count):
            self._plan(number)

    def answered(self) -> bool:
        """Tell whether every request has its result."""
        return len(self._asked) == self.count and all(name in self._world.check.results for name in self._asked)

    def unanswered(self) -> list[str]:
        """Return the executions without a result."""
        return [name for name in self._asked if name not in self._world.check.results]

    def statuses(self) -> list[str]:
        """Return how the executions asked for ended."""
        results = self._world.check.results
        return [orjson.loads(results[name])["status"] for name in self._asked if name in results]

    def compare(self) -> None:
        """Compare every result, and the effects that stand, with the model."""
        from simulation.check import Broken

        world = self._world
        standing: dict[str, dict[str, int]] = {}
        for key, value in world.effects.standing.items():
            execution, _, step = key.partition("/")
            standing.setdefault(execution, {})[step] = value
        found: list[tuple[str, str]] = []
        for name, asked in self._asked.items():
            result = orjson.loads(world.check.results[name])
            found += [(name, each) for each in faults(asked, result, standing.pop(name, {}))]
        found += [(name, "effects of nobody's execution") for name in standing]
        found += [(key[:36], f"{key} was done {n} times") for key, n in world.effects.times.items() if n > 1]
        conflicts = [name for name in world.check.results if name not in self._asked]
        if len(conflicts) != len(self._conflicts):
            found.append(("", f"expected {len(self._conflicts)} answers to conflicting requests, got {len(conflicts)}"))
        if found:
            name, text = found[0]
            world.halt(Broken("what the model expects", f"{name}: {text}", name.encode() or None))

    # --- one execution -------------------------------------------------------------------------------------------

    def _plan(self, number: int) -> None:
        dice, world = self._dice, self._world
        at_s = dice.choice((0.0, 0.5, 2.0, 8.0)) * dice.random()
        name = dice.choices(_NAMES, _WEIGHTS)[0]
        inputs: dict[str, Any] = {"n": dice.randrange(1000)}
        if name in ("sim_foreach", "sim_odd", "sim_fan_undo"):
            inputs = {"count": dice.choice((0, 1, 2, 3, 5, 9))}
        if name in ("sim_undo", "sim_fan_undo"):
            inputs["fail"] = dice.random() < 0.5
        hurried = dice.random() < 0.12
        deadline_s = dice.choice((0.05, 0.5, 2.0, 8.0)) if hurried else _DEADLINE_S
        request = ExecuteRequest(
            tenant=dice.choice(("a", "b")),
            request_id=f"{world.seed}-{number}",
            user_id=USER,
            pattern_id=name,
            inputs=inputs,
            deadline_s=deadline_s,
            submitted_at=datetime.fromtimestamp((START_MS + at_s * 1000) / 1000, UTC),
        )
        asked = Asked("", request.request_id, name, inputs, 0, deadline_s, hurried=hurried)
        if name == "sim_gate":
            request = self._gate(request, asked)
        if dice.random() < 0.06:
            request = self._spoil(request, asked)
        asked.execution_id = execution_id_of(request.tenant, request.request_id)
        world.loop.call_later(at_s, self._ask, request, asked)
        self._note_end(at_s)
        if world.plan.has(Kind.REPEAT):
            self._repeat(request, asked, at_s)
        if world.plan.has(Kind.CANCEL) and dice.random() < 0.5:
            self._cancel(request, asked, at_s)
        if world.plan.has(Kind.TIMERS):
            for _ in range(3):
                self._send_early_timer(request, asked, at_s)
        if world.plan.has(Kind.GARBAGE):
            self._send_garbage(at_s)

    def _gate(self, request: ExecuteRequest, asked: Asked) -> ExecuteRequest:
        from simulation.world import day_of, pack_id

        dice, changing = self._dice, self._world.plan.has(Kind.PACKS)
        day = dice.randrange(5)
        policy = dice.choice((GatePolicy.WAIT, GatePolicy.WAIT, GatePolicy.REJECT, GatePolicy.SERVE_STALE))
        wait_s = dice.choice((0.3, 120.0, 120.0))
        first, second = str(pack_id(day, 1)), str(pack_id(day, 2))
        packs, refusals = {first}, set()
        if changing and day:
            if day in (3, 4):
                packs.add(second)
            if day == 4:
                packs.discard(first)
            if day == 2:
                refusals.add("PACK_FAILED")
                packs.clear()
            if day != 3:
                if policy is GatePolicy.SERVE_STALE:
                    # Of the earlier days, whichever is fresh at that moment.
                    packs |= {str(pack_id(each, revision)) for each in range(day) for revision in (1, 2)}
                elif policy is GatePolicy.REJECT or wait_s < 10:
                    refusals.add("PACK_WARMING")
            asked.must_refuse = day == 2 and policy is not GatePolicy.SERVE_STALE
        asked.packs, asked.refusals = frozenset(packs), frozenset(refusals)
        return request.model_copy(update={"asof": day_of(day), "gate": Gate(policy=policy, wait_s=wait_s)})

    def _spoil(self, request: ExecuteRequest, asked: Asked) -> ExecuteRequest:
        """Make a request that must be rejected."""
        match self._dice.randrange(3):
            case 0:
                asked.rejected = "REQUEST_EXPIRED"
                return request.model_copy(update={"submitted_at": datetime.fromtimestamp(START_MS / 1000 - 2000, UTC)})
            case 1:
                asked.rejected = "INVALID_INPUT"
                return request.model_copy(update={"inputs": {"n": "many", "count": "many"}})
        asked.rejected = "UNKNOWN_PATTERN"
        return request.model_copy(update={"pattern_id": "sim_nothing"})

    def _ask(self, request: ExecuteRequest, asked: Asked) -> None:
        asked.at_ms = self._world.log.now_ms()
        self._asked[asked.execution_id] = asked
        self._append(EXECUTION_REQUESTS, request, asked, self._world.plan.has(Kind.GARBAGE) and not asked.others)

    def _append(self, topic: str, message: Any, asked: Asked, anywhere: bool = False) -> None:
        key, world = asked.execution_id.encode(), self._world
        partition = partition_of(key, world.plan.partitions)
        if anywhere and self._dice.random() < 0.3:
            partition = self._dice.randrange(world.plan.partitions)
        world.log.append(topic, partition, key, encode(message))

    def _repeat(self, request: ExecuteRequest, asked: Asked, at_s: float) -> None:
        """Send the request again, or another one under its id; send the signals about it again."""
        dice, world = self._dice, self._world
        conflicting = dice.random() < 0.3 and asked.rejected is None
        if conflicting:
            asked.others.append("conflict")
            self._conflicts.add(asked.execution_id)
        for _ in range(dice.choice((1, 2))):
            later_s = at_s + dice.choice((0.001, 0.05, 1.0, 10.0)) * (0.01 + dice.random())
            other = request.model_copy(update={"inputs": {**request.inputs, "more": 1}}) if conflicting else request
            world.loop.call_later(
                later_s, self._append, EXECUTION_REQUESTS, other, asked, not conflicting and not asked.others
            )
            self._note_end(later_s)
        for _ in range(2):
            world.loop.call_later(at_s + 6.0 * dice.random() ** 2, self._deliver_twice, asked)

    def _deliver_twice(self, asked: Asked) -> None:
        """Append a signal or an answer about an execution once more, as a producer without idempotence would."""
        world, key = self._world, asked.execution_id.encode()
        topic = self._dice.choice((EXECUTION_SIGNALS, CAPABILITY_RESULTS))
        partition = partition_of(key, world.plan.partitions)
        known = [record for record in world.log.topics[topic][partition] if record.key == key]
        if known:
            record = self._dice.choice(known)
            world.log.append(topic, partition, key, record.value, record.headers)

    def _cancel(self, request: ExecuteRequest, asked: Asked, at_s: float) -> None:
        dice, world = self._dice, self._world
        user = USER if dice.random() < 0.85 else STRANGER
        asked.cancelled = asked.cancelled or user == USER
        cancel = CancelExecution(execution_id=asked.execution_id, tenant=request.tenant, user_id=user)
        for _ in range(dice.choice((1, 1, 2))):
            when_s = max(0.0, at_s + dice.choice((-0.5, 0.003, 0.02, 0.1, 1.0, 5.0)) * dice.random())
            world.loop.call_later(when_s, self._append, EXECUTION_SIGNALS, cancel, asked)
            self._note_end(when_s)

    def _send_early_timer(self, request: ExecuteRequest, asked: Asked, at_s: float) -> None:
        """A timer that comes before its time, or for nothing."""
        dice, world = self._dice, self._world
        when_s = at_s + 3.0 * dice.random() ** 2
        due_at_ms = START_MS + int((when_s + dice.choice((-1, 0, 3, 60, 400))) * 1000)
        fired = TimerFired(execution_id=asked.execution_id, tenant=request.tenant, due_at_ms=due_at_ms)
        world.loop.call_later(when_s, self._append, EXECUTION_SIGNALS, fired, asked)
        self._note_end(when_s)

    def _send_garbage(self, at_s: float) -> None:
        dice, world = self._dice, self._world
        if dice.random() < 0.5:
            return
        topic = dice.choice((EXECUTION_REQUESTS, EXECUTION_SIGNALS, CAPABILITY_RESULTS))
        when_s = at_s + dice.random()
        world.garbage += 1
        value = dice.choice((None, b"", b"{", b'{"type":"TimerFired","v":9}'))
        world.loop.call_later(when_s, world.log.append, topic, dice.randrange(world.plan.partitions), b"garbage", value)
        self._note_end(when_s)

    def _note_end(self, at_s: float) -> None:
        self.ends_s = max(self.ends_s, at_s)
