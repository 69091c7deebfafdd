import json
from pathlib import Path

import pytest

from agents.base import BaseAgent
from agents.capability import capability
from agents.context import CapabilityContext
from agents.runtime import DuplicateCapability
from orchestrator.faults import PatternFaults
from services.catalogue import AgentNotLoadable, catalogue_json, load_catalogue
from services.composition import construct
from services.patterns import load_patterns
from settings import Settings, load_settings

HERE = "tests.services_tests.test_catalogue"


class WeatherAgent(BaseAgent):
    name = "weather"

    def __init__(self, packs: object, unit: str = "C") -> None:
        self.packs, self.unit = packs, unit

    @capability("weather.now")
    async def now(self, context: CapabilityContext, place: str) -> str:
        """Look out of the window."""
        return f"20 {self.unit} in {place}"


class ThiefAgent(BaseAgent):
    name = "thief"

    @capability("ledger.positions")
    async def positions(self, context: CapabilityContext) -> str:
        """Offer what is taken."""
        return ""


class NeedyAgent(BaseAgent):
    name = "needy"

    def __init__(self, packs: object, crystal_ball: object) -> None:
        self.given = (packs, crystal_ball)


def settings(**fields: object) -> Settings:
    return load_settings(_env_file=None, **fields)


def test_our_agents_are_described_without_services() -> None:
    found = catalogue_json(settings())
    assert list(found["agents"]) == ["bench", "data_harvester", "financial_analyst", "macro_hound", "pack_builder"]
    assert set(found["agents"]["financial_analyst"]["capabilities"]) >= {
        "context.resolve",
        "ledger.positions",
        "pricing.apply_pack",
        "metrics.compute_twr",
        "metrics.currency_attribution",
        "ratings.aggregate",
        "charts.overview",
    }
    noop = found["agents"]["bench"]["capabilities"]["bench.noop"]
    assert (noop["needs"], noop["pure"]) == ([], False)
    assert json.loads(json.dumps(found)) == found


def test_agents_of_users_are_added_and_constructed_by_parameter_names() -> None:
    catalogue = load_catalogue(settings(agents=(f"{HERE}:WeatherAgent",)))
    spec = catalogue.find("weather.now")
    assert spec is not None and spec.agent == "weather"
    (agent,) = construct([WeatherAgent], {"packs": "the packs", "ledgers": 1})
    assert isinstance(agent, WeatherAgent) and (agent.packs, agent.unit) == ("the packs", "C")


def test_a_constructor_that_asks_for_too_much_says_what_there_is() -> None:
    with pytest.raises(AgentNotLoadable, match=r"NeedyAgent asks for crystal_ball; there are packs"):
        construct([NeedyAgent], {"packs": 1})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("no_such_module:Agent", "no_such_module"),
        (f"{HERE}:Missing", "Missing"),
        (f"{HERE}:Settings", "subclass of agents.base.BaseAgent"),
    ],
)
def test_an_agent_that_cannot_be_loaded_is_named(name: str, text: str) -> None:
    with pytest.raises(AgentNotLoadable, match=text):
        load_catalogue(settings(agents=(name,)))


def test_duplicates_name_both_owners() -> None:
    with pytest.raises(DuplicateCapability, match=r"FinancialAnalyst\.positions.*ThiefAgent\.positions"):
        load_catalogue(settings(agents=(f"{HERE}:ThiefAgent",)))


def test_catalogue_files_of_foreign_agents_are_merged(tmp_path: Path) -> None:
    good = {"agents": {"rust_risk": {"version": "0.3", "capabilities": {"risk.var": {"version": 2}}}}}
    (tmp_path / "rust.json").write_text(json.dumps(good))
    found = settings(catalogues=(tmp_path / "rust.json",))
    spec = load_catalogue(found).find("risk.var")
    assert spec is not None and (spec.agent, spec.version) == ("rust_risk", 2)
    assert "rust_risk" in catalogue_json(found)["agents"]
    stolen = {"agents": {"rust_risk": {"version": "0.3", "capabilities": {"ledger.positions": {"version": 1}}}}}
    (tmp_path / "thief.json").write_text(json.dumps(stolen))
    with pytest.raises(PatternFaults, match=r"rust_risk.*financial_analyst"):
        load_catalogue(settings(catalogues=(tmp_path / "thief.json",)))


@pytest.mark.parametrize("text", ["{", "[]", None])
def test_a_catalogue_file_that_is_none(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "bad.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(AgentNotLoadable, match=r"bad\.json"):
        load_catalogue(settings(catalogues=(path,)))


def test_patterns_of_users_are_compiled_with_ours(tmp_path: Path) -> None:
    pattern = {
        "id": "mine",
        "name": "Mine",
        "steps": [{"capability": "bench.noop", "as": "x", "args": {"value": 1}}],
        "outputs": ["x"],
    }
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "mine.json").write_text(json.dumps(pattern))
    (tmp_path / "schema.json").write_text("{}")
    found = settings(patterns=(tmp_path,))
    registry = load_patterns(found, load_catalogue(found))
    assert registry.newest("mine") is not None and registry.newest("portfolio_overview") is not None
    with pytest.raises(PatternFaults, match="expected a folder of patterns"):
        load_patterns(settings(patterns=(tmp_path / "none",)), load_catalogue(found))
