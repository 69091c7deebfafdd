"""What is expected is worked out once, ahead of whoever asks; what fails is worked out again."""

import asyncio

import pytest

from agents.memo import Memo


class Counted:
    def __init__(self, failures: int = 0) -> None:
        self.begun = 0
        self._failures = failures

    async def __call__(self) -> int:
        self.begun += 1
        await asyncio.sleep(0)
        if self.begun <= self._failures:
            raise ValueError("not yet")
        return self.begun


async def test_what_is_expected_is_there_when_it_is_asked_for() -> None:
    memo, work = Memo[int](2), Counted()
    memo.expect("a", work)
    memo.expect("a", work)
    assert await memo.get("a", work) == 1
    memo.expect("a", work)
    await asyncio.sleep(0)
    assert work.begun == 1


async def test_a_failure_of_what_was_expected_is_nobodys() -> None:
    memo, work = Memo[int](2), Counted(failures=1)
    memo.expect("a", work)
    await asyncio.sleep(0.01)
    assert await memo.get("a", work) == 2


async def test_who_asks_while_it_fails_is_told() -> None:
    memo, work = Memo[int](2), Counted(failures=1)
    memo.expect("a", work)
    with pytest.raises(ValueError, match="not yet"):
        await memo.get("a", work)
