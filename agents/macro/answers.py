"""What MacroHound answers: indicators, regimes, the cycle, scenarios and drawdown at risk."""

from datetime import date
from typing import Literal

from pydantic import Field

from agents.fields import Money, Part, Ratio

Status = Literal["ok", "stale", "missing"]


class Answer(Part):
    """What every answer says of itself; `reasons`: field → why it is null."""

    asof: date
    method: str
    n_obs: int
    reasons: dict[str, str]
    warnings: tuple[str, ...] = Field(strict=False)


class IndicatorRow(Part):
    """One indicator.

    Attributes:
        value: in its transform; null when stale or missing, see `reason`.
        level: the series' own last figure.
        period: first day of the period it describes.
        released: when it became public; `release_assumed` when that is the usual lag.
        vintage: as of which day this version of the figure stands.
        percentile: share of the last ten years' values below, 0 to 1.
    """

    id: str
    title: str
    unit: str
    transform: str
    value: Ratio | None = Field(description="the series in its transform, newest release public on the day")
    previous: Ratio | None = Field(description="the same one period before")
    level: Ratio | None
    period: date | None
    released: date | None
    release_assumed: bool
    vintage: date | None
    age_days: int | None
    percentile: Ratio | None = Field(description="share of the last ten years' values below it, ties half")
    status: Status
    reason: str | None


class Indicators(Answer):
    """Indicators as known on the day."""

    indicators: tuple[IndicatorRow, ...] = Field(strict=False)


class QuarterRow(Part):
    """One quarter's signals, the regime it says alone (`raw`) and the one that stands."""

    quarter: date
    gdp_two_quarters: Ratio | None = Field(description="real GDP / real GDP two quarters before − 1")
    unemployment_rise: Ratio | None = Field(description="unemployment − its low of the last five quarters, points")
    inflation: Ratio | None = Field(description="core consumer prices / those of a year before − 1")
    inflation_median: Ratio | None = Field(description="median of inflation over the last five years")
    raw: str | None
    regime: str | None


class Regime(Answer):
    """The regime that stands on the day, since when, the quarter that last said it, and the newest quarter.

    Attributes:
        growth, inflation: signals of the regime, those of `confirmed_by`.
        newest_growth, newest_inflation: signals of `latest`, which one more release may make the regime.
    """

    regime: str | None
    growth: str | None
    inflation: str | None
    newest_growth: str | None
    newest_inflation: str | None
    since: date | None
    confirmed_by: QuarterRow | None
    latest: QuarterRow | None
    released: date | None


class RegimeHistory(Answer):
    """Regimes quarter by quarter, each as the rules said with what was known then."""

    quarters: tuple[QuarterRow, ...] = Field(strict=False)
    shares: dict[str, Ratio]


class ShiftRow(Part):
    """A change of regime: the quarter it began in, and the release that confirmed it."""

    quarter: date
    confirmed: date
    before: str | None
    after: str


class TrendShifts(Answer):
    """Changes of regime, newest last."""

    shifts: tuple[ShiftRow, ...] = Field(strict=False)


class CycleRow(Part):
    """One component of the cycle: its value in its own unit and its rank among the last twenty years, 0 to 1."""

    name: str
    unit: str
    value: Ratio | None
    percentile: Ratio | None = Field(description="share of the last twenty years' values below it, ties half")
    stress: Ratio | None = Field(description="the percentile, turned so that 1 is the most strained")
    reason: str | None


class ShortTermCycle(Answer):
    """The short-term cycle: mean stress of its components, null below two; each is ranked, units are never mixed."""

    components: tuple[CycleRow, ...] = Field(strict=False)
    stress: Ratio | None = Field(description="mean of the components' stress, 0 calm to 1 strained")
    coverage: Ratio


class ScenarioRow(Part):
    """A scenario's definition."""

    id: str
    name: str
    equity: Ratio
    currencies: dict[str, Ratio]
    yields: Ratio
    citation: str


class ScenarioList(Part):
    """Scenarios and their ids, for a `foreach`."""

    ids: tuple[str, ...] = Field(strict=False)
    scenarios: tuple[ScenarioRow, ...] = Field(strict=False)
    method: str
    n_obs: int


class ShockRow(Part):
    """One holding before and after; null with a reason when it has no value.

    Attributes:
        beta: of a share, to the market; null for money and for what moves with yields.
        beta_source: `own returns of N months`, or `assumed: ` and why there is none of its own.
        fx_source: `the scenario's moves against the dollar`, or `assumed: ` and the currencies it does not name, which
            keep their rate to the dollar; null in base currency, and in answers recorded before it was said.
    """

    symbol: str
    kind: str
    beta: Ratio | None
    beta_source: str | None
    local: Ratio = Field(description="β·shock; bonds −D·Δy + ½·C·Δy²")
    fx: Ratio = Field(description="(1 + x_c)/(1 + x_base) − 1")
    fx_source: str | None = None
    before: Money | None
    after: Money | None = Field(description="value·(1 + Δlocal)·(1 + Δfx)")
    change: Money | None = Field(description="after − before")
    reason: str | None


class ScenarioResult(Answer):
    """What a shock does to the market value."""

    scenario: ScenarioRow
    rows: tuple[ShockRow, ...] = Field(strict=False)
    before: Money | None = Field(description="Σ value")
    after: Money | None = Field(description="Σ value·(1 + Δlocal)·(1 + Δfx)")
    change: Money | None = Field(description="after − before")
    change_ratio: Ratio | None = Field(description="change / before")
    base_currency: str


class RankRow(Part):
    """A scenario in the ranking, worst first; without a rank when its change is not known, see `reason`."""

    rank: int | None
    id: str
    name: str
    change: Money | None = Field(description="Σ value·((1 + Δlocal)(1 + Δfx) − 1)")
    change_ratio: Ratio | None = Field(description="change / value")
    citation: str
    reason: str | None


class Ranking(Answer):
    """Scenarios by what they cost, worst first; those that cannot be computed stand last."""

    rows: tuple[RankRow, ...] = Field(strict=False)
    worst: str | None
    base_currency: str


class BinRow(Part):
    """Share of paths whose maximum drawdown lies in [low, high)."""

    low: Ratio
    high: Ratio
    share: Ratio


class DrawdownRisk(Answer):
    """Maximum drawdown over the horizon at a confidence, by seeded block bootstrap; all ≤ 0.

    Attributes:
        frequency: of the returns drawn from; null when closes are irregular, and then nothing is drawn.
        horizon_periods: the horizon in periods of that frequency: 252 days are 52 weeks.
    """

    at_risk: Ratio | None = Field(description="(1 − confidence) quantile of the paths' maximum drawdowns")
    expected_beyond: Ratio | None = Field(description="mean of the drawdowns at or beyond that quantile")
    median: Ratio | None = Field(description="median of the paths' maximum drawdowns")
    mean: Ratio | None = Field(description="mean of the paths' maximum drawdowns")
    confidence: Ratio
    horizon_days: int
    paths: int
    block_days: int
    frequency: str | None
    horizon_periods: int | None
    seed: int
    bins: tuple[BinRow, ...] = Field(strict=False)
