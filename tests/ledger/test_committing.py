"""Commits beside what is there."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dulwich import porcelain
from dulwich.repo import Repo

from ledger.committing import NotBare, commit_files
from ledger.sources import UnknownLedger, from_git, resolve_ref

AT = datetime(2013, 1, 2, 12, tzinfo=UTC)
TEXT = "2004-01-01 open Assets:Cash\n"


def commit(place: Path, files: dict[str, str], instead_of: str | None = None) -> str:
    return commit_files(place, files, author="T <t@example.org>", at=AT, message="m", instead_of=instead_of)


def test_what_is_there_stays_but_for_the_folder_that_is_replaced(tmp_path: Path) -> None:
    place = tmp_path / "ledger.git"
    commit(place, {"a/main.beancount": TEXT, "a/old.beancount": TEXT, "a2/main.beancount": TEXT, "README": "x"})
    before = resolve_ref(place)
    after = commit(place, {"a/main.beancount": TEXT + ";\n"}, instead_of="a")
    assert set(from_git(place, before, "a/main.beancount").files) == {"a/main.beancount", "a/old.beancount"}
    assert from_git(place, after, "a/main.beancount").files == {"a/main.beancount": TEXT + ";\n"}
    assert from_git(place, after, "a2/main.beancount").files == {"a2/main.beancount": TEXT}
    assert "README" in from_git(place, after, "README").files


def test_the_same_again_makes_no_commit(tmp_path: Path) -> None:
    place = tmp_path / "ledger.git"
    commit(place, {"b/main.beancount": TEXT})
    first = commit(place, {"a/main.beancount": TEXT}, instead_of="a")
    assert commit(place, {"a/main.beancount": TEXT}, instead_of="a") == first


def test_commits_at_once_lose_nothing(tmp_path: Path) -> None:
    place = tmp_path / "ledger.git"
    commit(place, {"first.beancount": TEXT})
    names = [f"p{number}/main.beancount" for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: commit(place, {name: TEXT}), names))
    head = resolve_ref(place)
    for name in (*names, "first.beancount"):
        assert from_git(place, head, name).main == name


def test_links_and_modes_stay_as_they_are(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "run").write_text("#!/bin/sh\n")
    (work / "run").chmod(0o755)
    (work / "link").symlink_to("run")
    porcelain.init(str(work)).close()
    porcelain.add(str(work), [str(work / "run"), str(work / "link")])
    porcelain.commit(str(work), b"m", author=b"T <t@example.org>", committer=b"T <t@example.org>")
    bare = tmp_path / "bare.git"
    porcelain.clone(str(work), str(bare), bare=True).close()
    with Repo(str(bare)) as repo:
        branch = next(ref.decode() for ref in repo.refs.allkeys() if ref.startswith(b"refs/heads/"))
        before = {entry.path: (entry.mode, entry.sha) for entry in repo[repo[repo.head()].tree].iteritems()}
    commit_files(bare, {"a.beancount": TEXT}, author="T <t@example.org>", at=AT, message="m", ref=branch)
    with Repo(str(bare)) as repo:
        after = {entry.path: (entry.mode, entry.sha) for entry in repo[repo[repo.head()].tree].iteritems()}
    assert after.pop(b"a.beancount")[0] == 0o100644 and after == before
    with pytest.raises(NotBare, match="has a work tree"):
        commit(work, {"a.beancount": TEXT})


def test_a_folder_that_is_gone_is_gone(tmp_path: Path) -> None:
    place = tmp_path / "ledger.git"
    commit(place, {"a/main.beancount": TEXT})
    head = commit(place, {}, instead_of="a")
    with pytest.raises(UnknownLedger):
        from_git(place, head, "a/main.beancount")
