"""What all groups of the analyst share: its services, the pins of a call, and how answers cite their sources."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from agents.answers import PositionRow, ValuedRow
from agents.books import Book, Books
from agents.context import CapabilityContext
from agents.fields import Part
from agents.ports import FundamentalsPort, LedgerPort, PackPort, PortfolioPort, ReferencePort
from agents.positions import total
from analytics.returns import NotReconciled, Twr, reconcile
from analytics.rubric import Rubric
from topics.errors import Code, TerminalError
from topics.messages import Pins

Rows = Annotated[list[PositionRow], Field(max_length=100_000)]
ValuedRows = Annotated[list[ValuedRow], Field(max_length=100_000)]


class Desk:
    """The services of the analyst.

    Args:
        portfolios: who owns what, and its settings.
        ledgers: booked rows at commits.
        packs: prices and rates.
        fundamentals: reported company figures.
        reference: benchmarks, factors and risk-free rates.
        rubric: how companies are rated.
        policy: pricing policy used when an execution has no portfolio.
    """

    def __init__(
        self,
        portfolios: PortfolioPort,
        ledgers: LedgerPort,
        packs: PackPort,
        fundamentals: FundamentalsPort,
        reference: ReferencePort,
        rubric: Rubric,
        *,
        policy: str,
    ) -> None:
        self._portfolios = portfolios
        self._ledgers = ledgers
        self._packs = packs
        self._fundamentals = fundamentals
        self._reference = reference
        self._rubric = rubric
        self._policy = policy
        self._books = Books(portfolios, ledgers, packs)


class Stamped(Part):
    """What every figure says of itself.

    Attributes:
        reasons: field → why it is null.
        method: convention and source of the formula.
        n_obs: observations the figures rest on.
    """

    asof: date
    base_currency: str
    pack_id: UUID
    ledger_commit: str | None
    method: str
    n_obs: int
    reasons: dict[str, str]
    warnings: tuple[str, ...] = Field(strict=False)


def stamp(
    pins: Pins, method: str, n_obs: int, *, reasons: dict[str, str] | None = None, warnings: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the fields of `Stamped` for an answer on these pins."""
    return {
        "asof": pins.asof,
        "base_currency": pins.base_ccy,
        "pack_id": pins.pricing_pack_id,
        "ledger_commit": pins.ledger_commit_hash,
        "method": method,
        "n_obs": n_obs,
        "reasons": {name: why for name, why in (reasons or {}).items() if why},
        "warnings": tuple(dict.fromkeys(warnings)),
    }


def pinned(context: CapabilityContext) -> Pins:
    """Return the pins of a capability that declared to need them."""
    assert context.pins is not None, "the runtime refuses requests without the pins a capability needs"
    return context.pins


def same_pack(pins: Pins, pack_id: UUID | None) -> None:
    """Refuse a pack other than the execution's own."""
    if pack_id is not None and pack_id != pins.pricing_pack_id:
        raise TerminalError(
            Code.INVALID_ARGS,
            f"expected the execution's own pack {pins.pricing_pack_id} as pack_id, got {pack_id}:"
            " another pack needs an execution of its own",
        )


def cite(context: CapabilityContext, book: Book) -> None:
    """Name the ledger and the pack an answer rests on, and who published what is in the pack."""
    context.report(source=f"ledger:{book.snapshot.commit}", asof=book.pins.asof)
    for source in (f"pricing_pack:{book.pins.pricing_pack_id}", *book.series.sources):
        context.report(source=source)


def reconciled(twr: Twr, worth: Decimal | None, pins: Pins) -> float | None:
    """Return the distance of the positions from the series' end in bp; None when there is no value to compare.

    Raises:
        TerminalError: RECONCILIATION_FAILED, more than 1 bp apart.
    """
    if worth is None or (not twr.nav and not worth):
        return None
    try:
        gap_bp = float(reconcile(twr, worth))
    except NotReconciled as error:
        raise TerminalError(Code.RECONCILIATION_FAILED, str(error)) from error
    if worth and twr.asof != pins.asof:
        raise TerminalError(
            Code.RECONCILIATION_FAILED,
            f"the positions have a value on {pins.asof}, the series ends on {twr.asof}",
        )
    return gap_bp


def worth_of(twr: Twr, positions: Sequence[ValuedRow], pins: Pins) -> tuple[Decimal | None, float | None]:
    """Return what the positions are worth, as the series has it, and their distance from it in bp; None if unknown.

    Rows travel rounded to a millionth, so their sum may end on another digit than the series: one figure, one rounding.

    Raises:
        TerminalError: RECONCILIATION_FAILED, more than 1 bp apart.
    """
    worth = total(row.value_base for row in positions)
    gap_bp = reconciled(twr, worth, pins)
    return (worth if gap_bp is None else twr.nav[-1]), gap_bp


def unvalued_end(twr: Twr, pins: Pins) -> str:
    """Say why a series ends before the day asked for: its last days have no value; empty when it does not.

    A figure up to some earlier day would pass for one of today.
    """
    if twr.asof is None or twr.asof == pins.asof or not twr.gaps:
        return ""
    return f"no value on {twr.gaps[-1].on}: {twr.gaps[-1].reason}"
