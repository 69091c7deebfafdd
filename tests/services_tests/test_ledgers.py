from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from dulwich.repo import Repo

from ledger.committing import commit_files
from ledger.sources import from_text
from services.ledgers import BRANCH, GitLedgers, TextLedger, text_commit
from services.local_data import LocalPortfolio
from topics.errors import Code, TerminalError

ALICE, BOB = uuid4(), uuid4()
OPEN = "2020-01-01 open Assets:Cash:CAD\n2020-01-01 open Equity:Contributions\n"


def deposit(amount: int) -> str:
    return f'{OPEN}2020-01-02 * "d"\n  Assets:Cash:CAD {amount} CAD\n  Equity:Contributions -{amount} CAD\n'


def portfolio(path: str) -> LocalPortfolio:
    return LocalPortfolio(uuid4(), "p", "CAD", path, "FIFO")


class Store:
    """Snapshots in a dict, counting."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, UUID, UUID, str], tuple[str, list[dict[str, str | int | None]]]] = {}
        self.stored = 0

    async def load(
        self, tenant: str, user_id: UUID, portfolio_id: UUID, commit: str
    ) -> tuple[str, list[dict[str, str | int | None]]] | None:
        return self.kept.get((tenant, user_id, portfolio_id, commit))

    async def store(
        self,
        tenant: str,
        user_id: UUID,
        portfolio_id: UUID,
        commit: str,
        content_hash: str,
        rows: Sequence[Mapping[str, str | int | None]],
    ) -> None:
        self.stored += 1
        self.kept[tenant, user_id, portfolio_id, commit] = (content_hash, [dict(row) for row in rows])


def commit(repository: Path, files: dict[str, str]) -> str:
    at = datetime(2020, 1, 1, tzinfo=UTC)
    return commit_files(repository, files, author="A <a@example.invalid>", at=at, message="m")


async def test_a_commit_stays_what_it_was_when_the_branch_moves(tmp_path: Path) -> None:
    mine = portfolio("a/main.beancount")
    first = commit(tmp_path, {"a/main.beancount": deposit(10)})
    ledgers = GitLedgers(tmp_path, None)
    assert await ledgers.head("t", ALICE, mine) == first
    second = commit(tmp_path, {"a/main.beancount": deposit(20)})
    assert await ledgers.head("t", ALICE, mine) == second != first
    amounts = [(await ledgers.snapshot("t", ALICE, mine, sha)).rows[0].amount for sha in (first, second)]
    assert amounts == [10, 20]


@pytest.mark.parametrize("folder", ["", ".git"])
async def test_the_head_is_the_branch_of_now_however_git_keeps_it(tmp_path: Path, folder: str) -> None:
    mine = portfolio("a/main.beancount")
    made = commit(tmp_path / folder, {"a/main.beancount": deposit(10)})
    ledgers = GitLedgers(tmp_path, None)
    assert [await ledgers.head("t", ALICE, mine) for _ in range(2)] == [made, made]
    with Repo(str(tmp_path / folder)) as repo:
        repo.refs.pack_refs(all=True)
        assert not (tmp_path / folder / BRANCH).exists()
    assert await ledgers.head("t", ALICE, mine) == made
    moved = commit(tmp_path / folder, {"a/main.beancount": deposit(20)})
    assert await ledgers.head("t", ALICE, mine) == moved
    (tmp_path / folder / BRANCH).write_text(f"{'0' * 40}\n")
    with pytest.raises(TerminalError) as refused:
        await ledgers.head("t", ALICE, mine)
    assert refused.value.code is Code.UNKNOWN_LEDGER_COMMIT


async def test_booked_once_then_read_from_the_store_with_the_same_rows(tmp_path: Path) -> None:
    mine, store = portfolio("a/main.beancount"), Store()
    sha = commit(tmp_path, {"a/main.beancount": deposit(10)})
    first = await GitLedgers(tmp_path, store).snapshot("t", ALICE, mine, sha)
    second = await GitLedgers(tmp_path / "gone", store).snapshot("t", ALICE, mine, sha)
    assert second == first and store.stored == 1


async def test_what_is_remembered_belongs_to_one_user(tmp_path: Path) -> None:
    mine, store = portfolio("a/main.beancount"), Store()
    sha = commit(tmp_path, {"a/main.beancount": deposit(10)})
    ledgers = GitLedgers(tmp_path, store)
    for tenant, user in (("t", ALICE), ("t", BOB), ("u", ALICE)):
        await ledgers.snapshot(tenant, user, mine, sha)
    assert store.stored == 3


@pytest.mark.parametrize(
    ("sha", "path"), [("0" * 40, "a/main.beancount"), (None, "a/other.beancount"), ("not a commit", "a/main.beancount")]
)
async def test_unknown_commits_and_files(tmp_path: Path, sha: str | None, path: str) -> None:
    made = commit(tmp_path, {"a/main.beancount": deposit(10)})
    with pytest.raises(TerminalError) as caught:
        await GitLedgers(tmp_path, None).snapshot("t", ALICE, portfolio(path), sha or made)
    assert caught.value.code is Code.UNKNOWN_LEDGER_COMMIT


async def test_a_repository_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TerminalError) as caught:
        await GitLedgers(tmp_path / "none", None).head("t", ALICE, portfolio("a/main.beancount"))
    assert caught.value.code is Code.UNKNOWN_LEDGER_COMMIT


async def test_a_ledger_cannot_include_its_neighbours(tmp_path: Path) -> None:
    files = {"alice/main.beancount": 'include "../bob/main.beancount"\n', "bob/main.beancount": deposit(10)}
    sha = commit(tmp_path, files)
    with pytest.raises(TerminalError) as caught:
        await GitLedgers(tmp_path, None).snapshot("t", ALICE, portfolio("alice/main.beancount"), sha)
    assert caught.value.code is Code.LEDGER_INVALID and "alice/main.beancount:1" in caught.value.message


async def test_a_ledger_includes_what_lies_below_it(tmp_path: Path) -> None:
    sha = commit(
        tmp_path, {"a/main.beancount": 'include "years/2020.beancount"\n', "a/years/2020.beancount": deposit(5)}
    )
    found = await GitLedgers(tmp_path, None).snapshot("t", ALICE, portfolio("a/main.beancount"), sha)
    assert len(found.rows) == 2


def test_the_commit_of_a_text_is_its_content() -> None:
    tree = from_text(deposit(1))
    assert text_commit(tree, None) == text_commit(from_text(deposit(1)), None)
    others = [
        text_commit(from_text(deposit(2)), None),
        text_commit(tree, "AVERAGE"),
        text_commit(from_text(deposit(1), "other.beancount"), None),
        text_commit(replace(tree, files={**tree.files, "more.beancount": ""}), None),
    ]
    assert len({text_commit(tree, None), *others}) == 5


async def test_a_text_has_one_commit() -> None:
    ledger = TextLedger(from_text(deposit(1)))
    mine = portfolio("main.beancount")
    assert (await ledger.snapshot("t", ALICE, mine, await ledger.head("t", ALICE, mine))).commit == ledger.commit
    with pytest.raises(TerminalError) as caught:
        await ledger.snapshot("t", ALICE, mine, "0" * 40)
    assert caught.value.code is Code.UNKNOWN_LEDGER_COMMIT
