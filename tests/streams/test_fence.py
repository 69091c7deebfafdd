import pytest

from streams.durable.fence import EPOCH_MAX, FENCE_HEADER, Fence, epoch_of
from streams.durable.rows import marker_key
from streams.durable.store import FencedStore


class Log:
    """A changelog: each record is (key, epoch, value or None for a tombstone) in a partition."""

    def __init__(self, store: FencedStore) -> None:
        self._store = store
        self._fences: dict[int, Fence] = {}

    def write(self, key: bytes, epoch: int, value: bytes | None, partition: int = 0) -> None:
        prefix = self._fences.setdefault(epoch, Fence(epoch)).next_prefix()
        headers = [(FENCE_HEADER, prefix)] if value is None else []
        offset = self._store.positions.get(partition, 0)
        self._store.fold(partition, offset, key, None if value is None else prefix + value, headers)


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


def test_a_record_cannot_be_folded_twice(store: FencedStore) -> None:
    log = Log(store)
    log.write(b"k", 1, b"one")
    log.write(b"k", 1, b"two")
    row = Fence(1).next_prefix() + b"one"
    with pytest.raises(ValueError, match="partition 0: expected offset 2 or later, got 1"):
        store.fold(0, 1, b"k", row, [])
    # Compaction leaves holes.
    store.fold(0, 9, b"other", row, [])
    assert store.positions == {0: 10}


def test_what_a_former_owner_appends_after_the_marker_never_counts(store: FencedStore) -> None:
    log = Log(store)
    log.write(b"k", 1, b"read by the successor")
    log.write(marker_key(0), 2, b"{}")
    log.write(b"k", 1, b"late")
    log.write(b"new", 1, b"late")
    assert store.get_row(b"k") == b"read by the successor"
    assert store.get_row(b"new") is None
    assert store.outranked == {b"k": 0, b"new": 0}


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
    assert (store.get_row(b"k"), store.outranked) == (b"new", {})


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
        store.positions.clear()
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
    assert (store.epochs, store.positions) == ({0: 1}, {0: 1})
