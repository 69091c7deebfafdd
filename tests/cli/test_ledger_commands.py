"""`dawsos ledger`: what is held, from files and at a commit of a repository."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.exits import Exit
from ledger.committing import commit_files
from tests.cli.command import ROOT, invoke

EXAMPLE = str(ROOT / "data" / "example" / "ledger.beancount")
FIRST = """2004-01-01 open Assets:Cash
2004-01-01 open Assets:Stock "FIFO"
2004-01-01 open Equity:In
include "more/trades.beancount"
"""
TRADES = """2004-01-05 * "buy"
  Assets:Stock  10 SYN-A {20 USD}
  Equity:In
"""


def committed(repository: Path, **files: str) -> str:
    return commit_files(
        repository,
        {"alice/" + name.replace("__", "/") + ".beancount": text for name, text in files.items()},
        author="T <t@example.invalid>",
        at=datetime(2004, 2, 1, tzinfo=UTC),
        message="m",
    )


def test_positions_sum_lots_per_security() -> None:
    found = json.loads(invoke("ledger", "positions", EXAMPLE, "--json").stdout)
    assert [(row["symbol"], row["qty"], row["lots"]) for row in found["positions"]] == [
        ("AAPL", "1000", 2),
        ("IBM", "100", 1),
        ("MSFT", "600", 1),
    ]
    assert set(found["cash"]) == {"CAD", "EUR", "USD"}
    assert found["asof"] == "2005-11-30"
    text = invoke("ledger", "positions", EXAMPLE).stdout
    assert "AAPL" in text
    assert "12323.57" in text


def test_names_of_accounts_are_neither_emoji_nor_markup(tmp_path: Path) -> None:
    ledger = tmp_path / "my[red]books.beancount"
    ledger.write_text((FIRST + TRADES).replace('include "more/trades.beancount"\n', "").replace(":Stock", ":A:Stock"))
    said = invoke("ledger", "lots", str(ledger)).stdout
    assert "Assets:A:Stock" in said and "my[red]books.beancount" in said


def test_lots_name_their_opening_line() -> None:
    found = json.loads(invoke("ledger", "lots", EXAMPLE, "--symbol", "IBM", "--json").stdout)["lots"]
    [lot] = found
    assert lot["symbol"] == "IBM"
    file, _, rest = lot["lot"].partition(":")
    line = Path(EXAMPLE).read_text().splitlines()[int(rest.partition("#")[0]) - 1]
    assert file == "ledger.beancount"
    assert "IBM {" in line
    early = json.loads(invoke("ledger", "lots", EXAMPLE, "--asof", "2004-01-02", "--json").stdout)
    assert early["lots"] == []


def test_a_commit_is_read_as_it_was(tmp_path: Path) -> None:
    repository = tmp_path / "ledger.git"
    old = committed(repository, main=FIRST, more__trades=TRADES)
    new = committed(repository, main=FIRST, more__trades=TRADES.replace("10 SYN-A", "12 SYN-A"))
    where = ("alice/main.beancount", "--repository", str(repository), "--json")
    for commit, units in ((old, "10"), (new, "12"), ("main", "12")):
        found = json.loads(invoke("ledger", "positions", *where, "--commit", commit).stdout)
        assert found["positions"][0]["qty"] == units
        assert found["commit"] == (new if commit == "main" else commit)
    checked = json.loads(invoke("ledger", "check", *where, "--commit", old).stdout)
    assert checked["files"] == ["alice/main.beancount", "alice/more/trades.beancount"]
    assert (checked["valid"], checked["transactions"]) == (True, 1)
    again = json.loads(invoke("ledger", "check", *where, "--commit", old).stdout)
    assert again["content_sha256"] == checked["content_sha256"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("alice/main.beancount", "--commit", "0" * 40), "no commit"),
        (("alice/main.beancount", "--commit", "other"), "has no ref 'refs/heads/other'"),
        (("bob/main.beancount", "--commit", "main"), "has no ledger file 'bob/main.beancount'"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    repository = tmp_path / "ledger.git"
    committed(repository, main=FIRST, more__trades=TRADES)
    found = invoke("ledger", "positions", *arguments, "--repository", str(repository))
    assert found.exit_code == Exit.USAGE
    assert said in str(found.exception) or said in found.stderr


def test_positions_of_a_faulty_ledger_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "bad.beancount"
    file.write_text('2004-01-02 * "x"\n  Assets:Cash  1 USD\n  Equity:In\n')
    found = invoke("ledger", "positions", str(file))
    assert found.exit_code == Exit.ERROR
    assert "bad.beancount:2: Assets:Cash is not open" in found.stderr


def test_an_unknown_booking_method_is_refused() -> None:
    found = invoke("ledger", "check", EXAMPLE, "--booking", "GUESS")
    assert found.exit_code == Exit.USAGE
    assert json.loads(invoke("ledger", "check", EXAMPLE, "--booking", "lifo", "--json").stdout)["valid"]


def test_an_entry_still_to_come_is_said(tmp_path: Path) -> None:
    file = tmp_path / "main.beancount"
    head = "2004-01-01 open Assets:Cash\n2004-01-01 open Equity:In\n"
    file.write_text(head + '2999-01-06 * "in"\n  Assets:Cash  1 USD\n  Equity:In\n')
    found = invoke("ledger", "check", str(file))
    assert found.exit_code == Exit.OK and "its last entry is of 2999-01-06, which is still to come" in found.stderr
