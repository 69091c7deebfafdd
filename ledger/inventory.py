"""Open lots of one account and security, and the rule that picks which of them a sale closes.

All lots of an inventory have the same sign: a security is held long or short, never both. Lots
are kept in acquisition order; closed ones stay in the list with zero units and are skipped by a
moving head, so FIFO sales cost O(1) amortised however long the history is.
"""

from bisect import insort
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from ledger.directives import CostSpec

ZERO = Decimal(0)


class NoMatch(ValueError):
    """No lot, or more than one choice of lots, fits a reduction; the message says which."""


@dataclass(slots=True)
class OpenLot:
    """A lot while booking: the only mutable state of this package.

    `unit` is the cost per unit; `cost` the signed total, tracked apart so that closing a lot
    removes exactly what was put in.
    """

    lot: str
    acquired: date
    order: int
    currency: str
    label: str | None
    qty: Decimal
    cost: Decimal
    unit: Decimal

    def key(self) -> tuple[date, int]:
        """Return what lots are ordered by: acquisition day, then booking order."""
        return (self.acquired, self.order)


class Change(NamedTuple):
    """What one posting or split did to one lot.

    Attributes:
        qty: signed change of units.
        cost: signed change of total cost.
        closes: units went out of the lot (a sale, or the cover of a short).
        qty_after: the lot's units afterwards; `cost_after` likewise.
    """

    lot: OpenLot
    qty: Decimal
    cost: Decimal
    closes: bool
    qty_after: Decimal
    cost_after: Decimal


class Inventory:
    """The lots of one security in one account, under one booking method."""

    __slots__ = ("_head", "_lots", "method", "qty")

    def __init__(self, method: str):
        self.method = method
        self.qty = ZERO
        self._lots: list[OpenLot] = []
        self._head = 0

    def open_lots(self) -> list[OpenLot]:
        """Return lots with units left, in acquisition order."""
        return [lot for lot in self._lots[self._head :] if lot.qty]

    def add(self, lot: OpenLot) -> Change:
        """Put units in; under AVERAGE they join the lot that is already there.

        Raises:
            NoMatch: an average would need two cost currencies.
        """
        added, cost = lot.qty, lot.cost
        self.qty += added
        if self.method == "AVERAGE":
            held = self.open_lots()
            if held and held[0].currency == lot.currency:
                merged = held[0]
                merged.qty += lot.qty
                merged.cost += lot.cost
                merged.unit = merged.cost / merged.qty
                return Change(merged, added, cost, False, merged.qty, merged.cost)
            if held:
                raise NoMatch(
                    f"average cost needs one cost currency: lots are in {held[0].currency}, this is in {lot.currency}"
                )
        insort(self._lots, lot, lo=self._head, key=OpenLot.key)
        return Change(lot, added, cost, False, added, cost)

    def reduce(self, qty: Decimal, spec: CostSpec) -> list[Change]:
        """Take up to `qty` (signed opposite to the holding) out of the matching lots.

        Returns: the pieces in closing order; they may sum to less than `qty` when the holding
        is smaller (the caller decides whether that opens a position the other way).

        Raises:
            NoMatch: the cost matches no lot, or STRICT finds the choice ambiguous.
        """
        if self.method == "AVERAGE" and (spec.number is not None or spec.acquired or spec.label):
            raise NoMatch("this account books at average cost: write {} for units going out")
        anything = spec.number is None and spec.acquired is None and spec.label is None
        if anything and self.method in ("FIFO", "AVERAGE") and spec.currency is None:
            return self._take_from_head(qty)
        fitting = [lot for lot in self.open_lots() if _fits(lot, spec, qty)]
        if not fitting:
            held = ", ".join(_describe(lot) for lot in self.open_lots()[:6])
            raise NoMatch(f"no open lot matches this cost; open lots: {held}")
        return self._take(self._ordered(fitting, qty), qty)

    def split(self, ratio: Decimal) -> list[Change]:
        """Multiply units and divide unit costs of all open lots; total costs stay."""
        changed: list[Change] = []
        self.qty = ZERO
        for lot in self.open_lots():
            before = lot.qty
            lot.qty = before * ratio
            lot.unit = lot.cost / lot.qty
            self.qty += lot.qty
            changed.append(Change(lot, lot.qty - before, ZERO, False, lot.qty, lot.cost))
        return changed

    def _ordered(self, fitting: list[OpenLot], qty: Decimal) -> list[OpenLot]:
        if self.method == "LIFO":
            return fitting[::-1]
        if self.method == "HIFO":
            return sorted(fitting, key=lambda lot: lot.unit, reverse=True)
        if self.method.startswith("STRICT") and len(fitting) > 1:
            total = sum((lot.qty for lot in fitting), ZERO)
            if total == -qty:
                return fitting
            if self.method == "STRICT_WITH_SIZE":
                same = [lot for lot in fitting if lot.qty == -qty]
                if same:
                    return same[:1]
            choice = ", ".join(_describe(lot) for lot in fitting[:6])
            raise NoMatch(f"several lots match and booking is {self.method}: name the cost or date of one of {choice}")
        return fitting

    def _take_from_head(self, qty: Decimal) -> list[Change]:
        taken: list[Change] = []
        left = qty
        while left and self._head < len(self._lots):
            lot = self._lots[self._head]
            if lot.qty:
                piece = self._close(lot, left)
                taken.append(piece)
                left -= piece.qty
            if not lot.qty:
                self._head += 1
        if self._head > 1024 and self._head * 2 > len(self._lots):
            del self._lots[: self._head]
            self._head = 0
        return taken

    def _take(self, lots: list[OpenLot], qty: Decimal) -> list[Change]:
        taken: list[Change] = []
        left = qty
        for lot in lots:
            if not left:
                break
            piece = self._close(lot, left)
            taken.append(piece)
            left -= piece.qty
        if len(self._lots) > 64 and sum(1 for lot in self._lots if lot.qty) * 2 < len(self._lots):
            self._lots = [lot for lot in self._lots if lot.qty]
            self._head = 0
        return taken

    def _close(self, lot: OpenLot, qty: Decimal) -> Change:
        """Take at most the lot's units; the last units take exactly the cost that is left."""
        if abs(qty) >= abs(lot.qty):
            change, cost = -lot.qty, -lot.cost
        else:
            change = qty
            # Under AVERAGE the unit cost is a rounded quotient: scale the exact total instead.
            cost = lot.cost * qty / lot.qty if self.method == "AVERAGE" else lot.unit * qty
        lot.qty += change
        lot.cost += cost
        self.qty += change
        return Change(lot, change, cost, True, lot.qty, lot.cost)


def _fits(lot: OpenLot, spec: CostSpec, qty: Decimal) -> bool:
    unit = spec.number
    if unit is not None and spec.total:
        unit = unit / abs(qty)
    return (
        (unit is None or lot.unit == unit)
        and (spec.currency is None or lot.currency == spec.currency)
        and (spec.acquired is None or lot.acquired == spec.acquired)
        and (spec.label is None or lot.label == spec.label)
    )


def _describe(lot: OpenLot) -> str:
    return f"{lot.qty.normalize():f} {{{lot.unit.normalize():f} {lot.currency}, {lot.acquired}}}"
