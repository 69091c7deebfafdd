"""The state table on Faust: every write returns the future of its delivery, and carries its owner's fence."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import faust

from streams.durable.owned import OwnedRows
from streams.durable.store import FencedStore


class FencedTable(OwnedRows, faust.Table):
    """A Faust table of bytes rows; writes go to the changelog through Faust's own producer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._begin()

    def _new_store_by_url(self, url: Any) -> Any:
        return FencedStore(
            url,
            self.app,
            self,
            table_name=self.name,
            key_type=self.key_type,
            key_serializer=self.key_serializer,
            value_serializer=self.value_serializer,
            value_type=self.value_type,
            loop=self.loop,
            options=self.options,
        )

    @property
    def store(self) -> FencedStore:
        """The rows in memory."""
        store = self.data
        assert isinstance(store, FencedStore)
        return store

    @property
    def _owner(self) -> str:
        return str(self.app.conf.canonical_url.host)

    def _append(
        self, partition: int, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]] | None
    ) -> Awaitable[asyncio.Future[Any]]:
        producer: Any = self.app.producer
        return producer._producer.send(self.changelog_topic_name, value, key, partition, None, headers)
