from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.durable.fence import EPOCH_MAX, FENCE_HEADER, Fence, epoch_of
from streams.durable.rows import marker_key
from streams.durable.store import FencedStore


class Log:
    """A changelog partition as text: each record is (key, epoch, version or None for a tombstone)."""

    def __init__(self, store: FencedStore) -> None:
        self._store = store
        self._fences: dict[int, Fence] = {}
        self._offset = -1

    def skip(self, count: int) -> None:
        """Leave records out."""
        self._offset += count

    def write(self, key: bytes, epoch: int, value: bytes | None, partition: int = 0) -> None:
        prefix = self._fences.setdefault(epoch, Fence(epoch)).next_prefix()
        self._offset += 1
        message = SimpleNamespace(
            partition=partition,
            offset=self._offset,
            key=key,
            value=None if value is None else prefix + value,
            headers=[(FENCE_HEADER, prefix)] if value is None else [],
        )
        event: Any = SimpleNamespace(message=message)
        self._store.apply_changelog_batch([event], lambda k: k, lambda v: v)


@pytest.fixture
def store() -> FencedStore:
    found = FencedStore.__new__(FencedStore)
    found.__post_init__()
    return found


def test_prefixes_grow_with_version_and_epoch() -> None:
    old, new = Fence(1), Fence(2)
    first = new.next_prefix()
    written = [old.next_prefix() for _ in range(300)]
    assert written == sorted(set(written))
    assert written[-1] < first
    assert epoch_of(first + b"row") == 2


async def test_gaps_in_what_was_read_are_told(store: FencedStore, caplog: pytest.LogCaptureFixture) -> None:
    log = Log(store)
    log.write(b"k", 1, b"one")
    await store.on_recovery_completed({TP("changelog", 0)}, set())
    assert not caplog.records
    log.write(b"k", 1, b"two")
    log.skip(3)
    log.write(b"k", 1, b"three")
    await store.on_recovery_completed({TP("changelog", 0)}, set())
    assert [record.message for record in caplog.records] == ["the changelog was read with 1 gaps, the first: 0/2-4"]


def test_a_former_owner_cannot_bring_back_what_was_deleted(store: FencedStore) -> None:
    log = Log(store)
    log.write(b"k", 1, b"old")
    log.write(b"k", 2, None)
    log.write(b"k", 1, b"zombie")
    log.write(b"k", 1, b"again")
    assert store.get_row(b"k") is None
    # The owner writes the tombstone again.
    assert store.outranked == {b"k": 0}
    log.write(b"k", 2, b"new")
    assert (store.get_row(b"k"), store.outranked, store.graves) == (b"new", {}, {})
    log.write(b"k", 2, None)
    store.drop_partitions({1})
    assert store.graves == {}


@pytest.mark.parametrize("epoch", [0, -1, EPOCH_MAX + 1])
def test_an_epoch_out_of_range_is_refused(epoch: int) -> None:
    with pytest.raises(OverflowError):
        Fence(epoch)


def test_a_former_owner_cannot_overwrite(store: FencedStore) -> None:
    log = Log(store)
    log.write(b"k", 1, b"old")
    log.write(b"k", 2, b"new")
    log.write(b"k", 1, b"zombie")
    assert store.get_row(b"k") == b"new"
    # Compaction would keep the zombie's row: the owner has to write the winner again.
    assert store.outranked == {b"k": 0}
    log.write(b"k", 2, b"newer")
    assert store.get_row(b"k") == b"newer"
    assert store.outranked == {}


def test_a_former_owner_cannot_delete(store: FencedStore) -> None:
    log = Log(store)
    log.write(b"k", 2, b"new")
    log.write(b"k", 1, None)
    assert store.get_row(b"k") == b"new"
    log.write(b"k", 2, None)
    assert store.get_row(b"k") is None


def test_reading_the_same_log_again_ends_the_same(store: FencedStore) -> None:
    for _ in range(2):
        log = Log(store)
        log.write(b"k", 1, b"one")
        log.write(b"k", 1, b"two")
        log.write(b"gone", 1, b"one")
        log.write(b"gone", 1, None)
        assert (store.get_row(b"k"), store.get_row(b"gone"), store.outranked) == (b"two", None, {})


def test_markers_count_for_the_epoch_and_are_no_rows(store: FencedStore) -> None:
    log = Log(store)
    log.write(b"k", 3, b"row", partition=1)
    log.write(marker_key(1), 4, b"{}", partition=1)
    assert store.epochs == {1: 4}
    assert [key for key, _, _ in store.rows()] == [b"k"]


def test_rows_of_lost_partitions_are_forgotten_also_those_written_live(store: FencedStore) -> None:
    log = Log(store)
    log.write(b"a", 1, b"row", partition=0)
    log.write(b"b", 1, b"row", partition=1)
    store.put_row(1, b"c", Fence(1).next_prefix() + b"live")
    store.drop_partitions({0})
    assert [key for key, _, _ in store.rows()] == [b"a"]
    assert store.epochs == {0: 1}
