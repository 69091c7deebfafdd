"""Returns of a portfolio: time-weighted, money-weighted, modified Dietz, and the value behind them day by day."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import numpy as np

from agents.analyst.desk import Desk, ValuedRows, cite, pinned, same_pack, stamp, worth_of
from agents.analyst.nav import DietzMetrics, MoneyWeightedReturn, NavHistory, nav_history
from agents.answers import DailySeries, DrawdownRow, GapRow, PerformanceMetrics, ValuedRow
from agents.books import Performance
from agents.capability import capability
from agents.context import CapabilityContext
from agents.positions import total, unvalued
from analytics.dietz import DietzReturn, modified_dietz
from analytics.history import History
from analytics.money_weighted import money_weighted
from analytics.numbers import ZERO, money
from analytics.returns import Twr
from topics.messages import Pins

_PERIODS = {"mtd": "MTD", "qtd": "QTD", "ytd": "YTD", "one_year": "1Y"}


class ReturnsGroup(Desk):
    """Returns and the values behind them."""

    @capability("metrics.compute_twr", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",))
    async def compute_twr(
        self, context: CapabilityContext, positions: ValuedRows, pack_id: UUID | None = None
    ) -> PerformanceMetrics:
        """Measure the daily time-weighted return over the pack series; the positions must agree with its end."""
        pins = pinned(context)
        same_pack(pins, pack_id)
        book, performance = await self._books.performance(context)
        worth, gap_bp = worth_of(performance.twr, positions, pins)
        cite(context, book)
        if performance.contradiction:
            context.report(warning=performance.contradiction)
        return _metrics(pins, performance, positions, worth, gap_bp)

    @capability("metrics.compute_mwr", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",))
    async def compute_mwr(self, context: CapabilityContext, positions: ValuedRows) -> MoneyWeightedReturn:
        """Measure the money-weighted return since inception; refused when no or several rates solve the equation."""
        pins = pinned(context)
        book, performance = await self._books.performance(context)
        twr = performance.twr
        worth, _ = worth_of(twr, positions, pins)
        cite(context, book)
        found, reason = None, ""
        if worth is None:
            reason = f"no value on {pins.asof}: a price or rate is missing"
        elif not twr.dates or twr.net_flows is None:
            reason = twr.reason or "external flows fell on days without a value"
        elif twr.restarts:
            reason = _no_rate_over_restarts(twr)
        else:
            # Measured from the first close, like the time-weighted return.
            flows, reason = _flows_since(performance.history, twr.dates[0])
            if not reason:
                payments = [(twr.dates[0], -twr.nav[0]), *((on, -amount) for on, amount in flows)]
                found = money_weighted([*payments, (twr.dates[-1], worth)])
                reason = found.reason
        gain = before = None
        if worth is not None and twr.net_flows is not None and twr.dates:
            gain = worth - twr.nav[0] - sum(twr.flow[1:], ZERO)
            before = worth - twr.net_flows - gain
        reasons = {"period": reason if found is None or found.period is None else ""}
        reasons["annual"] = reason if found is None or found.annual is None else ""
        reasons["gain"] = reason if gain is None else ""
        return MoneyWeightedReturn(
            period=found.period if found else None,
            annual=found.annual if found else None,
            net_flows=twr.net_flows,
            value=worth,
            gain=gain,
            start=twr.dates[0] if twr.dates else None,
            **stamp(
                pins,
                "Σ CF/(1 + r)^(days/365) = 0 with the closing value as last payment, flows on their own days at their"
                " own rates; GIPS 2020, 2.A.29",
                found.flows if found else 0,
                reasons=reasons,
                warnings=[*twr.warnings, *_before_the_first_close(before, pins.base_ccy)],
            ),
        )

    @capability("metrics.modified_dietz", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",))
    async def compute_dietz(
        self, context: CapabilityContext, positions: ValuedRows, start: date | None = None
    ) -> DietzMetrics:
        """Measure the modified Dietz return from a day to now: needs no values in between."""
        pins = pinned(context)
        book, performance = await self._books.performance(context)
        twr = performance.twr
        worth, _ = worth_of(twr, positions, pins)
        cite(context, book)
        first = 0
        if start is not None:
            first = max((at for at, on in enumerate(twr.dates) if on <= start), default=0)
        opened = twr.dates[first] if twr.dates else None
        found = DietzReturn(None, None, None, twr.reason or "nothing was held")
        if worth is None:
            found = DietzReturn(None, None, None, f"no value on {pins.asof}: a price or rate is missing")
        elif opened is not None and any(on > opened for on in twr.restarts):
            found = DietzReturn(None, None, None, _no_rate_over_restarts(twr))
        elif opened is not None and twr.net_flows is not None:
            flows, reason = _flows_since(performance.history, opened)
            # Days on which nothing is invested any more would weigh what was paid out against itself.
            ended = pins.asof if twr.emptied is None else twr.dates[twr.emptied]
            if ended < opened:
                reason = f"everything was paid out on {ended}"
            found = DietzReturn(None, None, None, reason)
            if not reason:
                found = modified_dietz(opened, ended, twr.nav[first], worth, flows)
        warnings = list(twr.warnings)
        if start is not None and opened is not None and opened > start:
            warnings.append(f"the history starts on {opened}, after {start}")
        return DietzMetrics(
            value=found.value,
            gain=found.gain,
            average_capital=found.average_capital,
            start=opened,
            **stamp(
                pins,
                "(V1 − V0 − ΣF) / (V0 + ΣF·w), calendar-day weights, flows at the end of their own days at"
                " their own rates; GIPS 2020, 2.A.24.d",
                1 if found.value is not None else 0,
                reasons={"value": found.reason} if found.value is None else None,
                warnings=warnings,
            ),
        )

    @capability("portfolio.historical_nav", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",))
    async def historical_nav(self, context: CapabilityContext) -> NavHistory:
        """List value, external flows and returns day by day and month by month; past numbers never move on a pack."""
        pins = pinned(context)
        book, performance = await self._books.performance(context)
        cite(context, book)
        return nav_history(pins, performance.twr)


def _metrics(
    pins: Pins,
    performance: Performance,
    positions: list[ValuedRow],
    worth: Decimal | None,
    gap_bp: float | None,
) -> PerformanceMetrics:
    twr = performance.twr
    cost = total(row.cost_base for row in positions)
    unpriced = unvalued(positions)
    reasons: dict[str, str] = {}
    by_name = {period.name: period for period in twr.periods}
    periods = {name: by_name[key] for name, key in _PERIODS.items()}

    def figure(name: str, value: float | None, why: str) -> float | None:
        if unpriced:
            value, why = None, f"no value on {pins.asof}: {unpriced}"
        if value is None:
            reasons[name] = why or "not available"
        return value

    measured = {name: figure(name, period.value, period.reason) for name, period in periods.items()}
    if worth is None:
        reasons["total_value"] = unpriced
    if cost is None:
        reasons["total_cost"] = "; ".join(f"{row.symbol}: {row.reason}" for row in positions if row.cost_base is None)
    if worth is None or cost is None:
        reasons["unrealized_pl"] = reasons.get("total_value") or reasons["total_cost"]
    if twr.net_flows is None:
        gap = twr.gaps[-1]
        reasons["net_flows"] = f"external flows since the last valued day; {gap.on}: {gap.reason}"
    return PerformanceMetrics(
        twr=figure("twr", twr.twr, twr.reason),
        annualised=figure("annualised", twr.annualised, twr.reason or _not_annualised(twr)),
        **measured,
        inception=figure("inception", twr.twr, twr.reason),
        since_restart=figure("since_restart", twr.since_restart, twr.reason or _no_return_since(twr)),
        total_value=worth,
        total_cost=cost,
        unrealized_pl=None if worth is None or cost is None else worth - cost,
        net_flows=twr.net_flows,
        base_currency=pins.base_ccy,
        asof=pins.asof,
        start=twr.dates[twr.origin] if twr.dates else None,
        starts={
            name: period.start
            for name, period in periods.items()
            if period.start is not None and measured[name] is not None
        },
        drawdown=DrawdownRow(
            depth=figure("drawdown", twr.drawdown.depth, twr.reason),
            peak=twr.drawdown.peak,
            trough=twr.drawdown.trough,
            recovery=twr.drawdown.recovery,
            current=None if unpriced else twr.drawdown.current,
        ),
        series=DailySeries(dates=twr.dates, **{name: tuple(column) for name, column in twr.columns().items()}),
        gaps=tuple(GapRow(date=gap.on, reason=gap.reason) for gap in twr.gaps),
        restarts=twr.restarts,
        reasons=reasons,
        reconciliation_bp=gap_bp,
        pack_id=pins.pricing_pack_id,
        ledger_commit=str(pins.ledger_commit_hash),
        method="daily time-weighted return, geometrically linked, external flows at the end of the day",
        n_obs=int(np.count_nonzero(~np.isnan(twr.returns[twr.origin :]))),
        warnings=twr.warnings,
    )


def _flows_since(history: History, opened: date) -> tuple[list[tuple[date, Decimal]], str]:
    """Return external flows after a close, each on its own day, base currency; and why one has no amount."""
    found: list[tuple[date, Decimal]] = []
    for flow in history.flows:
        if flow.on > opened:
            if flow.amount is None:
                return [], flow.reason
            found.append((flow.on, flow.amount))
    return found, ""


def _no_rate_over_restarts(twr: Twr) -> str:
    why = twr.restart_reasons[-1]
    if (twr.returns <= -1.0).any():
        return f"{why}: money lost before cannot earn a rate"
    worthless = twr.dates.index(twr.restarts[-1]) - 1
    while worthless and twr.nav[worthless - 1] <= 0:
        worthless -= 1
    if worthless and not twr.nav[worthless]:
        why = f"everything was paid out on {twr.dates[worthless]}"
    return f"{why}: no rate spans days on which nothing was invested"


def _before_the_first_close(before: Decimal | None, base: str) -> list[str]:
    said = money(abs(before or ZERO))
    if before is None or said == "0":  # nothing, or less than the last digit shown
        return []
    what = "earned" if before > 0 else "lost"
    return [f"{what} before the first close, and in no return: {said} {base}"]


def _no_return_since(twr: Twr) -> str:
    return f"no return since the restart on {twr.dates[twr.segment]} yet" if twr.dates else "nothing was held"


def _not_annualised(twr: Twr) -> str:
    return "everything was lost" if twr.twr is not None and twr.twr <= -1.0 else "less than one year"
