"""Ratings of companies from their filings."""

from agents.analyst.desk import Desk, ValuedRows, pinned
from agents.capability import capability
from agents.context import CapabilityContext
from agents.fundamentals import Fundamentals, Scores, Symbols, fundamentals_of, scores_of
from agents.ratings import RatingBadges, badges


class RatingsGroup(Desk):
    """Fundamentals and what the rubric makes of them."""

    @capability("ratings.aggregate", pure=True, needs=("pack",), shared=False)
    async def aggregate_ratings(self, context: CapabilityContext, positions: ValuedRows) -> RatingBadges:
        """Rate the long equity holdings from reported figures with versioned rubrics, weighted by value."""
        pins = pinned(context)
        symbols = sorted({row.symbol for row in positions if row.kind == "security"})
        companies = await self._fundamentals.companies(symbols, pins.asof) if symbols else {}
        found = badges(positions, companies, self._rubric, pins.asof)
        context.report(source=f"rubric:{self._rubric.id}@{self._rubric.version}", asof=pins.asof)
        for company in companies.values():
            context.report(source=company.source)
        context.report(confidence=found.coverage.get("overall"))
        return found

    @capability("fundamentals.load", pure=True, needs=("pack",))
    async def load_fundamentals(
        self, context: CapabilityContext, positions: ValuedRows | None = None, symbols: Symbols | None = None
    ) -> Fundamentals:
        """Read the annual reports public on the day, and every ratio the rubric asks for with its reason if missing."""
        pins = pinned(context)
        held = [row.symbol for row in positions or () if row.kind == "security"]
        wanted = sorted({*held, *(symbols or ())})
        companies = await self._fundamentals.companies(wanted, pins.asof) if wanted else {}
        for company in companies.values():
            context.report(source=company.source)
        context.report(asof=pins.asof)
        return fundamentals_of(wanted, companies, pins.asof)

    @capability("ratings.dividend_safety", pure=True)
    async def dividend_safety(self, context: CapabilityContext, fundamentals: Fundamentals) -> Scores:
        """Score how safe dividends are, 0 to 10, with coverage; companies that pay none are not scored."""
        return self._scores(context, fundamentals, "dividend_safety")

    @capability("ratings.moat", pure=True)
    async def moat(self, context: CapabilityContext, fundamentals: Fundamentals) -> Scores:
        """Score how hard a company's position is to attack, 0 to 10, with coverage."""
        return self._scores(context, fundamentals, "moat")

    @capability("ratings.resilience", pure=True)
    async def resilience(self, context: CapabilityContext, fundamentals: Fundamentals) -> Scores:
        """Score how well a company would survive bad years, 0 to 10, with coverage."""
        return self._scores(context, fundamentals, "resilience")

    def _scores(self, context: CapabilityContext, fundamentals: Fundamentals, name: str) -> Scores:
        context.report(source=f"rubric:{self._rubric.id}@{self._rubric.version}", asof=fundamentals.asof)
        return scores_of(fundamentals, self._rubric, name)
