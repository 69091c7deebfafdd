"""Financial Modeling Prep: annual statements, ratios, dividend calendar.

Figures are restated later, so the filing date is kept with each; ratios come in units of their own, which vary between
ratios: they are passed on as given and named so.
"""

from datetime import date
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, RootModel

from agents.provider_ports import CalendarEntry, Statement
from services.providers.http import ProviderHttp

# Models below have a field `date`, which hides the type's own name.
_Day = date
_FACTS = {
    "revenue": "revenue",
    "gross_profit": "grossProfit",
    "operating_income": "operatingIncome",
    "net_income": "netIncome",
    "eps_diluted": "epsDiluted",
    "ebitda": "ebitda",
    "interest_expense": "interestExpense",
    "research_and_development": "researchAndDevelopmentExpenses",
}


class _StatementRow(BaseModel):
    model_config = ConfigDict(extra="allow")

    symbol: str
    reported_currency: str = Field(alias="reportedCurrency")
    date: _Day
    filing_date: _Day = Field(alias="filingDate")
    fiscal_year: int = Field(alias="fiscalYear")
    period: str


class _Statements(RootModel[list[_StatementRow]]):
    pass


class _RatioRow(BaseModel):
    model_config = ConfigDict(extra="allow")

    symbol: str
    date: _Day


class _Ratios(RootModel[list[_RatioRow]]):
    pass


class _CalendarRow(BaseModel):
    symbol: str
    date: _Day
    dividend: Decimal | None = None
    payment_date: _Day | None = Field(default=None, alias="paymentDate")


class _Calendar(RootModel[list[_CalendarRow]]):
    pass


class Fmp:
    """See `agents.provider_ports.StatementFeed`."""

    def __init__(self, http: ProviderHttp) -> None:
        self._http = http

    async def statements(self, symbol: str, limit: int) -> list[Statement]:
        """Return annual income statements, oldest first; facts that are no numbers are left out, not zero."""
        page = await self._http.get(
            "/stable/income-statement", {"symbol": symbol, "period": "annual", "limit": limit}, _Statements
        )
        return sorted(
            (
                Statement(row.symbol, row.fiscal_year, row.date, row.filing_date, row.reported_currency, _facts(row))
                for row in page.root
                if row.period == "FY"
            ),
            key=lambda each: each.period_end,
        )

    async def ratios(self, symbol: str, limit: int) -> list[dict[str, float | str]]:
        """Return the provider's own ratios per year, oldest first, in its units."""
        page = await self._http.get("/stable/ratios", {"symbol": symbol, "limit": limit}, _Ratios)
        return [
            {"date": row.date.isoformat(), **{name: value for name, value in _extra(row).items() if _number(value)}}
            for row in sorted(page.root, key=lambda row: row.date)
        ]

    async def calendar(self, start: date, end: date) -> list[CalendarEntry]:
        """Return dividends by ex-date in a range."""
        page = await self._http.get(
            "/stable/dividends-calendar", {"from": start.isoformat(), "to": end.isoformat()}, _Calendar
        )
        return sorted(
            (CalendarEntry(row.symbol, row.date, row.payment_date, row.dividend) for row in page.root),
            key=lambda each: (each.ex_date, each.symbol),
        )


def _facts(row: _StatementRow) -> dict[str, float]:
    extra = _extra(row)
    return {name: float(extra[field]) for name, field in _FACTS.items() if _number(extra.get(field))}


def _extra(row: BaseModel) -> dict[str, Any]:
    return row.model_extra or {}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
