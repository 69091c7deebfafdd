"""What agents need to read, as Protocols: portfolios, ledgers, packs, company figures, benchmarks, macro series.

`db/` implements them on Postgres and Redis and, for `dawsos try` and tests, in memory; `services/` wires them up.

Every method may raise `TerminalError` (the caller asked for something that does not exist) or `RetryableError`
with the name of the service that failed. Nothing here is ever silently older, zero or 1.0: what is not there is None.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from analytics.fundamentals import Filing
from analytics.macro import Observation, Transform
from analytics.scenario import Scenario
from topics.messages import PackRef


class Portfolio(Protocol):
    """One portfolio as its owner sees it.

    Attributes:
        base_ccy: ISO code everything is reported in.
        benchmark_id: null without one.
        booking: `FIFO` or `AVERAGE`, where the ledger's accounts do not say otherwise. It never changes, because what
            was booked with it is kept per commit.
        ledger_path: main ledger file inside the ledger repository.
        policy: pricing policy whose packs and calendar value it.
    """

    @property
    def id(self) -> UUID: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def base_ccy(self) -> str: ...  # noqa: D102
    @property
    def benchmark_id(self) -> str | None: ...  # noqa: D102
    @property
    def booking(self) -> str: ...  # noqa: D102
    @property
    def ledger_path(self) -> str: ...  # noqa: D102
    @property
    def policy(self) -> str: ...  # noqa: D102


class PortfolioPort(Protocol):
    """Portfolios under row-level security."""

    async def get(self, tenant: str, user_id: UUID, portfolio_id: UUID) -> Portfolio | None:
        """Return the portfolio; None when there is none or it is someone else's (the two cannot be told apart)."""
        ...


class BookingRow(Protocol):
    """One booked row of a ledger; the columns are those of `ledger.booked.Booking`, which documents them."""

    @property
    def on(self) -> date: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def account(self) -> str: ...  # noqa: D102
    @property
    def symbol(self) -> str: ...  # noqa: D102
    @property
    def currency(self) -> str: ...  # noqa: D102
    @property
    def qty(self) -> Decimal: ...  # noqa: D102
    @property
    def amount(self) -> Decimal: ...  # noqa: D102
    @property
    def price(self) -> Decimal | None: ...  # noqa: D102
    @property
    def price_currency(self) -> str | None: ...  # noqa: D102
    @property
    def ratio(self) -> Decimal | None: ...  # noqa: D102
    @property
    def gain(self) -> Decimal | None: ...  # noqa: D102
    @property
    def lot(self) -> str: ...  # noqa: D102
    @property
    def acquired(self) -> date | None: ...  # noqa: D102
    @property
    def lot_qty(self) -> Decimal | None: ...  # noqa: D102
    @property
    def lot_cost(self) -> Decimal | None: ...  # noqa: D102
    @property
    def pay_date(self) -> date | None: ...  # noqa: D102
    @property
    def source(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class LedgerSnapshot:
    """The booked ledger of one portfolio at one commit. Immutable: the same commit always gives the same rows.

    Attributes:
        rows: ordered by date, then by ledger order; all dates, callers filter by `on <= asof`.
        content_hash: SHA-256 over the rows, 64 hex digits.
    """

    commit: str
    rows: tuple[BookingRow, ...]
    content_hash: str


class LedgerPort(Protocol):
    """Ledgers at commits."""

    async def head(self, tenant: str, user_id: UUID, portfolio: Portfolio) -> str:
        """Return the 40-hex commit the ledger's branch points to now."""
        ...

    async def snapshot(self, tenant: str, user_id: UUID, portfolio: Portfolio, commit: str) -> LedgerSnapshot:
        """Return the booked rows at a commit; booked once per commit, then remembered.

        Raises:
            TerminalError: UNKNOWN_LEDGER_COMMIT; LEDGER_INVALID with every fault as `file:line: message`.
        """
        ...


class SnapshotStore(Protocol):
    """Where booked ledgers are kept per commit, so that booking happens once.

    Rows are JSON-ready columns (`ledger.booked.Booking.as_row`), in order.
    """

    async def load(
        self, tenant: str, user_id: UUID, portfolio_id: UUID, commit: str
    ) -> tuple[str, list[dict[str, str | int | None]]] | None:
        """Return (content_hash, rows); None when this commit was never stored."""
        ...

    async def store(
        self,
        tenant: str,
        user_id: UUID,
        portfolio_id: UUID,
        commit: str,
        content_hash: str,
        rows: Sequence[Mapping[str, str | int | None]],
    ) -> None:
        """Keep the rows; storing the same commit again changes nothing."""
        ...


class Security(Protocol):
    """What a symbol stands for.

    Attributes:
        trading_ccy: ISO currency it trades in (never GBX: pence are a price unit).
    """

    @property
    def symbol(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def trading_ccy(self) -> str: ...  # noqa: D102


class PackDecision(Protocol):
    """Which pack a question is answered from (the decision table of `db.pack_choice`).

    Attributes:
        asof: target day.
        pack: newest revision of that day that is fresh, else warming; or the pack asked for.
        previous_fresh: newest fresh pack of an earlier day; None without one.
    """

    @property
    def asof(self) -> date: ...  # noqa: D102
    @property
    def pack(self) -> PackRef: ...  # noqa: D102
    @property
    def previous_fresh(self) -> PackRef | None: ...  # noqa: D102
    @property
    def warnings(self) -> tuple[str, ...]: ...  # noqa: D102


PriceRow = tuple[date, str, Decimal, str]
"""(day the close was observed on, symbol, close as quoted, currency or price unit such as GBX)."""

RateRow = tuple[date, str, str, Decimal]
"""(day of the pack, base, quote, quote units for 1 base)."""


class PackSeries(Protocol):
    """What one pack sees of the past: per day the newest revision frozen no later than the pack itself.

    Attributes:
        dates: days that have a pack, ascending; the last is the pack's own day.
        prices: rows of all those packs, for the symbols asked for, ordered by day and symbol.
        rates: stored pairs with at least one side among the currencies asked for, ordered by day, base and quote.
        sources: who published them, `prices:NAME` and `rates:NAME`, sorted; empty where nobody said.
    """

    @property
    def dates(self) -> tuple[date, ...]: ...  # noqa: D102
    @property
    def prices(self) -> Sequence[PriceRow]: ...  # noqa: D102
    @property
    def rates(self) -> Sequence[RateRow]: ...  # noqa: D102
    @property
    def sources(self) -> Sequence[str]: ...  # noqa: D102


class PackPort(Protocol):
    """Pricing packs, read only. All questions are set-based: one round trip each, whatever the number of symbols."""

    async def resolve(self, policy: str, asof: date | None, pack_id: UUID | None) -> PackDecision:
        """Choose the pack for a day (None: the newest day with a pack that has not failed) or check the one given.

        Raises:
            TerminalError: NO_PACK, PACK_FAILED, UNKNOWN_PACK.
        """
        ...

    async def series(
        self, pack_id: UUID, symbols: Sequence[str], currencies: Sequence[str], start: date | None
    ) -> PackSeries:
        """Return prices and rates from `start` (None: the first day there is) to the pack's own day.

        Raises:
            TerminalError: UNKNOWN_PACK.
        """
        ...

    async def securities(self, pack_id: UUID, symbols: Sequence[str]) -> Mapping[str, Security]:
        """Return what a pack sees of each symbol, as it was when the pack was frozen; unknown ones are absent."""
        ...


@dataclass(frozen=True, slots=True)
class CompanyFacts:
    """What is known of a company.

    Attributes:
        filings: annual reports, oldest first.
        dividends: (ex-date, per share on the share basis of the day asked for), ordered by date.
        source: where the figures come from.
    """

    filings: Sequence[Filing]
    dividends: Sequence[tuple[date, float]]
    source: str


class FundamentalsPort(Protocol):
    """Reported company figures."""

    async def companies(self, symbols: Sequence[str], asof: date) -> Mapping[str, CompanyFacts]:
        """Return what was public of each company on `asof`; companies without figures are absent."""
        ...


@dataclass(frozen=True, slots=True)
class IndexSeries:
    """Closes of an index.

    Attributes:
        levels: (day, close), ascending.
        dividends: whether dividends are reinvested in it; a price index understates a market's return.
        source: where it comes from.
    """

    id: str
    name: str
    currency: str
    dividends: bool
    levels: Sequence[tuple[date, float]]
    source: str


@dataclass(frozen=True, slots=True)
class FactorMonths:
    """Monthly factor returns, decimals (0.01 = 1%), in one currency.

    Attributes:
        names: of the factors, excess returns all, the market first.
        months: (year, month) → one return per name, ascending.
        risk_free: (year, month) → return of the month.
    """

    names: tuple[str, ...]
    months: Mapping[tuple[int, int], tuple[float, ...]]
    risk_free: Mapping[tuple[int, int], float]
    currency: str
    source: str


class ReferencePort(Protocol):
    """Benchmarks, factors and risk-free rates. Only what was known on the day asked for."""

    async def index(self, index_id: str, asof: date) -> IndexSeries | None:
        """Return closes up to `asof`; None for an index nobody has here."""
        ...

    async def factors(self, asof: date) -> FactorMonths:
        """Return factors of the months that ended by `asof`, risk-free rates of those that began by then."""
        ...


@dataclass(frozen=True, slots=True)
class MacroSeries:
    """A macroeconomic series.

    Attributes:
        per_year: observations per year.
        transform: how it is read as an indicator.
        observations: oldest first, one per period and vintage.
        release_assumed: release days are the usual lag, not recorded ones.
    """

    id: str
    title: str
    unit: str
    per_year: int
    transform: Transform
    observations: Sequence[Observation]
    release_assumed: bool
    source: str

    def known(self, observations: Sequence[Observation]) -> "MacroSeries":
        """Return the series with these observations only."""
        return replace(self, observations=tuple(observations))


@dataclass(frozen=True, slots=True)
class ScenarioBook:
    """Named shocks by id, in the order they are listed, and where they come from."""

    scenarios: Mapping[str, Scenario]
    source: str


class MacroPort(Protocol):
    """Macroeconomic series and scenarios."""

    async def series(self, series_ids: Sequence[str], asof: date, pack_id: UUID) -> Mapping[str, MacroSeries]:
        """Return what was public on a day, per period the newest version; no ids means every series.

        Same pack, same answer: what is loaded after a pack was frozen is not seen with it.
        """
        ...

    async def scenarios(self) -> ScenarioBook:
        """Return all scenarios."""
        ...
