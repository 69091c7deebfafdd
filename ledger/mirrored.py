"""Which `Income:` postings beside a sale mirror its gain, and which earn something of their own.

Beancount sells at cost, so a sale balances by a posting of its gain to `Income:`. The lots say the gain already, by
the price, and it must not be counted twice. Interest or a rebate that comes with the sale is money beyond the price:

    beyond = Σ Income − Σ (proceeds − cost) = cash and expenses − proceeds

so the postings that earn it are those that sum to it. Where none do exactly (a fee was taken off the gain, the price
was rounded), those are taken that come nearest, if they explain the better part and leave a posting for the gain; one
whose amount is left out is made for the gain. What stays unexplained is a cost of the trade, as it is without any such
posting. Without a price the gain is whatever `Income:` says. In a currency in which nothing was sold, what is written
is earned, and what is left out is the other side of an exchange.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import chain, combinations
from typing import NamedTuple

from ledger.directives import Amount
from ledger.legs import Leg

ZERO = Decimal(0)
# A sale has one or two postings to Income; of more than these there are too many subsets to try.
_POSTINGS_MAX = 8
# Half a cent: what dividing a total price by units leaves is less.
_EXACT = Decimal("0.005")


class Sale(NamedTuple):
    """A posting that closed lots, and its price per unit; None when not known."""

    leg: Leg
    price: Amount | None


def mirrored(legs: Sequence[Leg], sales: Sequence[Sale]) -> list[Leg]:
    """Return the postings to `Income:`, dividends apart, that mirror the gain of sales; none without a sale.

    Cost: O(2^postings to `Income:`), which are bounded.
    """
    if not sales:
        return []
    income = [leg for leg in legs if leg.root == "Income" and not leg.posting.account.startswith("Income:Dividends")]
    if len(income) > _POSTINGS_MAX or any(sale.price is None for sale in sales):
        return income
    gains = _gains(legs, sales)
    found: list[Leg] = []
    for currency in dict.fromkeys(leg.weight.currency for leg in income if leg.weight is not None):
        own = [leg for leg in income if leg.weight is not None and leg.weight.currency == currency]
        if currency in gains:
            earning = _earning(own, _earned(own) - gains[currency])
        else:
            earning = [leg for leg in own if leg.posting.units is not None]
        found.extend(leg for leg in own if leg not in earning)
    return found


def _earning(income: Sequence[Leg], beyond: Decimal) -> Sequence[Leg]:
    """Return the postings whose sum is nearest to what came beyond the price, as few as will do."""
    subsets = chain.from_iterable(combinations(income, size) for size in range(len(income) + 1))
    likely = [subset for subset in subsets if _may_earn(subset, income, beyond)]
    return min(likely, key=lambda subset: abs(beyond - _earned(subset)))


def _may_earn(subset: Sequence[Leg], income: Sequence[Leg], beyond: Decimal) -> bool:
    whole, earned = len(subset) == len(income), _earned(subset)
    unexplained = abs(beyond - earned)
    if not subset:
        return True
    if unexplained < _EXACT:
        # All of them only where there is no gain to mirror; what was lost then is a fee.
        return not whole or earned > 0
    own = all(_earned([leg]) > 0 and leg.posting.units is not None for leg in subset)
    return own and not whole and unexplained < earned


def _gains(legs: Sequence[Leg], sales: Iterable[Sale]) -> dict[str, Decimal]:
    """Return proceeds − cost by currency; proceeds in that of the cost where the transaction itself converts them."""
    rates = {
        (units.currency, weight.currency): weight.number / units.number
        for leg in legs
        if not leg.changes and (units := leg.units) is not None and (weight := leg.weight) is not None and units.number
    }
    gains: dict[str, Decimal] = {}
    for leg, price in sales:
        assert price is not None
        for change in leg.changes:
            if not change.closes:
                continue
            proceeds, cost = (
                Amount(-change.qty * price.number, price.currency),
                Amount(change.cost, change.lot.currency),
            )
            rate = rates.get((proceeds.currency, cost.currency))
            if rate is not None and proceeds.currency != cost.currency:
                proceeds = Amount(proceeds.number * rate, cost.currency)
            for amount in (proceeds, cost):  # the cost given up is negative
                gains[amount.currency] = gains.get(amount.currency, ZERO) + amount.number
    return gains


def _earned(legs: Iterable[Leg]) -> Decimal:
    return -sum((leg.weight.number for leg in legs if leg.weight is not None), ZERO)
