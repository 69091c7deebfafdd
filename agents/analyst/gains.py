"""The whole gain in money and its causes: answer of `agents.analyst.attribution`."""

from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import Field

from agents.analyst.desk import Stamped, stamp, worth_of
from agents.answers import ValuedRow
from agents.books import Book, Performance
from agents.fields import Money, Part
from agents.positions import unvalued
from analytics.causes import COLUMNS, Causes, NotReconciled, Split, split_gain
from analytics.numbers import ZERO
from topics.errors import Code, TerminalError

_METHOD = (
    "in base currency: realised at the rate of the sale, unrealised at the rate now, currency on the cost;"
    " bookings at the day's rate; the causes sum to value − net deposits"
)
_CAUSES = {
    "realised": "Realised price gains",
    "unrealised": "Unrealised price gains",
    "dividends": "Dividends",
    "tax": "Withholding tax",
    "income": "Interest and other income",
    "fx_securities": "Currency on securities",
    "fx_cash": "Currency on cash",
    "costs": "Fees and costs",
}
# Sums of causes that people also ask for.
_JOINED = {"price": ("realised", "unrealised"), "fx": ("fx_securities", "fx_cash")}


class GainRow(Part):
    """What one security, or cash of one currency, gained in base currency, and why; the causes sum to `total`.

    Attributes:
        name: symbol, `cash:CUR`, `currency exchange`, or `trades without a price`: known only together.
    """

    name: str
    kind: Literal["security", "cash", "exchange", "unpriced"]
    currency: str
    realised: Money = Field(description="Σ (proceeds − cost)·S of units that left, at the rate of that day")
    unrealised: Money = Field(description="Σ (value − cost)·S of units still held, at the rate now")
    price: Money = Field(description="realised + unrealised price gain")
    dividends: Money = Field(description="Σ gross dividends × rate of the ex-date")
    tax: Money = Field(description="−Σ tax withheld from dividends × rate of the ex-date")
    income: Money = Field(description="Σ other income (interest) × rate of the day")
    fx: Money = Field(
        description="securities: Σ cost·(S − S₀), S of the sale or now, S₀ of the purchase; cash: Σ m·(S₁ − S₀)"
    )
    costs: Money = Field(description="−Σ commissions and other expenses × rate of the day")
    total: Money = Field(description="realised + unrealised + dividends + tax + income + currency + costs")


class CauseRow(Part):
    """One cause over the whole portfolio."""

    name: str
    amount: Money


class PortfolioGains(Stamped):
    """Total gain since the first booking and its causes in base currency; rows and causes sum to it.

    Attributes:
        rows: securities, cash and exchanges, largest total first.
        causes: the totals again, in order, for drawing.
    """

    value: Money | None = Field(description="value now, Σ q·P·S with cash and dividends owed")
    net_flows: Money | None = Field(description="Σ deposits − Σ withdrawals, at the day's rate")
    total: Money | None = Field(description="value − net deposits")
    realised: Money | None = Field(description="Σ (proceeds − cost)·S of units that left, at the rate of that day")
    unrealised: Money | None = Field(description="Σ (value − cost)·S of units still held, at the rate now")
    price: Money | None = Field(description="realised + unrealised price gain")
    dividends: Money | None = Field(description="Σ gross dividends")
    tax: Money | None = Field(description="−Σ tax withheld from dividends")
    income: Money | None = Field(description="Σ other income (interest)")
    fx: Money | None = Field(description="Σ currency gains of securities and cash")
    fx_securities: Money | None = Field(description="Σ over securities of cost·(S − S₀)")
    fx_cash: Money | None = Field(description="Σ over cash and dividends owed of currency gains, exchanges included")
    costs: Money | None = Field(description="−Σ commissions and other expenses")
    residual: Money | None = Field(description="total − Σ causes: rounding, below 0.01")
    before_first_close: Money | None = Field(
        description="value at the first close − flows until then: part of the total, and in no return"
    )
    start: date | None
    rows: tuple[GainRow, ...] = Field(strict=False)
    causes: tuple[CauseRow, ...] = Field(strict=False)


def portfolio_gains(book: Book, performance: Performance, positions: list[ValuedRow]) -> PortfolioGains:
    """Return the split of what these valued positions are worth more than what was put in.

    Raises:
        TerminalError: RECONCILIATION_FAILED, the causes do not sum to the gain.
    """
    pins, twr = book.pins, performance.twr
    worth, _ = worth_of(twr, positions, pins)
    why = ""
    if worth is None:
        unpriced = unvalued(positions)
        why = f"no value on {pins.asof}: {unpriced}"
    elif not twr.dates or twr.net_flows is None:
        why = twr.reason or "external flows fell on days without a value"
    split: Split | None = None
    if not why:
        try:
            split = split_gain(performance.history, book.snapshot.rows, worth)
        except NotReconciled as error:
            raise TerminalError(Code.RECONCILIATION_FAILED, str(error)) from error
    reasons = dict.fromkeys((*_CAUSES, *_JOINED, "residual", "rows", "causes"), why or (split.reason if split else ""))
    reasons |= dict.fromkeys(("total", "before_first_close"), why)
    reasons["value"] = why if worth is None else ""
    reasons["net_flows"] = why if twr.net_flows is None else ""
    sums = _sums(split) if split and not split.reason else {}
    return PortfolioGains(
        value=worth,
        net_flows=twr.net_flows,
        total=split.total if split else None,
        **{name: sums.get(name) for name in _CAUSES},
        **{name: sum((sums[part] for part in parts), ZERO) if sums else None for name, parts in _JOINED.items()},
        residual=split.residual if split else None,
        before_first_close=split.before_first_close if split else None,
        start=twr.dates[0] if twr.dates else None,
        rows=tuple(_row(row) for row in (split.rows if split else ())),
        causes=tuple(CauseRow(name=_CAUSES[name], amount=amount) for name, amount in sums.items()),
        **stamp(pins, _METHOD, max(len(twr.dates) - 1, 0), reasons=reasons, warnings=twr.warnings),
    )


def _sums(split: Split) -> dict[str, Decimal]:
    """Return the total of each cause."""
    names = ("realised", "unrealised", "dividends", "tax", "income", "costs")
    sums = {name: sum((getattr(row, name) for row in split.rows), ZERO) for name in names}
    sums["fx_securities"] = sum((row.fx for row in split.rows if row.kind == "security"), ZERO)
    sums["fx_cash"] = sum((row.fx for row in split.rows if row.kind != "security"), ZERO)
    return {name: sums[name] for name in _CAUSES}


def _row(row: Causes) -> GainRow:
    return GainRow(
        name=row.name,
        kind=row.kind,
        currency=row.currency,
        **{name: getattr(row, name) for name in COLUMNS},
        price=row.price,
        total=row.total,
    )
