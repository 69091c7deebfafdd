"""Executions under way, for commands: read once from the orchestrator's state changelog."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from settings import Settings
    from streams.progress_feed import ProgressFeed


@asynccontextmanager
async def progress(found: Settings) -> AsyncIterator[ProgressFeed]:
    """Give a feed that knows every execution under way."""
    from services.catalogue import load_catalogue
    from services.patterns import load_patterns
    from streams.clients import wait_for_kafka
    from streams.progress_feed import ProgressFeed

    await wait_for_kafka(found, timeout_s=10)
    feed = ProgressFeed(found, load_patterns(found, load_catalogue(found)).by_digest, "cli-progress")
    try:
        await feed.start()
        yield feed
    finally:
        await feed.stop()
