"""Executions in the state table: decoded ones at hand, rows behind them.

Keys of one execution: its id (the header row), the id and a suffix of the engine's (`/0`, `/1`, … pages), and the id
and `#` (headers that travel with it). The engine decides what is in a row; this module finds and writes them.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.execution import Execution
from orchestrator.rows import decode_rows, encode_rows
from streams.durable.fence import PREFIX_BYTES
from streams.durable.owned import OwnedRows
from streams.headers import Headers, pack, unpack

ID_BYTES = 36
_HEADERS_SUFFIX = b"#"
# Decoded, an execution takes about ten times its row's memory; those that wait are decoded again when something comes.
_CACHED_MAX = 4_000


class _Rows(Mapping[bytes, bytes]):
    """The engine's rows of one execution by suffix, read from the table as asked for."""

    def __init__(self, table: OwnedRows, key: bytes) -> None:
        self._table = table
        self._key = key

    def __getitem__(self, suffix: bytes) -> bytes:
        row = self._table.row(self._key + suffix)
        if row is None:
            raise KeyError(suffix)
        return row

    def __iter__(self) -> Iterator[bytes]:
        if self._table.row(self._key) is not None:
            yield b""
        number = 0
        while self._table.row(suffixed := self._key + b"/%d" % number) is not None:
            yield suffixed[len(self._key) :]
            number += 1

    def __len__(self) -> int:
        return sum(1 for _ in self)


class ExecutionRows:
    """Loads and stores executions.

    Args:
        table: the state table.
    """

    def __init__(self, table: OwnedRows) -> None:
        self._table = table
        self._cache: OrderedDict[bytes, tuple[bytes, Execution]] = OrderedDict()

    def load(self, key: bytes) -> Execution | None:
        """Return the execution with this key, or None.

        Decoded only when its header row is not the one it was decoded from or encoded to: after a recovery.
        """
        raw = self._table.store.data.get(key)
        if raw is None:
            return None
        cached = self._cache.get(key)
        if cached is not None and cached[0] is raw:
            return cached[1]
        execution = decode_rows(_Rows(self._table, key))
        if execution is not None:
            self._remember(key, raw, execution)
        return execution

    def partition(self, key: bytes) -> int | None:
        """Return the partition a stored execution lives on, or None."""
        return self._table.store.partition_of(key)

    def headers(self, key: bytes) -> Headers:
        """Return the headers that travel with an execution."""
        row = self._table.row(key + _HEADERS_SUFFIX)
        return () if row is None else unpack(row)

    async def save(
        self, partition: int, key: bytes, before: Execution | None, after: Execution, headers: Headers = ()
    ) -> list[asyncio.Future[Any]]:
        """Write what changed, header row last, and return the deliveries in that order.

        Args:
            partition: where the execution lives.
            key: the execution's key.
            before: as loaded; None for a new one.
            after: as the engine decided.
            headers: kept with a new execution; ignored otherwise.
        """
        deliveries = []
        if before is None and headers:
            deliveries.append(await self._table.put(partition, key + _HEADERS_SUFFIX, pack(headers)))
        for suffix, payload in encode_rows(before, after):
            deliveries.append(await self._table.put(partition, key + suffix, payload))
        raw = self._table.store.data.get(key)
        if raw is not None:
            self._remember(key, raw, after)
        return deliveries

    async def shrink(
        self, partition: int, key: bytes, before: Execution, record: Execution
    ) -> list[asyncio.Future[Any]]:
        """Replace a finished execution by its terminal record.

        A small one shrinks in memory only: its row stays in the changelog until the tombstone, since compaction
        would not remove it earlier anyway. A big one's header is written first, so that no header lists lost pages.
        """
        rows = list(encode_rows(before, record))
        raw = self._table.store.data.get(key)
        if raw is None:
            return []
        if len(rows) == 1:
            payload = rows[0][1]
            assert payload is not None
            self._table.store.put_row(partition, key, raw[:PREFIX_BYTES] + payload)
            deliveries = []
        else:
            deliveries = [await self._table.put(partition, key + suffix, payload) for suffix, payload in reversed(rows)]
        # Hardly ever looked at again, and then decoded from the row.
        self._cache.pop(key, None)
        return deliveries

    async def delete(self, partition: int, key: bytes) -> list[asyncio.Future[Any]]:
        """Remove an execution, header first: rows without a header are dropped at recovery."""
        deliveries = [await self._table.put(partition, key, None)]
        for suffix in [*_Rows(self._table, key), _HEADERS_SUFFIX]:
            if self._table.row(key + suffix) is not None:
                deliveries.append(await self._table.put(partition, key + suffix, None))
        self._cache.pop(key, None)
        return deliveries

    def keys(self) -> list[bytes]:
        """Return the keys of all executions stored."""
        return [key for key in self._table.store.data if len(key) == ID_BYTES]

    def orphans(self) -> list[tuple[int, bytes]]:
        """Return partition and key of rows whose execution has no header."""
        store = self._table.store
        return [
            (store._key_partition[key], key)
            for key in store.data
            if len(key) > ID_BYTES and key[:ID_BYTES] not in store.data
        ]

    def forget(self) -> None:
        """Drop decoded executions; rows stay."""
        self._cache.clear()

    def _remember(self, key: bytes, raw: bytes, execution: Execution) -> None:
        self._cache[key] = (raw, execution)
        self._cache.move_to_end(key)
        if len(self._cache) > _CACHED_MAX:
            self._cache.popitem(last=False)
