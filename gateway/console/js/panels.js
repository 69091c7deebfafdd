// Results as people read them: known shapes get panels of their own, everything else tables and facts.
import { html } from "../vendor/htm-preact-3.1.1.module.js";
import { Chart, prepare } from "./chart.js";
import { amount, day, number, percent, score, tone, words } from "./format.js";
import { Badge, Panel } from "./ui.js";

const PERIODS = [
  ["Month to date", "mtd"], ["Quarter to date", "qtd"], ["Year to date", "ytd"],
  ["One year", "one_year"], ["Since inception", "inception"], ["Annualised", "annualised"],
];
const SCORES = [
  ["Overall", "overall", "overall"], ["Dividend safety", "avg_dividend_safety", "dividend_safety"],
  ["Moat strength", "avg_moat_strength", "moat"], ["Resilience", "avg_resilience", "resilience"],
];
const EFFECTS = ["local_return", "fx_return", "interaction", "trading", "total"];
const ROWS_MAX = 200;

const isMap = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const has = (value, ...names) => isMap(value) && names.every((name) => name in value);

// How fresh one output is, as the trace says.
export const Freshness = ({ result, output, brief }) => {
  const panel = result.trace?.per_panel_staleness?.find((each) => each.output === output);
  if (!panel) return null;
  const text = brief || !panel.asof ? panel.status : `${panel.status} · ${panel.asof}`;
  return html`<${Badge} status=${panel.status} title=${panel.reason || (panel.asof ? `data as of ${panel.asof}` : undefined)}>${text}<//>`;
};

export const Results = ({ result }) => {
  const figures = [];
  const tables = [];
  const others = [];
  for (const [output, value] of Object.entries(result.data || {})) {
    const badge = html`<${Freshness} result=${result} output=${output} />`;
    if (has(value, "twr", "total_value")) figures.push(html`<${KeyFigures} metrics=${value} badge=${html`<${Freshness} result=${result} output=${output} brief />`} />`);
    else if (has(value, "local_return", "fx_return", "total")) tables.push(html`<${Attribution} value=${value} badge=${badge} />`);
    else if (isMap(value) && SCORES.slice(1).some(([, key]) => key in value)) tables.push(html`<${Ratings} value=${value} badge=${badge} />`);
    else if (output !== "charts") others.push(html`<${Plain} output=${output} value=${value} badge=${badge} result=${result} />`);
  }
  const charts = (result.charts || []).filter(isMap).map(prepare);
  return html`
    ${figures}
    ${charts.length > 0 && html`
      <div class="panels" data-charts=${charts.length}>
        ${charts.map((chart) => html`
          <${Panel} key=${chart.name} title=${chart.title} subtitle=${chart.subtitle} aside=${html`<${Freshness} result=${result} output="charts" brief />`}><${Chart} chart=${chart} /><//>`)}
      </div>`}
    ${tables}${others}`;
};

const Card = ({ label, value, unit, note, sign, wide, badge }) => html`
  <div class=${wide ? "card wide" : "card"}>
    <div class="label"><span>${label}</span>${badge}</div>
    <div class="figure ${tone(sign)}">${value}${unit && html`<span class="unit">${unit}</span>`}</div>
    <div class="note">${note}</div>
  </div>`;

const KeyFigures = ({ metrics, badge }) => {
  const why = (name) => metrics.reasons?.[name];
  const fall = metrics.drawdown || {};
  const gain = metrics.unrealized_pl;
  const cost = Number(metrics.total_cost);
  const since = metrics.start ? `since ${day(metrics.start)}` : "";
  return html`
    <div class="cards">
      <${Card} label="Total value" value=${amount(metrics.total_value)} unit=${metrics.base_currency} wide badge=${badge}
        note=${why("total_value") || (metrics.net_flows ? `net deposits ${amount(metrics.net_flows, 0)} ${since}` : since)} />
      <${Card} label="Cost" value=${amount(metrics.total_cost, 0)} note=${why("total_cost") || "at trade-date FX"} />
      <${Card} label="Unrealised P/L" value=${amount(gain, 0, true)} sign=${gain} note=${why("unrealized_pl") || (gain != null && cost ? `${percent(Number(gain) / Math.abs(cost), 2, true)} of cost` : "")} />
      <${Card} label="Time-weighted return" value=${percent(metrics.twr, 2, true)} sign=${metrics.twr} note=${why("twr") || "since inception"} />
      <${Card} label="Deepest drawdown" value=${percent(fall.depth)} sign=${fall.depth}
        note=${why("drawdown") || (fall.trough ? `low on ${fall.trough}, ${fall.recovery ? "recovered" : "not recovered"}` : "none yet")} />
    </div>
    <div class="periods">
      ${PERIODS.map(([label, key]) => html`<div class="period" key=${key} title=${why(key)}><div class="label">${label}</div><div class="figure ${tone(metrics[key])}">${percent(metrics[key], 2, true)}</div></div>`)}
    </div>`;
};

const Effects = ({ rows, first, value }) => html`
  <div class="scroll" tabindex="0" role="region" aria-label=${`Attribution by ${first.toLowerCase()}`}>
    <table>
      <thead><tr><th scope="col" class="text">${first}</th><th scope="col">Average weight</th><th scope="col">Local</th><th scope="col">Currency</th><th scope="col">Interaction</th><th scope="col">Trading</th><th scope="col">Total</th></tr></thead>
      <tbody>
        ${rows.map((row) => html`<tr key=${row.name}><th scope="row" class="text">${row.name}${first === "Position" && html`<span class="sub">${row.currency}</span>`}</th><td>${percent(row.weight)}</td>${EFFECTS.map((name) => html`<td class=${tone(row[name])}>${percent(row[name], 2, true)}</td>`)}</tr>`)}
        <tr class="sum"><th scope="row" class="text">Total</th><td></td>${EFFECTS.map((name) => html`<td class=${tone(value[name])}>${percent(value[name], 2, true)}</td>`)}</tr>
      </tbody>
    </table>
  </div>`;

const Attribution = ({ value, badge }) => {
  if (value.total === null) return html`<${Panel} title="Currency attribution" aside=${badge}><p class="muted">${value.reason || "not available"}</p><//>`;
  return html`
    <${Panel} title="Currency attribution" subtitle=${`${day(value.start)} to ${day(value.asof)}, linked effects in ${value.base_currency || "base currency"}`} aside=${badge}>
      ${value.by_currency?.length > 0 && html`<h3>By currency</h3><${Effects} rows=${value.by_currency} first="Currency" value=${value} />`}
      ${value.by_position?.length > 0 && html`<h3>By position</h3><${Effects} rows=${value.by_position} first="Position" value=${value} />`}
      <p class="footnote">${value.method}</p>
    <//>`;
};

const Ratings = ({ value, badge }) => html`
  <${Panel} title="Quality ratings" subtitle=${`weighted over rated long equity${value.rubric ? `, rubric ${value.rubric.id ?? value.rubric} v${value.rubric.version ?? ""}` : ""}`} aside=${badge}>
    <div class="scores">
      ${SCORES.map(([label, key, part]) => {
        const coverage = value.coverage?.[part];
        return html`
          <div class="score" key=${key}>
            <div class="label">${label}</div>
            <div class="figure">${score(value[key])}${value[key] != null && html`<small> / 10</small>`}</div>
            <meter min="0" max="10" value=${Math.min(10, Math.max(0, Number(value[key]) || 0))} aria-label=${label}></meter>
            <div class="note">${value.reasons?.[part] || (coverage != null ? `covers ${percent(coverage, 0)} of long equity` : "not available")}</div>
          </div>`;
      })}
    </div>
  <//>`;

// Anything a pattern may return.
const Plain = ({ output, value, badge, result }) => {
  const reason = value === null ? result.trace?.per_panel_staleness?.find((each) => each.output === output)?.reason : null;
  return html`<${Panel} title=${words(output)} aside=${badge}>${value === null ? html`<p class="muted">${reason || "no value"}</p>` : html`<${Value} value=${value} depth=${0} name=${words(output)} />`}<//>`;
};

const scalar = (value) => value === null || typeof value !== "object";
const shown = (value) => (value === null ? html`<span class="muted">–</span>` : typeof value === "number" ? number(value) : typeof value === "boolean" ? (value ? "yes" : "no") : value);

export const Value = ({ value, depth, name }) => {
  if (scalar(value)) return html`<span>${shown(value)}</span>`;
  if (Array.isArray(value)) {
    if (!value.length) return html`<span class="muted">none</span>`;
    if (value.every(isMap)) return html`<${Rows} rows=${value} name=${name} />`;
    if (value.every(scalar)) {
      const few = value.slice(0, 12);
      return html`<span>${few.map((each, at) => html`${at > 0 && ", "}${shown(each)}`)}${value.length > few.length && html`<span class="muted"> and ${value.length - few.length} more</span>`}</span>`;
    }
    return html`<pre>${JSON.stringify(value.slice(0, 50), null, 2)}</pre>`;
  }
  const entries = Object.entries(value);
  if (!entries.length) return html`<span class="muted">empty</span>`;
  if (depth > 2) return html`<pre>${JSON.stringify(value, null, 2)}</pre>`;
  const plain = entries.filter(([, each]) => scalar(each) || (Array.isArray(each) && each.every(scalar)));
  const nested = entries.filter((entry) => !plain.includes(entry) && !(isMap(entry[1]) && !Object.keys(entry[1]).length));
  return html`
    ${plain.length > 0 && html`<dl class="facts">${plain.map(([key, each]) => html`<dt>${words(key)}</dt><dd><${Value} value=${each} depth=${depth + 1} /></dd>`)}</dl>`}
    ${nested.map(([key, each]) => html`<h3>${words(key)}</h3><${Value} value=${each} depth=${depth + 1} name=${words(key)} />`)}`;
};

const Rows = ({ rows, name }) => {
  const columns = [...new Set(rows.flatMap(Object.keys))];
  const numeric = (column) => rows.some((row) => typeof row[column] === "number" || /^-?\d+(\.\d+)?$/.test(row[column] ?? ""));
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${name}>
      <table>
        <thead><tr>${columns.map((column) => html`<th scope="col" class=${numeric(column) ? "" : "text"}>${words(column)}</th>`)}</tr></thead>
        <tbody>${rows.slice(0, ROWS_MAX).map((row) => html`<tr>${columns.map((column) => html`<td class=${numeric(column) ? "" : "text"}>${scalar(row[column] ?? null) ? shown(row[column] ?? null) : html`<code>${JSON.stringify(row[column]).slice(0, 80)}</code>`}</td>`)}</tr>`)}</tbody>
      </table>
    </div>
    ${rows.length > ROWS_MAX && html`<p class="footnote">and ${rows.length - ROWS_MAX} more rows; download the result for all</p>`}`;
};
