"""The stores fit the Protocols of agents/ports.py and agents/store_ports.py, although db/ does not import them."""

import inspect
import subprocess
import sys
from dataclasses import fields

import pytest

from agents import ports, store_ports
from db.artifacts import ArtifactRepository
from db.breaker import RedisBreaker
from db.cache import RedisCache
from db.circuit import Admission
from db.ledgers import SnapshotRepository
from db.memory import (
    MemoryArtifacts,
    MemoryBreaker,
    MemoryCache,
    MemoryPortfolios,
    MemorySnapshots,
)
from db.memory_packs import MemoryPacks
from db.pack_choice import PackDecision
from db.pack_series import Security
from db.packs import PackRepository
from db.portfolio import Portfolio
from db.portfolios import PortfolioRepository
from db.snapshot_rules import COLUMNS
from ledger.booked import COLUMNS as LEDGER_COLUMNS


@pytest.mark.parametrize(
    ("ours", "port"),
    [
        (PortfolioRepository, ports.PortfolioPort),
        (MemoryPortfolios, ports.PortfolioPort),
        (SnapshotRepository, ports.SnapshotStore),
        (MemorySnapshots, ports.SnapshotStore),
        (PackRepository, ports.PackPort),
        (MemoryPacks, ports.PackPort),
        (ArtifactRepository, store_ports.ArtifactStore),
        (MemoryArtifacts, store_ports.ArtifactStore),
        (RedisCache, store_ports.Cache),
        (MemoryCache, store_ports.Cache),
        (RedisBreaker, store_ports.BreakerStore),
        (MemoryBreaker, store_ports.BreakerStore),
    ],
)
def test_methods(ours: type, port: type) -> None:
    wanted = [name for name, value in vars(port).items() if inspect.isfunction(value) and not name.startswith("_")]
    assert wanted
    for name in wanted:
        assert list(inspect.signature(getattr(ours, name)).parameters) == list(
            inspect.signature(getattr(port, name)).parameters
        ), name


@pytest.mark.parametrize(
    ("ours", "port"),
    [
        (Portfolio, ports.Portfolio),
        (Security, ports.Security),
        (PackDecision, ports.PackDecision),
        (Admission, store_ports.Admission),
    ],
)
def test_values(ours: type, port: type) -> None:
    wanted = [name for name, value in vars(port).items() if isinstance(value, property)]
    assert wanted and set(wanted) <= {field.name for field in fields(ours)}


def test_ledger_columns() -> None:
    assert COLUMNS == LEDGER_COLUMNS


def test_the_stores_in_memory_need_no_driver() -> None:
    code = (
        "import sys, db.memory, db.memory_packs; "
        "sys.exit(', '.join(name for name in ('asyncpg', 'redis', 'aiokafka', 'faust') if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
