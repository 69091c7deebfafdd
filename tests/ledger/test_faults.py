"""Bad ledgers: every fault at once, each with its place and what was expected."""

from pathlib import Path

import pytest

from ledger.booking import book_with_faults
from ledger.directives import Fault
from ledger.loading import load
from ledger.parsing import parse
from ledger.sources import Tree, from_text
from tests.ledger.docstring import faults_of


@faults_of
def test_all_faults_of_a_file_come_at_once(faults: tuple[Fault, ...]) -> None:
    """
    2004-01-01 open Assets:Cash USD
    2004-01-01 open Equity:In
    2004-13-01 open Assets:Other
    2004-01-02 * "unbalanced"
      Assets:Cash   100.00 USD
      Equity:In     -99.90 USD
    2004-01-03 * "unknown account"
      Assets:Nowhere   1 USD
      Equity:In
    2004-01-04 * "wrong currency"
      Assets:Cash   1 CAD
      Equity:In
    2004-01-05 pad Assets:Cash Equity:In
    plugin "beancount.plugins.auto"
    2004-01-06 * "two left out"
      Assets:Cash
      Equity:In
    2004-01-07 balance Assets:Cash 5 USD
    2004-01-08 foo Assets:Cash
    hello
    2004-01-09 * "no number"
      Assets:Cash   abc USD
      Equity:In
    """
    assert [fault.line for fault in faults] == [3, 4, 8, 11, 13, 14, 17, 18, 19, 20, 22]
    text = "\n".join(str(fault) for fault in faults)
    for expected in (
        "no such day: 2004-13-01",
        "does not balance: 0.10 USD left over (tolerance 0.005)",
        "Assets:Nowhere is not open",
        "Assets:Cash holds only USD, not CAD",
        "pad is not supported: write the padding transaction out",
        "plugins are not supported",
        "only one posting of a transaction may leave its amount",
        "expected 5 USD, the ledger has 0 USD",
        "unknown directive 'foo'",
        "expected a date, an option or an include, got 'hello'",
    ):
        assert expected in text
    assert str(faults[0]).startswith("main.beancount:3: ")


@faults_of
def test_no_units_hide_no_other_fault(faults: tuple[Fault, ...]) -> None:
    """
    2004-01-01 open Assets:Stock
    2004-01-01 open Equity:In
    2004-01-02 * "bought"
      Assets:Stock   2 SYN-A {10 USD}
      Equity:In
    2004-01-03 * "nothing at a cost"
      Assets:Stock   0 SYN-A {10 USD}
      Equity:In
    2004-01-04 * "nothing goes"
      Assets:Stock   0 SYN-A {}
      Equity:In      0 USD
    2004-01-05 * "unbalanced"
      Assets:Stock   1 SYN-A {10 USD}
      Equity:In     -9 USD
    """
    assert [fault.line for fault in faults] == [7, 12]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Assets:Stock 10 SYN-A @ 5 USD", "a security needs a cost"),
        ("Assets:Stock 10 SYN-A {*}", "cost merging"),
        ("Assets:Stock 10 SYN-A {5 # 2 USD}", "compound costs"),
        ("Assets:Stock 10 SYN-A {-5 USD}", "a cost cannot be negative"),
        ("Assets:Stock 10 SYN-A {5 USD} @ -3 USD", "a price cannot be negative"),
        ("Assets:Stock 0 SYN-A {5 USD}", "0 SYN-A at a cost: expected units, or no posting"),
        ("Assets:Stock 0 SYN-A {{5 USD}}", "0 SYN-A at a cost: expected units, or no posting"),
        ("Assets:Stock 10", "a number and a commodity"),
        ("Assets:Stock 1/0 USD", "expected a number"),
        ("Assets:Stock (1+ USD", "expected a number"),
        ("Assets:Stock 1,00 USD", "expected a number"),
        ("Assets:Stock 1000000000000 USD", "expected a number below 1,000,000,000,000"),
        ("Assets:Stock " + "*".join(["9" * 40_000] * 30) + " USD", "expected a number"),
    ],
)
def test_a_bad_posting_says_what_is_wrong(line: str, message: str) -> None:
    text = f'2004-01-01 open Assets:Stock\n2004-01-01 open Equity:In\n2004-01-02 * "x"\n  {line}\n  Equity:In\n'
    _, [fault] = book_with_faults(from_text(text))
    assert fault.line == 4
    assert message in fault.message


@faults_of
def test_lots_that_do_not_fit_are_named(faults: tuple[Fault, ...]) -> None:
    """
    2004-01-01 open Assets:Stock "STRICT"
    2004-01-01 open Assets:Cash
    2004-01-02 * "buy"
      Assets:Stock   10 SYN-A {5 USD}
      Assets:Cash
    2004-01-03 * "buy"
      Assets:Stock   10 SYN-A {6 USD}
      Assets:Cash
    2004-01-04 * "which?"
      Assets:Stock   -5 SYN-A {} @ 7 USD
      Assets:Cash
    2004-01-05 * "none at 9"
      Assets:Stock   -5 SYN-A {9 USD}
      Assets:Cash
    2004-01-06 * "too many, and no price to go short at"
      Assets:Stock  -15 SYN-A {5 USD}
      Assets:Cash
    2004-01-07 custom "split" "SYN-B" 2
    2004-01-08 * "held at cost above"
      Assets:Stock    1 SYN-A
      Assets:Cash
    2004-01-09 close Assets:Stock
    2004-01-10 * "closed"
      Assets:Stock    1 SYN-A {5 USD}
      Assets:Cash
    """
    text = [fault.message for fault in faults]
    assert "name the cost or date of one of 10 {5 USD, 2004-01-02}, 10 {6 USD, 2004-01-03}" in text[0]
    assert "no open lot matches this cost" in text[1]
    assert "more than the holding: write the price (@)" in text[2]
    assert "split of SYN-B, which this ledger never holds" in text[3]
    assert "SYN-A is held at cost elsewhere" in text[4]
    assert "Assets:Stock was closed on 2004-01-09" in text[5]
    assert len(text) == 6


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/etc/passwd", "must be a path relative to this file"),
        ("../other.beancount", "leaves the ledger's directory"),
        ("sub/../../other.beancount", "leaves the ledger's directory"),
        ("missing.beancount", "there is no file 'missing.beancount'"),
        ("main.beancount", "is a cycle"),
        ("*.beancount", "matches no file that is not included yet"),
        ("../*.beancount", "leaves the ledger's directory"),
        ("/etc/*", "must be a path relative to this file"),
    ],
)
def test_an_include_stays_inside_its_tree(target: str, message: str) -> None:
    tree = Tree({"main.beancount": f'\ninclude "{target}"\n'}, "main.beancount")
    [fault] = load(tree).faults
    assert fault.line == 2
    assert message in fault.message


def test_includes_are_relative_to_their_own_file_and_cycles_end() -> None:
    tree = Tree(
        {
            "a/main.beancount": 'include "shared/accounts.beancount"\ninclude "sub/x.beancount"\n',
            "a/sub/x.beancount": 'include "../shared/accounts.beancount"\ninclude "../main.beancount"\n',
            "a/shared/accounts.beancount": "2004-01-01 open Assets:Cash\n",
        },
        "a/main.beancount",
    )
    loaded = load(tree)
    assert len(loaded.directives) == 1
    assert ["already included" in loaded.faults[0].message, "is a cycle" in loaded.faults[1].message] == [
        True,
        True,
    ]
    assert {fault.file for fault in loaded.faults} == {"a/sub/x.beancount"}


def test_harmless_directives_and_comments_are_skipped() -> None:
    text = """; a comment
* an org title
2004-01-01 open Assets:Cash  ; trailing
2004-01-01 note Assets:Cash "text; with a semicolon"
2004-01-01 event "location" "here"
2004-01-01 query "cash" "SELECT 1"
2004-01-01 document Assets:Cash "/x.pdf"
2004-01-01 custom "fava-option" "x"
2004-01-01 commodity SYN-A
  name: "Synthetic"
2004-01-02 price SYN-A 10 USD
pushtag #trip
pushmeta broker: "A"
pushmeta key: "lost"
2004-01-03 txn "Payee" "Text" #tag ^link
  key: "value"
  Assets:Cash  (1 + 2) * 3 - 1/4 USD
    note: "of a posting"
  Assets:Cash  -8.75 USD
poptag #trip
popmeta key:
popmeta broker:
"""
    parsed = parse(text)
    assert parsed.faults == ()
    last = parsed.directives[-1]
    assert (last.payee, last.tags, last.links, dict(last.meta)) == (  # type: ignore[union-attr]
        "Payee",
        {"tag", "trip"},
        {"link"},
        {"key": "value", "broker": "A"},
    )


def test_reading_one_file_never_reads_above_it(tmp_path: Path) -> None:
    from ledger.sources import from_disk

    (tmp_path / "secret.beancount").write_text("2004-01-01 open Assets:Secret\n")
    below = tmp_path / "mine"
    below.mkdir()
    (below / "main.beancount").write_text('include "../secret.beancount"\n')
    [fault] = load(from_disk(below)).faults
    assert "leaves the ledger's directory" in fault.message


def test_a_pattern_includes_files_in_order_and_none_twice(tmp_path: Path) -> None:
    from ledger.sources import from_disk

    files = {
        "main.beancount": 'include "accounts.beancount"\ninclude "*.beancount"\ninclude "years/**/20*.beancount"\n',
        "accounts.beancount": "2004-01-01 open Assets:Cash\n",
        "more.beancount": "2004-01-01 open Assets:More\n",
        ".hidden.beancount": "2004-01-01 open Assets:Hidden\n",
        "years/2005.beancount": "2004-01-01 open Assets:Five\n",
        "years/old/2004.beancount": "2004-01-01 open Assets:Four\n",
        "years/old/draft.beancount": "nonsense\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for tree in (Tree(files, "main.beancount"), from_disk(tmp_path)):
        loaded = load(tree)
        assert loaded.faults == ()
        assert {entry.account for entry in loaded.directives} == {  # type: ignore[union-attr]
            "Assets:Cash",
            "Assets:More",
            "Assets:Five",
            "Assets:Four",
        }


def test_popmeta_needs_its_pushmeta() -> None:
    faults = parse('popmeta broker:\npushmeta "x"\n').faults
    assert [fault.line for fault in faults] == [1, 2]
    assert "without its pushmeta" in faults[0].message
    assert "expected pushmeta key: value" in faults[1].message


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ('2004-13-01 * "lunch"', "no such day: 2004-13-01"),
        ('31.12.2004 * "lunch"', "expected a date and a directive"),
        ('O4-01-05 * "lunch"', "expected a date, an option or an include"),
    ],
)
def test_a_line_that_cannot_be_read_is_one_fault_and_its_postings_are_none(head: str, said: str) -> None:
    lines = ("2004-01-01 open Assets:Cash", head, '  receipt: "7"', "  Assets:Cash  5 USD", "  Assets:Cash  abc USD")
    [fault] = parse("\n".join(lines)).faults
    assert (fault.line, said in str(fault)) == (2, True)
    # Without any line above, the first says it for all.
    [fault] = parse("  Assets:Cash  5 USD\n  Assets:Cash  -5 USD\n").faults
    assert (fault.line, "belongs to no directive" in str(fault)) == (1, True)


@faults_of
def test_an_ex_date_under_a_posting_is_not_lost_without_a_word(faults: tuple[Fault, ...]) -> None:
    """
    2004-01-01 open Assets:Cash USD
    2004-01-01 open Income:Dividends:SYN-A
    2004-02-02 * "dividend"
      Assets:Cash   5 USD
        note: "of a posting, which may stand there"
        ex_date: 2004-01-15
      Income:Dividends:SYN-A
    """
    assert [str(fault) for fault in faults] == [
        "main.beancount:6: ex_date belongs to the transaction: write it above the postings"
    ]
