import json
from pathlib import Path

import pytest

from tests.cli.command import invoke
from topics.messages import ExecutionResult


@pytest.fixture(autouse=True)
def no_instance(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of the developer's, no running instance, no tracebacks switched on."""
    for name in ("DAWSOS_KAFKA", "DAWSOS_POSTGRES", "DAWSOS_REDIS", "DAWSOS_DEBUG", "DAWSOS_AGENTS", "DAWSOS_PATTERNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DAWSOS_DATA_DIR", str(tmp_path / "state"))


@pytest.fixture(scope="session")
def example_json() -> str:
    """What `dawsos try --example --json` prints."""
    found = invoke("try", "--example", "--json")
    assert found.exit_code == 0, found.stderr
    return found.stdout


@pytest.fixture(scope="session")
def example(example_json: str) -> ExecutionResult:
    return ExecutionResult.model_validate_json(json.dumps(json.loads(example_json)))
