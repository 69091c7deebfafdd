"""Panels that a pattern's own `presentation` asks for: figures and tables of any output.

Each figure says on hover what it is: its formula (from the output schema of the capability that made it), the
capability, the pack and the ledger commit it rests on, and its sources. A null shows why it is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cli.figures import NOT_AVAILABLE, amount, decimal, percent, quantity, score
from cli.report.badges import freshness_badge
from cli.report.labels import position_label
from cli.report.markup import Child, Html, tag
from cli.report.panels import panel, tile_figure
from cli.report.tables import row, table
from topics.messages import ExecutionResult

if TYPE_CHECKING:
    from orchestrator.catalogue import Catalogue
    from orchestrator.pattern import CompiledPattern

_ROWS_MAX = 500
_WORDS_LINE_MAX = 10
_WORD_WHOLE_MAX = 15
_TEXT_FORMATS = ("text", "date")
_TONED = ("percent", "money")
_MARKET = ("prices:", "rates:")


@dataclass(frozen=True, slots=True)
class Hints:
    """What a page needs to know of a pattern.

    Attributes:
        panels: of the pattern's `presentation`.
        capability: output → name of the capability that made it.
        schemas: output → that capability's output schema.
        portfolio: whether it concerns a portfolio, whatever the request named.
    """

    panels: Sequence[Mapping[str, Any]] = ()
    capability: Mapping[str, str] = field(default_factory=dict)
    schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    portfolio: bool = True

    @property
    def outputs(self) -> set[str]:
        """Outputs that have a panel."""
        return {str(each.get("output")) for each in self.panels}


NO_HINTS = Hints()


def hints_of(pattern: CompiledPattern, catalogue: Catalogue) -> Hints:
    """Return a pattern's hints with the schemas of its outputs."""
    presentation = pattern.document.get("presentation")
    panels = presentation.get("panels") if isinstance(presentation, Mapping) else None
    made: dict[str, str] = {}
    schemas: dict[str, Mapping[str, Any]] = {}
    # Holdings are shown too where a step values them, though it is no output.
    shown = {step.as_: step.id for step in pattern.steps} | dict(pattern.outputs)
    for output, step_id in shown.items():
        name = pattern.step_by_id[step_id].capability
        made[output] = name
        spec = catalogue.find(name)
        if spec is not None:
            schemas[output] = spec.output_schema
    kept = [each for each in panels if isinstance(each, Mapping)] if isinstance(panels, list) else []
    asked = "portfolio_id" in pattern.inputs_schema.get("properties", {})
    return Hints(kept, made, schemas, asked or any("portfolio" in step.needs for step in pattern.steps))


def presented(result: ExecutionResult, hints: Hints) -> list[Child]:
    """Return the panels of a pattern in its order; a panel whose output is not in the result is left out."""
    found: list[Child] = []
    for each in hints.panels:
        output = str(each.get("output"))
        if output not in result.data or each.get("kind") == "none":
            continue
        value = result.data[output]
        title = str(each.get("title") or output.replace("_", " ").capitalize())
        badge = freshness_badge(result, output, short=each.get("kind") == "figures")
        if not isinstance(value, Mapping):
            found.append(panel(title, tag("p", _why(result, output), class_="muted"), badge=badge))
        elif each.get("kind") == "table":
            found.append(_table(result, hints, each, output, value, title, badge))
        else:
            found.append(_figures(result, hints, each, output, value, title, badge))
    return found


def _figures(
    result: ExecutionResult,
    hints: Hints,
    each: Mapping[str, Any],
    output: str,
    value: Mapping[str, Any],
    title: str,
    badge: Html | None,
) -> Html:
    cards: list[Child] = []
    for item in _fields(each.get("fields")):
        path, form = str(item.get("path")), str(item.get("format") or "text")
        found = _at(value, path)
        shown = _shown(found, form)
        why = _reason(value, path, str(item.get("reason") or "")) if found is None else ""
        unit = "" if found is None or "unit" not in item else str(_at(value, str(item["unit"])) or "")
        tone = _tone(found, shown, form, item)
        # Words wrap, figures shrink.
        words = form in _TEXT_FORMATS and len(shown) > _WORDS_LINE_MAX
        cards.append(
            tag(
                "div",
                tag("div", tag("span", str(item.get("label") or path)), class_="label"),
                tag("div", shown, class_="figure long") if words else tile_figure(shown, unit, tone=tone),
                tag("div", why, class_="note") if why else None,
                class_="card",
                title=hover_of(result, hints, output, path, found),
            )
        )
    note = str(value.get("method") or "")
    return panel(
        title, tag("div", cards, class_="cards plain"), tag("p", note, class_="footnote") if note else None, badge=badge
    )


def _table(
    result: ExecutionResult,
    hints: Hints,
    each: Mapping[str, Any],
    output: str,
    value: Mapping[str, Any],
    title: str,
    badge: Html | None,
) -> Html:
    rows_at = str(each.get("rows") or "rows")
    rows = [item for item in _list(_at(value, rows_at)) if isinstance(item, Mapping)]
    columns = _fields(each.get("columns"))
    if not rows:
        return panel(title, tag("p", _reason(value, rows_at) or "None.", class_="muted"), badge=badge)
    hovers = [hover_of(result, hints, output, f"{rows_at}.0.{column.get('path')}", None) for column in columns]
    body = [
        row(*(_cell(item, column, hover) for column, hover in zip(columns, hovers, strict=True)))
        for item in rows[:_ROWS_MAX]
    ]
    texts = frozenset(at for at, column in enumerate(columns) if column.get("format") in _TEXT_FORMATS)
    names = [str(column.get("label") or column.get("path")) for column in columns]
    more = len(rows) - _ROWS_MAX
    note = f"and {more} more rows" if more > 0 else ""
    return panel(
        title,
        table(names, body, text_columns=texts),
        tag("p", note, class_="footnote") if note else None,
        badge=badge,
        long=len(rows) > 12,
    )


def _cell(item: Mapping[str, Any], column: Mapping[str, Any], hover: str) -> Html:
    value, form = _at(item, str(column.get("path"))), _form(item, column)
    shown = _worded(value, column) or _shown(value, form)
    if value is None and item.get("reason") and form not in _TEXT_FORMATS:
        hover = f"{item['reason']}\n{hover}"
    if form in _TEXT_FORMATS:
        long = max(map(len, shown.split()), default=0) > _WORD_WHOLE_MAX
        kind = "text day" if form == "date" else "text wrap" if len(shown) > 40 else "text long" if long else "text"
        return tag("td", shown, class_=kind, title=hover)
    tone = _tone(value, shown, form, column) or None
    if value is not None and form != "percent" and "unit" in column:
        shown = f"{shown} {_at(item, str(column['unit'])) or ''}".rstrip()
    return tag("td", shown, class_="muted" if shown == NOT_AVAILABLE else tone, title=hover)


def _tone(value: Any, shown: str, form: str, hint: Mapping[str, Any]) -> str:
    """Return how a figure stands out: only losses do, a volatility above zero is no gain.

    What rounds to zero is none, nor what is below the `tolerance` that the pattern states.
    """
    number = decimal(value)
    if number is None or number >= 0 or form not in _TONED or not any(digit in shown for digit in "123456789"):
        return ""
    tolerance = decimal(hint.get("tolerance"))
    return "" if tolerance is not None and abs(number) < tolerance else "down"


def _form(item: Mapping[str, Any], column: Mapping[str, Any]) -> str:
    """Return the format of a cell; `formats` chooses it by another field of the row, which `by` names."""
    formats = column.get("formats")
    chosen = formats.get(str(_at(item, str(formats.get("by"))))) if isinstance(formats, Mapping) else None
    return str(chosen or column.get("format") or "text")


def _worded(value: Any, column: Mapping[str, Any]) -> str:
    """Return what people read for a value, where the pattern says so."""
    words = column.get("words")
    return str(words.get(value) or "") if isinstance(words, Mapping) and isinstance(value, str) else ""


def _shown(value: Any, form: str) -> str:
    if value is None:
        return NOT_AVAILABLE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | Mapping):
        return (
            ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, Mapping) else str(len(value))
        )
    number = decimal(value)
    if form == "percent":
        return percent(value)
    if form == "money":
        return amount(value)
    if form == "score":
        return score(value)
    if form == "bp":
        return NOT_AVAILABLE if number is None else f"{abs(number):.6f} bp"
    if form == "number":
        return quantity(round(number, 4)) if number is not None else str(value)
    if form == "text" and isinstance(value, str) and len(value) < 40:
        return position_label(value).replace("_", " ")
    return str(value)


def hover_of(result: ExecutionResult, hints: Hints, output: str, path: str, value: Any) -> str:
    """Return what a figure is and what it rests on, one fact a line."""
    lines = []
    formula = _formula(hints.schemas.get(output, {}), path)
    if formula:
        lines.append(formula)
    if value is not None and not isinstance(value, list | tuple | Mapping):
        lines.append(f"exactly {value}")
    name = hints.capability.get(output)
    step = next((each for each in result.trace.steps if each.as_ == output), None)
    if name is not None:
        lines.append(f"{name} v{step.version}" if step else name)
    trace = result.trace
    pins = [f"pack {trace.pricing_pack_id[:8]} of {trace.asof}"] if trace.pricing_pack_id else []
    pins += [f"ledger {trace.ledger_commit_hash[:8]}"] if trace.ledger_commit_hash else []
    if pins:
        lines.append(", ".join(pins))
    own = step.sources if step else ()
    # What is in the pack stands in the trace where a step read it; whoever rests on the pack rests on that.
    market = trace.sources if any(each.startswith("pricing_pack:") for each in own) else ()
    sources = [each for each in own if not each.startswith(("pricing_pack:", "ledger:", *_MARKET))]
    sources += [each for each in market if each.startswith(_MARKET)]
    if sources:
        lines.append(f"sources {', '.join(sources)}")
    return "\n".join(lines)


def _formula(schema: Mapping[str, Any], path: str) -> str:
    """Return the description of a property by its path, through references, unions and lists."""
    definitions = schema.get("$defs", {})
    node: Any = schema
    described = ""
    for part in path.split("."):
        node = _resolved(node, definitions)
        if _is_index(part):
            node = node.get("items", {})
            continue
        if "additionalProperties" in node and part not in node.get("properties", {}):
            # A mapping's description is that of its values.
            node = node["additionalProperties"]
            continue
        node = node.get("properties", {}).get(part, {})
        described = str(node.get("description") or "") if isinstance(node, Mapping) else ""
    return described


def _resolved(node: Any, definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    while isinstance(node, Mapping):
        if "$ref" in node:
            node = definitions.get(str(node["$ref"]).rpartition("/")[2], {})
        elif "anyOf" in node:
            node = next((each for each in node["anyOf"] if each.get("type") != "null"), {})
        else:
            return node
    return {}


def _reason(value: Mapping[str, Any], path: str, given: str = "") -> str:
    """Return why nothing stands at a path: as the output's `reasons` say, else the nearest `reason` above it.

    Args:
        value: the output.
        path: where nothing stands.
        given: path of the reason, where the pattern names it.
    """
    reasons = value.get("reasons")
    known = reasons if isinstance(reasons, Mapping) else {}
    above = path.split(".")[:-1]
    found = [
        _at(value, given) if given else None,
        *(known.get(name) for name in (path, path.partition(".")[0], path.rpartition(".")[2])),
        *(_at(value, ".".join((*above[:depth], "reason"))) for depth in range(len(above), -1, -1)),
    ]
    return next((each for each in found if isinstance(each, str) and each), "")


def _at(value: Any, path: str) -> Any:
    """Return what stands at a dotted path; None where nothing does. `.length` counts a list, `.-1` is its last."""
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list | tuple):
            if part == "length":
                return len(value)
            value = value[int(part)] if _is_index(part) and -len(value) <= int(part) < len(value) else None
        else:
            return None
    return value


def _is_index(part: str) -> bool:
    return part.removeprefix("-").isdecimal()


def _why(result: ExecutionResult, output: str) -> str:
    step = next((each for each in result.trace.steps if each.as_ == output), None)
    return (step.skip_reason if step else None) or "not computed"


def _fields(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in _list(value) if isinstance(each, Mapping)]


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()
