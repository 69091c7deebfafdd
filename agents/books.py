"""A portfolio's books at its pins: booked rows, prices and rates, and the daily history made of them.

Everything here is immutable once the pins are fixed, so it is kept in the process, apart for each tenant and user.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from agents.context import CapabilityContext
from agents.memo import Memo
from agents.naming import first_named
from agents.ports import LedgerPort, LedgerSnapshot, PackPort, PackSeries, Portfolio, PortfolioPort, Security
from analytics.bookings import currencies_of
from analytics.fx import CARRY_DAYS_MAX, MINOR_UNITS, FxHistory, InconsistentRates, contradiction
from analytics.history import History, build
from analytics.jumps import Jump, unexplained_jumps
from analytics.market import align
from analytics.returns import Twr, compute_twr
from topics.errors import Code, TerminalError
from topics.messages import Pins

# Rates may be carried this long before the first booking; more than the five days analytics allows.
_LEAD = timedelta(days=10)
_MEMO_ENTRIES = 64
_SYMBOLS_SHOWN_MAX = 20
_JUMPS_SAID_MAX = 3
# Above this many prices the fold takes longer than an event loop should stand still. Below, a thread would make it
# half as long again, since both want the interpreter.
_INLINE_PRICES_MAX = 8_000


@dataclass(frozen=True, slots=True)
class Book:
    """What one portfolio is made of at its pins.

    Attributes:
        snapshot: rows of all dates; callers look at those up to `pins.asof`.
        series: prices and rates from shortly before the first booking to the pack's day.
        securities: what the pack sees of every symbol ever held; unknown ones are absent.
        fx: the rates of `series` around trade dates.
    """

    pins: Pins
    portfolio: Portfolio
    snapshot: LedgerSnapshot
    series: PackSeries
    securities: Mapping[str, Security]
    fx: FxHistory

    def rate_on(self, currency: str, on: date) -> Decimal | None:
        """Return base currency for one unit of another around a trade date; None where there is no rate."""
        found = self.fx.rate(currency, self.pins.base_ccy, on)
        return None if found is None else found.rate


def unknown_symbol(symbol: str, held: Iterable[str]) -> TerminalError:
    """Return what is said of a security that was never held: which ones were, the first twenty by name."""
    known = sorted(set(held))
    there = f"there are {first_named(known, _SYMBOLS_SHOWN_MAX)}" if known else "it has none"
    return TerminalError(Code.INVALID_ARGS, f"expected a symbol of this portfolio, got {symbol!r}; {there}")


@dataclass(frozen=True, slots=True)
class Performance:
    """The daily history of a book and the return measured on it.

    Attributes:
        jumps: what looks like a split that is not booked.
        contradiction: where its exchange rates contradict each other most; empty when they do not.
    """

    history: History
    twr: Twr
    jumps: tuple[Jump, ...]
    contradiction: str


def unknown_portfolio(portfolio_id: UUID | None) -> TerminalError:
    """Return the one answer for portfolios that do not exist and portfolios of others."""
    return TerminalError(Code.UNKNOWN_PORTFOLIO, f"expected one of your portfolios, got {portfolio_id}")


async def series_of(
    packs: PackPort, pack_id: UUID, symbols: Sequence[str], currencies: Iterable[str], start: date
) -> PackSeries:
    """Return a pack's series with the rates of every currency that matters.

    Normally one query; a second one when a security is quoted in a currency that was not asked for.
    """
    asked = set(currencies)
    series = await packs.series(pack_id, symbols, sorted(asked), start)
    quoted = {MINOR_UNITS.get(row[3], row[3]) for row in series.prices}
    if quoted <= asked:
        return series
    return await packs.series(pack_id, symbols, sorted(asked | quoted), start)


class Books:
    """Loads books through the ports. Cost: four queries per new (portfolio, commit, pack), none when known."""

    def __init__(self, portfolios: PortfolioPort, ledgers: LedgerPort, packs: PackPort) -> None:
        self._portfolios = portfolios
        self._ledgers = ledgers
        self._packs = packs
        self._books: Memo[Book] = Memo(_MEMO_ENTRIES)
        self._performances: Memo[Performance] = Memo(_MEMO_ENTRIES)

    async def load(self, context: CapabilityContext) -> Book:
        """Return the book of the pinned portfolio.

        Raises:
            TerminalError: UNKNOWN_PORTFOLIO, UNKNOWN_LEDGER_COMMIT, LEDGER_INVALID, UNKNOWN_PACK, MISSING_FX.
        """
        pins = _pinned(context)
        return await self._books.get(_key(context, pins), lambda: self._load(context, pins))

    def expect(self, context: CapabilityContext, pins: Pins, portfolio: Portfolio, snapshot: LedgerSnapshot) -> None:
        """Begin to load the book of these pins: the next steps will ask for it, and meet whatever is wrong with it."""
        self._books.expect(_key(context, pins), lambda: self._read(pins, portfolio, snapshot))

    async def performance(self, context: CapabilityContext) -> tuple[Book, Performance]:
        """Return the book and its daily history; what looks like a forgotten split becomes a warning of the answer.

        Gains and returns are wrong by such a split wherever they are shown, so no caller can leave it out.
        """
        pins = _pinned(context)
        book = await self.load(context)
        found = await self._performances.get(_key(context, pins), lambda: _measure(book))
        for warning in _suspected(found.jumps):
            context.report(warning=warning)
        return book, found

    async def _load(self, context: CapabilityContext, pins: Pins) -> Book:
        assert pins.portfolio_id is not None and pins.ledger_commit_hash is not None
        portfolio = await self._portfolios.get(context.tenant, context.user_id, pins.portfolio_id)
        if portfolio is None:
            raise unknown_portfolio(pins.portfolio_id)
        snapshot = await self._ledgers.snapshot(context.tenant, context.user_id, portfolio, pins.ledger_commit_hash)
        return await self._read(pins, portfolio, snapshot)

    async def _read(self, pins: Pins, portfolio: Portfolio, snapshot: LedgerSnapshot) -> Book:
        rows = [row for row in snapshot.rows if row.on <= pins.asof]
        symbols = sorted({row.symbol for row in rows if row.kind == "lot"})
        currencies = sorted(currencies_of(rows) | {pins.base_ccy})
        start = rows[0].on - _LEAD if rows else pins.asof
        series, securities = await asyncio.gather(
            series_of(self._packs, pins.pricing_pack_id, symbols, currencies, start),
            self._packs.securities(pins.pricing_pack_id, symbols),
        )
        # Only trade dates are looked up here, each with the days a rate may be carried from.
        traded = {
            row.on - timedelta(days=age) for row in rows if row.kind == "lot" for age in range(CARRY_DAYS_MAX + 1)
        }
        try:
            fx = FxHistory(rate for rate in series.rates if rate[0] in traded)
        except InconsistentRates as error:
            raise TerminalError(Code.MISSING_FX, f"pack {pins.pricing_pack_id}: {error}") from error
        return Book(pins, portfolio, snapshot, series, securities, fx)


def _suspected(jumps: Sequence[Jump]) -> list[str]:
    """Return what to say of jumps that look like splits; the quality checks list them all."""
    likely = [jump.said() for jump in jumps if jump.split]
    rest = len(likely) - _JUMPS_SAID_MAX
    return [*likely[:_JUMPS_SAID_MAX], *([f"{rest} more such jumps: data_quality lists them all"] if rest > 0 else [])]


def _pinned(context: CapabilityContext) -> Pins:
    pins = context.pins
    if pins is None or pins.portfolio_id is None or pins.ledger_commit_hash is None:
        raise TerminalError(Code.INVALID_ARGS, "expected an execution for a portfolio: give a portfolio_id")
    return pins


def _key(context: CapabilityContext, pins: Pins) -> tuple[object, ...]:
    return (
        context.tenant,
        context.user_id,
        pins.portfolio_id,
        pins.ledger_commit_hash,
        pins.pricing_pack_id,
        pins.pack_sha256,
        pins.asof,
        pins.base_ccy,
    )


async def _measure(book: Book) -> Performance:
    if len(book.series.prices) <= _INLINE_PRICES_MAX:
        return _measured(book)
    return await asyncio.to_thread(_measured, book)


def _measured(book: Book) -> Performance:
    rows = book.snapshot.rows
    market = align(
        book.pins.base_ccy,
        book.series.prices,
        book.series.rates,
        dates=book.series.dates,
        currencies=currencies_of(row for row in rows if row.on <= book.pins.asof),
    )
    history = build(rows, market, asof=book.pins.asof)
    return Performance(history, compute_twr(history), unexplained_jumps(history), contradiction(book.series.rates))
