// What could not be processed, with the reason, and sending it once more.
import { html, useState } from "../../vendor/htm-preact-3.1.1.module.js";
import { get, post, query } from "../api.js";
import { moment } from "../format.js";
import { replace } from "../router.js";
import { isOperator } from "../session.js";
import { notify } from "../store.js";
import { Badge, Button, Drawer, Empty, Facts, Failure, Heading, Loading, Panel, Time, useLoad } from "../ui.js";

export const Letters = ({ place }) => {
  const { waiting = "true" } = place.query;
  const [pages, setPages] = useState([]);
  const [open, setOpen] = useState(null);
  const [chosen, setChosen] = useState([]);
  const [busy, setBusy] = useState(false);
  const allowed = isOperator();
  const { data, problem, loading, reload } = useLoad(() => (allowed ? get(`/dead-letters${query({ waiting: waiting === "all" ? "" : waiting, limit: 50 })}`) : Promise.resolve(null)), [waiting, allowed]);
  if (!allowed) return html`<${Heading} title="Dead letters" /><${Empty} icon="shield" title="For operators">Your role is viewer. Ask someone with the role operator or admin.<//>`;
  const letters = [data, ...pages].flatMap((page) => page?.dead_letters || []);
  const last = pages.at(-1) || data;
  const more = async () => setPages([...pages, await get(`/dead-letters${query({ waiting: waiting === "all" ? "" : waiting, limit: 50, cursor: last.next_cursor })}`)]);
  const show = async (letter) => {
    setOpen(letter);
    try {
      setOpen(await get(`/dead-letters/${letter.id}`));
    } catch (error) {
      notify(error.message, "bad");
    }
  };
  const redrive = async (ids) => {
    setBusy(true);
    let done = 0;
    try {
      for (const id of ids) {
        const { data: outcome } = await post(`/dead-letters/${id}/redrive`);
        if (outcome.redriven) done += 1;
        else notify(`Dead letter ${id}: ${outcome.why}`, "bad");
      }
      if (done) notify(`${done} sent to ${done === 1 ? "its origin" : "their origins"} again`);
    } catch (error) {
      notify(error.message, "bad");
    }
    setChosen([]);
    setOpen(null);
    setPages([]);
    setBusy(false);
    reload();
  };
  return html`
    <${Heading} title="Dead letters" subtitle="Messages that could not be processed. Mend the cause first, then send them once more.">
      <label><span class="sr">Which</span><select value=${waiting} onChange=${(event) => replace(`/letters${query({ waiting: event.target.value })}`)}><option value="true">Waiting</option><option value="false">Sent again</option><option value="all">All</option></select></label>
      <${Button} kind="primary" icon="retry" disabled=${!chosen.length || busy} onClick=${() => redrive(chosen)}>Redrive${chosen.length ? ` ${chosen.length}` : ""}<//>
    <//>
    ${problem && html`<${Failure} problem=${problem} retry=${reload} />`}
    ${loading && html`<${Loading} rows=${5} />`}
    ${data && !letters.length && html`<${Empty} icon="check" title=${waiting === "true" ? "None of yours waits" : "None of yours fits"}>Only dead letters of your tenant are shown here, to an admin of the operations tenant those of all. Messages that name no tenant may wait all the same: <code>dawsos dlq list</code> shows them.<//>`}
    ${letters.length > 0 && html`
      <${Panel} kind="flush">
        <div class="scroll" tabindex="0" role="region" aria-label="Dead letters">
          <table class="list">
            <thead><tr><th scope="col" class="pick"><span class="sr">Choose</span></th><th scope="col" class="text">Reason</th><th scope="col" class="text">Stage</th><th scope="col" class="text">Came from</th><th scope="col" class="text">Arrived</th><th scope="col" class="text">State</th></tr></thead>
            <tbody>${letters.map((letter) => html`
              <tr key=${letter.id}>
                <td class="pick"><input type="checkbox" checked=${chosen.includes(letter.id)} aria-label="Choose dead letter ${letter.id}" onChange=${() => setChosen((old) => (old.includes(letter.id) ? old.filter((id) => id !== letter.id) : [...old, letter.id]))} /></td>
                <th scope="row" class="text wrap"><button type="button" class="link" onClick=${() => show(letter)}>${letter.reason.slice(0, 160)}</button></th>
                <td class="text">${letter.stage}</td>
                <td class="text"><code>${letter.origin_topic}${letter.origin_partition != null ? `/${letter.origin_partition}@${letter.origin_offset}` : ""}</code></td>
                <td class="text"><${Time} at=${letter.arrived_at} /></td>
                <td class="text">${letter.redriven_at ? html`<${Badge} tone="">sent again<//>` : html`<${Badge} tone="warn">waiting<//>`}</td>
              </tr>`)}</tbody>
          </table>
        </div>
      <//>
      ${last?.next_cursor && html`<div class="centre"><${Button} onClick=${more}>Show more<//></div>`}`}
    ${open && html`
      <${Drawer} title="Dead letter ${open.id}" onClose=${() => setOpen(null)}>
        <div class="notice bad"><p>${open.reason}</p></div>
        <${Facts} facts=${[
          ["Stage", open.stage],
          ["Came from", html`<code>${open.origin_topic}${open.origin_partition != null ? ` partition ${open.origin_partition} offset ${open.origin_offset}` : ""}</code>`],
          ["Key", open.key && html`<code>${open.key}</code>`],
          ["Arrived", moment(open.arrived_at)],
          ["Sent again", open.redriven_at && moment(open.redriven_at)],
        ]} />
        ${open.value != null && html`<h3>Message</h3><pre tabindex="0">${pretty(open.value)}</pre>`}
        <${Button} kind="primary" icon="retry" disabled=${busy} onClick=${() => redrive([open.id])}>Redrive<//>
      <//>`}`;
};

function pretty(text) {
  if (typeof text !== "string") return JSON.stringify(text, null, 2);
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
