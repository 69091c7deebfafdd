"""Charts: those of the overview, and what any pattern wants drawn."""

from typing import Annotated, Any

from pydantic import Field

from agents.analyst.desk import Desk, ValuedRows
from agents.answers import CurrencyAttribution, PerformanceMetrics
from agents.capability import capability
from agents.chart_forms import ChartForm, draw, strangers
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

    @capability("charts.compose", pure=True)
    async def compose(
        self, context: CapabilityContext, charts: Annotated[list[ChartForm], Field(max_length=50)]
    ) -> list[dict[str, Any]]:
        """Draw rows of earlier steps as lines, areas, bars, waterfalls, heatmaps or histograms."""
        for form in charts:
            for warning in strangers(form):
                context.report(warning=warning)
        return [drawn for form in charts if (drawn := draw(form)) is not None]
