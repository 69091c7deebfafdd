"""Examples in the OpenAPI document: requests as people send them, answers as this server gave them.

The answers are in `examples.json`, recorded by `tests/gateway/test_openapi.py` (`make golden`), which also sends every
request again and checks that the answers still have that form.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastapi.openapi.models import Example

from services.demo_data import PORTFOLIOS

FILE = Path(__file__).with_name("examples.json")

_GROWTH = str(PORTFOLIOS[0].id)
EXECUTE_EXAMPLES: dict[str, Example] = {
    "overview": {
        "summary": "A portfolio on a day",
        "value": {"pattern_id": "portfolio_overview", "portfolio_id": _GROWTH, "asof": "2005-12-30"},
    },
    "repeatable": {
        "summary": "The same again is the same execution",
        "value": {
            "pattern_id": "portfolio_overview",
            "inputs": {"portfolio_id": _GROWTH},
            "asof": "2005-12-30",
            "request_id": "overview-2005-12-30",
        },
    },
    "patient": {
        "summary": "Wait for the day's pack, at most a minute",
        "value": {
            "pattern_id": "portfolio_overview",
            "portfolio_id": _GROWTH,
            "asof": "2005-12-30",
            "gate": {"policy": "wait", "wait_s": 60},
        },
    },
}
PARAMETER_EXAMPLES: dict[str, Any] = {
    "pattern_id": "portfolio_overview",
    "idempotency-key": "overview-2005-12-30",
    "prefer": "wait=10",
    "policy": "nyse-close",
    "code": "PACK_WARMING",
}
RESPONSE_EXAMPLES: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
RESULT_EXAMPLE: Any = RESPONSE_EXAMPLES.get("execute")
_TRACE: dict[str, Any] = (RESULT_EXAMPLE or {}).get("trace", {})
ANNOUNCE_EXAMPLES: dict[str, Example] = {
    "pack": {
        "summary": "The pack of a day",
        "value": {
            "pack_id": _TRACE.get("pricing_pack_id"),
            "policy": "nyse-close",
            "asof_date": "2005-12-30",
            "revision": 1,
            "content_sha256": _TRACE.get("pack_sha256"),
        },
    },
}
