"""Currency attribution: where the time-weighted return came from.

Per interval and holding (cash too) the base return is (1 + r_L)(1 + r_fx) − 1, with r_L including
dividends. With beginning base weights w the three effects

    local w·r_L        fx w·r_fx        interaction w·r_L·r_fx

sum over holdings exactly to the return of what was held. Trades enter at trade price and trade
FX as a separate `trading` effect (close value of units traded plus the money they moved, fees
included), so local + fx + interaction + trading is the day's return. What trades without a price
of their own (a merger, a spin-off) brought beyond the closes they count at is theirs, no cost: of
one security its trading effect, of several a row together. Days are linked after
Carino (1999): with k_t = ln(1 + R_t)/R_t and K = ln(1 + R)/R, each effect is Σ (k_t / K)·c_t and
the linked effects sum to the geometrically linked return R without residual. Intervals that open
without a value above zero have no return and are left out; a loss of everything cannot be linked.

The sum is checked against the return computed from NAV alone, which shares no formula with it.
"""

from dataclasses import dataclass
from datetime import date
from math import fsum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytics.history import Floats, History, day_before, no_rate
from analytics.leftovers import UNPRICED
from analytics.numbers import ratio
from analytics.returns import Twr

RESIDUAL_BP_MAX = 0.1
RESIDUAL_PLACES = 6
COSTS = "costs and exchange"
_BLOCK_DAYS = 256


class NotAdditive(ArithmeticError):
    """Attribution does not sum to the time-weighted return within 0.1 basis points."""


@dataclass(frozen=True, slots=True)
class Effects:
    """Linked effects of one holding, currency or the whole portfolio; ratios of value.

    Attributes:
        name: symbol, `cash:CUR`, `costs and exchange`, `trades without a price`, a currency, or `total`.
        weight: average beginning base weight.
        trading: trades at their price against the close; 0 for cash. Fees and the spread of
            currency exchanges are the row named `costs and exchange`.
    """

    name: str
    currency: str
    weight: float
    local: float
    fx: float
    interaction: float
    trading: float

    @property
    def total(self) -> float:
        """Sum of the four effects."""
        return self.local + self.fx + self.interaction + self.trading

    def as_json(self) -> dict[str, Any]:
        """Return the effects under the keys patterns use."""
        return {
            "name": self.name,
            "currency": self.currency,
            "weight": ratio(self.weight),
            "local_return": ratio(self.local),
            "fx_return": ratio(self.fx),
            "interaction": ratio(self.interaction),
            "trading": ratio(self.trading),
            "total": ratio(self.total),
        }


@dataclass(frozen=True, slots=True)
class Attribution:
    """Effects over `start`…`end` (closes), linked.

    Attributes:
        total: None with a `reason` when there is no return to attribute.
        by_position: securities, cash per currency, then trades without a price and costs; zero rows left out.
        by_currency: positions and cash of each currency together.
        twr: the return they sum to, computed from NAV alone.
        residual_bp: |total − twr| in basis points.
    """

    start: date | None
    end: date | None
    total: Effects | None
    by_position: tuple[Effects, ...]
    by_currency: tuple[Effects, ...]
    twr: float | None
    residual_bp: float | None
    n_obs: int
    reason: str
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return JSON with the totals at the top level."""
        total = self.total
        return {
            "asof": self.end.isoformat() if self.end else None,
            "start": self.start.isoformat() if self.start else None,
            "local_return": ratio(total.local) if total else None,
            "fx_return": ratio(total.fx) if total else None,
            "interaction": ratio(total.interaction) if total else None,
            "trading": ratio(total.trading) if total else None,
            "total": ratio(total.total) if total else None,
            "twr": ratio(self.twr),
            "residual_bp": ratio(self.residual_bp),
            "reason": self.reason or None,
            "by_position": [effects.as_json() for effects in self.by_position],
            "by_currency": [effects.as_json() for effects in self.by_currency],
            "method": "beginning base weights, three-way currency split, Carino linking",
            "n_obs": self.n_obs,
            "warnings": list(self.warnings),
        }


def no_attribution(reason: str, warnings: tuple[str, ...]) -> Attribution:
    """Return an attribution that could not be made."""
    return Attribution(None, None, None, (), (), None, None, 0, reason, warnings)


def attribute(history: History, twr: Twr, *, start: date | None = None) -> Attribution:
    """Attribute the return of a history from the close of `start` to its end.

    Args:
        history: the portfolio day by day.
        twr: of the same history; gives flow timing, the day it counts from and the returns to
            reconcile with.
        start: first close that counts; default the day figures since inception count from. Rounded
            back to a valued day, and forward to that one.

    Raises:
        NotAdditive: the effects do not sum to the return within 0.1 bp.
    Cost: O(K × (N + C)) vectorised.
    """
    first = twr.origin
    if start is not None:
        on_or_before = [at for at, on in enumerate(history.dates) if on <= start]
        first = max(first, on_or_before[-1] if on_or_before else 0)
    # A first day with a return of its own (flows at its start) is attributed too.
    own_return = start is None and first < len(history.dates) and not np.isnan(twr.returns[first])
    days = np.arange(first + (0 if own_return else 1), len(history.dates))
    days = days[~np.isnan(twr.returns[days])]
    lost = days[twr.returns[days] <= -1.0]
    if not len(days) or len(lost):
        reason = twr.reason or "no two valued days in the period"
        if len(lost):
            reason = f"everything was lost on {history.dates[lost[0]]}: effects cannot be linked over that day"
        return no_attribution(reason, twr.warnings)
    missing = _rate_missing(history, days)
    if missing:
        return no_attribution(missing, twr.warnings)
    names = len(history.symbols)
    width = names + len(history.currencies)
    sums = [np.zeros(width) for _ in range(4)]
    weight_sum, held = np.zeros(width), np.zeros(width, dtype=bool)
    daily, costs_by_day, unpriced_by_day = np.zeros(len(days)), np.zeros(len(days)), np.zeros(len(days))
    # Block by block, so that memory does not grow with the years; the divisor K of the linking comes last.
    for first_day in range(0, len(days), _BLOCK_DAYS):
        block = slice(first_day, first_day + _BLOCK_DAYS)
        *parts, unpriced, costs, weight = _daily(history, twr, days[block])
        daily[block] = parts[0].sum(axis=1) + parts[1].sum(axis=1) + parts[2].sum(axis=1)
        daily[block] += parts[3].sum(axis=1) + unpriced + costs
        unpriced_by_day[block], costs_by_day[block] = unpriced, costs
        tied = _carino_day(daily[block])[:, np.newaxis]
        for at, part in enumerate(parts):
            sums[at][: part.shape[1]] += (part * tied).sum(axis=0)
        weight_sum += weight.sum(axis=0)
        held |= weight.any(axis=0)
    linked = float(np.prod(1.0 + daily)) - 1.0
    whole = _carino_whole(linked)
    for each in sums:
        each /= whole
    expected = float(np.prod(1.0 + twr.returns[days])) - 1.0
    traded = sums[3]
    weights = weight_sum / len(days)
    rows = [
        Effects(
            name=history.symbols[at] if at < names else f"cash:{history.currencies[at - names]}",
            currency=history.currencies[int(history.symbol_currency[at]) if at < names else at - names],
            weight=float(weights[at]),
            local=float(sums[0][at]),
            fx=float(sums[1][at]),
            interaction=float(sums[2][at]),
            trading=float(traded[at]),
        )
        for at in range(len(weights))
        if held[at] or any(part[at] for part in sums)
    ]
    for name, by_day in ((UNPRICED, unpriced_by_day), (COSTS, costs_by_day)):
        effect = float((by_day * _carino_day(daily)).sum()) / whole
        if ratio(effect):
            rows.append(Effects(name, history.base, 0.0, 0.0, 0.0, 0.0, effect))
    total = _sum("total", history.base, rows)
    # What is left is the noise of float64; its digits beyond a millionth would differ between machines.
    residual_bp = round(abs(total.total - expected) * 10_000, RESIDUAL_PLACES)
    if not residual_bp < RESIDUAL_BP_MAX:
        raise NotAdditive(
            f"effects sum to {total.total:.12f}, the return is {expected:.12f}:"
            f" {residual_bp:.6f} bp apart, less than {RESIDUAL_BP_MAX} expected"
            f" (linked daily effects: {linked:.12f})"
        )
    currencies = sorted({row.currency for row in rows})
    return Attribution(
        start=history.dates[first],
        end=history.dates[-1],
        total=total,
        by_position=tuple(rows),
        by_currency=tuple(
            _sum(currency, currency, [row for row in rows if row.currency == currency]) for currency in currencies
        ),
        twr=expected,
        residual_bp=residual_bp,
        n_obs=len(days),
        reason="",
        warnings=twr.warnings,
    )


def _rate_missing(history: History, days: NDArray[np.intp]) -> str:
    """Return where an effect needs a rate there is not: of money that was moved away on a day it is not known for."""
    began = history.before[days] * day_before(history.price, days)
    needed = (day_before(history.money, days) != 0) | (history.trade_cash[days] != 0) | (history.earned[days] != 0)
    for symbol, currency in enumerate(history.symbol_currency):
        needed[:, currency] |= began[:, symbol] != 0
    found = np.argwhere(needed & np.isnan(history.fx[days]))
    if not len(found):
        return ""
    at, column = found[0]
    return no_rate(history, int(column), int(days[at]))


def _daily(history: History, twr: Twr, days: NDArray[np.intp]) -> tuple[Floats, ...]:
    """Return per interval: local, fx, interaction (securities then cash), trading, unpriced together, costs, w.

    Contributions are formed from amounts, w·r = change / opening value, so that a cash account
    that starts a day empty needs no return of its own.
    """
    nav = np.array(history.nav, dtype=np.float64)
    opening = day_before(nav, days)
    if twr.timing == "start_of_day":
        opening = opening + np.array(history.flow, dtype=np.float64)[days]
    opening = opening[:, np.newaxis]
    rates = np.nan_to_num(history.fx)
    fx_then, fx_now = day_before(rates, days), rates[days]
    own = history.symbol_currency
    security_fx_then, security_fx_now = fx_then[:, own], fx_now[:, own]

    began = history.before[days] * day_before(history.price, days)
    # Dividends arrive in base currency (they may be paid in another currency than the price).
    paid = np.divide(
        history.income_base[days],
        security_fx_now,
        out=np.zeros_like(security_fx_now),
        where=security_fx_now > 0,
    )
    closing = history.price[days]
    gained = history.begin[days] * closing + paid - began
    values = np.concatenate((began, day_before(history.money, days)), axis=1)
    gains = np.concatenate((gained, history.earned[days]), axis=1)
    then = np.concatenate((security_fx_then, fx_then), axis=1)
    moved = np.concatenate((security_fx_now, fx_now), axis=1) - then
    # A currency without a rate yesterday (nothing held in it then) gains in today's rate only.
    unknown = (then == 0.0) & (gains != 0.0)
    local = gains * np.where(unknown, moved, then) / opening
    fx = values * moved / opening
    interaction = np.where(unknown, 0.0, gains * moved) / opening
    # Units traded at the close less what was paid for them; what other money trades moved, fees
    # and the spread of currency exchanges, is `costs`.
    in_base = history.traded[days] * closing * security_fx_now
    trading = (in_base - history.paid_base[days]) / opening
    moved_money = (history.trade_cash[days] * fx_now).sum(axis=1)
    costs = (moved_money + history.paid_base[days].sum(axis=1)) / opening[:, 0]
    unpriced = np.zeros(len(days))
    for trades in history.unpriced:
        for at in np.flatnonzero(days == trades.at):
            brought = trades.amount / opening[at, 0]
            costs[at] -= brought
            if trades.symbol is None:
                unpriced[at] = brought
            else:
                trading[at, history.symbols.index(trades.symbol)] += brought
    return local, fx, interaction, trading, unpriced, costs, values * then / opening


def _carino_day(daily: Floats) -> Floats:
    """Return k_t = ln(1 + r)/r per interval; the limit for r → 0 is 1."""
    small = np.abs(daily) < 1e-12
    safe = np.where(small, 1.0, daily)
    return np.where(small, 1.0 - daily / 2, np.log1p(safe) / safe)


def _carino_whole(linked: float) -> float:
    """Return K = ln(1 + R)/R."""
    return float(np.log1p(linked) / linked) if abs(linked) > 1e-12 else 1.0 - linked / 2


def _sum(name: str, currency: str, rows: list[Effects]) -> Effects:
    return Effects(
        name,
        currency,
        fsum(row.weight for row in rows),
        fsum(row.local for row in rows),
        fsum(row.fx for row in rows),
        fsum(row.interaction for row in rows),
        fsum(row.trading for row in rows),
    )
