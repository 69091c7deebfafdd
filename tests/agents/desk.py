"""A portfolio from text, an agent runtime on it, and calls as the engine makes them."""

import itertools
import json
from datetime import date
from typing import Any
from uuid import UUID, uuid4

from agents.runtime import AgentRuntime
from agents.store_ports import Cache
from ledger.sources import from_text
from services.composition import build_runtime_local
from services.ledgers import TextLedger
from services.local_data import TENANT, USER_ID, LocalData, LocalPortfolio
from services.local_packs import LocalPacks
from services.price_files import parse_prices, parse_rates
from topics.messages import CapabilityRequest, CapabilityResult, Pins, Resolution

_STEPS = itertools.count()
PORTFOLIO_ID = UUID("00000000-0000-4000-8000-000000000001")


def request(capability: str, args: dict[str, Any] | None = None, **fields: Any) -> CapabilityRequest:
    given: dict[str, Any] = {
        "execution_id": "00000000-0000-0000-0000-000000000000",
        "tenant": TENANT,
        "user_id": USER_ID,
        "step_id": f"step{next(_STEPS)}",
        "attempt": 1,
        "capability": capability,
        "version": 1,
        "args": args or {},
        "deadline_at_ms": 10**15,
        "idempotency_key": str(uuid4()),
    }
    return CapabilityRequest(**{**given, **fields})


def local_data(ledger: str, prices: str, rates: str, base: str = "CAD", start: date | None = None) -> LocalData:
    price_rows, price_faults = parse_prices("date,symbol,close,currency\n" + prices, "prices.csv")
    rate_rows, rate_faults = parse_rates("date,base,quote,rate\n" + rates, "fx.csv")
    assert not price_faults + rate_faults
    portfolio = LocalPortfolio(PORTFOLIO_ID, "test", base, "main.beancount", "FIFO")
    return LocalData(portfolio, TextLedger(from_text(ledger)), LocalPacks(price_rows, rate_rows, start))


class Desk:
    """One portfolio with its runtime; `step` calls a capability on the pins of a day."""

    def __init__(self, data: LocalData, cache: Cache | None = None) -> None:
        self.data = data
        self.runtime: AgentRuntime = build_runtime_local(data, cache=cache)

    async def pins(self, asof: date | None = None) -> Pins:
        answer = await self.runtime.handle(
            request(
                "context.resolve",
                {
                    "portfolio_id": str(self.data.portfolio.id),
                    "asof": None if asof is None else asof.isoformat(),
                    "pack_id": None,
                    "ledger_commit": None,
                },
            )
        )
        assert answer.error is None, answer.error
        found = Resolution.model_validate_json(json.dumps(answer.value))
        return Pins(
            pricing_pack_id=found.pack.pack_id,
            pack_sha256=found.pack.content_sha256,
            ledger_commit_hash=found.ledger_commit_hash,
            portfolio_id=found.portfolio_id,
            base_ccy=found.base_ccy,
            asof=found.asof,
            asof_requested=asof or found.asof,
        )

    async def step(self, capability: str, args: dict[str, Any], pins: Pins, **fields: Any) -> CapabilityResult:
        fields.setdefault("inline_bytes_max", 10_000_000)
        return await self.runtime.handle(request(capability, args, pins=pins, **fields))

    async def positions(self, pins: Pins) -> list[dict[str, Any]]:
        answer = await self.step("ledger.positions", {"portfolio_id": str(self.data.portfolio.id)}, pins)
        assert answer.error is None, answer.error
        return answer.value

    async def valued(self, pins: Pins) -> list[dict[str, Any]]:
        answer = await self.step("pricing.apply_pack", {"positions": await self.positions(pins)}, pins)
        assert answer.error is None, answer.error
        return answer.value

    async def metrics(self, pins: Pins) -> dict[str, Any]:
        answer = await self.step("metrics.compute_twr", {"positions": await self.valued(pins)}, pins)
        assert answer.error is None, answer.error
        return answer.value

    async def attribution(self, pins: Pins) -> dict[str, Any]:
        answer = await self.step("metrics.currency_attribution", {"positions": await self.valued(pins)}, pins)
        assert answer.error is None, answer.error
        return answer.value


async def ask(desk: Desk, capability: str, **args: Any) -> dict[str, Any]:
    """Call a capability on the newest pins; `positions=...` stands for the valued positions."""
    pins = await desk.pins()
    if args.get("positions") is ...:
        args["positions"] = await desk.valued(pins)
    answer = await desk.step(capability, args, pins)
    assert answer.error is None, answer.error
    assert answer.metadata is not None and answer.metadata.sources
    return answer.value
