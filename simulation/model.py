"""What each simulated execution must come to: a tiny model that shares no code with the engine.

It knows patterns only by what they compute, an execution only by its request and by what was done to it, and the world
only by how it was left. Where timing decides (a cancel, a short deadline, a pack that changes), it knows every outcome
that may be.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any


@dataclass(slots=True)
class Asked:
    """A request the log has taken.

    Attributes:
        rejected: code it must be rejected with, whatever happens; None for a sound request.
        cancelled: a cancel by its user was sent at some time.
        hurried: its deadline may come before it can end by itself.
        packs: ids of the packs it may be answered from; empty when it needs none.
        refusals: codes its gate may reject it with.
        must_refuse: the gate can only refuse it.
        at_ms: when the log took it.
        deadline_s: after which it ends in any case.
    """

    execution_id: str
    request_id: str
    pattern_id: str
    inputs: Mapping[str, Any]
    at_ms: int
    deadline_s: float
    rejected: str | None = None
    cancelled: bool = False
    hurried: bool = False
    packs: frozenset[str] = frozenset()
    refusals: frozenset[str] = frozenset()
    must_refuse: bool = False
    others: list[str] = field(default_factory=list)


_TROUBLE = {"STEP_TIMEOUT", "UPSTREAM_FAILED", "AGENT_UNAVAILABLE"}


def answers(asked: Asked) -> list[dict[str, Any]]:
    """Return the data it may succeed with; none if it cannot succeed."""
    inputs = asked.inputs
    n, count = inputs.get("n", 0), inputs.get("count", 0)
    match asked.pattern_id:
        case "sim_sequence":
            return [{"answer": n + 2}, {"answer": n + 3}]
        case "sim_parallel":
            return [{"answer": 2 * n + 9}]
        case "sim_pages":
            return [{"answer": n + 15}]
        case "sim_foreach":
            return [{"answer": list(range(count))}]
        case "sim_odd":
            odd = [number for number in range(count) if number % 2]
            # An item whose retry would come after the deadline fails at once, and its policy puts 0 in its place.
            gone = [
                set(each) for size in range(len(odd) + 1 if asked.hurried else 1) for each in combinations(odd, size)
            ]
            return [
                {"answer": [number if number % 2 and number not in none else 0 for number in range(count)]}
                for none in gone
            ]
        case "sim_undo":
            return [] if inputs.get("fail") else [{"answer": n}]
        case "sim_fan_undo":
            return [] if inputs.get("fail") else [{"answer": count * (count - 1) // 2}]
        case "sim_gate":
            return [{"pack": pack, "answer": n} for pack in sorted(asked.packs)] if not asked.must_refuse else []
        case "sim_nested":
            return [{"answer": n + 11}]
        case "sim_errors":
            return [{"answer": n + 7}]
        case "sim_large":
            return [{"answer": n}]
    raise AssertionError(f"the model does not know {asked.pattern_id}")


def effects(asked: Asked) -> dict[str, int]:
    """Return what must stand after it succeeded, by step."""
    n, count = asked.inputs.get("n", 0), asked.inputs.get("count", 0)
    if asked.pattern_id == "sim_undo":
        return {"first": n, "second": n}
    if asked.pattern_id == "sim_fan_undo":
        return {"beside": 1} | {f"each[{number}]": number for number in range(count)}
    return {}


def faults(asked: Asked, result: Mapping[str, Any], standing: Mapping[str, int]) -> list[str]:
    """Return what is wrong with a result, and with the effects of its execution that stand in the end (by step)."""
    status, code = result["status"], (result.get("error") or {}).get("code")
    found = []
    if status == "succeeded":
        allowed = [] if asked.rejected else answers(asked)
        if result.get("data") not in allowed:
            found.append(f"expected {allowed or 'no success'}, got {result.get('data')}")
        if standing != effects(asked):
            found.append(f"succeeded; expected the effects {effects(asked)}, {dict(standing)} stand")
        return found
    if standing:
        found.append(f"{status}, but the effects {dict(standing)} still stand")
    if not _may_end(asked, status, code):
        found.append(f"may not end as {status} {code}: {(result.get('error') or {}).get('message')}")
    took_ms = result["finished_at_ms"] - asked.at_ms
    if status == "timed_out" and took_ms < asked.deadline_s * 1000:
        found.append(f"timed out after {took_ms} ms, its deadline is {asked.deadline_s} s")
    return found


def _may_end(asked: Asked, status: str, code: str | None) -> bool:
    if asked.cancelled and (status, code) == ("cancelled", "CANCELLED"):
        return True
    if asked.rejected:
        return (status, code) == ("rejected", asked.rejected)
    if asked.hurried and (
        (status, code) == ("timed_out", "DEADLINE_EXCEEDED") or (status == "failed" and code in _TROUBLE)
    ):
        return True
    if status == "rejected" and code in asked.refusals:
        return True
    return (status, code) == ("failed", "INVALID_INPUT") and bool(asked.inputs.get("fail"))
