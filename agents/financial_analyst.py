"""The agent that knows portfolios: positions, values, returns, risk, attribution, tax lots, ratings and charts.

Its capabilities stand in `agents.analyst`, one group per file; all of them share the services of
`agents.analyst.desk.Desk`.
"""

from agents.analyst.attribution import AttributionGroup
from agents.analyst.charting import ChartsGroup
from agents.analyst.holdings import HoldingsGroup
from agents.analyst.position import PositionGroup
from agents.analyst.quality import QualityGroup
from agents.analyst.ratings import RatingsGroup
from agents.analyst.returns import ReturnsGroup
from agents.analyst.risk import RiskGroup
from agents.analyst.tax import TaxGroup
from agents.base import BaseAgent


class FinancialAnalyst(
    HoldingsGroup,
    ReturnsGroup,
    RiskGroup,
    AttributionGroup,
    PositionGroup,
    TaxGroup,
    QualityGroup,
    RatingsGroup,
    ChartsGroup,
    BaseAgent,
):
    """Portfolio analytics on pinned packs and ledger commits; for the services see `agents.analyst.desk.Desk`."""

    name = "financial_analyst"
    version = "1.4.0"
