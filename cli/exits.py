"""Exit codes: what a script can learn from `dawsos` without reading a word of its output."""

from enum import IntEnum


class Exit(IntEnum):
    """Why the command ended.

    Attributes:
        OK: it did what was asked; an execution succeeded.
        ERROR: something else went wrong, or a check found faults.
        USAGE: the command line or a setting is wrong; nothing was done.
        REJECTED: the execution was refused (pack warming, unknown pattern, invalid inputs).
        FAILED: a step of the execution failed.
        TIMED_OUT: the execution's deadline passed, or no result came in time.
        CANCELLED: the execution was cancelled.
        UNAVAILABLE: Kafka, Postgres, Redis or a worker could not be reached or started.
        UNVERIFIABLE: nothing differs, but something could not be compared: code or values are not there any more.
        INTERRUPTED: Ctrl-C.
    """

    OK = 0
    ERROR = 1
    USAGE = 2
    REJECTED = 3
    FAILED = 4
    TIMED_OUT = 5
    CANCELLED = 6
    UNAVAILABLE = 7
    UNVERIFIABLE = 8
    INTERRUPTED = 130


_BY_STATUS = {
    "succeeded": Exit.OK,
    "rejected": Exit.REJECTED,
    "failed": Exit.FAILED,
    "timed_out": Exit.TIMED_OUT,
    "cancelled": Exit.CANCELLED,
}


def exit_of(status: str) -> Exit:
    """Return the code for how an execution ended, by `ExecutionStatus` value."""
    return _BY_STATUS[status]
