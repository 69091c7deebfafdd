"""What a pattern's own `presentation` asks for, read once for the report and the terminal.

A panel shows figures or a table of one output. What stands in a cell, why a null is one, and the totals of a table are
decided here; how it looks is the reader's.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from cli.figures import NOT_AVAILABLE, amount, decimal, percent, price, quantity, score
from cli.report.labels import field_label, position_label
from topics.messages import ExecutionResult
from topics.trace import PanelStaleness, StepTrace

if TYPE_CHECKING:
    from orchestrator.catalogue import Catalogue
    from orchestrator.pattern import CompiledPattern

TEXT_FORMATS = ("text", "date")
FORMATS = (*TEXT_FORMATS, "percent", "money", "price", "ratio", "number", "score", "bp")
_TONED = ("percent", "money")
# A newest quarter may be that old.
_DAYS_MAX = 200
# That often a reason stands beside its figure.
_SAID_MAX = 2


@dataclass(frozen=True, slots=True)
class Hints:
    """What a page needs to know of a pattern.

    Attributes:
        panels: of the pattern's `presentation`.
        capability: output → name of the capability that made it.
        schemas: output → that capability's output schema.
        reads: output → those its step reads, nearest first, then what they read.
        portfolio: whether it concerns a portfolio, whatever the request named.
    """

    panels: Sequence[Mapping[str, Any]] = ()
    capability: Mapping[str, str] = field(default_factory=dict)
    schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    portfolio: bool = True
    reads: Mapping[str, Sequence[str]] = field(default_factory=dict)

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
    concerned = asked or any("portfolio" in step.needs for step in pattern.steps)
    reads = {output: _read_by(pattern, step_id) for output, step_id in shown.items()}
    return Hints(kept, made, schemas, concerned, reads)


def _read_by(pattern: CompiledPattern, step_id: str) -> list[str]:
    """Return the outputs a step reads, and those of the steps that made them; each once, nearest first."""
    found = [step_id]
    for each in found:
        found += [before for before in pattern.step_by_id[each].after if before not in found]
    return [pattern.step_by_id[each].as_ for each in found[1:]]


def form_of(item: Mapping[str, Any], column: Mapping[str, Any]) -> str:
    """Return the format of a cell; `formats` chooses it by another field of the row, which `by` names."""
    formats = column.get("formats")
    chosen = formats.get(str(value_at(item, str(formats.get("by"))))) if isinstance(formats, Mapping) else None
    return str(chosen or column.get("format") or "text")


def word_of(value: Any, column: Mapping[str, Any]) -> str:
    """Return what people read for a value, where the pattern says so."""
    words = column.get("words")
    return str(words.get(value) or "") if isinstance(words, Mapping) and isinstance(value, str) else ""


def text_of(value: Any, form: str) -> str:
    """Return a value as people read it in one of the pattern's formats; amounts by currency stand side by side."""
    if value is None:
        return NOT_AVAILABLE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {text_of(item, form)}" for key, item in value.items()) or NOT_AVAILABLE
    if isinstance(value, list | tuple):
        return str(len(value))
    number = decimal(value)
    if form == "percent":
        return percent(value)
    if form == "money":
        return amount(value)
    if form == "score":
        return score(value)
    if form == "price":
        return price(value) if number is not None else str(value)
    if form == "ratio":
        return amount(value, 3)
    if form == "bp":
        return NOT_AVAILABLE if number is None else f"{abs(number):.6f} bp"
    if form == "number":
        return quantity(round(number, 4)) if number is not None else str(value)
    if form == "text" and isinstance(value, str) and len(value) < 40:
        return position_label(value).replace("_", " ")
    return str(value)


def unit_of(item: Mapping[str, Any], hint: Mapping[str, Any], value: Any) -> str:
    """Return the unit of a figure, which stands at the path its hint names; `%` for percent, empty without any."""
    unit = "" if value is None or "unit" not in hint else str(value_at(item, str(hint["unit"])) or "")
    return "%" if unit == "percent" else unit


def scale_of(item: Mapping[str, Any], hint: Mapping[str, Any], value: Any) -> str:
    """Return what stands behind a figure that stands alone: its unit, or what a score is out of."""
    return "/ 10" if value is not None and hint.get("format") == "score" else unit_of(item, hint, value)


def with_unit(shown: str, unit: str) -> str:
    """Return a figure with its unit behind it."""
    return f"{shown}%" if unit == "%" else f"{shown} {unit}".rstrip()


def tone_of(value: Any, shown: str, form: str, hint: Mapping[str, Any]) -> str:
    """Return how a figure stands out: only losses do, a volatility above zero is no gain.

    What rounds to zero is none, nor what is below the `tolerance` that the pattern states.
    """
    number = decimal(value)
    if number is None or number >= 0 or form not in _TONED or not any(digit in shown for digit in "123456789"):
        return ""
    tolerance = decimal(hint.get("tolerance"))
    return "" if tolerance is not None and abs(number) < tolerance else "down"


def reason_of(value: Mapping[str, Any], path: str, given: str = "") -> str:
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
        value_at(value, given) if given else None,
        *(known.get(name) for name in (path, path.partition(".")[0], path.rpartition(".")[2])),
        *(value_at(value, ".".join((*above[:depth], "reason"))) for depth in range(len(above), -1, -1)),
    ]
    return next((each for each in found if isinstance(each, str) and each), "")


def figure_at(value: Mapping[str, Any], field: Mapping[str, Any]) -> Any:
    """Return what a figure of a panel shows; None also where nothing stands at the path its `when` names."""
    if "when" in field and value_at(value, str(field["when"])) is None:
        return None
    return value_at(value, str(field.get("path")))


def value_at(value: Any, path: str) -> Any:
    """Return what stands at a dotted path; None where nothing does. `.length` counts a list, `.-1` is its last."""
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list | tuple):
            if part == "length":
                return len(value)
            value = value[int(part)] if is_index(part) and -len(value) <= int(part) < len(value) else None
        else:
            return None
    return value


def is_index(part: str) -> bool:
    """Whether a part of a path is a place in a list."""
    return part.removeprefix("-").isdecimal()


def why_none(value: Mapping[str, Any], field: Mapping[str, Any]) -> str:
    """Return why a figure of a panel is null; empty where it is not, or nobody says."""
    found = figure_at(value, field)
    return reason_of(value, str(field.get("path")), str(field.get("reason") or "")) if found is None else ""


def said_once(reasons: Sequence[str]) -> list[str]:
    """Return the reasons that many figures of a panel share: they are said once, below them."""
    return [why for why, count in Counter(filter(None, reasons)).items() if count > _SAID_MAX]


def newest_day(result: ExecutionResult, panel: Mapping[str, Any]) -> str:
    """Return the newest day of what a panel shows, at the path of the result's data in its `ends`; empty without any.

    A list on the way stands for all its items.
    """
    found: list[Any] = [result.data] if "ends" in panel else []
    for part in str(panel.get("ends")).split("."):
        found = [each.get(part) for each in found if isinstance(each, Mapping)]
        found = [item for each in found for item in (each if isinstance(each, list | tuple) else [each])]
    return max((each for each in found if isinstance(each, str)), default="")


def days_since(result: ExecutionResult, last: str) -> int | None:
    """Return how many days before the day of the answer figures ended; None when that is not long ago, or unknown.

    An answer is made on the prices of its day, but what it shows may have ended years before.
    """
    try:
        age = None if result.trace.asof is None else (result.trace.asof - date.fromisoformat(last)).days
    except ValueError:
        return None
    return age if age is not None and age > _DAYS_MAX else None


def panel_of(result: ExecutionResult, output: str) -> PanelStaleness | None:
    """Return what the trace says about one output."""
    return next((panel for panel in result.trace.per_panel_staleness if panel.output == output), None)


def why_not(result: ExecutionResult, output: str) -> str:
    """Return why an output is not there."""
    panel = panel_of(result, output)
    return (panel.reason if panel else None) or "not computed"


def without_columns(value: Any) -> Any:
    """Return an output without the long columns that charts show: those of equal length beside `dates`."""
    if not isinstance(value, Mapping) or not isinstance(value.get("dates"), list):
        return value
    length = len(value["dates"])
    return {name: item for name, item in value.items() if not (isinstance(item, list) and len(item) == length)}


def step_of(result: ExecutionResult, output: str) -> StepTrace | None:
    """Return the step that made an output; None when it is not in the trace."""
    return next((each for each in result.trace.steps if each.as_ == output), None)


def inputs_of(result: ExecutionResult) -> dict[str, str]:
    """Return what was asked for by its label, defaults too; not the portfolio, which has a place of its own."""
    asked = {name: value for name, value in result.trace.inputs.items() if name != "portfolio_id"}
    return {
        field_label(name): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in asked.items()
        if value not in (None, "")
    }


def totals_of(columns: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any] | None]:
    """Return the columns of a table's total row, read from the output instead of a row; empty without any.

    A column names in `total` the figure of the output that its rows sum to. Nothing is added up here: the agent's
    totals are those of unrounded values and of all rows, also of those that are not shown.
    """
    if not any("total" in column for column in columns):
        return []
    kept = ("label", "format")
    return [
        {"path": column["total"], **{name: column[name] for name in kept if name in column}}
        if "total" in column
        else None
        for column in columns
    ]


def title_of(panel: Mapping[str, Any]) -> str:
    """Return the heading of a panel."""
    return str(panel.get("title") or str(panel.get("output")).replace("_", " ").capitalize())


def fields_of(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a list; nothing for anything else."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list | tuple) else []
