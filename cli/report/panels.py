"""The panels of a portfolio report: key figures, holdings, attribution, ratings.

Each takes one output as JSON and leaves out what is not there, so that a pattern which returns only part of it, or
null with a reason, still gives a page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from cli.figures import amount, day, decimal, percent, price, quantity, score, sign
from cli.report.labels import LABELS, holding_label, is_cash, position_label
from cli.report.markup import Child, Html, tag
from cli.report.tables import figure, heading, row, sum_row, table, text, two_lines, weight_bar

_KEY_FIGURES: Mapping[str, str] = LABELS["key_figures"]
_PERIODS: Mapping[str, str] = LABELS["periods"]
_HOLDINGS: Mapping[str, Any] = LABELS["holdings"]
_ATTRIBUTION: Mapping[str, Any] = LABELS["attribution"]
_RATINGS: Mapping[str, Any] = LABELS["ratings"]
_SCORES: Sequence[tuple[str, str, str]] = _RATINGS["scores"]
VALUES_HOLDINGS = "pricing.apply_pack"
# (path, value) → what a figure is and what it rests on.
Hover = Callable[[str, Any], str]


def panel(title: str, *children: Child, subtitle: str = "", badge: Html | None = None, long: bool = False) -> Html:
    """Return a framed part of the page with a heading."""
    heading_ = tag("div", tag("h2", title), tag("p", subtitle) if subtitle else None)
    return tag("section", tag("header", heading_, badge), children, class_="panel long" if long else "panel")


def is_performance(value: Any) -> bool:
    """Whether an output looks like performance metrics."""
    return isinstance(value, Mapping) and "twr" in value and "total_value" in value


def is_attribution(value: Any) -> bool:
    """Whether an output looks like currency attribution."""
    return isinstance(value, Mapping) and {"local_return", "fx_return", "total"} <= value.keys()


def is_ratings(value: Any) -> bool:
    """Whether an output looks like rating badges."""
    return isinstance(value, Mapping) and any(key in value for _, key, _ in _SCORES[1:])


def _silent(path: str, value: Any) -> str:
    return ""


def key_figures(metrics: Mapping[str, Any], badge: Html | None = None, hover: Hover = _silent) -> Html:
    """Return value, profit, return and drawdown as cards, and the returns by period."""
    base = str(metrics.get("base_currency") or "")
    reasons = _mapping(metrics.get("reasons"))
    value, cost, gain = (metrics.get(name) for name in ("total_value", "total_cost", "unrealized_pl"))
    fall = _mapping(metrics.get("drawdown"))
    cards = [
        _card(
            _KEY_FIGURES["total_value"],
            amount(value),
            base,
            _why(reasons, "total_value") or _since(metrics),
            wide=True,
            badge=badge,
            hover=hover("total_value", value),
        ),
        _card(
            _KEY_FIGURES["total_cost"],
            amount(cost, 0),
            "",
            _why(reasons, "total_cost") or "at trade-date FX",
            hover=hover("total_cost", cost),
        ),
        _card(
            _KEY_FIGURES["unrealized_pl"],
            amount(gain, 0, plus=True),
            "",
            _gain_note(metrics, reasons),
            tone=gain,
            hover=hover("unrealized_pl", gain),
        ),
        _card(
            _KEY_FIGURES["twr"],
            percent(metrics.get("twr"), plus=True),
            "",
            _why(reasons, "twr") or "since inception",
            tone=metrics.get("twr"),
            hover=hover("twr", metrics.get("twr")),
        ),
        _card(
            _KEY_FIGURES["drawdown"],
            percent(fall.get("depth")),
            "",
            _why(reasons, "drawdown") or _fall_note(fall),
            tone=fall.get("depth"),
            hover=hover("drawdown", fall.get("depth")),
        ),
    ]
    periods = [
        tag(
            "div",
            tag("div", name, class_="label"),
            tag("div", percent(metrics.get(key), plus=True), class_=f"figure {_tone(metrics.get(key))}"),
            class_="period",
            title=_why(reasons, key) or _measured_since(metrics, key, hover(key, metrics.get(key))) or None,
        )
        for key, name in _PERIODS.items()
    ]
    return tag("div", tag("div", cards, class_="cards"), tag("div", periods, class_="periods"))


def holdings_panel(rows: Sequence[Mapping[str, Any]], base: str, badge: Html | None, hover: Hover = _silent) -> Html:
    """Return all holdings, largest first, with their share of the portfolio."""
    shares = [abs(float(item["weight"])) for item in rows if item.get("weight") is not None]
    largest = max(shares, default=0.0)
    body = [_holding(item, largest, hover) for item in rows]
    value, cost, weight = (_total(rows, name) for name in ("value_base", "cost_base", "weight"))
    gain = None if value is None or cost is None else value - cost
    share = gain / cost if gain is not None and cost else None

    def said(how: str, name: str, found: Any) -> str:
        return f"{how}\n{hover(f'0.{name}', found)}".strip()

    total = sum_row(
        heading(LABELS["total"]),
        figure(""),
        figure(""),
        figure(amount(value), None, said("sum of all rows", "value_base", value)),
        figure(percent(weight), None, said("sum of all rows", "weight", weight)),
        figure(amount(cost), None, said("sum of all rows", "cost_base", cost)),
        figure(amount(gain, plus=True), gain, said("value − cost of all rows", "unrealized_pl", gain)),
        figure("" if share is None else percent(share, plus=True), gain, said("of all rows", "gain", share)),
    )
    columns = [column.format(base=base) for column in _HOLDINGS["columns"]]
    return panel(
        _HOLDINGS["title"],
        table(columns, body, total=total),
        tag("p", _HOLDINGS["footnote"], class_="footnote"),
        subtitle=_HOLDINGS["subtitle"].format(count=len(rows)),
        badge=badge,
        long=True,
    )


def attribution_panel(attribution: Mapping[str, Any], badge: Html | None, hover: Hover = _silent) -> Html:
    """Return where the return came from, by currency and by position."""
    if attribution.get("total") is None:
        reason = str(attribution.get("reason") or "not available")
        return panel(_ATTRIBUTION["title"], tag("p", reason, class_="muted"), badge=badge)
    parts: list[Child] = []
    for key, (title, first) in _ATTRIBUTION["by"].items():
        effects = [item for item in _list(attribution.get(key)) if isinstance(item, Mapping)]
        if effects:
            by_position = key == "by_position"
            parts += [tag("h3", title), _effects(effects, attribution, hover, first, by_position=by_position)]
    residual = decimal(attribution.get("residual_bp"))
    note = str(attribution.get("method") or "")
    if residual is not None:
        note += ". " + _ATTRIBUTION["residual"].format(residual=f"{abs(residual):.6f}")
    return panel(
        _ATTRIBUTION["title"],
        parts,
        tag("p", note, class_="footnote"),
        subtitle=_ATTRIBUTION["subtitle"].format(
            start=day(attribution.get("start")),
            asof=day(attribution.get("asof")),
            base=attribution.get("base_currency") or "base currency",
        ),
        badge=badge,
        long=True,
    )


def ratings_panel(ratings: Mapping[str, Any], badge: Html | None, hover: Hover = _silent) -> Html:
    """Return the portfolio's scores with their coverage, and those of each company."""
    coverage = ratings.get("coverage")
    reasons = _mapping(ratings.get("reasons"))
    tiles = []
    for name, key, part in _SCORES:
        value = ratings.get(key)
        covered = _mapping(coverage).get(
            part, _mapping(coverage).get(key, None if isinstance(coverage, Mapping) else coverage)
        )
        why = str(reasons.get(part) or reasons.get(key) or "")
        tiles.append(_score_tile(name, value, covered, why, hover(key, value)))
    rubric = ratings.get("rubric")
    version = f"{rubric.get('id')} v{rubric.get('version')}" if isinstance(rubric, Mapping) else str(rubric or "")
    holdings = [item for item in _list(ratings.get("holdings")) if isinstance(item, Mapping)]
    return panel(
        _RATINGS["title"],
        tag("div", tiles, class_="scores"),
        _companies(holdings, hover) if holdings else None,
        [tag("p", str(each), class_="footnote") for each in _list(ratings.get("warnings"))],
        subtitle=f"{_RATINGS['subtitle']}{f', rubric {version}' if version else ''}",
        badge=badge,
    )


def tile_figure(shown: str, unit: str = "", *, tone: str = "") -> Html:
    """Return the figure of a card; it says how wide it is, so that the page can shrink it to its card."""
    wide = f"--wide:{_digits_wide(shown) + 0.8 * len(unit):.1f}"
    small = tag("span", unit, class_="unit") if unit else None
    return tag("div", shown, small, class_=f"figure {tone}".strip(), style=wide)


def _digits_wide(shown: str) -> float:
    return len(shown) - 0.5 * sum(map(shown.count, ",. ")) + 0.6 * shown.count("%")


def _card(
    label: str,
    shown: str,
    unit: str,
    note: str,
    *,
    wide: bool = False,
    tone: Any = None,
    badge: Html | None = None,
    hover: str = "",
) -> Html:
    return tag(
        "div",
        tag("div", tag("span", label), badge, class_="label"),
        tile_figure(shown, unit, tone=_tone(tone)),
        tag("div", note, class_="note"),
        class_="card wide" if wide else "card",
        title=hover or None,
    )


def _holding(item: Mapping[str, Any], largest: float, hover: Hover) -> Html:
    kind = str(item.get("kind") or "security")
    symbol = str(item.get("symbol"))
    name = str(item.get("name") or "")
    label = holding_label(kind, symbol)
    sub = name if kind == "security" and name != symbol else None
    if kind == "receivable" and item.get("pay_date"):
        sub = _HOLDINGS["pays"].format(day=item["pay_date"])
    status = str(item.get("status") or "ok")
    mark = None
    if status != "ok":
        age = item.get("price_age")
        why = str(item.get("reason") or (_HOLDINGS["old_price"].format(days=age) if age else status))
        mark = tag("span", status, class_=f"badge {'warn' if status == 'stale' else 'bad'}", title=why)
    currency = str(item.get("price_currency") or item.get("trading_currency") or "")
    close = item.get("price")
    fx = decimal(item.get("fx_rate"))
    fx_text = f"FX {fx:.{4 if fx >= Decimal('0.1') else 6}f}" if fx is not None and fx != 1 else None
    price_cell: Child = two_lines(f"{price(close)} {currency}", fx_text) if close is not None else fx_text
    gain, cost = item.get("unrealized_pl"), item.get("cost_base")
    security = kind == "security"

    def said(name: str) -> str:
        return hover(f"0.{name}", item.get(name))

    return row(
        heading(two_lines(label, sub), " ", mark),
        figure(quantity(item.get("qty_open")) if security else amount(item.get("qty_open")), None, said("qty_open")),
        tag("td", price_cell, class_=None if close is not None else "muted", title=said("price") or None),
        figure(amount(item.get("value_base")), None, said("value_base")),
        weight_bar(item.get("weight"), percent(item.get("weight")), largest, said("weight")),
        figure(amount(cost) if security else "", None, said("cost_base")),
        figure(amount(gain, plus=True) if security else "", gain, said("unrealized_pl")),
        figure(percent(item.get("gain"), plus=True) if security else "", item.get("gain"), said("gain")),
    )


def _effects(
    effects: list[Mapping[str, Any]], attribution: Mapping[str, Any], hover: Hover, first: str, *, by_position: bool
) -> Html:
    names = tuple(_ATTRIBUTION["effects"])
    said = {name: hover(f"by_position.0.{name}", None) for name in ("weight", *names)}
    rows = [
        row(
            heading(_effect_name(item, by_position=by_position)),
            figure(percent(item.get("weight")), None, said["weight"]),
            *(figure(percent(item.get(name), plus=True), item.get(name), said[name]) for name in names),
        )
        for item in effects
    ]
    total = sum_row(
        heading(LABELS["total"]),
        figure(""),
        *(
            figure(percent(attribution.get(name), plus=True), attribution.get(name), hover(name, attribution.get(name)))
            for name in names
        ),
    )
    columns = (first, _ATTRIBUTION["weight"], *_ATTRIBUTION["effects"].values())
    return table(columns, rows, total=total)


def _effect_name(item: Mapping[str, Any], *, by_position: bool) -> Html | str:
    name, currency = str(item.get("name")), str(item.get("currency"))
    if not by_position:
        return name
    # Cash has its currency in its name already.
    return two_lines(position_label(name), None if is_cash(name) else currency)


def _companies(holdings: list[Mapping[str, Any]], hover: Hover) -> Html:
    rows = []
    for item in holdings:
        scores = _mapping(item.get("scores"))
        cells = []
        for _, key, part in _SCORES[1:]:
            found = scores.get(part, item.get(part, item.get(key)))
            value = found.get("value", found.get("score")) if isinstance(found, Mapping) else found
            why = str(found.get("reason") or "") if isinstance(found, Mapping) else ""
            said = "\n".join(filter(None, (why, hover(f"holdings.0.scores.{part}", value))))
            cells.append(tag("td", score(value), class_="muted" if value is None else None, title=said or None))
        basis = item.get("reason") or (
            _RATINGS["filing"].format(accession=item["accession"]) if item.get("accession") else ""
        )
        rows.append(
            row(
                heading(str(item.get("symbol"))),
                figure(percent(item.get("weight")), None, hover("holdings.0.weight", item.get("weight"))),
                figure(score(item.get("overall")), None, hover("holdings.0.overall", item.get("overall"))),
                *cells,
                figure(percent(item.get("coverage"), 0), None, hover("holdings.0.coverage", item.get("coverage"))),
                text(str(basis), wrap=True),
            )
        )
    found = table(_RATINGS["columns"], rows, texts_last=1)
    return tag("div", tag("h3", _RATINGS["by_company"]), found)


def _score_tile(name: str, value: Any, coverage: Any, why: str, hover: str) -> Html:
    number = decimal(value)
    width = 0.0 if number is None else min(max(float(number) * 10, 0.0), 100.0)
    covered = _RATINGS["covers"].format(coverage=percent(coverage, 0)) if decimal(coverage) is not None else ""
    return tag(
        "div",
        tag("div", name, class_="label"),
        tag("div", score(value), tag("small", " / 10") if number is not None else None, class_="figure"),
        tag("div", tag("b", style=f"width:{width:.1f}%"), class_="meter"),
        tag("div", why or covered or "not available", class_="note"),
        class_="score",
        title=hover or None,
    )


def total_gain(metrics: Mapping[str, Any]) -> Decimal | None:
    """Return all that was ever gained: the value less what was put in on balance; None when either is unknown."""
    worth, flows = decimal(metrics.get("total_value")), decimal(metrics.get("net_flows"))
    return None if worth is None or flows is None else worth - flows


def _gain_note(metrics: Mapping[str, Any], reasons: Mapping[str, Any]) -> str:
    # No share of the cost: that holds cash, which gains nothing.
    gain = total_gain(metrics)
    return _why(reasons, "unrealized_pl") or ("" if gain is None else f"total gain {amount(gain, 0, plus=True)}")


def _fall_note(fall: Mapping[str, Any]) -> str:
    if not fall.get("trough"):
        return "none yet"
    return f"low on {fall.get('trough')}, {'recovered' if fall.get('recovery') else 'not recovered'}"


def _since(metrics: Mapping[str, Any]) -> str:
    flows = metrics.get("net_flows")
    start = f"since {day(metrics['start'])}" if metrics.get("start") else ""
    return f"net deposits {amount(flows, 0)} {start}".strip() if decimal(flows) is not None else start


def _measured_since(metrics: Mapping[str, Any], name: str, said: str) -> str:
    """Return a hover text with the close its figure is measured from; answers of former versions do not say it."""
    since = _mapping(metrics.get("starts")).get(name)
    return f"since {day(since)}\n{said}".strip() if since else said


def _why(reasons: Mapping[str, Any], name: str) -> str:
    return str(reasons.get(name) or "")


def _tone(value: Any) -> str:
    tone = sign(value)
    return "" if tone == "flat" else tone


def _total(rows: Sequence[Mapping[str, Any]], name: str) -> Any:
    found = [decimal(item.get(name)) for item in rows]
    return None if not found or any(item is None for item in found) else sum(item for item in found if item is not None)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()
