// Choose a pattern, fill in its inputs, run it.
import { html, useEffect, useMemo, useRef, useState } from "../../vendor/htm-preact-3.1.1.module.js";
import { get, patterns, portfolios, post } from "../api.js";
import { Dag, Legend } from "../dag.js";
import { Fields, collect, initial } from "../form.js";
import { short, words } from "../format.js";
import { go } from "../router.js";
import { store } from "../store.js";
import { Badge, Button, Empty, Failure, Heading, Icon, Loading, Panel, useLoad } from "../ui.js";

const GATES = [
  ["reject", "Refuse", "Answer at once that the day's prices are not final."],
  ["wait", "Wait", "Run as soon as the day's prices are final."],
  ["serve_stale", "Use older prices", "Take the newest final prices and label every figure."],
];
const fold = (text) => text.toLowerCase();

export const Patterns = () => {
  const { data, problem, loading, reload } = useLoad(patterns, []);
  const [search, setSearch] = useState("");
  const found = (data || []).filter((each) => fold(`${each.id} ${each.name} ${each.description} ${each.category}`).includes(fold(search)));
  const groups = Map.groupBy ? Map.groupBy(found, (each) => each.category || "other") : new Map([["", found]]);
  return html`
    <${Heading} title="Run a pattern" subtitle="A pattern says what is computed; every answer names the data it rests on.">
      ${data?.length > 4 && html`<label class="searchbox"><${Icon} name="search" size=${16} /><span class="sr">Search patterns</span><input type="search" placeholder="Search patterns" value=${search} data-search onInput=${(event) => setSearch(event.target.value)} /></label>`}
    <//>
    ${problem && html`<${Failure} problem=${problem} retry=${reload} />`}
    ${loading && html`<${Loading} rows=${2} />`}
    ${data && !found.length && html`<${Empty} icon="patterns" title=${data.length ? "No pattern fits" : "There are no patterns yet"}>${data.length ? "Try another word." : html`Put a pattern file into a folder named by <code>DAWSOS_PATTERNS</code>.`}<//>`}
    ${[...groups].map(([category, each]) => html`
      <section key=${category} class="group"><h2 class="eyebrow">${words(category)}</h2>
        <ul class="gallery">${each.map((pattern) => html`
          <li key=${pattern.id}><a class="tile" href="#/run/${encodeURIComponent(pattern.id)}">
            <span class="medallion"><${Icon} name="patterns" /></span>
            <span class="grow"><strong>${pattern.name}</strong><span>${pattern.description}</span><code>${pattern.id} · ${short(pattern.digest, 12)}</code></span>
            <${Icon} name="chevron" />
          </a></li>`)}</ul>
      </section>`)}`;
};

export const RunForm = ({ id, given }) => {
  const { data, problem, loading, reload } = useLoad(async () => {
    const [pattern, known] = await Promise.all([get(`/patterns/${encodeURIComponent(id)}`), portfolios().catch(() => null)]);
    return { pattern, known };
  }, [id]);
  if (problem) return html`<${Heading} title="Run a pattern" /><${Failure} problem=${problem} retry=${reload} />`;
  if (loading) return html`<${Heading} title="Run a pattern" /><${Loading} rows=${4} />`;
  return html`<${Form} key=${id} pattern=${data.pattern} known=${data.known} given=${given} />`;
};

const Form = ({ pattern, known, given }) => {
  const schema = pattern.inputs_schema;
  const [values, setValues] = useState(() => start(schema, known, given));
  const [faults, setFaults] = useState({});
  const [asof, setAsof] = useState(given.asof || "");
  const [gate, setGate] = useState(given.gate || "reject");
  const [waitS, setWaitS] = useState(60);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(null);
  const form = useRef(null);
  const properties = Object.keys(schema.properties || {});

  const submit = async (event) => {
    event?.preventDefault();
    const { inputs, faults: wrong } = collect(schema, values);
    setFaults(wrong);
    setProblem(null);
    if (Object.keys(wrong).length) {
      requestAnimationFrame(() => form.current?.querySelector("[aria-invalid=true]")?.focus());
      return;
    }
    setBusy(true);
    try {
      const body = { pattern_id: pattern.id, inputs };
      if (pinned) body.gate = gate === "wait" ? { policy: gate, wait_s: Number(waitS) } : { policy: gate };
      if (pinned && asof) body.asof = asof;
      const { data } = await post("/execute", body, { headers: { Prefer: "respond-async", "Idempotency-Key": crypto.randomUUID() } });
      store.set(({ submitted }) => ({ submitted: new Set(submitted).add(data.execution_id) }));
      go(`/executions/${data.execution_id}`);
    } catch (error) {
      setProblem(error);
      setFaults(Object.fromEntries(error.errors?.map((fault) => [fault.pointer.split("/").at(-1), fault.detail]) || []));
      setBusy(false);
    }
  };
  useEffect(() => {
    const keys = (event) => (event.ctrlKey || event.metaKey) && event.key === "Enter" && form.current?.requestSubmit();
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, []);
  const graph = useMemo(() => pattern.graph, [pattern.digest]);
  // What reads no prices has no day and no gate.
  const pinned = graph.nodes.some((node) => node.id === "$resolve");

  return html`
    <nav class="crumbs" aria-label="Where you are"><a href="#/run">Patterns</a><${Icon} name="chevron" size=${14} /><span>${pattern.name}</span></nav>
    <${Heading} title=${pattern.name} subtitle=${pattern.description}><${Badge} tone="plain" title=${pattern.digest}>${short(pattern.digest, 12)}<//><//>
    <div class="split">
      <form class="panel" ref=${form} onSubmit=${submit} noValidate>
        <header><div><h2>Inputs</h2></div></header>
        ${problem && html`<${Failure} problem=${problem} />`}
        ${!properties.length && html`<p class="muted">This pattern needs no inputs.</p>`}
        <${Fields} schema=${schema} values=${values} faults=${faults} onChange=${setValues} portfolios=${known} />
        ${pinned && html`<div class="field">
          <label for="asof">As of <span class="muted">optional</span></label>
          <input id="asof" type="date" value=${asof} onInput=${(event) => setAsof(event.target.value)} />
          <p class="hint">Without a day: the newest one, even while its prices are warming.</p>
        </div>
        <fieldset class="choices">
          <legend>If the day's prices are still warming</legend>
          ${GATES.map(([value, label, text]) => html`
            <label key=${value} class=${gate === value ? "chosen" : ""}><input type="radio" name="gate" value=${value} checked=${gate === value} onChange=${() => setGate(value)} /><span><b>${label}</b><small>${text}</small></span></label>`)}
        </fieldset>`}
        ${pinned && gate === "wait" && html`<div class="field"><label for="wait">Wait at most, seconds</label><input id="wait" type="number" min="1" max="86400" value=${waitS} onInput=${(event) => setWaitS(event.target.value)} /></div>`}
        <div class="submit"><${Button} kind="primary" icon="run" type="submit" disabled=${busy}>${busy ? "Starting…" : "Run"}<//><kbd>Ctrl ↵</kbd></div>
      </form>
      <${Panel} title="What happens" subtitle=${`${graph.nodes.length} steps`} aside=${html`<${Legend} />`}><${Dag} graph=${graph} /><//>
    </div>`;
};

function start(schema, known, given) {
  const values = { ...initial(schema) };
  if (known?.length && schema.properties?.portfolio_id) values.portfolio_id = known[0].id;
  for (const name of Object.keys(schema.properties || {})) if (given[name] !== undefined) values[name] = given[name];
  return values;
}
