"""Error codes and families shared by every part.

Three families. *User-data errors* are returned as values, all at once, each with the place it was found.
*Operating errors* are raised as `TerminalError` or `RetryableError`. *Programmer errors* (a broken invariant) fail
the execution they hit with `INTERNAL` and dead-letter the event.
"""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """What went wrong, for machines. The value is the name that travels in messages."""

    # the request
    INVALID_REQUEST = "INVALID_REQUEST"
    INVALID_INPUT = "INVALID_INPUT"
    REQUEST_CONFLICT = "REQUEST_CONFLICT"
    REQUEST_EXPIRED = "REQUEST_EXPIRED"
    UNKNOWN_PATTERN = "UNKNOWN_PATTERN"
    UNKNOWN_PORTFOLIO = "UNKNOWN_PORTFOLIO"
    UNKNOWN_PACK = "UNKNOWN_PACK"
    UNKNOWN_LEDGER_COMMIT = "UNKNOWN_LEDGER_COMMIT"
    NO_PACK = "NO_PACK"
    PACK_WARMING = "PACK_WARMING"
    PACK_FAILED = "PACK_FAILED"
    # the run
    CANCELLED = "CANCELLED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    STEP_TIMEOUT = "STEP_TIMEOUT"
    TEMPLATE_FAILED = "TEMPLATE_FAILED"
    CONDITION_FAILED = "CONDITION_FAILED"
    # a capability
    UNKNOWN_CAPABILITY = "UNKNOWN_CAPABILITY"
    CODE_VERSION_UNAVAILABLE = "CODE_VERSION_UNAVAILABLE"
    INVALID_ARGS = "INVALID_ARGS"
    INVALID_OUTPUT = "INVALID_OUTPUT"
    OUTPUT_TOO_LARGE = "OUTPUT_TOO_LARGE"
    ARTIFACT_NOT_FOUND = "ARTIFACT_NOT_FOUND"
    LEDGER_INVALID = "LEDGER_INVALID"
    MISSING_FX = "MISSING_FX"
    MISSING_PRICE = "MISSING_PRICE"
    RECONCILIATION_FAILED = "RECONCILIATION_FAILED"
    AGENT_UNAVAILABLE = "AGENT_UNAVAILABLE"
    UPSTREAM_FAILED = "UPSTREAM_FAILED"
    PROVIDER_NOT_CONFIGURED = "PROVIDER_NOT_CONFIGURED"
    # at the gateway
    MALFORMED_BODY = "MALFORMED_BODY"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    UNKNOWN_EXECUTION = "UNKNOWN_EXECUTION"
    UNKNOWN_DEAD_LETTER = "UNKNOWN_DEAD_LETTER"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    RATE_LIMITED = "RATE_LIMITED"
    OVERLOADED = "OVERLOADED"
    # us
    INTERNAL = "INTERNAL"


class TerminalError(Exception):
    """The operation cannot succeed however often it is tried.

    Args:
        code: what went wrong.
        message: what was expected and what arrived; shown to the user as it stands.
        details: JSON values that help a machine (field, pointer, nearest names).
    """

    def __init__(self, code: Code, message: str, **details: object) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details = details


class RetryableError(Exception):
    """The operation may succeed later: an upstream service failed, timed out or asked for patience.

    Args:
        code: what went wrong.
        message: what was tried and what came back.
        retry_after_s: seconds the upstream asked to wait, if it said so.
        service: the upstream whose circuit breaker counts this failure; None if no upstream is to blame.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        retry_after_s: float | None = None,
        service: str | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s
        self.service = service


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake in data a user wrote, with the place to mend it.

    Attributes:
        where: file name, `file:line` or topic; may be empty when there is only one document.
        pointer: JSON pointer inside it; empty for the whole document.
        message: what was expected and what was found.
    """

    where: str
    pointer: str
    message: str

    def __str__(self) -> str:
        """Return `where#pointer: message`, as compilers print it."""
        place = f"{self.where}#{self.pointer}" if self.pointer else self.where
        return f"{place}: {self.message}" if place else self.message
