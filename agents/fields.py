"""Number types of capability arguments and answers, with one spelling on the wire.

Money, prices and quantities are Decimals that travel as plain decimal strings; returns and weights are floats
rounded to 12 decimals. So equal figures give equal bytes.
"""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel as _BaseModel
from pydantic import BeforeValidator, ConfigDict, PlainSerializer, StringConstraints, WithJsonSchema

from analytics.numbers import RATIO_PLACES, money, plain, rounded

_PATTERN = r"^-?[0-9]+(\.[0-9]+)?$"


def _decimal(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = Decimal(value)
        except ArithmeticError:
            raise ValueError("expected a decimal string such as 12.50") from None
    if isinstance(value, float | bool):
        raise ValueError("expected a decimal string such as 12.50, got a binary number")
    if isinstance(value, int):
        value = Decimal(value)
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError("expected a finite decimal")
    return value


_SCHEMA = WithJsonSchema({"type": "string", "format": "decimal", "pattern": _PATTERN})

Exact = Annotated[Decimal, BeforeValidator(_decimal), PlainSerializer(plain, return_type=str), _SCHEMA]
"""A quantity, price or rate: every digit is kept."""

Money = Annotated[Decimal, BeforeValidator(_decimal), PlainSerializer(money, return_type=str), _SCHEMA]
"""An amount of a currency, written with at most 6 decimals."""

MoneyText = Annotated[str, StringConstraints(pattern=_PATTERN), _SCHEMA]
"""An amount in a long series: looks like `Money` on the wire and stays text, because nobody adds it up."""

Ratio = Annotated[float, PlainSerializer(lambda value: rounded(value, RATIO_PLACES), return_type=float)]
"""A return, weight or score: a float, rounded to 12 decimals on output."""


class Part(_BaseModel):
    """Base of argument and answer models: frozen; unknown fields are ignored; no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False, populate_by_name=True)
