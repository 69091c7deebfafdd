"""The one place where exceptions of a call become errors that travel.

==========================================  ======================  =========
what was raised                             code                    retryable
==========================================  ======================  =========
`TerminalError`                             its own                 no
`RetryableError`                            its own                 yes
pydantic `ValidationError` of arguments     INVALID_ARGS            no
pydantic `ValidationError` of the answer    INVALID_OUTPUT          no
time limit of the call                      STEP_TIMEOUT            yes
timeouts and connections of services        UPSTREAM_FAILED         yes
anything else                               INTERNAL (logged)       no
==========================================  ======================  =========
"""

from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from topics.canonical import NotCanonical
from topics.errors import Code, RetryableError, TerminalError
from topics.messages import ErrorBody

_FAULTS_SHOWN_MAX = 10
# Postgres reports these SQLSTATE classes when the server, not the statement, is at fault: connection, resources,
# operator intervention. Read by attribute: agents know no database driver.
_SQLSTATE_UPSTREAM = ("08", "53", "57")


class InvalidArguments(Exception):
    """Arguments that do not fit the input schema."""

    def __init__(self, cause: ValidationError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class InvalidAnswer(Exception):
    """An answer that does not fit the output schema."""

    def __init__(self, cause: ValidationError | NotCanonical) -> None:
        super().__init__(str(cause))
        self.cause = cause


class CallTimeout(Exception):
    """The call took longer than its capability or the execution's deadline allows."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A classified exception.

    Attributes:
        service: upstream whose circuit counts it; None when no upstream is to blame.
        upstream: counts for a circuit breaker.
        bug: must be logged with its traceback; the user sees none of it.
    """

    code: Code
    message: str
    retryable: bool = False
    retry_after_s: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
    service: str | None = None
    upstream: bool = False
    bug: bool = False

    def body(self) -> ErrorBody:
        """Return it as it travels."""
        return ErrorBody(
            code=self.code,
            message=self.message,
            retryable=self.retryable,
            retry_after_s=self.retry_after_s,
            details=self.details,
        )


def classify(error: BaseException, capability: str) -> Failure:
    """Return what an exception of a call means (see the module's table).

    Args:
        error: anything but a cancellation.
        capability: for the texts.
    """
    if isinstance(error, TerminalError):
        return Failure(error.code, error.message, details=dict(error.details))
    if isinstance(error, RetryableError):
        return Failure(
            error.code,
            error.message,
            retryable=True,
            retry_after_s=error.retry_after_s,
            service=error.service,
            upstream=error.code is Code.UPSTREAM_FAILED or error.service is not None,
        )
    if isinstance(error, InvalidArguments):
        faults = _faults(error.cause)
        shown = "; ".join(f"{fault['pointer'] or 'arguments'}: {fault['message']}" for fault in faults)
        return Failure(Code.INVALID_ARGS, f"{capability} got unfit arguments: {shown}", details={"faults": faults})
    if isinstance(error, InvalidAnswer):
        cause = error.cause
        faults = _faults(cause) if isinstance(cause, ValidationError) else []
        shown = "; ".join(f"{fault['pointer']}: {fault['message']}" for fault in faults) or str(cause)
        message = f"{capability} answered outside its output schema: {shown}"
        return Failure(Code.INVALID_OUTPUT, message, details={"faults": faults}, bug=True)
    if isinstance(error, CallTimeout):
        return Failure(Code.STEP_TIMEOUT, str(error), retryable=True, upstream=True)
    if _is_upstream(error):
        message = f"{capability}: a service it needs failed ({type(error).__name__})"
        return Failure(Code.UPSTREAM_FAILED, message, retryable=True, upstream=True)
    return Failure(Code.INTERNAL, f"{capability} failed because of a bug; the agent's log has the details", bug=True)


def _is_upstream(error: BaseException) -> bool:
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    if isinstance(error, OSError):
        # A file that is not there is ours; name resolution and unreachable hosts are the network's.
        return error.filename is None and error.errno is not None
    if str(getattr(error, "sqlstate", None) or "")[:2] in _SQLSTATE_UPSTREAM:
        return True
    return any(
        base.__module__ == "redis.exceptions" and base.__name__ in ("ConnectionError", "TimeoutError")
        for base in type(error).__mro__
    )


def _faults(error: ValidationError) -> list[dict[str, str]]:
    found = error.errors(include_url=False, include_context=False, include_input=False)[:_FAULTS_SHOWN_MAX]
    return [
        {"pointer": "".join(f"/{_escaped(part)}" for part in fault["loc"]), "message": fault["msg"]} for fault in found
    ]


def _escaped(part: int | str) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")
