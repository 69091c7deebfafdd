"""Charts of the overview."""

from typing import Any

from agents.analyst.desk import Desk, ValuedRows
from agents.answers import CurrencyAttribution, PerformanceMetrics
from agents.capability import capability
from agents.charts import overview
from agents.context import CapabilityContext


class ChartsGroup(Desk):
    """Charts as Vega-Lite specs."""

    @capability("charts.overview", pure=True)
    async def charts(
        self,
        context: CapabilityContext,
        positions: ValuedRows,
        metrics: PerformanceMetrics,
        currency_attr: CurrencyAttribution,
    ) -> list[dict[str, Any]]:
        """Draw value and flows, return index with drawdown, allocation, and the attribution as a waterfall."""
        context.report(
            source=f"pricing_pack:{metrics.pack_id}",
            asof=metrics.asof,
        )
        context.report(source=f"ledger:{metrics.ledger_commit}")
        return overview(positions, metrics, currency_attr)
