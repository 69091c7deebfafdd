"""Ledger files into a git repository of our own: a commit beside everything that is there."""

import random
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath

from dulwich.file import FileLocked
from dulwich.object_store import iter_tree_contents
from dulwich.objects import Blob, Commit, ObjectID
from dulwich.objects import Tree as GitTree
from dulwich.refs import Ref
from dulwich.repo import Repo

from ledger.sources import commit_of, open_repository

_FILE = 0o100644
_FOLDER = 0o040000
_ATTEMPTS = 50
_PAUSE_MAX_S = 0.05

_Entries = Mapping[PurePosixPath, tuple[int, ObjectID]]


class BranchBusy(RuntimeError):
    """Others moved the branch again and again while a commit was made for it."""


class NotBare(ValueError):
    """The repository has a work tree, which a commit behind its back would not change."""


def commit_files(
    repository: Path,
    files: Mapping[str, str],
    *,
    author: str,
    at: datetime,
    message: str,
    ref: str = "refs/heads/main",
    instead_of: str | None = None,
) -> str:
    """Commit files onto `ref`, beside what is there, making the bare repository if there is none.

    The same files, author, time and parent give the same commit hash on every machine.

    Args:
        repository: directory of the bare repository.
        files: POSIX path → text.
        author: `Name <address>`.
        at: aware time of the commit.
        message: of the commit.
        ref: branch to move, made if missing.
        instead_of: folder whose other files go.

    Returns: the 40-hex commit; the ref's current commit when its tree already is the same.

    Raises:
        NotBare: the repository has a work tree.
        BranchBusy: others keep moving the branch.
    """
    if at.tzinfo is None:
        raise ValueError(f"expected an aware time, got {at!r}")
    if (repository / ".git").exists():
        raise NotBare(f"{repository} has a work tree: commit the files there")
    if not (repository / "objects").is_dir():
        repository.mkdir(parents=True, exist_ok=True)
        Repo.init_bare(str(repository)).close()
    with open_repository(repository) as repo:
        for _ in range(_ATTEMPTS):
            try:
                commit = _attempt(repo, Ref(ref.encode()), files, author, at, message, instead_of)
            except FileLocked:
                # Somebody writes the same object or moves the branch just now.
                commit = None
            if commit is not None:
                return commit.decode()
            time.sleep(random.uniform(0, _PAUSE_MAX_S))
    raise BranchBusy(f"{ref} of {repository} moved {_ATTEMPTS} times meanwhile: try again")


def _attempt(
    repo: Repo, branch: Ref, files: Mapping[str, str], author: str, at: datetime, message: str, but: str | None
) -> ObjectID | None:
    """Commit onto what the branch points to now; None when somebody else moved it meanwhile."""
    parent = repo.refs[branch] if branch in repo.refs else None
    before = None if parent is None else commit_of(repo, parent.decode())
    kept = {} if before is None else _entries(repo, before, but)
    new = {PurePosixPath(path): (_FILE, _blob(repo, text)) for path, text in files.items()}
    root = _write_tree(repo, {**kept, **new})
    if before is not None and before.tree == root:
        return parent
    commit = _commit(repo, root, parent, author, at, message)
    if parent is not None:
        return commit if repo.refs.set_if_equals(branch, parent, commit) else None
    if not repo.refs.add_if_new(branch, commit):
        return None
    repo.refs.set_symbolic_ref(Ref(b"HEAD"), branch)
    return commit


def _commit(repo: Repo, root: ObjectID, parent: ObjectID | None, author: str, at: datetime, message: str) -> ObjectID:
    commit = Commit()
    commit.tree = root
    commit.parents = [parent] if parent is not None else []
    commit.author = commit.committer = author.encode()
    commit.author_time = commit.commit_time = int(at.timestamp())
    offset = at.utcoffset()
    seconds = int(offset.total_seconds()) if offset is not None else 0
    commit.author_timezone = commit.commit_timezone = seconds
    commit.encoding = b"UTF-8"
    commit.message = message.encode()
    repo.object_store.add_object(commit)
    return commit.id


def _blob(repo: Repo, text: str) -> ObjectID:
    blob = Blob.from_string(text.encode())
    repo.object_store.add_object(blob)
    return blob.id


def _entries(repo: Repo, commit: Commit, but: str | None) -> dict[PurePosixPath, tuple[int, ObjectID]]:
    """Return what a commit holds, without a folder."""
    found: dict[PurePosixPath, tuple[int, ObjectID]] = {}
    for entry in iter_tree_contents(repo.object_store, commit.tree):
        assert entry.path is not None and entry.sha is not None and entry.mode is not None
        path = PurePosixPath(entry.path.decode("utf-8", "surrogateescape"))
        if but is None or PurePosixPath(but) not in path.parents:
            found[path] = (entry.mode, entry.sha)
    return found


def _write_tree(repo: Repo, entries: _Entries) -> ObjectID:
    """Store trees bottom-up and return the root tree's id."""
    tree = GitTree()
    below: dict[str, dict[PurePosixPath, tuple[int, ObjectID]]] = {}
    for path, (mode, blob) in entries.items():
        if len(path.parts) > 1:
            below.setdefault(path.parts[0], {})[PurePosixPath(*path.parts[1:])] = (mode, blob)
        else:
            tree.add(path.name.encode("utf-8", "surrogateescape"), mode, blob)
    for name, inner in below.items():
        tree.add(name.encode("utf-8", "surrogateescape"), _FOLDER, _write_tree(repo, inner))
    repo.object_store.add_object(tree)
    return tree.id
