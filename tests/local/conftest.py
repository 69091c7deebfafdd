from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.processes import processes_naming


@pytest.fixture
def no_external(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of the embedded services, whatever addresses the session uses."""
    for name in list(os.environ):
        if name.startswith("DAWSOS_") and name != "DAWSOS_CACHE_DIR":
            monkeypatch.delenv(name)


@pytest.fixture
def folder(tmp_path: Path, no_external: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data directory that must not have a process left at the end."""
    # As for all tests; see tests/conftest.py.
    monkeypatch.setenv("DAWSOS_KAFKA_OPTIMIZING", "false")
    path = tmp_path / "instance"
    yield path
    assert processes_naming(path) == []
