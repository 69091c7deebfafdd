// Is an answer what it says it is? Its digests checked, and every step computed again, as the command line does it.
import { html, useState } from "../vendor/htm-preact-3.1.1.module.js";
import { call } from "./api.js";
import { Badge, Button, Failure } from "./ui.js";

const OUTCOMES = {
  same: ["good", "the same again"],
  differs: ["bad", "something differs"],
  code_version_unavailable: ["warn", "other code here"],
  incomplete: ["warn", "not everything was kept"],
};
const VERDICTS = { same: "good", stored: "", differs: "bad" };

// One question to the gateway, asked when somebody wants to know.
function useQuestion(ask) {
  const [state, set] = useState({});
  const run = async () => {
    set({ busy: true });
    try {
      const { status, data } = await ask();
      set(status === 200 ? { data } : { problem: { message: "It has not ended yet. Try again in a moment." } });
    } catch (problem) {
      set({ problem });
    }
  };
  return [state, run];
}

export const Reproduce = ({ id }) => {
  const [check, runCheck] = useQuestion(() => call(`/executions/${id}/verification`));
  const [replay, runReplay] = useQuestion(() => call(`/executions/${id}/replay`, { method: "POST" }));
  return html`
    <h3>Check it</h3>
    <div class="actions">
      <${Button} icon="shield" disabled=${check.busy} onClick=${runCheck}>Check digests<//>
      <${Button} icon="retry" disabled=${replay.busy} onClick=${runReplay}>${replay.busy ? "Recomputing…" : "Recompute"}<//>
    </div>
    <div role="status">
      ${check.data && html`<${Check} found=${check.data} />`}
      ${replay.data && html`<${Replay} found=${replay.data} />`}
    </div>
    ${[check, replay].map((each) => each.problem && html`<${Failure} problem=${each.problem} />`)}`;
};

const Check = ({ found }) => html`
  <p class="verdict"><${Badge} tone=${found.sound ? "good" : "bad"}>${found.sound ? "digests fit" : "changed"}<//>
    ${`${found.figures} outputs, ${found.arguments} sets of arguments and ${found.steps} steps were checked.`}</p>
  <${Findings} findings=${found.findings} />
  ${found.unchecked.length > 0 && html`<p class="footnote">${`${found.unchecked.length} values are not kept any more and were not checked.`}</p>`}`;

const Replay = ({ found }) => {
  const [tone, text] = OUTCOMES[found.outcome];
  return html`
    <p class="verdict"><${Badge} tone=${tone}>${text}<//> ${found.first_difference ? html`First at step <b>${found.first_difference}</b>: ${found.message}` : found.message || "Every step gives the recorded digest."}</p>
    <${Findings} findings=${found.findings} />
    ${found.steps.length > 0 && html`
      <table class="compact"><tbody>${found.steps.map((step) => html`
        <tr key=${step.step_id}><th scope="row" class="text">${step.step_id}</th><td class="text"><code>${step.capability}@${step.version}</code></td><td><${Badge} tone=${VERDICTS[step.verdict] ?? "warn"} title=${step.message}>${step.verdict.replace(/_/g, " ")}<//></td></tr>`)}</tbody></table>`}`;
};

const Findings = ({ findings }) => findings.length > 0 && html`<ul>${findings.map((each) => html`<li><code>${each.pointer || "/"}</code> ${each.message}</li>`)}</ul>`;
