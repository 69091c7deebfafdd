"""The playbook has an entry for every error code, each with its three parts, and none for codes that do not exist."""

import re
from pathlib import Path

import pytest

from topics.errors import Code

TEXT = (Path(__file__).parents[2] / "docs" / "playbook.md").read_text(encoding="utf-8")
ENTRIES = dict(re.findall(r"^### `([A-Z_]+)`\n\n(.*?)(?=^##)", TEXT, re.MULTILINE | re.DOTALL))


def test_no_code_is_missing_and_none_is_invented() -> None:
    assert set(ENTRIES) == {code.value for code in Code}


@pytest.mark.parametrize("code", list(Code))
def test_an_entry_says_what_it_means_what_the_system_does_and_what_to_do(code: Code) -> None:
    for part in ("Means", "System", "You"):
        assert re.search(rf"\*\*{part}\.\*\* \S", ENTRIES[code.value]), part
