// What differs between two executions and why, as `dawsos diff` says it.
import { html } from "../../vendor/htm-preact-3.1.1.module.js";
import { call, get, stateOf } from "../api.js";
import { day, moment, number, words } from "../format.js";
import { Badge, Empty, Failure, Heading, Icon, Loading, Panel, useLoad } from "../ui.js";

const FIGURES_MAX = 400;
const STORED_TURNS_MAX = 10;
const STORED_PAUSE_MS = 500;
const STEPS = { $resolve: "resolve pins" };
const isMap = (value) => value !== null && typeof value === "object";
const shown = (value) => (value === null || value === undefined ? html`<span class="muted">absent</span>` : typeof value === "number" ? number(value) : isMap(value) ? JSON.stringify(value).slice(0, 80) : String(value));
// A JSON pointer as people write a path.
const path = (pointer) => pointer.split("/").slice(2).map((key) => key.replace(/~1/g, "/").replace(/~0/g, "~")).join(".");
// Records call the two A and B, this page the first and the second.
const told = (text) => text.replace(/\bonly in ([AB])\b/, (_, side) => `only in the ${side === "A" ? "first" : "second"}`);
const signed = (delta) => (delta === null || !Number.isFinite(Number(delta)) ? "" : (Number(delta) >= 0 ? "+" : "−") + number(Math.abs(Number(Number(delta).toPrecision(8)))));

async function load(a, b) {
  let { status, data } = await call(`/executions/${a}/diff/${b}`);
  // What has just ended is in the topic before it is in the database.
  for (let turn = 0; status !== 200 && turn < STORED_TURNS_MAX; turn++) {
    await new Promise((done) => setTimeout(done, STORED_PAUSE_MS));
    ({ status, data } = await call(`/executions/${a}/diff/${b}`));
  }
  if (status !== 200) throw new Error("One of the two is still under way. Compare them when both have ended.");
  const [first, second] = await Promise.all([a, b].map((id) => get(`/executions/${id}`)));
  return { ...data, first: stateOf(first), second: stateOf(second) };
}

export const Diff = ({ a, b }) => {
  const { data, problem, loading, reload } = useLoad(() => load(a, b), [a, b]);
  if (problem) return html`<${Heading} title="Compare" /><${Failure} problem=${problem} retry=${reload} />`;
  if (loading) return html`<${Heading} title="Compare" /><${Loading} rows=${5} />`;
  const { same, causes, steps, figures, more_figures: more } = data;
  const listed = figures.filter((each) => !/\/\d+$/.test(each.pointer)).slice(0, FIGURES_MAX);
  const left = figures.length - listed.length + more;
  return html`
    <nav class="crumbs" aria-label="Where you are"><a href="#/executions">History</a><${Icon} name="chevron" size=${14} /><span>Compare</span></nav>
    <${Heading} title=${html`Compare<span class="pills"><${Badge} tone=${same ? "good" : "warn"}>${same ? "same answer" : "different answers"}<//></span>`} subtitle=${same ? "Both have the same digest: pattern, inputs, pins and every step agree." : "What went in differs above, what came out below."} />
    <div class="versus"><${Side} of=${data.first} /><${Icon} name="chevron" /><${Side} of=${data.second} /></div>
    ${same && !figures.length && html`<${Empty} icon="check" title="Nothing differs">The two answers are the same, byte for byte.<//>`}
    ${causes.length > 0 && html`
      <${Panel} title="Why" subtitle=${`${causes.length} ${causes.length === 1 ? "cause" : "causes"}`}>
        <ul class="rows">${causes.map((cause) => html`<li key=${cause.id} class="cause"><${Badge} tone="warn">${cause.id}<//><div class="grow"><p class="wrap">${told(cause.text)}</p>
          ${cause.details.length > 0 && html`<details><summary>${cause.details.length} ${cause.details.length === 1 ? "detail" : "details"}</summary><ul class="plain">${cause.details.map((text) => html`<li>${told(text)}</li>`)}</ul></details>`}</div></li>`)}</ul>
      <//>`}
    <${Changes} title="Pattern" rows=${data.pattern} />
    <${Changes} title="Data versions" rows=${data.pins} />
    <${Changes} title="Inputs" rows=${data.inputs} />
    ${steps.length > 0 && html`
      <${Panel} title="Steps" subtitle=${differ(steps)}>
        <div class="scroll" tabindex="0" role="region" aria-label="Steps that differ"><table>
          <thead><tr><th scope="col" class="text">Step</th><th scope="col" class="text">What differs</th><th scope="col" class="text">Because of</th></tr></thead>
          <tbody>${steps.map((step) => html`<tr key=${step.step_id}><th scope="row" class="text">${STEPS[step.step_id] || step.step_id}</th>
            <td class="text"><span class="causes">${step.what.map((what) => html`<${Badge} tone=${what === "status" ? "bad" : ""}>${what === "status" ? `${step.a || "absent"} → ${step.b || "absent"}` : told(what)}<//>`)}</span></td><td class="text"><${Because} causes=${step.causes} /></td></tr>`)}</tbody>
        </table></div>
      <//>`}
    ${figures.length > 0 && html`
      <${Panel} title="Figures" subtitle=${differ(figures, more)}>
        <div class="scroll" tabindex="0" role="region" aria-label="Figures that differ"><table>
          <thead><tr><th scope="col" class="text">Name</th><th scope="col">First</th><th scope="col">Second</th><th scope="col">Change</th><th scope="col" class="text">Because of</th></tr></thead>
          <tbody>${listed.map((row) => html`<tr key=${row.pointer}><th scope="row" class="text wrap"><code>${path(row.pointer)}</code>${row.label && html`<span class="sub">${row.label}</span>`}</th>
            <td class="was value">${shown(row.a)}</td><td class="changed value">${shown(row.b)}</td><td>${signed(row.delta)}</td><td class="text"><${Because} causes=${row.causes} /></td></tr>`)}</tbody>
        </table></div>
        ${left > 0 && html`<p class="footnote">and ${left} more, values of series among them</p>`}
      <//>`}`;
};

const differ = (rows, more = 0) => `${rows.length + more} ${rows.length + more === 1 ? "differs" : "differ"}`;

const Because = ({ causes }) => (causes.length ? html`<span class="causes">${causes.map((id) => html`<${Badge} tone="">${id}<//>`)}</span>` : html`<span class="muted">not known</span>`);

const Side = ({ of }) => html`
  <a class="card" href="#/executions/${of.execution_id}">
    <div class="label"><span>${words(of.pattern_id)}</span><${Badge} status=${of.status} /></div>
    <div><b>${of.asof ? day(of.asof) : "no day"}</b> <code class="small">${of.execution_id.slice(0, 8)}</code></div>
    <div class="note">${moment(of.finished_at_ms)}</div>
  </a>`;

const Changes = ({ title, rows }) =>
  rows.length > 0 &&
  html`
    <${Panel} title=${title} subtitle=${differ(rows)}>
      <div class="scroll" tabindex="0" role="region" aria-label=${`${title} that differ`}><table>
        <thead><tr><th scope="col" class="text">Name</th><th scope="col" class="text">First</th><th scope="col" class="text">Second</th></tr></thead>
        <tbody>${rows.map((row) => html`<tr key=${row.name}><th scope="row" class="text wrap"><code>${row.name}</code></th><td class="was text wrap">${shown(row.a)}</td><td class="changed text wrap">${shown(row.b)}</td></tr>`)}</tbody>
      </table></div>
    <//>`;
