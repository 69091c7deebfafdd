"""The bundled data: what its README says of it, and that it gives whole results end to end."""

import csv
import gzip
import hashlib
import io
import json
import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest

from analytics.attribution import attribute
from analytics.fx import FxHistory
from analytics.history import build
from analytics.holdings import hold
from analytics.market import FxRow, PriceRow, align
from analytics.returns import compute_twr, reconcile
from analytics.valuation import Quote, value
from ledger.booked import Kind
from ledger.booking import book
from ledger.sources import from_disk

DATA = Path(__file__).parents[2] / "data"
D = Decimal


def table(name: str) -> list[dict[str, str]]:
    raw = (DATA / name).read_bytes()
    text = gzip.decompress(raw) if name.endswith(".gz") else raw
    return list(csv.DictReader(io.StringIO(text.decode())))


def market_rows(first: date, last: date) -> tuple[list[PriceRow], list[FxRow]]:
    prices = [
        (on, row["symbol"], D(row["close"]), row["currency"])
        for row in table("us_equities_2000_2013.csv.gz")
        if first <= (on := date.fromisoformat(row["date"])) <= last
    ]
    fx = [
        (on, row["base"], row["quote"], D(row["rate"]))
        for row in table("ecb_fx_1999_2013.csv.gz")
        if first <= (on := date.fromisoformat(row["date"])) <= last
    ]
    return prices, fx


def test_checksums_in_the_readme_are_those_of_the_files() -> None:
    text = (DATA / "README.md").read_text()
    sums = dict(re.findall(r"^([0-9a-f]{64})  (\S+)$", text, re.M))
    said = {name: digest for digest, name in sums.items()}
    there = {
        path.relative_to(DATA).as_posix()
        for path in DATA.rglob("*")
        if path.is_file() and path.suffix not in (".md", ".py", ".pyc", ".yaml")
    }
    assert set(said) == there
    for name, digest in said.items():
        assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == digest, name
    prices = gzip.decompress((DATA / "us_equities_2000_2013.csv.gz").read_bytes())
    assert hashlib.sha256(prices).hexdigest() in text


def test_rates_are_the_ecbs() -> None:
    # The ECB's euro reference rates of 31 December 2004.
    found = {row["quote"]: row["rate"] for row in table("ecb_fx_1999_2013.csv.gz") if row["date"] == "2004-12-31"}
    assert (found["USD"], found["CAD"], found["JPY"]) == ("1.3621", "1.6416", "139.65")
    assert len(found) == 12


def test_prices_are_unadjusted_and_jump_at_splits() -> None:
    closes = {(row["date"], row["symbol"]): D(row["close"]) for row in table("us_equities_2000_2013.csv.gz")}
    assert closes["2005-02-25", "AAPL"] == D("88.99")
    assert closes["2005-02-28", "AAPL"] == D("44.86")


def test_fundamentals_name_their_filings() -> None:
    document = json.loads((DATA / "fundamentals.json").read_text())
    for company in document["companies"].values():
        for filing in company["filings"]:
            assert re.fullmatch(r"\d{10}-\d\d-\d{6}", filing["accession"])
            assert filing["period_end"] < filing["filed"]
            assert set(filing["sources"]) <= set(document["sources"])
            assert all(re.fullmatch(r"-?\d+(\.\d+)?", value) for value in filing["facts"].values())


@pytest.mark.parametrize(
    ("name", "base", "last", "twr"),
    [
        ("example/ledger.beancount", "CAD", date(2005, 12, 30), 0.7660077),
        ("demo/ledger/alice/growth.beancount", "CAD", date(2012, 12, 31), 5.6213358),
        ("demo/ledger/alice/income.beancount", "CAD", date(2012, 12, 31), 0.2391618),
        ("demo/ledger/bob/global.beancount", "USD", date(2012, 12, 31), 6.4306677),
        ("demo/ledger/bob/savings.beancount", "EUR", date(2012, 12, 31), 1.7928482),
    ],
)
def test_every_bundled_portfolio_reconciles(name: str, base: str, last: date, twr: float) -> None:
    booked = book(from_disk(DATA / name))
    assert booked.base == base
    prices, fx = market_rows(date(2003, 12, 30), last)
    history = build(booked.rows, align(base, prices, fx, currencies=booked.currencies))
    result = compute_twr(history)
    assert result.gaps == ()
    assert result.twr == pytest.approx(twr, abs=1e-7)
    found = attribute(history, result)
    assert found.residual_bp is not None
    assert found.residual_bp < 1e-6
    rates = FxHistory(fx)

    def rate_on(currency: str, on: date) -> Decimal | None:
        rate = rates.rate(currency, base, on)
        return rate.rate if rate else None

    quotes = {symbol: Quote(close, money, on) for on, symbol, close, money in prices if on == last}
    valuation = value(hold(booked.rows, last, base, rate_on), quotes, lambda name: rates.rate(name, base, last))
    assert valuation.total_value is not None
    assert reconcile(result, valuation.total_value) < D("1e-15")


def test_the_demo_has_what_it_is_meant_to_show() -> None:
    booked = {
        path.relative_to(DATA / "demo/ledger").as_posix(): book(from_disk(path))
        for path in sorted((DATA / "demo/ledger").rglob("*.beancount"))
    }
    assert set(booked) == {
        "alice/growth.beancount",
        "alice/income.beancount",
        "bob/global.beancount",
        "bob/savings.beancount",
    }
    rows = [row for ledger in booked.values() for row in ledger.rows]
    assert {row.kind for row in rows} == set(get_args(Kind))
    assert any(row.lot_qty is not None and row.lot_qty < 0 for row in rows)
    assert len(booked["bob/global.beancount"].currencies) == 5
    # The special dividend of 2004 is owed on the ex-date and paid in December.
    owed = booked["alice/growth.beancount"].positions(date(2004, 11, 15)).receivables
    assert [(item.symbol, item.pay_date) for item in owed] == [("MSFT", date(2004, 12, 2))]
