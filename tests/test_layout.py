"""Which folder may import which: the directions of the architecture, and the purity of the core."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = (
    "topics", "orchestrator", "analytics", "ledger", "db", "agents", "services", "streams", "gateway", "local", "cli",
    "bench", "chaos", "simulation", "provenance",
)  # fmt: skip
_ALL = set(FOLDERS)
MAY_IMPORT: dict[str, set[str]] = {
    "topics": set(),
    "orchestrator": {"topics"},
    "provenance": {"topics"},
    "analytics": set(),
    "ledger": set(),
    "db": {"topics"},
    "agents": {"topics", "analytics"},
    "services": _ALL - {"streams", "gateway", "local", "cli", "bench", "simulation"},
    "streams": {"topics", "orchestrator", "db", "services"},
    "gateway": {"topics", "db", "orchestrator", "provenance", "streams", "services"},
    "local": {"db", "ledger", "services"},
    "cli": _ALL,
    "bench": _ALL - {"cli"},
    "chaos": _ALL,
    "simulation": {"topics", "orchestrator", "agents", "streams"},
}
KAFKA_CLIENTS = {"streams", "bench", "chaos", "simulation"}
ONLY_STREAMS = {"faust", "aiokafka", "mode"}
CORE_MAY_IMPORT = {"pydantic", "jsonschema", "jsonschema_rs", "orjson"}
IMPURE = {"time", "random", "logging", "asyncio", "os", "socket", "threading", "secrets", "subprocess", "pathlib"}


def modules(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Yield the top-level names a file imports at run time or for types, in functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if (ROOT / folder).is_dir()])
def test_import_directions(folder: str) -> None:
    allowed = MAY_IMPORT[folder] | {folder}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(folder)
        for name in imports(path)
        if name in _ALL and name not in allowed
    ]
    assert not wrong


@pytest.mark.parametrize("folder", [f for f in FOLDERS if f not in KAFKA_CLIENTS and (ROOT / f).is_dir()])
def test_only_streams_imports_faust_and_aiokafka(folder: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(folder)
        for name in imports(path)
        if name in ONLY_STREAMS
    ]
    assert not wrong


@pytest.mark.parametrize("path", modules("orchestrator"), ids=lambda path: path.name)
def test_the_core_is_pure(path: Path) -> None:
    names = set(imports(path))
    allowed = CORE_MAY_IMPORT | {"orchestrator", "topics"} | (set(sys.stdlib_module_names) - IMPURE)
    assert names <= allowed, f"imports {sorted(names - allowed)}"
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, (ast.Await, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("open", "eval", "exec", "print", "input", "__import__"), node.func.id
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("now", "utcnow", "today", "uuid4", "uuid1", "environ"), node.attr
