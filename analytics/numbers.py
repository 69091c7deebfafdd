"""How numbers are computed and printed: 28 digits inside, rounded once on the way out.

Floats are added with `math.fsum`: the built-in `sum` rounds differently from Python 3.12 on, and answers must not
depend on that.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from math import isfinite

CONTEXT = Context(prec=28, rounding=ROUND_HALF_EVEN)
MONEY_PLACES = 6
RATIO_PLACES = 12
_MONEY_STEP = Decimal(1).scaleb(-MONEY_PLACES)
ZERO = Decimal(0)


def plain(number: Decimal) -> str:
    """Return a decimal without exponent and without trailing zeros after the point."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def money(amount: Decimal | None) -> str | None:
    """Return an amount as a decimal string with at most six decimals, None for None."""
    return None if amount is None else plain(amount.quantize(_MONEY_STEP, context=CONTEXT))


def ratio(value: float | None) -> float | None:
    """Return a ratio rounded to twelve decimals; None for None, NaN and infinities."""
    if value is None or not isfinite(value):
        return None
    return round(float(value), RATIO_PLACES) + 0.0  # + 0.0 turns -0.0 into 0.0
