"""The Python client and the agent of docs/examples, both strangers to the code, on a whole system."""

import asyncio
import json
import runpy
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pandas
import pytest

from gateway.client import ApiProblem, Client, Event, Result
from services.tokens import Role
from tests.gateway.conftest import EXAMPLES
from tests.gateway.system import ALICE, BOB, GROWTH, Gateway, new_id
from topics.codec import decode, encode
from topics.messages import CapabilityRequest, CapabilityResult

pytestmark = pytest.mark.integration


@pytest.fixture
def client(gateway: Gateway) -> Any:
    with Client(gateway.url, gateway.token("demo", ALICE, Role.VIEWER)) as made:
        yield made


async def called(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Run the client where notebooks do: not in this loop."""
    return await asyncio.to_thread(function, *arguments, **named)


async def test_a_result_comes_back_with_tables(client: Client) -> None:
    portfolio_id = await called(client.portfolio, "growth")
    assert portfolio_id == str(GROWTH.id)
    request_id = new_id()
    wanted = {"portfolio_id": portfolio_id, "asof": "2005-06-30", "request_id": request_id}
    result: Result = await called(client.execute, "tax_lots", **wanted)
    assert result.charts and result.trace["asof"] == "2005-06-30" and len(result.digest) == 64
    rows = result.data["lots"]["rows"]
    table = result.frame("lots.rows")
    assert list(table["symbol"]) == [row["symbol"] for row in rows]
    assert table["cost_local"].dtype == float and pandas.api.types.is_datetime64_any_dtype(table["acquired"])
    exact = result.frame("lots.rows", exact=True)
    assert exact["cost_local"][0] == Decimal(rows[0]["cost_local"])
    again: Result = await called(client.execute, "tax_lots", **wanted)
    assert (again.execution_id, again.digest) == (result.execution_id, result.digest)
    with pytest.raises(KeyError, match="no 'nothing'"):
        result.frame("lots.nothing")
    with pytest.raises(TypeError):
        result.frame("lots.unrealized_pl")
    assert "tax_lots" in {each["id"] for each in await called(client.patterns)}


def test_columns_of_an_object_are_a_table() -> None:
    result = Result(
        "id",
        {"history": {"dates": ["2012-01-02", "2012-01-03"], "nav": ["1.5", None], "n": 2, "warnings": []}},
        [],
        {},
        "",
    )
    table = result.frame("history")
    assert list(table.columns) == ["dates", "nav"] and table["nav"][0] == 1.5 and table["nav"].isna()[1]
    assert repr(result) == "<Result of id: history; 0 charts>"


async def test_an_execution_is_streamed_to_its_end(client: Client) -> None:
    execution_id = await called(client.submit, "slow", inputs={"seconds": 1})
    events: list[Event] = await called(lambda: list(client.stream(execution_id)))
    assert [event.kind for event in events[-1:]] == ["end"] and events[-1].status == "succeeded"
    assert any(event.status == "running" and event.execution["steps"] for event in events[:-1])
    result = await called(client.result, execution_id)
    assert result.data == {"slept": 1}
    assert [event.kind for event in await called(lambda: list(client.stream(execution_id)))] == ["end"]


async def test_problems_are_raised_with_code_and_places(gateway: Gateway, client: Client) -> None:
    with pytest.raises(ApiProblem) as refused:
        await called(client.execute, "echo", inputs={"value": -1})
    assert (refused.value.status, refused.value.code) == (422, "INVALID_INPUT")
    assert [pointer for pointer, _ in refused.value.errors] == ["/inputs/value"] and refused.value.execution_id
    with pytest.raises(ApiProblem, match="UPSTREAM_FAILED: ") as failed:
        await called(client.execute, "failing", inputs={"code": "UPSTREAM_FAILED", "retryable": True})
    assert failed.value.retryable and failed.value.retry_after_s
    with pytest.raises(ApiProblem, match="UNKNOWN_EXECUTION"):
        await called(lambda: list(client.stream(str(uuid4()))))
    with Client(gateway.url, "none") as stranger, pytest.raises(ApiProblem, match="UNAUTHENTICATED"):
        await called(stranger.patterns)
    with (
        Client(gateway.url, gateway.token("demo", BOB, Role.VIEWER)) as bob,
        pytest.raises(KeyError, match="'growth', 0 are; there are Bob: global"),
    ):
        await called(bob.portfolio, "growth")


async def test_what_takes_longer_goes_on_and_can_be_cancelled(client: Client) -> None:
    request_id = new_id()
    with pytest.raises(TimeoutError, match="goes on"):
        await called(client.execute, "slow", inputs={"seconds": 60}, request_id=request_id, wait_s=0)
    execution_id = await called(client.submit, "slow", inputs={"seconds": 60}, request_id=request_id)
    await called(client.cancel, execution_id, "the test has seen enough")
    with pytest.raises(ApiProblem, match="CANCELLED"):
        await called(client.result, execution_id)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"version": 2}, "CODE_VERSION_UNAVAILABLE"),
        ({"refs": {"/symbols": "0" * 64}}, "INVALID_ARGS"),
        ({"args": {"symbols": 5}}, "INVALID_ARGS"),
        ({"inline_bytes_max": 10}, "OUTPUT_TOO_LARGE"),
        ({}, None),
    ],
)
def test_the_plain_agent_answers_errors_in_the_form_of_the_contract(changed: dict[str, Any], code: str | None) -> None:
    asked = CapabilityRequest(
        execution_id=str(uuid4()),
        tenant="demo",
        user_id=ALICE,
        step_id="restricted",
        attempt=1,
        capability="compliance.check",
        version=1,
        args={"symbols": ["IBM"]},
        deadline_at_ms=0,
        idempotency_key="x",
    )
    request = {**json.loads(encode(asked)), **changed}
    answer = runpy.run_path(str(EXAMPLES / "plain_agent.py"))["answer"](request)
    result = decode(json.dumps(answer).encode(), CapabilityResult)
    assert isinstance(result, CapabilityResult)
    assert (result.error and result.error.code) == code and (result.value is None) == (code is not None)


@asynccontextmanager
async def plain_agent(gateway: Gateway) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / "plain_agent.py"),
        ",".join(gateway.settings.kafka_address().hosts),
        gateway.settings.topic_prefix,
        stdout=asyncio.subprocess.PIPE,
        cwd="/",
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"serving\n"
        yield
    finally:
        process.kill()
        await process.wait()


async def test_an_agent_without_our_code_answers(gateway: Gateway, client: Client) -> None:
    async with plain_agent(gateway):
        result: Result = await called(client.execute, "restricted", inputs={"symbols": ["AAPL", "IBM"]})
        assert result.data == {"restricted": {"IBM": "we advise the company"}}
        (step,) = result.trace["steps"]
        assert (step["capability"], step["version"], step["agent"], step["agent_version"]) == (
            "compliance.check",
            1,
            "compliance",
            "1.0.0",
        )
