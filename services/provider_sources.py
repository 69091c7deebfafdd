"""Data providers as market sources of the pack builder, through the DataHarvester's clients."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

from agents.pack_ports import MacroPoint, QuotedPrice, QuotedRate
from agents.provider_ports import MarketFeed, SeriesFeed
from topics.errors import Code, TerminalError

# A figure is fetched by the builds of a week, so that a day without one loses nothing.
_NEW_DAYS = timedelta(days=7)


class PolygonSource:
    """Unadjusted closes of US shares, in US dollars.

    Args:
        feed: Polygon's client.
        symbols: the shares asked for; one call each.
    """

    def __init__(self, feed: MarketFeed, symbols: Sequence[str]) -> None:
        self._feed = feed
        self._symbols = tuple(symbols)

    async def prices(self, asof: date) -> Sequence[QuotedPrice]:
        """See `agents.pack_ports.MarketSource`; a share that did not trade is absent."""
        self._feed.require_key()
        if not self._symbols:
            raise _unset("polygon", "PACK_SYMBOLS")
        found: list[QuotedPrice] = []
        for symbol in self._symbols:
            bars = await self._feed.daily_bars(symbol, asof, asof)
            found += [QuotedPrice(symbol, bar.close, "USD", bar.on, "polygon") for bar in bars if bar.on == asof]
        return found

    async def rates(self, asof: date) -> Sequence[QuotedRate]:
        """See `agents.pack_ports.MarketSource`."""
        raise _only("polygon", "prices")

    async def macro(self, asof: date) -> Sequence[MacroPoint]:
        """See `agents.pack_ports.MarketSource`."""
        raise _only("polygon", "prices")


class FredSource:
    """Macro series with the day each figure began to stand.

    Args:
        feed: FRED's client.
        series: ids asked for; one call each.
        whole: every version there ever was, for the first load; else those of the last seven days.
    """

    def __init__(self, feed: SeriesFeed, series: Sequence[str], *, whole: bool) -> None:
        self._feed = feed
        self._series = tuple(series)
        self._whole = whole

    async def prices(self, asof: date) -> Sequence[QuotedPrice]:
        """See `agents.pack_ports.MarketSource`."""
        raise _only("fred", "macro series")

    async def rates(self, asof: date) -> Sequence[QuotedRate]:
        """See `agents.pack_ports.MarketSource`; FRED's rates come out a week late, too old for a pack."""
        raise _only("fred", "macro series")

    async def macro(self, asof: date) -> Sequence[MacroPoint]:
        """See `agents.pack_ports.MarketSource`."""
        self._feed.require_key()
        if not self._series:
            raise _unset("fred", "PACK_SERIES")
        since = None if self._whole else asof - _NEW_DAYS
        found: list[MacroPoint] = []
        for series_id in self._series:
            for point in await self._feed.vintages(series_id, since, asof):
                # What stood on the first day of the window may be older: FRED dates it to that day.
                if since is None or point.realtime_start > since:
                    value = Decimal(repr(point.value))
                    found.append(MacroPoint(series_id, point.on, point.realtime_start, value, "fred"))
        return found


def _only(name: str, what: str) -> TerminalError:
    return TerminalError(Code.INVALID_INPUT, f"the market source `{name}` has {what} only")


def _unset(name: str, setting: str) -> TerminalError:
    return TerminalError(Code.INVALID_INPUT, f"the market source `{name}` is not configured: set DAWSOS_{setting}")
