"""The value of a portfolio over time, and returns that need no daily values: answers of `agents.analyst.returns`."""

from datetime import date
from decimal import Decimal
from math import prod

from pydantic import Field

from agents.analyst.desk import Stamped, stamp, unvalued_end
from agents.answers import GapRow
from agents.fields import Money, MoneyText, Part, Ratio
from analytics.months import monthly, restart_within
from analytics.numbers import ZERO, money
from analytics.returns import Twr
from topics.messages import Pins


class MoneyWeightedReturn(Stamped):
    """Money-weighted return since inception: `period` over the whole time, `annual` null below one year."""

    period: Ratio | None = Field(description="(1 + r)^(days/365) − 1 with Σ CF/(1 + r)^(d/365) = 0")
    annual: Ratio | None = Field(description="r with Σ CF/(1 + r)^(d/365) = 0; null below one year")
    net_flows: Money | None = Field(description="Σ deposits − Σ withdrawals, at the day's rate")
    value: Money | None = Field(description="value now, Σ q·P·S with cash and dividends owed")
    gain: Money | None = Field(description="value − value at the first close − flows since: earned in money since then")
    start: date | None


class DietzMetrics(Stamped):
    """Modified Dietz return from the close of `start`; flows count on their own days, at their own days' rates."""

    value: Ratio | None = Field(description="(V1 − V0 − ΣF) / (V0 + ΣF·w), w = (CD − D)/CD")
    gain: Money | None = Field(description="V1 − V0 − ΣF")
    average_capital: Money | None = Field(description="V0 + ΣF·w")
    start: date | None


class MonthRow(Part):
    """Return of a calendar month; `whole` is false for the month the history begins or ends in.

    Attributes:
        reason: why `value` is null: the return index restarts inside the month.
    """

    year: int
    month: int
    value: Ratio | None = Field(description="Π(1 + r_day) − 1 over the month")
    whole: bool
    reason: str | None


class YearRow(Part):
    """Return of a calendar year; `whole` is false where it does not span the year.

    Attributes:
        reason: why `value` is null: the return index restarts inside the year.
    """

    year: int
    value: Ratio | None = Field(description="Π(1 + r_month) − 1 over the year")
    whole: bool
    reason: str | None


class NavHistory(Stamped):
    """Columns of equal length, one entry per valued day, and returns by month and year.

    Attributes:
        start: day the return index last started at 1.
        invested: deposits less withdrawals up to the day; value − invested is what was earned.
    """

    start: date | None

    dates: tuple[date, ...] = Field(strict=False)
    nav: tuple[MoneyText, ...] = Field(strict=False)
    flow: tuple[MoneyText, ...] = Field(strict=False)
    invested: tuple[MoneyText, ...] = Field(strict=False)
    index: tuple[Ratio, ...] = Field(strict=False)
    months: tuple[MonthRow, ...] = Field(strict=False)
    years: tuple[YearRow, ...] = Field(strict=False)
    best_month: Ratio | None = Field(description="largest return of a whole month")
    worst_month: Ratio | None = Field(description="smallest return of a whole month")
    gaps: tuple[GapRow, ...] = Field(strict=False)


def nav_history(pins: Pins, twr: Twr) -> NavHistory:
    """Return the history behind a time-weighted return."""
    rows = monthly(twr.dates, twr.returns.tolist(), twr.restarts)
    whole = [row.value for row in rows if row.whole and row.value is not None]
    years: list[YearRow] = []
    for year in sorted({row.year for row in rows}):
        own = [row for row in rows if row.year == year]
        first = next(on for on in twr.dates if on.year == year)
        reason = restart_within(twr.restarts, first, own[-1].end)
        linked = None if reason else prod(1.0 + row.value for row in own if row.value is not None) - 1.0
        complete = len(own) == 12 and all(row.whole for row in own) and not reason
        years.append(YearRow(year=year, value=linked, whole=complete, reason=reason or None))
    invested: list[str] = []
    running: Decimal = ZERO
    for flow in twr.flow:
        running += flow
        invested.append(money(running) or "0")
    why = "" if whole else "no whole calendar month yet"
    ends_early = unvalued_end(twr, pins)
    return NavHistory(
        start=twr.dates[twr.segment] if twr.dates else None,
        dates=twr.dates,
        nav=tuple(money(value) or "0" for value in twr.nav),
        flow=tuple(money(value) or "0" for value in twr.flow),
        invested=tuple(invested),
        index=tuple(twr.index.tolist()),
        months=tuple(
            MonthRow(year=row.year, month=row.month, value=row.value, whole=row.whole, reason=row.reason or None)
            for row in rows
        ),
        years=tuple(years),
        best_month=max(whole, default=None),
        worst_month=min(whole, default=None),
        gaps=tuple(GapRow(date=gap.on, reason=gap.reason) for gap in twr.gaps),
        **stamp(
            pins,
            "value of every day in the pack's series; months linked geometrically from daily returns",
            max(len(twr.dates) - 1, 0),
            reasons={"best_month": why, "worst_month": why},
            warnings=[*twr.warnings, *([f"{ends_early}, so the series ends on {twr.asof}"] if ends_early else [])],
        ),
    )
