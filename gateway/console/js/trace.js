// How an answer came about: the steps over time, one step in detail, and where the figures come from.
import { html } from "../vendor/htm-preact-3.1.1.module.js";
import { day, duration, moment, words } from "./format.js";
import { fieldLabel } from "./labels.js";
import { Reproduce } from "./reproduce.js";
import { Badge, Copy, Drawer, Facts, useClock } from "./ui.js";

const title = (name) => (name === "$resolve" ? "resolve pins" : name);

export const Timeline = ({ steps, from, to, skewMs = 0, onChoose }) => {
  const busy = steps.some((step) => ["requested", "retry_wait"].includes(step.status));
  const now = useClock(busy, 200) + skewMs;
  const end = to || Math.max(now, ...steps.map((step) => step.finished_at_ms || 0));
  const all = Math.max(end - from, 1);
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label="Steps over time">
      <table class="timeline">
        <thead><tr><th scope="col" class="text">Step</th><th scope="col" class="text">Capability</th><th scope="col" class="text">Status</th><th scope="col" class="text wide">Time</th><th scope="col">Asked to settled</th></tr></thead>
        <tbody>
          ${steps.map((step) => {
            const until = step.finished_at_ms || (step.started_at_ms ? now : null);
            const left = step.started_at_ms ? ((step.started_at_ms - from) / all) * 100 : 0;
            const width = step.started_at_ms ? Math.max(((until - step.started_at_ms) / all) * 100, 0.6) : 0;
            return html`
              <tr key=${step.step_id}>
                <th scope="row" class="text"><button type="button" class="link" onClick=${() => onChoose?.(step.step_id)}>${title(step.as || step.step_id)}</button></th>
                <td class="text"><code>${step.capability || "–"}</code></td>
                <td class="text"><${Badge} status=${step.status} />${step.cache === "hit" && html` <${Badge} tone="">cached<//>`}</td>
                <td class="text wide"><svg class="gantt" width="100%" height="10" aria-hidden="true"><rect class="track" width="100%" height="10" rx="5" />
                  ${width > 0 && html`<rect class=${`span ${step.status}`} x="${left}%" width="${Math.min(width, 100 - left)}%" height="10" rx="5" />`}</svg></td>
                <td>${step.started_at_ms ? duration(until - step.started_at_ms) : "–"}</td>
              </tr>`;
          })}
        </tbody>
      </table>
    </div>`;
};

export const StepDrawer = ({ node, step, traced, onClose }) => {
  const of = { ...node, ...step, ...traced };
  const error = of.error && typeof of.error === "object" ? of.error : of.error ? { code: of.error_code, message: of.error } : null;
  return html`
    <${Drawer} title=${title(of.as || of.step_id || of.id)} onClose=${onClose}>
      ${error && html`<div class="notice bad"><div><strong>${error.code}</strong><p>${error.message}</p></div></div>`}
      <${Facts} facts=${[
        ["Status", of.status && html`<${Badge} status=${of.status} />`],
        ["Capability", of.capability && html`<code>${of.capability}${of.version ? `@${of.version}` : ""}</code>`],
        ["Agent", of.agent && `${of.agent}${of.agent_version ? ` ${of.agent_version}` : ""}`],
        ["Runs if", of.condition && html`<code>${of.condition}</code>`],
        ["For each of", of.foreach && html`<code>${of.foreach}</code>`],
        ["Undone by", of.undone_by && html`<code>${of.undone_by}</code>`],
        ["Skipped", of.skip_reason],
        ["Attempts", of.attempts || of.attempt],
        ["Started", of.started_at_ms && moment(of.started_at_ms)],
        ["Asked to settled", of.finished_at_ms && of.started_at_ms && duration(of.finished_at_ms - of.started_at_ms)],
        ["Items", of.items && (Array.isArray(of.items) ? `${of.items[1]} of ${of.items[0]}` : `${of.items.succeeded} of ${of.items.count} succeeded`)],
        ["Cache", of.cache],
        ["Data as of", of.asof && day(of.asof)],
        ["Confidence", of.confidence],
        ["Output digest", of.output_digest && html`<${Copy} text=${of.output_digest} label="Output digest" />`],
        ["Arguments digest", of.args_digest && html`<${Copy} text=${of.args_digest} label="Arguments digest" />`],
        ["Step digest", of.digest && traced && html`<${Copy} text=${of.digest} label="Step digest" />`],
      ]} />
      ${of.sources?.length > 0 && html`<h3>Sources</h3><ul class="plain">${of.sources.map((source) => html`<li><code>${source}</code></li>`)}</ul>`}
      ${of.warnings?.length > 0 && html`<h3>Warnings</h3><ul>${of.warnings.map((text) => html`<li>${text}</li>`)}</ul>`}
      ${of.args && html`<h3>Arguments</h3><pre tabindex="0">${JSON.stringify(of.args, null, 2)}</pre>`}
    <//>`;
};

export const Provenance = ({ result, onClose }) => {
  const trace = result.trace;
  const asked = Object.entries(trace.inputs || {})
    .filter(([name, value]) => name !== "portfolio_id" && value !== null && value !== "")
    .map(([name, value]) => [fieldLabel(name), typeof value === "string" ? value : JSON.stringify(value)]);
  return html`
    <${Drawer} title="Provenance" onClose=${onClose}>
      <p class="lead">Everything this answer rests on. The same pins give the same bytes.</p>
      <h3>Answer</h3>
      <${Facts} facts=${[
        ["Digest", html`<${Copy} text=${result.digest} label="Digest" />`],
        ["Execution", html`<${Copy} text=${result.execution_id} label="Execution id" />`],
        ["Request", html`<${Copy} text=${result.request_id} label="Request id" />`],
        ["Finished", moment(result.finished_at_ms)],
      ]} />
      <${Reproduce} id=${result.execution_id} />
      <h3>Pins</h3>
      <${Facts} facts=${[
        ["As of", trace.asof && html`${day(trace.asof)}${trace.stale && html` <${Badge} status="stale" />`}`],
        ["Asked for", trace.asof_requested && trace.asof_requested !== trace.asof && day(trace.asof_requested)],
        ["Pricing pack", trace.pricing_pack_id && html`<${Copy} text=${trace.pricing_pack_id} label="Pack id" />`],
        ["Pack content", trace.pack_sha256 && html`<${Copy} text=${trace.pack_sha256} label="Pack digest" />`],
        ["Ledger commit", trace.ledger_commit_hash && html`<${Copy} text=${trace.ledger_commit_hash} label="Ledger commit" />`],
        ["Pattern", html`<code>${trace.pattern_id}</code>${trace.pattern_version && ` ${trace.pattern_version}`}`],
        ["Pattern digest", trace.pattern_digest && html`<${Copy} text=${trace.pattern_digest} label="Pattern digest" />`],
        ["Portfolio", trace.portfolio_id && html`<${Copy} text=${trace.portfolio_id} label="Portfolio id" />`],
        ["Base currency", trace.base_ccy],
        ["Benchmark", trace.benchmark_id],
      ]} />
      ${asked.length > 0 && html`<h3>Inputs</h3><${Facts} facts=${asked} />`}
      ${trace.per_panel_staleness?.length > 0 && html`
        <h3>Outputs</h3>
        <table class="compact"><tbody>${trace.per_panel_staleness.map((panel) => html`
          <tr><th scope="row" class="text">${words(panel.output)}</th><td class="text"><code>${panel.capability}</code></td><td><${Badge} status=${panel.status} title=${panel.reason}>${panel.asof ? `${panel.status} · ${panel.asof}` : panel.status}<//></td></tr>`)}</tbody></table>`}
      ${trace.sources?.length > 0 && html`<h3>Sources</h3><ul class="plain">${trace.sources.map((source) => html`<li><code>${source}</code></li>`)}</ul>`}
      <h3>Code</h3>
      <ul class="plain">${Object.entries(trace.capabilities || {}).map(([name, version]) => html`<li><code>${name}@${version}</code></li>`)}</ul>
      ${trace.warnings?.length > 0 && html`<h3>Warnings</h3><ul>${trace.warnings.map((text) => html`<li>${text}</li>`)}</ul>`}
    <//>`;
};
