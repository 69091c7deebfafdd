"""Importing market data: files of every form, idempotence, restatement, identifiers, policies."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner, Result

from cli.exits import Exit
from cli.main import app
from db.identifiers import Identifier, IdentifierRepository, UnknownSecurities
from db.macro import MacroRepository, MacroRow
from db.pack_watch import PackWatchRepository
from db.pack_writer import PackWriter
from db.packs import PackRepository
from db.postgres import Pool, open_pool
from services.identifier_files import parse_identifiers
from services.macro import RecordedMacro, StoredMacro
from services.market_files import PRICE_COLUMNS, MarketFile, ParquetMissing, market_text, prices_of, rates_of
from services.pack_import import import_packs, rebuilt_difference
from services.pack_import_report import ImportReport
from services.pack_import_request import (
    GivenIdentifier,
    GivenOrigin,
    GivenPrice,
    GivenRate,
    GivenSecurity,
    ImportRequest,
)
from services.packs_build import FIRST_DAY, POLICY, build_packs, exchange_sessions
from services.price_files import FilesRejected
from tests.services import Database
from topics.errors import Code, TerminalError

NOW = datetime(2024, 1, 10, tzinfo=UTC)
THURSDAY, FRIDAY, MONDAY = date(2024, 1, 4), date(2024, 1, 5), date(2024, 1, 8)
D = Decimal


@pytest.fixture
async def owner_of_packs(pack_database: Database) -> AsyncIterator[Pool]:
    pool = await open_pool(pack_database.admin_url, size_max=2)
    yield pool
    await pool.close()


def price(on: date, close: str = "10", symbol: str = "SYN-A", currency: str = "USD") -> GivenPrice:
    return GivenPrice(symbol=symbol, close=D(close), currency=currency, observed_on=on)


def rate(on: date, value: str = "1.1", quote: str = "USD") -> GivenRate:
    return GivenRate(base="EUR", quote=quote, rate=D(value), observed_on=on)


def request(**fields: Any) -> ImportRequest:
    given: dict[str, Any] = {"policy": "mine", "source": "syn"}
    return ImportRequest(**{**given, **fields})


WEEK = request(
    prices=(price(THURSDAY), price(FRIDAY, "10.5"), price(MONDAY, "11")),
    rates=(rate(THURSDAY), rate(FRIDAY, "1.2")),  # none on Monday: carried
    origins=(GivenOrigin(kind="prices", source="syn", name="closes.csv", sha256="0" * 64),),
)


def counts(report: ImportReport) -> tuple[int, int, int]:
    return report.created, report.restated, report.unchanged


pytestmark_db = pytest.mark.integration


@pytestmark_db
async def test_an_import_is_repeatable_and_a_change_is_a_revision(owner_of_packs: Pool) -> None:
    packs = PackWriter(owner_of_packs)
    first = await import_packs(owner_of_packs, WEEK, NOW)
    assert counts(first) == (3, 0, 0)
    assert counts(await import_packs(owner_of_packs, WEEK, NOW)) == (0, 0, 3)
    monday = UUID(first.packs[2]["pack_id"])
    [carried] = (await packs.content(monday)).rates
    assert (carried.rate, carried.observed_on) == (D("1.2"), FRIDAY)
    assert [(o.kind, o.name) for o in await packs.provenance(monday)] == [("prices", "closes.csv")]

    changed = WEEK.model_copy(update={"prices": (price(THURSDAY), price(FRIDAY, "10.6"), price(MONDAY, "11"))})
    second = await import_packs(owner_of_packs, changed, NOW)
    assert counts(second) == (0, 1, 2)
    [restated] = second.packs
    assert (restated["day"], restated["revision"]) == ("2024-01-05", 2)
    [difference] = await packs.difference(UUID(first.packs[1]["pack_id"]), UUID(restated["pack_id"]))
    assert str(difference) == "price of SYN-A: 10.5 → 10.6"
    # The same rows give the same digest again, and the old revision still has its own.
    assert await packs.verify(UUID(first.packs[1]["pack_id"])) == first.packs[1]["content_sha256"]
    assert await rebuilt_difference(packs, UUID(restated["pack_id"]), changed) == ()
    [wrong] = await rebuilt_difference(packs, UUID(restated["pack_id"]), WEEK)
    assert (wrong.before, wrong.after) == (D("10.6"), D("10.5"))


@pytestmark_db
async def test_half_an_import_keeps_the_other_half(owner_of_packs: Pool) -> None:
    await import_packs(owner_of_packs, WEEK, NOW)
    report = await import_packs(owner_of_packs, request(rates=(rate(FRIDAY, "1.25"),)), NOW)
    assert counts(report) == (0, 1, 0)
    content = await PackWriter(owner_of_packs).content(UUID(report.packs[0]["pack_id"]))
    assert [(row.symbol, row.close) for row in content.prices] == [("SYN-A", D("10.5"))]
    assert [row.rate for row in content.rates] == [D("1.25")]


@pytestmark_db
async def test_codes_are_looked_up_on_the_day_of_the_price(owner_of_packs: Pool) -> None:
    # The code moves from one security to another over the weekend.
    codes = (
        GivenIdentifier(symbol="SYN-A", scheme="isin", value="XS0000000009", valid_to=FRIDAY),
        GivenIdentifier(symbol="SYN-B", scheme="isin", value="XS0000000009", valid_from=MONDAY),
        GivenIdentifier(symbol="SYN-A", scheme="figi", value="BBG000000007"),
    )
    both = (price(THURSDAY), price(THURSDAY, "5", "SYN-B"))
    seeded = request(prices=both, identifiers=codes, securities=(GivenSecurity(symbol="SYN-A", name="Synthetic A"),))
    report = await import_packs(owner_of_packs, seeded, NOW)
    assert report.identifiers == 3
    assert (await import_packs(owner_of_packs, seeded, NOW)).identifiers == 0
    coded = tuple(price(on, "7", "XS0000000009") for on in (FRIDAY, MONDAY))
    await import_packs(owner_of_packs, request(prices=coded, identify_by="isin"), NOW)
    packs = PackWriter(owner_of_packs)
    named = [
        (info.ref.asof_date, [row.symbol for row in (await packs.content(info.ref.pack_id)).prices])
        for info in await packs.list("mine", FRIDAY, MONDAY)
    ]
    assert named == [(MONDAY, ["SYN-B"]), (FRIDAY, ["SYN-A"])]
    found = await IdentifierRepository(owner_of_packs).of("SYN-A")
    assert [(row.scheme, row.valid_to) for row in found] == [("figi", date.max), ("isin", FRIDAY)]
    with pytest.raises(TerminalError, match="XS9 on 2024-01-08"):
        await import_packs(owner_of_packs, request(prices=(price(MONDAY, "1", "XS9"),), identify_by="isin"), NOW)
    clash = GivenIdentifier(symbol="SYN-B", scheme="figi", value="BBG000000007", valid_from=FRIDAY)
    with pytest.raises(TerminalError, match="already in use"):
        await import_packs(owner_of_packs, request(prices=both, identifiers=(clash,)), NOW)


@pytestmark_db
async def test_two_codes_of_one_standard_on_one_day_are_named(owner_of_packs: Pool) -> None:
    both = (price(THURSDAY), price(THURSDAY, "5", "SYN-B"))

    def isin(value: str, **days: date) -> GivenIdentifier:
        return GivenIdentifier(symbol="SYN-A", scheme="isin", value=value, **days)

    # A code that ends before the next begins, and a second vendor's code, are nothing odd.
    fine = (isin("US0378331005", valid_to=FRIDAY), GivenIdentifier(symbol="SYN-A", scheme="mine", value="1"))
    more = (GivenIdentifier(symbol="SYN-A", scheme="mine", value="2"), isin("US4592001014", valid_from=MONDAY))
    report = await import_packs(owner_of_packs, request(prices=both, identifiers=(*fine, *more)), NOW)
    assert report.doubtful == []
    # One of an earlier import counts, too.
    report = await import_packs(owner_of_packs, request(identifiers=(isin("US5949181045", valid_from=FRIDAY),)), NOW)
    assert [str(each) for each in report.doubtful] == [
        "SYN-A: isin US0378331005 and US5949181045 both mean it from 2024-01-05 to 2024-01-05",
        "SYN-A: isin US5949181045 and US4592001014 both mean it from 2024-01-08",
    ]
    assert report.as_json()["doubtful"][0]["symbol"] == "SYN-A"


@pytestmark_db
async def test_identifiers_of_unknown_securities_write_nothing(owner_of_packs: Pool) -> None:
    strange = GivenIdentifier(symbol="NOSUCH", scheme="mine", value="1")
    with pytest.raises(UnknownSecurities, match="there is no security NOSUCH") as refused:
        await import_packs(owner_of_packs, request(prices=(price(THURSDAY),), identifiers=(strange,)), NOW)
    assert (refused.value.code, list(refused.value.symbols)) == (Code.INVALID_INPUT, ["NOSUCH"])
    assert await PackWriter(owner_of_packs).known_securities(["SYN-A"]) == {}
    twice = [Identifier("SYN-A", "mine", "1"), Identifier("SYN-A", "mine", "1", valid_to=FRIDAY)]
    with pytest.raises(TerminalError, match="given twice from the same day: mine 1"):
        await IdentifierRepository(owner_of_packs).add(twice, "syn")


BAD_IDENTIFIERS = """symbol,scheme,value,valid_from,valid_to
AAPL,isin,US02079K3059,xx,
AAPL,isin,US0378331005,31.12.2004,
AAPL,isin,
AAPL,isin,,,
AAPL,isin,US0378331006,,
AAPL,figi,not-a-figi,,
AAPL,ISIN,US0378331005,,
AAPL,mine,1,2005-01-03,2004-12-31
,mine,2,,
AAPL,mine,3,,2004-12-31
FB,mine,3,2004-12-31,
"""
IDENTIFIER_FAULTS = [
    "idx.csv:2: expected a date like 2005-12-30, got 'xx'",
    "idx.csv:3: expected a date like 2005-12-30, got '31.12.2004'",
    "idx.csv:4: expected 5 cells, got 3",
    "idx.csv:5: expected a code of at most 200 characters, got nothing",
    "idx.csv:6: ISIN 'US0378331006' has check digit 6, expected 5",
    "idx.csv:7: expected a FIGI, twelve capital consonants or digits with G as the third, got 'not-a-figi'",
    "idx.csv:8: expected a scheme in lower case like isin, figi or polygon, got 'ISIN'",
    "idx.csv:9: expected valid_from up to valid_to, got 2005-01-03 to 2004-12-31",
    "idx.csv:10: expected a symbol of at most 200 characters, got nothing",
    "idx.csv:12: mine 3 stands on line 11 for the same days",
]


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        (BAD_IDENTIFIERS, IDENTIFIER_FAULTS),
        (
            "symbol,scheme\nAAPL,isin\n",
            ["idx.csv:1: missing column(s) value; expected symbol,scheme,value,valid_from,valid_to"],
        ),
        ("symbol,scheme,value\n", ["idx.csv:1: expected at least one identifier, got none"]),
    ],
)
def test_every_fault_of_an_identifier_file_comes_at_once(
    text: str, faults: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "idx.csv"
    path.write_text(text)
    monkeypatch.setenv("DAWSOS_HOME", str(tmp_path))
    done = CliRunner().invoke(app, ["packs", "import", "--policy", "mine", "--identifiers", str(path)])
    counted = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    assert done.stderr.splitlines() == [*faults, f"error: {counted}, nothing was imported"]
    assert done.exit_code == Exit.ERROR


def test_an_identifier_file_may_leave_the_days_out() -> None:
    found = parse_identifiers("value,symbol,scheme\nUS0378331005,AAPL,isin\n", "idx.csv")
    assert found.identifiers == (GivenIdentifier(symbol="AAPL", scheme="isin", value="US0378331005"),)


@pytestmark_db
def test_the_command_names_the_line_of_an_unknown_security_and_how_far_the_calendar_reaches(
    pack_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dawsos = command(monkeypatch, pack_database)
    path = tmp_path / "idx.csv"
    path.write_text("symbol,scheme,value\nNOSUCH,isin,US0378331005\nSYN-A,figi,BBG000000007\nNOSUCH,mine,1\n")
    given = ("import", "--policy", "mine", "--prices", closes(tmp_path / "closes.csv", date(2026, 11, 23)))
    refused = dawsos(*given, "--identifiers", str(path))
    assert refused.stderr.splitlines() == [
        "idx.csv:2: there is no security NOSUCH",
        "idx.csv:4: there is no security NOSUCH",
        "error: 2 faults, nothing was imported",
    ]
    assert refused.exit_code == Exit.ERROR
    path.write_text("symbol,scheme,value\nSYN-A,figi,BBG000000007\n")
    done = dawsos(*given, "--identifiers", str(path), "--calendar", "XNYS")
    assert done.exit_code == 0, done.stderr
    assert "1 identifier new or changed" in done.stderr
    # 366 days past the last price is Wednesday, 24 November 2027, a session.
    assert "calendar XNYS known until 2027-11-24" in done.stderr
    report = json.loads(dawsos(*given, "--json").stdout)
    assert report["calendar"] == {"name": "XNYS", "known_until": "2027-11-24"}


@pytestmark_db
async def test_pence_become_a_price_unit(owner_of_packs: Pool) -> None:
    report = await import_packs(owner_of_packs, request(prices=(price(FRIDAY, "250", "SYN-P", "GBX"),)), NOW)
    packs = PackWriter(owner_of_packs)
    security = (await packs.known_securities(["SYN-P"]))["SYN-P"]
    assert (security.trading_ccy, security.price_unit) == ("GBP", 100)
    series = await packs.series(UUID(report.packs[0]["pack_id"]), ["SYN-P"], ["GBP"], None)
    assert (series.closes["SYN-P"], series.currencies["SYN-P"]) == ((D("2.5"),), "GBP")
    with pytest.raises(TerminalError, match="cannot become GBP/1"):
        await import_packs(owner_of_packs, request(prices=(price(MONDAY, "2.5", "SYN-P", "GBP"),)), NOW)


@pytestmark_db
async def test_what_a_policy_requires_must_be_there(owner_of_packs: Pool) -> None:
    report = await import_packs(owner_of_packs, request(prices=WEEK.prices, required_symbols=("SYN-A", "SYN-Z")), NOW)
    assert counts(report) == (0, 0, 0)
    assert {(finding.kind, finding.subject) for _, finding in report.faulty} == {("coverage", "SYN-Z")}


@pytestmark_db
async def test_a_pack_is_overdue_after_its_policys_time(owner_of_packs: Pool) -> None:
    due = {"expected_by": time(18, 30), "time_zone": "America/New_York"}
    with pytest.raises(TerminalError, match="none can be overdue"):
        await import_packs(owner_of_packs, WEEK.model_copy(update=due), NOW)
    await import_packs(owner_of_packs, WEEK.model_copy(update={**due, "exchange": "XNYS"}), NOW)
    tuesday = date(2024, 1, 9)
    watch = PackWatchRepository(owner_of_packs)
    due = datetime(2024, 1, 9, 23, 30, tzinfo=UTC)
    assert await watch.overdue(due) == ()
    [late] = await watch.overdue(due.replace(minute=31))
    assert (late.policy, late.asof_date, late.due_at, late.status) == ("mine", tuesday, due, None)
    await import_packs(owner_of_packs, request(prices=(price(tuesday),)), NOW)
    assert await watch.overdue(due.replace(minute=31)) == ()


def command(monkeypatch: pytest.MonkeyPatch, database: Database) -> Callable[..., Result]:
    """Return a runner of `dawsos packs …` on a database."""
    monkeypatch.setenv("DAWSOS_KAFKA", "localhost:1")
    monkeypatch.setenv("DAWSOS_REDIS", "redis://localhost:1")
    monkeypatch.setenv("DAWSOS_POSTGRES", database.url)
    monkeypatch.setenv("DAWSOS_POSTGRES_ADMIN", database.admin_url)
    return lambda *arguments: CliRunner().invoke(app, ["packs", *arguments])


def closes(path: Path, *days: date) -> str:
    path.write_text("date,symbol,close,currency\n" + "".join(f"{on},SYN-A,10,USD\n" for on in days))
    return str(path)


@pytestmark_db
def test_the_command_knows_the_sessions_to_come(
    pack_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dawsos = command(monkeypatch, pack_database)
    given = ("import", "--policy", "od", "--prices", closes(tmp_path / "one.csv", date(2026, 11, 23)))
    due = ("--expected-by", "18:30", "--time-zone", "America/New_York")
    refused = dawsos(*given, *due)
    assert refused.exit_code and "needs an exchange's calendar" in refused.stderr + str(refused.exception)
    refused = dawsos(*given, "--calendar", "NOPE")
    assert refused.exit_code and "code of an exchange" in refused.stderr + str(refused.exception)
    done = dawsos(*given, *due, "--calendar", "XNYS")
    assert done.exit_code == 0, done.stderr

    async def later() -> None:
        pool = await open_pool(pack_database.url, size_max=1)
        try:
            late = await PackWatchRepository(pool).overdue(datetime(2026, 11, 27, 12, tzinfo=UTC))
            assert [(each.policy, each.asof_date.day) for each in late] == [("od", 24), ("od", 25)]
            packs = PackRepository(pool)
            # A session that has no pack yet, Thanksgiving after one, a day past what the calendar knows.
            for on, said in ((24, "for 2026-11-24"), (26, "last session at or before 2026-11-26")):
                with pytest.raises(TerminalError, match=said) as none:
                    await packs.resolve("od", date(2026, 11, on), None)
                assert none.value.code is Code.NO_PACK
            with pytest.raises(TerminalError, match="is known from") as none:
                await packs.resolve("od", date(2028, 11, 24), None)
            assert none.value.code is Code.NO_PACK
            assert (await packs.resolve("od", None, None)).asof == date(2026, 11, 23)
        finally:
            await pool.close()

    asyncio.run(later())
    # Rates of a day without prices make no pack of it; a later import goes on from there, also without --calendar.
    rates = tmp_path / "fx.csv"
    rates.write_text("date,base,quote,rate\n2026-11-23,EUR,USD,1.1\n2026-11-24,EUR,USD,1.1\n")
    assert dawsos("import", "--policy", "od", "--fx", str(rates)).exit_code == 0
    listed = json.loads(dawsos("list", "--policy", "od", "--json").stdout)
    assert {row["asof_date"] for row in listed if row["status"] == "fresh"} == {"2026-11-23"}
    done = dawsos("import", "--policy", "od", "--prices", closes(tmp_path / "two.csv", date(2027, 11, 23)))
    assert done.exit_code == 0, done.stderr


@pytestmark_db
def test_restating_an_older_day_says_who_keeps_the_old_rows(
    pack_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dawsos = command(monkeypatch, pack_database)
    path = tmp_path / "closes.csv"

    def load(*rows: tuple[date, str], more: tuple[str, ...] = ()) -> Result:
        path.write_text("date,symbol,close,currency\n" + "".join(f"{on},SYN-A,{close},USD\n" for on, close in rows))
        done = dawsos("import", "--policy", "mine", "--prices", str(path), *more)
        assert done.exit_code == 0, done.stderr
        return done

    def said(done: Result) -> str:
        return " ".join((done.stdout + done.stderr).split())

    assert "frozen before" not in said(load((THURSDAY, "10"), (FRIDAY, "10"), (MONDAY, "10")))
    older = said(load((FRIDAY, "10.5")))
    assert "the pack of 2024-01-08 was frozen before and keeps the old rows of 2024-01-05" in older
    assert "seen from the next pack on that is frozen" in older
    report = json.loads(load((THURSDAY, "10.5"), more=("--json",)).stdout)
    assert report["keeping"] == {
        "restated": "2024-01-04",
        "packs": 2,
        "first": "2024-01-05",
        "last": "2024-01-08",
    }
    # The newest day, and one whose successors are frozen anew by the same import, leave nobody behind.
    assert "frozen before" not in said(load((MONDAY, "11")))
    assert "frozen before" not in said(load((FRIDAY, "10.6"), (MONDAY, "11.1")))


@pytestmark_db
@pytest.mark.parametrize("rated", [True, False])
def test_a_session_without_any_price_is_refused(
    pack_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rated: bool
) -> None:
    dawsos = command(monkeypatch, pack_database)
    rates = tmp_path / "fx.csv"
    rates.write_text("date,base,quote,rate\n" + "".join(f"2024-01-0{day},EUR,USD,1.1\n" for day in (4, 5, 8)))
    done = dawsos(
        *("import", "--policy", "mine", "--calendar", "XNYS", "--json"),
        *("--prices", closes(tmp_path / "closes.csv", THURSDAY, MONDAY), *(("--fx", str(rates)) if rated else ())),
    )
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert [pack["day"] for pack in report["packs"]] == ["2024-01-04", "2024-01-08"]
    [refused] = report["faulty"]
    assert (refused["day"], refused["kind"]) == ("2024-01-05", "coverage" if rated else "empty")


def test_what_the_calendar_library_does_not_know() -> None:
    # Its Bombay ends with a year that is published; a year past the last price is asked for anyway.
    assert len(exchange_sessions("XBOM", date(2024, 1, 1), date(2099, 12, 31))) > 490
    with pytest.raises(LookupError, match="from 2098-01-01 to 2099-12-31 are not known"):
        exchange_sessions("XBOM", date(2098, 1, 1), date(2099, 12, 31))


@pytestmark_db
async def test_two_policies_share_an_exchange(owner_of_packs: Pool) -> None:
    """Neither closes the other's sessions, nor those between them."""
    writer = PackWriter(owner_of_packs)
    await import_packs(owner_of_packs, WEEK.model_copy(update={"exchange": "XNYS"}), NOW)
    await build_packs(writer, FIRST_DAY, FIRST_DAY, NOW)
    assert await writer.sessions("mine", THURSDAY, MONDAY) == (THURSDAY, FRIDAY, MONDAY)
    assert len(await writer.sessions(POLICY, date(2018, 1, 1), date(2018, 12, 31))) == 251


@pytestmark_db
async def test_macro_vintages_never_change(owner_of_packs: Pool) -> None:
    macro = MacroRepository(owner_of_packs)
    first = MacroRow("SYN-GDP", date(2023, 10, 1), date(2024, 1, 4), D("3.1"), "syn")
    revised = MacroRow("SYN-GDP", date(2023, 10, 1), date(2024, 2, 1), D("2.9"), "syn")
    assert (await macro.add([first, revised]), await macro.add([first])) == (2, 0)
    assert [row.value for row in await macro.asof(["SYN-GDP"], date(2024, 1, 31))] == [D("3.1")]
    assert [row.value for row in await macro.asof(["SYN-GDP"], date(2024, 2, 1))] == [D("2.9")]
    assert await macro.asof(["SYN-GDP"], date(2024, 1, 3)) == ()
    with pytest.raises(TerminalError, match="a vintage never changes"):
        await macro.add([MacroRow("SYN-GDP", date(2023, 10, 1), date(2024, 1, 4), D("3.2"), "syn")])


@pytestmark_db
async def test_a_pack_sees_the_macro_rows_that_were_there_when_it_was_frozen(owner_of_packs: Pool) -> None:
    macro = MacroRepository(owner_of_packs)

    def gdp(quarter: int, vintage: date, value: str) -> MacroRow:
        return MacroRow("GDPC1", date(2023, 3 * quarter - 2, 1), vintage, D(value), "fred")

    published = date(2023, 12, 21)
    await macro.add([gdp(1, date(2023, 4, 27), "100"), gdp(2, published, "101"), gdp(3, published, "102")])
    first = await import_packs(owner_of_packs, WEEK, NOW)
    friday = UUID(first.packs[1]["pack_id"])
    stored = StoredMacro(macro, RecordedMacro())
    before = await stored.series(("GDPC1", "UNRATE"), FRIDAY, friday)
    assert [each.value for each in before["GDPC1"].observations] == [100, 101, 102]
    last = before["GDPC1"].observations[-1]
    assert (last.end, last.released, before["GDPC1"].per_year) == (date(2023, 9, 30), published, 4)
    assert not before["GDPC1"].release_assumed and before["UNRATE"].release_assumed  # nobody loaded that one
    # An older figure and an older revision arrive late; both were public that Friday, but this pack was made without.
    await macro.add([gdp(1, date(2023, 5, 25), "99"), MacroRow("SYN-D", THURSDAY, THURSDAY, D("1.5"), "fred")])
    assert await stored.series(("GDPC1", "UNRATE", "SYN-D"), FRIDAY, friday) == before
    again = WEEK.model_copy(update={"prices": (price(THURSDAY), price(FRIDAY, "10.6"), price(MONDAY, "11"))})
    [restated] = (await import_packs(owner_of_packs, again, NOW)).packs
    after = await stored.series((), FRIDAY, UUID(restated["pack_id"]))
    revised = after["GDPC1"].observations[0]
    assert (revised.value, revised.released, revised.vintage) == (99, date(2023, 4, 27), date(2023, 5, 25))
    assert after["GDPC1"].source != before["GDPC1"].source and after["SYN-D"].transform == "level"
    assert set(after) > {"CPILFESL", "UNRATE"} and "T10Y2Y" not in after
    # A pack of the day before sees what was public then, whenever it is made.
    assert await macro.seen(["SYN-D"], UUID(first.packs[0]["pack_id"])) == ()


def file(text: str, name: str = "file.csv") -> MarketFile:
    return market_text(name, text.encode(), PRICE_COLUMNS)


ECB = "Date,USD,JPY,CYP,\n2024-01-05,1.0921,158.48,N/A,\n2024-01-04,1.0953,158.31,N/A,\n"


@pytest.mark.parametrize("packed", [False, True])
def test_the_ecbs_table_is_read_as_it_is_published(packed: bool) -> None:
    data = ECB.encode()
    if packed:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("eurofxref-hist.csv", ECB)
        data = buffer.getvalue()
    rows = rates_of(market_text("eurofxref-hist.zip", data, PRICE_COLUMNS))
    assert rows[0] == (THURSDAY, "EUR", "JPY", D("158.31"))
    assert len(rows) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Date,USD\n2024-01-05,zero\n", "file.csv:2"),
        ("Date,USD\n2024-13-05,1\n", "expected a date"),
        ("Date,USD\n2024-01-05,1\n2024-01-05,1\n", "stands there twice"),
        ("Date,dollar\n", "expected Date and ISO currencies"),
        ("date,base,quote,rate\n2024-01-05,EUR,EUR,1\n", "expected two currencies"),
    ],
)
def test_faults_name_file_and_line(text: str, said: str) -> None:
    with pytest.raises(FilesRejected, match=said):
        rates_of(file(text))


def test_parquet_gives_the_same_rows_as_csv(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pa.table(
        {
            "date": pa.array([THURSDAY, FRIDAY], pa.date32()),
            "symbol": ["SYN-A", "SYN-A"],
            "close": pa.array([D("10.10"), D("10.25")], pa.decimal128(12, 2)),
            "currency": ["USD", "USD"],
            "volume": [1, 2],
        }
    )
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    read = prices_of(market_text("closes.parquet", buffer.getvalue(), PRICE_COLUMNS))
    assert read == prices_of(
        file("date,symbol,close,currency\n2024-01-04,SYN-A,10.10,USD\n2024-01-05,SYN-A,10.25,USD\n")
    )
    buffer = io.BytesIO()
    parquet.write_table(table.drop_columns(["close"]), buffer)
    with pytest.raises(FilesRejected, match="missing column"):
        market_text("closes.parquet", buffer.getvalue(), PRICE_COLUMNS)


def test_without_pyarrow_a_parquet_file_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ParquetMissing, match="needs pyarrow"):
        market_text("closes.parquet", b"PAR1....PAR1", PRICE_COLUMNS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"prices": [{"symbol": "A", "close": "1", "currency": "usd", "observed_on": "2024-01-05"}]},
        {"rates": [{"base": "EUR", "quote": "USD", "rate": "x", "observed_on": "2024-01-05"}]},
        {"surprise": 1},
    ],
)
def test_a_request_is_checked_at_the_boundary(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        ImportRequest.model_validate_json(json.dumps({"policy": "p", "source": "s", **wrong}))


@pytestmark_db
async def test_a_new_policy_needs_days(owner_of_packs: Pool) -> None:
    with pytest.raises(TerminalError, match="give prices or sessions") as refused:
        await import_packs(owner_of_packs, request(rates=(rate(FRIDAY),)), NOW)
    assert refused.value.code is Code.INVALID_INPUT


async def test_days_that_have_not_begun_anywhere_are_named(owner_of_packs: Pool) -> None:
    tomorrow, later = date(2024, 1, 11), date(2030, 3, 4)
    report = await import_packs(owner_of_packs, request(prices=(price(FRIDAY), price(tomorrow), price(later))), NOW)
    assert report.to_come == [tomorrow, later] and report.as_json()["to_come"] == ["2024-01-11", "2030-03-04"]
    # In the earliest time zone it is the eleventh from 10:00 UTC of the tenth on; and what is there is not new.
    again = request(policy="other", prices=(price(tomorrow),))
    assert (await import_packs(owner_of_packs, again, NOW.replace(hour=10))).to_come == []
    assert (await import_packs(owner_of_packs, request(prices=(price(later),)), NOW)).to_come == []
