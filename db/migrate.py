"""Brings a database to the current schema: numbered SQL files, each applied once, in order, in its own transaction.

`schema_migrations` records every file with its SHA-256. A file that was applied and later changed is refused: change
the schema with a new file. An advisory lock lets any number of runners start at once; one works, the others find
everything done. After the files come the grants for the application's role (`grants.sql`), each time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg

from db.postgres import Connection, upstream_failures
from topics.canonical import sha256_hex

APP_ROLE = "dawsos_app"
_FOLDER = Path(__file__).parent
_LOCK = "SELECT pg_advisory_lock(hashtextextended('dawsos.migrate', 0))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtextextended('dawsos.migrate', 0))"
_RECORD_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationRefused(RuntimeError):
    """The database cannot be brought to this schema; the text says what was expected and what was found."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file, e.g. `0001_packs.sql`."""

    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Digest of the file as it stands."""
        return sha256_hex(self.sql.encode())


def load_migrations(folder: Path = _FOLDER / "migrations") -> tuple[Migration, ...]:
    """Return all files in order.

    Raises:
        MigrationRefused: numbers are missing or used twice.
    """
    found = tuple(
        Migration(path.name, path.read_text(encoding="utf-8")) for path in sorted(folder.glob("[0-9]*_*.sql"))
    )
    for expected, migration in enumerate(found, start=1):
        if migration.name.partition("_")[0] != f"{expected:04}":
            raise MigrationRefused(f"expected migration {expected:04}_….sql, found {migration.name}")
    return found


async def migrate(
    admin_url: str, app_url: str | None = None, migrations: Sequence[Migration] | None = None
) -> tuple[str, ...]:
    """Apply what is missing and grant the application's role what it needs.

    Args:
        admin_url: the role that owns the schema.
        app_url: the application's role and password; the role is created if it is missing and the admin may create
            roles. None: `dawsos_app`, which must exist. The admin's own role: nothing is granted.
        migrations: the files; None for those of the project.

    Returns:
        Names of the files applied now; empty when the schema was current.

    Raises:
        MigrationRefused: an applied file has changed or is unknown here, or the role is missing.
        RetryableError: Postgres does not answer.
    """
    files = load_migrations() if migrations is None else tuple(migrations)
    parts = urlsplit(admin_url)
    with upstream_failures(f"migrating on {parts.hostname}:{parts.port or 5432}"):
        connection = await asyncpg.connect(admin_url, timeout=10)
        try:
            await connection.execute(_LOCK)
            try:
                applied = await _apply(connection, files)
                await _grant(connection, app_url)
            finally:
                await connection.execute(_UNLOCK)
        finally:
            await connection.close()
    return applied


async def _apply(connection: Connection, files: Sequence[Migration]) -> tuple[str, ...]:
    await connection.execute("SET client_min_messages = warning")
    await connection.execute("SET search_path = public, pg_temp")
    await connection.execute(_RECORD_TABLE)
    done = {row["name"]: row["sha256"] for row in await connection.fetch("SELECT name, sha256 FROM schema_migrations")}
    known = {file.name for file in files}
    for name in sorted(done):
        if name not in known:
            raise MigrationRefused(
                f"the database has migration {name}, which this version does not know: use a newer one"
            )
    applied: list[str] = []
    for file in files:
        if file.name not in done:
            async with connection.transaction():
                await connection.execute(file.sql)
                await connection.execute(
                    "INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)", file.name, file.sha256
                )
            applied.append(file.name)
        elif done[file.name] != file.sha256:
            raise MigrationRefused(
                f"migration {file.name} was changed after it was applied: expected SHA-256 {done[file.name]}, "
                f"the file has {file.sha256}. Restore it and add a new file instead"
            )
    return tuple(applied)


async def _grant(connection: Connection, app_url: str | None) -> None:
    role, password = APP_ROLE, None
    if app_url is not None:
        parts = urlsplit(app_url)
        role, password = unquote(parts.username or APP_ROLE), parts.password and unquote(parts.password)
    if role == await connection.fetchval("SELECT current_user"):
        return
    if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role):
        await _create_role(connection, role, password)
    grants = (_FOLDER / "grants.sql").read_text(encoding="utf-8")
    async with connection.transaction():
        await connection.execute(grants.replace('"app_role"', _identifier(role)))


async def _create_role(connection: Connection, role: str, password: str | None) -> None:
    create = f"CREATE ROLE {_identifier(role)} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD"
    may = await connection.fetchval("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
    if not may or password is None:
        why = "this role may not create roles" if not may else "its URL has no password"
        raise MigrationRefused(
            f"expected the role {role}: there is none, and {why}. Run as administrator: {create} '…'"
        )
    # DDL takes no parameters; the server quotes the password itself.
    secret = await connection.fetchval("SELECT quote_literal($1::text)", password)
    await connection.execute(f"{create} {secret}")


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
