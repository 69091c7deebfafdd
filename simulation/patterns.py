"""The patterns simulated executions run: each way of ordering, branching, repeating and undoing there is."""

import json
from functools import cache
from typing import Any

from agents.runtime import catalogue_of
from orchestrator.catalogue import Catalogue
from orchestrator.limits import Limits
from orchestrator.registry import PatternRegistry
from simulation.agents import SimAgent

_N = {"n": {"type": "integer", "required": True}}
_FAIL = {"fail": {"type": "boolean", "default": False}}
_COUNT = {"count": {"type": "integer", "required": True}}


def _step(capability: str, name: str, args: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"capability": f"sim.{capability}", "as": name, "args": args, **more}


def _undo(value: str | int) -> dict[str, Any]:
    return {"capability": "sim.undo", "args": {"value": value}}


def _documents(newer: bool) -> dict[str, dict[str, Any]]:
    """Return the pattern files by id; the newer version of one adds one more."""
    return {
        "sim_sequence": {
            "inputs": _N,
            "steps": [
                _step("add", "first", {"left": "{{inputs.n}}", "right": 1}),
                _step("work", "second", {"value": "{{state.first}}"}),
                _step("add", "answer", {"left": "{{state.second}}", "right": 2 if newer else 1}),
            ],
        },
        "sim_parallel": {
            "inputs": _N,
            "steps": [
                _step("work", "a", {"value": "{{inputs.n}}"}, parallel=True),
                _step("add", "b", {"left": "{{inputs.n}}", "right": 5}, parallel=True),
                _step("work", "c", {"value": 7}, parallel=True, condition="inputs.n > 500"),
                _step("padded", "d", {"value": 4}, parallel=True),
                _step("total", "answer", {"values": ["{{state.a}}", "{{state.b}}", "{{state.d.n}}"]}),
            ],
        },
        "sim_pages": {
            "inputs": _N,
            "steps": [
                *(_step("padded", f"p{number}", {"value": number}, parallel=True) for number in range(6)),
                _step("total", "answer", {"values": ["{{inputs.n}}", *(f"{{{{state.p{i}.n}}}}" for i in range(6))]}),
            ],
        },
        "sim_foreach": {
            "inputs": _COUNT,
            "steps": [
                _step("numbers", "numbers", {"count": "{{inputs.count}}"}),
                _step("work", "answer", {"value": "{{item}}"}, foreach="state.numbers", concurrency_max=3),
            ],
        },
        "sim_odd": {
            "inputs": _COUNT,
            "steps": [
                _step("numbers", "numbers", {"count": "{{inputs.count}}"}),
                _step("odd", "answer", {"value": "{{item}}"}, foreach="state.numbers", on_error={"value": 0}),
            ],
        },
        "sim_undo": {
            "inputs": _N | _FAIL,
            "steps": [
                _step("effect", "first", {"value": "{{inputs.n}}"}, compensate=_undo("{{inputs.n}}")),
                _step("effect", "second", {"value": "{{state.first}}"}, compensate=_undo("{{inputs.n}}")),
                _step("refuse", "third", {}, condition="inputs.fail"),
                _step("work", "answer", {"value": "{{state.second}}"}),
            ],
        },
        "sim_fan_undo": {
            "inputs": _COUNT | _FAIL,
            "steps": [
                _step("numbers", "numbers", {"count": "{{inputs.count}}"}),
                _step(
                    "effect",
                    "each",
                    {"value": "{{item}}"},
                    foreach="state.numbers",
                    concurrency_max=2,
                    compensate=_undo("{{item}}"),
                ),
                _step("effect", "beside", {"value": 1}, parallel=True, compensate=_undo(1)),
                _step("refuse", "third", {}, condition="inputs.fail"),
                _step("total", "answer", {"values": "{{state.each}}"}),
            ],
        },
        "sim_gate": {
            "inputs": _N,
            "steps": [
                _step("priced", "pack", {}),
                _step("work", "answer", {"value": "{{inputs.n}}"}),
            ],
            "outputs": ["pack", "answer"],
        },
        "sim_nested": {
            "inputs": _N,
            "steps": [
                _step("work", "first", {"value": "{{inputs.n}}"}),
                {"capability": "pattern.sim_inner", "as": "inner", "args": {"n": "{{state.first}}"}},
                _step("add", "answer", {"left": "{{state.inner.answer}}", "right": 1}),
            ],
        },
        "sim_inner": {
            "inputs": _N,
            "steps": [_step("add", "answer", {"left": "{{inputs.n}}", "right": 10})],
        },
        "sim_errors": {
            "inputs": _N,
            "steps": [
                _step("refuse", "a", {}, on_error="continue"),
                _step("refuse", "b", {}, on_error={"value": 7}),
                _step("work", "c", {"value": 1}, condition="has(state.a)"),
                _step("add", "answer", {"left": "{{state.b}}", "right": "{{inputs.n}}"}),
            ],
        },
        "sim_large": {
            "inputs": _N,
            "steps": [
                _step("large", "value", {"value": "{{inputs.n}}"}),
                _step("weigh", "answer", {"value": "{{state.value}}"}),
            ],
        },
    }


@cache
def registry(limits: Limits, newer: bool = False) -> PatternRegistry:
    """Return the compiled patterns; with the newer version of one of them, both of its versions can be continued."""
    catalogue = Catalogue.from_json(catalogue_of([SimAgent]))
    compiled = PatternRegistry.compile(_files(newer), catalogue, limits)
    other = PatternRegistry.compile(_files(not newer), catalogue, limits)
    for pattern in other.patterns():
        compiled.add(pattern, newest=False)
    for pattern in PatternRegistry.compile(_files(newer), catalogue, limits).patterns():
        compiled.add(pattern)
    return compiled


def _files(newer: bool) -> list[tuple[str, bytes]]:
    return [
        (
            f"{name}.json",
            json.dumps({"id": name, "name": name, "category": "workflow", "outputs": ["answer"]} | body).encode(),
        )
        for name, body in _documents(newer).items()
    ]
