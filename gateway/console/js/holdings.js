// The valued holdings behind a result, as the HTML report shows them; see cli/holdings.py and cli/report/panels.py.
import { html, useEffect, useState } from "../vendor/htm-preact-3.1.1.module.js";
import { get } from "./api.js";
import { amount, percent, price, quantity, sum, tone } from "./format.js";
import { LABELS, fill, holdingLabel } from "./labels.js";
import { Badge, Failure, Loading, Panel } from "./ui.js";

const WORDS = LABELS.holdings;
const isHoldings = (value) => Array.isArray(value) && value.length > 0 && value.every((row) => row && typeof row === "object" && "symbol" in row && "value_base" in row);
const total = (rows, name) => sum(rows.map((row) => row[name]));
const negated = (value) => (value.startsWith("-") ? value.slice(1) : `-${value}`);

// A pattern need not return its holdings, but its steps took them: the trace keeps arguments, large ones by reference.
async function findHoldings(result) {
  const steps = result.trace?.steps || [];
  const found = [...Object.values(result.data || {}), ...steps.flatMap((step) => Object.values(step.args || {}))].find(isHoldings);
  if (found) return found;
  const refs = new Set(steps.flatMap((step) => Object.keys(step.refs || {}).sort().map((place) => step.refs[place])));
  for (const sha256 of refs) {
    // Its lease may be over; then another argument may still hold them.
    const value = await get(`/artifacts/${sha256}`).catch((problem) => {
      if (problem.status === 404) return null;
      throw problem;
    });
    if (isHoldings(value)) return value;
  }
  return [];
}

const ordered = (rows) => [...rows].sort((a, b) => Number(b.value_base || 0) - Number(a.value_base || 0) || (a.symbol < b.symbol ? -1 : 1));

export const Holdings = ({ result, badge }) => {
  const [state, set] = useState({});
  useEffect(() => {
    let gone = false;
    set({});
    findHoldings(result)
      .then((rows) => !gone && set({ rows: ordered(rows) }))
      .catch((problem) => !gone && set({ problem }));
    return () => {
      gone = true;
    };
  }, [result]);
  const { rows, problem } = state;
  if (problem) return html`<${Panel} title=${WORDS.title}><${Failure} problem=${problem} /><//>`;
  if (!rows) return html`<${Panel} title=${WORDS.title}><${Loading} rows=${3} /><//>`;
  return rows.length > 0 && html`<${Table} rows=${rows} base=${result.trace.base_ccy || ""} badge=${badge} />`;
};

const Table = ({ rows, base, badge }) => {
  const largest = Math.max(0, ...rows.map((row) => Math.abs(row.weight ?? 0)));
  const value = total(rows, "value_base");
  const cost = total(rows, "cost_base");
  const gain = value === null || cost === null ? null : sum([value, negated(cost)]);
  return html`
    <${Panel} title=${WORDS.title} subtitle=${fill(WORDS.subtitle, { count: rows.length })} aside=${badge}>
      <div class="scroll" tabindex="0" role="region" aria-label=${WORDS.title}>
        <table data-holdings>
          <thead><tr>${WORDS.columns.map((name, at) => html`<th scope="col" class=${at ? "" : "text"}>${fill(name, { base })}</th>`)}</tr></thead>
          <tbody>
            ${rows.map((row) => html`<${Row} row=${row} largest=${largest} />`)}
            <tr class="sum"><th scope="row" class="text">${LABELS.total}</th><td></td><td></td><td>${amount(value)}</td><td>${percent(total(rows, "weight"))}</td><td>${amount(cost)}</td>
              <td class=${tone(gain)}>${amount(gain, 2, true)}</td><td class=${tone(gain)}>${gain === null || !Number(cost) ? "" : percent(Number(gain) / Number(cost), 2, true)}</td></tr>
          </tbody>
        </table>
      </div>
      <p class="footnote">${WORDS.footnote}</p>
    <//>`;
};

const Row = ({ row, largest }) => {
  const { kind = "security", status = "ok" } = row;
  const security = kind === "security";
  const label = holdingLabel(kind, row.symbol);
  const sub = kind === "receivable" && row.pay_date ? fill(WORDS.pays, { day: row.pay_date }) : security && row.name !== row.symbol ? row.name : "";
  const why = row.reason || (row.price_age ? fill(WORDS.old_price, { days: row.price_age }) : status);
  // What is not there says why on hover, like the badge beside the name.
  const cell = (name, shown, sign) => html`<td class=${row[name] == null ? "muted" : tone(sign)} title=${row[name] == null ? row.reason || undefined : `exactly ${row[name]}`}>${shown}</td>`;
  const fx = Number(row.fx_rate);
  const rate = row.fx_rate != null && fx !== 1 ? `FX ${amount(row.fx_rate, fx >= 0.1 ? 4 : 6)}` : "";
  const currency = row.price_currency || row.trading_currency || "";
  return html`
    <tr>
      <th scope="row" class="text">${label}${status !== "ok" && html` <${Badge} tone=${status === "stale" ? "warn" : "bad"} title=${why}>${status}<//>`}${sub && html`<span class="sub">${sub}</span>`}</th>
      ${cell("qty_open", security ? quantity(row.qty_open) : amount(row.qty_open))}
      <td class=${row.price == null ? "muted" : ""} title=${row.price == null ? row.reason || undefined : `exactly ${row.price}`}>${row.price == null ? rate : html`${price(row.price)} ${currency}${rate && html`<span class="sub">${rate}</span>`}`}</td>
      ${cell("value_base", amount(row.value_base))}
      <td title=${row.weight == null ? row.reason || undefined : `exactly ${row.weight}`}><span class="weight"><svg class=${row.weight < 0 ? "short" : ""} viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="6" /><rect class="bar" width=${largest ? Math.min(100, (100 * Math.abs(row.weight ?? 0)) / largest) : 0} height="6" /></svg><span>${percent(row.weight)}</span></span></td>
      ${security ? html`${cell("cost_base", amount(row.cost_base))}${cell("unrealized_pl", amount(row.unrealized_pl, 2, true), row.unrealized_pl)}${cell("gain", percent(row.gain, 2, true), row.gain)}` : html`<td></td><td></td><td></td>`}
    </tr>`;
};
