"""Labels of figures, tables and holdings: the words that the report and the console share.

They stand in `gateway/console/labels.json`, which the console's page loads, so that one figure has one name.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

LABELS: dict[str, Any] = json.loads(files("gateway").joinpath("console", "labels.json").read_text(encoding="utf-8"))
_KINDS: dict[str, str] = LABELS["holdings"]["kinds"]
_NAMES: dict[str, str] = LABELS["attribution"]["names"]
_FIELDS: dict[str, str] = LABELS["fields"]
NOTHING = _FIELDS["nothing"]
_CASH = "cash:"


def field_label(name: str) -> str:
    """Return how a field of any output is called: as people write it, else its own words."""
    return _FIELDS.get(name) or name.replace("_", " ").capitalize()


def holding_label(kind: str, symbol: str) -> str:
    """Return how a holding is called: a security by its symbol, cash and dividends owed by what they are."""
    return f"{_KINDS[kind]} {symbol}" if kind in _KINDS else symbol


def position_label(name: str) -> str:
    """Return how a row of an attribution or contribution is called; `cash:CAD` is the holding `Cash CAD`."""
    return holding_label("cash", name.removeprefix(_CASH)) if is_cash(name) else _NAMES.get(name, name)


def is_cash(name: str) -> bool:
    """Say whether a row of an attribution is a currency balance."""
    return name.startswith(_CASH)
