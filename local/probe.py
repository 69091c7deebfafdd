"""Asks a worker's health endpoint whether it lives."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 2.0
_BYTES_MAX = 64 * 1024


async def ask(url: str, path: str = "/livez") -> dict[str, Any] | None:
    """Return what the endpoint says, green or red; None if nothing of use comes within 2 s.

    Args:
        url: `http://host:port`, from the worker's ready file.
        path: `/livez` or `/readyz`.
    """
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
                answer = await reader.read(_BYTES_MAX)
                while more := await reader.read(_BYTES_MAX):
                    answer += more
            finally:
                writer.close()
        value = json.loads(answer.partition(b"\r\n\r\n")[2])
    except (OSError, ValueError, TimeoutError):
        return None
    return value if isinstance(value, dict) else None
