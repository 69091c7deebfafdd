"""Packs from the bundled market data: real closes of five US shares and the ECB's reference rates.

One pack per session of the New York Stock Exchange. Rates of a day on which the ECB published none are carried for
at most five days and keep the day they were fixed on; closes are never carried into a pack.
"""

import csv
import gzip
import warnings
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

from db.pack_build import BuildReport
from db.pack_content import PriceRow, RateRow, assemble
from db.pack_policies import PolicyRepository
from db.pack_series import Security
from db.pack_writer import PackWriter

POLICY = "nyse-close"
CALENDAR = "XNYS"
FIRST_DAY, LAST_DAY = date(2000, 3, 1), date(2013, 3, 1)
DESCRIPTION = "Raw closes of US shares and ECB reference rates, one pack per session of the New York Stock Exchange"
_DATA = Path(__file__).resolve().parent.parent / "data"
CLOSES = _DATA / "us_equities_2000_2013.csv.gz"
RATES = _DATA / "ecb_fx_1999_2013.csv.gz"
_CLOSE_SOURCE, _RATE_SOURCE = "quandl-wiki", "ecb"
SECURITIES = (
    Security("AAPL", "Apple Inc.", "USD", "XNAS"),
    Security("FB", "Facebook, Inc.", "USD", "XNAS"),
    Security("GOOG", "Google Inc.", "USD", "XNAS"),
    Security("IBM", "International Business Machines Corp.", "USD", "XNYS"),
    Security("MSFT", "Microsoft Corp.", "USD", "XNAS"),
)


class OutsideData(ValueError):
    """Days were asked for that the bundled data does not cover; the text names both ranges."""


async def build_packs(
    writer: PackWriter,
    start: date,
    end: date,
    known_at: datetime,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> BuildReport:
    """Make the packs of all sessions from `start` to `end` fresh; unchanged ones stay untouched.

    Args:
        writer: opened with the owner's role.
        start: first day, in the range of the bundled data.
        end: last day, likewise.
        known_at: when the data became known; also the creation time of new packs.
        progress: called with (packs written so far, sessions in all).

    Raises:
        OutsideData: the range is empty or outside the bundled data.
    """
    if not FIRST_DAY <= start <= end <= LAST_DAY:
        raise OutsideData(f"expected days from {FIRST_DAY} to {LAST_DAY}, in order, got {start} to {end}")
    sessions = nyse_sessions()
    # Other policies may follow the same exchange: its calendar only grows.
    await extend_exchange(PolicyRepository(writer.pool), CALENDAR, FIRST_DAY, LAST_DAY)
    await writer.set_policy(POLICY, CALENDAR, DESCRIPTION)
    await writer.add_securities(SECURITIES)
    wanted = [on for on in sessions if start <= on <= end]
    days = list(assemble(wanted, bundled_closes(start, end), bundled_rates(end)))
    return await writer.build(POLICY, days, known_at, lambda done: progress(done, len(days)))


@cache
def nyse_sessions() -> tuple[date, ...]:
    """Return the exchange's sessions over the bundled data. Cost: about a second, once."""
    return exchange_sessions(CALENDAR, FIRST_DAY, LAST_DAY)


async def extend_exchange(policies: PolicyRepository, exchange: str, first: date, last: date) -> tuple[date, ...]:
    """Add an exchange's sessions from `first` to `last` to its calendar and return what was added or was there.

    Days between them and what the calendar knew are filled in, so that none counts as closed for want of knowledge.

    Raises:
        LookupError: no exchange of that name.
    """
    known = await policies.calendar_range(exchange)
    if known is not None:
        first, last = min(first, known[1]), max(last, known[0])
    bundled = (exchange, first, last) == (CALENDAR, FIRST_DAY, LAST_DAY)
    sessions = nyse_sessions() if bundled else exchange_sessions(exchange, first, last)
    await policies.extend_calendar(exchange, sessions)
    return sessions


def is_exchange(name: str) -> bool:
    """Return whether a name is the code of an exchange whose sessions are known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import exchange_calendars

        return name in exchange_calendars.get_calendar_names()


def exchange_sessions(exchange: str, first: date, last: date) -> tuple[date, ...]:
    """Return the sessions of an exchange, as far ahead as its calendar is known.

    Args:
        exchange: its market identifier code, e.g. XNYS, XLON, XTSE.
        first: first day asked for.
        last: last day, included.

    Raises:
        LookupError: no calendar of that name, or it does not know those days.
    """
    with warnings.catch_warnings():
        # Its use of pandas is the library's own affair.
        warnings.simplefilter("ignore", DeprecationWarning)
        import exchange_calendars
        from exchange_calendars.errors import InvalidCalendarName

        # A calendar of less than a few days is refused by the library.
        start, end = first - timedelta(days=30), last + timedelta(days=30)
        try:
            calendar = exchange_calendars.get_calendar(exchange, start=start.isoformat(), end=end.isoformat())
        except InvalidCalendarName:
            raise LookupError(f"expected the code of an exchange like XNYS, got {exchange!r}") from None
        except ValueError:
            # Holidays of some are published year by year: asked for more, the library refuses all.
            try:
                known = exchange_calendars.get_calendar(exchange)
                low, high = known.bound_min(), known.bound_max()
                start = start if low is None else max(start, low.date())
                end = end if high is None else min(end, high.date())
                calendar = exchange_calendars.get_calendar(exchange, start=start.isoformat(), end=end.isoformat())
            except ValueError:
                raise LookupError(f"the sessions of {exchange} from {first} to {last} are not known") from None
        return tuple(on for stamp in calendar.sessions if first <= (on := stamp.date()) <= last)


def bundled_closes(start: date, end: date) -> Iterator[PriceRow]:
    """Yield the bundled closes of a range of days."""
    for row in _table(CLOSES):
        on = date.fromisoformat(row["date"])
        if start <= on <= end:
            yield PriceRow(row["symbol"], Decimal(row["close"]), row["currency"], on, _CLOSE_SOURCE)


def bundled_rates(end: date) -> Iterator[RateRow]:
    """Yield rates up to a day; earlier ones serve to be carried into the first pack."""
    for row in _table(RATES):
        on = date.fromisoformat(row["date"])
        if on <= end:
            yield RateRow(row["base"], row["quote"], Decimal(row["rate"]), on, _RATE_SOURCE)


def _table(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
