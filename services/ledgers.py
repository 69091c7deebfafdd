"""Ledgers for agents: from a git repository at a commit, or from files as they are.

Booking is pure, so a commit is booked once: remembered in this process, and in the snapshot store for all others.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from agents.memo import Memo
from agents.ports import LedgerSnapshot, Portfolio, SnapshotStore
from ledger.booked import Booking
from ledger.booking import book
from ledger.directives import Fault, LedgerRejected
from ledger.sources import Tree, UnknownCommit, UnknownLedger, from_git, keep_commit, resolve_ref, written_ref
from topics.errors import Code, TerminalError

BRANCH = "refs/heads/main"
_LOG = logging.getLogger(__name__)
_MEMO_ENTRIES = 256
_KEPT_MAX = 10_000
_FAULTS_SHOWN_MAX = 20


def booked_snapshot(tree: Tree, booking: str | None, commit: str) -> LedgerSnapshot:
    """Book a ledger.

    Raises:
        TerminalError: LEDGER_INVALID with every fault as `file:line: message`.
    """
    try:
        booked = book(tree, booking)
    except LedgerRejected as error:
        raise invalid_ledger(error.faults) from None
    return LedgerSnapshot(commit, booked.rows, booked.content_hash)


def invalid_ledger(found: Sequence[Fault]) -> TerminalError:
    """Return what is said of a ledger that cannot be booked: the first faults in the text, all in the details."""
    faults = [str(fault) for fault in found]
    shown = "; ".join(faults[:_FAULTS_SHOWN_MAX])
    more = f"; and {len(faults) - _FAULTS_SHOWN_MAX} more" if len(faults) > _FAULTS_SHOWN_MAX else ""
    return TerminalError(Code.LEDGER_INVALID, f"the ledger has {len(faults)} fault(s): {shown}{more}", faults=faults)


class GitLedgers:
    """Ledgers in one git repository, each portfolio's in a directory of its own.

    Args:
        repository: bare or with a work tree.
        snapshots: where booked commits are kept for all processes; None keeps them in this one only.
        branch: whose head an execution without a `ledger_commit` is pinned to.
    """

    def __init__(self, repository: Path, snapshots: SnapshotStore | None, branch: str = BRANCH) -> None:
        self._repository = repository
        self._snapshots = snapshots
        self._branch = branch
        self._kept: set[str] = set()
        self._last_head: str | None = None
        self._known: Memo[LedgerSnapshot] = Memo(_MEMO_ENTRIES)

    async def head(self, tenant: str, user_id: UUID, portfolio: Portfolio) -> str:
        """See `agents.ports.LedgerPort`."""
        try:
            return await asyncio.to_thread(self._head)
        except UnknownCommit as error:
            raise TerminalError(Code.UNKNOWN_LEDGER_COMMIT, str(error)) from None

    def _head(self) -> str:
        """Read the branch's own file; opening the repository takes a hundred times as long."""
        head = self._last_head
        if head is None or written_ref(self._repository, self._branch) != head:
            head = self._last_head = resolve_ref(self._repository, self._branch)
        return head

    async def snapshot(self, tenant: str, user_id: UUID, portfolio: Portfolio, commit: str) -> LedgerSnapshot:
        """See `agents.ports.LedgerPort`."""
        key = (tenant, user_id, portfolio.id, portfolio.ledger_path, portfolio.booking, commit)
        if commit not in self._kept:
            await asyncio.to_thread(self._keep, commit)
        return await self._known.get(key, lambda: self._load(tenant, user_id, portfolio, commit))

    async def _load(self, tenant: str, user_id: UUID, portfolio: Portfolio, commit: str) -> LedgerSnapshot:
        if self._snapshots is not None:
            stored = await self._snapshots.load(tenant, user_id, portfolio.id, commit)
            if stored is not None:
                content_hash, rows = stored
                return LedgerSnapshot(commit, tuple(Booking.from_row(row) for row in rows), content_hash)
        snapshot, rows = await asyncio.to_thread(self._book, portfolio, commit)
        if self._snapshots is not None:
            await self._snapshots.store(tenant, user_id, portfolio.id, commit, snapshot.content_hash, rows)
        return snapshot

    def _keep(self, commit: str) -> None:
        """Keep what results will name. Without the repository the booked snapshot is still enough to replay them."""
        try:
            keep_commit(self._repository, commit)
        except (UnknownCommit, OSError) as error:
            _LOG.warning("cannot keep ledger commit %s by a ref: %s", commit, error)
        if len(self._kept) >= _KEPT_MAX:
            self._kept.clear()
        self._kept.add(commit)

    def _book(self, portfolio: Portfolio, commit: str) -> tuple[LedgerSnapshot, list[dict[str, str | int | None]]]:
        try:
            tree = from_git(self._repository, commit, portfolio.ledger_path)
        except (UnknownCommit, UnknownLedger) as error:
            raise TerminalError(Code.UNKNOWN_LEDGER_COMMIT, str(error)) from None
        snapshot = booked_snapshot(tree, portfolio.booking, commit)
        return snapshot, [row.as_row() for row in snapshot.rows if isinstance(row, Booking)]


class TextLedger:
    """One ledger as text, for one portfolio. Its commit is a digest of the text that counts.

    Args:
        tree: its files.
        booking: method where the ledger names none; None means FIFO.
    """

    def __init__(self, tree: Tree, booking: str | None = None) -> None:
        self.commit = text_commit(tree, booking)
        self._book: Callable[[], LedgerSnapshot] = lambda: booked_snapshot(tree, booking, self.commit)
        self._snapshot: LedgerSnapshot | None = None

    async def head(self, tenant: str, user_id: UUID, portfolio: Portfolio) -> str:
        """See `agents.ports.LedgerPort`."""
        return self.commit

    async def snapshot(self, tenant: str, user_id: UUID, portfolio: Portfolio, commit: str) -> LedgerSnapshot:
        """See `agents.ports.LedgerPort`."""
        if commit != self.commit:
            raise TerminalError(
                Code.UNKNOWN_LEDGER_COMMIT, f"expected {self.commit}, the digest of these ledger files, got {commit}"
            )
        return self.booked()

    def booked(self) -> LedgerSnapshot:
        """Return the booked rows, booking them at the first call.

        Raises:
            TerminalError: LEDGER_INVALID.
        """
        if self._snapshot is None:
            self._snapshot = self._book()
        return self._snapshot


def text_commit(tree: Tree, booking: str | None) -> str:
    """Return 40 hex digits over a ledger's files, names included; the same files give the same digits anywhere."""
    seal = sha256(f"{tree.main}\0{booking or ''}\0".encode())
    for name in sorted(tree.files):
        text = tree.files[name].encode()
        seal.update(f"{name}\0{len(text)}\0".encode())
        seal.update(text)
    return seal.hexdigest()[:40]
