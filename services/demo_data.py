"""The demo: two users with two portfolios each, their ledgers in git, and real packs. Loading it twice changes nothing.

Names are examples; prices, exchange rates, splits and dividends are real.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID, uuid5

from db.pack_writer import PackWriter
from db.portfolios import Portfolio, PortfolioRepository
from db.postgres import Pool
from ledger.committing import commit_files
from services.demo_users import NAMESPACE, TENANT, user_id_of
from services.ledgers import BRANCH
from services.packs_build import POLICY, build_packs
from topics.messages import PackStatus

START, END = date(2004, 1, 2), date(2012, 12, 31)
LEDGERS = Path(__file__).resolve().parent.parent / "data" / "demo" / "ledger"
_AUTHOR = "Demo <demo@example.invalid>"
# The commit is made of what it says, not of when the demo was loaded: everyone gets the same hash.
_COMMITTED_AT = datetime(2013, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DemoPortfolio:
    """One portfolio of the demo; `path` is its ledger in the repository."""

    user: str
    path: str
    name: str
    base_ccy: str
    booking: str

    @property
    def user_id(self) -> UUID:
        """Id of its owner."""
        return user_id_of(self.user)

    @property
    def id(self) -> UUID:
        """The same on every machine."""
        return uuid5(NAMESPACE, f"portfolio:{self.path}")


PORTFOLIOS = (
    DemoPortfolio("alice", "alice/growth.beancount", "Alice: growth", "CAD", "FIFO"),
    DemoPortfolio("alice", "alice/income.beancount", "Alice: income", "CAD", "AVERAGE"),
    DemoPortfolio("bob", "bob/global.beancount", "Bob: global", "USD", "FIFO"),
    DemoPortfolio("bob", "bob/savings.beancount", "Bob: savings", "EUR", "FIFO"),
)


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What loading did.

    Attributes:
        packs_written: 0 when all were there.
    """

    commit: str
    packs_written: int
    packs: int


def stored(demo: DemoPortfolio) -> Portfolio:
    """Return a demo portfolio as the database keeps it."""
    return Portfolio(
        id=demo.id,
        name=demo.name,
        base_ccy=demo.base_ccy,
        benchmark_id=None,
        booking=demo.booking,
        ledger_path=demo.path,
        policy=POLICY,
    )


def write_ledgers(repository: Path) -> str:
    """Commit the demo's ledgers to a git repository, making it if need be, and return the commit."""
    files = {
        path.relative_to(LEDGERS).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(LEDGERS.rglob("*.beancount"))
    }
    return commit_files(repository, files, author=_AUTHOR, at=_COMMITTED_AT, message="Ledgers of the demo", ref=BRANCH)


async def load_demo(
    owner: Pool,
    app: Pool,
    repository: Path,
    known_at: datetime,
    progress: Callable[[str, int, int], None] = lambda what, done, all: None,
) -> DemoReport:
    """Load ledgers, packs and portfolios; what is there already is left alone.

    Args:
        owner: pool of the role that owns the schema; packs are read-only to the other.
        app: pool of the application's role.
        repository: git repository of the ledgers.
        known_at: when the packs became known: now.
        progress: called with (what, done, in all).
    """
    commit = write_ledgers(repository)
    progress("ledgers", len(PORTFOLIOS), len(PORTFOLIOS))
    writer = PackWriter(owner)
    sessions = await writer.sessions(POLICY, START, END)
    fresh = await writer.list(POLICY, START, END, PackStatus.FRESH, limit=100_000)
    written = 0
    if not sessions or len(fresh) < len(sessions):
        report = await build_packs(writer, START, END, known_at, lambda done, all: progress("packs", done, all))
        written = report.created + report.restated
        sessions = await writer.sessions(POLICY, START, END)
    progress("packs", len(sessions), len(sessions))
    portfolios = PortfolioRepository(app)
    for at, demo in enumerate(PORTFOLIOS, 1):
        portfolio = stored(demo)
        if await portfolios.get(TENANT, demo.user_id, demo.id) != portfolio:
            await portfolios.put(TENANT, demo.user_id, portfolio)
        progress("portfolios", at, len(PORTFOLIOS))
    return DemoReport(commit, written, len(sessions))
