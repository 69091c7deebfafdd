"""An `ExecutionResult` in the terminal: what a portfolio manager reads first, then where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.figures import amount, counted, day, decimal, duration, percent, price, quantity, score, sign
from cli.hinted import hinted
from cli.hints import NO_HINTS, Hints, inputs_of, why_not, without_columns
from cli.report.panels import is_attribution, is_performance, is_ratings, total_gain
from topics.messages import ExecutionResult

_HOLDINGS_SHOWN = 10
_COLOURS = {"up": "green", "down": "red", "flat": "default"}
_PERIODS = (
    ("MTD", "mtd"),
    ("QTD", "qtd"),
    ("YTD", "ytd"),
    ("1Y", "one_year"),
    ("ITD", "inception"),
    ("annualised", "annualised"),
)
_EFFECTS = (
    ("Local", "local_return"),
    ("Currency", "fx_return"),
    ("Interaction", "interaction"),
    ("Trading", "trading"),
    ("Total", "total"),
)
_SCORES = (
    ("overall", "overall", "overall"),
    ("dividend safety", "avg_dividend_safety", "dividend_safety"),
    ("moat", "avg_moat_strength", "moat"),
    ("resilience", "avg_resilience", "resilience"),
)


def print_summary(
    console: Console,
    result: ExecutionResult,
    holdings: Sequence[Mapping[str, Any]] = (),
    portfolio_name: str | None = None,
    hints: Hints = NO_HINTS,
) -> None:
    """Print a result of any status and any pattern; outputs without a panel in its hints are shown by their shape."""
    console.print(_title(result, portfolio_name))
    if result.error is not None:
        console.print(Text.assemble((f"{result.error.code}: ", "bold red"), result.error.message))
    for part in _hinted(result, hints, console.width) if hints.panels else _parts(result, holdings):
        console.print(part)
    for warning in _warnings(result):
        console.print(Text.assemble(("note: ", "yellow"), warning))
    console.print(_pins(result))


def _title(result: ExecutionResult, portfolio_name: str | None) -> RenderableType:
    trace = result.trace
    name = portfolio_name or trace.portfolio_id or result.pattern_id
    facts = [f"as of {day(trace.asof)}"] if trace.asof else []
    facts += [f"asked for {day(trace.asof_requested)}"] if trace.asof_requested not in (None, trace.asof) else []
    facts += [f"in {trace.base_ccy}"] if trace.base_ccy else []
    colour = "green" if result.status == "succeeded" else "red"
    return Group(
        Text(),
        Text.assemble((name, "bold"), f"  {', '.join(facts)}  ", (result.status.replace("_", " "), colour)),
    )


def _hinted(result: ExecutionResult, hints: Hints, width: int) -> Iterator[RenderableType]:
    yield from hinted(result, hints, width)
    for output, value in result.data.items():
        if output not in hints.outputs and output != "charts":
            yield _plain(result, output, without_columns(value))


def _parts(result: ExecutionResult, holdings: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    for output, value in result.data.items():
        if is_performance(value):
            yield _performance(value)
            if holdings:
                yield _holdings(holdings, result.trace.base_ccy or "")
        elif is_attribution(value):
            yield from _attribution(value)
        elif is_ratings(value):
            yield _ratings(value)
        elif output != "charts":
            yield _plain(result, output, value)


def _performance(metrics: Mapping[str, Any]) -> RenderableType:
    fall = metrics.get("drawdown") or {}
    gain = decimal(metrics.get("unrealized_pl"))
    grid = Table.grid(padding=(0, 3))
    for _ in range(2):
        grid.add_column(style="dim")
        grid.add_column(justify="right")
    grid.add_row(
        "Value", Text(amount(metrics.get("total_value")), "bold"), "Net deposits", amount(metrics.get("net_flows"))
    )
    # All that was ever gained; neither has a share of the cost: that holds cash, which gains nothing.
    everything = total_gain(metrics)
    grid.add_row(
        "Cost", amount(metrics.get("total_cost")), "Total gain", _toned(everything, amount(everything, plus=True))
    )
    none = "" if fall.get("depth") is None else "none yet"
    since = f"{fall.get('peak')} → {fall.get('trough')}" if fall.get("trough") else none
    grid.add_row(
        "Unrealised P/L",
        _toned(gain, amount(gain, plus=True)),
        "Drawdown",
        _toned(fall.get("depth"), percent(fall.get("depth"))),
    )
    grid.add_row("", "", "", Text(since, "dim"))
    returns = Table.grid(padding=(0, 3))
    returns.add_row(Text("Return (TWR)", "dim"), *(Text(name, "dim") for name, _ in _PERIODS))
    returns.add_row("", *(_toned(metrics.get(key), percent(metrics.get(key), plus=True)) for _, key in _PERIODS))
    return Panel(Group(grid, Text(), returns), box=box.ROUNDED, border_style="dim", expand=False, padding=(0, 2))


def _holdings(rows: Sequence[Mapping[str, Any]], base: str) -> RenderableType:
    table = _table("Largest holdings", "Holding", f"Value {base}", "Weight", "Quantity", "Price", "P/L", "Gain")
    for item in rows[:_HOLDINGS_SHOWN]:
        kind = str(item.get("kind") or "security")
        symbol = str(item.get("symbol"))
        label = symbol if kind == "security" else f"{kind} {symbol}"
        close = f"{price(item.get('price'))} {item.get('price_currency') or ''}" if item.get("price") else ""
        security = kind == "security"
        table.add_row(
            escape(label)
            + ("" if item.get("status") in ("ok", None) else f" [yellow]{escape(str(item['status']))}[/]"),
            amount(item.get("value_base")),
            percent(item.get("weight")),
            quantity(item.get("qty_open")) if security else amount(item.get("qty_open")),
            escape(close),
            _toned(item.get("unrealized_pl"), amount(item.get("unrealized_pl"), plus=True)) if security else "",
            _toned(item.get("gain"), percent(item.get("gain"), plus=True)) if security else "",
        )
    if len(rows) > _HOLDINGS_SHOWN:
        table.add_row(f"[dim]and {len(rows) - _HOLDINGS_SHOWN} more[/]")
    return table


def _attribution(value: Mapping[str, Any]) -> Iterator[RenderableType]:
    if value.get("total") is None:
        yield Text(f"Currency attribution: {value.get('reason') or 'not available'}", "dim")
        return
    table = _table("Where the return came from", "Currency", "Weight", *(name for name, _ in _EFFECTS))
    for item in value.get("by_currency") or ():
        effects = (_toned(item.get(key), percent(item.get(key), plus=True)) for _, key in _EFFECTS)
        table.add_row(escape(str(item.get("name"))), percent(item.get("weight")), *effects)
    totals = (_toned(value.get(key), percent(value.get(key), plus=True)) for _, key in _EFFECTS)
    table.add_section()
    table.add_row("[bold]Total[/]", "", *totals)
    yield table
    residual = decimal(value.get("residual_bp"))
    if residual is not None:
        yield Text(f"residual against the independently computed return: {abs(residual):.6f} bp", "dim")


def _ratings(value: Mapping[str, Any]) -> RenderableType:
    coverage = value.get("coverage")
    cells = []
    for name, key, part in _SCORES:
        found = value.get(key)
        covered = coverage.get(part) if isinstance(coverage, Mapping) else coverage
        shown = f"{score(found)}/10" if found is not None else "n/a"
        cells.append(Text.assemble((f"{name} ", "dim"), (shown, "bold"), (f"  covers {percent(covered, 0)}", "dim")))
    return Group(Text("Quality ratings", "bold"), Columns(cells, padding=(0, 4)))


def _plain(result: ExecutionResult, output: str, value: Any) -> RenderableType:
    import json

    if value is None:
        return Group(Text(output, "bold"), Text(why_not(result, output), "dim"), Text())
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return Group(Text(output, "bold"), Text(text if len(text) < 4000 else f"{text[:4000]}\n… (use --json for all)"))


def _warnings(result: ExecutionResult) -> Sequence[str]:
    steps = (warning for step in result.trace.steps for warning in step.warnings)
    return tuple(dict.fromkeys((*result.trace.warnings, *steps)))


def _pins(result: ExecutionResult) -> RenderableType:
    trace = result.trace
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    stale = any(panel.stale for panel in trace.per_panel_staleness)
    if trace.pricing_pack_id:
        grid.add_row("pack", f"{trace.pricing_pack_id} {'[yellow]stale[/]' if stale else '[green]fresh[/]'}")
    asked = inputs_of(result)
    if asked:
        grid.add_row("inputs", escape(", ".join(f"{name} {value}" for name, value in asked.items())))
    if trace.ledger_commit_hash:
        grid.add_row("ledger", trace.ledger_commit_hash)
    version = f" version {trace.pattern_version}" if trace.pattern_version else ""
    digest = f" [dim]{trace.pattern_digest[:16]}[/]" if trace.pattern_digest else ""
    grid.add_row("pattern", f"{escape(trace.pattern_id)}{version}{digest}")
    grid.add_row("digest", result.digest)
    hits = sum(step.cache == "hit" for step in trace.steps)
    begun = sum(step.started_at_ms is not None for step in trace.steps)
    steps = counted(len(trace.steps), "step")
    steps = steps if begun == len(trace.steps) else f"{begun} of {steps}"
    grid.add_row(
        "run",
        f"{result.execution_id}, {steps}, {hits} from cache, {duration(result.started_at_ms, result.finished_at_ms)}",
    )
    return Group(Text(), grid)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        table.add_column(name, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def _toned(value: Any, shown: str) -> Text:
    return Text(shown, _COLOURS[sign(value)])
