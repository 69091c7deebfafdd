"""Parameters at the edges of what their types allow: refused with their place, never 500."""

from typing import Any
from uuid import UUID

import pytest

from gateway.cursors import write_cursor
from services.tokens import Role
from tests.gateway.system import Gateway, new_id
from tests.gateway.test_execute import problem

pytestmark = pytest.mark.integration

NUL = "expected text without the character NUL"
CALENDAR = "expected a time within the years 1 to 9999 of UTC"
DAY = "expected a day like 2026-02-27, got "


@pytest.mark.parametrize(
    ("path", "pointer", "said"),
    [
        ("/executions?pattern_id=%00", "?pattern_id", NUL),
        ("/executions?pattern_id=a%00b", "?pattern_id", NUL),
        ("/executions?started_after=0001-01-01T00:00:00%2B14:00", "?started_after", CALENDAR),
        ("/executions?started_before=9999-12-31T23:59:59-14:00", "?started_before", CALENDAR),
        ("/executions?started_after=0", "?started_after", "expected a time with its zone like 2026-02-27T09:30:00Z"),
        ("/packs?policy=%00", "?policy", NUL),
        ("/packs?start=0", "?start", DAY + "'0'"),
        ("/packs?end=2026-02-30", "?end", DAY + "'2026-02-30'"),
    ],
)
async def test_what_postgres_cannot_hold_is_refused(gateway: Gateway, path: str, pointer: str, said: str) -> None:
    (fault,) = problem(await gateway.get(path), 422, "INVALID_REQUEST")["errors"]
    assert fault["pointer"] == pointer and fault["detail"].startswith(said)


@pytest.mark.parametrize(
    "path",
    [
        "/executions?q=%00&started_after=0001-01-01T00:00:00Z&started_before=9999-12-31T23:59:59.999999Z",
        f"/executions?cursor={write_cursor(-62135596800000, str(UUID(int=0)))}",
        f"/executions?cursor={write_cursor(253402300799999, str(UUID(int=0)))}",
        "/packs?start=0001-01-01&end=9999-12-31",
        f"/packs?cursor={write_cursor('0001-01-01', chr(0), 2**31 - 1)}",
        f"/packs?cursor={write_cursor('9999-12-31', 'x', 0)}",
        "/dead-letters?reason=%00",
        f"/dead-letters?cursor={write_cursor(-1)}",
        f"/dead-letters?cursor={write_cursor(2**63)}",
    ],
)
async def test_what_it_can_hold_just_so_is_answered(gateway: Gateway, path: str) -> None:
    found = await gateway.get(path, who={"role": Role.ADMIN})
    assert found.status_code == 200, found.text


@pytest.mark.parametrize(
    ("body", "pointer", "said"),
    [
        ({"pattern_id": "\0", "request_id": "nul"}, "/pattern_id", NUL),
        ({"asof": 0}, "/asof", DAY + "0"),
        ({"asof": "0"}, "/asof", DAY + "'0'"),
        ({"asof": True}, "/asof", DAY + "True"),
        ({"asof": "2026-02-27T00:00:00"}, "/asof", DAY + "'2026-02-27T00:00:00'"),
    ],
)
async def test_faulty_bodies_say_what_was_expected(
    gateway: Gateway, body: dict[str, Any], pointer: str, said: str
) -> None:
    (fault,) = problem(await gateway.execute(**{"pattern_id": "echo", **body}), 422, "INVALID_REQUEST")["errors"]
    assert fault == {"pointer": pointer, "detail": said}


@pytest.mark.parametrize("path", ["/executions?limit=1&limit=2", "/executions?limit=1&status=failed&limit=2"])
async def test_a_parameter_that_comes_twice_is_refused(gateway: Gateway, path: str) -> None:
    (fault,) = problem(await gateway.get(path), 422, "INVALID_REQUEST")["errors"]
    assert fault == {"pointer": "?limit", "detail": "expected it once"}


@pytest.mark.parametrize(
    "path",
    [f"/executions?cursor={write_cursor(-(10**17), str(UUID(int=0)))}", f"/packs?cursor={write_cursor('x', 'y', 1)}"],
)
async def test_a_cursor_beyond_all_times_names_its_parameter(gateway: Gateway, path: str) -> None:
    (fault,) = problem(await gateway.get(path), 422, "INVALID_REQUEST")["errors"]
    assert fault == {"pointer": "?cursor", "detail": "expected a cursor as a page gave it"}


@pytest.mark.parametrize(("alias", "path"), [("/livez", "/health"), ("/readyz", "/ready")])
async def test_the_gateway_answers_to_the_names_of_every_process(gateway: Gateway, alias: str, path: str) -> None:
    found, same = await gateway.client.get(alias), await gateway.client.get(path)
    assert (found.status_code, found.json()) == (same.status_code, same.json()) == (200, found.json())


@pytest.mark.parametrize("path", ["/health", "/ready", "/livez", "/readyz"])
async def test_probes_may_ask_for_the_head_alone(gateway: Gateway, path: str) -> None:
    found = await gateway.client.head(path)
    assert (found.status_code, found.content) == (200, b"")


async def test_an_idempotency_key_may_be_in_quotes(gateway: Gateway) -> None:
    key = new_id()
    bare = await gateway.execute("echo", headers={"Idempotency-Key": key})
    quoted = await gateway.execute("echo", headers={"Idempotency-Key": f'"{key}"'})
    assert (bare.status_code, quoted.status_code) == (200, 200), quoted.text
    assert quoted.json()["execution_id"] == bare.json()["execution_id"]
    for wrong in (f'"{key}', f'{key}"', '""'):
        refused = await gateway.execute("echo", headers={"Idempotency-Key": wrong})
        assert problem(refused, 422, "INVALID_REQUEST")["errors"][0]["pointer"] == "@idempotency-key"


async def test_a_deadline_below_a_millisecond_is_not_said_to_be_none(gateway: Gateway) -> None:
    body = problem(await gateway.execute("slow", inputs={"seconds": 1}, deadline_s=0.0001), 504, "DEADLINE_EXCEEDED")
    assert "within its deadline of less than 0.001 s" in body["detail"]
