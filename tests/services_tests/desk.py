"""A pack desk on packs in memory that a test can look at."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.pack_desk import Store, StorePackDesk


def memory_desk(store: Store) -> StorePackDesk:
    @asynccontextmanager
    async def one() -> AsyncIterator[Store]:
        yield store

    return StorePackDesk(one)
