"""A small market for tests: one calendar, two securities, rates against the euro."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Protocol

from db.pack_content import PackContent, PriceRow, RateRow
from db.pack_series import Security

POLICY = "close"
NOW = datetime(2024, 1, 10, 12, tzinfo=UTC)
# Tuesday to Friday, a weekend, Monday to Wednesday.
TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (date(2024, 1, day) for day in (2, 3, 4, 5))
SATURDAY, SUNDAY = date(2024, 1, 6), date(2024, 1, 7)
MONDAY = date(2024, 1, 8)
SESSIONS = (TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, MONDAY)


class Market(Protocol):
    async def set_calendar(
        self, calendar: str, first_day: date, last_day: date, sessions: tuple[date, ...]
    ) -> None: ...
    async def set_policy(self, policy: str, calendar: str, description: str = "") -> None: ...
    async def add_securities(self, securities: list[Security]) -> None: ...


async def open_market(store: Market) -> None:
    await store.set_calendar("SYN", date(2024, 1, 1), date(2024, 1, 31), SESSIONS)
    await store.set_policy(POLICY, "SYN")
    await store.add_securities(
        [
            Security("SYN-A", "Synthetic A", "USD"),
            Security("SYN-P", "Synthetic in pence", "GBP", price_unit=100),
        ]
    )


def content(day: date, close: str = "10.5", usd: str = "1.1", pence: str | None = "250") -> PackContent:
    prices = [PriceRow("SYN-A", Decimal(close), "USD", day, "syn")]
    if pence is not None:
        prices.append(PriceRow("SYN-P", Decimal(pence), "GBP", day, "syn"))
    rates = [
        RateRow("EUR", "USD", Decimal(usd), day, "ecb"),
        RateRow("EUR", "GBP", Decimal("0.86"), day, "ecb"),
        RateRow("EUR", "JPY", Decimal("157.25"), day, "ecb"),
    ]
    return PackContent(tuple(prices), tuple(rates))
