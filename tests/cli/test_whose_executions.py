"""Commands that look at executions say whose, and how to choose others; never on stdout."""

import json
from typing import Any
from uuid import UUID

import pytest

from cli.failures import CommandFailed
from cli.whose import Everyones, OneUser, parse_whose
from services.demo_users import user_id_of
from tests.cli.command import invoke

SAID = "user alice, tenant demo; --user and --tenant choose another, --everyone means all"


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
    assert invoke(*arguments, "--everyone").stderr.startswith("executions of everyone\n")
    assert "everyone, tenant acme" in invoke(*arguments, "--everyone", "--tenant", "acme").stderr
    scripts = invoke(*arguments, "--json")
    assert SAID not in scripts.output
    json.loads(scripts.stdout)


def test_options_say_whose() -> None:
    alice = user_id_of("alice")
    assert parse_whose(False, None, None) == OneUser("demo", alice, "alice")
    assert parse_whose(False, "acme", str(UUID(int=7))) == OneUser("acme", UUID(int=7), str(UUID(int=7)))
    assert parse_whose(True, None, None) == Everyones(None, None)
    assert parse_whose(True, "acme", "alice") == Everyones("acme", alice)
    with pytest.raises(CommandFailed, match="--user: expected a UUID"):
        parse_whose(True, None, "nobody")
