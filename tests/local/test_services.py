from __future__ import annotations

import asyncpg
import pytest

from settings import load_settings
from tests.conftest import MakeDatabase
from tests.services import ContainersMissing, require_docker, service_addresses

pytestmark = pytest.mark.integration


async def _table(admin_url: str) -> None:
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute("CREATE TABLE mark (n int); INSERT INTO mark VALUES (7)")
        await connection.execute("GRANT SELECT ON mark TO PUBLIC")
    finally:
        await connection.close()


async def test_databases_are_copies_that_do_not_see_each_other(
    fresh_database: MakeDatabase,
) -> None:
    first = await fresh_database(_table, key="mark")
    second = await fresh_database(_table, key="mark")
    owner = await asyncpg.connect(first.admin_url)
    reader = await asyncpg.connect(second.url)
    try:
        await owner.execute("DELETE FROM mark")
        assert await owner.fetchval("SELECT count(*) FROM mark") == 0
        assert await reader.fetchval("SELECT n FROM mark") == 7
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute("DELETE FROM mark")
    finally:
        await owner.close()
        await reader.close()


async def test_roles_cannot_bypass_row_security(postgres_url: str, postgres_admin_url: str) -> None:
    for url in (postgres_url, postgres_admin_url):
        connection = await asyncpg.connect(url)
        try:
            row = await connection.fetchrow("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
            assert row is not None
            assert (row["rolsuper"], row["rolbypassrls"]) == (False, False)
        finally:
            await connection.close()


async def test_given_addresses_are_not_started_again(
    monkeypatch: pytest.MonkeyPatch, kafka_url: str, postgres_url: str, redis_url: str
) -> None:
    for name, url in (("KAFKA", kafka_url), ("POSTGRES", postgres_url), ("REDIS", redis_url)):
        monkeypatch.setenv(f"DAWSOS_{name}", url)
    monkeypatch.delenv("TEST_BACKEND", raising=False)
    async with service_addresses() as addresses:
        assert (addresses.kafka, addresses.postgres, addresses.redis) == (
            kafka_url,
            postgres_url,
            redis_url,
        )
        assert addresses.postgres_admin == postgres_url
        assert "REDIS" not in repr(addresses) and redis_url not in repr(addresses)
        assert addresses.apply(load_settings()).redis_url() == redis_url


async def test_forced_containers_without_an_engine_fail_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(ContainersMissing, match="needs a Docker engine"):
        require_docker()
    monkeypatch.setenv("TEST_BACKEND", "containers")
    with pytest.raises(ContainersMissing):
        async with service_addresses():
            pass


async def test_an_unknown_backend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_BACKEND", "moon")
    with pytest.raises(ValueError, match="expected embedded or containers, got 'moon'"):
        async with service_addresses():
            pass
