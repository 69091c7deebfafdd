// One execution: live while it runs, its result afterwards.
import { html, useEffect, useMemo, useState } from "../../vendor/htm-preact-3.1.1.module.js";
import { Problem, call, get, portfolios, resultOf, stateOf } from "../api.js";
import { Dag, Legend } from "../dag.js";
import { day, duration, moment, words } from "../format.js";
import { Results } from "../panels.js";
import { go } from "../router.js";
import { notify, store, useStore } from "../store.js";
import { Provenance, StepDrawer, Timeline } from "../trace.js";
import { Badge, Button, Failure, Heading, Icon, Loading, Panel, Tabs, download, useClock, useLoad } from "../ui.js";

const RESULT_PATIENCE_MS = 15_000;
const HELP = {
  PACK_WARMING: "The prices of that day are not final yet. Run it again with “Wait”, or with older prices.",
  NO_PACK: "There are no prices for that day. Choose another day.",
  AGENT_UNAVAILABLE: "A service behind an agent does not answer; its circuit is open. Capabilities shows which, and when it is tried again.",
  STEP_TIMEOUT: "A step got no answer in time. Is an agent for its capability running?",
  DEADLINE_EXCEEDED: "It took longer than its deadline allows.",
  UNKNOWN_PORTFOLIO: "The portfolio does not exist, or is not yours.",
};

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// The result is in the topic before it is in the database; that takes a moment.
async function fetchResult(id) {
  const until = Date.now() + RESULT_PATIENCE_MS;
  for (let wait = 100; ; wait = Math.min(wait * 1.6, 1500)) {
    const found = await resultOf(id);
    if (found) return found;
    if (Date.now() > until) throw new Problem(0, { title: "The result is not stored yet", detail: "The projector is behind; it will be in the history when it has caught up." });
    await pause(wait);
  }
}

export const Execution = ({ id, tab }) => {
  const running = useStore((state) => state.running.get(id));
  const ended = useStore((state) => state.ended.get(id));
  const connection = useStore((state) => state.connection);
  const [first, setFirst] = useState({ loading: true });
  const [result, setResult] = useState(null);
  const [problem, setProblem] = useState(null);

  // What was there before the socket said anything: a finished execution, or one under way.
  useEffect(() => {
    let gone = false;
    setFirst({ loading: true });
    setResult(null);
    setProblem(null);
    get(`/executions/${id}`)
      .then((found) => !gone && setFirst({ found: stateOf(found) }))
      .catch((error) => !gone && setFirst({ missing: error }));
    return () => {
      gone = true;
    };
  }, [id]);
  const over = Boolean(ended) || (!running && first.found && first.found.finished_at_ms != null);
  useEffect(() => {
    if (!over || result) return undefined;
    let gone = false;
    fetchResult(id)
      .then((found) => !gone && (setResult(found), setProblem(null)))
      .catch((error) => !gone && setProblem(error));
    return () => {
      gone = true;
    };
  }, [id, over, ended]);

  const state = result || running || (ended ? { ...first.found, ...ended } : first.found);
  if (!state) {
    if (first.missing && !running) {
      // Just accepted here: the orchestrator has not seen it yet.
      return first.missing.status === 404 && connection === "live" && store.get().submitted.has(id)
        ? html`<${Pending} id=${id} problem=${first.missing} />`
        : html`<${Heading} title="Execution" /><${Failure} problem=${first.missing} />`;
    }
    return html`<${Heading} title="Execution" /><${Loading} rows=${5} />`;
  }
  return html`<${Shown} id=${id} state=${state} result=${result} problem=${problem} tab=${tab} />`;
};

const Pending = ({ id, problem }) => {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 8000);
    return () => clearTimeout(timer);
  }, [id]);
  return html`<${Heading} title="Execution" subtitle=${id} />${late ? html`<${Failure} problem=${problem} />` : html`<p class="muted" role="status">Handed over; waiting for the orchestrator…</p><${Loading} rows=${4} />`}`;
};

const Shown = ({ id, state, result, problem, tab }) => {
  const [step, setStep] = useState(null);
  const [drawer, setDrawer] = useState(false);
  const [diffing, setDiffing] = useState(false);
  const trace = result?.trace;
  const over = Boolean(result) || state.finished_at_ms != null;
  const { data: pattern, loading } = useLoad(() => get(`/patterns/${encodeURIComponent(state.pattern_id)}`).catch(() => null), [state.pattern_id]);
  const { data: known } = useLoad(() => portfolios().catch(() => []), []);
  const steps = useMemo(() => trace?.steps.map(fromTrace) || state.steps || [], [trace, state.steps]);
  const byId = useMemo(() => new Map(steps.map((each) => [each.step_id, each])), [steps]);
  const graph = useMemo(() => fitting(pattern?.graph, steps, state.pattern_id), [pattern, steps.map((each) => each.step_id).join()]);
  // A request may name a portfolio that the pattern does not read.
  const concerned = !pattern || pattern.needs_portfolio || pattern.inputs_schema?.properties?.portfolio_id;
  const portfolio = concerned && known?.find((each) => each.id === (trace?.portfolio_id || state.portfolio_id));
  const chosen = tab || (over ? "result" : "steps");
  const name = pattern?.name || words(state.pattern_id);
  const asof = trace ? trace.asof || trace.asof_requested : state.asof;

  const cancel = async () => {
    try {
      await call(`/executions/${id}`, { method: "DELETE" });
      notify("Cancelling…");
    } catch (error) {
      notify(error.message, "bad");
    }
  };
  const again = () => {
    const search = new URLSearchParams(Object.entries(trace?.inputs || {}).filter(([, value]) => typeof value !== "object").map(([key, value]) => [key, String(value)]));
    if (trace?.asof_requested) search.set("asof", trace.asof_requested);
    go(`/run/${encodeURIComponent(state.pattern_id)}?${search}`);
  };

  return html`
    <nav class="crumbs" aria-label="Where you are"><a href="#/executions">History</a><${Icon} name="chevron" size=${14} /><span class="mono">${id.slice(0, 8)}</span></nav>
    <${Heading} title=${html`${portfolio ? portfolio.name : name}<span class="pills" role="status"><${Badge} status=${state.status} />${trace?.pricing_pack_id && html`<${Badge} status=${trace.stale ? "stale" : "fresh"}>${trace.stale ? "stale prices" : "fresh prices"}<//>`}</span>`} subtitle=${html`${portfolio && html`<span>${name}</span>`}${asof && html`<span>${trace && !trace.asof ? "Asked for" : "As of"} <b>${day(asof)}</b></span>`}${trace?.base_ccy && html`<span>Base currency <b>${trace.base_ccy}</b></span>`}<${Elapsed} state=${state} over=${over} />`}>
      ${!over && html`<${Button} icon="stop" onClick=${cancel}>Cancel<//>`}
      ${over && html`<${Button} icon="retry" onClick=${again}>Run again<//>`}
      ${over && result && html`<${Button} icon="diff" onClick=${() => setDiffing(true)}>Compare<//><${Button} icon="shield" onClick=${() => setDrawer(true)}>Provenance<//>
        <${Button} icon="download" aria-label="Download the result as JSON" title="Download JSON" onClick=${() => download(`${state.pattern_id}-${id.slice(0, 8)}.json`, result)} />`}
    <//>
    ${!over && state.waits_for && html`<div class="notice calm"><${Icon} name="clock" /><p>Waits for ${state.waits_for}</p></div>`}
    ${state.error && html`<${Ending} error=${state.error} status=${state.status} />`}
    ${trace?.stale && html`<div class="notice"><${Icon} name="warn" /><p>These figures rest on the prices of <b>${day(trace.asof)}</b>; asked for was <b>${day(trace.asof_requested)}</b>, whose prices were not final.</p></div>`}
    <${Tabs} label="Parts of the execution" chosen=${chosen} onChoose=${(next) => go(`/executions/${id}?tab=${next}`)}
      tabs=${[...(over ? [["result", "Result"]] : []), ["steps", "Steps"], ...(trace ? [["raw", "JSON"]] : [])]} />
    ${problem && html`<${Failure} problem=${problem} />`}
    ${chosen === "result" && over && (result && !loading ? html`<${Answer} result=${result} hints=${hintsOf(pattern)} />` : !problem && html`<${Loading} rows=${5} />`)}
    ${chosen === "steps" && html`<${Panel} title="Graph" subtitle=${progress(steps)} aside=${html`<${Legend} />`}>${graph ? html`<${Dag} graph=${graph} steps=${byId} onChoose=${setStep} chosen=${step} />` : html`<${Loading} rows=${2} />`}<//>`}
    ${chosen === "steps" && html`<${Panel} title="Timeline"><${Timeline} steps=${steps} from=${state.started_at_ms} to=${over ? state.finished_at_ms : null} onChoose=${setStep} /><//>`}
    ${chosen === "raw" && trace && html`<${Panel} title="Result as JSON"><pre tabindex="0" class="tall">${JSON.stringify({ ...result, charts: `${result.charts.length} charts` }, null, 2)}</pre><//>`}
    ${step && html`<${StepDrawer} node=${graph?.nodes.find((each) => each.id === step)} step=${byId.get(step)} traced=${trace?.steps.find((each) => each.step_id === step)} onClose=${() => setStep(null)} />`}
    ${drawer && result && html`<${Provenance} result=${result} onClose=${() => setDrawer(false)} />`}
    ${diffing && html`<${Chooser} id=${id} pattern=${state.pattern_id} onClose=${() => setDiffing(false)} />`}`;
};

// Panels the pattern asks for; a presentation is free-form JSON.
const hintsOf = (pattern) => {
  const panels = pattern?.presentation?.panels;
  return Array.isArray(panels) ? panels.filter((each) => each && typeof each === "object") : [];
};

const Answer = ({ result, hints }) => {
  const warnings = result.trace.warnings || [];
  const empty = !Object.keys(result.data || {}).length && !result.charts?.length;
  return html`
    ${empty ? html`<p class="muted">There is no output${result.error ? ": it ended before one was made." : "."}</p>` : html`<${Results} result=${result} hints=${hints} />`}
    ${warnings.length > 0 && html`<${Panel} title="Good to know"><ul class="bullets">${warnings.map((text) => html`<li>${text}</li>`)}</ul><//>`}`;
};

const Ending = ({ error, status }) => {
  const body = typeof error === "object" ? error : { message: error };
  return html`
    <div class="notice bad" role="alert"><${Icon} name="warn" /><div><strong>${words(status)}${body.code && html` <code>${body.code}</code>`}</strong><p>${body.message}</p>${HELP[body.code] && html`<p>${HELP[body.code]}</p>`}</div></div>`;
};

const Elapsed = ({ state, over }) => {
  const now = useClock(!over, 100);
  const end = over ? state.finished_at_ms : now;
  return html`<span title=${moment(state.started_at_ms)}>${over ? "Took" : "Running for"} <b>${duration(Math.max(0, end - state.started_at_ms))}</b></span>`;
};

const Chooser = ({ id, pattern, onClose }) => {
  useEffect(() => {
    notify("Choose a second execution to compare with");
    go(`/executions?compare=${id}&pattern=${encodeURIComponent(pattern)}`);
    onClose();
  }, []);
  return null;
};

const fromTrace = (step) => ({
  ...step,
  attempt: step.attempts,
  items: step.items ? [step.items.count, step.items.succeeded + step.items.failed + step.items.cancelled] : null,
  error: step.error?.message,
  error_code: step.error?.code,
});

const progress = (steps) => {
  const done = steps.filter((step) => step.finished_at_ms != null || step.status === "skipped").length;
  return steps.length ? `${done} of ${steps.length} steps done` : "";
};

// The pattern may not be known (yet), or its newest version have other steps than this execution; then these stand in
// a row, and what they read of each other is not drawn.
function fitting(graph, steps, name) {
  if (graph && (!steps.length || steps.every((step) => step.step_id.startsWith("$undo") || graph.nodes.some((node) => node.id === step.step_id)))) return graph;
  if (!steps.length) return null;
  const nodes = steps.map((step) => ({ id: step.step_id, as: step.as || step.step_id, capability: step.capability || "", output: false }));
  return { name, nodes, edges: nodes.slice(1).map((node, at) => ({ from: nodes[at].id, to: node.id, kind: "unknown" })) };
}
