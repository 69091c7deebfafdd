"""The summary of a ledger: the bundled example, and one with faults."""

from datetime import date
from pathlib import Path

from ledger.checking import check
from ledger.sources import from_disk, from_text

EXAMPLE = Path(__file__).parents[2] / "data/example/ledger.beancount"


def test_the_example_is_summed_up() -> None:
    found = check(from_disk(EXAMPLE))
    assert found.faults == ()
    assert (found.title, found.base) == ("Example portfolio", "CAD")
    assert found.symbols == ("AAPL", "IBM", "MSFT")
    assert found.currencies == ("CAD", "EUR", "USD")
    assert (found.first, found.last) == (date(2004, 1, 2), date(2005, 11, 30))
    assert found.transactions == 27
    assert len(found.content_hash) == 64


def test_faults_are_part_of_the_summary() -> None:
    found = check(from_text('2004-01-02 * "x"\n  Assets:Cash  1 USD\n  Equity:In\n'))
    assert [str(fault) for fault in found.faults] == [
        "main.beancount:2: Assets:Cash is not open: add `2004-01-02 open Assets:Cash` before this line"
    ]
    assert (found.transactions, found.first) == (1, None)


def test_the_benchmark_ledger_is_a_valid_one() -> None:
    from bench.ledger import ledger_text

    found = check(from_text(ledger_text(1_000)))
    assert found.faults == ()
    assert (found.transactions, len(found.symbols)) == (1_000, 50)
    assert found.content_hash == check(from_text(ledger_text(1_000))).content_hash
