"""Contribution, Brinson attribution and currency exposure: answers of `agents.analyst.attribution`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from math import fsum

import numpy as np
from pydantic import Field

from agents.analyst.desk import Stamped, stamp
from agents.answers import ValuedRow
from agents.fields import Money, Part, Ratio
from agents.positions import total, unvalued
from analytics.attribution import COSTS, Attribution
from analytics.brinson import InvalidBenchmark, attribute
from analytics.history import History
from analytics.leftovers import UNPRICED
from analytics.numbers import ZERO, rounded
from topics.messages import Pins

CASH, UNCLASSIFIED = "Cash", "Unclassified"


class ContributionRow(Part):
    """What one holding added; `share` of the total return, null when that is zero."""

    name: str
    currency: str
    weight: Ratio = Field(description="average beginning weight")
    contribution: Ratio = Field(description="Σ (k_t/K)·w_t·r_t, Carino")
    share: Ratio | None = Field(description="contribution / total return")


class Contribution(Stamped):
    """Contributions, largest first; they sum to `total`, which equals the return computed from NAV alone."""

    rows: tuple[ContributionRow, ...] = Field(strict=False)
    total: Ratio | None = Field(description="Σ contributions")
    twr: Ratio | None = Field(description="Π(1 + r_t) − 1 from NAV and flows alone")
    residual_bp: Ratio | None = Field(description="|total − twr| in basis points, below 0.1")
    start: date | None


class SectorRow(Part):
    """One sector of a benchmark."""

    sector: str
    weight: Ratio
    value: Ratio = Field(alias="return")


class SectorBenchmark(Part):
    """A benchmark with weights and returns of its sectors over the same period; weights sum to one."""

    name: str
    sectors: tuple[SectorRow, ...] = Field(strict=False, min_length=1, max_length=1_000)


class BrinsonRow(Part):
    """Effects of one sector; a side's return is null where it holds nothing.

    Without a benchmark return the whole effect, w(r − B), is allocation.
    """

    sector: str
    weight: Ratio = Field(description="average beginning weight w")
    own_return: Ratio | None = Field(description="r = linked contribution / w")
    benchmark_weight: Ratio
    benchmark_return: Ratio | None
    allocation: Ratio = Field(description="(w − W)(b − B)")
    selection: Ratio = Field(description="W(r − b)")
    interaction: Ratio = Field(description="(w − W)(r − b)")
    total: Ratio = Field(description="allocation + selection + interaction")


class BrinsonAttribution(Stamped):
    """Brinson–Fachler attribution; allocation + selection + interaction + other = active return.

    Attributes:
        other: costs, trades without a price, and what average weights leave over.
    """

    benchmark: str | None
    sectors: tuple[BrinsonRow, ...] = Field(strict=False)
    portfolio_return: Ratio | None = Field(description="R, time-weighted")
    benchmark_return: Ratio | None = Field(description="B = ΣW·b")
    active: Ratio | None = Field(description="R − B")
    allocation: Ratio | None = Field(description="Σ (w − W)(b − B)")
    selection: Ratio | None = Field(description="Σ W(r − b)")
    interaction: Ratio | None = Field(description="Σ (w − W)(r − b)")
    total: Ratio | None = Field(description="allocation + selection + interaction")
    other: Ratio | None = Field(description="active − allocation − selection − interaction")
    start: date | None


class ExposureRow(Part):
    """All that depends on one currency; negative where more is owed than held."""

    currency: str
    value_local: Money | None
    value_base: Money | None = Field(description="Σ q·P·S")
    weight: Ratio | None = Field(description="value / NAV")
    effect_of_10_percent: Money | None = Field(description="0.1 × value: gain when the currency rises 10%")
    reason: str | None


class FxExposure(Stamped):
    """Values by currency, largest first; `foreign` is the share outside the base currency, nothing is hedged."""

    rows: tuple[ExposureRow, ...] = Field(strict=False)
    value_base: Money | None = Field(description="Σ q·P·S: NAV")
    weight: Ratio | None = Field(description="Σ weights: 1")
    foreign: Ratio | None = Field(description="Σ |weight| outside the base currency")


class CurrencyHistory(Stamped):
    """Value by currency at month ends, base currency; one column per currency, zero where nothing is held."""

    dates: tuple[date, ...] = Field(strict=False)
    values: dict[str, tuple[Ratio, ...]]
    rows: tuple[dict[str, str | float], ...] = Field(strict=False)
    currencies: tuple[str, ...] = Field(strict=False)


def currency_history(pins: Pins, history: History, ends_early: str = "") -> CurrencyHistory:
    """Return month-end values by the currency they are quoted in, with a warning if the last days have no value."""
    last_of_month = {(on.year, on.month): at for at, on in enumerate(history.dates)}
    days = sorted(last_of_month.values())
    units = history.begin + history.traded
    values: dict[str, tuple[float, ...]] = {}
    for column, currency in enumerate(history.currencies):
        own = history.symbol_currency == column
        local = history.money[:, column] + (units[:, own] * history.price[:, own]).sum(axis=1)
        rates = np.nan_to_num(history.fx[:, column])
        kept = [rounded(local[at] * rates[at], 2) for at in days]
        if any(kept):
            values[currency] = tuple(kept)
    dates = tuple(history.dates[at] for at in days)
    rows: list[dict[str, str | float]] = [
        {"date": on.isoformat(), **{currency: column[at] for currency, column in values.items()}}
        for at, on in enumerate(dates)
    ]
    return CurrencyHistory(
        dates=dates,
        values=values,
        rows=tuple(rows),
        currencies=tuple(values),
        **stamp(
            pins,
            "Σ q·P·S per currency with cash, on the last valued day of each month",
            len(days),
            warnings=[f"{ends_early}, so the series ends on {history.dates[-1]}"] if ends_early else (),
        ),
    )


def brinson_of(
    pins: Pins, found: Attribution, benchmark: SectorBenchmark, sectors: Mapping[str, str]
) -> BrinsonAttribution:
    """Return the attribution of a linked return against a benchmark's sectors."""
    own: dict[str, tuple[float, float]] = {}
    unclassified: list[str] = []
    costs = 0.0
    for row in found.by_position:
        if row.name in (COSTS, UNPRICED):  # of no sector
            costs += row.total
            continue
        sector = CASH if row.name.startswith("cash:") else sectors.get(row.name)
        if sector is None:
            unclassified.append(row.name)
            sector = UNCLASSIFIED
        weight, gained = own.get(sector, (0.0, 0.0))
        own[sector] = (weight + row.weight, gained + row.total)
    given = Counter(row.sector for row in benchmark.sectors)
    twice = [sector for sector, times in given.items() if times > 1]
    if twice:
        raise InvalidBenchmark(f"expected each sector of the benchmark once, got {', '.join(twice)} more than once")
    effects = attribute(own, {row.sector: (row.weight, row.value) for row in benchmark.sectors}, found.twr)
    warnings = list(found.warnings)
    if unclassified:
        warnings.append(f"no sector given for {', '.join(unclassified)}: counted as {UNCLASSIFIED}")
    return BrinsonAttribution(
        benchmark=benchmark.name,
        sectors=tuple(
            BrinsonRow(
                sector=row.name,
                weight=row.weight,
                own_return=row.own_return,
                benchmark_weight=row.benchmark_weight,
                benchmark_return=row.benchmark_return,
                allocation=row.allocation,
                selection=row.selection,
                interaction=row.interaction,
                total=row.total,
            )
            for row in effects.sectors
        ),
        portfolio_return=effects.portfolio_return,
        benchmark_return=effects.benchmark_return,
        active=effects.active,
        allocation=effects.allocation,
        selection=effects.selection,
        interaction=effects.interaction,
        total=effects.allocation + effects.selection + effects.interaction,
        other=effects.other,
        start=found.start,
        **stamp(
            pins,
            "Brinson–Fachler (1985) with average weights; a sector's return is its linked contribution over its weight",
            found.n_obs,
            warnings=warnings,
        ),
    )


def no_brinson(pins: Pins, reason: str) -> BrinsonAttribution:
    """Return an attribution that could not be made."""
    names = (
        "portfolio_return",
        "benchmark_return",
        "active",
        "allocation",
        "selection",
        "interaction",
        "total",
        "other",
    )
    return BrinsonAttribution(
        benchmark=None,
        sectors=(),
        **dict.fromkeys(names),
        start=None,
        **stamp(pins, "Brinson–Fachler (1985)", 0, reasons=dict.fromkeys(names, reason)),
    )


def fx_exposure(pins: Pins, positions: Sequence[ValuedRow]) -> FxExposure:
    """Return values by the currency they are quoted in."""
    nav = total(row.value_base for row in positions)
    by_currency: dict[str, list[ValuedRow]] = {}
    for row in positions:
        by_currency.setdefault(row.price_currency or row.trading_currency, []).append(row)
    rows: list[ExposureRow] = []
    for currency, held in by_currency.items():
        value = total(row.value_base for row in held)
        local = total(row.value_local for row in held)
        missing = unvalued(held)
        home = currency == pins.base_ccy
        rows.append(
            ExposureRow(
                currency=currency,
                value_local=local,
                value_base=value,
                weight=float(value / nav) if value is not None and nav is not None and nav > 0 else None,
                effect_of_10_percent=None if value is None else ZERO if home else value * Decimal("0.1"),
                reason=missing or None,
            )
        )
    rows.sort(key=lambda row: (-(row.value_base or ZERO), row.currency))
    weights = {row.currency: row.weight for row in rows if row.weight is not None}
    known = len(weights) == len(rows)
    foreign = fsum(abs(weight) for currency, weight in weights.items() if currency != pins.base_ccy)
    why = "a price or rate is missing" if nav is None else "the value is not above zero"
    return FxExposure(
        rows=tuple(rows),
        value_base=nav,
        weight=fsum(weights.values()) if known else None,
        foreign=foreign if known else None,
        **stamp(
            pins,
            "values by currency of quotation, cash, receivables and shorts included; no hedges",
            len(positions),
            reasons={"value_base": "" if nav is not None else why}
            | ({} if known else dict.fromkeys(("weight", "foreign"), why)),
        ),
    )
