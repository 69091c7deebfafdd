"""FRED and ALFRED: series with their vintages.

`realtime_start` is the day from which a figure stood; asking for one real-time day gives what was known on it. Exchange
rates come in both directions: DEXCAUS is Canadian dollars per US dollar, DEXUSUK US dollars per pound.
"""

from datetime import date
from typing import Annotated

from pydantic import BaseModel, BeforeValidator

from agents.provider_ports import SeriesPoint
from services.providers.http import ProviderHttp
from topics.errors import Code, TerminalError

PAGE = 100_000
_PAGES_MAX = 50
FIRST_DAY = date(1776, 7, 4)  # FRED's own first real-time day
LAST_DAY = date(9999, 12, 31)
# Series → (base, quote): quote units for 1 base.
FX_PAIRS = {
    "DEXCAUS": ("USD", "CAD"),
    "DEXJPUS": ("USD", "JPY"),
    "DEXSZUS": ("USD", "CHF"),
    "DEXUSUK": ("GBP", "USD"),
    "DEXUSEU": ("EUR", "USD"),
    "DEXUSAL": ("AUD", "USD"),
}


def _value(text: object) -> object:
    """A dot stands for a missing figure."""
    return None if text == "." else text


class _Point(BaseModel):
    realtime_start: date
    realtime_end: date
    date: date
    value: Annotated[float | None, BeforeValidator(_value)]


class _Points(BaseModel):
    count: int
    offset: int
    limit: int
    observations: list[_Point]


class Fred:
    """See `agents.provider_ports.SeriesFeed`."""

    def __init__(self, http: ProviderHttp) -> None:
        self._http = http

    def require_key(self) -> None:
        """Raise PROVIDER_NOT_CONFIGURED without a key."""
        self._http.require_key()

    async def series(self, series_id: str, asof: date) -> list[SeriesPoint]:
        """Return the series as it was known on a day, oldest first; missing figures are left out."""
        return await self._observations(series_id, asof, asof)

    async def vintages(self, series_id: str, start: date | None = None, end: date | None = None) -> list[SeriesPoint]:
        """Return the versions that stood between two days, by period and then by the day each began to stand.

        Without days that is every version; what stood already on `start` is dated to that day.
        """
        return await self._observations(series_id, start or FIRST_DAY, end or LAST_DAY)

    async def _observations(self, series_id: str, start: date, end: date) -> list[SeriesPoint]:
        found: list[SeriesPoint] = []
        offset = 0
        for _ in range(_PAGES_MAX):
            page = await self._http.get(
                "/fred/series/observations",
                {
                    "series_id": series_id,
                    "realtime_start": start.isoformat(),
                    "realtime_end": end.isoformat(),
                    "file_type": "json",
                    "limit": PAGE,
                    "offset": offset,
                },
                _Points,
            )
            found += [
                SeriesPoint(point.date, point.value, point.realtime_start)
                for point in page.observations
                if point.value is not None
            ]
            offset += len(page.observations)
            if offset >= page.count or not page.observations:
                return sorted(found, key=lambda each: (each.on, each.realtime_start))
        raise TerminalError(Code.UPSTREAM_FAILED, f"fred sent more than {_PAGES_MAX} pages")
