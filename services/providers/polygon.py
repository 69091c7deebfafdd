"""Polygon: daily bars, splits, dividends.

Bars are split-adjusted unless one asks otherwise and never dividend-adjusted: unadjusted ones are asked for, and an
answer that is adjusted all the same is refused. Keys travel in a header.
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from agents.provider_ports import Bar, CashDividend, Split
from services.providers.http import ProviderHttp
from topics.errors import Code, TerminalError

_PAGES_MAX = 100
Number = Annotated[Decimal, Field(ge=0)]


class _Aggregate(BaseModel):
    t: int
    o: Number
    h: Number
    low: Number = Field(alias="l")
    c: Number
    v: Number


class _Aggregates(BaseModel):
    status: Literal["OK", "DELAYED"]
    adjusted: bool
    results: list[_Aggregate] = []
    next_url: str | None = None


class _SplitRow(BaseModel):
    execution_date: date
    split_from: Annotated[Decimal, Field(gt=0)]
    split_to: Annotated[Decimal, Field(gt=0)]


class _Splits(BaseModel):
    results: list[_SplitRow]
    next_url: str | None = None


class _DividendRow(BaseModel):
    cash_amount: Number
    currency: str = "USD"
    ex_dividend_date: date
    pay_date: date | None = None
    dividend_type: str = "CD"


class _Dividends(BaseModel):
    results: list[_DividendRow]
    next_url: str | None = None


class Polygon:
    """See `agents.provider_ports.MarketFeed`."""

    def __init__(self, http: ProviderHttp) -> None:
        self._http = http

    def require_key(self) -> None:
        """Raise PROVIDER_NOT_CONFIGURED without a key."""
        self._http.require_key()

    async def daily_bars(self, symbol: str, start: date, end: date) -> list[Bar]:
        """Return unadjusted daily bars from `start` to `end`, ascending."""
        path: str | None = f"/v2/aggs/ticker/{symbol}/range/1/day/{start.isoformat()}/{end.isoformat()}"
        params: dict[str, str | int] = {"adjusted": "false", "sort": "asc", "limit": 50_000}
        bars: list[Bar] = []
        for _ in range(_PAGES_MAX):
            page = await self._http.get(path, params, _Aggregates)
            if page.adjusted:
                raise TerminalError(Code.UPSTREAM_FAILED, "polygon sent adjusted bars though unadjusted were asked for")
            # The moment is the session's midnight in New York, on the same day in UTC.
            bars += [
                Bar(datetime.fromtimestamp(row.t / 1000, UTC).date(), row.o, row.h, row.low, row.c, row.v)
                for row in page.results
            ]
            path, params = page.next_url, {}
            if path is None:
                return bars
        raise TerminalError(Code.UPSTREAM_FAILED, f"polygon sent more than {_PAGES_MAX} pages")

    async def quote(self, symbol: str) -> Bar | None:
        """Return the bar of the previous session; None when there is none."""
        page = await self._http.get(f"/v2/aggs/ticker/{symbol}/prev", {"adjusted": "false"}, _Aggregates)
        if not page.results:
            return None
        row = page.results[-1]
        return Bar(datetime.fromtimestamp(row.t / 1000, UTC).date(), row.o, row.h, row.low, row.c, row.v)

    async def splits(self, symbol: str) -> list[Split]:
        """Return splits, ascending: new units per old."""
        rows: list[_SplitRow] = []
        path: str | None = "/v3/reference/splits"
        params: dict[str, str | int] = {"ticker": symbol, "limit": 1_000}
        for _ in range(_PAGES_MAX):
            page = await self._http.get(path, params, _Splits)
            rows += page.results
            path, params = page.next_url, {}
            if path is None:
                break
        return sorted((Split(row.execution_date, row.split_to / row.split_from) for row in rows), key=lambda s: s.on)

    async def dividends(self, symbol: str) -> list[CashDividend]:
        """Return cash dividends as declared, ascending by ex-date."""
        rows: list[_DividendRow] = []
        path: str | None = "/v3/reference/dividends"
        params: dict[str, str | int] = {"ticker": symbol, "limit": 1_000}
        for _ in range(_PAGES_MAX):
            page = await self._http.get(path, params, _Dividends)
            rows += page.results
            path, params = page.next_url, {}
            if path is None:
                break
        found = [
            CashDividend(row.ex_dividend_date, row.pay_date, row.cash_amount, row.currency, row.dividend_type)
            for row in rows
        ]
        return sorted(found, key=lambda each: each.ex_date)
