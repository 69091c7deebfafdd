"""Nobody sees another's rows: not without a setting, not over a pooled connection, not as the owner."""

from uuid import UUID

import asyncpg
import pytest

from db.artifacts import ArtifactRepository
from db.executions import EveryonesExecutions, ExecutionFilter, ExecutionRepository, OperatorRefused, store_result
from db.ledgers import SnapshotRepository
from db.migrate import migrate
from db.pack_writer import PackWriter
from db.portfolio import Portfolio
from db.portfolios import PortfolioRepository
from db.postgres import Pool, open_pool, tenant_transaction, transaction
from db.requests import RequestRepository
from db.snapshot_rules import ROWS_VERSION
from tests.db.market import POLICY, open_market
from tests.db.results import result_of
from tests.services import Database

pytestmark = pytest.mark.integration

ALICE, BOB = UUID(int=1), UUID(int=2)
PORTFOLIO = Portfolio(UUID(int=10), "Core", "CAD", None, "FIFO", "main.beancount", POLICY)
COMMIT = "c" * 40
ROW = {
    "seq": 0, "on": "2024-01-02", "kind": "cash", "account": "Assets:Cash", "symbol": "", "currency": "CAD",
    "qty": "0", "amount": "100.5", "price": None, "price_currency": None, "ratio": None, "lot": "", "acquired": None,
    "lot_qty": None, "lot_cost": None, "gain": None, "pay_date": None, "source": "main.beancount:3", "text": "deposit",
}  # fmt: skip
TABLES = ("portfolios", "ledger_snapshot", "bookings", "executions", "effects", "artifacts")


@pytest.fixture
async def filled(owner: Pool, app: Pool) -> Pool:
    """Every tenant table has one row of Alice's; returns the application's pool."""
    await open_market(PackWriter(owner))
    assert await PortfolioRepository(app).put("acme", ALICE, PORTFOLIO)
    await SnapshotRepository(app).store("acme", ALICE, PORTFOLIO.id, COMMIT, "a" * 64, [ROW])
    await ArtifactRepository(app).put("acme", ALICE, b"large")
    async with transaction(app) as connection:
        assert await store_result(connection, result_of("acme", ALICE, "r-1"))
    async with tenant_transaction(app, "acme", ALICE) as connection:
        await connection.execute("INSERT INTO effects VALUES ('acme', 'k', $1, 'x')", ALICE)
    return app


async def rows_seen(connection) -> dict[str, int]:
    return {table: await connection.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES}


def every(count: int, **other: int) -> dict[str, int]:
    return {**dict.fromkeys(TABLES, count), **other}


async def test_a_user_sees_own_rows(filled: Pool) -> None:
    async with tenant_transaction(filled, "acme", ALICE) as connection:
        assert await rows_seen(connection) == every(1)


async def test_without_a_setting_there_are_no_rows(filled: Pool, owner: Pool) -> None:
    for pool in (filled, owner):
        async with pool.acquire() as connection:
            assert await rows_seen(connection) == every(0)


async def test_a_forged_tenant_and_another_user_see_nothing(filled: Pool) -> None:
    async with tenant_transaction(filled, "evil", ALICE) as connection:
        assert await rows_seen(connection) == every(0)
    # Artifacts belong to the tenant: who knows a digest was given it with a result.
    async with tenant_transaction(filled, "acme", BOB) as connection:
        assert await rows_seen(connection) == every(0, artifacts=1)


async def test_forced_for_the_owner_too(filled: Pool, owner: Pool) -> None:
    async with tenant_transaction(owner, "evil", BOB) as connection:
        assert await rows_seen(connection) == every(0)
        assert await connection.execute("UPDATE portfolios SET name = 'mine'") == "UPDATE 0"
        assert await connection.execute("DELETE FROM executions") == "DELETE 0"
    async with tenant_transaction(owner, "acme", ALICE) as connection:
        assert await rows_seen(connection) == every(1)


async def test_a_pooled_connection_does_not_leak(database: Database, filled: Pool) -> None:
    pool = await open_pool(database.url, size_max=1)
    try:
        async with tenant_transaction(pool, "acme", ALICE) as connection:
            first = connection.get_server_pid()
            assert await rows_seen(connection) == every(1)
        with pytest.raises(ZeroDivisionError):
            async with tenant_transaction(pool, "acme", ALICE) as connection:
                raise ZeroDivisionError
        async with pool.acquire() as connection:
            assert connection.get_server_pid() == first
            assert await rows_seen(connection) == every(0)
            assert await connection.fetchval("SELECT current_setting('app.tenant', true)") in (None, "")
        async with tenant_transaction(pool, "evil", BOB) as connection:
            assert connection.get_server_pid() == first
            assert await rows_seen(connection) == every(0)
    finally:
        await pool.close()


@pytest.mark.parametrize("tenant", ["acme' OR '1'='1", "", "acme\\", "acme', 'app.user_id"])
async def test_settings_are_values_not_sql(filled: Pool, tenant: str) -> None:
    async with tenant_transaction(filled, tenant, ALICE) as connection:
        assert await rows_seen(connection) == every(0)


async def test_nobody_writes_rows_for_another(filled: Pool) -> None:
    for statement in (
        "INSERT INTO portfolios VALUES (gen_random_uuid(), 'acme', $1, 'x', 'CAD', NULL, 'FIFO', 'm', 'close')",
        "INSERT INTO effects VALUES ('acme', 'other', $1, 'x')",
        "INSERT INTO ledger_snapshot VALUES (gen_random_uuid(), repeat('a', 40), 'acme', $1, repeat('a', 64), 0)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            async with tenant_transaction(filled, "evil", BOB) as connection:
                await connection.execute(statement, ALICE)


async def test_repositories_answer_strangers_like_unknown_ids(filled: Pool) -> None:
    for tenant, user in (("evil", ALICE), ("acme", BOB)):
        portfolios = PortfolioRepository(filled)
        assert await portfolios.get(tenant, user, PORTFOLIO.id) is None
        assert await portfolios.list(tenant, user) == ()
        assert not await portfolios.put(tenant, user, PORTFOLIO)
        assert await SnapshotRepository(filled).load(tenant, user, PORTFOLIO.id, COMMIT) is None
        assert await ExecutionRepository(filled).list(tenant, user) == ()
    assert (await PortfolioRepository(filled).get("acme", ALICE, PORTFOLIO.id)) == PORTFOLIO


async def test_the_collector_sees_only_what_has_expired(filled: Pool) -> None:
    async with transaction(filled) as connection:
        await connection.execute("SELECT set_config('app.task', 'collect-artifacts', true)")
        assert await rows_seen(connection) == every(0)


@pytest.fixture
async def of_two_tenants(filled: Pool) -> Pool:
    """Alice's execution of `filled`, one of Bob's in another tenant, and a request of his that is not taken yet."""
    async with transaction(filled) as connection:
        assert await store_result(connection, result_of("other", BOB, "r-2", finished_at_ms=1_704_884_500_000))
    assert (await RequestRepository(filled).claim("other", BOB, "r-3", "b" * 64, UUID(int=3), "risk")).made
    return filled


async def test_an_operator_finds_executions_of_all_users(of_two_tenants: Pool, owner: Pool) -> None:
    everyones = EveryonesExecutions(owner)
    found = await everyones.find(ExecutionFilter())
    assert [(each.tenant, each.user_id) for each in found] == [("other", BOB), ("acme", ALICE)]
    for one in (ExecutionFilter(tenant="acme"), ExecutionFilter(user_id=ALICE)):
        assert [each.tenant for each in await everyones.find(one)] == ["acme"]
    assert await everyones.find(ExecutionFilter(tenant="acme", user_id=BOB)) == ()
    assert [each.tenant for each in await everyones.find(ExecutionFilter(), limit=1)] == ["other"]
    ids = [each.execution_id for each in found]
    expected = {ids[0]: ("other", BOB), ids[1]: ("acme", ALICE), UUID(int=3): ("other", BOB)}
    assert await everyones.owners_of([*ids, UUID(int=3), UUID(int=9)]) == expected


async def test_an_operator_sees_executions_only_and_changes_none(of_two_tenants: Pool, owner: Pool) -> None:
    async with transaction(owner) as connection:
        await connection.execute("SELECT set_config('app.task', 'operate', true)")
        assert await rows_seen(connection) == every(0, executions=2)
        assert await connection.execute("DELETE FROM executions") == "DELETE 0"
        assert await connection.execute("UPDATE requests SET tenant = 'acme'") == "UPDATE 0"
    # The connection goes back to the pool as it came.
    async with transaction(owner) as connection:
        assert await rows_seen(connection) == every(0)


async def test_the_applications_role_is_no_operator(of_two_tenants: Pool) -> None:
    with pytest.raises(OperatorRefused, match=r"DAWSOS_POSTGRES_ADMIN .* got role dawsos_app"):
        await EveryonesExecutions(of_two_tenants).find(ExecutionFilter())
    async with transaction(of_two_tenants) as connection:
        await connection.execute("SELECT set_config('app.task', 'operate', true)")
        assert await rows_seen(connection) == every(0)
        assert await connection.fetchval("SELECT count(*) FROM requests") == 0


async def test_an_owner_without_its_grants_is_told_to_migrate(
    of_two_tenants: Pool, owner: Pool, database: Database
) -> None:
    await owner.execute("DROP POLICY operator_sees ON executions")
    with pytest.raises(OperatorRefused, match="dawsos migrate"):
        await EveryonesExecutions(owner).find(ExecutionFilter())
    await migrate(database.admin_url)
    assert len(await EveryonesExecutions(owner).find(ExecutionFilter())) == 2


async def test_every_table_with_a_tenant_is_protected(owner: Pool) -> None:
    protected = await owner.fetch(
        "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS forced FROM pg_class AS c "
        "JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant' WHERE c.relkind = 'r'"
    )
    # Dead letters are the operators': their bytes may be anybody's, and their tenant is only what these bytes say.
    expected = {**dict.fromkeys((*TABLES, "requests"), True), "dead_letters": False}
    assert {row["relname"]: row["forced"] for row in protected} == expected


async def test_neither_role_bypasses_security(database: Database, owner: Pool) -> None:
    roles = await owner.fetch(
        "SELECT rolname, rolsuper OR rolbypassrls AS bypasses FROM pg_roles WHERE rolname LIKE 'dawsos%'"
    )
    assert {row["rolname"]: row["bypasses"] for row in roles} == {"dawsos_app": False, "dawsos_owner": False}
    assert not await owner.fetchval("SELECT pg_has_role('dawsos_app', 'dawsos_owner', 'MEMBER')")
    assert not await owner.fetchval("SELECT EXISTS (SELECT FROM pg_class WHERE relowner = 'dawsos_app'::regrole)")


async def test_a_commit_booked_by_former_rules_is_booked_again(filled: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshots, newer = SnapshotRepository(filled), ROW | {"amount": "7"}
    kept = await snapshots.load("acme", ALICE, PORTFOLIO.id, COMMIT)
    assert kept is not None and kept[0] == "a" * 64
    with monkeypatch.context() as patch:
        patch.setattr("db.ledgers.ROWS_VERSION", ROWS_VERSION + 1)
        assert await snapshots.load("acme", ALICE, PORTFOLIO.id, COMMIT) is None
        await snapshots.store("acme", ALICE, PORTFOLIO.id, COMMIT, "b" * 64, [newer])
        found = await snapshots.load("acme", ALICE, PORTFOLIO.id, COMMIT)
        assert found is not None and (found[0], [row["amount"] for row in found[1]]) == ("b" * 64, ["7"])
    # A worker of the former release books for itself and leaves the newer rows where they are.
    assert await snapshots.load("acme", ALICE, PORTFOLIO.id, COMMIT) is None
    await snapshots.store("acme", ALICE, PORTFOLIO.id, COMMIT, "a" * 64, [ROW])
    async with tenant_transaction(filled, "acme", ALICE) as connection:
        assert await connection.fetchval("SELECT content_hash FROM ledger_snapshot") == "b" * 64
        assert await rows_seen(connection) == every(1)
