"""The outputs of an execution: what a result carries inline, and what it leaves in the artifact store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from orchestrator.execution import StepRecord
from orchestrator.faults import pointer
from orchestrator.limits import Limits
from orchestrator.pattern import CompiledPattern, item_name

CHARTS = "charts"


@dataclass(slots=True)
class Outputs:
    """Outputs by name.

    Attributes:
        data: null stands for what was skipped, failed, or is in the artifact store.
        refs: JSON pointer into the result → SHA-256.
        size: bytes that are inline, about.
        reserved: steps whose outputs can be nowhere else; `size` counts them from the beginning.
    """

    data: dict[str, Any] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    size: int = 0
    reserved: set[str] = field(default_factory=set)


def collect_outputs(finished: Mapping[str, StepRecord], pattern: CompiledPattern, limits: Limits) -> Outputs:
    """Return the outputs of settled steps.

    What has no artifact is inline in any case; the rest is taken in the pattern's order as long as it fits beside that.

    Cost: O(outputs and their items).
    """
    found = Outputs()
    # Charts stand twice in a result: under their name and beside the data.
    times_of = {name: 2 if name == CHARTS else 1 for name in pattern.outputs}
    for name, step_id in pattern.outputs.items():
        record = finished.get(step_id)
        if record is not None and record.inline and record.ref is None:
            found.reserved.add(step_id)
            found.size += _size(record) * times_of[name]
    for name, step_id in pattern.outputs.items():
        times = times_of[name]
        found.data[name] = _output(found, finished, pattern, step_id, f"/data/{name}", times, limits)
    if f"/data/{CHARTS}" in found.refs:
        found.refs[f"/{CHARTS}"] = found.refs[f"/data/{CHARTS}"]
    return found


def _output(
    found: Outputs,
    finished: Mapping[str, StepRecord],
    pattern: CompiledPattern,
    step_id: str,
    at: str,
    times: int,
    limits: Limits,
) -> Any:
    record, part = finished.get(step_id), pattern.step_by_id[step_id].part
    if record is None or not record.has_output:
        return None
    if part is not None:
        return {
            name: _output(found, finished, pattern, inner, at + pointer(name), times, limits)
            for name, inner in part.outputs.items()
        }
    if record.count is not None:
        items = [finished[item_name(step_id, index)] for index in range(record.count)]
        return [_take(found, item, f"{at}/{index}", times, limits) for index, item in enumerate(items)]
    if step_id in found.reserved:
        return record.value
    return _take(found, record, at, times, limits)


def _take(found: Outputs, record: StepRecord, at: str, times: int, limits: Limits) -> Any:
    size = _size(record) * times
    if record.inline and (record.ref is None or found.size + size <= limits.output_bytes):
        found.size += size
        return record.value
    if record.ref is not None:
        found.refs[at] = record.ref
    return None


def _size(record: StepRecord) -> int:
    """Return about how long a value is; of small ones the record would be mostly other things."""
    encoded = len(record.encoded)
    return encoded if encoded > 2048 else len(orjson.dumps(record.value))


def fits(finished: Mapping[str, StepRecord], pattern: CompiledPattern, limits: Limits) -> str | None:
    """Return why the outputs cannot be published as they are, or None.

    Too large without an artifact to refer to, or not what the pattern's `output_schema` promises.
    """
    found = collect_outputs(finished, pattern, limits)
    if found.size > limits.message_bytes_max:
        return f"expected outputs of at most {limits.message_bytes_max} bytes without artifacts, got {found.size}"
    if pattern.output_ok is not None and not found.refs and not pattern.output_ok(found.data):
        return "the outputs do not fit the pattern's output_schema"
    return None
