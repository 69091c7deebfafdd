from typing import Any

import pytest
from jsonschema import Draft202012Validator

from agents.base import BaseAgent
from agents.capability import capability, describe
from agents.context import CapabilityContext
from agents.financial_analyst import FinancialAnalyst
from services.catalogue import agent_classes
from tests.agents.desk import Desk, local_data
from tests.agents.probe import ProbeAgent
from tests.agents.test_financial_analyst import LEDGER, PRICES, RATES


def test_parameters_become_the_input_schema() -> None:
    found = describe(ProbeAgent)["probe.read"].as_json()
    schema = found["input_schema"]
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["required"] == ["label"] and schema["additionalProperties"] is False
    assert set(schema["properties"]) == {"label", "amount"}
    decimal = {"type": "string", "format": "decimal", "pattern": "^-?[0-9]+(\\.[0-9]+)?$"}
    assert decimal in schema["properties"]["amount"]["anyOf"]
    assert found["output_schema"]["properties"]["amount"] | {"title": 0} == decimal | {"title": 0}
    assert (found["version"], found["pure"], found["needs"], found["ttl_s"]) == (3, True, ["pack"], 60)
    assert found["summary"] == "Read something."


@pytest.mark.parametrize("agent", agent_classes())
def test_every_capability_describes_itself(agent: type[BaseAgent]) -> None:
    for name, found in describe(agent).items():
        entry = found.as_json()
        Draft202012Validator.check_schema(entry["input_schema"])
        Draft202012Validator.check_schema(entry["output_schema"])
        assert entry["summary"].endswith("."), name


async def test_answers_fit_the_schemas_they_are_published_with() -> None:
    desk = Desk(local_data(LEDGER, PRICES, RATES))
    pins = await desk.pins()
    positions, valued = await desk.positions(pins), await desk.valued(pins)
    metrics, attribution = await desk.metrics(pins), await desk.attribution(pins)
    ratings = await desk.step("ratings.aggregate", {"positions": valued}, pins)
    charts_args = {"positions": valued, "metrics": metrics, "currency_attr": attribution}
    charts = await desk.step("charts.overview", charts_args, pins)
    assert ratings.error is None and charts.error is None
    answers = {
        "ledger.positions": positions,
        "pricing.apply_pack": valued,
        "metrics.compute_twr": metrics,
        "metrics.currency_attribution": attribution,
        "ratings.aggregate": ratings.value,
        "charts.overview": charts.value,
    }
    described = describe(FinancialAnalyst)
    for name, answer in answers.items():
        Draft202012Validator(described[name].as_json()["output_schema"]).validate(answer)
    Draft202012Validator(described["charts.overview"].as_json()["input_schema"]).validate(charts_args)


def test_mistakes_in_declarations_are_found_at_once() -> None:
    with pytest.raises(ValueError, match=r"needs among pack, ledger, portfolio, got prices"):
        capability("a.b", needs=("prices",))
    with pytest.raises(ValueError, match="cannot be shared"):
        capability("a.b", needs=("ledger",), shared=True)
    with pytest.raises(TypeError, match="async method"):

        @capability("a.b")
        def plain(self: Any, context: CapabilityContext) -> str:
            return ""

    class NoContext(BaseAgent):
        name = "a"

        @capability("a.b")
        async def b(self, ctx: CapabilityContext) -> str:
            return ""

    class NoReturn(BaseAgent):
        name = "a"

        @capability("a.b")
        async def b(self, context: CapabilityContext):  # type: ignore[no-untyped-def]
            return ""

    class NoAnnotation(BaseAgent):
        name = "a"

        @capability("a.b")
        async def b(self, context: CapabilityContext, x) -> str:  # type: ignore[no-untyped-def]
            return ""

    class Rest(BaseAgent):
        name = "a"

        @capability("a.b")
        async def b(self, context: CapabilityContext, **rest: str) -> str:
            return ""

    class Twice(BaseAgent):
        name = "a"

        @capability("a.b")
        async def b(self, context: CapabilityContext) -> str:
            return ""

        @capability("a.b")
        async def c(self, context: CapabilityContext) -> str:
            return ""

    expected = {NoContext: "context", NoReturn: "return", NoAnnotation: "'x'", Rest: "named", Twice: "Twice.c"}
    for agent, text in expected.items():
        with pytest.raises(TypeError, match=text):
            describe(agent)
    with pytest.raises(TypeError, match="Big Name"):
        type("Bad", (BaseAgent,), {"name": "Big Name"})
