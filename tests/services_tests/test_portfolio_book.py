"""A user's own portfolio: added, added again, changed, refused."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from db.portfolios import PortfolioRepository
from db.postgres import Pool
from ledger.sources import Tree, from_git, from_text, resolve_ref
from services import demo_data
from services.demo_users import TENANT, user_id_of
from services.packs_build import POLICY
from services.portfolio_book import Outcome, Registered, Wanted, add_portfolio
from topics.errors import Code, TerminalError

pytestmark = pytest.mark.integration

NOW = datetime(2020, 1, 1, tzinfo=UTC)
ALICE, BOB = user_id_of("alice"), user_id_of("bob")
OPEN = 'option "operating_currency" "EUR"\n' + "".join(
    f"2004-01-01 open {account}\n" for account in ("Assets:Cash", "Assets:Stock", "Equity:In")
)
BUY = (
    OPEN
    + """
2004-02-02 * "in"
  Assets:Cash  5000 USD
  Equity:In
2004-02-03 * "buy"
  Assets:Stock  3 FOO {10 USD}
  Assets:Stock  5 IBM {90 USD}
  Assets:Cash
"""
)
LEDGER = from_text(BUY)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    demo_data.write_ledgers(tmp_path / "ledger.git")
    return tmp_path / "ledger.git"


@pytest.fixture
def add(app: Pool, repository: Path):
    async def registered(wanted: Wanted, source: Tree | str = LEDGER, user: Any = ALICE) -> Registered:
        return await add_portfolio(app, repository, TENANT, user, wanted, source, NOW, POLICY)

    return registered


async def refused(adding: Any, code: Code, text: str) -> TerminalError:
    with pytest.raises(TerminalError) as error:
        await adding
    assert error.value.code is code and text in error.value.message
    return error.value


async def test_added_the_same_again_and_changed(app: Pool, repository: Path, add: Any) -> None:
    demo = resolve_ref(repository)
    first = await add(Wanted("Mine"))
    assert first.outcome is Outcome.ADDED and first.portfolio.base_ccy == "EUR" and first.portfolio.booking == "FIFO"
    assert first.portfolio in await PortfolioRepository(app).list(TENANT, ALICE)
    assert (first.symbols, first.unknown, first.pack_day) == (("FOO", "IBM"), ["FOO"], "2005-12-30")
    again = await add(Wanted(" mine "))
    assert again.portfolio.id == first.portfolio.id and again.commit == first.commit
    assert (await add(Wanted("mine"))).outcome is Outcome.UNCHANGED
    changed = await add(Wanted("mine", base_ccy="CAD"), from_text(BUY + "; more\n"))
    assert changed.outcome is Outcome.CHANGED and changed.portfolio.base_ccy == "CAD"
    assert from_git(repository, first.commit, first.portfolio.ledger_path).files[first.portfolio.ledger_path] == BUY
    # The demo's ledgers are where they were, and loading them again leaves this one alone.
    assert from_git(repository, changed.commit, "bob/global.beancount").files.keys() == (
        from_git(repository, demo, "bob/global.beancount").files.keys()
    )
    assert demo_data.write_ledgers(repository) == changed.commit


async def test_names_are_each_users_own(add: Any) -> None:
    mine, bobs = await add(Wanted("Mine")), await add(Wanted("Mine"), user=BOB)
    assert mine.portfolio.id != bobs.portfolio.id and mine.portfolio.ledger_path != bobs.portfolio.ledger_path


async def test_a_ledger_that_is_in_the_repository_is_used_as_it_is(repository: Path, add: Any) -> None:
    head = resolve_ref(repository)
    found = await add(Wanted("Income again", base_ccy="CAD"), "alice/income.beancount")
    assert found.portfolio.ledger_path == "alice/income.beancount" and found.commit == head == resolve_ref(repository)
    await refused(add(Wanted("x"), "alice/none.beancount"), Code.UNKNOWN_LEDGER_COMMIT, "alice/none.beancount")


async def test_what_does_not_fit_is_refused_and_changes_nothing(app: Pool, repository: Path, add: Any) -> None:
    await add(Wanted("Mine"))
    head, known = resolve_ref(repository), await PortfolioRepository(app).list(TENANT, ALICE)
    error = await refused(add(Wanted("x"), from_text(BUY + "nonsense\n")), Code.LEDGER_INVALID, "1 fault")
    assert error.details["faults"][0].startswith("main.beancount:")
    plain = from_text(BUY.partition("\n")[2])
    include = Tree({"main.beancount": BUY + 'include "a.txt"\n', "a.txt": ""}, "main.beancount")
    for wanted, source, text in (
        (Wanted("x"), plain, "operating_currency"),
        (Wanted("x", base_ccy="euro"), plain, "currency code like CAD"),
        (Wanted("x", booking="best"), plain, "FIFO"),
        (Wanted("x", policy="none"), from_text(BUY), "dawsos packs import"),
        (Wanted(" "), from_text(BUY), "1 to 100"),
        (Wanted("two\nlines"), from_text(BUY), "printable"),
        (Wanted(str(ALICE)), from_text(BUY), "taken for an id"),
        (Wanted("mine", booking="AVERAGE"), from_text(BUY), "another name"),
        (Wanted("mine"), "alice/growth.beancount", "another name"),
        (Wanted("x"), include, "a.txt"),
    ):
        await refused(add(wanted, source), Code.INVALID_INPUT, text)
    assert resolve_ref(repository) == head
    assert await PortfolioRepository(app).list(TENANT, ALICE) == known


async def test_the_demos_ledgers_are_not_written_over(demo_settings: Any, app: Pool) -> None:
    adding = add_portfolio(
        app, demo_settings.ledger_repository, TENANT, ALICE, Wanted("alice: GROWTH"), from_text(BUY), NOW, POLICY
    )
    await refused(adding, Code.INVALID_INPUT, "alice/growth.beancount")
