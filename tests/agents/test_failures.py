import socket

import pytest

from agents.failures import CallTimeout, classify
from topics.errors import Code, RetryableError, TerminalError


class FakePostgresError(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__("server said so")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("error", "code", "retryable", "upstream"),
    [
        (TerminalError(Code.NO_PACK, "x"), Code.NO_PACK, False, False),
        (RetryableError(Code.PACK_WARMING, "x"), Code.PACK_WARMING, True, False),
        (RetryableError(Code.UPSTREAM_FAILED, "x"), Code.UPSTREAM_FAILED, True, True),
        (RetryableError(Code.STEP_TIMEOUT, "x", service="fred"), Code.STEP_TIMEOUT, True, True),
        (CallTimeout("x"), Code.STEP_TIMEOUT, True, True),
        (TimeoutError(), Code.UPSTREAM_FAILED, True, True),
        (ConnectionResetError(104, "reset"), Code.UPSTREAM_FAILED, True, True),
        (socket.gaierror(-2, "unknown host"), Code.UPSTREAM_FAILED, True, True),
        (FakePostgresError("08006"), Code.UPSTREAM_FAILED, True, True),
        (FakePostgresError("57P01"), Code.UPSTREAM_FAILED, True, True),
        (FakePostgresError("42601"), Code.INTERNAL, False, False),
        (FileNotFoundError(2, "gone", "/x"), Code.INTERNAL, False, False),
        (ValueError("x"), Code.INTERNAL, False, False),
        (AssertionError(), Code.INTERNAL, False, False),
        (RecursionError(), Code.INTERNAL, False, False),
    ],
)
def test_every_exception_has_one_meaning(error: Exception, code: Code, retryable: bool, upstream: bool) -> None:
    found = classify(error, "probe.read")
    assert (found.code, found.retryable, found.upstream) == (code, retryable, upstream)
    assert found.bug == (code is Code.INTERNAL)


def test_redis_failures_are_upstream_failures() -> None:
    from redis import exceptions

    for error in (exceptions.ConnectionError("x"), exceptions.TimeoutError("x"), exceptions.BusyLoadingError("x")):
        assert classify(error, "probe.read").code is Code.UPSTREAM_FAILED
    assert classify(exceptions.DataError("x"), "probe.read").code is Code.INTERNAL
