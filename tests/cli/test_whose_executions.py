"""Commands that look at one user's executions say whose, and how to choose another's; never on stdout."""

import json
from typing import Any

import pytest

from tests.cli.command import invoke

SAID = "user alice, tenant demo; --user and --tenant choose another"


@pytest.mark.parametrize(
    ("arguments", "asks", "nothing"),
    [
        (("executions", "list"), "cli.execution_commands._ended", ()),
        (("executions", "list", "--live"), "cli.execution_commands._under_way", []),
        (("executions", "cancel", "--all"), "cli.execution_control._cancel", [[], []]),
        (("executions", "rerun", "--all"), "cli.execution_control._rerun", []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_it_is_said_whose_they_are(
    arguments: tuple[str, ...], asks: str, nothing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def found(*of: object) -> Any:
        return nothing

    monkeypatch.setattr(asks, found)
    people = invoke(*arguments)
    assert SAID in people.stderr and people.stdout == ""
    assert "user bob, tenant demo" in invoke(*arguments, "--user", "bob").stderr
    scripts = invoke(*arguments, "--json")
    assert SAID not in scripts.output
    json.loads(scripts.stdout)
