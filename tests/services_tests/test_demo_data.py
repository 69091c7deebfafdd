from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from db.pack_writer import PackWriter
from db.portfolios import PortfolioRepository
from db.postgres import Pool
from services import demo_data
from services.packs_build import POLICY, OutsideData, build_packs, nyse_sessions
from topics.messages import PackStatus

KNOWN_AT = datetime(2021, 1, 1, tzinfo=UTC)


def test_sessions_are_those_of_the_exchange() -> None:
    sessions = set(nyse_sessions())
    assert date(2001, 9, 10) in sessions and date(2001, 9, 12) not in sessions
    assert date(2004, 6, 11) not in sessions  # mourning for a president
    assert date(2012, 10, 29) not in sessions  # a hurricane


def test_the_demos_ledgers_are_one_commit_everywhere(tmp_path: Path) -> None:
    first = demo_data.write_ledgers(tmp_path / "a.git")
    assert demo_data.write_ledgers(tmp_path / "a.git") == first
    assert demo_data.write_ledgers(tmp_path / "b.git") == first


def test_every_demo_portfolio_has_its_ledger() -> None:
    assert {demo.path for demo in demo_data.PORTFOLIOS} == {
        path.relative_to(demo_data.LEDGERS).as_posix() for path in demo_data.LEDGERS.rglob("*.beancount")
    }


@pytest.mark.integration
async def test_building_again_changes_nothing_and_a_wider_range_only_adds(owner: Pool) -> None:
    writer = PackWriter(owner)
    done: list[tuple[int, int]] = []
    report = await build_packs(
        writer, date(2005, 12, 1), date(2006, 1, 31), KNOWN_AT, lambda now, whole: done.append((now, whole))
    )
    assert (report.created, report.restated, report.unchanged, report.faulty) == (20, 0, 21, [])
    assert done == [(20, 41)]
    fresh = await writer.list(POLICY, date(2005, 12, 1), date(2006, 1, 31), PackStatus.FRESH)
    assert len(fresh) == 41 and all(pack.ref.revision == 1 for pack in fresh)
    newest = await writer.content(fresh[0].ref.pack_id)
    assert len(newest.prices) == 4 and len(newest.rates) == 12  # Facebook is not listed yet
    assert await writer.verify(fresh[0].ref.pack_id) == fresh[0].ref.content_sha256


@pytest.mark.parametrize(
    ("start", "end"),
    [(date(1999, 1, 1), date(2004, 1, 1)), (date(2004, 1, 2), date(2013, 3, 4)), (date(2005, 1, 1), date(2004, 1, 1))],
)
@pytest.mark.integration
async def test_days_without_data_are_refused(owner: Pool, start: date, end: date) -> None:
    with pytest.raises(OutsideData, match="expected days from 2000-03-01 to 2013-03-01"):
        await build_packs(PackWriter(owner), start, end, KNOWN_AT)


@pytest.mark.integration
async def test_loading_the_demo_twice_changes_nothing(owner: Pool, app: Pool, tmp_path: Path) -> None:
    repository = tmp_path / "ledger.git"
    seen: list[str] = []
    first = await demo_data.load_demo(
        owner, app, repository, KNOWN_AT, lambda what, done, whole: seen.append(f"{what} {done}/{whole}")
    )
    assert first.packs == 2265 and first.packs_written == 2265 - 504
    assert seen[0] == "ledgers 4/4" and "packs 2265/2265" in seen and seen[-1] == "portfolios 4/4"
    again = await demo_data.load_demo(owner, app, repository, KNOWN_AT)
    assert (again.commit, again.packs_written, again.packs) == (first.commit, 0, 2265)
    portfolios = PortfolioRepository(app)
    alice, bob = demo_data.user_id_of("alice"), demo_data.user_id_of("bob")
    assert [found.name for found in await portfolios.list(demo_data.TENANT, alice)] == [
        "Alice: growth",
        "Alice: income",
    ]
    assert await portfolios.get(demo_data.TENANT, bob, demo_data.PORTFOLIOS[0].id) is None
