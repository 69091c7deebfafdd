"""Folders of patterns: what is no file is not read."""

import os
from pathlib import Path

from services.patterns import pattern_sources


def test_only_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text("{}")
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")  # reading it would wait for ever
    assert list(pattern_sources([tmp_path])) == [(str(tmp_path / "one.json"), b"{}")]
