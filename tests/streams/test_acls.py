"""Least rights: every topic has a writer and a reader, and nobody may make or change anything."""

from settings import load_settings
from streams.acls import PARTS, as_commands, least_privilege
from topics.table import topic_table

AGENTS = ("financial_analyst", "macro_hound")
ACLS = least_privilege(load_settings(_env_file=None, topic_prefix="p."), AGENTS)


def topics(operation: str, part: str | None = None) -> set[str]:
    return {
        acl.name.removeprefix("p.")
        for acl in ACLS
        if acl.resource == "Topic" and acl.operation == operation and part in (None, acl.part)
    }


def test_every_topic_is_written_and_read_by_somebody() -> None:
    names = {spec.name for spec in topic_table(AGENTS)}
    assert topics("Read") == names == topics("Write")


def test_nobody_may_create_alter_or_delete() -> None:
    assert {acl.operation for acl in ACLS} <= {"Read", "Write", "IdempotentWrite"}
    assert {acl.part for acl in ACLS} == set(PARTS)


def test_only_the_engine_writes_state_and_only_agents_and_engine_answers() -> None:
    for name, parts in {
        "orchestrator-executions-changelog": {"orchestrator"},
        "pattern-versions": {"orchestrator"},
        "pack-events": {"projector"},
        "execution-signals": {"orchestrator", "gateway", "operator"},
    }.items():
        assert {part for part in PARTS if name in topics("Write", part)} == parts
    assert topics("Write", "upstream") == {"execution-requests"}


def test_commands_name_principals() -> None:
    commands = as_commands(ACLS, {"gateway": "User:gw"})
    assert "kafka-acls --add --allow-principal 'User:gw' --operation Write --topic 'p.execution-requests'" in commands
    assert all("User:dawsos-" in line or "User:gw" in line for line in commands) and len(set(commands)) == len(commands)
