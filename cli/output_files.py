"""Files a command writes at its end: whether it can is asked before anything runs."""

from __future__ import annotations

import os
from pathlib import Path

import typer


def writable_file(file: Path | None) -> Path | None:
    """Return an option's file as it came; for use as its `callback`.

    Raises:
        typer.BadParameter: the file cannot be written; the text names what stands in the way.
    """
    problem = None if file is None else why_not_writable(file)
    if problem is not None:
        raise typer.BadParameter(f"cannot write {file}: {problem}")
    return file


def writable_folder(folder: Path) -> Path:
    """Return an option's folder as it came; for use as its `callback`.

    Raises:
        typer.BadParameter: files cannot be written there; the text names what stands in the way.
    """
    problem = _why_no_entry(folder)
    if problem is not None:
        raise typer.BadParameter(f"cannot write to {folder}: {problem}")
    return folder


def why_not_writable(file: Path) -> str | None:
    """Return what keeps a file from being written; None if nothing is known to. Nothing is made or changed.

    A folder that is missing is no hindrance, since it is made when the file is written.
    """
    return f"{file} is a directory" if file.is_dir() else _why_no_entry(file.parent)


def _why_no_entry(folder: Path) -> str | None:
    """Return why no file can be made in a folder, or in those above it that would have to be made first."""
    try:
        nearest = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
        if not nearest.is_dir():
            return f"{nearest} is not a directory"
    except OSError as error:
        return error.strerror
    return None if os.access(nearest, os.W_OK | os.X_OK) else f"no permission to write in {nearest}"
