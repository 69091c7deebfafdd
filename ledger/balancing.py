"""When a transaction balances, and what a left-out amount must be.

The rule is Beancount's, so that a file accepted there is accepted here: the weights of the
postings must sum to zero per currency within a tolerance derived from how precisely the numbers
were written (half a unit of the last decimal, the coarsest number of a currency deciding;
whole numbers say nothing). Documented in "Precision & Tolerances" of the Beancount manual.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from ledger.directives import Amount, Posting

ZERO = Decimal(0)
ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class ToleranceRule:
    """The ledger's options that steer tolerances.

    Attributes:
        multiplier: `tolerance_multiplier`, 0.5 unless set.
        defaults: `inferred_tolerance_default` per currency; `*` for all others.
        from_cost: `infer_tolerance_from_cost`: unit precision times cost widens the tolerance.
    """

    multiplier: Decimal = Decimal("0.5")
    defaults: Mapping[str, Decimal] | None = None
    from_cost: bool = False

    def of(self, postings: Iterable[Posting]) -> dict[str, Decimal]:
        """Return the tolerance per currency; a currency not named tolerates `default`."""
        found: dict[str, Decimal] = dict(self.defaults or {})
        widened: dict[str, Decimal] = {}
        for posting in postings:
            units = posting.units
            if units is None:
                continue
            exponent = units.number.as_tuple().exponent
            if not isinstance(exponent, int) or exponent >= 0:
                continue
            step = ONE.scaleb(exponent) * self.multiplier
            if units.currency not in found or found[units.currency] < step:
                found[units.currency] = step
            if not self.from_cost:
                continue
            for other in (posting.cost, posting.price):
                if other is not None and other.number is not None and other.currency:
                    sum_so_far = widened.get(other.currency, ZERO)
                    widened[other.currency] = sum_so_far + step * other.number
        for currency, amount in widened.items():
            found[currency] = max(found.get(currency, ZERO), amount)
        return found


def tolerance_of(currency: str, tolerances: Mapping[str, Decimal]) -> Decimal:
    """Return a currency's tolerance: its own, else the default, else zero."""
    return tolerances.get(currency, tolerances.get("*", ZERO))


def price_weight(units: Amount, posting: Posting) -> Amount:
    """Return what a posting without cost weighs: its units, or their value at its price."""
    price = posting.price
    if price is None:
        return units
    if posting.price_total:
        total = price.number.copy_sign(units.number) if units.number else ZERO  # nothing costs nothing
        return Amount(total, price.currency)
    return Amount(price.number * units.number, price.currency)


def residual(weights: Iterable[Amount]) -> dict[str, Decimal]:
    """Return the sum per currency, zero sums left out."""
    total: dict[str, Decimal] = {}
    for weight in weights:
        total[weight.currency] = total.get(weight.currency, ZERO) + weight.number
    return {currency: number for currency, number in total.items() if number}


def rounded(number: Decimal, currency: str, tolerances: Mapping[str, Decimal]) -> Decimal:
    """Round an interpolated amount to the precision the other numbers were written with."""
    tolerance = tolerances.get(currency)
    if not tolerance:
        return number
    quantum = (tolerance * 2).normalize()
    # A tolerance that is no half decimal step (a widened one) says nothing about decimals.
    if len(quantum.as_tuple().digits) > 1:
        return number
    return number.quantize(quantum)


def unbalanced(left: Mapping[str, Decimal], tolerances: Mapping[str, Decimal]) -> str | None:
    """Return what is left beyond tolerance as text, None when the transaction balances."""
    over = [
        f"{number:f} {currency} left over (tolerance {tolerance_of(currency, tolerances):f})"
        for currency, number in sorted(left.items())
        if abs(number) > tolerance_of(currency, tolerances)
    ]
    return ", ".join(over) if over else None
