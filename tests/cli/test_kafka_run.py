"""`dawsos run` while it waits: what it says of a request that can have no result."""

from typing import Any
from uuid import UUID

import pytest

from cli.failures import CommandFailed
from cli.kafka_run import execute
from cli.requests import make_request
from db.dead_letters import DeadLetterRepository, LetterFilter
from db.executions import ExecutionRepository
from settings import load_settings
from streams.publisher import ExecutionClient
from tests.db.test_executions import letter
from topics.codec import encode, execution_id_of


async def test_a_request_the_orchestrator_does_not_believe_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    request = make_request("portfolio_overview", tenant="demo", user_id=UUID(int=1), portfolio_id=None, inputs={})
    refused = letter(1, stage="trust", reason="expected a header dawsos-signature, found none", id=7)

    async def nothing(*_: object) -> None:
        return None

    async def looked_for(_: object, wanted: LetterFilter, limit: int) -> tuple[Any, ...]:
        return (refused,) if wanted == LetterFilter(value=encode(request), waiting=True) else ()

    async def waited(_: object, asked: Any, __: float, stored: Any, **___: object) -> Any:
        return await stored(execution_id_of(asked.tenant, asked.request_id))

    monkeypatch.setattr("streams.clients.wait_for_kafka", lambda *_, **__: nothing())
    for name, stub in (("start", nothing), ("stop", nothing), ("execute", waited)):
        monkeypatch.setattr(ExecutionClient, name, stub)
    monkeypatch.setattr(ExecutionRepository, "show", nothing)
    monkeypatch.setattr(DeadLetterRepository, "list", looked_for)
    pool: Any = None
    with pytest.raises(CommandFailed, match=r"found none \(dead letter 7\); give this shell a DAWSOS_REQUEST_KEYS"):
        await execute(load_settings(_env_file=None), pool, request, "title", quiet=True)
