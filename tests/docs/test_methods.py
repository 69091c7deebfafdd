"""docs/methods.md: its examples give what they say, and no capability of analyst or macro agent is left out."""

import doctest
from pathlib import Path

from agents.financial_analyst import FinancialAnalyst
from agents.macro_hound import MacroHound
from agents.runtime import catalogue_of

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"
CALLED = (
    "compute_twr",
    "measure",
    "score_company",
    "drawdown_at_risk",
    "modified_dietz",
    "money_weighted",
    "max_drawdown",
)


def test_worked_examples() -> None:
    found = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert found.attempted > 20 and found.failed == 0
    text = PAGE.read_text(encoding="utf-8")
    code = [line for line in text.splitlines() if line.startswith(("    >>>", "    ..."))]
    missing = [name for name in CALLED if not any(f"{name}(" in line for line in code)]
    assert not missing


def test_every_capability_is_described() -> None:
    text = PAGE.read_text(encoding="utf-8")
    agents = catalogue_of([FinancialAnalyst, MacroHound])["agents"]
    missing = [name for agent in agents.values() for name in agent["capabilities"] if f"`{name}`" not in text]
    assert not missing
