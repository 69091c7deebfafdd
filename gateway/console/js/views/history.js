// Every execution: those under way first, then the finished ones, with search and comparison.
import { html, useEffect, useMemo, useState } from "../../vendor/htm-preact-3.1.1.module.js";
import { get, patterns, portfolios, query } from "../api.js";
import { duration, words } from "../format.js";
import { go, replace } from "../router.js";
import { useStore } from "../store.js";
import { Badge, Button, Empty, Failure, Heading, Icon, Loading, Panel, Time, useClock, useLoad } from "../ui.js";

const STATUSES = ["succeeded", "failed", "rejected", "cancelled", "timed_out"];
const PAGE = 25;

export const History = ({ place }) => {
  const { status = "", pattern = "", q = "", compare = "" } = place.query;
  const [text, setText] = useState(q);
  const [pages, setPages] = useState([]);
  const [chosen, setChosen] = useState(compare ? [compare] : []);
  const { data: names } = useLoad(() => patterns().catch(() => []), []);
  const { data: owned } = useLoad(() => portfolios().catch(() => []), []);
  const running = useStore((state) => state.running);
  const ended = useStore((state) => state.ended);
  const filter = { status, pattern_id: pattern, q, limit: PAGE };
  const { data, problem, loading, reload } = useLoad(() => get(`/executions${query(filter)}`), [status, pattern, q]);
  useEffect(() => setPages([]), [status, pattern, q]);
  useEffect(() => {
    // The database follows the topic by a moment.
    const timer = setTimeout(reload, 400);
    return () => clearTimeout(timer);
  }, [ended]);
  useEffect(() => {
    if (text === q) return undefined;
    const timer = setTimeout(() => change({ q: text }), 250);
    return () => clearTimeout(timer);
  }, [text]);
  const change = (fields) => replace(`/executions${query({ status, pattern, q, compare, ...fields })}`);
  const portfolio = useMemo(() => new Map((owned || []).map((each) => [each.id, each.name])), [owned]);
  const known = useMemo(() => new Map((names || []).map((each) => [each.id, each.name])), [names]);

  const finished = [data, ...pages].flatMap((page) => page?.executions || []).filter((each) => !running.has(each.execution_id) && STATUSES.includes(each.status));
  const live = [...running.values()]
    .filter((each) => (!status || each.status === status) && (!pattern || each.pattern_id === pattern) && (!q || JSON.stringify(each).toLowerCase().includes(q.toLowerCase())))
    .sort((a, b) => b.started_at_ms - a.started_at_ms);
  const last = pages.at(-1) || data;
  const more = async () => {
    const next = await get(`/executions${query({ ...filter, cursor: last.next_cursor })}`);
    setPages([...pages, next]);
  };
  const toggle = (id) => setChosen((old) => (old.includes(id) ? old.filter((each) => each !== id) : [...old.slice(-1), id]));
  const filtered = Boolean(status || pattern || q);
  const row = (each) => html`<${Row} key=${each.execution_id} each=${each} name=${known.get(each.pattern_id)} portfolio=${portfolio.get(each.portfolio_id)} chosen=${chosen.includes(each.execution_id)} onToggle=${toggle} />`;

  return html`
    <${Heading} title="History" subtitle="Your executions, the newest first. Choose two to see what differs.">
      ${chosen.length > 0 && html`<span class="muted">${chosen.length} of 2 chosen</span><${Button} kind="primary" icon="diff" disabled=${chosen.length !== 2} onClick=${() => go(`/diff/${chosen[0]}/${chosen[1]}`)}>Compare<//>`}
    <//>
    <div class="filters" role="search">
      <label class="searchbox grow"><${Icon} name="search" size=${16} /><span class="sr">Search</span><input type="search" data-search placeholder="Execution, request, pattern or error" value=${text} onInput=${(event) => setText(event.target.value)} /></label>
      <label><span class="sr">Status</span><select value=${status} onChange=${(event) => change({ status: event.target.value })}><option value="">Any status</option>${STATUSES.map((each) => html`<option value=${each}>${words(each)}</option>`)}</select></label>
      <label><span class="sr">Pattern</span><select value=${pattern} onChange=${(event) => change({ pattern: event.target.value })}><option value="">Any pattern</option>${(names || []).map((each) => html`<option value=${each.id}>${each.name}</option>`)}</select></label>
    </div>
    ${problem && html`<${Failure} problem=${problem} retry=${reload} />`}
    ${loading && html`<${Loading} rows=${6} />`}
    ${!loading && !problem && !finished.length && !live.length && html`
      <${Empty} icon="history" title=${filtered ? "Nothing fits" : "Nothing has run yet"}>${filtered ? html`Other filters may help. <a href="#/executions">Show all</a>` : html`<a href="#/run">Run a pattern</a> and it will be here.`}<//>`}
    ${(finished.length > 0 || live.length > 0) && html`
      <${Panel} kind="flush">
        <div class="scroll" tabindex="0" role="region" aria-label="Executions">
          <table class="list">
            <thead><tr><th scope="col" class="pick"><span class="sr">Choose</span></th><th scope="col" class="text">Pattern</th><th scope="col" class="text">Portfolio</th><th scope="col" class="text wide-only">Status</th><th scope="col" class="text">As of</th><th scope="col" class="text">Started</th><th scope="col">Took</th></tr></thead>
            <tbody>${live.map(row)}${finished.map(row)}</tbody>
          </table>
        </div>
      <//>
      ${last?.next_cursor && html`<div class="centre"><${Button} onClick=${more}>Show more<//></div>`}`}`;
};

const at = (each, name) => each[`${name}_ms`] ?? (each[name] ? Date.parse(each[name]) : null);

const Row = ({ each, name, portfolio, chosen, onToggle }) => {
  const id = each.execution_id;
  const finished = at(each, "finished_at");
  const started = at(each, "started_at");
  const now = useClock(!finished, 200);
  const error = each.error_code || each.error?.code;
  // Below the name where the column would be beyond a phone's edge.
  const status = html`<${Badge} status=${each.status} />${error && error !== "CANCELLED" && html` <code class="small">${error}</code>`}`;
  return html`
    <tr class=${chosen ? "chosen" : ""} data-execution=${id}>
      <td class="pick"><input type="checkbox" checked=${chosen} disabled=${!finished} aria-label="Choose ${id.slice(0, 8)} to compare" onChange=${() => onToggle(id)} /></td>
      <th scope="row" class="text"><a href="#/executions/${id}">${name || each.pattern_id}</a><span class="sub mono">${id.slice(0, 8)}</span><span class="narrow-only">${status}</span></th>
      <td class="text">${portfolio || (each.portfolio_id ? html`<code>${each.portfolio_id.slice(0, 8)}</code>` : "–")}</td>
      <td class="text wide-only">${status}</td>
      <td class="text">${each.asof || "–"}</td>
      <td class="text"><${Time} at=${started} /></td>
      <td>${duration((finished || now) - started)}</td>
    </tr>`;
};
