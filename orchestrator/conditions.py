"""Conditions: a small expression language, checked when the pattern is loaded, of bounded cost.

    or         := and (("||" | "or") and)*
    and        := not (("&&" | "and") not)*
    not        := "not" not | comparison
    comparison := sum [("==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in") sum]
    sum        := product (("+" | "-") product)*
    product    := unary (("*" | "/" | "%") unary)*
    unary      := ("-" | "!") unary | primary
    primary    := number | string | true | false | null | "[" list "]" | "(" or ")" | "has(" path ")" | path

There are no calls but `has`, no loops and no attributes: a path is looked up in JSON values, so `__class__` is merely
a key that does not exist. Numbers are compared and computed as Decimals (28 digits); fields that a schema declares as
decimals, which travel as strings, count as numbers. Values without a declared type can be tested for equality but not
ordered: "10" < "9" would be true. A missing path, a wrong type or a non-boolean result is an error, never false.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal, DecimalException, DivisionByZero, InvalidOperation, Overflow
from typing import Any, NoReturn

from orchestrator.references import Absent, Reference, Resolve, Scope, Stored, parse_path
from orchestrator.schemas import Kinds, NoSuchPath
from orchestrator.templates import explain_missing
from topics.canonical import NotCanonical, canonical_bytes
from topics.errors import Fault
from topics.paths import Missing

CHARS_MAX = 1000
TOKENS_MAX = 200
DEPTH_MAX = 24
_DECIMAL_CHARS_MAX = 64
_ARITHMETIC = Context(prec=28, Emax=9999, Emin=-9999, traps=[DivisionByZero, InvalidOperation, Overflow])

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[0-9]{1,30}(?:\.[0-9]{1,30})?)(?![A-Za-z0-9_.])
    | (?P<string>"[^"\\\n]*"|'[^'\\\n]*')
    | (?P<path>(?:state|inputs|ctx)(?:\.[A-Za-z0-9_$]+|\[[0-9]{1,9}\])+)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)
    | (?P<symbol>\|\||&&|==|!=|<=|>=|[<>!()\[\],+\-*/%])
    )""",
    re.VERBOSE,
)
_WORDS = {"and": "&&", "or": "||", "not": "not", "in": "in", "true": "true", "false": "false", "null": "null"}
_CONSTANTS = {"true": (True, "boolean"), "false": (False, "boolean"), "null": (None, "null")}
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=", "in", "not in")

Evaluate = Callable[[Scope], Any]


class ConditionFailed(ValueError):
    """A condition cannot be answered: a missing path, a wrong type, a division by zero."""


class _Faulty(Exception):
    """A syntax or type error found while compiling; becomes one Fault."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition.

    Attributes:
        text: as written.
        references: everything it reads, `has` arguments included.
        tested: those that stand inside `has(…)`.
    """

    text: str
    references: tuple[Reference, ...]
    tested: tuple[Reference, ...]
    evaluate_raw: Evaluate

    def holds(self, scope: Scope) -> bool:
        """Return the answer.

        Raises:
            ConditionFailed: it has none; the text names the place and what was found.
        """
        value = self.evaluate_raw(scope)
        if value is True or value is False:
            return value
        raise ConditionFailed(f"expected true or false from {self.text!r}, got {_shown(value)}")


def compile_condition(
    text: str,
    resolve: Resolve,
    kinds_of: Callable[[Reference], Kinds | NoSuchPath | None],
    place: str,
    where: str,
    faults: list[Fault],
) -> Condition | None:
    """Compile a condition; None after recording a fault.

    Args:
        text: the expression.
        resolve: resolves references and records faults of its own.
        kinds_of: what the schemas say about a resolved reference.
        place: JSON pointer of the condition.
        where: name of the pattern file.
        faults: receives every fault.
    """
    before = len(faults)
    try:
        parser = _Parser(text, resolve, kinds_of, place)
        node = parser.whole()
    except _Faulty as fault:
        if len(faults) == before:
            faults.append(Fault(where, place, f"{fault} (in the condition {text[:120]!r})"))
        return None
    if len(faults) > before:
        return None
    return Condition(text, tuple(parser.references), tuple(parser.tested), node.evaluate)


@dataclass(frozen=True, slots=True)
class _Node:
    evaluate: Evaluate
    kinds: Kinds | None
    text: str


class _Parser:
    def __init__(
        self,
        text: str,
        resolve: Resolve,
        kinds_of: Callable[[Reference], Kinds | NoSuchPath | None],
        place: str,
    ) -> None:
        self._tokens = _tokenise(text)
        self._at = 0
        self._depth = 0
        self._resolve = resolve
        self._kinds_of = kinds_of
        self._place = place
        self.references: list[Reference] = []
        self.tested: list[Reference] = []

    def whole(self) -> _Node:
        node = self._or()
        if self._at < len(self._tokens):
            raise _Faulty(f"expected the end or an operator, got {self._tokens[self._at][1]!r}")
        return _boolean(node, "a condition")

    def _peek(self) -> str:
        if self._at >= len(self._tokens):
            return ""
        kind, text = self._tokens[self._at]
        return text if kind in ("symbol", "word") else ""

    def _take(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise _Faulty("expected a value, got the end")
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _expect(self, symbol: str) -> None:
        if self._peek() != symbol:
            got = self._tokens[self._at][1] if self._at < len(self._tokens) else "the end"
            raise _Faulty(f"expected {symbol!r}, got {got!r}")
        self._at += 1

    def _nested(self) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise _Faulty(f"expected at most {DEPTH_MAX} levels of nesting")

    def _or(self) -> _Node:
        self._nested()
        left = self._and()
        while self._peek() == "||":
            self._at += 1
            left = _logical(left, self._and(), "||")
        self._depth -= 1
        return left

    def _and(self) -> _Node:
        left = self._not()
        while self._peek() == "&&":
            self._at += 1
            left = _logical(left, self._not(), "&&")
        return left

    def _not(self) -> _Node:
        if self._peek() == "not":
            self._at += 1
            self._nested()
            node = _negation(self._not())
            self._depth -= 1
            return node
        return self._comparison()

    def _comparison(self) -> _Node:
        left = self._sum()
        operator = self._comparison_operator()
        if not operator:
            return left
        right = self._sum()
        if self._comparison_operator():
            raise _Faulty("expected one comparison; join several with &&")
        return _compared(left, right, operator)

    def _comparison_operator(self) -> str:
        operator = self._peek()
        if operator == "not" and self._tokens[self._at + 1 : self._at + 2] == [("word", "in")]:
            self._at += 2
            return "not in"
        if operator in _COMPARISONS:
            self._at += 1
            return operator
        return ""

    def _sum(self) -> _Node:
        left = self._product()
        while (operator := self._peek()) in ("+", "-") and operator:
            self._at += 1
            left = _computed(left, self._product(), operator)
        return left

    def _product(self) -> _Node:
        left = self._unary()
        while (operator := self._peek()) in ("*", "/", "%") and operator:
            self._at += 1
            left = _computed(left, self._unary(), operator)
        return left

    def _unary(self) -> _Node:
        operator = self._peek()
        if operator not in ("-", "!") or not operator:
            return self._primary()
        self._at += 1
        self._nested()
        inner = self._unary()
        self._depth -= 1
        return _negation(inner) if operator == "!" else _negative(inner)

    def _primary(self) -> _Node:
        kind, text = self._take()
        if kind == "number":
            return _constant(Decimal(text), "number", text)
        if kind == "string":
            return _constant(text[1:-1], "string", text)
        if kind == "path":
            return self._path(text)
        if text in _CONSTANTS:
            value, value_kind = _CONSTANTS[text]
            return _constant(value, value_kind, text)
        if text == "(":
            node = self._or()
            self._expect(")")
            return node
        if text == "[":
            return self._list()
        if text == "has":
            return self._has()
        if kind == "word":
            raise _Faulty(f"unknown name {text!r}; paths begin with state., inputs. or ctx.; the only function is has")
        raise _Faulty(f"expected a value, got {text!r}")

    def _list(self) -> _Node:
        items: list[_Node] = []
        while self._peek() != "]":
            if items:
                self._expect(",")
            self._nested()
            items.append(self._sum())
            self._depth -= 1
        self._at += 1
        evaluators = tuple(item.evaluate for item in items)
        return _Node(lambda scope: [evaluate(scope) for evaluate in evaluators], frozenset({"array"}), "a list")

    def _has(self) -> _Node:
        self._expect("(")
        kind, text = self._take()
        if kind != "path":
            raise _Faulty(f"expected has(state.…), has(inputs.…) or has(ctx.…), got {text!r}")
        self._expect(")")
        reference = self._reference(text)
        self.tested.append(reference)
        return _Node(lambda scope: _exists(scope, reference), frozenset({"boolean"}), f"has({text})")

    def _path(self, text: str) -> _Node:
        reference = self._reference(text)
        kinds = self._kinds_of(reference)
        if isinstance(kinds, NoSuchPath):
            kinds = None
        return _Node(_reader(reference, kinds), kinds, text)

    def _reference(self, text: str) -> Reference:
        written = parse_path(text)
        if written is None:
            raise _Faulty(f"expected a path, got {text[:60]!r}")
        reference = self._resolve(written, self._place)
        if reference is None:
            raise _Faulty(f"unknown path {text!r}")
        self.references.append(reference)
        return reference


def _tokenise(text: str) -> list[tuple[str, str]]:
    if len(text) > CHARS_MAX:
        raise _Faulty(f"expected at most {CHARS_MAX} characters, got {len(text)}")
    tokens: list[tuple[str, str]] = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise _Faulty(f"unexpected {text[at:].strip()[:20]!r} at character {at + 1}")
        at = match.end()
        kind = str(match.lastgroup)
        word = match[kind]
        if kind == "word" and word in _WORDS:
            word = _WORDS[word]
            kind = "symbol" if word in ("&&", "||") else "word"
        tokens.append((kind, word))
        if len(tokens) > TOKENS_MAX:
            raise _Faulty(f"expected at most {TOKENS_MAX} words and symbols")
    if not tokens:
        raise _Faulty("expected an expression, got nothing")
    return tokens


def _constant(value: Any, kind: str, text: str) -> _Node:
    return _Node(lambda scope: value, frozenset({kind}), text)


def _boolean(node: _Node, role: str) -> _Node:
    if node.kinds is not None and "boolean" not in node.kinds:
        raise _Faulty(f"expected true or false as {role}, {node.text} is {_named(node.kinds)}")
    return node


def _logical(left: _Node, right: _Node, operator: str) -> _Node:
    first = _boolean(left, f"operand of {operator}").evaluate
    second = _boolean(right, f"operand of {operator}").evaluate
    stops_at = operator == "||"

    def evaluate(scope: Scope) -> bool:
        if _truth(first(scope), operator) is stops_at:
            return stops_at
        return _truth(second(scope), operator)

    return _Node(evaluate, frozenset({"boolean"}), f"an expression with {operator}")


def _negation(node: _Node) -> _Node:
    inner = _boolean(node, "operand of not").evaluate
    return _Node(lambda scope: not _truth(inner(scope), "not"), frozenset({"boolean"}), "a negation")


def _negative(node: _Node) -> _Node:
    inner = _number_of(node, "-")
    return _Node(lambda scope: _ARITHMETIC.minus(inner(scope)), frozenset({"number"}), "a number")


def _number_of(node: _Node, operator: str) -> Evaluate:
    if node.kinds is None:
        raise _Faulty(f"{node.text} has no declared type, so {operator} cannot be used on it")
    if not node.kinds & {"number", "decimal"}:
        raise _Faulty(f"expected numbers around {operator}, {node.text} is {_named(node.kinds)}")
    evaluate = node.evaluate

    def number(scope: Scope) -> Decimal:
        value = evaluate(scope)
        if not isinstance(value, Decimal):
            raise ConditionFailed(f"expected a number for {operator}, got {_shown(value)}")
        return value

    return number


def _computed(left: _Node, right: _Node, operator: str) -> _Node:
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

    return _Node(evaluate, frozenset({"number"}), "a number")


def _compared(left: _Node, right: _Node, operator: str) -> _Node:
    first, second = left.evaluate, right.evaluate
    if operator in ("==", "!="):
        wanted = operator == "=="
        _comparable(left, right)
        run: Evaluate = lambda scope: _equal(first(scope), second(scope)) is wanted  # noqa: E731
    elif operator in ("in", "not in"):
        wanted = operator == "in"
        if right.kinds is not None and not right.kinds & {"array", "object", "string"}:
            raise _Faulty(f"expected a list, an object or a text after in, {right.text} is {_named(right.kinds)}")
        run = lambda scope: _contained(first(scope), second(scope)) is wanted  # noqa: E731
    else:
        _orderable(left, right, operator)
        run = lambda scope: _ordered(first(scope), second(scope), operator)  # noqa: E731
    return _Node(run, frozenset({"boolean"}), "a comparison")


def _comparable(left: _Node, right: _Node) -> None:
    if left.kinds is None or right.kinds is None:
        return
    if not _families(left.kinds) & _families(right.kinds) and not {"null"} & (left.kinds | right.kinds):
        message = f"can never be equal: {left.text} is {_named(left.kinds)}, {right.text} is {_named(right.kinds)}"
        raise _Faulty(message)


def _orderable(left: _Node, right: _Node, operator: str) -> None:
    for node in (left, right):
        if node.kinds is None:
            raise _Faulty(f"{node.text} has no declared type, so it cannot be ordered with {operator}")
        if not node.kinds & {"number", "decimal", "string"}:
            raise _Faulty(f"expected numbers or texts around {operator}, {node.text} is {_named(node.kinds)}")
    families = _families(left.kinds or frozenset()) & _families(right.kinds or frozenset())
    if not families & {"number", "string"}:
        message = (
            f"cannot order {left.text} ({_named(left.kinds or frozenset())}) "
            f"and {right.text} ({_named(right.kinds or frozenset())})"
        )
        raise _Faulty(message)


def _families(kinds: Kinds) -> frozenset[str]:
    return frozenset("number" if kind == "decimal" else kind for kind in kinds)


def _named(kinds: Kinds) -> str:
    return " or ".join(sorted(kinds)) or "nothing"


def _reader(reference: Reference, kinds: Kinds | None) -> Evaluate:
    """Return a function that reads a value: numbers, and strings declared as decimals, as Decimal."""
    decimal = kinds is not None and "decimal" in kinds and "string" not in kinds

    def read(scope: Scope) -> Any:
        value = scope.read(reference)
        kind = type(value)
        if kind is Missing or kind is Absent:
            raise ConditionFailed(f"{reference.text} {explain_missing(value)}")
        if kind is Stored:
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


def _exists(scope: Scope, reference: Reference) -> bool:
    value = scope.read(reference)
    return value is not None and type(value) is not Missing and type(value) is not Absent


def _truth(value: Any, operator: str) -> bool:
    if value is True or value is False:
        return value
    raise ConditionFailed(f"expected true or false for {operator}, got {_shown(value)}")


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
    raise ConditionFailed(f"cannot look for {_shown(item)} in {_shown(container)}")


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
    raise ConditionFailed(f"cannot order {_shown(left)} and {_shown(right)}")


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, str):
        return repr(value[:60])
    return f"a list of {len(value)}" if isinstance(value, list) else f"an object with {len(value)} keys"
