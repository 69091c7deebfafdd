"""A user's own portfolio: its ledger in the ledger repository, and its row in the database.

Adding a portfolio again under its name changes it: its ledger files become the next commit, so that what was pinned to
an earlier one stays. A portfolio may also name a ledger that others commit to the repository.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

from db.pack_policies import PolicyRepository
from db.packs import PackRepository
from db.portfolio import Portfolio, require_same_ledger
from db.portfolios import PortfolioRepository
from db.postgres import Pool
from ledger.checking import check
from ledger.committing import BranchBusy, NotBare, commit_files
from ledger.parsing import BOOKING_METHODS
from ledger.sources import LEDGER_SUFFIXES, Tree, UnknownCommit, UnknownLedger, from_git, resolve_ref
from services.ledgers import BRANCH, invalid_ledger
from topics.canonical import canonical_bytes
from topics.errors import Code, RetryableError, TerminalError

_NAMESPACE = uuid5(NAMESPACE_URL, "dawsos-executor:portfolio")
# A folder for each: includes reach no other's.
_FOLDER = "portfolios"
_AUTHOR = "DawsOS <dawsos@example.invalid>"
_NAME_LENGTH_MAX = 100
_CURRENCY = re.compile(r"[A-Z]{3}")


class Outcome(StrEnum):
    """What adding a portfolio did."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A portfolio as its owner describes it; None leaves a known portfolio's as it is, and a new one's to the default.

    Attributes:
        name: unique among the user's portfolios, capitals aside.
        base_ccy: ISO code; default: the ledger's `operating_currency`.
        booking: where the ledger's accounts name none; default FIFO. It never changes.
        benchmark_id: symbol of the index it is compared with.
        policy: pricing policy; default: the caller's.
    """

    name: str
    base_ccy: str | None = None
    booking: str | None = None
    benchmark_id: str | None = None
    policy: str | None = None


@dataclass(frozen=True, slots=True)
class Registered:
    """What came of adding a portfolio.

    Attributes:
        commit: of the ledger repository, with its ledger.
        symbols: securities its ledger has bookings of.
        unknown: those of them that the newest pack of its policy knows nothing of.
        pack_day: of that pack; None when there is none yet.
    """

    portfolio: Portfolio
    outcome: Outcome
    commit: str
    symbols: Sequence[str]
    unknown: Sequence[str]
    pack_day: str | None


async def add_portfolio(
    pool: Pool,
    repository: Path,
    tenant: str,
    user_id: UUID,
    wanted: Wanted,
    source: Tree | str,
    now: datetime,
    policy_default: str,
) -> Registered:
    """Register a portfolio, or change the one of that name; doing it again with the same changes nothing.

    Args:
        pool: of the application's role.
        repository: git repository of the ledgers.
        tenant: owner of the portfolio.
        user_id: owner of the portfolio.
        wanted: its settings.
        source: ledger files to commit, or the path of a ledger that is in the repository.
        now: aware time of the commit.
        policy_default: pricing policy of a new portfolio that names none.

    Raises:
        TerminalError: LEDGER_INVALID with every fault as `file:line: message` in its details; INVALID_INPUT for
            settings that do not fit; UNKNOWN_LEDGER_COMMIT for a path the repository does not have.
        RetryableError: Postgres failed, or the branch keeps moving.
    """
    repo = PortfolioRepository(pool)
    known = next((each for each in await repo.list(tenant, user_id) if _same(each.name, wanted.name)), None)
    portfolio_id = known.id if known else portfolio_id_of(tenant, user_id, wanted.name)
    folder = f"{_FOLDER}/{portfolio_id}"
    if isinstance(source, str):
        path, tree = source, await asyncio.to_thread(_read, repository, source)
    else:
        path, tree = f"{folder}/{source.main}", source
        _require_readable(source)
        if known is not None and not known.ledger_path.startswith(f"{folder}/"):
            raise TerminalError(
                Code.INVALID_INPUT,
                f"the ledger of {known.name!r} is {known.ledger_path} in {repository}: commit its changes there",
            )
    booking = _booking(wanted.booking or (known.booking if known else None))
    summary = check(tree, booking)
    if summary.faults:
        raise invalid_ledger(summary.faults)
    portfolio = Portfolio(
        id=portfolio_id,
        name=_name(wanted.name),
        base_ccy=_currency(wanted.base_ccy or (known.base_ccy if known else summary.base)),
        benchmark_id=wanted.benchmark_id or (known.benchmark_id if known else None),
        booking=booking,
        ledger_path=path,
        policy=wanted.policy or (known.policy if known else policy_default),
    )
    if await PolicyRepository(pool).get(portfolio.policy) is None:
        raise TerminalError(
            Code.INVALID_INPUT, f"there is no pricing policy {portfolio.policy!r}: `dawsos packs import` makes one"
        )
    # Said before anything is committed.
    require_same_ledger(known, portfolio)
    # A ledger that is in the repository was read at its commit; files get one.
    before = tree.commit or await asyncio.to_thread(_head, repository)
    commit = tree.commit or await asyncio.to_thread(
        _commit, repository, folder, tree, now, f"Ledger of {portfolio.name}"
    )
    if portfolio != known and not await repo.put(tenant, user_id, portfolio):
        raise TerminalError(Code.INVALID_INPUT, f"the id of portfolio {portfolio.name!r} is taken")
    outcome = Outcome.UNCHANGED if portfolio == known and commit == before else Outcome.CHANGED
    unknown, pack_day = await _unknown(PackRepository(pool), portfolio.policy, summary.symbols)
    return Registered(portfolio, outcome if known else Outcome.ADDED, commit, summary.symbols, unknown, pack_day)


def portfolio_id_of(tenant: str, user_id: UUID, name: str) -> UUID:
    """Return the id of a user's portfolio of a name: the same wherever it is added."""
    return uuid5(_NAMESPACE, canonical_bytes([tenant, str(user_id), name.strip().casefold()]).decode())


async def _unknown(packs: PackRepository, policy: str, symbols: Sequence[str]) -> tuple[list[str], str | None]:
    """Return the symbols that the newest pack knows nothing of, and its day."""
    try:
        newest = await packs.resolve(policy, None, None)
    except TerminalError:
        return list(symbols), None
    seen = await packs.securities(newest.pack.pack_id, symbols)
    return [symbol for symbol in symbols if symbol not in seen], newest.asof.isoformat()


def _read(repository: Path, path: str) -> Tree:
    try:
        return from_git(repository, resolve_ref(repository, BRANCH), path)
    except (UnknownCommit, UnknownLedger) as error:
        raise TerminalError(Code.UNKNOWN_LEDGER_COMMIT, str(error)) from None


def _head(repository: Path) -> str | None:
    try:
        return resolve_ref(repository, BRANCH)
    except UnknownCommit:
        return None


def _commit(repository: Path, folder: str, tree: Tree, now: datetime, message: str) -> str:
    files = {f"{folder}/{name}": text for name, text in tree.files.items()}
    try:
        return commit_files(repository, files, author=_AUTHOR, at=now, message=message, ref=BRANCH, instead_of=folder)
    except NotBare as error:
        raise TerminalError(
            Code.INVALID_INPUT, f"{error}, then add the portfolio with the path of its ledger in the repository"
        ) from None
    except BranchBusy as error:
        raise RetryableError(Code.UPSTREAM_FAILED, str(error), service="ledger") from error
    except OSError as error:
        raise TerminalError(Code.INVALID_INPUT, f"cannot write to {repository}: {error.strerror or error}") from None


def _require_readable(tree: Tree) -> None:
    """Refuse files that are not read from a repository, where a folder may hold anything."""
    odd = sorted(name for name in tree.files if name != tree.main and not name.endswith(LEDGER_SUFFIXES))
    if odd:
        raise TerminalError(
            Code.INVALID_INPUT,
            f"expected included files called *{' or *'.join(LEDGER_SUFFIXES)}, got {odd[0]}: a server reads no others",
        )


def _same(name: str, other: str) -> bool:
    return name.strip().casefold() == other.strip().casefold()


def _name(name: str) -> str:
    text = name.strip()
    if not text or len(text) > _NAME_LENGTH_MAX or not text.isprintable():
        raise TerminalError(
            Code.INVALID_INPUT, f"expected a name of 1 to {_NAME_LENGTH_MAX} printable characters, got {name!r}"
        )
    try:
        UUID(text)
    except ValueError:
        return text
    raise TerminalError(Code.INVALID_INPUT, f"expected a name, got {name!r}, which would be taken for an id")


def _currency(code: str | None) -> str:
    if code is None:
        raise TerminalError(
            Code.INVALID_INPUT, 'expected a base currency: the ledger has no `option "operating_currency"`'
        )
    if not _CURRENCY.fullmatch(code):
        raise TerminalError(Code.INVALID_INPUT, f"expected a currency code like CAD, got {code!r}")
    return code


def _booking(method: str | None) -> str:
    found = (method or "FIFO").upper()
    if found not in BOOKING_METHODS:
        raise TerminalError(
            Code.INVALID_INPUT, f"expected a booking method, one of {', '.join(BOOKING_METHODS)}, got {method!r}"
        )
    return found
