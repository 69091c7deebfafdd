"""The schema for editors: it knows names of capabilities and arguments, and refuses nothing that compiles."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from orchestrator.completion import editor_schema
from services.catalogue import load_catalogue
from services.patterns import load_patterns
from settings import load_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    settings = load_settings(_env_file=None, agents="house:HouseAgent", patterns="")
    return editor_schema(load_catalogue(settings), load_patterns(settings, load_catalogue(settings)).patterns())


@pytest.fixture(scope="module", autouse=True)
def scaffold() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "cli" / "scaffold"))
        yield


def faults(schema: dict[str, Any], document: dict[str, Any]) -> list[str]:
    return [error.json_path for error in Draft202012Validator(schema).iter_errors(document)]


def test_every_bundled_pattern_is_allowed(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    files = [*(ROOT / "patterns").rglob("*.json"), *(ROOT / "cli/scaffold/patterns").glob("*.json")]
    found = {file.name: faults(schema, json.loads(file.read_bytes())) for file in files if file.name != "schema.json"}
    assert len(found) > 12 and not any(found.values()), found


def test_names_are_listed_with_what_they_do(schema: dict[str, Any]) -> None:
    step = schema["properties"]["steps"]["items"]
    listed = {each["const"]: each["description"] for each in step["properties"]["capability"]["anyOf"][:-1]}
    assert "Say how much of the portfolio" in listed["house.concentration"]
    assert "version 1, agent house" in listed["house.concentration"]
    assert "context.resolve" not in listed and "pattern.tax_lots" in listed
    then = {
        each["if"]["properties"]["capability"]["const"]: each["then"]["properties"]["args"] for each in step["allOf"]
    }
    assert then["house.concentration"]["required"] == ["positions"]
    assert then["house.concentration"]["properties"]["top"] == {"default": 2, "description": "integer"}
    kinds = then["charts.compose"]["properties"]["charts"]["items"]["properties"]["kind"]["anyOf"][0]["enum"]
    assert "waterfall" in kinds
    assert set(then["pattern.holding_deep_dive"]["properties"]) >= {"portfolio_id", "symbol"}


@pytest.mark.parametrize(
    ("step", "place"),
    [
        ({"capability": "house.concentratoin"}, "$.steps[0].capability"),
        ({"capability": "house.concentration", "args": {"position": []}}, "$.steps[0].args"),
        ({"capability": "house.concentration", "args": {"positions": "{{state.x}}", "top": "{{inputs.n}}"}}, None),
        ({"capability": "pattern.of_their_own", "args": {"anything": 1}}, None),
        ({"capability": "charts.compose", "args": {"charts": [{"kind": "pie"}]}}, "$.steps[0].args.charts[0].kind"),
        ({"capability": "charts.compose", "args": {"charts": [{"kind": "{{inputs.kind}}"}]}}, None),
    ],
)
def test_a_wrong_name_is_marked_and_a_template_is_not(
    schema: dict[str, Any], step: dict[str, Any], place: str | None
) -> None:
    document = {"id": "p", "name": "P", "steps": [step], "outputs": ["last"]}
    assert set(faults(schema, document)) == ({place} if place else set())
