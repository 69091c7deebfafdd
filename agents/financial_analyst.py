"""The agent that knows portfolios: positions, values, returns, attribution, ratings and charts."""

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from agents.answers import (
    CurrencyAttribution,
    DailySeries,
    DrawdownRow,
    EffectRow,
    GapRow,
    PerformanceMetrics,
    PositionRow,
    ValuedRow,
)
from agents.base import BaseAgent
from agents.books import Book, Books, Performance, series_of, unknown_portfolio
from agents.capability import capability
from agents.charts import overview
from agents.context import CapabilityContext
from agents.ports import FundamentalsPort, LedgerPort, PackPort, Portfolio, PortfolioPort
from agents.positions import position_rows, total, value_rows
from agents.ratings import RatingBadges, badges
from analytics.attribution import Attribution, NotAdditive, attribute
from analytics.fx import CARRY_DAYS_MAX, InconsistentRates
from analytics.holdings import hold
from analytics.returns import NotReconciled, Period, Twr, reconcile
from analytics.rubric import Rubric
from topics.errors import Code, TerminalError
from topics.messages import CommitHash, Pins, Resolution

# Without a portfolio there is nobody to ask for a base currency.
BASE_CCY_DEFAULT = "CAD"
_PERIODS = {"mtd": "MTD", "qtd": "QTD", "ytd": "YTD", "one_year": "1Y"}

Rows = Annotated[list[PositionRow], Field(max_length=100_000)]
ValuedRows = Annotated[list[ValuedRow], Field(max_length=100_000)]


class FinancialAnalyst(BaseAgent):
    """Portfolio analytics on pinned packs and ledger commits.

    Args:
        portfolios: who owns what, and its settings.
        ledgers: booked rows at commits.
        packs: prices and rates.
        fundamentals: reported company figures.
        rubric: how companies are rated.
        policy: pricing policy used when an execution has no portfolio.
    """

    name = "financial_analyst"
    version = "1.0.0"

    def __init__(
        self,
        portfolios: PortfolioPort,
        ledgers: LedgerPort,
        packs: PackPort,
        fundamentals: FundamentalsPort,
        rubric: Rubric,
        *,
        policy: str,
    ) -> None:
        self._portfolios = portfolios
        self._ledgers = ledgers
        self._packs = packs
        self._fundamentals = fundamentals
        self._rubric = rubric
        self._policy = policy
        self._books = Books(portfolios, ledgers, packs)

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
        commit, decision = await asyncio.gather(
            self._commit(context, portfolio, ledger_commit),
            self._packs.resolve(portfolio.policy if portfolio else self._policy, asof, pack_id),
        )
        context.report(source=f"pricing_pack:{decision.pack.pack_id}", asof=decision.asof)
        if commit is not None:
            context.report(source=f"ledger:{commit}")
        return Resolution(
            asof=decision.asof,
            portfolio_id=portfolio_id,
            base_ccy=portfolio.base_ccy if portfolio else BASE_CCY_DEFAULT,
            benchmark_id=portfolio.benchmark_id if portfolio else None,
            ledger_commit_hash=commit,
            pack=decision.pack,
            previous_fresh=decision.previous_fresh,
            warnings=decision.warnings,
        )

    async def _commit(self, context: CapabilityContext, portfolio: Portfolio | None, given: str | None) -> str | None:
        """Return the commit to pin: the one given, else the head of the branch; None without a portfolio."""
        if portfolio is None:
            return None
        commit = given or await self._ledgers.head(context.tenant, context.user_id, portfolio)
        # Booking now says at once what is wrong with the ledger; every later step finds it booked.
        await self._ledgers.snapshot(context.tenant, context.user_id, portfolio, commit)
        return commit

    @capability("ledger.positions", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",))
    async def positions(self, context: CapabilityContext, portfolio_id: UUID) -> list[PositionRow]:
        """List what is held: signed units and lots per security, cash per currency, dividends owed.

        The pack serves trade-date exchange rates for the cost in base currency.
        """
        pins = _pins(context)
        if portfolio_id != pins.portfolio_id:
            raise unknown_portfolio(portfolio_id)
        book = await self._books.load(context)

        def rate_on(currency: str, on: date) -> Decimal | None:
            found = book.fx.rate(currency, pins.base_ccy, on)
            return None if found is None else found.rate

        holdings = hold(book.snapshot.rows, pins.asof, pins.base_ccy, rate_on)
        symbols = sorted({lot.symbol for lot in holdings.lots})
        securities = await self._packs.securities(symbols) if symbols else {}
        _cite(context, book)
        for warning in holdings.warnings:
            context.report(warning=warning)
        return position_rows(holdings, securities, book.snapshot.rows)

    @capability("pricing.apply_pack", pure=True, needs=("pack",), upstreams=("postgres",))
    async def apply_pack(
        self, context: CapabilityContext, positions: Rows, pack_id: UUID | None = None
    ) -> list[ValuedRow]:
        """Value positions with the pinned pack: price, exchange rate, value, weight, age of the price."""
        pins = _pins(context)
        _same_pack(pins, pack_id)
        symbols = sorted({row.symbol for row in positions if row.kind == "security"})
        currencies = {row.trading_currency for row in positions} | {pins.base_ccy}
        start = pins.asof - timedelta(days=CARRY_DAYS_MAX)
        series = await series_of(self._packs, pins.pricing_pack_id, symbols, currencies, start)
        try:
            rows = value_rows(positions, series, pins.asof, pins.base_ccy)
        except InconsistentRates as error:
            raise TerminalError(Code.MISSING_FX, f"pack {pins.pricing_pack_id}: {error}") from error
        context.report(source=f"pricing_pack:{pins.pricing_pack_id}", asof=pins.asof)
        for row in rows:
            if row.status != "ok":
                context.report(warning=f"{row.symbol}: {row.reason}")
        return rows

    @capability("metrics.compute_twr", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",))
    async def compute_twr(
        self, context: CapabilityContext, positions: ValuedRows, pack_id: UUID | None = None
    ) -> PerformanceMetrics:
        """Measure the daily time-weighted return over the pack series; the positions must agree with its end."""
        pins = _pins(context)
        _same_pack(pins, pack_id)
        book, performance = await self._books.performance(context)
        worth = total(row.value_base for row in positions)
        gap_bp = _reconciled(performance.twr, worth, pins)
        _cite(context, book)
        for warning in performance.twr.warnings:
            context.report(warning=warning)
        return _metrics(pins, performance, positions, worth, gap_bp)

    @capability(
        "metrics.currency_attribution", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",)
    )
    async def currency_attribution(
        self, context: CapabilityContext, positions: ValuedRows, pack_id: UUID | None = None
    ) -> CurrencyAttribution:
        """Split the time-weighted return into local, currency, interaction and trading effects."""
        pins = _pins(context)
        _same_pack(pins, pack_id)
        book, performance = await self._books.performance(context)
        worth = total(row.value_base for row in positions)
        _reconciled(performance.twr, worth, pins)
        try:
            found = attribute(performance.history, performance.twr)
        except NotAdditive as error:
            raise TerminalError(Code.RECONCILIATION_FAILED, str(error)) from error
        _cite(context, book)
        for warning in found.warnings:
            context.report(warning=warning)
        return _attribution(pins, found, worth is None)

    @capability("ratings.aggregate", pure=True, needs=("pack",), shared=False)
    async def aggregate_ratings(self, context: CapabilityContext, positions: ValuedRows) -> RatingBadges:
        """Rate the long equity holdings from reported figures with versioned rubrics, weighted by value."""
        pins = _pins(context)
        symbols = sorted({row.symbol for row in positions if row.kind == "security"})
        companies = await self._fundamentals.companies(symbols, pins.asof) if symbols else {}
        found = badges(positions, companies, self._rubric, pins.asof)
        context.report(source=f"rubric:{self._rubric.id}@{self._rubric.version}", asof=pins.asof)
        for company in companies.values():
            context.report(source=company.source)
        for warning in found.warnings:
            context.report(warning=warning)
        context.report(confidence=found.coverage.get("overall"))
        return found

    @capability("charts.overview", pure=True)
    async def charts(
        self,
        context: CapabilityContext,
        positions: ValuedRows,
        metrics: PerformanceMetrics,
        currency_attr: CurrencyAttribution,
    ) -> list[dict[str, Any]]:
        """Draw value and flows, return index with drawdown, allocation, and the attribution as a waterfall."""
        context.report(
            source=f"pricing_pack:{metrics.pack_id}",
            asof=metrics.asof,
        )
        context.report(source=f"ledger:{metrics.ledger_commit}")
        return overview(positions, metrics, currency_attr)


def _pins(context: CapabilityContext) -> Pins:
    assert context.pins is not None, "the runtime refuses requests without the pins a capability needs"
    return context.pins


def _same_pack(pins: Pins, pack_id: UUID | None) -> None:
    if pack_id is not None and pack_id != pins.pricing_pack_id:
        raise TerminalError(
            Code.INVALID_ARGS,
            f"expected the execution's own pack {pins.pricing_pack_id} as pack_id, got {pack_id}:"
            " another pack needs an execution of its own",
        )


def _cite(context: CapabilityContext, book: Book) -> None:
    context.report(source=f"ledger:{book.snapshot.commit}", asof=book.pins.asof)
    context.report(source=f"pricing_pack:{book.pins.pricing_pack_id}")


def _reconciled(twr: Twr, worth: Decimal | None, pins: Pins) -> float | None:
    """Return the distance of the positions from the series' end in bp; None when there is no value to compare.

    Raises:
        TerminalError: RECONCILIATION_FAILED, more than 1 bp apart.
    """
    if worth is None or (not twr.nav and not worth):
        return None
    try:
        gap_bp = float(reconcile(twr, worth))
    except NotReconciled as error:
        raise TerminalError(Code.RECONCILIATION_FAILED, str(error)) from error
    if worth and twr.asof != pins.asof:
        raise TerminalError(
            Code.RECONCILIATION_FAILED,
            f"the positions have a value on {pins.asof}, the series ends on {twr.asof}",
        )
    return gap_bp


def _metrics(
    pins: Pins,
    performance: Performance,
    positions: list[ValuedRow],
    worth: Decimal | None,
    gap_bp: float | None,
) -> PerformanceMetrics:
    twr = performance.twr
    cost = total(row.cost_base for row in positions)
    unpriced = "; ".join(f"{row.symbol}: {row.reason}" for row in positions if row.value_base is None)
    reasons: dict[str, str] = {}
    periods = {period.name: period for period in twr.periods}

    def figure(name: str, value: float | None, why: str) -> float | None:
        if unpriced:
            value, why = None, f"no value on {pins.asof}: {unpriced}"
        if value is None:
            reasons[name] = why or "not available"
        return value

    def period(name: str, found: Period) -> float | None:
        return figure(name, found.value, found.reason)

    if worth is None:
        reasons["total_value"] = unpriced
    if cost is None:
        reasons["total_cost"] = "; ".join(f"{row.symbol}: {row.reason}" for row in positions if row.cost_base is None)
    if worth is None or cost is None:
        reasons["unrealized_pl"] = reasons.get("total_value") or reasons["total_cost"]
    if twr.net_flows is None:
        gap = twr.gaps[-1]
        reasons["net_flows"] = f"external flows since the last valued day; {gap.on}: {gap.reason}"
    series = twr.as_json()["series"]
    return PerformanceMetrics(
        twr=figure("twr", twr.twr, twr.reason),
        annualised=figure("annualised", twr.annualised, twr.reason or _not_annualised(twr)),
        **{name: period(name, periods[key]) for name, key in _PERIODS.items()},
        inception=figure("inception", twr.twr, twr.reason),
        total_value=worth,
        total_cost=cost,
        unrealized_pl=None if worth is None or cost is None else worth - cost,
        net_flows=twr.net_flows,
        base_currency=pins.base_ccy,
        asof=pins.asof,
        start=twr.dates[twr.segment] if twr.dates else None,
        drawdown=DrawdownRow(
            depth=figure("drawdown", twr.drawdown.depth, twr.reason),
            peak=twr.drawdown.peak,
            trough=twr.drawdown.trough,
            recovery=twr.drawdown.recovery,
            current=None if unpriced else twr.drawdown.current,
        ),
        series=DailySeries(
            dates=twr.dates,
            nav=tuple(series["nav"]),
            flow=tuple(series["flow"]),
            index=tuple(series["index"]),
            drawdown=tuple(series["drawdown"]),
        ),
        gaps=tuple(GapRow(date=gap.on, reason=gap.reason) for gap in twr.gaps),
        restarts=twr.restarts,
        reasons=reasons,
        reconciliation_bp=gap_bp,
        pack_id=pins.pricing_pack_id,
        ledger_commit=str(pins.ledger_commit_hash),
        method="daily time-weighted return, geometrically linked, external flows at the end of the day",
        n_obs=max(len(twr.dates) - 1, 0),
        warnings=twr.warnings,
    )


def _not_annualised(twr: Twr) -> str:
    return "everything was lost" if twr.twr is not None and twr.twr <= -1.0 else "less than one year"


def _attribution(pins: Pins, found: Attribution, unvalued: bool) -> CurrencyAttribution:
    effects = None if unvalued else found.total
    reason = f"no value on {pins.asof}: a price or rate is missing" if unvalued else found.reason or None

    def rows(items: tuple[Any, ...]) -> tuple[EffectRow, ...]:
        if effects is None:
            return ()
        return tuple(
            EffectRow(
                name=item.name,
                currency=item.currency,
                weight=item.weight,
                local_return=item.local,
                fx_return=item.fx,
                interaction=item.interaction,
                trading=item.trading,
                total=item.total,
            )
            for item in items
        )

    return CurrencyAttribution(
        local_return=effects.local if effects else None,
        fx_return=effects.fx if effects else None,
        interaction=effects.interaction if effects else None,
        trading=effects.trading if effects else None,
        total=effects.total if effects else None,
        twr=found.twr if effects else None,
        residual_bp=found.residual_bp if effects else None,
        reason=reason,
        by_currency=rows(found.by_currency),
        by_position=rows(found.by_position),
        base_currency=pins.base_ccy,
        start=found.start,
        asof=pins.asof,
        pack_id=pins.pricing_pack_id,
        ledger_commit=str(pins.ledger_commit_hash),
        method="beginning base weights, three-way currency split with trading apart, Carino linking",
        n_obs=found.n_obs,
        warnings=found.warnings,
    )
