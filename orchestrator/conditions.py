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
from decimal import Decimal

from orchestrator.operators import (
    ConditionFailed,
    Evaluate,
    Faulty,
    Node,
    boolean,
    compared,
    computed,
    constant,
    exists,
    logical,
    negation,
    negative,
    reader,
    shown_value,
)
from orchestrator.references import Reference, Resolve, Scope, parse_path
from orchestrator.schemas import Kinds, NoSuchPath
from topics.errors import Fault

CHARS_MAX = 1000
TOKENS_MAX = 200
DEPTH_MAX = 24

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
        raise ConditionFailed(f"expected true or false from {self.text!r}, got {shown_value(value)}")


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
    except Faulty as fault:
        if len(faults) == before:
            faults.append(Fault(where, place, f"{fault} (in the condition {text[:120]!r})"))
        return None
    if len(faults) > before:
        return None
    return Condition(text, tuple(parser.references), tuple(parser.tested), node.evaluate)


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

    def whole(self) -> Node:
        node = self._or()
        if self._at < len(self._tokens):
            raise Faulty(f"expected the end or an operator, got {self._tokens[self._at][1]!r}")
        return boolean(node, "a condition")

    def _peek(self) -> str:
        if self._at >= len(self._tokens):
            return ""
        kind, text = self._tokens[self._at]
        return text if kind in ("symbol", "word") else ""

    def _take(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise Faulty("expected a value, got the end")
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _expect(self, symbol: str) -> None:
        if self._peek() != symbol:
            got = self._tokens[self._at][1] if self._at < len(self._tokens) else "the end"
            raise Faulty(f"expected {symbol!r}, got {got!r}")
        self._at += 1

    def _nested(self) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise Faulty(f"expected at most {DEPTH_MAX} levels of nesting")

    def _or(self) -> Node:
        self._nested()
        left = self._and()
        while self._peek() == "||":
            self._at += 1
            left = logical(left, self._and(), "||")
        self._depth -= 1
        return left

    def _and(self) -> Node:
        left = self._not()
        while self._peek() == "&&":
            self._at += 1
            left = logical(left, self._not(), "&&")
        return left

    def _not(self) -> Node:
        if self._peek() == "not":
            self._at += 1
            self._nested()
            node = negation(self._not())
            self._depth -= 1
            return node
        return self._comparison()

    def _comparison(self) -> Node:
        left = self._sum()
        operator = self._comparison_operator()
        if not operator:
            return left
        right = self._sum()
        if self._comparison_operator():
            raise Faulty("expected one comparison; join several with &&")
        return compared(left, right, operator)

    def _comparison_operator(self) -> str:
        operator = self._peek()
        if operator == "not" and self._tokens[self._at + 1 : self._at + 2] == [("word", "in")]:
            self._at += 2
            return "not in"
        if operator in _COMPARISONS:
            self._at += 1
            return operator
        return ""

    def _sum(self) -> Node:
        left = self._product()
        while (operator := self._peek()) in ("+", "-") and operator:
            self._at += 1
            left = computed(left, self._product(), operator)
        return left

    def _product(self) -> Node:
        left = self._unary()
        while (operator := self._peek()) in ("*", "/", "%") and operator:
            self._at += 1
            left = computed(left, self._unary(), operator)
        return left

    def _unary(self) -> Node:
        operator = self._peek()
        if operator not in ("-", "!") or not operator:
            return self._primary()
        self._at += 1
        self._nested()
        inner = self._unary()
        self._depth -= 1
        return negation(inner) if operator == "!" else negative(inner)

    def _primary(self) -> Node:
        kind, text = self._take()
        if kind == "number":
            return constant(Decimal(text), "number", text)
        if kind == "string":
            return constant(text[1:-1], "string", text)
        if kind == "path":
            return self._path(text)
        if text in _CONSTANTS:
            value, value_kind = _CONSTANTS[text]
            return constant(value, value_kind, text)
        if text == "(":
            node = self._or()
            self._expect(")")
            return node
        if text == "[":
            return self._list()
        if text == "has":
            return self._has()
        if kind == "word":
            raise Faulty(f"unknown name {text!r}; paths begin with state., inputs. or ctx.; the only function is has")
        raise Faulty(f"expected a value, got {text!r}")

    def _list(self) -> Node:
        items: list[Node] = []
        while self._peek() != "]":
            if items:
                self._expect(",")
            self._nested()
            items.append(self._sum())
            self._depth -= 1
        self._at += 1
        evaluators = tuple(item.evaluate for item in items)
        return Node(lambda scope: [evaluate(scope) for evaluate in evaluators], frozenset({"array"}), "a list")

    def _has(self) -> Node:
        self._expect("(")
        kind, text = self._take()
        if kind != "path":
            raise Faulty(f"expected has(state.…), has(inputs.…) or has(ctx.…), got {text!r}")
        self._expect(")")
        reference = self._reference(text)
        self.tested.append(reference)
        return Node(lambda scope: exists(scope, reference), frozenset({"boolean"}), f"has({text})")

    def _path(self, text: str) -> Node:
        reference = self._reference(text)
        kinds = self._kinds_of(reference)
        if isinstance(kinds, NoSuchPath):
            kinds = None
        return Node(reader(reference, kinds), kinds, text)

    def _reference(self, text: str) -> Reference:
        written = parse_path(text)
        if written is None:
            raise Faulty(f"expected a path, got {text[:60]!r}")
        reference = self._resolve(written, self._place)
        if reference is None:
            raise Faulty(f"unknown path {text!r}")
        self.references.append(reference)
        return reference


def _tokenise(text: str) -> list[tuple[str, str]]:
    if len(text) > CHARS_MAX:
        raise Faulty(f"expected at most {CHARS_MAX} characters, got {len(text)}")
    tokens: list[tuple[str, str]] = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise Faulty(f"unexpected {text[at:].strip()[:20]!r} at character {at + 1}")
        at = match.end()
        kind = str(match.lastgroup)
        word = match[kind]
        if kind == "word" and word in _WORDS:
            word = _WORDS[word]
            kind = "symbol" if word in ("&&", "||") else "word"
        tokens.append((kind, word))
        if len(tokens) > TOKENS_MAX:
            raise Faulty(f"expected at most {TOKENS_MAX} words and symbols")
    if not tokens:
        raise Faulty("expected an expression, got nothing")
    return tokens
