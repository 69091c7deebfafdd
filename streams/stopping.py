"""Work that is given up when the process is to stop."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Stopping(Exception):
    """The process is to stop; what was waited for is given up."""


async def unless_stopping(stop: asyncio.Event, work: Awaitable[T]) -> T:
    """Return what some work gives, and leave nothing of it behind.

    Args:
        stop: set when the process is to stop.
        work: cancelled then, and when the caller is.

    Raises:
        Stopping: it was not done before. What the work raises passes.
    """
    working, stopping = asyncio.ensure_future(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Stopping
        return working.result()
    finally:
        for each in (working, stopping):
            each.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
