"""Which data an execution is pinned to, what is held, and what it is worth."""

import asyncio
from datetime import date, timedelta
from uuid import UUID

from agents.analyst.desk import Desk, Rows, cite, pinned, same_pack
from agents.answers import PositionRow, ValuedRow
from agents.books import series_of, unknown_portfolio
from agents.capability import capability
from agents.context import CapabilityContext
from agents.ports import LedgerSnapshot, Portfolio
from agents.positions import position_rows, value_rows
from analytics.fx import CARRY_DAYS_MAX, InconsistentRates
from analytics.holdings import hold
from topics.errors import Code, TerminalError
from topics.messages import CommitHash, Resolution

# Without a portfolio there is nobody to ask for a base currency.
BASE_CCY_DEFAULT = "CAD"


class HoldingsGroup(Desk):
    """Pins, positions and their values."""

    @capability("context.resolve", upstreams=("postgres",))
    async def resolve(
        self,
        context: CapabilityContext,
        portfolio_id: UUID | None = None,
        asof: date | None = None,
        pack_id: UUID | None = None,
        ledger_commit: CommitHash | None = None,
    ) -> Resolution:
        """Choose the pack, the ledger commit and the settings an execution will be pinned to."""
        portfolio = None
        if portfolio_id is not None:
            portfolio = await self._portfolios.get(context.tenant, context.user_id, portfolio_id)
            if portfolio is None:
                raise unknown_portfolio(portfolio_id)
        elif ledger_commit is not None:
            raise TerminalError(Code.INVALID_ARGS, "expected a portfolio_id with a ledger_commit, got none")
        snapshot, decision = await asyncio.gather(
            self._booked(context, portfolio, ledger_commit),
            self._packs.resolve(portfolio.policy if portfolio else self._policy, asof, pack_id),
        )
        commit = None if snapshot is None else snapshot.commit
        context.report(source=f"pricing_pack:{decision.pack.pack_id}", asof=decision.asof)
        if commit is not None:
            context.report(source=f"ledger:{commit}")
        resolution = Resolution(
            asof=decision.asof,
            portfolio_id=portfolio_id,
            base_ccy=portfolio.base_ccy if portfolio else BASE_CCY_DEFAULT,
            benchmark_id=portfolio.benchmark_id if portfolio else None,
            ledger_commit_hash=commit,
            pack=decision.pack,
            previous_fresh=decision.previous_fresh,
            warnings=decision.warnings,
        )
        if portfolio is not None and snapshot is not None and decision.pack.content_sha256 is not None:
            # The first step will ask for it: read while this answer is on its way and that request comes back.
            self._books.expect(context, resolution.pins(decision.pack, decision.asof), portfolio, snapshot)
        return resolution

    async def _booked(
        self, context: CapabilityContext, portfolio: Portfolio | None, given: str | None
    ) -> LedgerSnapshot | None:
        """Return the ledger at the commit to pin: the one given, else the head of the branch; None without a portfolio.

        Booking now says at once what is wrong with the ledger; every later step finds it booked.
        """
        if portfolio is None:
            return None
        commit = given or await self._ledgers.head(context.tenant, context.user_id, portfolio)
        return await self._ledgers.snapshot(context.tenant, context.user_id, portfolio, commit)

    @capability("ledger.positions", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",))
    async def positions(self, context: CapabilityContext, portfolio_id: UUID) -> list[PositionRow]:
        """List what is held: signed units and lots per security, cash per currency, dividends owed.

        The pack serves trade-date exchange rates for the cost in base currency.
        """
        pins = pinned(context)
        if portfolio_id != pins.portfolio_id:
            raise unknown_portfolio(portfolio_id)
        book = await self._books.load(context)
        holdings = hold(book.snapshot.rows, pins.asof, pins.base_ccy, book.rate_on)
        cite(context, book)
        for warning in holdings.warnings:
            context.report(warning=warning)
        return position_rows(holdings, book.securities, book.snapshot.rows)

    @capability("pricing.apply_pack", pure=True, needs=("pack",), upstreams=("postgres",))
    async def apply_pack(
        self, context: CapabilityContext, positions: Rows, pack_id: UUID | None = None
    ) -> list[ValuedRow]:
        """Value positions with the pinned pack: price, exchange rate, value, weight, age of the price."""
        pins = pinned(context)
        same_pack(pins, pack_id)
        symbols = sorted({row.symbol for row in positions if row.kind == "security"})
        currencies = {row.trading_currency for row in positions} | {pins.base_ccy}
        start = pins.asof - timedelta(days=CARRY_DAYS_MAX)
        series = await series_of(self._packs, pins.pricing_pack_id, symbols, currencies, start)
        try:
            rows = value_rows(positions, series, pins.asof, pins.base_ccy)
        except InconsistentRates as error:
            raise TerminalError(Code.MISSING_FX, f"pack {pins.pricing_pack_id}: {error}") from error
        context.report(source=f"pricing_pack:{pins.pricing_pack_id}", asof=pins.asof)
        for source in series.sources:
            context.report(source=source)
        for row in rows:
            if row.status != "ok":
                context.report(warning=f"{row.symbol}: {row.reason}")
        return rows
