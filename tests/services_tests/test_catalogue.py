import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

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


def described(folder: Path, home: Path = ROOT, **environment: str) -> dict[str, Any]:
    """Describe our agents in a process of its own, in which nothing is imported yet."""
    program = (
        "import json, sys; from settings import load_settings; from services.catalogue import catalogue_json;"
        "found = catalogue_json(load_settings(_env_file=None));"
        "print(json.dumps([found, 'agents.financial_analyst' in sys.modules]))"
    )
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(home), "DAWSOS_CACHE_DIR": str(folder), **environment}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=home, env=variables, capture_output=True, text=True, check=True
    )
    found, imported = json.loads(done.stdout)
    return {"agents": found["agents"], "imported": imported}


def test_the_description_is_kept_and_is_the_one_of_the_classes(tmp_path: Path) -> None:
    truth = json.loads(json.dumps(catalogue_of(agent_classes())))["agents"]
    assert described(tmp_path) == {"agents": truth, "imported": True}
    (kept,) = tmp_path.iterdir()
    assert json.loads(kept.read_bytes())["agents"] == truth
    assert described(tmp_path) == {"agents": truth, "imported": False}


def test_other_sources_are_described_anew(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for folder in ("agents", "analytics", "topics", "orchestrator", "services", "db"):
        shutil.copytree(ROOT / folder, home / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "settings.py", home)
    cache = tmp_path / "cache"
    assert described(cache, home)["imported"]
    source = home / "agents" / "bench.py"
    source.write_text(source.read_text().replace('"bench.noop"', '"bench.nothing"'))
    assert list(described(cache, home)["agents"]["bench"]["capabilities"]) == ["bench.nothing"]
    assert len(list(cache.iterdir())) == 2


def test_classes_imported_before_are_not_kept_under_the_sources_of_now(tmp_path: Path) -> None:
    catalogue_json(settings(cache_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b"null", b"[]", b'{"agents":{}}'])
def test_a_damaged_description_is_made_again(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / f"catalogue-{services.catalogue._sources_sha256()}.json").write_bytes(damage)
    assert set(catalogue_json(settings(cache_dir=tmp_path))["agents"]) >= {"bench", "financial_analyst"}


def test_where_nothing_can_be_kept_the_classes_are_described_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    assert catalogue_json(settings(cache_dir=tmp_path / "file"))["agents"]

    def homeless(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    assert catalogue_json(settings())["agents"]


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
