"""Who is told that a pack is fresh: those parked for it, and those for whom any revision of its day will do."""

from datetime import date
from types import SimpleNamespace
from uuid import UUID

from streams.freshness import FreshnessMap
from topics.codec import encode
from topics.messages import PackEvent, PackRef, PackStatus

FIRST, SECOND, ANOTHER_DAYS = UUID(int=1), UUID(int=2), UUID(int=3)
ALL = {b"any", b"first-only"}


class Executions:
    """Told of news, as executions are; `first-only` asked for the first revision by its id."""

    def __init__(self) -> None:
        self.told: list[tuple[bytes, UUID, str]] = []
        self.map = FreshnessMap(self._open)
        self._seq = 0

    async def _open(self, key: bytes, pack: PackRef) -> bool:
        if key == b"first-only" and pack.pack_id != FIRST:
            return False
        self.told.append((key, pack.pack_id, pack.status.value))
        return True

    async def news(self, pack_id: UUID, status: str, revision: int = 1, day: int = 2) -> None:
        self._seq += 1
        sha = {"content_sha256": "a" * 64} if status in ("fresh", "superseded") else {}
        pack = PackRef(
            pack_id=pack_id,
            policy="eod",
            asof_date=date(2026, 1, day),
            revision=revision,
            status=PackStatus(status),
            **sha,
        )
        await self.map.on_record(SimpleNamespace(value=encode(PackEvent(pack=pack, seq=self._seq))))

    async def park(self) -> None:
        for key in sorted(ALL):
            await self.map.park(key, FIRST)


async def test_the_packs_own_news_reach_everybody_once() -> None:
    one = Executions()
    await one.news(FIRST, "warming")
    await one.park()
    await one.news(FIRST, "failed")
    await one.news(FIRST, "failed")
    assert one.told == [(b"any", FIRST, "failed"), (b"first-only", FIRST, "failed")]
    assert len(one.map) == 0


async def test_a_fresh_revision_of_the_day_reaches_those_for_whom_it_will_do() -> None:
    one = Executions()
    await one.news(FIRST, "warming")
    await one.park()
    await one.news(ANOTHER_DAYS, "fresh", day=5)
    await one.news(SECOND, "warming", 2)
    assert one.told == []
    await one.news(SECOND, "fresh", 2)
    assert one.told == [(b"any", SECOND, "fresh")]
    await one.news(FIRST, "fresh")
    assert one.told == [(b"any", SECOND, "fresh"), (b"first-only", FIRST, "fresh")]


async def test_it_does_so_too_when_it_was_fresh_before_anybody_parked() -> None:
    one = Executions()
    await one.news(FIRST, "warming")
    await one.news(SECOND, "fresh", 2)
    await one.park()
    assert one.told == [(b"any", SECOND, "fresh")]
    assert len(one.map) == 1


async def test_and_when_the_news_of_the_pack_itself_come_last() -> None:
    one = Executions()
    await one.news(SECOND, "fresh", 2)
    await one.park()
    assert one.told == []
    await one.news(FIRST, "warming")
    assert one.told == [(b"any", SECOND, "fresh")]


async def test_a_revision_that_is_fresh_no_more_wakes_nobody() -> None:
    one = Executions()
    await one.news(FIRST, "warming")
    await one.news(SECOND, "fresh", 2)
    await one.news(SECOND, "superseded", 2)
    await one.park()
    assert one.told == []
