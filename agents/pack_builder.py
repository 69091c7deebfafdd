"""The agent that builds pricing packs: begin, fetch, validate, freeze, and give up.

The steps of the workflow `pack_build`. A day's pack is begun before anything is fetched, so that executions of that
day wait for it; when a later step fails for good the engine takes `packs.begin` back with `packs.fail`. Rows travel
through the trace: what a pack was made of can be seen, and the same rows give the same digest.
"""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from agents.base import BaseAgent
from agents.capability import Retry, capability
from agents.context import CapabilityContext
from agents.fields import Ratio
from agents.pack_ports import MacroPoint, MarketSources, PackDesk, PackRows, QuotedPrice, QuotedRate
from topics.errors import Code, TerminalError
from topics.messages import PackRef

_ROWS_MAX = 200_000
# Providers have bad minutes; a pipeline has time.
_FETCH = Retry(attempts_max=5, backoff_s=1.0, factor=3.0, cap_s=60.0)
_Number = Annotated[Decimal, Field(max_digits=38)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PriceQuote(_Row):
    """A close as quoted; `currency` may be a price unit such as GBX."""

    symbol: str
    close: _Number
    currency: str
    observed_on: date
    source: str


class RateQuote(_Row):
    """Units of `quote` for 1 `base`."""

    base: str
    quote: str
    rate: _Number
    observed_on: date
    source: str


class MacroValue(_Row):
    """An observation as published on `vintage`; null for one that was withdrawn."""

    series_id: str
    obs_date: date
    vintage: date
    value: _Number | None
    source: str


class FindingRow(_Row):
    """What a check noticed; a `fault` keeps a pack from being frozen.

    Attributes:
        on: day the price or rate was observed; the pack's where there is none.
    """

    kind: Literal["empty", "coverage", "triangulation", "jump", "stale"]
    fault: bool
    subject: str
    on: date
    message: str


class Validation(_Row):
    """A pack that may be frozen: its digest, how many rows, how much of what was expected, and what was noticed.

    Attributes:
        reasons: field → why it is null.
    """

    content_sha256: str = Field(description="SHA-256 of the canonical sorted rows")
    prices: int
    rates: int
    macro: int
    expected: int = Field(description="securities the policy requires or the pack before has")
    covered: int = Field(description="expected securities with a price")
    coverage: Ratio | None = Field(description="covered / expected")
    findings: list[FindingRow]
    reasons: dict[str, str]


Prices = Annotated[list[PriceQuote], Field(max_length=_ROWS_MAX)]
Rates = Annotated[list[RateQuote], Field(max_length=_ROWS_MAX)]
Macro = Annotated[list[MacroValue], Field(max_length=_ROWS_MAX)]


class PackBuilder(BaseAgent):
    """Builds packs from market sources. Packs are everybody's data: only some tenants may.

    Args:
        pack_desk: where packs are written.
        market_sources: where market data comes from, by name.
        pack_tenants: tenants that may build packs.
    """

    name = "pack_builder"
    version = "1.1.0"

    def __init__(self, pack_desk: PackDesk, market_sources: MarketSources, pack_tenants: tuple[str, ...]) -> None:
        self._desk = pack_desk
        self._sources = market_sources
        self._tenants = frozenset(pack_tenants)

    @capability("packs.begin", upstreams=("postgres",))
    async def begin(self, context: CapabilityContext, policy: str, asof: date) -> PackRef:
        """Open the day's pack, so that executions of that day wait for it; a fresh one stays until rows differ."""
        self._allow(context)
        return await self._desk.begin(policy, asof, _now(context))

    @capability("packs.fetch_prices", timeout_s=120, retry=_FETCH)
    async def fetch_prices(self, context: CapabilityContext, source: str, asof: date) -> list[PriceQuote]:
        """Fetch the closes of a day from a source."""
        self._allow(context)
        rows = await self._sources.get(source).prices(asof)
        _report(context, "prices", rows, source, asof)
        return [PriceQuote(**_columns(row)) for row in rows]

    @capability("packs.fetch_rates", timeout_s=120, retry=_FETCH)
    async def fetch_rates(self, context: CapabilityContext, source: str, asof: date) -> list[RateQuote]:
        """Fetch the exchange rates of a day from a source."""
        self._allow(context)
        rows = await self._sources.get(source).rates(asof)
        _report(context, "exchange rates", rows, source, asof)
        return [RateQuote(**_columns(row)) for row in rows]

    @capability("packs.fetch_macro", timeout_s=120, retry=_FETCH)
    async def fetch_macro(self, context: CapabilityContext, source: str, asof: date) -> list[MacroValue]:
        """Fetch macro observations published up to a day from a source."""
        self._allow(context)
        rows = await self._sources.get(source).macro(asof)
        _report(context, "macro series", rows, source, asof)
        return [MacroValue(**_columns(row)) for row in rows]

    @capability("packs.validate", timeout_s=60, upstreams=("postgres",))
    async def validate(
        self, context: CapabilityContext, pack_id: UUID, prices: Prices, rates: Rates, macro: Macro
    ) -> Validation:
        """Check coverage, triangulation of rates, jumps over 25% and stale observations; faults end the build."""
        self._allow(context)
        checked = await self._desk.check(pack_id, _rows(prices, rates, macro))
        findings = checked.findings
        faults = [f"{found.kind} {found.subject}: {found.message}" for found in findings if found.fault]
        if faults:
            raise TerminalError(
                Code.INVALID_INPUT, f"the pack has {len(faults)} fault(s): {'; '.join(faults[:20])}", faults=faults
            )
        for found in findings:
            context.report(warning=f"{found.kind} {found.subject}: {found.message}")
        observed = {row.symbol: row.observed_on for row in prices}
        observed |= {f"{row.base}/{row.quote}": row.observed_on for row in rates}
        expected = len(checked.expected)
        covered = len(checked.expected & {row.symbol for row in prices})
        return Validation(
            content_sha256=checked.sha256,
            prices=len(prices),
            rates=len(rates),
            macro=len(macro),
            expected=expected,
            covered=covered,
            coverage=covered / expected if expected else None,
            findings=[
                FindingRow.model_validate(
                    {
                        "kind": row.kind,
                        "fault": row.fault,
                        "subject": row.subject,
                        "on": observed.get(row.subject, checked.asof),
                        "message": row.message,
                    }
                )
                for row in findings
            ],
            reasons={} if expected else {"coverage": "no price is required, and there is no pack before"},
        )

    @capability("packs.freeze", timeout_s=60, upstreams=("postgres",))
    async def freeze(
        self,
        context: CapabilityContext,
        pack_id: UUID,
        prices: Prices,
        rates: Rates,
        macro: Macro,
        content_sha256: str,
    ) -> PackRef:
        """Write the rows and freeze the pack; its event goes out with the commit. Repeating changes nothing."""
        self._allow(context)
        pack, unchanged = await self._desk.freeze(pack_id, _rows(prices, rates, macro), content_sha256, _now(context))
        if unchanged:
            context.report(warning=f"nothing new: revision {pack.revision} of {pack.asof_date} has the same rows")
        return pack

    @capability("packs.fail", upstreams=("postgres",), retry=Retry(attempts_max=10, cap_s=60.0))
    async def fail(self, context: CapabilityContext, pack_id: UUID, reason: str) -> PackRef:
        """Mark a pack that could not be built as failed, so that nobody waits for it; a frozen one stays."""
        self._allow(context)
        return await self._desk.fail(pack_id, reason)

    def _allow(self, context: CapabilityContext) -> None:
        if context.tenant not in self._tenants:
            raise TerminalError(
                Code.FORBIDDEN,
                f"tenant {context.tenant!r} may not build packs, which all tenants share;"
                " DAWSOS_PACK_TENANTS says who may",
            )


def _now(context: CapabilityContext) -> int:
    assert context.now_ms is not None
    return context.now_ms


def _report(
    context: CapabilityContext,
    kind: str,
    rows: Iterable[QuotedPrice | QuotedRate | MacroPoint],
    source: str,
    asof: date,
) -> None:
    context.report(source=source, asof=asof)
    empty = True
    for row in rows:
        empty = False
        context.report(source=row.source)
    if empty:
        context.report(warning=f"{source} has no {kind} for {asof}")


def _columns(row: QuotedPrice | QuotedRate | MacroPoint) -> dict[str, Any]:
    return {name: getattr(row, name) for name in type(row).__slots__}


def _rows(prices: list[PriceQuote], rates: list[RateQuote], macro: list[MacroValue]) -> PackRows:
    return PackRows(
        [QuotedPrice(**dict(row)) for row in prices],
        [QuotedRate(**dict(row)) for row in rates],
        [MacroPoint(**dict(row)) for row in macro],
    )
