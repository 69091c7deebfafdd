"""Patterns and capabilities, as people and forms need them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from gateway.auth import Caller
from gateway.connections import Connected
from gateway.problems import Problem, responses
from orchestrator.describe import graph, mermaid
from orchestrator.pattern import CompiledPattern
from topics.errors import Code

router = APIRouter(tags=["patterns"])


class PatternSummary(BaseModel):
    """What a list of patterns shows of one."""

    id: str
    name: str
    description: str
    category: str
    version: str | None = None
    digest: str = Field(description="SHA-256 of the canonical pattern; part of every trace.")
    needs_portfolio: bool = Field(description="Whether a run needs a portfolio_id.")
    outputs: list[str]


class PatternList(BaseModel):
    """All patterns, sorted by id."""

    patterns: list[PatternSummary]


class Node(BaseModel):
    """One step of a pattern."""

    model_config = ConfigDict(title="PatternNode", populate_by_name=True)

    id: str
    name: str = Field(alias="as")
    capability: str
    version: int
    agent: str
    condition: str | None = None
    parallel: bool
    output: bool
    foreach: str | None = None
    undone_by: str | None = None


class Edge(BaseModel):
    """One step that waits for another."""

    model_config = ConfigDict(title="PatternEdge", populate_by_name=True)

    source: str = Field(alias="from")
    to: str
    kind: str = Field(description="data: reads its output; order: only waits for it; pins: waits for the pins.")


class Graph(BaseModel):
    """A pattern as a directed acyclic graph."""

    model_config = ConfigDict(title="PatternGraph")

    nodes: list[Node]
    edges: list[Edge]


class PatternBody(PatternSummary):
    """One pattern, whole."""

    model_config = ConfigDict(title="Pattern")

    inputs_schema: dict[str, Any] = Field(description="JSON Schema 2020-12 of `inputs`.")
    input_defaults: dict[str, Any] = Field(description="What an input that is left out becomes.")
    graph: Graph
    mermaid: str = Field(description="The graph as Mermaid text.")
    presentation: dict[str, Any] = Field(default_factory=dict, description="How results are best shown.")


class CapabilityBody(BaseModel):
    """One capability of an agent."""

    model_config = ConfigDict(title="Capability", extra="allow")

    version: int


class AgentBody(BaseModel):
    """One agent with its capabilities by name."""

    model_config = ConfigDict(title="Agent", extra="allow")

    version: str
    capabilities: dict[str, CapabilityBody]


class CapabilityList(BaseModel):
    """All agents by name."""

    model_config = ConfigDict(title="Capabilities")

    agents: dict[str, AgentBody]


@router.get("/patterns", operation_id="listPatterns", summary="All patterns", response_model=PatternList)
async def list_patterns(caller: Caller, connected: Connected) -> dict[str, Any]:
    """Return the newest version of every pattern, sorted by id."""
    return {"patterns": [_summary(pattern) for pattern in connected.patterns.patterns()]}


@router.get(
    "/patterns/{pattern_id}",
    operation_id="getPattern",
    summary="One pattern",
    response_model=PatternBody,
    response_model_by_alias=True,
    responses=responses(Code.UNKNOWN_PATTERN),
)
async def get_pattern(
    pattern_id: Annotated[str, Path(min_length=1, max_length=128, examples=["portfolio_overview"])],
    caller: Caller,
    connected: Connected,
) -> dict[str, Any]:
    """Return a pattern with the JSON Schema of its inputs and its graph."""
    pattern = connected.patterns.newest(pattern_id)
    if pattern is None:
        known = ", ".join(each.id for each in connected.patterns.patterns()[:20])
        raise Problem(Code.UNKNOWN_PATTERN, f"there is no pattern {pattern_id!r}; there are: {known}")
    drawn = graph(pattern)
    return {
        **_summary(pattern),
        "inputs_schema": pattern.inputs_schema,
        "input_defaults": dict(pattern.inputs.defaults),
        "graph": {"nodes": drawn["nodes"], "edges": drawn["edges"]},
        "mermaid": mermaid(pattern),
        "presentation": pattern.document.get("presentation") or {},
    }


@router.get("/capabilities", operation_id="listCapabilities", summary="All capabilities", response_model=CapabilityList)
async def list_capabilities(caller: Caller, connected: Connected) -> dict[str, Any]:
    """Return every agent with its capabilities and their schemas."""
    return connected.catalogue_document


def _summary(pattern: CompiledPattern) -> dict[str, Any]:
    document = pattern.document
    return {
        "id": pattern.id,
        "name": pattern.name,
        "description": document.get("description", ""),
        "category": document.get("category", ""),
        "version": pattern.version,
        "digest": pattern.digest,
        "needs_portfolio": bool(pattern.portfolio_readers),
        "outputs": list(pattern.outputs),
    }
