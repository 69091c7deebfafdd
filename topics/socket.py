"""The messages of the websocket bridge, sub-protocol `dawsos.v1`: JSON in text frames.

A client subscribes once; another `Subscribe` replaces it. The server then sends the present state of each running
execution and every later change (`ExecutionProgress`: state, not history; a newer one replaces an older one that is
still unsent), and each result once (`ResultArrived`). From the subscription on every message has a cursor. Who
subscribes with the cursor of the last message received misses no result and gets none twice, on whichever gateway.
"""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter

from topics.messages import ErrorBody, ExecutionId, ExecutionStatus, Tenant, Wire
from topics.trace import StepStatus

SUBPROTOCOL = "dawsos.v1"
TICKET_PREFIX = "dawsos.ticket."
"""A browser offers `dawsos.v1` and this with its ticket as sub-protocols; the server selects `dawsos.v1`."""
FRAME_BYTES_MAX = 64 * 1024
NAMES_MAX = 100

Cursor = Annotated[str, Field(max_length=8192, description="Where the client stands; opaque.")]


class ClientWire(Wire):
    """What clients say: a field that is misspelt would otherwise watch or send something else than they mean."""

    model_config = ConfigDict(extra="forbid")


WatchedId = Annotated[
    str,
    Field(pattern=r"^[0-9A-Fa-f-]{36}$", description="UUID of the execution, in upper or lower case"),
    AfterValidator(str.lower),
]


class Subscribe(ClientWire):
    """Say which of one's executions to watch: all, or those that any list names.

    Attributes:
        cursor: of the last message received; absent: results from now on, and those of `executions` that have ended.
        results: send whole results along, up to 256 KiB each.
    """

    type: Literal["Subscribe"] = "Subscribe"
    v: Literal[1] = 1
    all: bool = False
    executions: Annotated[tuple[WatchedId, ...], Field(max_length=NAMES_MAX)] = ()
    patterns: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=128)], ...], Field(max_length=NAMES_MAX)
    ] = ()
    cursor: Cursor | None = None
    results: bool = False


class Unsubscribe(ClientWire):
    """Watch nothing; the socket stays."""

    type: Literal["Unsubscribe"] = "Unsubscribe"
    v: Literal[1] = 1


class Authenticate(ClientWire):
    """Prolong the session with a new ticket, of the same user."""

    type: Literal["Authenticate"] = "Authenticate"
    v: Literal[1] = 1
    ticket: Annotated[str, Field(min_length=1, max_length=256)]


class Ping(ClientWire):
    """Ask for a Heartbeat now; browsers cannot send the protocol's own pings."""

    type: Literal["Ping"] = "Ping"
    v: Literal[1] = 1


ClientMessage = Annotated[Subscribe | Unsubscribe | Authenticate | Ping, Field(discriminator="type")]
CLIENT_MESSAGE: TypeAdapter[Subscribe | Unsubscribe | Authenticate | Ping] = TypeAdapter(ClientMessage)


class Welcome(Wire):
    """The session has begun; nothing is watched yet.

    Attributes:
        heartbeat_s: the server is never silent for longer; twice as long without a message means the line is dead.
        session_ends_at_ms: the session is closed then (code 4401) unless the client authenticates again.
    """

    type: Literal["Welcome"] = "Welcome"
    v: Literal[1] = 1
    tenant: Tenant
    user_id: UUID
    heartbeat_s: float
    session_ends_at_ms: int


class Subscribed(Wire):
    """The subscription holds: all results since its cursor have been sent; the states of what runs follow."""

    type: Literal["Subscribed"] = "Subscribed"
    v: Literal[1] = 1
    cursor: Cursor


class StepProgress(Wire):
    """One step as it stands.

    Attributes:
        status: `blocked`, `requested`, `retry_wait`, or how it was settled.
        attempt: the newest attempt; 0 before the first.
        items: of a foreach step: how many there are and how many are settled.
    """

    step_id: str
    as_: str = Field(alias="as")
    capability: str | None = None
    status: StepStatus
    attempt: int = 0
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    due_at_ms: int | None = None
    items: tuple[int, int] | None = None
    error_code: str | None = None
    error: str | None = None
    skip_reason: str | None = None


class ExecutionState(Wire):
    """One execution under way, as it stands.

    Attributes:
        status: `queued`, `resolving`, `waiting_for_pack`, `running` or `compensating`.
        waits_for: in one line, what has to happen next.
        deadline_at_ms: when it ends in any case.
    """

    execution_id: ExecutionId
    request_id: str | None = None
    pattern_id: str | None = None
    pattern_digest: str | None = None
    portfolio_id: str | None = None
    pricing_pack_id: str | None = None
    asof: date | None = None
    status: str
    waits_for: str | None = None
    started_at_ms: int
    deadline_at_ms: int | None = None
    steps: tuple[StepProgress, ...] = ()


class ExecutionProgress(Wire):
    """The present state of an execution that runs. Replaces what was sent of it before."""

    type: Literal["ExecutionProgress"] = "ExecutionProgress"
    v: Literal[1] = 1
    cursor: Cursor
    execution: ExecutionState


class ResultArrived(Wire):
    """An execution has ended. Sent once; no progress of it follows.

    Attributes:
        stale: some output rests on an older pack than asked for.
        result: the whole `ExecutionResult`, when asked for and not too large; else fetch it by HTTP.
    """

    type: Literal["ResultArrived"] = "ResultArrived"
    v: Literal[1] = 1
    cursor: Cursor
    execution_id: ExecutionId
    request_id: str
    pattern_id: str
    portfolio_id: str | None = None
    asof: date | None = None
    status: ExecutionStatus
    stale: bool = False
    error: ErrorBody | None = None
    digest: str
    started_at_ms: int
    finished_at_ms: int
    result: dict[str, Any] | None = None


class Heartbeat(Wire):
    """Nothing else to say."""

    type: Literal["Heartbeat"] = "Heartbeat"
    v: Literal[1] = 1
    cursor: Cursor | None = None


class SessionEnding(Wire):
    """The session ends soon: get a new ticket and send Authenticate."""

    type: Literal["SessionEnding"] = "SessionEnding"
    v: Literal[1] = 1
    cursor: Cursor | None = None
    session_ends_at_ms: int


class Authenticated(Wire):
    """The session goes on."""

    type: Literal["Authenticated"] = "Authenticated"
    v: Literal[1] = 1
    cursor: Cursor | None = None
    session_ends_at_ms: int


class Refused(Wire):
    """A frame was not understood or could not be obeyed; the socket stays."""

    type: Literal["Refused"] = "Refused"
    v: Literal[1] = 1
    cursor: Cursor | None = None
    error: ErrorBody


CLIENT_TYPES: tuple[type[Wire], ...] = (Subscribe, Unsubscribe, Authenticate, Ping)
SERVER_TYPES: tuple[type[Wire], ...] = (
    Welcome,
    Subscribed,
    ExecutionProgress,
    ResultArrived,
    Heartbeat,
    SessionEnding,
    Authenticated,
    Refused,
)
