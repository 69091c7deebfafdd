// Pricing packs by day, those that are not final first, with the executions that wait for them.
import { html, useEffect, useState } from "../../vendor/htm-preact-3.1.1.module.js";
import { get, query } from "../api.js";
import { day, duration } from "../format.js";
import { replace } from "../router.js";
import { useStore } from "../store.js";
import { Badge, Button, Copy, Empty, Failure, Heading, Loading, Panel, Time, useClock, useLoad } from "../ui.js";

const STATUSES = ["warming", "fresh", "superseded", "failed"];
const ORDER = { warming: 0, failed: 1, fresh: 2, superseded: 3 };
const AGAIN_MS = 5000;

const packOf = (state) => /pricing pack .*?([0-9a-f-]{36})/.exec(state.waits_for || "")?.[1];

export const Packs = ({ place }) => {
  const { status = "" } = place.query;
  const [pages, setPages] = useState([]);
  const running = useStore((state) => state.running);
  const { data, problem, loading, reload } = useLoad(() => get(`/packs${query({ status, limit: 50 })}`), [status]);
  const { data: warm } = useLoad(() => get(`/packs${query({ status: "warming", limit: 50 })}`).catch(() => null), [status]);
  useEffect(() => setPages([]), [status]);
  const waiting = new Map();
  for (const state of running.values()) {
    const pack = state.status === "waiting_for_pack" && packOf(state);
    if (pack) waiting.set(pack, [...(waiting.get(pack) || []), state]);
  }
  useEffect(() => {
    const timer = setInterval(reload, AGAIN_MS);
    return () => clearInterval(timer);
  }, [status]);
  const all = [data, ...pages].flatMap((page) => page?.packs || []);
  const shown = new Map([...(status ? [] : warm?.packs || []), ...all].map((pack) => [pack.pack_id, pack]));
  const current = new Map(all.map((pack) => [pack.pack_id, pack]));
  const packs = [...shown.values()].map((pack) => current.get(pack.pack_id) || pack);
  const first = packs.filter((pack) => ["warming", "failed"].includes(pack.status) || waiting.has(pack.pack_id)).sort((a, b) => ORDER[a.status] - ORDER[b.status] || b.asof_date.localeCompare(a.asof_date));
  const rest = packs.filter((pack) => !first.includes(pack));
  const last = pages.at(-1) || data;
  const more = async () => setPages([...pages, await get(`/packs${query({ status, limit: 50, cursor: last.next_cursor })}`)]);

  return html`
    <${Heading} title="Pricing packs" subtitle="All prices and exchange rates of a day. A pack is final when it is fresh, and never changes afterwards.">
      <label><span class="sr">Status</span><select value=${status} onChange=${(event) => replace(`/packs${query({ status: event.target.value })}`)}><option value="">Any status</option>${STATUSES.map((each) => html`<option value=${each}>${each}</option>`)}</select></label>
    <//>
    ${problem && html`<${Failure} problem=${problem} retry=${reload} />`}
    ${loading && html`<${Loading} rows=${5} />`}
    ${data && !packs.length && html`<${Empty} icon="packs" title="No packs here">${status ? html`None is ${status}. <a href="#/packs">Show all</a>` : html`<code>dawsos packs build</code> makes them from price files.`}<//>`}
    ${first.length > 0 && html`<section class="group"><h2 class="eyebrow">Not final, or waited for</h2><div class="warmers">${first.map((pack) => html`<${Warming} key=${pack.pack_id} pack=${pack} waiting=${waiting.get(pack.pack_id) || []} />`)}</div></section>`}
    ${rest.length > 0 && html`
      <${Panel} kind="flush">
        <div class="scroll" tabindex="0" role="region" aria-label="Packs">
          <table class="list">
            <thead><tr><th scope="col" class="text">Day</th><th scope="col" class="text">Policy</th><th scope="col">Revision</th><th scope="col" class="text wide-only">Status</th><th scope="col" class="text">Content digest</th></tr></thead>
            <tbody>${rest.map((pack) => html`
              <tr key=${pack.pack_id}><th scope="row" class="text">${day(pack.asof_date)}<span class="narrow-only"><${Badge} status=${pack.status} /></span></th><td class="text">${pack.policy}</td><td>${pack.revision}</td><td class="text wide-only"><${Badge} status=${pack.status} /></td>
              <td class="text">${pack.content_sha256 ? html`<code title=${pack.content_sha256}>${pack.content_sha256.slice(0, 16)}…</code>` : html`<span class="muted">not frozen yet</span>`}</td></tr>`)}</tbody>
          </table>
        </div>
      <//>
      ${last?.next_cursor && html`<div class="centre"><${Button} onClick=${more}>Show more<//></div>`}`}`;
};

const Warming = ({ pack, waiting }) => {
  const now = useClock(waiting.length > 0, 1000);
  return html`
    <${Panel} title=${day(pack.asof_date)} subtitle=${`${pack.policy}, revision ${pack.revision}`} aside=${html`<${Badge} status=${pack.status} />`}>
      ${pack.failure && html`<p class="muted">${pack.failure}</p>`}
      <p class="muted">${waiting.length ? `${waiting.length} of your executions ${waiting.length === 1 ? "waits" : "wait"} for it` : pack.status === "warming" ? "Nothing of yours waits for it." : ""}</p>
      ${waiting.length > 0 && html`<ul class="plain rows">${waiting.map((state) => html`<li key=${state.execution_id}><a href="#/executions/${state.execution_id}">${state.pattern_id}</a> <code>${state.execution_id.slice(0, 8)}</code><span class="grow"></span><span class="muted">${duration(now - state.started_at_ms)}</span></li>`)}</ul>`}
      <${Copy} text=${pack.pack_id} label="Pack id" />
      ${pack.created_at && html`<p class="footnote">made <${Time} at=${pack.created_at} /></p>`}
    <//>`;
};
