"""Whether the data behind an answer can be trusted: coverage, staleness, exchange rates, and the ledger's own sense."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from math import fsum
from typing import Literal

from pydantic import Field

from agents.analyst.desk import Desk, Stamped, ValuedRows, cite, pinned, stamp
from agents.answers import ValuedRow
from agents.books import series_of
from agents.capability import capability
from agents.context import CapabilityContext
from agents.fields import Exact, Part, Ratio
from agents.ports import BookingRow
from analytics.fx import CARRY_DAYS_MAX, InconsistentRates, Rates, triangles
from analytics.jumps import JUMP_AS_SPLIT, JUMP_MAX
from topics.errors import Code, TerminalError

Verdict = Literal["pass", "warn", "fail", "unknown"]
TRIANGLE_ERROR_MAX = 1e-6
_JUMPS_MAX = 500


class CoverageRow(Part):
    """One holding's price and rate."""

    symbol: str
    kind: str
    status: str
    price_age: int | None
    reason: str | None


class PackCoverage(Stamped):
    """How much of the portfolio the pack can value."""

    verdict: Verdict
    holdings: int
    valued: int
    coverage: Ratio | None = Field(description="holdings with a value / holdings")
    rows: tuple[CoverageRow, ...] = Field(strict=False)


class StalePrices(Stamped):
    """Values that rest on a price or rate of an earlier day."""

    verdict: Verdict
    stale: int
    weight: Ratio | None = Field(description="Σ |weight| of stale holdings")
    oldest_days: int | None = Field(description="age of the oldest carried price")
    rows: tuple[CoverageRow, ...] = Field(strict=False)


class TriangleRow(Part):
    """One pair: the rate given against the one crossed through another currency."""

    base: str
    quote: str
    through: str
    error: Ratio = Field(description="|given / crossed − 1|")


class FxTriangulation(Stamped):
    """Whether the pack's rates agree with each other; `unknown` when no pair can be reached two ways."""

    verdict: Verdict
    on: date | None
    pairs: int
    triangles: int
    largest_error: Ratio | None = Field(description="max |given / crossed − 1|")
    rows: tuple[TriangleRow, ...] = Field(strict=False)


class JumpRow(Part):
    """A holding whose value jumped overnight beyond any booked split."""

    symbol: str
    on: date
    before: Exact
    close: Exact
    change: Ratio = Field(description="value of the units held before, now / then − 1, in the holding's currency")
    split: str | None = Field(description="the split it looks like, new for old")
    text: str


class PriceJumps(Stamped):
    """Values that moved by about a quarter or more overnight: real, wrong, or a split nobody booked."""

    verdict: Verdict
    jumps: int
    suspected_splits: int
    rows: tuple[JumpRow, ...] = Field(strict=False)


class LedgerFinding(Part):
    """Something in the booked rows a person should look at."""

    check: str
    verdict: Verdict
    text: str


class LedgerBalance(Stamped):
    """The booked ledger against itself. Unbalanced transactions never get this far: they are refused when booked."""

    verdict: Verdict
    rows: int
    content_hash: str
    cash: dict[str, Exact]
    findings: tuple[LedgerFinding, ...] = Field(strict=False)


class QualityGroup(Desk):
    """Checks of the data behind a portfolio."""

    @capability("quality.pack_coverage", pure=True, needs=("pack",))
    async def pack_coverage(self, context: CapabilityContext, positions: ValuedRows) -> PackCoverage:
        """Say which holdings the pack cannot value, and why."""
        pins = pinned(context)
        context.report(source=f"pricing_pack:{pins.pricing_pack_id}", asof=pins.asof)
        missing = [row for row in positions if row.status == "missing"]
        valued = len(positions) - len(missing)
        return PackCoverage(
            verdict="fail" if missing else "pass" if positions else "unknown",
            holdings=len(positions),
            valued=valued,
            coverage=valued / len(positions) if positions else None,
            rows=tuple(_coverage(row) for row in missing),
            **stamp(
                pins,
                "a holding is covered when price and rate are at most five days old",
                len(positions),
                reasons={} if positions else {"coverage": "nothing is held"},
            ),
        )

    @capability("quality.stale_prices", pure=True, needs=("pack",))
    async def stale_prices(self, context: CapabilityContext, positions: ValuedRows) -> StalePrices:
        """List values that rest on a carried price or rate."""
        pins = pinned(context)
        context.report(source=f"pricing_pack:{pins.pricing_pack_id}", asof=pins.asof)
        stale = [row for row in positions if row.status == "stale"]
        weights = [abs(row.weight) for row in stale if row.weight is not None]
        known = len(weights) == len(stale)
        ages = [row.price_age for row in stale if row.price_age is not None]
        return StalePrices(
            verdict="warn" if stale else "pass",
            stale=len(stale),
            weight=fsum(weights) if known else None,
            oldest_days=max(ages, default=None),
            rows=tuple(_coverage(row) for row in stale),
            **stamp(
                pins,
                f"prices and rates may be carried {CARRY_DAYS_MAX} calendar days",
                len(positions),
                reasons={
                    "weight": "" if known else "weights need a value of everything",
                    "oldest_days": "" if ages else "no carried price",
                },
            ),
        )

    @capability("quality.fx_triangulation", pure=True, needs=("pack",), upstreams=("postgres",))
    async def fx_triangulation(self, context: CapabilityContext, positions: ValuedRows) -> FxTriangulation:
        """Compare each rate with the one crossed through every third currency."""
        pins = pinned(context)
        context.report(source=f"pricing_pack:{pins.pricing_pack_id}", asof=pins.asof)
        currencies = {row.price_currency or row.trading_currency for row in positions} | {pins.base_ccy}
        start = pins.asof - timedelta(days=CARRY_DAYS_MAX)
        series = await series_of(self._packs, pins.pricing_pack_id, [], currencies, start)
        on = max((row[0] for row in series.rates), default=None)
        given = {(row[1], row[2]): row[3] for row in series.rates if row[0] == on}
        try:
            Rates((base, quote, rate) for (base, quote), rate in given.items())
        except InconsistentRates as error:
            raise TerminalError(Code.MISSING_FX, f"pack {pins.pricing_pack_id}: {error}") from error
        rows = [
            TriangleRow(base=each.base, quote=each.quote, through=each.through, error=each.error)
            for each in triangles(given)
        ]
        largest = max((row.error for row in rows), default=None)
        verdict: Verdict = "unknown" if largest is None else "fail" if largest > TRIANGLE_ERROR_MAX else "pass"
        why = "no pair of the pack can be reached two ways: crosses are computed, none is stored"
        return FxTriangulation(
            verdict=verdict,
            on=on,
            pairs=len(given),
            triangles=len(rows),
            largest_error=largest,
            rows=tuple(sorted(rows, key=lambda row: -row.error)[:100]),
            **stamp(
                pins,
                f"|S_ab / (S_ac·S_cb) − 1| at most {TRIANGLE_ERROR_MAX:g}",
                len(rows),
                reasons={} if rows else {"largest_error": why},
            ),
        )

    @capability("quality.price_jumps", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",))
    async def price_jumps(self, context: CapabilityContext) -> PriceJumps:
        """List holdings that moved by about a quarter or more overnight, which no split in the ledger explains."""
        pins = pinned(context)
        book, performance = await self._books.performance(context)
        cite(context, book)
        jumps = performance.jumps
        return PriceJumps(
            verdict="warn" if jumps else "pass",
            jumps=len(jumps),
            suspected_splits=sum(jump.split is not None for jump in jumps),
            rows=tuple(
                JumpRow(
                    symbol=jump.symbol,
                    on=jump.on,
                    before=jump.before,
                    close=jump.close,
                    change=jump.change,
                    split=jump.split,
                    text=jump.said(),
                )
                for jump in jumps[-_JUMPS_MAX:]
            ),
            **stamp(
                pins,
                f"|value of the units held, now / the valued day before − 1| above {JUMP_MAX:.0%}, splits as booked;"
                f" a fall from {JUMP_AS_SPLIT:.1%} on where it looks like a 4:3 split",
                max(len(performance.history.dates) - 1, 0),
                warnings=[f"the newest {_JUMPS_MAX} are listed"] if len(jumps) > _JUMPS_MAX else (),
            ),
        )

    @capability("quality.ledger_balance", pure=True, needs=("pack", "ledger", "portfolio"), upstreams=("postgres",))
    async def ledger_balance(self, context: CapabilityContext) -> LedgerBalance:
        """Look for mistakes: borrowed cash, dividends unpaid or of what was never held, closed lots with a cost."""
        pins = pinned(context)
        book = await self._books.load(context)
        cite(context, book)
        rows = [row for row in book.snapshot.rows if row.on <= pins.asof]
        cash: dict[str, Decimal] = {}
        units: dict[str, Decimal] = {}
        costs: dict[str, Decimal] = {}
        owed: dict[tuple[str, str, date], Decimal] = {}
        for row in rows:
            if row.kind == "cash":
                cash[row.currency] = cash.get(row.currency, Decimal(0)) + row.amount
            elif row.kind in ("lot", "split"):
                units[row.lot] = units.get(row.lot, Decimal(0)) + row.qty
                costs[row.lot] = costs.get(row.lot, Decimal(0)) + row.amount
            elif row.kind == "receivable" and row.pay_date is not None:
                key = (row.symbol, row.currency, row.pay_date)
                owed[key] = owed.get(key, Decimal(0)) + row.amount
        findings = [
            LedgerFinding(
                check="cash", verdict="warn", text=f"{amount} {currency} of cash: borrowed, or a deposit is missing"
            )
            for currency, amount in sorted(cash.items())
            if amount < 0
        ]
        findings += [
            LedgerFinding(check="dividends", verdict="fail", text=f"{amount} {currency} of {symbol} due {pay} not paid")
            for (symbol, currency, pay), amount in sorted(owed.items())
            if amount and pay <= pins.asof
        ]
        findings += [
            LedgerFinding(check="lots", verdict="fail", text=f"lot {lot} is closed but keeps {costs[lot]} of cost")
            for lot, left in sorted(units.items())
            if not left and abs(costs[lot]) > Decimal("0.000001")
        ]
        findings += _never_held(rows)
        worst: Verdict = "pass"
        if findings:
            worst = "fail" if any(each.verdict == "fail" for each in findings) else "warn"
        return LedgerBalance(
            verdict=worst,
            rows=len(rows),
            content_hash=book.snapshot.content_hash,
            cash=dict(sorted(cash.items())),
            findings=tuple(findings),
            **stamp(pins, "booked rows summed by currency, lot and dividend up to the day", len(rows)),
        )


def _coverage(row: ValuedRow) -> CoverageRow:
    return CoverageRow(symbol=row.symbol, kind=row.kind, status=row.status, price_age=row.price_age, reason=row.reason)


def _never_held(rows: Sequence[BookingRow]) -> list[LedgerFinding]:
    """Return a finding for each security that paid before any of it was held; `rows` are ordered by date."""
    first = {row.symbol: row.on for row in reversed(rows) if row.kind == "lot"}
    early: dict[str, date] = {}
    for row in rows:
        if row.kind == "dividend" and row.symbol and row.on < first.get(row.symbol, date.max):
            early.setdefault(row.symbol, row.on)
    return [
        LedgerFinding(
            check="dividends",
            verdict="warn",
            text=f"dividend of {symbol} on {on}, "
            + (f"held since {first[symbol]} only" if symbol in first else "which was never held: another symbol?"),
        )
        for symbol, on in sorted(early.items())
    ]
