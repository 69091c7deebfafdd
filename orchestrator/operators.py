"""What the operators of conditions mean: types checked when a condition is loaded, values when it is answered."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal, DecimalException, DivisionByZero, InvalidOperation, Overflow
from typing import Any, NoReturn

from orchestrator.references import Absent, Gathered, Reference, Scope, Stored
from orchestrator.schemas import Kinds
from orchestrator.templates import explain_missing
from topics.canonical import NotCanonical, canonical_bytes
from topics.paths import Missing

_DECIMAL_CHARS_MAX = 64
_ARITHMETIC = Context(prec=28, Emax=9999, Emin=-9999, traps=[DivisionByZero, InvalidOperation, Overflow])

Evaluate = Callable[[Scope], Any]


class ConditionFailed(ValueError):
    """A condition cannot be answered: a missing path, a wrong type, a division by zero."""


class Faulty(Exception):
    """A syntax or type error found while compiling; becomes one Fault."""


@dataclass(frozen=True, slots=True)
class Node:
    """Part of a condition: how to evaluate it, what kinds of value it has (None: undeclared), how to name it."""

    evaluate: Evaluate
    kinds: Kinds | None
    text: str


def constant(value: Any, kind: str, text: str) -> Node:
    """Return a literal."""
    return Node(lambda scope: value, frozenset({kind}), text)


def boolean(node: Node, role: str) -> Node:
    """Return the node if it can be true or false; `role` names its place in error texts."""
    if node.kinds is not None and "boolean" not in node.kinds:
        raise Faulty(f"expected true or false as {role}, {node.text} is {_named(node.kinds)}")
    return node


def logical(left: Node, right: Node, operator: str) -> Node:
    """Return `left && right` or `left || right`; the right side is evaluated only if it decides."""
    first = boolean(left, f"operand of {operator}").evaluate
    second = boolean(right, f"operand of {operator}").evaluate
    stops_at = operator == "||"

    def evaluate(scope: Scope) -> bool:
        if _truth(first(scope), operator) is stops_at:
            return stops_at
        return _truth(second(scope), operator)

    return Node(evaluate, frozenset({"boolean"}), f"an expression with {operator}")


def negation(node: Node) -> Node:
    """Return `not node`."""
    inner = boolean(node, "operand of not").evaluate
    return Node(lambda scope: not _truth(inner(scope), "not"), frozenset({"boolean"}), "a negation")


def negative(node: Node) -> Node:
    """Return `-node`."""
    inner = _number_of(node, "-")
    return Node(lambda scope: _ARITHMETIC.minus(inner(scope)), frozenset({"number"}), "a number")


def _number_of(node: Node, operator: str) -> Evaluate:
    if node.kinds is None:
        raise Faulty(f"{node.text} has no declared type, so {operator} cannot be used on it")
    if not node.kinds & {"number", "decimal"}:
        raise Faulty(f"expected numbers around {operator}, {node.text} is {_named(node.kinds)}")
    evaluate = node.evaluate

    def number(scope: Scope) -> Decimal:
        value = evaluate(scope)
        if not isinstance(value, Decimal):
            raise ConditionFailed(f"expected a number for {operator}, got {shown_value(value)}")
        return value

    return number


def computed(left: Node, right: Node, operator: str) -> Node:
    """Return the arithmetic of two numbers."""
    first, second = _number_of(left, operator), _number_of(right, operator)
    operation = {
        "+": _ARITHMETIC.add,
        "-": _ARITHMETIC.subtract,
        "*": _ARITHMETIC.multiply,
        "/": _ARITHMETIC.divide,
        "%": _ARITHMETIC.remainder,
    }[operator]

    def evaluate(scope: Scope) -> Decimal:
        try:
            return operation(first(scope), second(scope))
        except DecimalException as error:
            raise ConditionFailed(f"cannot compute {operator}: {type(error).__name__}") from None

    return Node(evaluate, frozenset({"number"}), "a number")


def compared(left: Node, right: Node, operator: str) -> Node:
    """Return a comparison or membership test."""
    first, second = left.evaluate, right.evaluate
    if operator in ("==", "!="):
        wanted = operator == "=="
        _comparable(left, right)
        run: Evaluate = lambda scope: _equal(first(scope), second(scope)) is wanted  # noqa: E731
    elif operator in ("in", "not in"):
        wanted = operator == "in"
        if right.kinds is not None and not right.kinds & {"array", "object", "string"}:
            raise Faulty(f"expected a list, an object or a text after in, {right.text} is {_named(right.kinds)}")
        run = lambda scope: _contained(first(scope), second(scope)) is wanted  # noqa: E731
    else:
        _orderable(left, right, operator)
        run = lambda scope: _ordered(first(scope), second(scope), operator)  # noqa: E731
    return Node(run, frozenset({"boolean"}), "a comparison")


def _comparable(left: Node, right: Node) -> None:
    if left.kinds is None or right.kinds is None:
        return
    if not _families(left.kinds) & _families(right.kinds) and not {"null"} & (left.kinds | right.kinds):
        message = f"can never be equal: {left.text} is {_named(left.kinds)}, {right.text} is {_named(right.kinds)}"
        raise Faulty(message)


def _orderable(left: Node, right: Node, operator: str) -> None:
    for node in (left, right):
        if node.kinds is None:
            raise Faulty(f"{node.text} has no declared type, so it cannot be ordered with {operator}")
        if not node.kinds & {"number", "decimal", "string"}:
            raise Faulty(f"expected numbers or texts around {operator}, {node.text} is {_named(node.kinds)}")
    families = _families(left.kinds or frozenset()) & _families(right.kinds or frozenset())
    if not families & {"number", "string"}:
        message = (
            f"cannot order {left.text} ({_named(left.kinds or frozenset())}) "
            f"and {right.text} ({_named(right.kinds or frozenset())})"
        )
        raise Faulty(message)


def _families(kinds: Kinds) -> frozenset[str]:
    return frozenset("number" if kind == "decimal" else kind for kind in kinds)


def _named(kinds: Kinds) -> str:
    return " or ".join(sorted(kinds)) or "nothing"


def reader(reference: Reference, kinds: Kinds | None) -> Evaluate:
    """Return a function that reads a value: numbers, and strings declared as decimals, as Decimal."""
    decimal = kinds is not None and "decimal" in kinds and "string" not in kinds

    def read(scope: Scope) -> Any:
        value = scope.read(reference)
        kind = type(value)
        if kind is Missing or kind is Absent:
            raise ConditionFailed(f"{reference.text} {explain_missing(value)}")
        if kind is Stored or kind is Gathered:
            raise ConditionFailed(f"{reference.text} is too large to be compared; compare its fields or its length")
        return _decimal(value, reference) if kind is str and decimal else _plain(value)

    return read


def _plain(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return Decimal(value)
    return Decimal(repr(value)) if isinstance(value, float) else value


def _decimal(text: str, reference: Reference) -> Decimal:
    if len(text) > _DECIMAL_CHARS_MAX:
        raise ConditionFailed(f"expected a decimal number in {reference.text}, got {len(text)} characters")
    try:
        value = _ARITHMETIC.create_decimal(text)
    except DecimalException:
        raise ConditionFailed(f"expected a decimal number in {reference.text}, got {text!r}") from None
    if not value.is_finite():
        raise ConditionFailed(f"expected a finite number in {reference.text}, got {text!r}")
    return value


def exists(scope: Scope, reference: Reference) -> bool:
    """Whether a path has a value other than null."""
    value = scope.read(reference)
    return value is not None and type(value) is not Missing and type(value) is not Absent


def _truth(value: Any, operator: str) -> bool:
    if value is True or value is False:
        return value
    raise ConditionFailed(f"expected true or false for {operator}, got {shown_value(value)}")


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, (list, dict)) and isinstance(right, (list, dict)):
        try:
            return canonical_bytes(_json(left)) == canonical_bytes(_json(right))
        except NotCanonical as error:
            raise ConditionFailed(f"cannot compare: {error}") from None
    return type(left) is type(right) and left == right


def _json(value: Any) -> Any:
    """Return a list built in an expression as JSON again: its Decimals become what JSON has for them."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and abs(value) < 2**53 else float(value)
    return [_json(item) for item in value] if isinstance(value, list) else value


def _contained(item: Any, container: Any) -> bool:
    if isinstance(container, list):
        return any(_equal(item, _plain(other)) for other in container)
    if isinstance(item, str) and isinstance(container, (str, dict)):
        return item in container
    raise ConditionFailed(f"cannot look for {shown_value(item)} in {shown_value(container)}")


def _ordered(left: Any, right: Any, operator: str) -> bool:
    both = (Decimal, Decimal), (str, str)
    if (type(left), type(right)) not in both:
        _unordered(left, right)
    if operator == "<":
        return left < right
    if operator == "<=":
        return left <= right
    return left > right if operator == ">" else left >= right


def _unordered(left: Any, right: Any) -> NoReturn:
    raise ConditionFailed(f"cannot order {shown_value(left)} and {shown_value(right)}")


def shown_value(value: Any) -> str:
    """Return a value as error texts show it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, str):
        return repr(value[:60])
    return f"a list of {len(value)}" if isinstance(value, list) else f"an object with {len(value)} keys"
