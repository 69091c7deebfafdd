// Results as people read them: known shapes get panels of their own, everything else tables and facts.
import { html } from "../vendor/htm-preact-3.1.1.module.js";
import { Chart, prepare } from "./chart.js";
import { amount, day, number, percent, score, tone, withMinus, words } from "./format.js";
import { Holdings } from "./holdings.js";
import { LABELS, fieldLabel, fill, isCash, positionLabel } from "./labels.js";
import { presented } from "./presented.js";
import { Badge, Figure, Panel } from "./ui.js";

const { key_figures: FIGURES, periods: PERIODS, attribution: ATTRIBUTION, ratings: RATINGS } = LABELS;
const EFFECTS = Object.keys(ATTRIBUTION.effects);
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

// What ends long before the day of the answer says so: it is made on that day's prices, but shows older figures.
const DAYS_MAX = 200;
const Ended = ({ result, output, brief, last }) => {
  const days = (Date.parse(result.trace?.asof) - Date.parse(last)) / 86_400_000;
  return days > DAYS_MAX ? html`<${Badge} tone="warn" title=${`its newest figure is ${Math.round(days)} days old`}>ends ${last}<//>` : html`<${Freshness} result=${result} output=${output} brief=${brief} />`;
};

// `hints` are the panels of the pattern's presentation; outputs of a pattern without any are shown by their shape.
export const Results = ({ result, hints }) => {
  const freshness = (output, brief, last) => html`<${Ended} result=${result} output=${output} brief=${brief} last=${last} />`;
  const plain = ([output, value]) => html`<${Plain} output=${output} value=${value} badge=${freshness(output)} result=${result} />`;
  const charts = (result.charts || []).filter(isMap).map(prepare);
  const drawn = charts.length > 0 && html`
    <div class="panels" data-charts=${charts.length}>
      ${charts.map((chart) => html`
        <${Panel} key=${chart.name} title=${chart.title} subtitle=${chart.subtitle} aside=${html`<${Ended} result=${result} output="charts" brief last=${chart.last} />`}><${Chart} chart=${chart} /><//>`)}
    </div>`;
  const outputs = Object.entries(result.data || {});
  if (hints.length) {
    const [first, ...others] = presented(result, hints, freshness);
    const known = new Set(hints.map((hint) => hint.output));
    // Long columns that the charts show are left to them.
    const rest = outputs.filter(([output, value]) => !known.has(output) && output !== "charts" && !has(value, "dates"));
    return html`${first}${drawn}${others}${rest.map(plain)}`;
  }
  const figures = [];
  const tables = [];
  const others = [];
  for (const [output, value] of outputs) {
    const badge = freshness(output);
    if (has(value, "twr", "total_value")) {
      figures.push(html`<${KeyFigures} metrics=${value} badge=${freshness(output, true)} />`);
      tables.unshift(html`<${Holdings} result=${result} badge=${badge} />`);
    } else if (has(value, "local_return", "fx_return", "total")) tables.push(html`<${Attribution} value=${value} badge=${badge} />`);
    else if (isMap(value) && RATINGS.scores.slice(1).some(([, key]) => key in value)) tables.push(html`<${Ratings} value=${value} badge=${badge} />`);
    else if (output !== "charts") others.push(plain([output, value]));
  }
  return html`${figures}${drawn}${tables}${others}`;
};

const Card = ({ label, value, unit, note, sign, wide, badge }) => html`
  <div class=${wide ? "card wide" : "card"}>
    <div class="label"><span>${label}</span>${badge}</div>
    <${Figure} text=${value} unit=${unit || ""} tone=${tone(sign)} />
    <div class="note">${note}</div>
  </div>`;

const KeyFigures = ({ metrics, badge }) => {
  const why = (name) => metrics.reasons?.[name];
  const fall = metrics.drawdown || {};
  const gain = metrics.unrealized_pl;
  // All that was ever gained; no share of the cost: that holds cash, which gains nothing.
  const gained = metrics.total_value != null && metrics.net_flows != null ? metrics.total_value - metrics.net_flows : null;
  const since = metrics.start ? `since ${day(metrics.start)}` : "";
  return html`
    <div class="cards">
      <${Card} label=${FIGURES.total_value} value=${amount(metrics.total_value)} unit=${metrics.base_currency} wide badge=${badge}
        note=${why("total_value") || (metrics.net_flows ? `net deposits ${amount(metrics.net_flows, 0)} ${since}` : since)} />
      <${Card} label=${FIGURES.total_cost} value=${amount(metrics.total_cost, 0)} note=${why("total_cost") || "at trade-date FX"} />
      <${Card} label=${FIGURES.unrealized_pl} value=${amount(gain, 0, true)} sign=${gain} note=${why("unrealized_pl") || (gained === null ? "" : `total gain ${amount(gained, 0, true)}`)} />
      <${Card} label=${FIGURES.twr} value=${percent(metrics.twr, 2, true)} sign=${metrics.twr} note=${why("twr") || "since inception"} />
      <${Card} label=${FIGURES.drawdown} value=${percent(fall.depth)} sign=${fall.depth}
        note=${why("drawdown") || (fall.trough ? `low on ${fall.trough}, ${fall.recovery ? "recovered" : "not recovered"}` : "none yet")} />
    </div>
    <div class="periods">
      ${Object.entries(PERIODS).map(([key, label]) => html`<div class="period" key=${key} title=${why(key)}><div class="label">${label}</div><div class="figure ${tone(metrics[key])}">${percent(metrics[key], 2, true)}</div></div>`)}
    </div>`;
};

// Cash has its currency in its name already.
const effectName = (row, position) => html`${positionLabel(row.name)}${position && !isCash(row.name) && html`<span class="sub">${row.currency}</span>`}`;

const Effects = ({ rows, title, first, position, value }) => html`
  <div class="scroll" tabindex="0" role="region" aria-label=${`Attribution: ${title}`}>
    <table>
      <thead><tr><th scope="col" class="text">${first}</th><th scope="col">${ATTRIBUTION.weight}</th>${EFFECTS.map((name) => html`<th scope="col">${ATTRIBUTION.effects[name]}</th>`)}</tr></thead>
      <tbody>
        ${rows.map((row) => html`<tr key=${row.name}><th scope="row" class="text">${effectName(row, position)}</th><td>${percent(row.weight)}</td>${EFFECTS.map((name) => html`<td class=${tone(row[name])}>${percent(row[name], 2, true)}</td>`)}</tr>`)}
        <tr class="sum"><th scope="row" class="text">${LABELS.total}</th><td></td>${EFFECTS.map((name) => html`<td class=${tone(value[name])}>${percent(value[name], 2, true)}</td>`)}</tr>
      </tbody>
    </table>
  </div>`;

const Attribution = ({ value, badge }) => {
  if (value.total === null) return html`<${Panel} title=${ATTRIBUTION.title} aside=${badge}><p class="muted">${value.reason || "not available"}</p><//>`;
  const residual = value.residual_bp == null ? "" : `. ${fill(ATTRIBUTION.residual, { residual: amount(Math.abs(value.residual_bp), 6) })}`;
  return html`
    <${Panel} title=${ATTRIBUTION.title} subtitle=${fill(ATTRIBUTION.subtitle, { start: day(value.start), asof: day(value.asof), base: value.base_currency || "base currency" })} aside=${badge}>
      ${Object.entries(ATTRIBUTION.by).map(([key, [title, first]]) => value[key]?.length > 0 && html`<h3>${title}</h3><${Effects} rows=${value[key]} title=${title} first=${first} position=${key === "by_position"} value=${value} />`)}
      <p class="footnote">${value.method}${residual}</p>
    <//>`;
};

const Ratings = ({ value, badge }) => html`
  <${Panel} title=${RATINGS.title} subtitle=${`${RATINGS.subtitle}${value.rubric ? `, rubric ${value.rubric.id ?? value.rubric} v${value.rubric.version ?? ""}` : ""}`} aside=${badge}>
    <div class="scores">
      ${RATINGS.scores.map(([label, key, part]) => {
        const coverage = value.coverage?.[part];
        return html`
          <div class="score" key=${key}>
            <div class="label">${label}</div>
            <div class="figure">${score(value[key])}${value[key] != null && html`<small> / 10</small>`}</div>
            <meter min="0" max="10" value=${Math.min(10, Math.max(0, Number(value[key]) || 0))} aria-label=${label}></meter>
            <div class="note">${value.reasons?.[part] || (coverage != null ? fill(RATINGS.covers, { coverage: percent(coverage, 0) }) : "not available")}</div>
          </div>`;
      })}
    </div>
    ${value.holdings?.length > 0 && html`<${Companies} rows=${value.holdings} />`}
    ${(value.warnings || []).map((text) => html`<p class="footnote">${text}</p>`)}
  <//>`;

const Companies = ({ rows }) => html`
  <h3>${RATINGS.by_company}</h3>
  <div class="scroll" tabindex="0" role="region" aria-label=${`${RATINGS.title}: ${RATINGS.by_company}`}>
    <table>
      <thead><tr>${RATINGS.columns.map((name, at) => html`<th scope="col" class=${at && at < RATINGS.columns.length - 1 ? "" : "text"}>${name}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`
        <tr key=${row.symbol}><th scope="row" class="text">${row.symbol}</th><td>${percent(row.weight)}</td><td>${score(row.overall)}</td>
          ${RATINGS.scores.slice(1).map(([, , part]) => html`<td class=${row.scores?.[part]?.value == null ? "muted" : ""} title=${row.scores?.[part]?.reason || undefined}>${score(row.scores?.[part]?.value)}</td>`)}
          <td>${percent(row.coverage, 0)}</td><td class="text wrap">${row.reason || (row.accession ? fill(RATINGS.filing, row) : "")}</td></tr>`)}</tbody>
    </table>
  </div>`;

// Anything a pattern may return.
const Plain = ({ output, value, badge, result }) => {
  const reason = value === null ? result.trace?.per_panel_staleness?.find((each) => each.output === output)?.reason : null;
  return html`<${Panel} title=${words(output)} aside=${badge}>${value === null ? html`<p class="muted">${reason || "no value"}</p>` : html`<${Value} value=${value} depth=${0} name=${words(output)} />`}<//>`;
};

const scalar = (value) => value === null || typeof value !== "object";
const shown = (value) => (value === null ? html`<span class="muted">–</span>` : typeof value === "number" ? number(value) : typeof value === "boolean" ? (value ? "yes" : "no") : withMinus(value));

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
    ${plain.length > 0 && html`<dl class="facts">${plain.map(([key, each]) => html`<dt>${fieldLabel(key)}</dt><dd><${Value} value=${each} depth=${depth + 1} /></dd>`)}</dl>`}
    ${nested.map(([key, each]) => html`<h3>${fieldLabel(key)}</h3><${Value} value=${each} depth=${depth + 1} name=${words(key)} />`)}`;
};

const Rows = ({ rows, name }) => {
  const columns = [...new Set(rows.flatMap(Object.keys))];
  const numeric = (column) => rows.some((row) => typeof row[column] === "number" || /^-?\d+(\.\d+)?$/.test(row[column] ?? ""));
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${name}>
      <table>
        <thead><tr>${columns.map((column) => html`<th scope="col" class=${numeric(column) ? "" : "text"}>${fieldLabel(column)}</th>`)}</tr></thead>
        <tbody>${rows.slice(0, ROWS_MAX).map((row) => html`<tr>${columns.map((column) => html`<td class=${numeric(column) ? "" : "text"}>${scalar(row[column] ?? null) ? shown(row[column] ?? null) : html`<code>${JSON.stringify(row[column]).slice(0, 80)}</code>`}</td>`)}</tr>`)}</tbody>
      </table>
    </div>
    ${rows.length > ROWS_MAX && html`<p class="footnote">and ${rows.length - ROWS_MAX} more rows; download the result for all</p>`}`;
};
