"""Ledger text from disk and from git commits."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ledger.booking import book
from ledger.committing import commit_files
from ledger.directives import LedgerRejected
from ledger.sources import UnknownCommit, UnknownLedger, from_disk, from_git, resolve_ref

ONE = {
    "alice/growth.beancount": 'include "shared/accounts.beancount"\n',
    "alice/shared/accounts.beancount": "2004-01-01 open Assets:Cash\n2004-01-01 open Equity:In\n",
}
DEPOSIT = '2004-01-02 * "in"\n  Assets:Cash  5 USD\n  Equity:In\n'
AT = datetime(2013, 1, 2, 12, tzinfo=UTC)


def commit(place: Path, files: dict[str, str]) -> str:
    return commit_files(place, files, author="Demo <demo@example.org>", at=AT, message="Demo")


def test_a_commit_is_read_as_it_was(tmp_path: Path) -> None:
    place = tmp_path / "ledger.git"
    first = commit(place, ONE)
    two = ONE | {"alice/growth.beancount": ONE["alice/growth.beancount"] + DEPOSIT}
    second = commit(place, two)
    assert resolve_ref(place) == second != first
    assert resolve_ref(place, first) == first
    assert book(from_git(place, first, "alice/growth.beancount")).rows == ()
    newer = from_git(place, second, "alice/growth.beancount")
    assert newer.commit == second
    assert len(book(newer).rows) == 2
    assert book(from_git(place, second, "alice/growth.beancount")) == book(newer)


def test_the_same_files_give_the_same_commit_everywhere(tmp_path: Path) -> None:
    assert commit(tmp_path / "a", ONE) == commit(tmp_path / "b", ONE)
    again = commit(tmp_path / "a", ONE)
    assert again == resolve_ref(tmp_path / "a")  # nothing changed: no new commit


def test_unknown_places_are_named(tmp_path: Path) -> None:
    place = tmp_path / "ledger.git"
    first = commit(place, ONE)
    with pytest.raises(UnknownCommit, match="0000"):
        from_git(place, "0" * 40, "alice/growth.beancount")
    with pytest.raises(UnknownCommit, match="nonsense"):
        from_git(place, "nonsense", "alice/growth.beancount")
    with pytest.raises(UnknownCommit, match="refs/heads/other"):
        resolve_ref(place, "refs/heads/other")
    with pytest.raises(UnknownCommit, match="expected a git repository"):
        resolve_ref(tmp_path)
    with pytest.raises(UnknownLedger, match="bob"):
        from_git(place, first, "bob.beancount")


def test_a_directory_needs_one_main_file(tmp_path: Path) -> None:
    with pytest.raises(UnknownLedger, match="found nothing"):
        from_disk(tmp_path / "missing")
    with pytest.raises(UnknownLedger, match="found none"):
        from_disk(tmp_path)
    (tmp_path / "only.beancount").write_text(DEPOSIT)
    assert from_disk(tmp_path).main == "only.beancount"
    (tmp_path / "two.beancount").write_text(DEPOSIT)
    with pytest.raises(UnknownLedger, match=r"only\.beancount, two\.beancount"):
        from_disk(tmp_path)
    (tmp_path / "main.beancount").write_text(DEPOSIT)
    assert from_disk(tmp_path).main == "main.beancount"
    (tmp_path / "main.beancount").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnknownLedger, match="expected text in UTF-8"):
        from_disk(tmp_path)


def test_only_what_includes_reach_inside_the_tree_is_read(tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("secret")
    mine = tmp_path / "mine"
    (mine / "sub").mkdir(parents=True)
    (mine / "main.beancount").write_text('include "sub/a.txt"\ninclude "link.txt"\ninclude "../outside.txt"\n')
    (mine / "sub/a.txt").write_text('include "b.beancount"\n')
    (mine / "sub/b.beancount").write_text("2004-01-01 open Assets:Cash\n")
    (mine / "not-included.beancount").write_text("nonsense")
    (mine / "link.txt").symlink_to(tmp_path / "outside.txt")
    assert set(from_disk(mine).files) == {"main.beancount", "sub/a.txt", "sub/b.beancount"}


def test_one_users_ledger_cannot_include_anothers(tmp_path: Path) -> None:
    place = tmp_path / "ledger.git"
    bob = {"bob/main.beancount": "2020-01-01 open Assets:Cash\n"}
    head = commit(place, {"alice/main.beancount": 'include "../bob/main.beancount"\n', **bob})
    tree = from_git(place, head, "alice/main.beancount")
    assert set(tree.files) == {"alice/main.beancount"}
    with pytest.raises(LedgerRejected, match=r"alice/main\.beancount:1: .*leaves the ledger's directory"):
        book(tree)
