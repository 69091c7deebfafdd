"""Indicators as they were known, regimes by rules, and the short-term cycle."""

from collections.abc import Iterable, Sequence
from datetime import date
from math import fsum
from typing import Annotated

from pydantic import Field

from agents.capability import capability
from agents.context import CapabilityContext
from agents.macro.answers import (
    CycleRow,
    IndicatorRow,
    Indicators,
    QuarterRow,
    Regime,
    RegimeHistory,
    ShiftRow,
    ShortTermCycle,
    TrendShifts,
)
from agents.macro.desk import MacroDesk, pinned
from agents.ports import MacroSeries
from analytics.macro import percentile_rank, quarterly, transformed
from analytics.regime import PERSISTENCE, Quarter, Signals, persisted, signals
from topics.messages import Pins

REGIME_SERIES = ("GDPC1", "UNRATE", "CPILFESL")
_STALE_DAYS = 200  # after the end of the period: two quarters and a late release
_RANK_YEARS, _CYCLE_YEARS = 10, 20
_METHOD_REGIME = (
    "growth (real GDP over two quarters, unemployment 0.5 points above its five-quarter low) × inflation"
    f" (core consumer prices against their five-year median), {PERSISTENCE} releases in a row"
)
Years = Annotated[int, Field(ge=1, le=100)]


class EconomyGroup(MacroDesk):
    """Indicators, regimes, cycle."""

    @capability("macro.get_indicators", pure=True, needs=("pack",), shared=True)
    async def get_indicators(self, context: CapabilityContext, series: list[str] | None = None) -> Indicators:
        """Read indicators as public on the day: value, release day, vintage, and how it ranks in ten years."""
        pins = pinned(context)
        found = await self._macro.series(series or (), pins.asof, pins.pricing_pack_id)
        rows = [_indicator(each, pins.asof) for each in found.values()]
        rows += [_unknown(name) for name in series or () if name not in found]
        self._cite(context, found.values(), pins.asof)
        return Indicators(
            indicators=tuple(rows),
            asof=pins.asof,
            method="newest release public on the day; a figure older than 200 days is stale and null",
            n_obs=sum(row.value is not None for row in rows),
            reasons={row.id: row.reason for row in rows if row.reason},
            warnings=_vintages(found.values(), pins.asof),
        )

    @capability("macro.detect_regime", pure=True, needs=("pack",), shared=True)
    async def detect_regime(self, context: CapabilityContext) -> Regime:
        """Say which regime stands on the day by the rule table, and since when."""
        pins = pinned(context)
        quarters, used, reason = await self._quarters(context, pins)
        last = quarters[-1] if quarters else None
        released = max((each.observations[-1].released for each in used), default=None) if last else None
        if last is not None and not reason and last.regime is None:
            reason = "no regime has persisted yet"
        stands = last if last is not None and not reason else None
        made_by = stands.made_by if stands else None
        newest = last.signals if last else None
        return Regime(
            regime=stands.regime if stands else None,
            growth=made_by.growth if made_by else None,
            inflation=made_by.price if made_by else None,
            newest_growth=newest.growth if newest else None,
            newest_inflation=newest.price if newest else None,
            since=stands.since if stands else None,
            confirmed_by=_quarter(stands, made_by) if stands and made_by else None,
            latest=_quarter(last) if last else None,
            released=released,
            asof=pins.asof,
            method=_METHOD_REGIME,
            n_obs=len(quarters),
            reasons={} if stands else dict.fromkeys(("regime", "growth", "inflation", "since", "confirmed_by"), reason),
            warnings=_vintages(used, pins.asof),
        )

    @capability("macro.regime_history", pure=True, needs=("pack",), shared=True)
    async def regime_history(self, context: CapabilityContext, years: Years = 20) -> RegimeHistory:
        """Replay the rules quarter by quarter with what was known then."""
        pins = pinned(context)
        quarters, used, reason = await self._quarters(context, pins)
        kept = quarters[-4 * years :]
        named = [each.regime for each in kept if each.regime]
        return RegimeHistory(
            quarters=tuple(_quarter(each) for each in kept),
            shares={name: named.count(name) / len(named) for name in sorted(set(named))},
            asof=pins.asof,
            method=_METHOD_REGIME,
            n_obs=len(kept),
            reasons={} if kept else {"quarters": reason},
            warnings=(*_vintages(used, pins.asof), *((reason,) if reason and kept else ())),
        )

    @capability("macro.trend_shifts", pure=True, needs=("pack",), shared=True)
    async def trend_shifts(self, context: CapabilityContext, years: Years = 20) -> TrendShifts:
        """List changes of regime with the release that confirmed each."""
        pins = pinned(context)
        quarters, used, reason = await self._quarters(context, pins)
        releases = _releases(used)
        shifts: list[ShiftRow] = []
        before: str | None = None
        first = max(len(quarters) - 4 * years, 0)
        for at, each in enumerate(quarters):
            if each.regime is not None and each.regime != before:
                if at >= first and each.since is not None:
                    confirmed = releases[each.signals.quarter]
                    shifts.append(ShiftRow(quarter=each.since, confirmed=confirmed, before=before, after=each.regime))
                before = each.regime
        return TrendShifts(
            shifts=tuple(shifts),
            asof=pins.asof,
            method=_METHOD_REGIME,
            n_obs=len(quarters),
            reasons={} if quarters else {"shifts": reason},
            warnings=_vintages(used, pins.asof),
        )

    @capability("cycles.compute_short_term", pure=True, needs=("pack",), shared=True)
    async def short_term_cycle(self, context: CapabilityContext) -> ShortTermCycle:
        """Rank yield curve, unemployment gap and credit spread among their last twenty years."""
        pins = pinned(context)
        found = await self._macro.series(("T10Y2Y", "UNRATE", "BAA-AAA", "TB3MS"), pins.asof, pins.pricing_pack_id)
        rows = (
            _component("yield curve", found.get("T10Y2Y"), "T10Y2Y", pins.asof, high_is_strained=False),
            _component("unemployment gap", found.get("UNRATE"), "UNRATE", pins.asof, gap=True),
            _component("credit spread", found.get("BAA-AAA"), "BAA-AAA", pins.asof),
            _component("short rate", found.get("TB3MS"), "TB3MS", pins.asof),
        )
        self._cite(context, found.values(), pins.asof)
        stress = [row.stress for row in rows if row.stress is not None]
        enough = len(stress) >= 2
        return ShortTermCycle(
            components=rows,
            stress=fsum(stress) / len(stress) if enough else None,
            coverage=len(stress) / len(rows),
            asof=pins.asof,
            method="percentile rank of each component among its last twenty years; mean of the ranks",
            n_obs=len(stress),
            reasons={} if enough else {"stress": f"{len(stress)} of {len(rows)} components at hand, 2 needed"},
            warnings=_vintages(found.values(), pins.asof),
        )

    async def _quarters(self, context: CapabilityContext, pins: Pins) -> tuple[list[Quarter], list[MacroSeries], str]:
        """Return quarters known in all three series, the series, and why the newest is no answer for the day."""
        asof = pins.asof
        found = await self._macro.series(REGIME_SERIES, asof, pins.pricing_pack_id)
        self._cite(context, found.values(), asof)
        missing = [name for name in REGIME_SERIES if name not in found or not found[name].observations]
        used = [found[name].known(quarterly(found[name].observations)) for name in REGIME_SERIES if name in found]
        if missing:
            return [], used, f"no figures of {', '.join(missing)} public by {asof}"
        values = [{each.on: each.value for each in series.observations} for series in used]
        shared = sorted(set(values[0]) & set(values[1]) & set(values[2]))
        whole = shared
        for at in range(len(shared) - 1, 0, -1):
            if (shared[at] - shared[at - 1]).days > 93:  # a gap: the rules look back over whole quarters only
                whole = shared[at:]
                break
        rows = persisted(signals(whole, *([series[on] for on in whole] for series in values)))
        ends = {each.on: each.end for each in used[0].observations}
        age = (asof - ends[whole[-1]]).days
        reason = f"the newest quarter known is {age} days old; {_STALE_DAYS} are allowed" if age > _STALE_DAYS else ""
        return rows, used, reason

    @staticmethod
    def _cite(context: CapabilityContext, series: Iterable[MacroSeries], asof: date) -> None:
        for each in series:
            context.report(source=each.source)
        context.report(asof=asof)


def _indicator(series: MacroSeries, asof: date) -> IndicatorRow:
    known = series.observations
    values = [each.value for each in known]
    span = series.per_year * _RANK_YEARS
    path = [transformed(values[:end], series.transform, series.per_year) for end in range(1, len(values) + 1)]
    recent = [value for value in path[-span:] if value is not None]
    last = known[-1] if known else None
    age = (asof - last.end).days if last else None
    reason = None
    if last is None:
        reason = f"nothing public by {asof}"
    elif age is not None and age > _STALE_DAYS:
        reason = f"the newest figure is of {last.on}, {age} days old"
    elif not path or path[-1] is None:
        reason = f"too few figures for {series.transform}"
    value = path[-1] if path and reason is None else None
    return IndicatorRow(
        id=series.id,
        title=series.title,
        unit=series.unit,
        transform=series.transform,
        value=value,
        previous=path[-2] if reason is None and len(path) > 1 else None,
        level=last.value if last else None,
        period=last.on if last else None,
        released=last.released if last else None,
        release_assumed=series.release_assumed,
        vintage=last.vintage if last else None,
        age_days=age,
        percentile=percentile_rank(recent, value) if value is not None else None,
        status="missing" if last is None else "stale" if reason else "ok",
        reason=reason,
    )


def _unknown(name: str) -> IndicatorRow:
    return IndicatorRow(
        id=name, title=name, unit="", transform="level", value=None, previous=None, level=None, period=None,
        released=None, release_assumed=False, vintage=None, age_days=None, percentile=None, status="missing",
        reason=f"no series {name} here",
    )  # fmt: skip


def _vintages(series: Iterable[MacroSeries], asof: date) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for each in series:
        if each.observations and each.observations[-1].vintage > asof:
            vintage = each.observations[-1].vintage
            found[f"figures are those of the vintage of {vintage}; what was published before may differ"] = None
        if each.release_assumed:
            found["release days are assumed: the end of the period and the usual lag"] = None
    return tuple(found)


def _quarter(each: Quarter, said: Signals | None = None) -> QuarterRow:
    """Return a quarter's row, with its own signals unless others are given."""
    row = said or each.signals
    return QuarterRow(
        quarter=row.quarter,
        gdp_two_quarters=row.gdp_two_quarters,
        unemployment_rise=row.unemployment_rise,
        inflation=row.inflation,
        inflation_median=row.inflation_median,
        raw=row.raw,
        regime=each.regime,
    )


def _releases(series: Sequence[MacroSeries]) -> dict[date, date]:
    """Return per period the day all series of it were public."""
    found: dict[date, date] = {}
    for each in series:
        for observation in each.observations:
            found[observation.on] = max(found.get(observation.on, date.min), observation.released)
    return found


def _component(
    name: str,
    series: MacroSeries | None,
    series_id: str,
    asof: date,
    *,
    high_is_strained: bool = True,
    gap: bool = False,
) -> CycleRow:
    reason = None
    values: list[float] = []
    if series is None or not series.observations:
        reason = f"no series {series_id} here"
    elif (asof - series.observations[-1].end).days > _STALE_DAYS:
        reason = f"the newest figure of {series_id} is of {series.observations[-1].on}"
    else:
        values = [each.value for each in series.observations]
        if gap:
            span = series.per_year * _RANK_YEARS
            values = [values[at] - fsum(values[at - span : at]) / span for at in range(span, len(values))]
        values = values[-series.per_year * _CYCLE_YEARS :]
        if len(values) < series.per_year * 5:
            reason = f"{len(values)} figures of {series_id}, five years needed"
    rank = percentile_rank(values, values[-1]) if values and reason is None else None
    stress = None if rank is None else rank if high_is_strained else 1.0 - rank
    unit = "points above the ten-year mean" if gap else series.unit if series else ""
    return CycleRow(
        name=name,
        unit=unit,
        value=values[-1] if rank is not None else None,
        percentile=rank,
        stress=stress,
        reason=reason,
    )
