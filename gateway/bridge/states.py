"""States of executions as the socket sends them: `ExecutionState` as JSON, made once for all who watch."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import orjson

from orchestrator.view import ExecutionView
from streams.progress_feed import Progress
from topics.socket import ExecutionState, StepProgress

_STATE = tuple(name for name in ExecutionState.model_fields if name != "steps")
_STEP = tuple(StepProgress.model_fields)
_KEPT_MAX = 2000


class States:
    """Encodes states; those that many sessions ask for are kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[int, bytes]] = OrderedDict()

    def encode(self, progress: Progress) -> bytes:
        """Return the state as JSON."""
        view = progress.view
        kept = self._kept.get(view.execution_id)
        if kept is not None and kept[0] == progress.version:
            return kept[1]
        data = encode_state(view)
        self._kept[view.execution_id] = (progress.version, data)
        self._kept.move_to_end(view.execution_id)
        if len(self._kept) > _KEPT_MAX:
            self._kept.popitem(last=False)
        return data


def encode_state(view: ExecutionView) -> bytes:
    """Return an `ExecutionState` as JSON."""
    state: dict[str, Any] = {name: value for name in _STATE if (value := getattr(view, name)) is not None}
    state["steps"] = [
        {"as" if name == "as_" else name: value for name in _STEP if (value := getattr(step, name)) is not None}
        for step in view.steps
    ]
    return orjson.dumps(state)
