"""Finished executions in Postgres: the projector writes them, gateway and CLI read them.

Kafka is the truth; this is its projection. The first terminal result of an execution wins, whoever sends another.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg

from db.postgres import Connection, Pool, act_for, tenant_transaction, transaction
from db.sql import query
from topics.canonical import sha256_hex
from topics.codec import encode
from topics.errors import Code, TerminalError
from topics.messages import ExecutionResult, ExecutionStatus

# A result above this many bytes goes to the artifact table, so that listing executions stays cheap.
INLINE_BYTES_MAX = 256 * 1024
_KEPT = datetime.max.replace(tzinfo=UTC)
# Tenant and user.
Owner: TypeAlias = tuple[str, UUID]


@dataclass(frozen=True, slots=True)
class ExecutionSummary:
    """One finished execution, without its result.

    Attributes:
        portfolio_id, pack_id, ledger_commit: what it was pinned to; None where it had no such pin.
        asof: day of its pack; of one that ended before it had a pack, the day asked for.
        error_code: None on success.
    """

    tenant: str
    user_id: UUID
    execution_id: UUID
    request_id: str
    pattern_id: str
    pattern_digest: str | None
    portfolio_id: UUID | None
    asof: date | None
    pack_id: UUID | None
    ledger_commit: str | None
    status: ExecutionStatus
    error_code: str | None
    digest: str
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class StoredResult:
    """One result with its place in `execution-results`; `data` is the `ExecutionResult` as JSON."""

    partition: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Projected:
    """A result to store.

    Attributes:
        data: its bytes as it travelled.
        place: partition and offset in its topic; None for one that does not come from there.
    """

    result: ExecutionResult
    data: bytes
    place: tuple[int, int] | None = None


async def store_result(
    connection: Connection,
    result: ExecutionResult,
    inline_bytes_max: int = INLINE_BYTES_MAX,
    place: tuple[int, int] | None = None,
) -> bool:
    """Store one result, as `store_results` does.

    Returns:
        False when the execution has a result already; nothing is changed then.
    """
    return bool(await store_results(connection, [Projected(result, encode(result), place)], inline_bytes_max))


async def store_results(
    connection: Connection, results: Sequence[Projected], inline_bytes_max: int = INLINE_BYTES_MAX
) -> set[UUID]:
    """Store results in the projector's transaction, together with its offsets (`db.offsets`).

    Artifacts a result refers to are kept for as long as it is. Afterwards the transaction acts for the user of some
    result.

    Args:
        connection: in a transaction.
        results: in the order they came.
        inline_bytes_max: a longer one goes to the artifacts.

    Returns:
        The executions whose first result was among them.

    Raises:
        TerminalError: INVALID_REQUEST when a text holds U+0000, which Postgres cannot store.

    Cost: two statements per user, and two more for each result with artifacts.
    """
    by_user: dict[tuple[str, UUID], list[Projected]] = {}
    for item in results:
        result = item.result
        for name, text in (("request_id", result.request_id), ("pattern_id", result.pattern_id)):
            if "\x00" in text:
                raise TerminalError(Code.INVALID_REQUEST, f"expected a {name} without U+0000, got {text!r}")
        by_user.setdefault((result.tenant, result.user_id), []).append(item)
    made: set[UUID] = set()
    for (tenant, user_id), own in by_user.items():
        await act_for(connection, tenant, user_id)
        made |= await _store_own(connection, tenant, user_id, own, inline_bytes_max)
    return made


async def _store_own(
    connection: Connection,
    tenant: str,
    user_id: UUID,
    results: Sequence[Projected],
    inline_bytes_max: int,
) -> set[UUID]:
    rows = [_row(item, inline_bytes_max) for item in results]
    stored = await connection.fetch(query("executions_put"), tenant, user_id, *zip(*rows, strict=True))
    made = {row["execution_id"] for row in stored}
    left = set(made)
    for item, row in zip(results, rows, strict=True):
        if row[0] not in left:
            continue
        left.discard(row[0])
        if len(item.data) > inline_bytes_max:
            await connection.execute(query("artifact_put"), tenant, user_id, sha256_hex(item.data), item.data, _KEPT)
        if refs := sorted(set(_refs(item.result))):
            await connection.execute(query("artifact_keep"), refs, _KEPT)
    return made


def _row(item: Projected, inline_bytes_max: int) -> tuple[Any, ...]:
    """Return the columns of a result, in the order of the statement."""
    result, data = item.result, item.data
    trace = result.trace
    return (
        UUID(result.execution_id),
        result.request_id,
        result.pattern_id,
        trace.pattern_digest,
        _uuid(trace.portfolio_id),
        trace.asof or trace.asof_requested,
        _uuid(trace.pricing_pack_id),
        trace.ledger_commit_hash,
        result.status.value,
        result.error.code.value if result.error else None,
        result.digest,
        _time(result.started_at_ms),
        _time(result.finished_at_ms),
        data if len(data) <= inline_bytes_max else None,
        sha256_hex(data),
        *(item.place or (None, None)),
    )


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Which executions are wanted; what is None does not matter.

    Attributes:
        since, before: started at or after, started before.
        text: part of the request id, the pattern id or the id, in any case.
        tenant, user_id: whose; for operators, since everybody else finds only their own.
    """

    status: str | None = None
    pattern_id: str | None = None
    portfolio_id: UUID | None = None
    error_code: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    text: str | None = None
    tenant: str | None = None
    user_id: UUID | None = None


class OperatorRefused(RuntimeError):
    """The role does not see everybody's executions; the text says which one does."""


class EveryonesExecutions:
    """Executions of all users, for operators' tools. Works with the role that owns the schema.

    It only finds them and whose they are: whatever is done about one is done on behalf of its user, with the
    application's role.

    Raises:
        OperatorRefused: from each method, when the pool's role may not look.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, wanted: ExecutionFilter, limit: int = 50) -> tuple[ExecutionSummary, ...]:
        """Return finished executions that fit a filter, the last started first.

        Cost: reads the table once; no index has executions of all users by time.
        """
        async with self._looking() as connection:
            return tuple(map(_summary, await _find(connection, wanted, None, limit)))

    async def owners_of(self, execution_ids: Sequence[UUID]) -> dict[UUID, Owner]:
        """Return whose executions these are, of those that have ended or whose request a gateway took."""
        async with self._looking() as connection:
            rows = await connection.fetch(query("execution_owners"), list(execution_ids))
        return {row["execution_id"]: (row["tenant"], row["user_id"]) for row in rows}

    @asynccontextmanager
    async def _looking(self) -> AsyncIterator[Connection]:
        async with transaction(self._pool) as connection:
            role = await connection.fetchrow(query("act_as_operator"))
            assert role is not None
            if not role["sees_all"]:
                raise OperatorRefused(
                    "executions of all users need the role that owns the schema: expected its URL in "
                    f"DAWSOS_POSTGRES_ADMIN and its grants by `dawsos migrate`, got role {role['name']}"
                )
            yield connection


class ExecutionRepository:
    """Finished executions of one user at a time. Works with the application's role."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def show(self, tenant: str, user_id: UUID, execution_id: UUID) -> ExecutionResult | None:
        """Return the stored result; None when there is none or it is someone else's."""
        async with tenant_transaction(self._pool, tenant, user_id) as connection:
            data = await connection.fetchval(query("execution_result"), execution_id)
        return None if data is None else ExecutionResult.model_validate_json(data)

    async def raw(self, tenant: str, user_id: UUID, execution_id: UUID) -> bytes | None:
        """Return the stored `ExecutionResult` as it travelled; None when there is none or it is someone else's."""
        async with tenant_transaction(self._pool, tenant, user_id) as connection:
            return await connection.fetchval(query("execution_result"), execution_id)

    async def summary(self, tenant: str, user_id: UUID, execution_id: UUID) -> ExecutionSummary | None:
        """Return a finished execution without its result; None when there is none or it is someone else's."""
        async with tenant_transaction(self._pool, tenant, user_id) as connection:
            row = await connection.fetchrow(query("execution_summary"), execution_id)
        return None if row is None else _summary(row)

    async def find(
        self,
        tenant: str,
        user_id: UUID,
        wanted: ExecutionFilter,
        after: tuple[int, str] | None = None,
        limit: int = 50,
    ) -> tuple[ExecutionSummary, ...]:
        """Return executions that fit a filter, the last started first.

        Args:
            tenant: whose executions.
            user_id: whose executions.
            wanted: which.
            after: (start in milliseconds, id) of the last one of the page before.
            limit: at most this many.
        """
        async with tenant_transaction(self._pool, tenant, user_id) as connection:
            rows = await _find(connection, wanted, after, limit)
        return tuple(map(_summary, rows))

    async def list(
        self,
        tenant: str,
        user_id: UUID,
        *,
        status: ExecutionStatus | None = None,
        pattern_id: str | None = None,
        portfolio_id: UUID | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
        limit: int = 50,
    ) -> tuple[ExecutionSummary, ...]:
        """Return executions that fit all filters given, the last finished first.

        Args:
            tenant: whose executions.
            user_id: whose executions.
            status: how they ended.
            pattern_id: of which pattern.
            portfolio_id: over which portfolio.
            since: finished at or after.
            before: finished before; the last `finished_at` of a page asks for the next one.
            limit: at most this many.
        """
        async with tenant_transaction(self._pool, tenant, user_id) as connection:
            rows = await connection.fetch(
                query("execution_list"), status and status.value, pattern_id, portfolio_id, since, before, limit
            )
        return tuple(map(_summary, rows))

    async def results_since(
        self, tenant: str, user_id: UUID, offsets: Sequence[int], before: Sequence[int], limit: int
    ) -> tuple[StoredResult, ...]:
        """Return results with `offsets[p] <= offset < before[p]`, p being the partition, by partition and offset.

        Args:
            tenant: whose results.
            user_id: whose results.
            offsets: first offset wanted, by partition number.
            before: first offset not wanted, by partition number.
            limit: at most this many.
        """
        async with tenant_transaction(self._pool, tenant, user_id) as connection:
            rows = await connection.fetch(query("execution_results_since"), list(offsets), list(before), limit)
        return _stored_results(rows)

    async def results_of(self, tenant: str, user_id: UUID, execution_ids: Sequence[UUID]) -> tuple[StoredResult, ...]:
        """Return the results of these executions that have ended, by partition and offset.

        Args:
            tenant: whose results.
            user_id: whose results.
            execution_ids: unknown ones are left out.
        """
        async with tenant_transaction(self._pool, tenant, user_id) as connection:
            rows = await connection.fetch(query("execution_results_of"), list(execution_ids))
        return _stored_results(rows)


async def _find(
    connection: Connection, wanted: ExecutionFilter, after: tuple[int, str] | None, limit: int
) -> list[asyncpg.Record]:
    return await connection.fetch(
        query("execution_find"),
        wanted.status,
        wanted.pattern_id,
        wanted.portfolio_id,
        wanted.error_code,
        wanted.since,
        wanted.before,
        wanted.text,
        None if after is None else _time(after[0]),
        None if after is None else UUID(after[1]),
        limit,
        wanted.tenant,
        wanted.user_id,
    )


def _summary(row: asyncpg.Record) -> ExecutionSummary:
    return ExecutionSummary(**{**dict(row), "status": ExecutionStatus(row["status"])})  # columns are the fields


def _stored_results(rows: Iterable[asyncpg.Record]) -> tuple[StoredResult, ...]:
    return tuple(StoredResult(row["result_partition"], row["result_offset"], row["result"]) for row in rows)


def _refs(result: ExecutionResult) -> Iterator[str]:
    yield from result.refs.values()
    for step in result.trace.steps:
        yield from step.refs.values()
        if step.output_ref is not None:
            yield step.output_ref


def _uuid(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)


def _time(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
