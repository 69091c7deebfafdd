"""The providers' clients against a local server: shapes, pages, keys, and everything that goes wrong."""

import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import SecretStr

from agents.data_harvester import DataHarvester
from agents.runtime import AgentRuntime
from services.composition import construct
from services.local_artifacts import LocalArtifacts
from services.provider_clients import provider_clients
from services.providers.fred import Fred
from services.providers.http import Manners, ProviderHttp
from settings import load_settings
from tests.agents.desk import request
from tests.agents.provider_server import Answer, Provider, provider
from topics.errors import Code
from topics.messages import CapabilityResult

KEY = "sk-test-not-to-be-seen"
BARS = "/v2/aggs/ticker/AAPL/range/1/day/2013-02-26/2013-02-28"
# Recorded shape of /v2/aggs, values of the bundled prices.
PAGE = {
    "ticker": "AAPL",
    "queryCount": 2,
    "resultsCount": 2,
    "adjusted": False,
    "results": [
        {"v": 125374100, "vw": 446.1, "o": 443.82, "c": 448.97, "h": 451.54, "l": 437.66, "t": 1361854800000, "n": 1},
        {"v": 146837100, "vw": 445.2, "o": 448.43, "c": 444.57, "h": 452.44, "l": 440.65, "t": 1361941200000, "n": 1},
    ],
    "status": "OK",
    "request_id": "a",
    "count": 2,
}
STATEMENTS = "/stable/income-statement"
OBSERVATIONS = "/fred/series/observations"


def points(*rows: tuple[str, str, str], count: int | None = None, offset: int = 0) -> dict[str, Any]:
    return {
        "realtime_start": "2009-01-01",
        "realtime_end": "2009-12-31",
        "units": "lin",
        "count": count if count is not None else len(rows),
        "offset": offset,
        "limit": 100_000,
        "observations": [
            {"realtime_start": start, "realtime_end": "9999-12-31", "date": on, "value": value}
            for on, value, start in rows
        ],
    }


@pytest.fixture
def server() -> Iterator[Provider]:
    with provider() as found:
        yield found


def runtime(server: Provider, *, key: str | None = KEY, **manners: Any) -> AgentRuntime:
    settings = load_settings(
        _env_file=None, polygon_key=key, fmp_key=key, fred_key=key,
        polygon_url=server.url, fmp_url=server.url, fred_url=server.url,
    )  # fmt: skip
    quick = Manners(**{"rate_per_s": 10_000.0, "timeout_s": 5.0, "backoff_s": 0.01, "wait_s_max": 0.2, **manners})
    agents = construct([DataHarvester], provider_clients(settings, quick))
    return AgentRuntime(agents, LocalArtifacts(), None, None, lambda: 1_000)


async def bars(server: Provider, **fields: Any) -> CapabilityResult:
    args = {"symbol": "AAPL", "start": "2013-02-26", "end": "2013-02-28"}
    return await runtime(server, **fields).handle(request("polygon.daily_bars", args))


async def test_bars_are_asked_for_unadjusted_and_come_in_pages(server: Provider) -> None:
    last = {**PAGE, "results": [{**PAGE["results"][0], "c": 441.4, "t": 1362027600000}]}
    server.on(BARS, {**PAGE, "next_url": f"{server.url}/v2/next?cursor=abc"})
    server.on("/v2/next", last)
    answer = await bars(server)
    assert answer.error is None, answer.error
    assert [row["on"] for row in answer.value["bars"]] == ["2013-02-26", "2013-02-27", "2013-02-28"]
    assert answer.value["bars"][0]["close"] == "448.97" and answer.value["adjustment"] == "none"
    first, second = server.seen
    assert first.query == {"adjusted": "false", "sort": "asc", "limit": "50000"}
    assert second.query == {"cursor": "abc"}
    assert all(each.headers["authorization"] == f"Bearer {KEY}" for each in server.seen)
    assert answer.metadata is not None and answer.metadata.sources == ("polygon:aggs:AAPL",)


async def test_adjusted_bars_are_refused(server: Provider) -> None:
    server.on(BARS, {**PAGE, "adjusted": True})
    error = (await bars(server)).error
    assert error is not None and error.code is Code.UPSTREAM_FAILED and "adjusted" in error.message


async def test_a_next_page_on_another_host_never_sees_the_key(server: Provider) -> None:
    server.on(BARS, {**PAGE, "next_url": "https://elsewhere.example/v2/next"})
    error = (await bars(server)).error
    assert error is not None and "another host" in error.message and not error.retryable


async def test_redirects_are_not_followed(server: Provider) -> None:
    server.on(BARS, Answer(b"", 302, {"Location": f"{server.url}/v2/next"}))
    error = (await bars(server)).error
    assert error is not None and "302" in error.message and len(server.seen) == 1


async def test_splits_and_dividends(server: Provider) -> None:
    server.on(
        "/v3/reference/splits",
        {"results": [{"execution_date": "2005-02-28", "split_from": 1, "split_to": 2, "ticker": "AAPL"}]},
    )
    server.on(
        "/v3/reference/dividends",
        {
            "results": [
                {"cash_amount": 2.65, "currency": "USD", "ex_dividend_date": "2013-02-07", "pay_date": "2013-02-14",
                 "dividend_type": "CD", "frequency": 4, "ticker": "AAPL"},
                {"cash_amount": 2.65, "ex_dividend_date": "2012-08-09", "dividend_type": "CD"},
            ]
        },
    )  # fmt: skip
    answer = await runtime(server).handle(request("polygon.corporate_actions", {"symbol": "AAPL"}))
    assert answer.error is None, answer.error
    assert answer.value["splits"] == [{"on": "2005-02-28", "ratio": "2"}]
    assert [row["ex_date"] for row in answer.value["dividends"]] == ["2012-08-09", "2013-02-07"]
    assert answer.value["dividends"][0]["pay_date"] is None


async def test_statements_keep_their_filing_date_and_unknown_facts_are_absent(server: Provider) -> None:
    server.on(
        STATEMENTS,
        [
            {"date": "2012-09-29", "symbol": "AAPL", "reportedCurrency": "USD", "cik": "0000320193",
             "filingDate": "2012-10-31", "fiscalYear": "2012", "period": "FY", "revenue": 156508000000,
             "netIncome": 41733000000, "ebitda": None},
            {"date": "2011-09-24", "symbol": "AAPL", "reportedCurrency": "USD", "filingDate": "2011-10-26",
             "fiscalYear": "2011", "period": "FY", "revenue": 108249000000, "netIncome": 25922000000},
        ],
    )  # fmt: skip
    answer = await runtime(server).handle(request("fmp.statements", {"symbol": "AAPL"}))
    assert answer.error is None, answer.error
    first, second = answer.value["statements"]
    assert (first["fiscal_year"], second["filed"]) == (2011, "2012-10-31")
    assert second["facts"] == {"revenue": 156508000000, "net_income": 41733000000}
    assert server.seen[0].headers["apikey"] == KEY and "apikey" not in server.seen[0].query


async def test_ratios_and_calendar(server: Provider) -> None:
    server.on("/stable/ratios", [{"symbol": "AAPL", "date": "2012-09-29", "currentRatio": 1.49, "period": "FY"}])
    server.on(
        "/stable/dividends-calendar",
        [{"symbol": "AAPL", "date": "2013-02-07", "dividend": 2.65, "paymentDate": "2013-02-14"},
         {"symbol": "IBM", "date": "2013-02-06", "dividend": None}],
    )  # fmt: skip
    found = runtime(server)
    ratios = await found.handle(request("fmp.ratios", {"symbol": "AAPL"}))
    assert ratios.value["rows"] == [{"date": "2012-09-29", "currentRatio": 1.49}]
    args = {"start": "2013-02-01", "end": "2013-02-28"}
    calendar = await found.handle(request("fmp.dividend_calendar", args))
    assert [(row["symbol"], row["amount"]) for row in calendar.value["rows"]] == [("IBM", None), ("AAPL", "2.65")]
    backwards = await found.handle(request("fmp.dividend_calendar", {"start": "2013-03-01", "end": "2013-02-01"}))
    assert backwards.error is not None and backwards.error.code is Code.INVALID_ARGS


async def test_a_series_as_it_was_known_and_its_vintages(server: Provider) -> None:
    server.on(
        OBSERVATIONS,
        points(("2008-07-01", "11720.0", "2008-10-30"), ("2008-10-01", ".", "2008-10-30")),
        points(("2008-07-01", "11720.0", "2008-10-30"), count=2),
        points(("2008-07-01", "11712.4", "2008-11-25"), count=2, offset=1),
    )
    found = runtime(server)
    known = await found.handle(request("fred.series", {"series_id": "GDPC1", "asof": "2008-10-31"}))
    assert known.error is None, known.error
    assert known.value["points"] == [{"on": "2008-07-01", "value": 11720.0, "realtime_start": "2008-10-30"}]
    assert server.seen[0].query["realtime_start"] == server.seen[0].query["realtime_end"] == "2008-10-31"
    every = await found.handle(request("fred.vintages", {"series_id": "GDPC1"}))
    assert [row["value"] for row in every.value["points"]] == [11720.0, 11712.4]
    assert [each.query["offset"] for each in server.seen] == ["0", "0", "1"]


@pytest.mark.parametrize(
    "failure",
    [
        Answer({"error": "slow down"}, 429, {"Retry-After": "0.05"}),
        Answer(b"<html>bad gateway</html>", 502),
        Answer(PAGE, cut_to=40),
        Answer(b'{"status": "OK", "adjus'),
    ],
    ids=["429", "502", "cut connection", "cut JSON"],
)
async def test_passing_failures_are_tried_again(server: Provider, failure: Answer) -> None:
    server.on(BARS, failure, PAGE)
    answer = await bars(server)
    assert answer.error is None, answer.error
    assert len(server.seen) == 2


async def test_a_long_pause_goes_to_the_engine(server: Provider) -> None:
    server.on(BARS, Answer({}, 429, {"Retry-After": "30"}))
    error = (await bars(server)).error
    assert error is not None and error.retryable and error.retry_after_s == 30.0 and len(server.seen) == 1
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    server.on(BARS, Answer({}, 503, {"Retry-After": later}))
    error = (await bars(server)).error
    assert error is not None and error.retry_after_s is not None and 50 < error.retry_after_s <= 60


async def test_failures_that_stay_are_retryable_for_the_engine_and_open_the_circuit(server: Provider) -> None:
    server.on(BARS, Answer({}, 500))
    found = runtime(server)
    args = {"symbol": "AAPL", "start": "2013-02-26", "end": "2013-02-28"}
    for _ in range(5):
        error = (await found.handle(request("polygon.daily_bars", args))).error
        assert error is not None and error.code is Code.UPSTREAM_FAILED and error.retryable
    asked = len(server.seen)
    assert asked == 15
    error = (await found.handle(request("polygon.daily_bars", args))).error
    assert error is not None and error.code is Code.AGENT_UNAVAILABLE and len(server.seen) == asked
    # The other providers have circuits of their own.
    server.on(OBSERVATIONS, points())
    assert (await found.handle(request("fred.series", {"series_id": "UNRATE", "asof": "2009-01-01"}))).error is None


async def test_a_silent_provider_times_out(server: Provider) -> None:
    server.on(BARS, Answer(PAGE, delay_s=1.0))
    error = (await bars(server, timeout_s=0.1, attempts_max=2)).error
    assert error is not None and error.retryable and "within 0.1 s" in error.message


async def test_a_provider_that_is_not_there(server: Provider) -> None:
    server.url = "http://127.0.0.1:9"
    error = (await bars(server)).error
    assert error is not None and error.retryable and "could not be reached" in error.message


@pytest.mark.parametrize(
    "body",
    [
        {**PAGE, "results": [{**PAGE["results"][0], "c": "dear"}]},
        {**PAGE, "results": [{**PAGE["results"][0], "c": -1}]},
        {**PAGE, "results": {}},
        {"status": "ERROR", "adjusted": False},
        [],
    ],
)
async def test_wrong_types_are_refused_not_guessed(server: Provider, body: Any) -> None:
    server.on(BARS, body)
    error = (await bars(server)).error
    assert error is not None and error.code is Code.UPSTREAM_FAILED and not error.retryable
    assert "outside its schema" in error.message and len(server.seen) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, Code.PROVIDER_NOT_CONFIGURED), (403, Code.PROVIDER_NOT_CONFIGURED), (404, Code.INVALID_ARGS)],
)
async def test_what_trying_again_cannot_help(server: Provider, status: int, code: Code) -> None:
    server.on(BARS, Answer({}, status))
    error = (await bars(server)).error
    assert error is not None and error.code is code and not error.retryable and len(server.seen) == 1


@pytest.mark.parametrize(
    ("capability", "args", "setting"),
    [
        ("polygon.quote", {"symbol": "AAPL"}, "DAWSOS_POLYGON_KEY"),
        ("fmp.statements", {"symbol": "AAPL"}, "DAWSOS_FMP_KEY"),
        ("fred.series", {"series_id": "UNRATE", "asof": "2009-01-01"}, "DAWSOS_FRED_KEY"),
    ],
)
async def test_without_a_key_the_answer_says_which(
    server: Provider, capability: str, args: dict[str, Any], setting: str
) -> None:
    error = (await runtime(server, key=None).handle(request(capability, args))).error
    assert error is not None and error.code is Code.PROVIDER_NOT_CONFIGURED and not error.retryable
    assert setting in error.message and not server.seen


async def test_no_text_and_no_log_holds_the_key(server: Provider, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server.on(OBSERVATIONS, Answer({}, 500))
    found = runtime(server)
    answer = await found.handle(request("fred.series", {"series_id": "UNRATE", "asof": "2009-01-01"}))
    server.on(OBSERVATIONS, Answer({"observations": KEY}))
    second = await found.handle(request("fred.series", {"series_id": "UNRATE", "asof": "2009-01-01"}))
    assert server.seen[0].query["api_key"] == KEY
    assert KEY not in caplog.text and KEY not in repr((answer, second))


@pytest.mark.parametrize("symbol", ["../etc", "A/B", "", "A?x=1"])
async def test_a_symbol_cannot_change_the_path(server: Provider, symbol: str) -> None:
    error = (await runtime(server).handle(request("polygon.quote", {"symbol": symbol}))).error
    assert error is not None and error.code is Code.INVALID_ARGS and not server.seen


def test_keys_do_not_travel_in_the_clear() -> None:
    from settings import SettingsError

    with pytest.raises(SettingsError, match="POLYGON_URL"):
        load_settings(_env_file=None, polygon_url="http://api.example.com")


async def test_calls_are_spaced(server: Provider) -> None:
    server.on(OBSERVATIONS, points())
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    http = ProviderHttp("fred", server.url, SecretStr(KEY), "X", manners=Manners(rate_per_s=0.01), sleep=sleep)
    for _ in range(3):
        await Fred(http).series("UNRATE", date(2009, 1, 1))
    assert [round(seconds, -1) for seconds in slept] == [100, 200]
