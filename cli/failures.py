"""One line for each thing that can go wrong, instead of a traceback.

Commands raise `CommandFailed` for what they find themselves. Exceptions of other parts are recognised by class, but
only when the part that defines them has been loaded: looking must not import Kafka or Postgres clients.
"""

import sys
from dataclasses import dataclass

from cli.exits import Exit


class CommandFailed(Exception):
    """The command cannot do what was asked; the text says what was expected and what arrived."""

    def __init__(self, message: str, code: Exit = Exit.ERROR) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


@dataclass(frozen=True, slots=True)
class _Family:
    """Exceptions that mean one thing to the caller; `hint` is what to do about it."""

    module: str
    name: str
    code: Exit
    prefix: str = ""
    hint: str = ""


_UP = "is the stack up? `dawsos status` tells, `dawsos up` starts it"
# First match wins.
_FAMILIES = (
    _Family("settings", "SettingsError", Exit.USAGE),
    _Family("orchestrator.faults", "PatternFaults", Exit.USAGE),
    _Family("services.price_files", "FilesRejected", Exit.USAGE),
    _Family("services.fixtures", "FixtureFaults", Exit.USAGE),
    _Family("services.packs_build", "OutsideData", Exit.USAGE),
    _Family("services.catalogue", "AgentNotLoadable", Exit.USAGE),
    _Family("agents.runtime", "DuplicateCapability", Exit.USAGE),
    _Family("ledger.directives", "LedgerRejected", Exit.USAGE),
    _Family("db.pack_content", "PackRejected", Exit.ERROR),
    _Family("db.migrate", "MigrationRefused", Exit.UNAVAILABLE),
    _Family("db.postgres", "RoleBypassesSecurity", Exit.USAGE),
    _Family("db.executions", "OperatorRefused", Exit.USAGE),
    _Family("local.errors", "LocalError", Exit.UNAVAILABLE),
    _Family("chaos.run", "RunFailed", Exit.ERROR),
    _Family("streams.clients", "KafkaUnavailable", Exit.UNAVAILABLE),
    _Family("streams.publisher", "NoResult", Exit.TIMED_OUT),
    _Family("streams.topics_admin", "TopicsWrong", Exit.UNAVAILABLE),
    _Family("aiokafka.errors", "KafkaError", Exit.UNAVAILABLE, "Kafka: ", _UP),
    _Family("asyncpg", "InvalidCatalogNameError", Exit.UNAVAILABLE, "Postgres: "),
    _Family("asyncpg", "UndefinedTableError", Exit.UNAVAILABLE, "Postgres: ", "run `dawsos migrate` first"),
    _Family("asyncpg", "PostgresConnectionError", Exit.UNAVAILABLE, "Postgres: ", _UP),
    _Family("asyncpg", "CannotConnectNowError", Exit.UNAVAILABLE, "Postgres: ", _UP),
    _Family("asyncpg", "InvalidAuthorizationSpecificationError", Exit.UNAVAILABLE, "Postgres: "),
    _Family("redis.exceptions", "ConnectionError", Exit.UNAVAILABLE, "Redis: ", _UP),
    _Family("topics.errors", "TerminalError", Exit.ERROR),
    _Family("topics.errors", "RetryableError", Exit.UNAVAILABLE),
)


def explain(error: Exception) -> CommandFailed | None:
    """Return what to print and the exit code; None for an error nobody foresaw."""
    if isinstance(error, CommandFailed):
        return error
    for family in _FAMILIES:
        kind = getattr(sys.modules.get(family.module), family.name, None)
        if isinstance(kind, type) and isinstance(error, kind):
            text = getattr(error, "message", None) if family.module == "topics.errors" else None
            message = family.prefix + str(text or error or type(error).__name__)
            return CommandFailed(f"{message}; {family.hint}" if family.hint else message, family.code)
    if isinstance(error, ConnectionError):
        return CommandFailed(f"could not connect: {error}; {_UP}", Exit.UNAVAILABLE)
    if isinstance(error, OSError) and error.filename is not None:
        return CommandFailed(f"{error.filename}: {error.strerror}", Exit.ERROR)
    return None
