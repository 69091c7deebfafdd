"""What portfolio_overview costs: ten positions, two years of daily history, base currency CAD.

Three figures for the same data and the same days:

- `in_process`: engine and agents in one process on files, as `dawsos try` runs them; every execution values a day
  nobody asked for before, so nothing is remembered.
- `kafka_uncached`: the system `dawsos up` ships, again a new day each time: prices come from Postgres, nothing from
  the cache.
- `kafka_cached`: the same days once more: capabilities are cached, only the engine and the hops remain.

The first two take turns, a block of days each, since a shared host's speed changes within minutes. `overhead_ms` is the
median over the blocks of what the median over Kafka is above the one in one process. Prices are made up (symbols
`SYN-*`).
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import cycle, islice
from statistics import median
from typing import Any
from uuid import UUID, uuid4

from agents.ports import PriceRow, RateRow
from bench.machine import machine
from db import pack_content
from db.pack_series import Security
from db.pack_writer import PackWriter
from db.portfolio import Portfolio
from db.portfolios import PortfolioRepository
from db.postgres import open_pool
from ledger.committing import commit_files
from ledger.sources import from_text
from local.stack import Stack
from services.catalogue import load_catalogue
from services.composition import build_runtime_local, ledger_repository
from services.garbage import look_for_garbage_rarely
from services.ledgers import TextLedger
from services.local_data import TENANT, USER_ID, LocalData, LocalPortfolio
from services.local_packs import LocalPacks
from services.patterns import load_patterns
from services.runner import run_in_process
from settings import Settings, load_settings
from streams.publisher import ExecutionClient
from topics.messages import ExecuteRequest, ExecutionResult, ExecutionStatus

PATTERN_ID = "portfolio_overview"
SYMBOLS = tuple(f"SYN-{letter}" for letter in "ABCDEFGHIJ")
RUNS = 40
_BLOCK = 8
_HISTORY_DAYS = 504
# Days valued before it counts.
_WARM_UP = 60
# Executions of those days after that, from the cache: until then Java still compiles what the broker does all the time.
_WARM_UP_AGAIN = 1500
_WARM_UP_AT_ONCE = 8
_POLICY, _CALENDAR, _SOURCE = "bench", "bench", "made-up"
_PATH = "bench/main.beancount"
_FIRST_DAY = date(2020, 1, 1)
_PORTFOLIO_ID = UUID(int=2)
_TIMEOUT_S = 60.0
_AT = datetime(2020, 1, 1, tzinfo=UTC)

Execute = Callable[[ExecuteRequest], Awaitable[ExecutionResult]]


def run_overview(runs: int = RUNS) -> dict[str, Any]:
    """Measure both paths; starts a system of its own in a temporary directory and stops it.

    Args:
        runs: days valued in each row.

    Returns:
        `{"rows": [{"path", "p50_ms", "p99_ms", "runs"}], "overhead_ms", "cached_steps", "machine"}`, ready for JSON.

    Raises:
        RuntimeError: an execution did not succeed, or the two paths gave different answers.
    """
    days = _weekdays(_HISTORY_DAYS + runs + _WARM_UP)
    with tempfile.TemporaryDirectory(prefix="dawsos-bench-", ignore_cleanup_errors=True) as folder:
        chosen = {"DAWSOS_DATA_DIR": folder, "DAWSOS_LOG_LEVEL": "WARNING"}
        before = {name: os.environ.get(name) for name in chosen}
        # The supervisor that Stack starts takes our environment.
        os.environ.update(chosen)
        try:
            with Stack(load_settings()) as settings:
                rows, overhead, cached = asyncio.run(_measure(settings, days, days[-runs - _WARM_UP :]))
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
    return {"rows": rows, "overhead_ms": round(overhead, 2), "cached_steps": cached, "machine": machine()}


async def _measure(
    settings: Settings, days: Sequence[date], asked: Sequence[date]
) -> tuple[list[dict[str, Any]], float, int]:
    warm, measured = asked[:_WARM_UP], asked[_WARM_UP:]
    in_process = _in_process(settings, days)
    await _load(settings, days)
    async with ExecutionClient(settings, "bench") as client:

        async def over_kafka(request: ExecuteRequest) -> ExecutionResult:
            return await client.execute(request, _TIMEOUT_S)

        for day in warm:
            await in_process(_request(TENANT, day))
        await _warm_up(over_kafka, warm)
        look_for_garbage_rarely()  # as worker processes do
        times: dict[str, list[float]] = {"in_process": [], "kafka_uncached": []}
        answers: dict[str, list[ExecutionResult]] = {name: [] for name in times}
        above: list[float] = []
        for first in range(0, len(measured), _BLOCK):
            block = measured[first : first + _BLOCK]
            medians: list[float] = []
            for path, execute, tenant in (
                ("in_process", in_process, TENANT),
                ("kafka_uncached", over_kafka, "bench"),
            ):
                taken, results = await _timed(execute, tenant, block)
                times[path] += taken
                answers[path] += results
                medians.append(median(taken))
            above.append(medians[1] - medians[0])
        times["kafka_cached"], again = await _timed(over_kafka, "bench", measured)
    first_time = answers["kafka_uncached"]
    if [_figures(result) for result in answers["in_process"]] != [_figures(result) for result in first_time]:
        raise RuntimeError("expected the same figures in one process and over Kafka, they differ")
    if [result.digest for result in first_time] != [result.digest for result in again]:
        raise RuntimeError("expected cached answers to have the digests of the first ones, they differ")
    hits = sum(step.cache == "hit" for step in again[-1].trace.steps)
    return [_row(path, taken) for path, taken in times.items()], median(above), hits


def _in_process(settings: Settings, days: Sequence[date]) -> Execute:
    pattern = load_patterns(settings, load_catalogue(settings)).newest(PATTERN_ID)
    assert pattern is not None
    portfolio = LocalPortfolio(_PORTFOLIO_ID, "Bench", "CAD", _PATH, "FIFO")
    prices, rates = _market(days)
    ledger = TextLedger(from_text(_ledger(days, prices), _PATH))
    runtime = build_runtime_local(LocalData(portfolio, ledger, LocalPacks(prices, rates)))

    async def execute(request: ExecuteRequest) -> ExecutionResult:
        return await run_in_process(request, pattern, runtime)

    return execute


async def _warm_up(execute: Execute, days: Sequence[date]) -> None:
    """Execute each day, then all of them again and again."""
    for day in days:
        await execute(_request("bench", day))
    turns = asyncio.Semaphore(_WARM_UP_AT_ONCE)

    async def again(day: date) -> None:
        async with turns:
            await execute(_request("bench", day))

    await asyncio.gather(*(again(day) for day in islice(cycle(days), _WARM_UP_AGAIN)))


def _request(tenant: str, asof: date) -> ExecuteRequest:
    return ExecuteRequest(
        tenant=tenant,
        request_id=uuid4().hex,
        user_id=USER_ID,
        pattern_id=PATTERN_ID,
        portfolio_id=_PORTFOLIO_ID,
        asof=asof,
        submitted_at=datetime.now(UTC),
    )


async def _timed(execute: Execute, tenant: str, asked: Sequence[date]) -> tuple[list[float], list[ExecutionResult]]:
    """Execute one day after another; returns what each took, in ms, and its result."""
    taken: list[float] = []
    results: list[ExecutionResult] = []
    for asof in asked:
        request = _request(tenant, asof)
        begun = time.perf_counter()
        result = await execute(request)
        taken.append((time.perf_counter() - begun) * 1000)
        if result.status is not ExecutionStatus.SUCCEEDED:
            raise RuntimeError(f"expected {PATTERN_ID} to succeed, got {result.status}: {result.error}")
        results.append(result)
    return taken, results


def _row(path: str, taken: Sequence[float]) -> dict[str, Any]:
    ordered = sorted(taken)
    return {
        "path": path,
        "p50_ms": round(ordered[len(ordered) // 2], 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)], 2),
        "runs": len(ordered),
    }


def _figures(result: ExecutionResult) -> list[Any]:
    """Return what must not depend on the path. Pack ids and commits differ: files have no database."""
    metrics, attribution = result.data["perf_metrics"], result.data["currency_attr"]
    return [
        metrics["twr"],
        metrics["total_value"],
        metrics["total_cost"],
        attribution["total"],
        attribution["fx_return"],
    ]


async def _load(settings: Settings, days: Sequence[date]) -> None:
    """Put ledger, packs and the portfolio into a running system."""
    prices, rates = _market(days)
    commit_files(
        ledger_repository(settings),
        {_PATH: _ledger(days, prices)},
        author="Bench <bench@example.invalid>",
        at=_AT,
        message="Bench",
    )
    owner = await open_pool(settings.postgres_admin_url(), size_max=2, allow_bypass=True)
    app = await open_pool(settings.postgres_url(), size_max=2)
    try:
        writer = PackWriter(owner)
        await writer.set_calendar(_CALENDAR, days[0], days[-1], days)
        await writer.set_policy(_POLICY, _CALENDAR, "Made-up prices for benchmarks")
        await writer.add_securities([Security(symbol, symbol, "USD") for symbol in SYMBOLS])
        closes = [pack_content.PriceRow(symbol, close, ccy, on, _SOURCE) for on, symbol, close, ccy in prices]
        fixings = [pack_content.RateRow(base, quote, rate, on, _SOURCE) for on, base, quote, rate in rates]
        await writer.build(_POLICY, list(pack_content.assemble(days, closes, fixings)), _AT)
        portfolio = Portfolio(_PORTFOLIO_ID, "Bench", "CAD", None, "FIFO", _PATH, _POLICY)
        await PortfolioRepository(app).put("bench", USER_ID, portfolio)
    finally:
        await owner.close()
        await app.close()


def _weekdays(count: int) -> list[date]:
    days: list[date] = []
    on = _FIRST_DAY
    while len(days) < count:
        if on.weekday() < 5:
            days.append(on)
        on += timedelta(days=1)
    return days


def _market(days: Sequence[date]) -> tuple[list[PriceRow], list[RateRow]]:
    """Return made-up prices and rates: the same on every machine."""
    state = 12345
    closes = [Decimal(20 + 7 * at) for at in range(len(SYMBOLS))]
    cad, usd = Decimal("1.5"), Decimal("1.2")

    def step(value: Decimal, per_mille: int) -> Decimal:
        nonlocal state
        state = (1103515245 * state + 12345) % 2**31
        change = Decimal(state % (2 * per_mille + 1) - per_mille) / 1000
        return (value * (1 + change)).quantize(Decimal("0.0001"))

    prices: list[PriceRow] = []
    rates: list[RateRow] = []
    for on in days:
        for at, symbol in enumerate(SYMBOLS):
            closes[at] = step(closes[at], 15)
            prices.append((on, symbol, closes[at], "USD"))
        cad, usd = step(cad, 4), step(usd, 4)
        rates += [(on, "EUR", "CAD", cad), (on, "EUR", "USD", usd)]
    return prices, rates


def _ledger(days: Sequence[date], prices: Sequence[PriceRow]) -> str:
    """Return a ledger that buys ten securities on the first day and then one a month, with a monthly deposit."""
    close = {(on, symbol): price for on, symbol, price, _ in prices}
    first = days[0]
    lines = [
        f"{first} open Assets:Cash:USD",
        f"{first} open Assets:Shares",
        f"{first} open Equity:Contributions",
        f'{first} * "Deposit"',
        "  Assets:Cash:USD  200000 USD",
        "  Equity:Contributions  -200000 USD",
    ]

    def buy(on: date, symbol: str, units: int) -> None:
        price = close[on, symbol]
        lines.extend(
            (
                f'{on} * "Buy"',
                f"  Assets:Shares  {units} {symbol} {{{price} USD}}",
                f"  Assets:Cash:USD  {-units * price} USD",
            )
        )

    for symbol in SYMBOLS:
        buy(first, symbol, 100)
    for at, on in enumerate(days[21::21]):
        lines += [f'{on} * "Deposit"', "  Assets:Cash:USD  2000 USD", "  Equity:Contributions  -2000 USD"]
        buy(on, SYMBOLS[at % len(SYMBOLS)], 10)
    return "\n".join(lines) + "\n"
