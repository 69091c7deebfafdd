"""One example of every message, for the published contract and for people who write agents in other languages."""

import json
from functools import cache
from typing import Any

from topics.canonical import digest
from topics.codec import TYPES, execution_id_of
from topics.messages import Wire
from topics.socket import CLIENT_TYPES, SERVER_TYPES

_TENANT = "acme"
_REQUEST = "2012-06-29/overview/1"
_USER = "00000000-0000-4000-8000-000000000001"
_PORTFOLIO = "5f0c1f4e-2a55-4d5c-9c3b-1f6f3c0c7a10"
_PACK = "0f8fad5b-d9cb-469f-a165-70867728950e"
_COMMIT = "9c3f1e7b0a4d5c6e8f2a1b3c4d5e6f708192a3b4"
_EXECUTION = execution_id_of(_TENANT, _REQUEST)
_AT_MS = 1_341_000_000_000
_VALUE = {"twr": 0.0512, "total_value": "104233.10"}
_PINS = {
    "pricing_pack_id": _PACK,
    "pack_sha256": digest("pack"),
    "ledger_commit_hash": _COMMIT,
    "portfolio_id": _PORTFOLIO,
    "base_ccy": "CAD",
    "benchmark_id": "SP500",
    "asof": "2012-06-29",
    "asof_requested": "2012-06-29",
    "stale": False,
}
_PACK_REF = {
    "pack_id": _PACK,
    "policy": "eod",
    "asof_date": "2012-06-29",
    "revision": 1,
    "status": "fresh",
    "content_sha256": digest("pack"),
}
_METADATA = {
    "agent": "financial_analyst",
    "agent_version": "1.0.0",
    "version": 1,
    "sources": [f"ledger:{_COMMIT}", f"pricing_pack:{_PACK}"],
    "asof": "2012-06-29",
    "ttl_s": 600,
    "cache": "miss",
    "started_at_ms": _AT_MS,
    "finished_at_ms": _AT_MS + 12,
}
_ARGS = {"pack_id": _PACK, "positions": None}
_REFS = {"/positions": digest("positions")}
_STEP = {
    "step_id": "perf_metrics",
    "as": "perf_metrics",
    "capability": "metrics.compute_twr",
    "version": 1,
    "agent": "financial_analyst",
    "agent_version": "1.0.0",
    "status": "succeeded",
    "success": True,
    "attempts": 1,
    "started_at_ms": _AT_MS,
    "finished_at_ms": _AT_MS + 15,
    "args": _ARGS,
    "refs": _REFS,
    "args_digest": digest({"args": _ARGS, "refs": _REFS}),
    "output_digest": digest(_VALUE),
    "digest": digest(["metrics.compute_twr", 1, digest({"args": _ARGS, "refs": _REFS}), _PINS, digest(_VALUE)]),
    "cache": "miss",
    "sources": _METADATA["sources"],
    "asof": "2012-06-29",
    "ttl": 600,
}
_TRACE = {
    "pattern_id": "portfolio_overview",
    "pattern_digest": digest("pattern"),
    **_PINS,
    "inputs": {"portfolio_id": _PORTFOLIO},
    "capabilities": {"context.resolve": 1, "metrics.compute_twr": 1},
    "agents_used": ["financial_analyst"],
    "capabilities_used": ["metrics.compute_twr"],
    "sources": _METADATA["sources"],
    "per_panel_staleness": [
        {
            "output": "perf_metrics",
            "capability": "metrics.compute_twr",
            "asof": "2012-06-29",
            "ttl": 600,
            "stale": False,
            "status": "fresh",
        }
    ],
    "steps": [_STEP],
}
_OF_EXECUTION = {"v": 1, "execution_id": _EXECUTION, "tenant": _TENANT}
_EXAMPLES: dict[str, dict[str, Any]] = {
    "ExecuteRequest": {
        "v": 1,
        "tenant": _TENANT,
        "request_id": _REQUEST,
        "user_id": _USER,
        "pattern_id": "portfolio_overview",
        "portfolio_id": _PORTFOLIO,
        "inputs": {},
        "asof": "2012-06-29",
        "gate": {"policy": "wait", "wait_s": 60.0},
        "deadline_s": 300.0,
        "submitted_at": "2012-06-29T20:00:00Z",
    },
    "CapabilityRequest": {
        **_OF_EXECUTION,
        "user_id": _USER,
        "step_id": "perf_metrics",
        "attempt": 1,
        "capability": "metrics.compute_twr",
        "version": 1,
        "args": _ARGS,
        "refs": _REFS,
        "pins": _PINS,
        "deadline_at_ms": _AT_MS + 30_000,
        "idempotency_key": f"{_EXECUTION}/perf_metrics",
        "projections": ["total_value"],
        "inline_bytes_max": 8192,
        "reply_partition": 3,
    },
    "CapabilityResult": {
        **_OF_EXECUTION,
        "step_id": "perf_metrics",
        "attempt": 1,
        "value": _VALUE,
        "digest": digest(_VALUE),
        "metadata": _METADATA,
    },
    "TimerFired": {**_OF_EXECUTION, "due_at_ms": _AT_MS + 30_000},
    "GateOpened": {**_OF_EXECUTION, "pack": _PACK_REF},
    "StartExecution": _OF_EXECUTION,
    "CancelExecution": {**_OF_EXECUTION, "user_id": _USER, "reason": "no longer needed"},
    "PackAnnouncement": {
        "v": 1,
        "pack_id": _PACK,
        "policy": "eod",
        "asof_date": "2012-06-29",
        "revision": 1,
        "content_sha256": digest("pack"),
    },
    "PackEvent": {"v": 1, "pack": _PACK_REF, "seq": 2127},
    "PatternVersion": {
        "v": 1,
        "digest": digest("pattern"),
        "pattern_id": "portfolio_overview",
        "source": "{…the pattern file…}",
        "capabilities": {"metrics.compute_twr": 1},
    },
    "ExecutionResult": {
        **_OF_EXECUTION,
        "request_id": _REQUEST,
        "user_id": _USER,
        "pattern_id": "portfolio_overview",
        "status": "succeeded",
        "data": {"perf_metrics": _VALUE},
        "charts": [],
        "trace": _TRACE,
        "digest": digest([_TRACE["pattern_digest"], _TRACE["inputs"], _PINS, [_STEP["digest"]]]),
        "started_at_ms": _AT_MS,
        "finished_at_ms": _AT_MS + 20,
    },
}

_CURSOR = "AQADAAgAAAAA"
_ENDS_MS = _AT_MS + 900_000
_SOCKET_EXAMPLES = {
    "Subscribe": {"v": 1, "patterns": ["portfolio_overview"], "cursor": _CURSOR, "results": True},
    "Unsubscribe": {"v": 1},
    "Authenticate": {"v": 1, "ticket": "1PVbgMsTYFsXjZ0nTjGQ6sYtnIu3GbD2LF7fVZ4RzAQ"},
    "Ping": {"v": 1},
    "Welcome": {"v": 1, "tenant": _TENANT, "user_id": _USER, "heartbeat_s": 20.0, "session_ends_at_ms": _ENDS_MS},
    "Subscribed": {"v": 1, "cursor": _CURSOR},
    "ExecutionProgress": {
        "v": 1,
        "cursor": _CURSOR,
        "execution": {
            "execution_id": _EXECUTION,
            "request_id": _REQUEST,
            "pattern_id": "portfolio_overview",
            "portfolio_id": _PORTFOLIO,
            "status": "running",
            "waits_for": "agent financial_analyst to answer perf_metrics (metrics.compute_twr)",
            "started_at_ms": _AT_MS,
            "deadline_at_ms": _AT_MS + 120_000,
            "steps": [
                {
                    "step_id": "perf_metrics",
                    "as": "perf_metrics",
                    "capability": "metrics.compute_twr",
                    "status": "requested",
                    "attempt": 1,
                    "started_at_ms": _AT_MS + 7,
                    "due_at_ms": _AT_MS + 30_007,
                }
            ],
        },
    },
    "ResultArrived": {
        "v": 1,
        "cursor": _CURSOR,
        "execution_id": _EXECUTION,
        "request_id": _REQUEST,
        "pattern_id": "portfolio_overview",
        "portfolio_id": _PORTFOLIO,
        "asof": "2012-06-29",
        "status": "succeeded",
        "stale": False,
        "digest": _EXAMPLES["ExecutionResult"]["digest"],
        "started_at_ms": _AT_MS,
        "finished_at_ms": _AT_MS + 20,
    },
    "Heartbeat": {"v": 1, "cursor": _CURSOR},
    "SessionEnding": {"v": 1, "cursor": _CURSOR, "session_ends_at_ms": _ENDS_MS},
    "Authenticated": {"v": 1, "cursor": _CURSOR, "session_ends_at_ms": _ENDS_MS},
    "Refused": {
        "v": 1,
        "cursor": _CURSOR,
        "error": {"code": "INVALID_REQUEST", "message": "/cursor: expected a cursor of version 1"},
    },
}


@cache
def examples() -> dict[str, Wire]:
    """Return one valid message of every type, by name."""
    return {
        name: model.model_validate_json(json.dumps({"type": name, **_EXAMPLES[name]})) for name, model in TYPES.items()
    }


@cache
def socket_examples() -> dict[str, Wire]:
    """Return one valid message of every type of the websocket bridge, by name."""
    return {
        model.__name__: model.model_validate_json(
            json.dumps({"type": model.__name__, **_SOCKET_EXAMPLES[model.__name__]})
        )
        for model in (*CLIENT_TYPES, *SERVER_TYPES)
    }
