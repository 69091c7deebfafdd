"""Where tests get Kafka, Postgres and Redis from.

An address in the environment (`DAWSOS_KAFKA`, `DAWSOS_POSTGRES`, `DAWSOS_POSTGRES_ADMIN`, `DAWSOS_REDIS`) wins; what
is not given is started as an embedded service in a temporary directory, once per test session and only when a test
asks for it. `TEST_BACKEND=containers` forces testcontainers instead, and fails where there is no Docker engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import yaml

from local.embedded import Addresses, EmbeddedServices
from local.errors import EmbeddedMissing
from local.ports import free_port
from settings import Settings, load_settings

BACKENDS = ("", "embedded", "containers")


def _compose_service(name: str) -> dict[str, Any]:
    text = Path(__file__).parents[1].joinpath("docker-compose.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["services"][name]


def compose_images() -> dict[str, str]:
    """The images of the three services, pinned in one place."""
    return {name: _compose_service(name)["image"] for name in ("kafka", "postgres", "valkey")}


def compose_environment(name: str) -> dict[str, str]:
    """The environment of one service in docker-compose.yml."""
    return {key: str(value) for key, value in _compose_service(name)["environment"].items()}


def environment_settings() -> Settings:
    """Settings from the environment alone; a developer's .env must not steer the tests."""
    return load_settings(_env_file=None)


class ContainersMissing(RuntimeError):
    """Containers were asked for, but no Docker engine answers."""


def require_docker() -> None:
    """Raise ContainersMissing unless a Docker engine answers within 2 s."""
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=2)
    except DockerException as error:
        raise ContainersMissing(f"TEST_BACKEND=containers needs a Docker engine, none answers: {error}") from error
    try:
        client.ping()
    except Exception as error:
        raise ContainersMissing(
            f"TEST_BACKEND=containers needs a Docker engine, it does not answer a ping: {error}"
        ) from error
    finally:
        client.close()


@contextlib.asynccontextmanager
async def service_addresses() -> AsyncIterator[Addresses]:
    """Addresses of all three services by the rules above; stops what it started."""
    backend = os.environ.get("TEST_BACKEND", "")
    if backend not in BACKENDS:
        raise ValueError(f"TEST_BACKEND: expected embedded or containers, got {backend!r}")
    settings = environment_settings()
    if backend == "containers":
        async with _containers() as addresses:
            yield addresses
        return
    with tempfile.TemporaryDirectory(prefix="dawsos-test-", ignore_cleanup_errors=True) as folder:
        try:
            services = EmbeddedServices(Path(folder), settings)
            addresses = await services.__aenter__()
        except EmbeddedMissing as error:
            pytest.skip(str(error))
        try:
            yield addresses
        finally:
            await services.__aexit__(None, None, None)


@contextlib.asynccontextmanager
async def _containers() -> AsyncIterator[Addresses]:
    require_docker()
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    images = compose_images()
    postgres = (
        DockerContainer(images["postgres"])
        .with_env("POSTGRES_PASSWORD", "test")
        .with_env("POSTGRES_DB", "dawsos")
        .with_exposed_ports(5432)
        .waiting_for(LogMessageWaitStrategy("ready to accept connections", times=2))
    )
    valkey = (
        DockerContainer(images["valkey"])
        .with_exposed_ports(6379)
        .waiting_for(LogMessageWaitStrategy("Ready to accept connections"))
    )
    # Kafka tells clients its address, so its port on this side has to be known before it starts.
    kafka_port = free_port()
    kafka = DockerContainer(images["kafka"]).with_bind_ports(9092, kafka_port)
    for name, value in compose_environment("kafka").items():
        kafka.with_env(name, value)
    kafka.with_env("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9093")
    kafka.with_env("KAFKA_ADVERTISED_LISTENERS", f"BROKER://localhost:{kafka_port}")
    kafka.waiting_for(LogMessageWaitStrategy("Kafka Server started"))
    with contextlib.ExitStack() as stack:
        for container in (postgres, valkey, kafka):
            stack.enter_context(container)
        host = postgres.get_container_host_ip()
        roles = await _make_roles(f"postgresql://postgres:test@{host}:{postgres.get_exposed_port(5432)}/dawsos")
        yield Addresses(
            kafka=f"kafka://{host}:{kafka_port}",
            postgres=roles["dawsos_app"],
            postgres_admin=roles["dawsos_owner"],
            redis=f"redis://{valkey.get_container_host_ip()}:{valkey.get_exposed_port(6379)}/0",
        )


async def _make_roles(superuser: str) -> dict[str, str]:
    """The two roles of the embedded server, in another one; role → URL."""
    password = uuid.uuid4().hex
    connection = await asyncpg.connect(superuser)
    try:
        for role, option in (("dawsos_owner", "CREATEDB"), ("dawsos_app", "NOCREATEDB")):
            await connection.execute(f"CREATE ROLE {role} LOGIN NOSUPERUSER NOBYPASSRLS {option} PASSWORD '{password}'")
        await connection.execute("ALTER DATABASE dawsos OWNER TO dawsos_owner")
    finally:
        await connection.close()
    parts = urlsplit(superuser)
    host = parts.netloc.rpartition("@")[2]
    return {
        role: urlunsplit(("postgresql", f"{role}:{password}@{host}", parts.path, "", ""))
        for role in ("dawsos_owner", "dawsos_app")
    }


def with_database(url: str, database: str) -> str:
    """The same server and role, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


@dataclass(frozen=True, slots=True)
class Database:
    """One database made for a test; both URLs name it."""

    name: str
    url: str = field(repr=False)
    admin_url: str = field(repr=False)


class DatabaseMaker:
    """Makes databases for tests and drops them at the end.

    A database can be a copy of a template: give `prepare` (say, the migrations) with a `key`, and it runs once per
    session in a template database; every further database with that key is a file copy, about 50 ms.
    """

    def __init__(self, url: str, admin_url: str) -> None:
        """Nothing is made yet; the admin role needs CREATEDB."""
        self._url = url
        self._admin_url = admin_url
        self._templates: dict[str, str] = {}
        self._names: list[str] = []
        self._lock = asyncio.Lock()

    async def make(self, prepare: Callable[[str], Awaitable[None]] | None = None, key: str = "") -> Database:
        """A new database, empty or prepared.

        Args:
            prepare: fills a database, given the admin URL.
            key: names what `prepare` does; required with it.
        """
        template = ""
        if prepare is not None:
            assert key, "a prepared database needs a key, which names its template"
            async with self._lock:
                if key not in self._templates:
                    name = await self._create("")
                    await prepare(with_database(self._admin_url, name))
                    self._templates[key] = name
            template = self._templates[key]
        name = await self._create(template)
        return Database(name, with_database(self._url, name), with_database(self._admin_url, name))

    async def _create(self, template: str) -> str:
        name = f"test_{uuid.uuid4().hex[:16]}"
        suffix = f" TEMPLATE {template} STRATEGY FILE_COPY" if template else ""
        await self._execute(f"CREATE DATABASE {name}{suffix}")
        self._names.append(name)
        return name

    async def close(self) -> None:
        """Drop everything made, also under open connections."""
        while self._names:
            await self._execute(f"DROP DATABASE IF EXISTS {self._names.pop()} WITH (FORCE)")

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._admin_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
