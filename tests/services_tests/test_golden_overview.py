"""portfolio_overview on the bundled example, in this process: the whole result is recorded.

`UPDATE_GOLDEN=1` rewrites the record; read the diff.
"""

import json
import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from services.catalogue import load_catalogue
from services.composition import build_runtime_local
from services.local_data import TENANT, USER_ID, example_data
from services.patterns import load_patterns
from services.runner import run_in_process
from settings import load_settings
from topics.messages import ExecuteRequest, ExecutionResult, ExecutionStatus

RECORD = Path(__file__).parent / "golden" / "portfolio_overview.json"


async def overview(start: date | None = None, asof: date | None = None, request_id: str = "golden") -> ExecutionResult:
    settings = load_settings(_env_file=None)
    pattern = load_patterns(settings, load_catalogue(settings)).newest("portfolio_overview")
    assert pattern is not None
    data = example_data(start)
    request = ExecuteRequest(
        tenant=TENANT,
        request_id=request_id,
        user_id=USER_ID,
        pattern_id=pattern.id,
        portfolio_id=data.portfolio.id,
        asof=asof,
        submitted_at=datetime.now(UTC),
    )
    return await run_in_process(request, pattern, build_runtime_local(data))


def lasting(result: ExecutionResult) -> Any:
    """Return the result without moments of time, the long series cut to its ends."""
    value = json.loads(result.model_dump_json(by_alias=True))

    def strip(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: strip(item) for key, item in node.items() if not key.endswith("_at_ms")}
        if isinstance(node, list):
            kept = node if len(node) <= 12 else [*node[:2], f"… {len(node) - 4} more", *node[-2:]]
            return [strip(item) for item in kept]
        return node

    return strip(value)


async def test_the_example_gives_the_recorded_result() -> None:
    result = await overview()
    assert result.status is ExecutionStatus.SUCCEEDED, result.error
    found = lasting(result)
    if os.environ.get("UPDATE_GOLDEN"):
        RECORD.parent.mkdir(exist_ok=True)
        RECORD.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert found == json.loads(RECORD.read_text(encoding="utf-8"))


async def test_running_again_gives_the_same_bytes() -> None:
    first, second = await overview(), await overview(request_id="another")
    assert first.digest == second.digest
    assert json.dumps(first.data) == json.dumps(second.data) and first.charts == second.charts


async def test_another_day_or_start_is_another_result() -> None:
    whole, half = await overview(), await overview(asof=date(2004, 12, 31))
    late = await overview(start=date(2005, 1, 3))
    assert len({whole.digest, half.digest, late.digest}) == 3
    metrics = {name: result.data["perf_metrics"] for name, result in (("whole", whole), ("half", half), ("late", late))}
    # Two years are the first one linked with the second, measured from the last close of 2004.
    assert metrics["whole"]["ytd"] is not None
    linked = (1 + metrics["half"]["twr"]) * (1 + metrics["whole"]["ytd"]) - 1
    assert linked == pytest.approx(metrics["whole"]["twr"], abs=1e-11)
    assert metrics["late"]["start"] == "2005-01-03"
    assert metrics["late"]["total_value"] == metrics["whole"]["total_value"]
