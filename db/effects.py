"""What capabilities with effects answered, so that a repeated command has no second effect."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from db.postgres import Connection, Pool, tenant_transaction
from db.sql import query
from topics.errors import Code, TerminalError


class EffectRepository:
    """Runs effects once per idempotency key. Works with the application's role."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def once(
        self,
        tenant: str,
        user_id: UUID,
        idempotency_key: str,
        effect: Callable[[Connection], Awaitable[bytes]],
    ) -> tuple[bytes, bool]:
        """Run an effect unless its key was seen before; effect and output commit together or not at all.

        Args:
            tenant: for whom.
            user_id: for whom.
            idempotency_key: `<execution_id>/<step_id>`.
            effect: writes through the connection it is given and returns its output.

        Returns:
            The output, and whether the effect ran now (False: the output of the first run).

        Raises:
            TerminalError: REQUEST_CONFLICT when another user of the tenant has used the key.
        """
        async with tenant_transaction(self._pool, tenant, user_id) as connection:
            # A second attempt at the same time waits for the first one to commit or to roll back.
            await connection.execute(query("effect_lock"), f"{tenant}/{idempotency_key}")
            stored = await connection.fetchval(query("effect_get"), tenant, idempotency_key)
            if stored is not None:
                return stored, False
            output = await effect(connection)
            made = await connection.fetchval(query("effect_put"), tenant, idempotency_key, user_id, output)
            if made is None:
                raise TerminalError(Code.REQUEST_CONFLICT, f"idempotency key {idempotency_key!r} is another user's")
        return output, True
