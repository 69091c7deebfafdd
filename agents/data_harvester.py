"""The agent that asks data providers: Polygon, Financial Modeling Prep, FRED.

Its answers depend on the day they are asked, so none is pure and none is cached; each names its provider, and failures
count for the provider's own circuit. Without a key a capability answers PROVIDER_NOT_CONFIGURED.
"""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from agents.base import BaseAgent
from agents.capability import Retry, capability
from agents.context import CapabilityContext
from agents.fields import Exact, Part
from agents.provider_ports import Bar, MarketFeed, SeriesFeed, StatementFeed
from topics.errors import Code, TerminalError

Symbol = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:-]{0,31}$")]
SeriesId = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,40}$")]
Limit = Annotated[int, Field(ge=1, le=100)]
_RETRY = Retry(attempts_max=4, backoff_s=1.0, factor=3.0, cap_s=60.0)


class BarRow(Part):
    """Prices per share of one session, not adjusted for splits or dividends."""

    on: date
    open: Exact
    high: Exact
    low: Exact
    close: Exact
    volume: Exact


class Bars(Part):
    """Daily bars; `adjustment` says on which share basis they are."""

    symbol: str
    provider: str
    adjustment: Literal["none"]
    bars: tuple[BarRow, ...] = Field(strict=False)


class SplitRow(Part):
    """`ratio` new units per old."""

    on: date
    ratio: Exact


class DividendRow(Part):
    """A cash dividend per share as declared."""

    ex_date: date
    pay_date: date | None
    amount: Exact
    currency: str
    kind: str


class CorporateActions(Part):
    """Splits and dividends of a company, ascending."""

    symbol: str
    provider: str
    splits: tuple[SplitRow, ...] = Field(strict=False)
    dividends: tuple[DividendRow, ...] = Field(strict=False)


class StatementRow(Part):
    """One annual report; facts the provider does not give are absent, never zero."""

    fiscal_year: int
    period_end: date
    filed: date
    currency: str
    facts: dict[str, float]


class Statements(Part):
    """Annual reports, oldest first; as restated when asked, `filed` says from when they may be used."""

    symbol: str
    provider: str
    statements: tuple[StatementRow, ...] = Field(strict=False)


class ProviderRatios(Part):
    """The provider's ratios per year, in its own units."""

    symbol: str
    provider: str
    units: str
    rows: tuple[dict[str, float | str], ...] = Field(strict=False)


class CalendarRow(Part):
    """One dividend; amount null while not declared."""

    symbol: str
    ex_date: date
    pay_date: date | None
    amount: Exact | None


class DividendCalendar(Part):
    """Dividends by ex-date."""

    provider: str
    rows: tuple[CalendarRow, ...] = Field(strict=False)


class PointRow(Part):
    """One figure and the day from which it stood."""

    on: date
    value: float
    realtime_start: date


class Series(Part):
    """A macroeconomic series; `asof` null when all vintages were asked for."""

    series_id: str
    provider: str
    asof: date | None
    points: tuple[PointRow, ...] = Field(strict=False)


class DataHarvester(BaseAgent):
    """Providers' data through their clients.

    Args:
        market: prices and corporate actions.
        statements: company figures.
        series: macroeconomic series.
    """

    name = "data_harvester"

    def __init__(self, market: MarketFeed, statements: StatementFeed, series: SeriesFeed) -> None:
        self._market = market
        self._statements = statements
        self._series = series

    @capability("polygon.daily_bars", upstreams=("polygon",), timeout_s=60.0, retry=_RETRY)
    async def daily_bars(self, context: CapabilityContext, symbol: Symbol, start: date, end: date) -> Bars:
        """Fetch unadjusted daily bars."""
        _ordered(start, end)
        found = await self._market.daily_bars(symbol, start, end)
        context.report(source=f"polygon:aggs:{symbol}", asof=found[-1].on if found else None)
        if not found:
            context.report(warning=f"polygon has no bars of {symbol} from {start} to {end}")
        return Bars(symbol=symbol, provider="polygon", adjustment="none", bars=tuple(_bar(bar) for bar in found))

    @capability("polygon.quote", upstreams=("polygon",), retry=_RETRY)
    async def quote(self, context: CapabilityContext, symbol: Symbol) -> Bars:
        """Fetch the bar of the previous session."""
        found = await self._market.quote(symbol)
        context.report(source=f"polygon:prev:{symbol}", asof=found.on if found else None)
        return Bars(symbol=symbol, provider="polygon", adjustment="none", bars=(_bar(found),) if found else ())

    @capability("polygon.corporate_actions", upstreams=("polygon",), timeout_s=60.0, retry=_RETRY)
    async def corporate_actions(self, context: CapabilityContext, symbol: Symbol) -> CorporateActions:
        """Fetch splits and cash dividends as declared."""
        splits = await self._market.splits(symbol)
        dividends = await self._market.dividends(symbol)
        context.report(source=f"polygon:reference:{symbol}")
        return CorporateActions(
            symbol=symbol,
            provider="polygon",
            splits=tuple(SplitRow(on=each.on, ratio=each.ratio) for each in splits),
            dividends=tuple(
                DividendRow(
                    ex_date=each.ex_date,
                    pay_date=each.pay_date,
                    amount=each.amount,
                    currency=each.currency,
                    kind=each.kind,
                )
                for each in dividends
            ),
        )

    @capability("fmp.statements", upstreams=("fmp",), retry=_RETRY)
    async def statements(self, context: CapabilityContext, symbol: Symbol, limit: Limit = 10) -> Statements:
        """Fetch annual income statements with their filing dates."""
        found = await self._statements.statements(symbol, limit)
        context.report(source=f"fmp:income-statement:{symbol}", asof=found[-1].filed if found else None)
        return Statements(
            symbol=symbol,
            provider="fmp",
            statements=tuple(
                StatementRow(
                    fiscal_year=each.fiscal_year,
                    period_end=each.period_end,
                    filed=each.filed,
                    currency=each.currency,
                    facts=dict(each.facts),
                )
                for each in found
            ),
        )

    @capability("fmp.ratios", upstreams=("fmp",), retry=_RETRY)
    async def ratios(self, context: CapabilityContext, symbol: Symbol, limit: Limit = 10) -> ProviderRatios:
        """Fetch the provider's own ratios; their units vary and are not converted."""
        found = await self._statements.ratios(symbol, limit)
        context.report(source=f"fmp:ratios:{symbol}")
        return ProviderRatios(symbol=symbol, provider="fmp", units="as the provider gives them", rows=tuple(found))

    @capability("fmp.dividend_calendar", upstreams=("fmp",), retry=_RETRY)
    async def dividend_calendar(self, context: CapabilityContext, start: date, end: date) -> DividendCalendar:
        """Fetch dividends by ex-date in a range."""
        _ordered(start, end)
        found = await self._statements.calendar(start, end)
        context.report(source="fmp:dividends-calendar")
        return DividendCalendar(
            provider="fmp",
            rows=tuple(
                CalendarRow(symbol=each.symbol, ex_date=each.ex_date, pay_date=each.pay_date, amount=each.amount)
                for each in found
            ),
        )

    @capability("fred.series", upstreams=("fred",), retry=_RETRY)
    async def series(self, context: CapabilityContext, series_id: SeriesId, asof: date) -> Series:
        """Fetch a series as it was known on a day."""
        found = await self._series.series(series_id, asof)
        context.report(source=f"fred:{series_id}@{asof}", asof=asof)
        points = tuple(PointRow(on=each.on, value=each.value, realtime_start=each.realtime_start) for each in found)
        return Series(series_id=series_id, provider="fred", asof=asof, points=points)

    @capability("fred.vintages", upstreams=("fred",), timeout_s=60.0, retry=_RETRY)
    async def vintages(self, context: CapabilityContext, series_id: SeriesId) -> Series:
        """Fetch every version of every figure of a series."""
        found = await self._series.vintages(series_id)
        context.report(source=f"alfred:{series_id}")
        points = tuple(PointRow(on=each.on, value=each.value, realtime_start=each.realtime_start) for each in found)
        return Series(series_id=series_id, provider="fred", asof=None, points=points)


def _ordered(start: date, end: date) -> None:
    if start > end:
        raise TerminalError(Code.INVALID_ARGS, f"expected start up to end, got {start} and {end}")


def _bar(bar: Bar) -> BarRow:
    return BarRow(on=bar.on, open=bar.open, high=bar.high, low=bar.low, close=bar.close, volume=bar.volume)
