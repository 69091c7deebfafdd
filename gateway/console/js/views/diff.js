// What differs between two executions: data versions, inputs, steps, figures; computed here from their two results.
import { html } from "../../vendor/htm-preact-3.1.1.module.js";
import { resultOf } from "../api.js";
import { day, moment, number, words } from "../format.js";
import { Badge, Empty, Failure, Heading, Icon, Loading, Panel, useLoad } from "../ui.js";

const PINS = ["pattern_digest", "pricing_pack_id", "pack_sha256", "ledger_commit_hash", "portfolio_id", "base_ccy", "benchmark_id", "asof", "asof_requested", "stale"];
const FIGURES_MAX = 400;
const isMap = (value) => value !== null && typeof value === "object";

// Every leaf that differs, by path. Long lists (daily series) count as one.
function differences(a, b, path = "", found = []) {
  if (a === b || JSON.stringify(a) === JSON.stringify(b)) return found;
  const series = (value) => Array.isArray(value) && value.length > 50 && value.every((each) => !isMap(each));
  if (series(a) || series(b)) found.push({ path, a: `${a?.length ?? "no"} values`, b: `${b?.length ?? "no"} values`, series: true });
  else if (isMap(a) && isMap(b) && Array.isArray(a) === Array.isArray(b)) {
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
      const name = a[key]?.symbol || a[key]?.name || key;
      differences(a[key], b[key], path ? `${path}.${name}` : String(name), found);
    }
  } else found.push({ path, a, b });
  return found;
}

const shown = (value) => (value === undefined ? html`<span class="muted">absent</span>` : value === null ? "null" : typeof value === "number" ? number(value) : isMap(value) ? JSON.stringify(value).slice(0, 80) : String(value));

function change(a, b) {
  const [from, to] = [Number(a), Number(b)];
  if (a === null || b === null || a === "" || !Number.isFinite(from) || !Number.isFinite(to) || typeof a === "boolean") return "";
  return (to >= from ? "+" : "−") + number(Math.abs(Number((to - from).toPrecision(8))));
}

export const Diff = ({ a, b }) => {
  const { data, problem, loading, reload } = useLoad(async () => {
    const both = await Promise.all([resultOf(a), resultOf(b)]);
    if (both.some((each) => !each)) throw new Error("One of the two has no result, or is not yours.");
    return both;
  }, [a, b]);
  if (problem) return html`<${Heading} title="Compare" /><${Failure} problem=${problem} retry=${reload} />`;
  if (loading) return html`<${Heading} title="Compare" /><${Loading} rows=${5} />`;
  const [first, second] = data;
  const pins = PINS.map((name) => ({ path: name, a: first.trace[name] ?? null, b: second.trace[name] ?? null })).filter((pin) => pin.a !== pin.b);
  const versions = differences(first.trace.capabilities, second.trace.capabilities);
  const inputs = differences(first.trace.inputs, second.trace.inputs);
  const steps = [...new Set([...first.trace.steps, ...second.trace.steps].map((step) => step.step_id))]
    .map((id) => [id, ...[first, second].map((each) => each.trace.steps.find((step) => step.step_id === id))])
    .map(([id, x, y]) => ({ id, x, y, args: x?.args_digest !== y?.args_digest, output: x?.output_digest !== y?.output_digest, status: x?.status !== y?.status }))
    .filter((step) => step.args || step.output || step.status);
  const figures = differences(first.data, second.data).filter((each) => !each.path.startsWith("charts"));
  const same = first.digest === second.digest;
  return html`
    <nav class="crumbs" aria-label="Where you are"><a href="#/executions">History</a><${Icon} name="chevron" size=${14} /><span>Compare</span></nav>
    <${Heading} title=${html`Compare<span class="pills"><${Badge} tone=${same ? "good" : "warn"}>${same ? "same answer" : "different answers"}<//></span>`} subtitle=${same ? "Both have the same digest: pattern, inputs, pins and every step agree." : "What went in differs above, what came out below."} />
    <div class="versus"><${Side} result=${first} /><${Icon} name="chevron" /><${Side} result=${second} /></div>
    ${same && !figures.length && html`<${Empty} icon="check" title="Nothing differs">The two answers are the same, byte for byte.<//>`}
    <${Table} title="Data versions" rows=${pins} />
    <${Table} title="Inputs" rows=${inputs} />
    <${Table} title="Code" rows=${versions} />
    ${steps.length > 0 && html`
      <${Panel} title="Steps" subtitle=${`${steps.length} differ`}>
        <div class="scroll" tabindex="0" role="region" aria-label="Steps that differ"><table>
          <thead><tr><th scope="col" class="text">Step</th><th scope="col" class="text">Capability</th><th scope="col" class="text">What differs</th></tr></thead>
          <tbody>${steps.map((step) => html`<tr key=${step.id}><th scope="row" class="text">${step.id === "$resolve" ? "resolve pins" : step.id}</th><td class="text"><code>${(step.x || step.y).capability}</code></td>
            <td class="text"><span class="causes">${step.status && html`<${Badge} tone="bad">${step.x?.status || "absent"} → ${step.y?.status || "absent"}<//>`}${step.args && html`<${Badge} tone="">arguments<//>`}${step.output && html`<${Badge} tone="warn">output<//>`}</span></td></tr>`)}</tbody>
        </table></div>
      <//>`}
    <${Table} title="Figures" rows=${figures.slice(0, FIGURES_MAX)} withChange note=${figures.length > FIGURES_MAX ? `and ${figures.length - FIGURES_MAX} more` : ""} />`;
};

const Side = ({ result }) => html`
  <a class="card" href="#/executions/${result.execution_id}">
    <div class="label"><span>${words(result.pattern_id)}</span><${Badge} status=${result.status} /></div>
    <div><b>${result.trace.asof ? day(result.trace.asof) : "no day"}</b> <code class="small">${result.execution_id.slice(0, 8)}</code></div>
    <div class="note">${moment(result.finished_at_ms)}</div>
  </a>`;

const Table = ({ title, rows, withChange, note }) =>
  rows.length > 0 &&
  html`
    <${Panel} title=${title} subtitle=${`${rows.length} ${rows.length === 1 ? "differs" : "differ"}`}>
      <div class="scroll" tabindex="0" role="region" aria-label=${`${title} that differ`}><table>
        <thead><tr><th scope="col" class="text">Name</th><th scope="col" class=${withChange ? "" : "text"}>First</th><th scope="col" class=${withChange ? "" : "text"}>Second</th>${withChange && html`<th scope="col">Change</th>`}</tr></thead>
        <tbody>${rows.map((row) => html`<tr key=${row.path}><th scope="row" class="text wrap"><code>${row.path}</code></th><td class="was ${withChange ? "" : "text wrap"}">${shown(row.a)}</td><td class="changed ${withChange ? "" : "text wrap"}">${shown(row.b)}</td>${withChange && html`<td>${row.series ? "" : change(row.a, row.b)}</td>`}</tr>`)}</tbody>
      </table></div>
      ${note && html`<p class="footnote">${note}</p>`}
    <//>`;
