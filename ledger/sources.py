"""Where ledger text comes from: memory, disk, or a git repository at a commit.

All three give the same thing, a `Tree` of files with one main file; includes are resolved inside
that tree only. A commit is always a full 40-digit hash: a branch is resolved once, by
`resolve_ref`, and what is read afterwards cannot move under the reader.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from posixpath import dirname, isabs, join, normpath

from dulwich.errors import NotGitRepository
from dulwich.object_store import iter_tree_contents
from dulwich.objects import Blob, Commit, ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo

_INCLUDE = re.compile(r'^include\s+"([^"]+)"', re.M)
KEPT_REFS = "refs/dawsos/pinned/"
FILE_BYTES_MAX = 64 * 1024 * 1024
# Of files that includes reach in a repository.
LEDGER_SUFFIXES = (".beancount", ".bean")


class UnknownCommit(LookupError):
    """The repository has no such commit; the message names both."""


class NotText(ValueError):
    """Bytes that are no text in UTF-8; `line` is where the first of them stands."""

    def __init__(self, line: int, why: str) -> None:
        self.line = line
        super().__init__(why)


class UnknownLedger(LookupError):
    """There is no ledger file at the given place; the message names it."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Ledger files by POSIX path, and which of them to start from.

    Attributes:
        files: path → text; may hold files no include reaches.
        main: key of `files`.
        commit: 40 hex digits when the text comes from git, else None.
    """

    files: Mapping[str, str]
    main: str
    commit: str | None = None


def from_text(text: str, name: str = "main.beancount") -> Tree:
    """Return a tree of one file."""
    return Tree({name: text}, name)


def from_disk(place: Path) -> Tree:
    """Read a ledger file, or a directory's `main.beancount` or only `*.beancount` file.

    The tree is the file's directory (or the given one) and what includes name below it: an
    include may go down but not up and out. Only files that includes reach are read.

    Raises:
        UnknownLedger: nothing there, or several files and none is called `main.beancount`.
    """
    if place.is_file():
        root, main = place.parent, place.name
    elif place.is_dir():
        root, main = place, _main_of(place)
    else:
        raise UnknownLedger(f"expected a ledger file or directory, found nothing at {place}")
    files: dict[str, str] = {}
    waiting = [main]
    inside = root.resolve()
    while waiting:
        name = waiting.pop()
        path = root / name
        # A link may point out of the tree; what it shows is then no part of the ledger.
        if name in files or not path.is_file() or inside not in path.resolve().parents:
            continue
        files[name] = _text(path.read_bytes(), name)
        for target in _INCLUDE.findall(files[name]):
            reached = normpath(join(dirname(name), target))
            if isabs(target) or reached.startswith(".."):
                continue
            if not is_glob(target):
                waiting.append(reached)
            else:
                names = [found.relative_to(root).as_posix() for found in root.glob(reached)]
                waiting.extend(glob(reached, names))
    return Tree(files, main)


def is_glob(target: str) -> bool:
    """Whether an include names files by a pattern."""
    return any(char in target for char in "*?[")


def glob(pattern: str, names: Iterable[str]) -> list[str]:
    """Return the names a pattern matches, sorted: `*`, `?`, `[…]` within a folder, `**` any folders; no dot files."""
    parts = pattern.split("/")
    return sorted(name for name in names if _matches(parts, name.split("/")))


def _matches(pattern: list[str], name: list[str]) -> bool:
    if not pattern or not name:
        return not pattern and not name
    if pattern[0] == "**":
        return _matches(pattern[1:], name) or (not name[0].startswith(".") and _matches(pattern, name[1:]))
    hidden = name[0].startswith(".") and not pattern[0].startswith(".")
    return not hidden and fnmatchcase(name[0], pattern[0]) and _matches(pattern[1:], name[1:])


def resolve_ref(repository: Path, ref: str = "refs/heads/main") -> str:
    """Return the 40-hex commit a ref points to now; a 40-hex commit that exists is returned as is.

    Raises:
        UnknownCommit: no repository, no such ref or no such commit.
    """
    with open_repository(repository) as repo:
        if len(ref) == 40 and all(char in "0123456789abcdef" for char in ref):
            return commit_of(repo, ref).id.decode()
        try:
            return commit_of(repo, repo.refs[Ref(ref.encode())].decode()).id.decode()
        except (KeyError, ValueError):
            raise UnknownCommit(f"{repository} has no ref {ref!r}") from None


def written_ref(repository: Path, ref: str) -> str | None:
    """Return what stands in a ref's own file, which counts before all others; None when it has none.

    Whether there is such a commit is not looked at.
    """
    inside = repository / ".git"
    try:
        return ((inside if inside.is_dir() else repository) / ref).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def keep_commit(repository: Path, commit: str) -> None:
    """Name a commit by a ref of our own, so that git never collects it, even when its branch is rewritten.

    Keeping it again changes nothing.

    Raises:
        UnknownCommit: no such repository or commit.
        OSError: the repository cannot be written to.
    """
    with open_repository(repository) as repo:
        name = Ref(f"{KEPT_REFS}{commit}".encode())
        if name not in repo.refs:
            repo.refs[name] = commit_of(repo, commit).id


def from_git(repository: Path, commit: str, path: str) -> Tree:
    """Read a commit's ledger files in the main file's directory and below it.

    Directories beside it may belong to other users: includes do not reach them.

    Args:
        repository: work tree or bare repository.
        commit: 40 lower-case hex digits.
        path: POSIX path of the main file inside the tree, e.g. `alice/growth.beancount`.

    Raises:
        UnknownCommit: no such repository or commit.
        UnknownLedger: the commit has no such file.
    """
    files: dict[str, str] = {}
    root = f"{dirname(path)}/" if dirname(path) else ""
    with open_repository(repository) as repo:
        tree = commit_of(repo, commit).tree
        for entry in iter_tree_contents(repo.object_store, tree):
            if entry.path is None or entry.sha is None:
                continue
            name = entry.path.decode("utf-8", "replace")
            if name == path or (name.startswith(root) and name.endswith(LEDGER_SUFFIXES)):
                blob = repo[entry.sha]
                if isinstance(blob, Blob):
                    files[name] = _text(blob.as_raw_string(), name)
    if path not in files:
        raise UnknownLedger(f"commit {commit} has no ledger file {path!r}")
    return Tree(files, path, commit)


def open_repository(repository: Path) -> Repo:
    """Return an open repository; it is to be closed.

    Raises:
        UnknownCommit: there is none.
    """
    try:
        return Repo(str(repository))
    except NotGitRepository:
        raise UnknownCommit(f"expected a git repository at {repository}, found none") from None


def commit_of(repo: Repo, commit: str) -> Commit:
    """Return a commit of a repository.

    Raises:
        UnknownCommit: there is none of that hash.
    """
    try:
        found = repo[ObjectID(commit.encode())]
    except (KeyError, ValueError):
        found = None
    if not isinstance(found, Commit):
        raise UnknownCommit(f"the ledger repository has no commit {commit!r}")
    return found


def _main_of(directory: Path) -> str:
    if (directory / "main.beancount").is_file():
        return "main.beancount"
    found = sorted(path.name for path in directory.glob("*.beancount"))
    if len(found) == 1:
        return found[0]
    raise UnknownLedger(
        f"expected main.beancount or exactly one *.beancount file in {directory}, found {', '.join(found) or 'none'}"
    )


def decoded(raw: bytes) -> str:
    """Return text in UTF-8, with or without a byte order mark.

    Raises:
        NotText: it is none.
    """
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        why = f"expected text in UTF-8, got the byte 0x{raw[error.start]:02X}: save it as UTF-8"
        raise NotText(raw.count(b"\n", 0, error.start) + 1, why) from None


def _text(raw: bytes, name: str) -> str:
    if len(raw) > FILE_BYTES_MAX:
        raise UnknownLedger(f"{name} has {len(raw)} bytes, more than {FILE_BYTES_MAX}")
    try:
        return decoded(raw)
    except NotText as error:
        raise UnknownLedger(f"{name}:{error.line}: {error}") from None
