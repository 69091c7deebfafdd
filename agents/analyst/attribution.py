"""Where a return came from: currencies, holdings, sectors; and a gain in money: its causes."""

from datetime import date
from typing import Any
from uuid import UUID

from agents.analyst.desk import Desk, ValuedRows, cite, pinned, reconciled, same_pack, stamp, unvalued_end
from agents.analyst.effects import (
    BrinsonAttribution,
    Contribution,
    ContributionRow,
    CurrencyHistory,
    FxExposure,
    SectorBenchmark,
    brinson_of,
    currency_history,
    fx_exposure,
    no_brinson,
)
from agents.analyst.gains import PortfolioGains, portfolio_gains
from agents.answers import CurrencyAttribution, EffectRow
from agents.books import Performance
from agents.capability import capability
from agents.context import CapabilityContext
from agents.positions import total
from analytics.attribution import Attribution, NotAdditive, attribute, no_attribution
from analytics.brinson import InvalidBenchmark
from topics.errors import Code, TerminalError
from topics.messages import Pins


class AttributionGroup(Desk):
    """Currency attribution, contribution, Brinson, and the gain in money."""

    @capability(
        "metrics.currency_attribution", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",)
    )
    async def currency_attribution(
        self, context: CapabilityContext, positions: ValuedRows, pack_id: UUID | None = None
    ) -> CurrencyAttribution:
        """Split the time-weighted return into local, currency, interaction and trading effects."""
        pins = pinned(context)
        same_pack(pins, pack_id)
        book, performance = await self._books.performance(context)
        worth = total(row.value_base for row in positions)
        reconciled(performance.twr, worth, pins)
        try:
            found = attribute(performance.history, performance.twr)
        except NotAdditive as error:
            raise TerminalError(Code.RECONCILIATION_FAILED, str(error)) from error
        cite(context, book)
        return _attribution(pins, found, worth is None)

    @capability("metrics.contribution", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",))
    async def contribution(self, context: CapabilityContext, start: date | None = None) -> Contribution:
        """Say what each holding added to the time-weighted return; contributions sum to it."""
        pins = pinned(context)
        book, performance = await self._books.performance(context)
        cite(context, book)
        found = self._attribute(performance, start, pins)
        rows = [
            ContributionRow(
                name=row.name,
                currency=row.currency,
                weight=row.weight,
                contribution=row.total,
                share=row.total / found.total.total if found.total and abs(found.total.total) > 1e-12 else None,
            )
            for row in sorted(found.by_position, key=lambda row: (-row.total, row.name))
        ]
        return Contribution(
            rows=tuple(rows),
            total=found.total.total if found.total else None,
            twr=found.twr,
            residual_bp=found.residual_bp,
            start=found.start,
            **stamp(
                pins,
                "beginning base weights × return, trades at their price apart, linked after Carino (1999)",
                found.n_obs,
                reasons=dict.fromkeys(("total", "twr", "residual_bp"), found.reason) if found.total is None else None,
                warnings=found.warnings,
            ),
        )

    @capability("attribution.brinson", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",))
    async def brinson(
        self,
        context: CapabilityContext,
        benchmark: SectorBenchmark | None = None,
        sectors: dict[str, str] | None = None,
        start: date | None = None,
    ) -> BrinsonAttribution:
        """Compare with a benchmark of sectors: allocation, selection, interaction; null without such a benchmark."""
        pins = pinned(context)
        book, performance = await self._books.performance(context)
        cite(context, book)
        if benchmark is None:
            return no_brinson(pins, "no benchmark with sectors, weights and returns was given")
        if not sectors:
            return no_brinson(pins, "no sectors of the holdings were given")
        found = self._attribute(performance, start, pins)
        if found.total is None:
            return no_brinson(pins, found.reason)
        try:
            return brinson_of(pins, found, benchmark, sectors)
        except InvalidBenchmark as error:
            raise TerminalError(Code.INVALID_ARGS, str(error)) from error

    @capability("portfolio.gains", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",))
    async def gains(self, context: CapabilityContext, positions: ValuedRows) -> PortfolioGains:
        """Split all that was gained, in money, into price, dividends, tax, interest, currency and costs."""
        book, performance = await self._books.performance(context)
        cite(context, book)
        return portfolio_gains(book, performance, positions)

    @capability("portfolio.fx_exposure", pure=True, needs=("pack",))
    async def fx_exposure(self, context: CapabilityContext, positions: ValuedRows) -> FxExposure:
        """Sum values by currency, cash and shorts included, and say what a 10% move of each would do."""
        pins = pinned(context)
        context.report(source=f"pricing_pack:{pins.pricing_pack_id}", asof=pins.asof)
        return fx_exposure(pins, positions)

    @capability("portfolio.currency_history", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",))
    async def currency_history(self, context: CapabilityContext) -> CurrencyHistory:
        """List the value in each currency at the end of each month, in base currency."""
        pins = pinned(context)
        book, performance = await self._books.performance(context)
        cite(context, book)
        return currency_history(pins, performance.history, unvalued_end(performance.twr, pins))

    @staticmethod
    def _attribute(performance: Performance, start: date | None, pins: Pins) -> Attribution:
        why = unvalued_end(performance.twr, pins)
        if why:
            return no_attribution(why, performance.twr.warnings)
        try:
            return attribute(performance.history, performance.twr, start=start)
        except NotAdditive as error:
            raise TerminalError(Code.RECONCILIATION_FAILED, str(error)) from error


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
