// Panels that a pattern's own `presentation` asks for, as the HTML report shows them; see cli/report/presented.py.
import { html } from "../vendor/htm-preact-3.1.1.module.js";
import { MISSING, amount, percent, price, quantity, score, tone, withMinus, words } from "./format.js";
import { LABELS, positionLabel } from "./labels.js";
import { Figure, Panel } from "./ui.js";

const ROWS_MAX = 500;
const WORDS_LINE_MAX = 10; // Words wrap, figures shrink.
const TEXTS = ["text", "date"];
const TONED = ["percent", "money"];
const isMap = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const list = (value) => (Array.isArray(value) ? value.filter(isMap) : []);

// What stands at a dotted path; null where nothing does. `.length` counts a list, `.-1` is its last.
function at(value, path) {
  for (const part of path.split(".")) {
    if (Array.isArray(value)) value = part === "length" ? value.length : /^-?\d+$/.test(part) ? (value.at(Number(part)) ?? null) : null;
    else value = isMap(value) && Object.hasOwn(value, part) ? (value[part] ?? null) : null;
  }
  return value;
}

function shown(value, format = "text") {
  if (value === null) return MISSING;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return String(value.length);
  if (isMap(value)) return Object.entries(value).map(([key, item]) => `${key} ${shown(item, format)}`).join(", ") || MISSING; // amounts by currency
  if (format === "percent") return percent(value);
  if (format === "money") return amount(value);
  if (format === "score") return score(value);
  if (format === "price") return price(value) === MISSING ? String(value) : price(value);
  if (format === "ratio") return amount(value, 3);
  if (format === "bp") return amount(value, 6) === MISSING ? MISSING : `${amount(String(value).replace(/^-/, ""), 6)} bp`;
  if (format === "number") return quantity(value, 4) === MISSING ? String(value) : quantity(value, 4);
  const text = String(value);
  return format === "text" && typeof value === "string" && text.length < 40 ? positionLabel(text).replace(/_/g, " ") : text;
}

// Only losses stand out: a volatility above zero is no gain. What rounds to zero is no loss, nor is what is below the
// `tolerance` that the pattern states.
const toned = (value, format, tolerance = 0) =>
  TONED.includes(format) && tone(value) === "down" && /[1-9]/.test(shown(value, format)) && Math.abs(Number(value)) >= Number(tolerance) ? "down" : "";

const exactly = (value) => (value === null || typeof value === "object" ? undefined : `exactly ${value}`);

// Why nothing stands at a path: where the pattern says the reason is, as `reasons` say, else the nearest `reason` above it.
function why(value, path, given) {
  const parts = path.split(".");
  const above = parts.slice(0, -1);
  const found = [
    given ? at(value, given) : null,
    ...[path, parts[0], parts.at(-1)].map((name) => value.reasons?.[name]),
    ...[...above, ""].map((_, cut) => at(value, [...above.slice(0, above.length - cut), "reason"].join("."))),
  ];
  return found.find((each) => typeof each === "string" && each) || "";
}

// A figure's unit stands at the path its hint names; a score that stands alone says what it is out of.
const unitOf = (item, { unit }, value) => (value === null || !unit ? "" : String(at(item, unit) ?? "")).replace(/^percent$/, "%");
const scaleOf = (item, hint, value) => (value !== null && hint.format === "score" ? "/ 10" : unitOf(item, hint, value));
const withUnit = (text, unit) => (unit === "%" ? `${text}%` : `${text} ${unit}`.trimEnd());

// The newest day at a path of the result's data, where a list stands for all its items; empty without any.
const newestDay = (result, path) =>
  path ? path.split(".").reduce((found, part) => found.flatMap((each) => (isMap(each) && Object.hasOwn(each, part) ? each[part] : [])), [result.data]).filter((each) => typeof each === "string").sort().at(-1) || "" : "";

// Returns one panel for each hint whose output the result has, in the pattern's order.
export function presented(result, hints, freshness) {
  return hints
    .filter((hint) => hint.kind !== "none" && Object.hasOwn(result.data || {}, hint.output))
    .map((hint) => {
      const value = result.data[hint.output];
      const title = hint.title || words(hint.output);
      const aside = freshness(hint.output, hint.kind === "figures", newestDay(result, hint.ends));
      if (!isMap(value)) {
        const step = result.trace?.steps?.find((each) => each.as === hint.output);
        return html`<${Panel} title=${title} aside=${aside}><p class="muted">${step?.skip_reason || "not computed"}</p><//>`;
      }
      const Kind = hint.kind === "table" ? Table : Figures;
      return html`<${Panel} title=${title} aside=${aside}><${Kind} hint=${hint} value=${value} title=${title} /><//>`;
    });
}

const SAID_MAX = 2; // A reason that more figures share is said once, below them.
const figureAt = (value, { path, when }) => (when && at(value, when) === null ? null : at(value, path));

const Figures = ({ hint, value }) => {
  const fields = list(hint.fields);
  const reasons = fields.map((field) => figureAt(value, field) === null && why(value, field.path, field.reason));
  const once = [...new Set(reasons)].filter((each) => each && reasons.filter((other) => other === each).length > SAID_MAX);
  return html`
  <div class="cards plain">
    ${fields.map((field, place) => {
      const { path, label, format, tolerance } = field;
      const found = figureAt(value, field);
      const text = withMinus(shown(found, format));
      const reason = !once.includes(reasons[place]) && reasons[place];
      return html`
        <div class="card" title=${reasons[place] || exactly(found)}>
          <div class="label"><span>${label || path}</span></div>
          ${TEXTS.includes(format ?? "text") && text.length > WORDS_LINE_MAX ? html`<div class="figure long">${text}</div>` : html`<${Figure} text=${text} unit=${scaleOf(value, field, found)} tone=${toned(found, format, tolerance)} />`}
          ${reason && html`<div class="note">${reason}</div>`}
        </div>`;
    })}
  </div>
  ${once.map((each) => html`<p class="footnote">${MISSING} ${each}</p>`)}
  ${value.method && html`<p class="footnote">${value.method}</p>`}`;
};

const Table = ({ hint, value, title }) => {
  const place = hint.rows || "rows";
  const rows = list(at(value, place));
  const columns = list(hint.columns);
  if (!rows.length) return html`<p class="muted">${why(value, place) || "None."}</p>`;
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${title}>
      <table>
        <thead><tr>${columns.map(({ path, label, format }) => html`<th scope="col" class=${TEXTS.includes(format) ? "text" : ""}>${label || path}</th>`)}</tr></thead>
        <tbody>${rows.slice(0, ROWS_MAX).map((row) => html`<tr>${columns.map((column) => html`<${Cell} row=${row} column=${column} />`)}</tr>`)}<${Total} columns=${columns} value=${value} /></tbody>
      </table>
    </div>
    ${rows.length > ROWS_MAX && html`<p class="footnote">and ${rows.length - ROWS_MAX} more rows</p>`}`;
};

// A column names in `total` the figure of the output that its rows sum to; nothing is added up here.
const Total = ({ columns, value }) =>
  columns.some((column) => column.total) &&
  html`<tr class="sum">${columns.map(({ total, format = "text" }, place) => {
    if (!total) return place ? html`<td></td>` : html`<th scope="row" class="text">${LABELS.total}</th>`;
    const found = at(value, total);
    return html`<td class=${found === null ? "muted" : toned(found, format)} title=${found === null ? why(value, total) || undefined : exactly(found)}>${shown(found, format)}</td>`;
  })}</tr>`;

// `formats` chooses a cell's format by another field of its row, `words` says what people read for a value.
const UNIT_LINE_MAX = 5; // A longer unit has a line of its own, where it wraps: a figure does not.
const Cell = ({ row, column }) => {
  const { path, formats, words: known, tolerance, format: usual = "text" } = column;
  const value = at(row, path);
  const format = formats?.[at(row, String(formats.by))] || usual;
  const text = (typeof value === "string" && known?.[value]) || shown(value, format);
  if (TEXTS.includes(format)) return html`<td class=${text.length > 40 ? "text wrap" : "text"}>${text}</td>`;
  const unit = format === "percent" ? "" : unitOf(row, column, value);
  return html`<td class=${value === null ? "muted" : toned(value, format, tolerance)} title=${value === null ? row.reason || undefined : exactly(value)}>${unit.length > UNIT_LINE_MAX ? html`${text}<span class="sub">${unit}</span>` : withUnit(text, unit)}</td>`;
};
