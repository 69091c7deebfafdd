"""One execution over Kafka, the way any upstream system asks for it, with live progress."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

from cli.console import say
from cli.exits import Exit
from cli.failures import CommandFailed

if TYPE_CHECKING:
    from db.postgres import Pool
    from settings import Settings
    from topics.messages import ExecuteRequest, ExecutionResult

# The engine ends an execution at its deadline and says so; this is how much longer the client waits for that word.
_GRACE_S = 15.0
_DEADLINE_S_DEFAULT = 300.0
_KEYS_HINT = "; give this shell a DAWSOS_REQUEST_KEYS the orchestrator knows"


async def execute(found: Settings, pool: Pool, request: ExecuteRequest, title: str, *, quiet: bool) -> ExecutionResult:
    """Publish a request, show its steps on stderr and return its result. Ctrl-C cancels the execution.

    One that is finished already is answered from the database.

    Raises:
        NoResult: nothing came in time.
        CommandFailed: the request became a dead letter: no result can come.
        KafkaUnavailable: no broker answers.
    """
    from cli.progress import StepProgress
    from db.dead_letters import DeadLetterRepository, LetterFilter
    from db.executions import ExecutionRepository
    from streams.clients import wait_for_kafka
    from streams.dead_letter import Stage
    from streams.publisher import ExecutionClient
    from topics.codec import encode, execution_id_of
    from topics.messages import CancelExecution

    # Its bytes hold when it was asked for: an earlier request of the same name is another record.
    this_request = LetterFilter(value=encode(request), waiting=True)

    async def stored(execution_id: str) -> ExecutionResult | None:
        found = await ExecutionRepository(pool).show(request.tenant, request.user_id, UUID(execution_id))
        if found is None:
            for letter in await DeadLetterRepository(pool).list(this_request, limit=1):
                hint = _KEYS_HINT if letter.stage == Stage.TRUST else ""
                raise CommandFailed(
                    f"the orchestrator refused the request: {letter.reason} (dead letter {letter.id}){hint}"
                )
        return found

    await wait_for_kafka(found, timeout_s=10)
    async with ExecutionClient(found, "cli") as client:
        with StepProgress(title, quiet=quiet) as progress:
            try:
                result = await client.execute(
                    request,
                    (request.deadline_s or _DEADLINE_S_DEFAULT) + _GRACE_S,
                    on_progress=progress.update,
                    stored=stored,
                )
                progress.complete(result.trace)
                return result
            except asyncio.CancelledError:
                await client.cancel(
                    CancelExecution(
                        execution_id=execution_id_of(request.tenant, request.request_id),
                        tenant=request.tenant,
                        user_id=request.user_id,
                        reason="interrupted at the command line",
                    )
                )
                say("the execution was told to stop")
                raise


async def find_portfolio(pool: Pool, tenant: str, user_id: UUID, wanted: str) -> UUID:
    """Return a portfolio's id from its id or name; the part of a name after its colon is enough.

    An id is not looked up: whether the user may see it is for the engine to say.

    Raises:
        CommandFailed: no portfolio of the user has that name, or several have.
    """
    from db.portfolios import PortfolioRepository

    try:
        return UUID(wanted)
    except ValueError:
        pass
    portfolios = await PortfolioRepository(pool).list(tenant, user_id)
    key = wanted.casefold()
    names = {each.name: each.id for each in portfolios}
    found = [
        each.id for each in portfolios if key in (each.name.casefold(), each.name.rpartition(":")[2].strip().casefold())
    ]
    if len(found) == 1:
        return found[0]
    known = ", ".join(names) or "none; `dawsos portfolios add` adds one, `dawsos demo` loads some"
    problem = "several portfolios are" if found else "no portfolio is"
    raise CommandFailed(f"--portfolio: {problem} called {wanted!r}; this user has: {known}", Exit.USAGE)
