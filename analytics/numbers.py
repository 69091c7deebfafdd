"""How numbers are computed and printed: 28 digits inside, rounded once on the way out.

Floats are added with `math.fsum`: the built-in `sum` rounds differently from Python 3.12 on, and answers must not
depend on that.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from math import isfinite

CONTEXT = Context(prec=28, rounding=ROUND_HALF_EVEN)
# For writing only: the largest amounts have more digits before the point than is computed with.
_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)
MONEY_PLACES = 6
RATIO_PLACES = 12
_MONEY_STEP = Decimal(1).scaleb(-MONEY_PLACES)
ZERO = Decimal(0)
_POWERS = tuple(10.0**places for places in range(RATIO_PLACES + 1))
_SURE_MAX = 2.0**43
_TIE = 0.499


def plain(number: Decimal) -> str:
    """Return a decimal without exponent and without trailing zeros after the point."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def money(amount: Decimal | None) -> str | None:
    """Return an amount as a decimal string with at most six decimals, None for None."""
    return None if amount is None else plain(amount.quantize(_MONEY_STEP, context=_WIDE))


def ratio(value: float | None) -> float | None:
    """Return a ratio rounded to twelve decimals; None for None, NaN and infinities."""
    return None if value is None or not isfinite(value) else rounded(value, RATIO_PLACES)


def rounded(value: float, places: int) -> float:
    """Return `round(value, places) + 0.0`, which has no −0.0, in half the time.

    The product with 10^places is off by at most half a unit in its last place, so below 2^43 the nearest integer is the
    right one unless the product lies within a thousandth of a tie; and an integer over 10^places is rounded correctly.
    """
    power = _POWERS[places]
    scaled = float(value) * power
    if -_SURE_MAX < scaled < _SURE_MAX:
        whole = round(scaled)
        if -_TIE < scaled - whole < _TIE:
            return whole / power
    return round(float(value), places) + 0.0
