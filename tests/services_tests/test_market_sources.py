"""Market sources over HTTP, through the real clients against a local server that also misbehaves."""

import io
import zipfile
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import pytest

from agents.pack_ports import MacroPoint, QuotedPrice, QuotedRate
from services.market_sources import NamedSources, market_sources
from services.provider_clients import provider_clients
from services.providers.http import Manners
from settings import Settings, load_settings
from tests.agents.provider_server import Answer, Provider, provider
from topics.errors import Code, RetryableError, TerminalError

FRIDAY, MONDAY = date(2024, 1, 5), date(2024, 1, 8)
TABLE = "Date,USD,JPY,CYP,\n2024-01-05,1.0921,158.48,N/A,\n2024-01-04,1.0953,158.31,N/A,\n"
FILE = "/stats/eurofxref/eurofxref-hist.zip"
BARS = "/v2/aggs/ticker/{}/range/1/day/2024-01-05/2024-01-05"


def packed(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("eurofxref-hist.csv", text)
    return buffer.getvalue()


@pytest.fixture
def server() -> Iterator[Provider]:
    with provider() as found:
        yield found


def sources(url: str, **fields: object) -> NamedSources:
    given: dict[str, object] = {
        "ecb_url": url + FILE, "polygon_url": url, "fred_url": url, "polygon_key": "k", "fred_key": "k",
    }  # fmt: skip
    settings: Settings = load_settings(_env_file=None, **{**given, **fields})
    quick = Manners(rate_per_s=10_000.0, timeout_s=5.0, backoff_s=0.01, wait_s_max=0.2)
    return market_sources(settings, provider_clients(settings, quick))


@pytest.mark.parametrize("body", [TABLE.encode(), packed(TABLE)], ids=["csv", "zip"])
async def test_the_ecbs_rates_of_a_day_are_the_newest_up_to_it(server: Provider, body: bytes) -> None:
    server.on(FILE, Answer(body))
    ecb = sources(server.url).get("ecb")
    friday = [
        QuotedRate("EUR", "JPY", Decimal("158.48"), FRIDAY, "ecb"),
        QuotedRate("EUR", "USD", Decimal("1.0921"), FRIDAY, "ecb"),
    ]
    assert await ecb.rates(FRIDAY) == await ecb.rates(MONDAY) == friday  # the ECB has a holiday: carried, with its day
    assert [row.rate for row in await ecb.rates(date(2024, 1, 4))] == [Decimal("158.31"), Decimal("1.0953")]
    assert await ecb.rates(date(2024, 1, 11)) == []  # six days are too old
    assert len(server.seen) == 4
    for wrong in (ecb.prices, ecb.macro):
        with pytest.raises(TerminalError, match="exchange rates only"):
            await wrong(FRIDAY)


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (Answer(b"slow down", 429, {"Retry-After": "7"}), 7.0),
        (Answer(b"later", 503), None),
        (Answer(packed(TABLE), cut_to=40), None),
    ],
    ids=["429", "503", "cut"],
)
async def test_the_ecbs_bad_minutes_are_tried_again_by_the_engine(
    server: Provider, answer: Answer, pause: float | None
) -> None:
    server.on(FILE, answer)
    with pytest.raises(RetryableError) as refused:
        await sources(server.url).get("ecb").rates(FRIDAY)
    assert (refused.value.code, refused.value.service) == (Code.UPSTREAM_FAILED, "ecb")
    assert refused.value.retry_after_s == pause


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"gone", 404),
        Answer(b"<html>maintenance</html>"),
        Answer(packed(TABLE)[:60]),
        Answer(packed(TABLE.replace("1.0921", "much"))),
    ],
    ids=["404", "a page", "half an archive", "a word for a rate"],
)
async def test_what_is_no_table_is_refused_not_guessed(server: Provider, answer: Answer) -> None:
    server.on(FILE, answer)
    with pytest.raises(TerminalError) as refused:
        await sources(server.url).get("ecb").rates(FRIDAY)
    assert refused.value.code is Code.UPSTREAM_FAILED and server.url in refused.value.message


async def test_nobody_there_is_a_passing_failure() -> None:
    with pytest.raises(RetryableError, match="ConnectError"):
        await sources("http://127.0.0.1:1").get("ecb").rates(FRIDAY)


async def test_polygon_gives_the_unadjusted_close_of_the_day(server: Provider) -> None:
    bar = {"v": 1, "o": 182, "c": 181.18, "h": 183, "l": 180.17, "t": 1704430800000}
    server.on(BARS.format("AAPL"), {"status": "OK", "adjusted": False, "results": [bar]})
    server.on(BARS.format("SYN-X"), {"status": "OK", "adjusted": False, "results": []})
    polygon = sources(server.url, pack_symbols=("AAPL", "SYN-X")).get("polygon")
    assert await polygon.prices(FRIDAY) == [QuotedPrice("AAPL", Decimal("181.18"), "USD", FRIDAY, "polygon")]
    assert [each.query["adjusted"] for each in server.seen] == ["false", "false"]
    with pytest.raises(TerminalError, match="prices only"):
        await polygon.rates(FRIDAY)
    with pytest.raises(TerminalError, match="DAWSOS_PACK_SYMBOLS"):
        await sources(server.url).get("polygon").prices(FRIDAY)


async def test_fred_gives_what_began_to_stand_in_the_last_week(server: Provider) -> None:
    rows = [
        ("2023-11-01", "3.7", "2023-12-29"),
        ("2023-11-01", "3.6", "2024-01-05"),
        ("2023-12-01", "3.7", "2024-01-05"),
    ]
    observed = [
        {"date": on, "value": value, "realtime_start": start, "realtime_end": "9999-12-31"} for on, value, start in rows
    ]
    server.on("/fred/series/observations", {"count": 3, "offset": 0, "limit": 100_000, "observations": observed})
    found = sources(server.url, pack_series=("UNRATE",))
    new = [
        MacroPoint("UNRATE", date(2023, 11, 1), FRIDAY, Decimal("3.6"), "fred"),
        MacroPoint("UNRATE", date(2023, 12, 1), FRIDAY, Decimal("3.7"), "fred"),
    ]
    # 29 December is the first day of the window: that figure may have stood for long.
    assert await found.get("fred").macro(FRIDAY) == new
    assert (server.seen[0].query["realtime_start"], server.seen[0].query["realtime_end"]) == (
        "2023-12-29",
        "2024-01-05",
    )
    assert len(await found.get("fred_history").macro(FRIDAY)) == 3
    assert server.seen[1].query["realtime_start"] == "1776-07-04"
    with pytest.raises(TerminalError, match="macro series only"):
        await found.get("fred").rates(FRIDAY)


def test_names_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TENANTS", "SYMBOLS", "SERIES"):
        monkeypatch.setenv(f"DAWSOS_PACK_{name}", "a, b")
    found = load_settings(_env_file=None)
    assert found.pack_tenants == found.pack_symbols == found.pack_series == ("a", "b")


@pytest.mark.parametrize("configured", [("AAPL",), ()])
async def test_a_provider_without_a_key_says_which(server: Provider, configured: tuple[str, ...]) -> None:
    keyless = {"polygon_key": None, "fred_key": None}
    found = sources(server.url, pack_symbols=configured, pack_series=configured, **keyless)
    for asked, key in (
        (found.get("polygon").prices, "DAWSOS_POLYGON_KEY"),
        (found.get("fred").macro, "DAWSOS_FRED_KEY"),
        (found.get("fred_history").macro, "DAWSOS_FRED_KEY"),
    ):
        with pytest.raises(TerminalError) as refused:
            await asked(FRIDAY)
        assert refused.value.code is Code.PROVIDER_NOT_CONFIGURED and key in refused.value.message
