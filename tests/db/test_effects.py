import asyncio
from uuid import UUID

import pytest

from db.effects import EffectRepository
from db.postgres import Connection, Pool
from topics.errors import Code, TerminalError

pytestmark = pytest.mark.integration

ALICE, BOB = UUID(int=1), UUID(int=2)


async def rename(connection: Connection) -> bytes:
    await connection.execute("INSERT INTO artifacts VALUES ('acme', repeat('a', 64), 'effect', now())")
    return b'{"done":true}'


async def count(connection: Connection) -> bytes:
    return str(await connection.fetchval("SELECT count(*) FROM artifacts")).encode()


async def test_an_effect_happens_once(app: Pool) -> None:
    effects = EffectRepository(app)
    assert await effects.once("acme", ALICE, "e/s", rename) == (b'{"done":true}', True)
    assert await effects.once("acme", ALICE, "e/s", rename) == (b'{"done":true}', False)
    assert await effects.once("acme", ALICE, "e/other", count) == (b"1", True)
    assert await effects.once("other", ALICE, "e/s", count) == (b"0", True)


async def test_two_attempts_at_once_are_one_effect(app: Pool) -> None:
    effects = EffectRepository(app)
    outcomes = await asyncio.gather(*(effects.once("acme", ALICE, "e/s", rename) for _ in range(4)))
    assert sorted(ran for _, ran in outcomes) == [False, False, False, True]
    assert {output for output, _ in outcomes} == {b'{"done":true}'}


async def test_a_failed_effect_leaves_nothing_and_may_be_tried_again(app: Pool) -> None:
    effects = EffectRepository(app)

    async def fails(connection: Connection) -> bytes:
        await rename(connection)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await effects.once("acme", ALICE, "e/s", fails)
    assert await effects.once("acme", ALICE, "e/s", rename) == (b'{"done":true}', True)


async def test_another_user_s_key_is_a_conflict_and_its_output_stays_hidden(app: Pool) -> None:
    effects = EffectRepository(app)
    await effects.once("acme", ALICE, "e/s", rename)
    with pytest.raises(TerminalError) as refused:
        await effects.once("acme", BOB, "e/s", count)
    assert refused.value.code is Code.REQUEST_CONFLICT
