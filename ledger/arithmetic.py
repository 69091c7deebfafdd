"""Numbers of a ledger: `1,234.50`, and sums written out such as `(10 + 5) * 2 / 3`."""

import re
from decimal import Decimal, DivisionByZero, InvalidOperation, Overflow

_PLAIN = re.compile(r"[-+]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d*)?$|[-+]?\.\d+$")
_TOKEN = re.compile(r"\s*(?:((?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d*)?|\.\d+)|([-+*/()]))")
_TOKENS_MAX = 64


class NotANumber(ValueError):
    """The text is no number; the message shows it."""


def number(text: str) -> Decimal:
    """Return a number or the value of an expression of + - * / and parentheses.

    Raises:
        NotANumber: the text is neither, is longer than 64 tokens, or divides by zero.
    """
    text = text.strip()
    if _PLAIN.match(text):
        return Decimal(text.replace(",", ""))
    tokens = _tokens(text)
    try:
        value, rest = _sum(tokens, 0)
    except (IndexError, InvalidOperation, DivisionByZero, Overflow):
        raise NotANumber(f"expected a number, got {text[:60]!r}") from None
    if rest != len(tokens):
        raise NotANumber(f"expected a number, got {text[:60]!r}")
    return value


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None or len(found) >= _TOKENS_MAX:
            raise NotANumber(f"expected a number, got {text[:60]!r}")
        found.append(token[1] or token[2])
        at = token.end()
    return found


def _sum(tokens: list[str], at: int) -> tuple[Decimal, int]:
    value, at = _product(tokens, at)
    while at < len(tokens) and tokens[at] in "+-":
        right, after = _product(tokens, at + 1)
        value = value + right if tokens[at] == "+" else value - right
        at = after
    return value, at


def _product(tokens: list[str], at: int) -> tuple[Decimal, int]:
    value, at = _factor(tokens, at)
    while at < len(tokens) and tokens[at] in "*/":
        right, after = _factor(tokens, at + 1)
        value = value * right if tokens[at] == "*" else value / right
        at = after
    return value, at


def _factor(tokens: list[str], at: int) -> tuple[Decimal, int]:
    token = tokens[at]
    if token == "-":
        value, after = _factor(tokens, at + 1)
        return -value, after
    if token == "+":
        return _factor(tokens, at + 1)
    if token == "(":
        value, after = _sum(tokens, at + 1)
        if tokens[after] != ")":
            raise IndexError
        return value, after + 1
    if token in "*/)":
        raise IndexError
    return Decimal(token.replace(",", "")), at + 1
