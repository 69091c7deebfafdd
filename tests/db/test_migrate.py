import asyncio
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

import db
from db.migrate import Migration, MigrationRefused, load_migrations, migrate
from db.schema import describe_schema
from tests.conftest import MakeDatabase
from tests.services import Database

pytestmark = pytest.mark.integration
SCHEMA = Path(db.__path__[0]) / "schema.sql"


async def describe(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return await describe_schema(connection)
    finally:
        await connection.close()


async def test_four_runners_at_once_apply_each_file_once(fresh_database: MakeDatabase) -> None:
    made = await fresh_database()
    runs = await asyncio.gather(*(migrate(made.admin_url) for _ in range(4)))
    names = tuple(file.name for file in load_migrations())
    assert sorted(runs, key=len) == [(), (), (), names]
    assert await migrate(made.admin_url) == ()


async def test_a_changed_file_is_refused_with_both_digests(fresh_database: MakeDatabase) -> None:
    made = await fresh_database()
    first, *rest = load_migrations()
    await migrate(made.admin_url)
    changed = Migration(first.name, first.sql + "-- later thought\n")
    with pytest.raises(MigrationRefused) as refused:
        await migrate(made.admin_url, migrations=[changed, *rest])
    assert first.sha256 in str(refused.value) and changed.sha256 in str(refused.value)


async def test_a_database_of_a_newer_version_is_refused(fresh_database: MakeDatabase) -> None:
    made = await fresh_database()
    files = load_migrations()
    await migrate(made.admin_url, migrations=[*files, Migration("0999_future.sql", "SELECT 1")])
    with pytest.raises(MigrationRefused, match="0999_future"):
        await migrate(made.admin_url)


async def test_a_failing_file_leaves_nothing_behind(fresh_database: MakeDatabase) -> None:
    made = await fresh_database()
    broken = Migration("0004_broken.sql", "CREATE TABLE half (a int); SELECT no_such_function()")
    with pytest.raises(asyncpg.UndefinedFunctionError):
        await migrate(made.admin_url, migrations=[*load_migrations(), broken])
    assert "half" not in await describe(made.admin_url)
    assert await migrate(made.admin_url) == ()


async def test_a_missing_role_is_named_with_the_statement_that_makes_it(fresh_database: MakeDatabase) -> None:
    made = await fresh_database()
    parts = urlsplit(made.url)
    stranger = urlunsplit(parts._replace(netloc=f"no_such_role:secret@{parts.hostname}:{parts.port}"))
    with pytest.raises(MigrationRefused) as refused:
        await migrate(made.admin_url, stranger)
    assert 'CREATE ROLE "no_such_role" LOGIN' in str(refused.value)
    assert "secret" not in str(refused.value)


def test_numbers_without_gaps(tmp_path: Path) -> None:
    for name in ("0001_a.sql", "0003_c.sql"):
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(MigrationRefused, match="expected migration 0002"):
        load_migrations(tmp_path)


async def test_schema_sql_is_what_the_migrations_make(database: Database) -> None:
    assert await describe(database.admin_url) == SCHEMA.read_text(encoding="utf-8"), "python -m db.schema rewrites it"


async def test_schema_sql_makes_the_same_schema(fresh_database: MakeDatabase) -> None:
    made = await fresh_database()
    connection = await asyncpg.connect(made.admin_url)
    try:
        await connection.execute(SCHEMA.read_text(encoding="utf-8"))
    finally:
        await connection.close()
    assert await describe(made.admin_url) == SCHEMA.read_text(encoding="utf-8")
