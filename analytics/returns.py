"""Time-weighted return of a history, its periods and its index.

With external flows at the end of the day, r_t = (V_t − F_t) / V_{t−1} − 1; with flows at the
start, r_t = V_t / (V_{t−1} + F_t) − 1. Daily returns are linked geometrically (GIPS 2020,
2.A.24.f) and never annualised for less than a year (2.A.12). Where V_{t−1} ≤ 0 no return exists:
the index stops and starts again at 1, flagged; no figure is measured from such a day. A day that
loses everything, or more (debt remains), returns −1: the index stops at 0, measuring ends, and a
warning gives the loss.

Figures since inception count from the last time everything had been taken out and money came in
again: nothing was invested in between, so nothing links the two. A loss of everything is no such
break: linked over it the return stays −100%, and so does the deepest drawdown, whatever money put
in afterwards earned (`since_restart` says that).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from analytics.drawdown import NO_DRAWDOWN, Drawdown, max_drawdown, underwater
from analytics.history import Gap, History
from analytics.numbers import ZERO, money, ratio

FlowTiming = Literal["end_of_day", "start_of_day"]
DAYS_PER_YEAR = 365
RECONCILE_BP_MAX = Decimal(1)
_ROUNDING = 1e-9
# A weekly series has a close this near to any day; an older one would measure another period than the one named.
_BOUNDARY_AGE_MAX = timedelta(days=6)


class NotReconciled(ValueError):
    """The series' last value and the valued positions differ by more than one basis point."""


@dataclass(frozen=True, slots=True)
class Period:
    """A return over a named period.

    Attributes:
        start: valued day the return is measured from (its close).
        value: None with a `reason` when there is no close near enough to measure from, or nothing links it to now.
    """

    name: str
    start: date | None
    value: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Twr:
    """A time-weighted return and all that goes with it.

    Attributes:
        asof: last valued day; None for an empty history.
        twr: since `origin`; None with `reason` when there is no return.
        since_restart: since `segment`, the same figure unless everything was lost before; None when there is no return.
        annualised: geometric, None for less than a year.
        returns: per valued day of `dates`, never below −1; NaN on the first and where the value before was not
            above zero.
        index: per valued day, 1 at the start and, after a restart, 1 × (1 + the day's return, if it has one).
        net_flows: sum of all external flows; None when some fell on days after the last valued one.
        origin: index of the valued day that figures since inception count from.
        segment: index of the first valued day since the index last started, not before `origin`.
        emptied: index of the valued day on which everything was paid out, when nothing has come in since: figures since
            inception end there; None otherwise.
        restarts: days the index started again.
        restart_reasons: why, one for each of `restarts`.
    """

    asof: date | None
    base: str
    timing: FlowTiming
    twr: float | None
    since_restart: float | None
    annualised: float | None
    reason: str
    periods: tuple[Period, ...]
    drawdown: Drawdown
    dates: tuple[date, ...]
    nav: tuple[Decimal, ...]
    flow: tuple[Decimal, ...]
    net_flows: Decimal | None
    returns: NDArray[np.float64]
    index: NDArray[np.float64]
    origin: int
    segment: int
    emptied: int | None
    restarts: tuple[date, ...]
    restart_reasons: tuple[str, ...]
    gaps: tuple[Gap, ...]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return JSON; series are columns of equal length over `dates`."""
        last = self.nav[-1] if self.nav else None
        return {
            "asof": self.asof.isoformat() if self.asof else None,
            "base_currency": self.base,
            "twr": ratio(self.twr),
            "annualised": ratio(self.annualised),
            "reason": self.reason or None,
            "nav": money(last),
            "periods": {
                period.name: {
                    "value": ratio(period.value),
                    "start": period.start.isoformat() if period.start else None,
                    "reason": period.reason or None,
                }
                for period in self.periods
            },
            "drawdown": self.drawdown.as_json(),
            "net_flows": money(self.net_flows),
            "series": {"dates": [on.isoformat() for on in self.dates], **self.columns()},
            "gaps": [{"date": gap.on.isoformat(), "reason": gap.reason} for gap in self.gaps],
            "restarts": [on.isoformat() for on in self.restarts],
            "method": f"daily geometric linking, external flows at {self.timing}",
            "n_obs": int(np.count_nonzero(~np.isnan(self.returns))),
            "warnings": list(self.warnings),
        }

    def columns(self) -> dict[str, list[Any]]:
        """Return columns as long as `dates`: `nav` and `flow` as text, `index` and `drawdown` rounded."""
        return {
            "nav": [money(amount) for amount in self.nav],
            "flow": ["0" if amount is ZERO else money(amount) for amount in self.flow],
            "index": [ratio(value) for value in self.index.tolist()],
            "drawdown": [ratio(value) for value in self._underwater()],
        }

    def _underwater(self) -> list[float]:
        """Return drawdown per day, each segment on its own."""
        starts = [0, *(self.dates.index(on) for on in self.restarts), len(self.dates)]
        out: list[float] = []
        for start, end in pairwise(starts):
            if end > start:
                out.extend(underwater(self.index[start:end]).tolist())
        return out


def compute_twr(history: History, timing: FlowTiming = "end_of_day") -> Twr:
    """Return the time-weighted return of a history. Cost: O(valued days)."""
    count = len(history.dates)
    returns, restarts, lost = _daily(history, timing)
    origin = _origin(restarts, lost)
    segment = restarts[-1] if restarts else 0
    growth: NDArray[np.float64] = np.where(np.isnan(returns), 1.0, 1.0 + returns)
    index = np.ones(count)
    for start, end in pairwise([0, *restarts, count]):
        index[start:end] = np.cumprod(growth[start:end])
    # The index without restarts after a loss: 0 from there on.
    linked: NDArray[np.float64] = np.cumprod(growth[origin:], dtype=np.float64)
    warnings = list(history.warnings)
    warnings.extend(f"{text}: the return is -100% and measuring ends there" for text in lost.values())
    why = [lost.get(at - 1) or f"the value was not above zero on {history.dates[at - 1]}" for at in restarts]
    warnings.extend(
        f"{text}: the return index restarts on {history.dates[at]}" for at, text in zip(restarts, why, strict=True)
    )
    emptied = _emptied(history, returns)
    if emptied is not None and emptied < count - 1:
        warnings.append(f"everything was paid out on {history.dates[emptied]}: figures since inception end there")
    elif count and history.nav[-1] <= 0:
        warnings.append(f"value is not above zero on {history.dates[-1]}: the index stands still")
    if history.gaps:
        warnings.append(
            f"{len(history.gaps)} day(s) without a value, first {history.gaps[0].on}: {history.gaps[0].reason}"
        )
    if history.flow_in_gap:
        warnings.append(
            f"external flows inside unvalued days before {history.flow_in_gap[0]}: the return of"
            " that interval treats them as made at its end"
        )
    if history.flow_between:
        days = len(history.flow_between)
        warnings.append(
            f"external flows on {days} day(s) without a close, first {history.flow_between[0]}: the time-weighted"
            " return counts them at the next close"
        )
    asof = history.dates[-1] if count else None
    measured = not np.isnan(returns[origin:]).all()
    twr = float(linked[-1]) - 1.0 if measured else None
    since_restart = None if np.isnan(returns[segment:]).all() else float(index[-1]) - 1.0
    reason = "" if measured else _no_return(history, origin)
    if origin:
        warnings.append(f"figures since inception count from {history.dates[origin]}, when money came in again")
    if origin < segment and since_restart is not None:
        warnings.append(
            f"figures since inception stay at -100%: since the restart on {history.dates[segment]} the return is"
            f" {since_restart:.2%}"
        )
    days = (history.dates[-1 if emptied is None else emptied] - history.dates[origin]).days if count else 0
    annualised = None
    if twr is not None and days >= DAYS_PER_YEAR and twr > -1.0:
        annualised = (1.0 + twr) ** (DAYS_PER_YEAR / days) - 1.0
    elif twr is not None:
        short = "less than one year" if days < DAYS_PER_YEAR else "everything was lost"
        warnings.append(f"{short}: not annualised")
    tail = history.dates[origin:]
    return Twr(
        asof=asof,
        base=history.base,
        timing=timing,
        twr=twr,
        since_restart=since_restart,
        annualised=annualised,
        reason=reason,
        periods=_periods(history, index, returns, origin, segment, twr, reason),
        drawdown=_drawdown(tail, linked) if measured else NO_DRAWDOWN,
        dates=history.dates,
        nav=history.nav,
        flow=history.flow,
        net_flows=None if history.flow_after else sum(history.flow, ZERO),
        returns=returns,
        index=index,
        origin=origin,
        segment=segment,
        emptied=emptied,
        restarts=tuple(history.dates[at] for at in restarts),
        restart_reasons=tuple(why),
        gaps=history.gaps,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def reconcile(result: Twr, total_value: Decimal) -> Decimal:
    """Compare the series' last NAV with the valued positions; return the gap in basis points.

    Raises:
        NotReconciled: more than one basis point apart, or there is no series.
    """
    if not result.nav:
        raise NotReconciled(f"positions are worth {total_value} but the series is empty")
    last = result.nav[-1]
    scale = max(abs(last), abs(total_value))
    gap = ZERO if not scale else abs(last - total_value) / scale * 10_000
    if gap > RECONCILE_BP_MAX:
        raise NotReconciled(
            f"the series ends at {last} {result.base} on {result.asof}, the valued positions sum"
            f" to {total_value}: {gap:.4f} bp apart; {RECONCILE_BP_MAX} are allowed"
        )
    return gap


def _daily(history: History, timing: FlowTiming) -> tuple[NDArray[np.float64], list[int], dict[int, str]]:
    """Return one return per valued day, the days the index restarts, and the days all was lost with what was lost."""
    count = len(history.dates)
    returns = np.full(count, np.nan)
    if not count:
        return returns, [], {}
    nav = np.array(history.nav, dtype=np.float64)
    flow = np.array(history.flow, dtype=np.float64)
    before = np.concatenate(([0.0], nav[:-1]))
    opening = before if timing == "end_of_day" else before + flow
    gained = nav - flow - before
    valid = opening > 0.0
    returns[valid] = gained[valid] / opening[valid]
    lost: dict[int, str] = {}
    for at in np.nonzero(valid & (returns <= -1.0))[0].tolist():
        more = -returns[at] > 1.0 + _ROUNDING
        lost[at] = f"everything was lost on {history.dates[at]}"
        if more:
            lost[at] = f"more than everything was lost on {history.dates[at]} ({-returns[at]:.2%} of the value)"
    # Who owes more than everything has lost everything; an index below zero would turn later losses into gains.
    returns[list(lost)] = -1.0
    stopped = {int(at) for at in np.nonzero(~valid)[0] if at > 0}
    # After a day that lost everything (or more) the index cannot go on either.
    stopped |= {at + 1 for at in lost if at + 1 < count}
    # Of a run of worthless days only the one that brings value again starts a new index.
    return returns, sorted(at for at in stopped if nav[at] > 0.0), lost


def _emptied(history: History, returns: NDArray[np.float64]) -> int | None:
    measured = np.nonzero(~np.isnan(returns))[0].tolist()
    if not measured or returns[measured[-1]] <= -1.0 or any(history.nav[measured[-1] :]):
        return None
    return measured[-1]


def _no_return(history: History, segment: int) -> str:
    """Say why a history has no return."""
    if not history.dates:
        return history.gaps[0].reason if history.gaps else "nothing was held"
    if history.nav[segment] <= 0:
        return f"the value was not above zero on {history.dates[segment]}"
    return "no two valued days in a row"


def _drawdown(dates: Sequence[date], index: NDArray[np.float64]) -> Drawdown:
    """Return the drawdown from 1, also when the first day has a return of its own."""
    if len(index) and index[0] != 1.0:
        return max_drawdown([dates[0], *dates], np.concatenate(([1.0], index)))
    return max_drawdown(dates, index)


def _periods(
    history: History,
    index: NDArray[np.float64],
    returns: NDArray[np.float64],
    origin: int,
    segment: int,
    itd: float | None,
    reason: str,
) -> tuple[Period, ...]:
    """Return MTD, QTD, YTD, 1Y and ITD, each from the last valued day before it starts, if that is near."""
    if not history.dates:
        return tuple(Period(name, None, None, reason) for name in PERIOD_NAMES)
    dates = history.dates[origin:]
    last = dates[-1]
    quarter = last.replace(month=(last.month - 1) // 3 * 3 + 1, day=1)
    starts = {
        "MTD": last.replace(day=1) - timedelta(days=1),
        "QTD": quarter - timedelta(days=1),
        "YTD": last.replace(month=1, day=1) - timedelta(days=1),
        "1Y": _year_before(last),
    }
    found: list[Period] = []
    for name, boundary in starts.items():
        near = _last_on_or_before(dates, boundary)
        if near is None:
            found.append(Period(name, None, None, f"history starts on {dates[0]}, after {boundary}"))
            continue
        if boundary - dates[near] > _BOUNDARY_AGE_MAX:
            why = f"no value near {boundary}: the last before it is of {dates[near]}"
            found.append(Period(name, None, None, why))
            continue
        at = origin + near
        on, after = history.dates[at], returns[at + 1 :]
        if history.nav[at] <= 0 or np.isnan(after).all():
            lost = index[at] <= 0.0
            why = f"everything was lost by {on}" if lost else f"the value was not above zero on {on}"
            found.append(Period(name, on, None, why))
        elif (after <= -1.0).any():
            found.append(Period(name, on, -1.0))
        elif segment > at + 1:
            why = f"the return index restarts on {history.dates[segment]}: nothing links the days before and after"
            found.append(Period(name, on, None, why))
        else:
            # Money that came in on the very day all was lost is measured from that day's close.
            opening = 1.0 if segment > at else float(index[at])
            found.append(Period(name, on, float(index[-1]) / opening - 1.0))
    found.append(Period("ITD", dates[0], itd, reason))
    return tuple(found)


def _origin(restarts: Sequence[int], lost: Mapping[int, str]) -> int:
    """Return the valued day figures since inception count from: the last orderly restart, but no loss is left out."""
    orderly = [at for before, at in pairwise([0, *restarts]) if not any(before <= day < at for day in lost)]
    return max((at for at in orderly if not lost or at <= max(lost)), default=0)


PERIOD_NAMES = ("MTD", "QTD", "YTD", "1Y", "ITD")


def _year_before(day: date) -> date:
    try:
        return day.replace(year=day.year - 1)
    except ValueError:  # 29 February
        return day.replace(year=day.year - 1, day=28)


def _last_on_or_before(dates: Sequence[date], boundary: date) -> int | None:
    low, high = 0, len(dates)
    while low < high:
        middle = (low + high) // 2
        if dates[middle] <= boundary:
            low = middle + 1
        else:
            high = middle
    return low - 1 if low else None
