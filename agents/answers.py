"""What FinancialAnalyst takes and answers: the shapes behind `state.positions`, `state.perf_metrics` and the rest.

Amounts without a currency beside them are in the portfolio's base currency. What could not be computed is null and
has its reason next to it or in `reasons`.
"""

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import Field

from agents.fields import Exact, Money, MoneyText, Part, Ratio

Kind = Literal["security", "cash", "receivable"]
Status = Literal["ok", "stale", "missing"]


class LotRow(Part):
    """One open lot: signed units and total cost; `cost_base` at trade-date rates, null if a rate is missing."""

    id: str
    account: str
    qty: Exact
    currency: str
    cost_local: Exact
    cost_base: Exact | None
    acquired: date


class SplitRow(Part):
    """A split so recent that a carried price may still be on the old share basis: `ratio` new units per old."""

    on: date
    ratio: Exact


class PositionRow(Part):
    """What is held of one security, one currency, or what is owed on one dividend.

    Attributes:
        symbol: of the security; for cash the currency.
        qty_open: signed units; for cash and receivables the amount in `trading_currency`.
        cost_base: cost of securities at trade-date FX; null for cash and receivables, which are carried at value.
        lots: of securities, in opening order.
        recent_splits: of the last days before `asof`, for carried prices.
    """

    kind: Kind
    symbol: str
    name: str
    qty_open: Exact = Field(description="q: Σ units of the open lots; for cash and dividends owed the amount")
    trading_currency: str
    cost_local: Exact | None = None
    cost_currency: str | None = None
    cost_base: Money | None = None
    lots: tuple[LotRow, ...] = Field(default=(), strict=False)
    recent_splits: tuple[SplitRow, ...] = Field(default=(), strict=False)
    pay_date: date | None = None
    reason: str | None = None


class ValuedRow(PositionRow):
    """A position with its value from a pricing pack.

    Attributes:
        price: per unit in `price_currency`, on the share basis of the day; null when status is `missing`.
        fx_rate: base units for 1 unit of the price currency (of the currency, for cash).
        weight: value over NAV with cash, receivables and shorts; null unless everything has a value and NAV > 0.
        price_age: calendar days since the price was observed.
        status: `stale` = carried at most 5 days; `missing` = no value, see `reason`.
        gain: unrealised P/L over |cost|; null for zero cost.
    """

    price: Exact | None = Field(None, description="P: close of the pack, per unit in the price currency")
    price_currency: str | None = None
    fx_rate: Exact | None = None
    value_local: Money | None = Field(None, description="q·P")
    value_base: Money | None = Field(None, description="q·P·S")
    unrealized_pl: Money | None = Field(None, description="value − cost × rate of the purchase")
    gain: Ratio | None = Field(None, description="(value − cost) / |cost|")
    weight: Ratio | None = Field(None, description="value / NAV")
    price_age: int | None = None
    status: Status


class DrawdownRow(Part):
    """The deepest fall of the return index: `depth` ≤ 0; `recovery` null while not recovered.

    Without a return there is no fall either: `depth` and `current` are null.
    """

    depth: Ratio | None
    peak: date | None
    trough: date | None
    recovery: date | None
    current: Ratio | None


class DailySeries(Part):
    """Columns of equal length, one entry per valued day; `index` starts at 1, `flow` is the day's external flow."""

    dates: tuple[date, ...] = Field(strict=False)
    nav: tuple[MoneyText, ...] = Field(strict=False)
    flow: tuple[MoneyText, ...] = Field(strict=False)
    index: tuple[Ratio, ...] = Field(strict=False)
    drawdown: tuple[Ratio, ...] = Field(strict=False)


class GapRow(Part):
    """A day without a value, and why."""

    date: date
    reason: str


class PerformanceMetrics(Part):
    """Time-weighted return, value and cost.

    Attributes:
        twr: since inception (the close of `start`), net of external flows; `inception` is the same figure. It counts
            from the first close, or from the last time money came in after all had been taken out; −1 once everything
            was lost, whatever money put in later earned: `since_restart` gives that.
        annualised: null for less than a year.
        total_value: NAV with cash, receivables and shorts.
        total_cost: cost of securities at trade-date FX, cash and receivables at value.
        net_flows: null when some flows fell on days without a value since.
        starts: field → the close it is measured from, of `mtd`, `qtd`, `ytd` and `one_year` that are known.
        reasons: field → why it is null.
        reconciliation_bp: distance between the positions' value and the series' end.
    """

    twr: Ratio | None = Field(description="Π(1 + r_t) − 1, r_t = (V_t − F_t)/V_{t−1} − 1, flows at the end of the day")
    annualised: Ratio | None = Field(description="(1 + twr)^(365/days) − 1; null below one year")
    mtd: Ratio | None = Field(description="Π(1 + r_t) − 1 since the last close before the month, ≤ 6 days old")
    qtd: Ratio | None = Field(description="Π(1 + r_t) − 1 since the last close before the quarter, ≤ 6 days old")
    ytd: Ratio | None = Field(description="Π(1 + r_t) − 1 since the last close before the year, ≤ 6 days old")
    one_year: Ratio | None = Field(description="Π(1 + r_t) − 1 since the close a year before, ≤ 6 days old")
    inception: Ratio | None = Field(description="Π(1 + r_t) − 1 since the first close")
    since_restart: Ratio | None = Field(description="Π(1 + r_t) − 1 since the return index last started at 1")
    total_value: Money | None = Field(description="Σ q·P·S with cash, dividends owed and shorts")
    total_cost: Money | None = Field(description="Σ cost × trade-date rate; cash and dividends owed at value")
    unrealized_pl: Money | None = Field(description="value − cost")
    net_flows: Money | None = Field(description="Σ deposits − Σ withdrawals, at the day's rate")
    base_currency: str
    asof: date
    start: date | None
    starts: dict[str, date] = Field(default_factory=dict)
    drawdown: DrawdownRow = Field(description="min(index / running high − 1) on the return index that starts at 1")
    series: DailySeries
    gaps: tuple[GapRow, ...] = Field(strict=False)
    restarts: tuple[date, ...] = Field(strict=False)
    reasons: dict[str, str]
    reconciliation_bp: Ratio | None = Field(description="|Σ value − end of the series| in basis points")
    pack_id: UUID
    ledger_commit: str
    method: str
    n_obs: int
    warnings: tuple[str, ...] = Field(strict=False)


class EffectRow(Part):
    """Linked effects of one holding or currency; they sum to `total`."""

    name: str
    currency: str
    weight: Ratio = Field(description="average beginning weight")
    local_return: Ratio = Field(description="Σ (k_t/K)·w·r_L")
    fx_return: Ratio = Field(description="Σ (k_t/K)·w·r_fx")
    interaction: Ratio = Field(description="Σ (k_t/K)·w·r_L·r_fx")
    trading: Ratio = Field(description="Σ (k_t/K)·(close value of units traded − what was paid)/V")
    total: Ratio = Field(description="local + currency + interaction + trading")


class CurrencyAttribution(Part):
    """Where the time-weighted return came from; `total` includes `trading`.

    Attributes:
        residual_bp: distance between `total` and the return computed from NAV alone; below 0.1.
        reason: why the figures are null.
    """

    local_return: Ratio | None = Field(description="Σ (k_t/K)·w·r_L over holdings")
    fx_return: Ratio | None = Field(description="Σ (k_t/K)·w·r_fx over holdings")
    interaction: Ratio | None = Field(description="Σ (k_t/K)·w·r_L·r_fx over holdings")
    trading: Ratio | None = Field(description="Σ (k_t/K)·(trades at their price against the close, and costs)")
    total: Ratio | None = Field(description="local + currency + interaction + trading")
    twr: Ratio | None
    residual_bp: Ratio | None = Field(description="|total − twr| in basis points")
    reason: str | None
    by_currency: tuple[EffectRow, ...] = Field(strict=False)
    by_position: tuple[EffectRow, ...] = Field(strict=False)
    base_currency: str
    start: date | None
    asof: date
    pack_id: UUID
    ledger_commit: str
    method: str
    n_obs: int
    warnings: tuple[str, ...] = Field(strict=False)
