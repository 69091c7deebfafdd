"""Risk of a portfolio or of one holding, and its exposure to market factors."""

import asyncio
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from math import isnan, prod
from typing import Annotated

from pydantic import Field

from agents.analyst.desk import Desk, Rows, Stamped, cite, pinned, stamp, unvalued_end
from agents.answers import DrawdownRow
from agents.books import Book, Performance, series_of, unknown_symbol
from agents.capability import capability
from agents.context import CapabilityContext
from agents.fields import Part, Ratio
from agents.ports import BookingRow, FactorMonths, IndexSeries
from analytics.betas import market_betas, monthly_price_returns
from analytics.drawdown import NO_DRAWDOWN, Drawdown, max_drawdown
from analytics.factors import MONTHS_MIN, exposures
from analytics.frequency import DAILY, Frequency, observed
from analytics.fx import CARRY_DAYS_MAX, FxHistory, InconsistentRates
from analytics.holding_returns import holding_returns
from analytics.levels import level_returns
from analytics.months import monthly
from analytics.risk import FIGURES, OBSERVATIONS_MIN, conventions, measure, refused
from topics.errors import Code, TerminalError

_FORMULAS = conventions()
Percentage = Annotated[float, Field(ge=-1.0, le=1.0)]


class RiskFigures(Stamped):
    """Risk of a return series in base currency.

    Attributes:
        subject: `portfolio`, or the symbol of the holding.
        frequency: of the closes: daily, weekly, monthly or quarterly; null (in `reasons`) when they are irregular.
        periods_per_year: what figures are annualised with.
        conventions: figure → how it is computed.
        n_benchmark: periods that have a benchmark return too.
    """

    subject: str
    volatility: Ratio | None = Field(description=_FORMULAS["volatility"])
    downside_deviation: Ratio | None = Field(description=_FORMULAS["downside_deviation"])
    sharpe: Ratio | None = Field(description=_FORMULAS["sharpe"])
    sortino: Ratio | None = Field(description=_FORMULAS["sortino"])
    beta: Ratio | None = Field(description=_FORMULAS["beta"])
    tracking_error: Ratio | None = Field(description=_FORMULAS["tracking_error"])
    information_ratio: Ratio | None = Field(description=_FORMULAS["information_ratio"])
    value_at_risk: Ratio | None = Field(description=_FORMULAS["value_at_risk"])
    expected_shortfall: Ratio | None = Field(description=_FORMULAS["expected_shortfall"])
    drawdown: DrawdownRow = Field(description="min(index / running high − 1) on the return index that starts at 1")
    benchmark: str | None
    risk_free: str | None
    frequency: str | None
    periods_per_year: int | None
    conventions: dict[str, str]
    n_benchmark: int
    start: date | None


class FactorRow(Part):
    """Exposure to one factor with its Newey–West error and t statistic."""

    factor: str
    beta: Ratio = Field(description="slope of r − rf on the factor's excess return, OLS, monthly")
    error: Ratio = Field(description="Newey–West standard error, Bartlett weights")
    t: Ratio | None = Field(description="beta / error")


class FactorExposures(Stamped):
    """Exposures to market factors; betas do not sum to one.

    Attributes:
        alpha: return per month that no factor explains, with its error and t statistic.
        currency: both sides are measured in it.
    """

    exposures: tuple[FactorRow, ...] = Field(strict=False)
    alpha: FactorRow | None
    r_squared: Ratio | None = Field(description="1 − Σe²/Σ(y − ȳ)²")
    lags: int | None
    currency: str
    start: date | None
    end: date | None


class HoldingBeta(Part):
    """Market beta of one security.

    Attributes:
        n_obs: months it rests on, from `start` to `end` (their first days).
        reason: why there is no beta.
    """

    symbol: str
    beta: Ratio | None = Field(description="slope of r − rf on the market's excess return, r the holding's own months")
    n_obs: int
    start: date | None
    end: date | None
    reason: str | None


class HoldingBetas(Stamped):
    """Market beta of every security held, each from its own returns."""

    betas: tuple[HoldingBeta, ...] = Field(strict=False)


class RiskGroup(Desk):
    """Risk figures and factor exposures."""

    @capability("metrics.risk", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",))
    async def risk(
        self,
        context: CapabilityContext,
        symbol: str | None = None,
        benchmark_id: str | None = None,
        mar: Percentage = 0.0,
    ) -> RiskFigures:
        """Measure volatility, ratios, drawdown and tail losses of the portfolio or of one holding, in base currency."""
        pins = pinned(context)
        book, performance = await self._books.performance(context)
        cite(context, book)
        twr = performance.twr
        ends_early = unvalued_end(twr, pins)
        reason = ends_early or twr.reason
        if symbol is None:
            days = [(at, value) for at, value in enumerate(twr.returns.tolist()) if at >= twr.segment]
            dates = [twr.dates[at] for at, value in days if not isnan(value)]
            before = [twr.dates[at - 1] if at else twr.dates[at] for at, value in days if not isnan(value)]
            returns = [value for _, value in days if not isnan(value)]
            fall, warnings = twr.drawdown, list(twr.warnings)
        else:
            held = holding_returns(performance.history, symbol)
            if held is None:
                raise unknown_symbol(symbol, performance.history.symbols)
            dates, before, returns = list(held.dates), list(held.before), list(held.returns)
            fall, warnings = _fall(dates, before, returns), []
        frequency, irregular = observed([(on - then).days for then, on in zip(before, dates, strict=True)])
        factors = await self._reference.factors(pins.asof)
        name = benchmark_id or pins.benchmark_id
        index = None if name is None else await self._reference.index(name, pins.asof)
        against, why_not = None, "no benchmark given"
        if name is not None and index is None:
            why_not = f"no benchmark {name} here"
        elif index is not None:
            rates = await self._rates(book, index.currency)
            against = level_returns(
                index.levels, [*zip(before, dates, strict=True)], lambda on: _rate(rates, index.currency, book, on)
            )
            context.report(source=index.source)
            warnings += _about(index)
        if ends_early:
            fall = NO_DRAWDOWN
        if ends_early or (frequency is None and len(returns) >= OBSERVATIONS_MIN):
            found = refused(ends_early or irregular, len(returns))
        else:
            each = frequency or DAILY  # too few returns have no figure anyway
            found = measure(
                returns,
                risk_free=[_risk_free(factors, then, on, each) for then, on in zip(before, dates, strict=True)],
                benchmark=against,
                mar=(1.0 + mar) ** (1.0 / each.per_year) - 1.0,
                frequency=each,
                risk_free_reason="no risk-free rate in this time",
                benchmark_reason=why_not,
            )
        if found.sharpe is not None:
            context.report(source=factors.source)
            warnings.append(f"the risk-free rate is that of {factors.currency} bills")
        reasons = dict(found.reasons)
        if fall.depth is None:
            reasons["drawdown"] = reason or "no return"
        if frequency is None:
            reasons |= dict.fromkeys(("frequency", "periods_per_year"), irregular)
        return RiskFigures(
            subject=symbol or "portfolio",
            **{name: getattr(found, name) for name in FIGURES},
            drawdown=DrawdownRow(
                depth=fall.depth, peak=fall.peak, trough=fall.trough, recovery=fall.recovery, current=fall.current
            ),
            benchmark=index.id if index else None,
            risk_free=None if found.sharpe is None else f"one-month bills, {factors.currency}",
            frequency=frequency.name if frequency else None,
            periods_per_year=frequency.per_year if frequency else None,
            conventions=conventions(frequency),
            n_benchmark=found.n_benchmark,
            start=before[0] if before else None,
            **stamp(
                pins,
                f"{_observed(frequency)} in {pins.base_ccy}; minimal acceptable return {mar:g} a year",
                found.n_obs,
                reasons=reasons,
                warnings=warnings,
            ),
        )

    @capability("risk.factor_exposures", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",))
    async def factor_exposures(self, context: CapabilityContext) -> FactorExposures:
        """Regress monthly excess returns on market, size and value factors, with Newey–West errors."""
        pins = pinned(context)
        book, performance = await self._books.performance(context)
        factors = await self._reference.factors(pins.asof)
        cite(context, book)
        context.report(source=factors.source)
        own = await self._months(book, performance, factors.currency)
        shared = [key for key in own if key in factors.months]
        found, reason = exposures(
            [own[key] - factors.risk_free[key] for key in shared], [factors.months[key] for key in shared]
        )
        warnings = list(performance.twr.warnings)
        if shared and max(own) > shared[-1]:
            warnings.append(f"factors are known up to {shared[-1][0]}-{shared[-1][1]:02d} only")
        rows = []
        if found is not None:
            for name, beta, error in zip(("alpha", *factors.names), found.coefficients, found.errors, strict=True):
                rows.append(FactorRow(factor=name, beta=beta, error=error, t=beta / error if error else None))
        return FactorExposures(
            exposures=tuple(rows[1:]),
            alpha=rows[0] if rows else None,
            r_squared=found.r_squared if found else None,
            lags=found.lags if found else None,
            currency=factors.currency,
            start=date(*shared[0], 1) if shared else None,
            end=date(*shared[-1], 1) if shared else None,
            **stamp(
                pins,
                f"OLS of whole months' excess returns in {factors.currency} on Fama and French's factors,"
                f" Newey–West errors; at least {MONTHS_MIN} months",
                len(shared),
                reasons={"exposures": reason, "alpha": reason, "r_squared": reason} if found is None else None,
                warnings=warnings,
            ),
        )

    @capability("risk.holding_betas", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",))
    async def holding_betas(self, context: CapabilityContext, positions: Rows) -> HoldingBetas:
        """Regress each holding's own monthly returns on the factors; its beta is the market's slope."""
        pins = pinned(context)
        book = await self._books.load(context)
        factors = await self._reference.factors(pins.asof)
        cite(context, book)
        context.report(source=factors.source)
        held = sorted({row.symbol for row in positions if row.kind == "security"})
        wanted = set(held)
        prices = [row for row in book.series.prices if row[1] in wanted]
        # Years of a large portfolio take longer than an event loop should stand still.
        own = await asyncio.to_thread(monthly_price_returns, prices, _splits(book.snapshot.rows, pins.asof))
        found = market_betas({name: own.get(name, {}) for name in held}, factors.months, factors.risk_free)
        rows = [
            HoldingBeta(
                symbol=name,
                beta=each.value,
                n_obs=len(each.months),
                start=date(*each.months[0], 1) if each.months else None,
                end=date(*each.months[-1], 1) if each.months else None,
                reason=each.reason or None,
            )
            for name, each in found.items()
        ]
        return HoldingBetas(
            betas=tuple(rows),
            **stamp(
                pins,
                "each security's own whole-month price returns in its currency, since the portfolio began, less bills"
                f" (rf), by OLS on Fama and French's factors in {factors.currency}: the market's slope;"
                f" at least {MONTHS_MIN} months",
                sum(row.beta is not None for row in rows),
                reasons={row.symbol: row.reason for row in rows if row.reason},
            ),
        )

    async def _months(self, book: Book, performance: Performance, currency: str) -> dict[tuple[int, int], float]:
        """Return whole months' returns in another currency; months without a rate at either end are left out."""
        twr = performance.twr
        rates = await self._rates(book, currency)
        rows = monthly(twr.dates[twr.segment :], twr.returns[twr.segment :].tolist())
        found: dict[tuple[int, int], float] = {}
        for row in rows:
            then, now = (_rate(rates, currency, book, on) for on in (row.start, row.end))
            if row.whole and row.value is not None and then is not None and now is not None:
                found[row.year, row.month] = (1.0 + row.value) * float(then / now) - 1.0
        return found

    async def _rates(self, book: Book, currency: str) -> FxHistory:
        """Return rates between a currency and the base over the book's days."""
        base, pins = book.pins.base_ccy, book.pins
        if currency == base or not book.series.dates:
            return FxHistory(())
        series = await series_of(self._packs, pins.pricing_pack_id, [], {currency, base}, book.series.dates[0])
        try:
            return FxHistory(series.rates)
        except InconsistentRates as error:
            raise TerminalError(Code.MISSING_FX, f"pack {pins.pricing_pack_id}: {error}") from error


def _splits(rows: Sequence[BookingRow], asof: date) -> dict[str, list[tuple[date, Decimal]]]:
    """Return each security's booked splits; one is booked once per lot."""
    found: dict[str, dict[tuple[date, Decimal], None]] = {}
    for row in rows:
        if row.kind == "split" and row.ratio and row.on <= asof:
            found.setdefault(row.symbol, {})[row.on, row.ratio] = None
    return {symbol: list(splits) for symbol, splits in found.items()}


def _rate(rates: FxHistory, currency: str, book: Book, on: date) -> Decimal | None:
    found = rates.rate(currency, book.pins.base_ccy, on)
    return None if found is None else found.rate


def _observed(frequency: Frequency | None) -> str:
    if frequency is None:
        return "returns"
    return f"{frequency.name} returns, annualised with {frequency.per_year} {frequency.unit}s,"


def _risk_free(factors: FactorMonths, then: date, on: date, frequency: Frequency) -> float | None:
    """Return the bill's return over one period, at the mean rate of the months begun since the last close."""
    first, last = then.year * 12 + then.month, on.year * 12 + on.month - 1  # months counted from 0
    months = [factors.risk_free.get((at // 12, at % 12 + 1)) for at in range(min(first, last), last + 1)]
    if None in months:
        return None
    mean = prod(1.0 + month for month in months if month is not None) ** (1.0 / len(months))
    return mean**frequency.months - 1.0


def _about(index: IndexSeries) -> list[str]:
    found = [f"{index.name} is in {index.currency}; it is converted at each day's rate, carried {CARRY_DAYS_MAX} days"]
    if not index.dividends:
        found.append(f"{index.name} leaves out dividends: a portfolio that receives them looks better than it is")
    return found


def _fall(dates: list[date], before: list[date], returns: list[float]) -> Drawdown:
    if not returns:
        return NO_DRAWDOWN
    import numpy as np

    index = np.concatenate(([1.0], np.cumprod(1.0 + np.array(returns))))
    return max_drawdown([before[0], *dates], index)
