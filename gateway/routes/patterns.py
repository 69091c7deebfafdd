"""Patterns as people and forms need them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from gateway.auth import Caller
from gateway.connections import Connected
from gateway.problems import Problem
from orchestrator.describe import graph, mermaid
from orchestrator.pattern import CompiledPattern
from topics.errors import Code

router = APIRouter(tags=["patterns"])


@router.get("/patterns", operation_id="listPatterns", summary="All patterns")
async def list_patterns(caller: Caller, connected: Connected) -> dict[str, Any]:
    """Return the newest version of every pattern, sorted by id."""
    return {"patterns": [_summary(pattern) for pattern in connected.patterns.patterns()]}


@router.get("/patterns/{pattern_id}", operation_id="getPattern", summary="One pattern")
async def get_pattern(pattern_id: str, caller: Caller, connected: Connected) -> dict[str, Any]:
    """Return a pattern with the JSON Schema of its inputs and its graph."""
    pattern = connected.patterns.newest(pattern_id)
    if pattern is None:
        raise Problem(Code.UNKNOWN_PATTERN, f"there is no pattern {pattern_id!r}")
    return {
        **_summary(pattern),
        "inputs_schema": pattern.inputs_schema,
        "graph": graph(pattern),
        "mermaid": mermaid(pattern),
    }


def _summary(pattern: CompiledPattern) -> dict[str, Any]:
    document = pattern.document
    return {
        "id": pattern.id,
        "name": pattern.name,
        "description": document.get("description", ""),
        "category": document.get("category", ""),
        "version": pattern.version,
        "digest": pattern.digest,
    }
