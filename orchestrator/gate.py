"""From a resolution to fixed pins: the freshness gate.

    fresh       run
    warming     reject | wait | serve_stale, as the request (or else the pattern) says
    failed      end at once
    superseded  asked for by id: run, the result says so; else resolve again, a bounded number of times

Another revision of the day that becomes fresh is resolved again, too: nobody waits for a pack the day does not need.

Pins are fixed when the gate is passed and never change.
"""

from orchestrator.events import WatchPack
from orchestrator.execution import Parked, Status
from orchestrator.pattern import RESOLVE_STEP
from orchestrator.requests import resolve_request
from orchestrator.turn import Turn
from topics.errors import Code
from topics.messages import ErrorBody, GatePolicy, PackRef, PackStatus, Resolution


def ask_for_pins(turn: Turn, attempt: int) -> Status:
    """Send `$resolve`."""
    spec = turn.pattern.resolve
    if spec is None:
        raise AssertionError(f"pattern {turn.pattern.id} resolves pins without {RESOLVE_STEP}")
    due_at_ms = turn.at_ms + round(spec.timeout_s * 1000)
    command = turn.command(RESOLVE_STEP, attempt, False, turn.at_ms, due_at_ms)
    turn.emits.append(resolve_request(turn, command))
    return Status.RESOLVING


def meet_pack(turn: Turn, pack: PackRef) -> Status:
    """Decide on the pack of the day; sets pins, parks, asks again, or sets `turn.failure`.

    Args:
        turn: with the resolution set.
        pack: the resolved pack, with the newest status known; or another revision of its day, which is fresh.

    Returns:
        RUNNING once pinned, WAITING_FOR_PACK, RESOLVING, or REJECTED with a failure set.
    """
    resolution = turn.resolution
    if resolution is None:
        raise AssertionError("the gate comes after the resolution")
    if pack.pack_id != resolution.pack.pack_id:
        return _resolve_again(turn, pack)
    if pack.status == PackStatus.FRESH or _asked_for(turn, pack):
        return _pass(turn, resolution, pack, stale=False)
    if pack.status == PackStatus.FAILED:
        message = f"the pricing pack {pack.pack_id} of {pack.asof_date} has failed"
        turn.failure = ErrorBody(code=Code.PACK_FAILED, message=message, details=_named(pack))
        return Status.REJECTED
    if pack.status == PackStatus.SUPERSEDED:
        return _resolve_again(turn, pack)
    return _meet_warming(turn, resolution, pack)


def _asked_for(turn: Turn, pack: PackRef) -> bool:
    return pack.status == PackStatus.SUPERSEDED and turn.admission.request.pack_id == pack.pack_id


def _meet_warming(turn: Turn, resolution: Resolution, pack: PackRef) -> Status:
    gate = turn.admission.gate
    if gate.policy == GatePolicy.SERVE_STALE:
        previous = resolution.previous_fresh
        if previous is not None:
            return _pass(turn, resolution, previous, stale=True)
        turn.failure = warming(turn, pack, "and no earlier day has a fresh one")
        return Status.REJECTED
    if gate.policy == GatePolicy.REJECT or gate.wait_s <= 0:
        turn.failure = warming(turn, pack, "")
        return Status.REJECTED
    if turn.parked is None or turn.parked.pack_id != pack.pack_id:
        if turn.gate_until_ms == 0:
            turn.gate_until_ms = min(turn.at_ms + round(gate.wait_s * 1000), turn.deadline_at_ms)
        turn.parked = Parked(pack.pack_id, turn.gate_until_ms, turn.origin)
        turn.emits.append(WatchPack(pack.pack_id))
        turn.remind(turn.parked.until_ms)
    return Status.WAITING_FOR_PACK


def warming(turn: Turn, pack: PackRef, more: str) -> ErrorBody:
    """Return the error of an execution that cannot wait for its pack, or no longer."""
    message = f"the pricing pack of {pack.asof_date} is warming {more}".rstrip() + "; try again later"
    return ErrorBody(
        code=Code.PACK_WARMING,
        message=message,
        retryable=True,
        retry_after_s=turn.limits.pack_retry_after_s,
        details=_named(pack),
    )


def _named(pack: PackRef) -> dict[str, object]:
    return {"pack_id": str(pack.pack_id), "asof_date": pack.asof_date.isoformat(), "status": pack.status.value}


def _resolve_again(turn: Turn, pack: PackRef) -> Status:
    if turn.resolve_rounds >= turn.limits.resolve_rounds_max:
        message = f"the pack of {pack.asof_date} changed {turn.resolve_rounds} times while it was being resolved"
        turn.failure = ErrorBody(code=Code.PACK_WARMING, message=message, retryable=True, details=_named(pack))
        return Status.REJECTED
    attempts = turn.resolve_record.attempts if turn.resolve_record else 1
    turn.resolve_rounds += 1
    turn.resolve_attempt_min = attempts + 1
    turn.resolve_record = None
    turn.resolution = None
    turn.parked = None
    return ask_for_pins(turn, turn.resolve_attempt_min)


def _pass(turn: Turn, resolution: Resolution, pack: PackRef, stale: bool) -> Status:
    turn.parked = None
    pins = resolution.pins(pack, turn.admission.request.asof or resolution.asof, stale=stale)
    if turn.resolve_record is not None:
        turn.settle(turn.resolve_record)
        turn.resolve_record = None
    turn.pin(pins)
    return Status.RUNNING
