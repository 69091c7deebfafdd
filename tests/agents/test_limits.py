"""Limits of a capability: calls at a time, calls per second, and what happens when a turn would come too late."""

import asyncio
import time
from typing import Any

import pytest

from agents.base import BaseAgent
from agents.capability import Terms, capability, describe
from agents.context import CapabilityContext
from agents.limits import CallLimits
from agents.runtime import catalogue_of
from topics.errors import Code, RetryableError


class Limited(BaseAgent):
    name = "limited"

    @capability("limited.few", concurrency_max=2)
    async def few(self, context: CapabilityContext) -> Any:
        """Be called by two at a time."""

    @capability("limited.slow", rate_per_s=50)
    async def slow(self, context: CapabilityContext) -> Any:
        """Be called fifty times a second."""

    @capability("limited.free")
    async def free(self, context: CapabilityContext) -> Any:
        """Be called at will."""


DESCRIPTIONS = describe(Limited)


def terms(name: str) -> Terms:
    return DESCRIPTIONS[f"limited.{name}"].terms


def limits() -> CallLimits:
    return CallLimits(DESCRIPTIONS.values())


def test_limits_are_published_and_only_where_there_are_any() -> None:
    entries = catalogue_of([Limited])["agents"]["limited"]["capabilities"]
    assert entries["limited.few"]["concurrency_max"] == 2
    assert entries["limited.slow"]["rate_per_s"] == 50
    assert "concurrency_max" not in entries["limited.free"]
    assert limits().limited == {"limited.few", "limited.slow"}


@pytest.mark.parametrize("wrong", [{"concurrency_max": 0}, {"rate_per_s": 0.0}, {"rate_per_s": float("nan")}])
def test_a_limit_that_lets_nothing_through_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        capability("limited.wrong", **wrong)


async def test_no_more_at_a_time_than_allowed_and_others_are_not_held_up() -> None:
    found = limits()
    running = most = 0

    async def call() -> None:
        nonlocal running, most
        async with found.turn(terms("few"), 10):
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(call() for _ in range(20)))
    assert most == 2
    async with found.turn(terms("few"), 1), found.turn(terms("few"), 1), found.turn(terms("free"), 0):
        pass


async def test_calls_are_spaced_evenly() -> None:
    found = limits()
    begun = time.monotonic()
    moments: list[float] = []

    async def call() -> None:
        async with found.turn(terms("slow"), 10):
            moments.append(time.monotonic() - begun)

    await asyncio.gather(*(call() for _ in range(6)))
    assert all(moment >= number * 0.02 - 0.001 for number, moment in enumerate(sorted(moments)))


async def test_a_turn_after_the_deadline_is_refused_retryably_and_left_to_others() -> None:
    found = limits()
    async with found.turn(terms("few"), 1), found.turn(terms("few"), 1):
        with pytest.raises(RetryableError, match="more than 2 at a time") as refused:
            async with found.turn(terms("few"), 0.01):
                pass
    assert refused.value.code is Code.STEP_TIMEOUT
    async with found.turn(terms("few"), 0.01), found.turn(terms("slow"), 0.01):
        pass
    begun = time.monotonic()
    for _ in range(3):
        with pytest.raises(RetryableError, match="50 per second"):
            async with found.turn(terms("slow"), 0.0):
                pass
    async with found.turn(terms("slow"), 1):
        assert time.monotonic() - begun < 0.05
