"""An agent whose capability has an effect; `python -m tests.services_tests.clerk` lets it answer one request.

The request comes on standard input. With `DIE_AFTER_COMMIT` set the process is killed between commit and answer.
"""

import asyncio
import os
import signal
import sys
from uuid import uuid4

from agents.base import BaseAgent
from agents.capability import capability
from agents.context import CapabilityContext
from db.effects import EffectRepository
from db.postgres import Connection, open_pool
from services.composition import build_runtime_postgres
from settings import load_settings
from topics.codec import decode, encode
from topics.messages import CapabilityRequest

AGENT = "tests.services_tests.clerk:Clerk"


class Clerk(BaseAgent):
    """Books, which must not happen twice."""

    name = "clerk"

    def __init__(self, effects: EffectRepository) -> None:
        self._effects = effects

    @capability("clerk.book")
    async def book(self, context: CapabilityContext, text: str) -> str:
        """Write a row that is another one each time, and return its name."""

        async def effect(connection: Connection) -> bytes:
            name = uuid4().hex * 2
            await connection.execute(
                "INSERT INTO artifacts VALUES ($1, $2, $3, now())", context.tenant, name, text.encode()
            )
            return name.encode()

        output, _ = await self._effects.once(context.tenant, context.user_id, context.idempotency_key, effect)
        if "DIE_AFTER_COMMIT" in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        return output.decode()


async def main() -> None:
    """Answer on standard output."""
    settings = load_settings(_env_file=None)
    request = decode(sys.stdin.buffer.read(), CapabilityRequest)
    assert isinstance(request, CapabilityRequest)
    pool = await open_pool(settings.postgres_url())
    try:
        answer = await build_runtime_postgres(pool, None, None, settings).handle(request)
    finally:
        await pool.close()
    sys.stdout.buffer.write(encode(answer))


if __name__ == "__main__":
    asyncio.run(main())
