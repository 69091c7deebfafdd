import json
import shutil
from pathlib import Path

import pytest

import services.catalogue
from agents.base import BaseAgent
from agents.capability import capability
from agents.context import CapabilityContext
from agents.runtime import DuplicateCapability, catalogue_of
from orchestrator.faults import PatternFaults
from services.catalogue import AgentNotLoadable, agent_classes, catalogue_json, load_catalogue
from services.composition import construct
from services.patterns import load_patterns
from settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
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


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make describing the classes fail, so that only what is kept can answer."""

    def described(*_: object) -> None:
        raise AssertionError("described again")

    monkeypatch.setattr(services.catalogue, "_described", described)


def test_the_description_is_kept_and_is_the_one_of_the_classes(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    first = catalogue_json(settings(cache_dir=tmp_path))
    (kept,) = tmp_path.iterdir()
    assert json.loads(kept.read_bytes()) == json.loads(json.dumps(catalogue_of(agent_classes())))
    request.getfixturevalue("unread")
    assert catalogue_json(settings(cache_dir=tmp_path)) == json.loads(json.dumps(first))


def test_other_sources_are_described_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("agents", "analytics", "topics"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(services.catalogue, "_ROOT", tmp_path)
    cache = tmp_path / "cache"
    catalogue_json(settings(cache_dir=cache))
    with (tmp_path / "agents" / "base.py").open("a") as source:
        source.write("# one comment more\n")
    catalogue_json(settings(cache_dir=cache))
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff"])
def test_a_damaged_description_is_made_again(tmp_path: Path, damage: bytes) -> None:
    first = catalogue_json(settings(cache_dir=tmp_path))
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(damage)
    assert catalogue_json(settings(cache_dir=tmp_path)) == first
    assert json.loads(kept.read_bytes())["agents"].keys() == first["agents"].keys()


def test_where_nothing_can_be_kept_the_classes_are_described_each_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert catalogue_json(settings(cache_dir=tmp_path / "file"))["agents"]


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
