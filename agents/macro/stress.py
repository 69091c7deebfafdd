"""Named shocks on market values, and drawdown at risk."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Annotated

from pydantic import Field

from agents.answers import ValuedRow
from agents.capability import capability
from agents.context import CapabilityContext
from agents.fields import Part, Ratio
from agents.macro.answers import (
    BinRow,
    DrawdownRisk,
    Ranking,
    RankRow,
    ScenarioList,
    ScenarioResult,
    ScenarioRow,
    ShockRow,
)
from agents.macro.desk import MacroDesk, pinned
from agents.naming import first_named
from agents.positions import total
from analytics.bootstrap import OBSERVATIONS_MIN, drawdown_at_risk
from analytics.frequency import DAILY, observed
from analytics.scenario import Bond, Scenario, fx_change, linear_change, local_change, shocked, unnamed
from topics.errors import Code, TerminalError
from topics.messages import Pins

_BINS = 20
_NAMED_MAX = 10
# A share without a beta of its own moves as the market does: the average of all shares' betas, weighted by value, is 1.
_ASSUMED = "assumed"
Valued = Annotated[list[ValuedRow], Field(max_length=100_000)]


class History(Part):
    """The part of a portfolio's history that paths are drawn from."""

    dates: tuple[date, ...] = Field(strict=False)
    index: tuple[Ratio, ...] = Field(strict=False)
    start: date | None = None


class HoldingBeta(Part):
    """One security's market beta, or why there is none; see `risk.holding_betas`."""

    symbol: str
    beta: Ratio | None
    n_obs: int = 0
    reason: str | None = None


class HoldingBetas(Part):
    """Market betas of the securities held."""

    betas: tuple[HoldingBeta, ...] = Field(strict=False)


class BondTerms(Part):
    """How a holding reacts to yields."""

    duration: Ratio
    convexity: Ratio = 0.0


class StressGroup(MacroDesk):
    """Scenarios and drawdown at risk."""

    @capability("scenarios.list", pure=True, shared=True)
    async def list_scenarios(self, context: CapabilityContext, prefix: str = "") -> ScenarioList:
        """List the named shocks whose id begins with a prefix; refused when none does."""
        book = await self._macro.scenarios()
        context.report(source=book.source)
        found = [each for each in book.scenarios.values() if each.id.startswith(prefix)]
        if not found:
            known = ", ".join(book.scenarios)
            raise TerminalError(Code.INVALID_ARGS, f"no scenario begins with {prefix!r}; there are {known}")
        return ScenarioList(
            ids=tuple(each.id for each in found),
            scenarios=tuple(_scenario(each) for each in found),
            method="named shocks with the source of their size",
            n_obs=len(found),
        )

    @capability("macro.run_scenario", pure=True, needs=("pack",))
    async def run_scenario(
        self,
        context: CapabilityContext,
        positions: Valued,
        scenario: str,
        betas: HoldingBetas | None = None,
        bonds: dict[str, BondTerms] | None = None,
    ) -> ScenarioResult:
        """Apply a named shock to today's market values."""
        pins = pinned(context)
        book = await self._macro.scenarios()
        found = book.scenarios.get(scenario)
        if found is None:
            known = ", ".join(book.scenarios)
            raise TerminalError(Code.INVALID_ARGS, f"expected a scenario among {known}, got {scenario!r}")
        context.report(source=book.source, asof=pins.asof)
        context.report(source=f"pricing_pack:{pins.pricing_pack_id}")
        return _apply(pins, positions, found, {row.symbol: row for row in betas.betas} if betas else {}, bonds or {})

    @capability("scenarios.rank", pure=True, needs=("pack",))
    async def rank(self, context: CapabilityContext, results: list[ScenarioResult]) -> Ranking:
        """Order scenarios by what they cost, worst first."""
        pins = pinned(context)
        order = sorted(results, key=lambda each: (each.change is None, each.change or Decimal(0), each.scenario.id))
        rows = [
            RankRow(
                rank=None if each.change is None else at,
                id=each.scenario.id,
                name=each.scenario.name,
                change=each.change,
                change_ratio=each.change_ratio,
                citation=each.scenario.citation,
                reason=each.reasons.get("change"),
            )
            for at, each in enumerate(order, 1)
        ]
        context.report(asof=pins.asof)
        return Ranking(
            rows=tuple(rows),
            worst=rows[0].id if rows and rows[0].change is not None else None,
            base_currency=pins.base_ccy,
            asof=pins.asof,
            method="change of market value, worst first",
            n_obs=len(rows),
            reasons={},
            warnings=tuple(dict.fromkeys(text for each in results for text in each.warnings)),
        )

    @capability("macro.compute_dar", pure=True, needs=("pack",), timeout_s=60.0)
    async def compute_dar(
        self,
        context: CapabilityContext,
        history: History,
        horizon_days: Annotated[int, Field(ge=5, le=2_520)] = 252,
        confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95,
        paths: Annotated[int, Field(ge=100, le=20_000)] = 2_000,
        block_days: Annotated[int, Field(ge=1, le=252)] = 21,
        seed: Annotated[int, Field(ge=0, le=2**31)] = 20_070_809,
    ) -> DrawdownRisk:
        """Estimate how deep the portfolio may fall from a high, from its own days drawn again in blocks."""
        pins = pinned(context)
        context.report(asof=pins.asof)
        start = history.start or (history.dates[0] if history.dates else pins.asof)
        days = [(on, value) for on, value in zip(history.dates, history.index, strict=True) if on >= start]
        moves = [(on - then, now / past - 1.0) for (then, past), (on, now) in pairwise(days) if past > 0.0]
        returns = [move for _, move in moves]
        frequency, reason = observed([span.days for span, _ in moves])
        each = frequency or DAILY
        if len(returns) < OBSERVATIONS_MIN:
            said = f"{frequency.name} returns" if frequency else "returns"
            reason = f"{len(returns)} {said}, {OBSERVATIONS_MIN} needed"
        if history.dates and history.dates[-1] != pins.asof:
            reason = f"no value on {pins.asof}: the history ends on {history.dates[-1]}"
        # Trading days asked for, in periods of the series: 252 days are 52 weekly draws.
        horizon, block = (max(round(count * each.per_year / DAILY.per_year), 1) for count in (horizon_days, block_days))
        found = None
        if not reason:
            found = await asyncio.to_thread(
                drawdown_at_risk,
                returns,
                horizon=horizon,
                paths=paths,
                block=min(block, len(returns)),
                seed=seed,
                confidence=confidence,
            )
        names = ("at_risk", "expected_beyond", "median", "mean")
        return DrawdownRisk(
            **{name: getattr(found, name) if found else None for name in names},
            confidence=confidence,
            horizon_days=horizon_days,
            paths=paths,
            block_days=block_days,
            frequency=frequency.name if frequency else None,
            horizon_periods=horizon if frequency else None,
            seed=seed,
            bins=_bins(found.depths) if found else (),
            asof=pins.asof,
            method=f"circular block bootstrap of {each.name} returns (Politis and Romano 1992), PCG64",
            n_obs=len(returns),
            reasons={} if found else dict.fromkeys(names, reason),
            warnings=("the past's days drawn again: what never happened to this portfolio is not in it",),
        )


def _scenario(each: Scenario) -> ScenarioRow:
    return ScenarioRow(
        id=each.id,
        name=each.name,
        equity=each.equity,
        currencies=dict(each.currencies),
        yields=each.yields,
        citation=each.citation,
    )


def _apply(
    pins: Pins,
    positions: Sequence[ValuedRow],
    scenario: Scenario,
    betas: Mapping[str, HoldingBeta],
    bonds: Mapping[str, BondTerms],
) -> ScenarioResult:
    rows: list[ShockRow] = []
    assumed: list[str] = []
    floored: list[str] = []
    kept: dict[str, None] = {}
    for row in positions:
        currency = row.price_currency or row.trading_currency
        terms = bonds.get(row.symbol)
        bond = None if terms is None else Bond(terms.duration, terms.convexity)
        own, source, local = None, None, 0.0
        if row.kind == "security":
            if bond is None:
                own, source = _beta(betas.get(row.symbol))
                if source.startswith(_ASSUMED):
                    assumed.append(row.symbol)
            local = local_change(scenario, own or 0.0, bond)
            if linear_change(scenario, own or 0.0, bond) < -1.0:
                floored.append(row.symbol)
        moved = fx_change(scenario, currency, pins.base_ccy)
        silent = unnamed(scenario, currency, pins.base_ccy)
        kept |= dict.fromkeys(silent)
        after = None if row.value_base is None else shocked(row.value_base, local, moved)
        rows.append(
            ShockRow(
                symbol=row.symbol,
                kind=row.kind,
                beta=own,
                beta_source=source,
                local=local,
                fx=moved,
                fx_source=None if currency == pins.base_ccy else _fx_source(silent),
                before=row.value_base,
                after=after,
                change=None if after is None or row.value_base is None else after - row.value_base,
                reason=None if after is not None else row.reason or "no value",
            )
        )
    warnings: list[str] = []
    if assumed:
        warnings.append(
            f"no market beta of their own, so assumed to move one for one with it: {first_named(assumed, _NAMED_MAX)}"
        )
    if kept:
        names = first_named(list(kept), _NAMED_MAX)
        warnings.append(f"{scenario.name}: no move of {names} in this scenario, so kept at today's rate to the dollar")
    if floored:
        names = first_named(floored, _NAMED_MAX)
        warnings.append(f"{scenario.name}: the shock would take more than everything, counted as a total loss: {names}")
    before, after = total(row.before for row in rows), total(row.after for row in rows)
    missing = "; ".join(f"{row.symbol}: {row.reason}" for row in rows if row.reason)
    change = None if before is None or after is None else after - before
    ratio = float(change / before) if change is not None and before is not None and before > 0 else None
    reasons: dict[str, str] = dict.fromkeys(("before", "after", "change", "change_ratio"), missing) if missing else {}
    if ratio is None and not missing:
        reasons["change_ratio"] = "the value is not above zero"
    return ScenarioResult(
        scenario=_scenario(scenario),
        rows=tuple(rows),
        before=before,
        after=after,
        change=change,
        change_ratio=ratio,
        base_currency=pins.base_ccy,
        asof=pins.asof,
        method="instant shock on market values: value·(1 + Δlocal)·(1 + Δfx)",
        n_obs=len(rows),
        reasons=reasons,
        warnings=tuple(warnings),
    )


def _beta(known: HoldingBeta | None) -> tuple[float, str]:
    """Return a share's market beta and where it comes from."""
    if known is None or known.beta is None:
        why = (known.reason if known else None) or "no beta given"
        return 1.0, f"{_ASSUMED}: {why}"
    return known.beta, f"own returns of {known.n_obs} months"


def _fx_source(silent: Sequence[str]) -> str:
    """Return where a currency's move comes from, given what the scenario does not name of it."""
    if silent:
        return f"{_ASSUMED}: no move of {' and '.join(silent)} in this scenario"
    return "the scenario's moves against the dollar"


def _bins(depths: Sequence[float]) -> tuple[BinRow, ...]:
    low = depths[0]
    width = -low / _BINS if low < 0.0 else 0.0
    if not width:
        return ()
    counts = [0] * _BINS
    for depth in depths:
        counts[min(int((depth - low) / width), _BINS - 1)] += 1
    return tuple(
        BinRow(low=low + at * width, high=low + (at + 1) * width, share=count / len(depths))
        for at, count in enumerate(counts)
    )
