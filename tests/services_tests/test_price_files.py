from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from services.local_data import example_data, read_local_data
from services.price_files import FilesRejected, parse_prices, parse_rates, read_prices

PRICES = "date,symbol,close,currency\n"
RATES = "date,base,quote,rate\n"
LEDGER = "2020-01-01 open Assets:Cash:CAD\n"


def test_rows_come_ordered_whatever_the_order_of_lines_and_columns() -> None:
    rows, faults = parse_prices("symbol,currency,date,close\nB,USD,2020-01-03,2.5\n\nA,GBp, 2020-01-02 ,101\n", "p.csv")
    assert not faults
    assert rows == [
        (date(2020, 1, 2), "A", Decimal("101"), "GBp"),
        (date(2020, 1, 3), "B", Decimal("2.5"), "USD"),
    ]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("2020-13-01,A,1,USD", "expected a date like 2005-12-30, got '2020-13-01'"),
        ("01/02/2020,A,1,USD", "expected a date"),
        ("2020-01-02,A,0,USD", "expected a close above zero, got 0"),
        ("2020-01-02,A,-5,USD", "expected a close above zero, got -5"),
        ("2020-01-02,A,NaN,USD", "expected a number as close, got 'NaN'"),
        ("2020-01-02,A,1e3,USD", "expected a number"),
        ("2020-01-02,A,1000000000000,USD", "expected a close below 1,000,000,000,000"),
        ("2020-01-02,A,,USD", "expected a number as close, got ''"),
        ("2020-01-02,,1,USD", "expected a symbol"),
        ("2020-01-02,A,1,usd", "expected a currency code like USD, got 'usd'"),
        ("2020-01-02,A,1", "expected 4 cells, got 3"),
        ('2020-01-02,"A,1,USD', "comma-separated"),
    ],
)
def test_each_fault_in_prices_is_named_with_its_line(line: str, text: str) -> None:
    rows, faults = parse_prices(PRICES + "2020-01-01,A,1,USD\n" + line + "\n", "prices.csv")
    assert [fault.where for fault in faults] == ["prices.csv:3"] and text in faults[0].message
    assert len(rows) >= 1


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("2020-01-02,USD,CAD,0", "expected a rate above zero, got 0"),
        ("2020-01-02,USD,USD,1", "expected two currencies, got USD twice"),
        ("2020-01-02,GBp,USD,0.01", "expected a currency code like USD, got 'GBp'"),
        (
            "2020-01-02,USD,CAD,1.3\n2020-01-02,USD,CAD,1.3",
            "a second USD/CAD rate on 2020-01-02, the first is on line 2",
        ),
        ("2020-01-02,USD,CAD,1.3\n2020-01-02,CAD,USD,0.5", "CAD/USD 0.5 contradicts USD/CAD 1.3 on line 2"),
    ],
)
def test_each_fault_in_rates_is_named(lines: str, text: str) -> None:
    _, faults = parse_rates(RATES + lines + "\n", "fx.csv")
    assert len(faults) == 1 and text in faults[0].message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "missing column(s) date, symbol, close, currency"),
        ("date,symbol,close\n", "missing column(s) currency"),
        ("date,symbol,close,currency,volume\n", "unknown column(s) 'volume'"),
        ("date,symbol,close,currency,close\n", "a column stands twice"),
        (PRICES, "expected at least one price"),
    ],
)
def test_files_of_the_wrong_form(text: str, expected: str) -> None:
    _, faults = parse_prices(text, "prices.csv")
    assert expected in faults[0].message and faults[0].where == "prices.csv:1"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            f"{PRICES}2020-01-02,Ä,1,USD\n".encode("latin-1"),
            "p.csv:2: expected text in UTF-8, got the byte 0xC4",
        ),
        (PRICES.encode("utf-16"), "p.csv:1: expected text in UTF-8, got the byte 0xFF"),
        (None, "p.csv:1: cannot read it: No such file"),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, data: bytes | None, expected: str) -> None:
    if data is not None:
        (tmp_path / "p.csv").write_bytes(data)
    rows, faults = read_prices(tmp_path / "p.csv")
    assert rows == [] and str(faults[0]).startswith(expected)


def test_duplicates_and_changing_currencies() -> None:
    text = PRICES + "2020-01-02,A,1,USD\n2020-01-02,A,2,USD\n2020-01-03,A,1,EUR\n"
    _, faults = parse_prices(text, "p.csv")
    assert [str(fault) for fault in faults] == [
        "p.csv:3: a second close of A on 2020-01-02, the first is on line 2",
        "p.csv:4: A is quoted in EUR here and in USD on line 2",
    ]


def test_a_file_full_of_faults_is_cut_short() -> None:
    _, faults = parse_prices(PRICES + "x,y,z,w\n" * 500, "p.csv")
    assert len(faults) == 101 and "more faults" in faults[-1].message


def test_faults_of_all_files_are_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "main.beancount").write_text(LEDGER + '2020-01-02 * "x"\n  Assets:Cash:CAD 1 CAD\n')
    (tmp_path / "prices.csv").write_text(PRICES + "2020-01-02,A,0,USD\n")
    (tmp_path / "fx.csv").write_text(RATES + "2020-01-02,USD,CAD,minus\n")
    with pytest.raises(FilesRejected) as caught:
        read_local_data(tmp_path, tmp_path / "prices.csv", tmp_path / "fx.csv", "cad")
    shown = str(caught.value)
    for part in ("--base: expected a currency", "main.beancount:2:", "prices.csv:2:", "fx.csv:2:"):
        assert part in shown


def test_missing_files_and_a_start_after_the_end(tmp_path: Path) -> None:
    (tmp_path / "main.beancount").write_text(LEDGER)
    prices = tmp_path / "prices.csv"
    prices.write_text(PRICES + "2020-01-02,A,1,USD\n")
    with pytest.raises(FilesRejected, match="found nothing at"):
        read_local_data(tmp_path / "nowhere", prices, None, "CAD")
    with pytest.raises(FilesRejected, match=r"prices\.csv:1: cannot read it: No such file"):
        read_local_data(tmp_path, tmp_path / "no" / "prices.csv", None, "CAD")
    with pytest.raises(FilesRejected, match="expected a day up to the last price, 2020-01-02"):
        read_local_data(tmp_path, prices, None, "CAD", date(2020, 1, 3))


def test_an_include_that_leaves_its_tree_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.beancount").write_text(LEDGER)
    inner = tmp_path / "mine"
    inner.mkdir()
    (inner / "main.beancount").write_text('include "../secret.beancount"\n')
    (inner / "prices.csv").write_text(PRICES + "2020-01-02,A,1,USD\n")
    with pytest.raises(FilesRejected, match=r"main\.beancount:1: .*leaves the ledger's directory"):
        read_local_data(inner, inner / "prices.csv", None, "CAD")


def test_ids_depend_on_content_only(tmp_path: Path) -> None:
    first, second = example_data(), example_data()
    assert first.ledger.commit == second.ledger.commit and len(first.ledger.commit) == 40
    assert first.portfolio == second.portfolio
    rows, _ = read_prices(Path(__file__).parents[2] / "data" / "example" / "prices.csv")
    assert first.packs.dates == tuple(sorted({row[0] for row in rows}))
