"""Settings with addresses: those given, else those of the instance that runs in the data directory."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from cli.exits import Exit
from cli.failures import CommandFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from db.postgres import Pool
    from settings import Settings


_ADDRESSES = ("kafka", "postgres", "postgres_admin", "redis")


def set_data_dir(folder: Path | None) -> None:
    """Use another data directory, here and in processes started from here."""
    if folder is not None:
        os.environ["DAWSOS_DATA_DIR"] = str(folder)


def settings() -> Settings:
    """Return the settings as given; addresses may be missing.

    Raises:
        SettingsError: a variable is not of its form.
    """
    from settings import load_settings

    return load_settings()


def connected() -> Settings:
    """Return the settings with every address filled in.

    Raises:
        CommandFailed: an address is neither given nor known from a running instance.
    """
    found = settings()
    if found.kafka is not None and found.postgres is not None and found.redis is not None:
        return found
    from local.data_dir import DataDir
    from local.state import running_state

    state = running_state(DataDir(found.data_dir))
    if state is None or state.addresses is None:
        raise CommandFailed(
            f"nothing is running in {found.data_dir} and DAWSOS_KAFKA, DAWSOS_POSTGRES, DAWSOS_REDIS are not all set: "
            "start an instance with `dawsos up --detach`, or set the addresses",
            Exit.UNAVAILABLE,
        )
    given = {name: value for name in _ADDRESSES if (value := getattr(found, name)) is not None}
    return state.addresses.apply(found).model_copy(update=given)


@asynccontextmanager
async def app_pool(found: Settings) -> AsyncIterator[Pool]:
    """Open a small pool with the application's role."""
    async with _pool(found.postgres_url()) as pool:
        yield pool


@asynccontextmanager
async def owner_pool(found: Settings, *, allow_bypass: bool = False) -> AsyncIterator[Pool]:
    """Open a small pool with the role that owns the schema; the application's own where no other is known.

    Args:
        found: where Postgres is.
        allow_bypass: as `db.postgres.open_pool`.
    """
    async with _pool(found.postgres_admin_url(), allow_bypass=allow_bypass) as pool:
        yield pool


@asynccontextmanager
async def _pool(url: str, *, allow_bypass: bool = False) -> AsyncIterator[Pool]:
    from db.postgres import open_pool

    pool = await open_pool(url, size_max=4, command_timeout_s=120.0, allow_bypass=allow_bypass)
    try:
        yield pool
    finally:
        await pool.close()


def find_user(name: str) -> UUID:
    """Return a user's id from a UUID or the name of a demo user.

    Raises:
        CommandFailed: neither.
    """
    try:
        return UUID(name)
    except ValueError:
        pass
    from services.demo_users import USERS, user_id_of

    if name in USERS:
        return user_id_of(name)
    expected = f"a UUID or the name of a demo user ({', '.join(USERS)})"
    raise CommandFailed(f"--user: expected {expected}, got {name!r}", Exit.USAGE)
