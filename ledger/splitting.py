"""Recognising Beancount's own way of writing a split: all lots out and back in, total cost kept."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from ledger.directives import Posting, Transaction
from ledger.inventory import Inventory

ZERO = Decimal(0)
# Unit costs are written rounded: 10 USD over 3 shares is no 3.3333… USD.
_COST_TOLERANCE = Decimal("0.0001")


def split_ratios(
    entry: Transaction, inventories: Mapping[tuple[str, str], Inventory]
) -> dict[str, tuple[str, Decimal]]:
    """Return symbol and new units per old by account; empty when the transaction is no split of one security.

    Units and unit costs change, total cost and acquisition days do not, so that lots keep their identity and neither
    a gain nor a currency effect arises. In each account every lot goes out and its whole cost comes back in.
    """
    first = entry.postings[0] if entry.postings else None
    if first is None or first.units is None or first.cost is None:
        return {}
    symbol = first.units.currency
    accounts: dict[str, list[Posting]] = {}
    for posting in entry.postings:
        if posting.units is None or posting.cost is None or posting.price is not None:
            return {}
        if posting.units.currency != symbol:
            return {}
        accounts.setdefault(posting.account, []).append(posting)
    ratios: dict[str, tuple[str, Decimal]] = {}
    for account, postings in accounts.items():
        inventory = inventories.get((account, symbol))
        ratio = None if inventory is None else _ratio(postings, inventory)
        if ratio is None:
            return {}
        ratios[account] = (symbol, ratio)
    return ratios


def _ratio(postings: Sequence[Posting], inventory: Inventory) -> Decimal | None:
    out = back = out_cost = back_cost = ZERO
    for posting in postings:
        units, cost = posting.units, posting.cost
        assert units is not None and cost is not None
        unit = cost.number if cost.number is not None else ZERO
        total = unit.copy_sign(units.number) if cost.total else unit * units.number
        if (units.number > 0) == (inventory.qty > 0):
            back, back_cost = back + units.number, back_cost + total
        else:
            out, out_cost = out + units.number, out_cost + total
    if not inventory.qty or not back or out != -inventory.qty:
        return None
    held_cost = sum((lot.cost for lot in inventory.open_lots()), ZERO)
    slack = abs(held_cost) * _COST_TOLERANCE
    if abs(back_cost - held_cost) > slack or (out_cost and abs(out_cost + back_cost) > slack):
        return None
    return back / -out
