// What agents can do, and whether the services behind them answer.
import { html, useEffect, useState } from "../../vendor/htm-preact-3.1.1.module.js";
import { get } from "../api.js";
import { words } from "../format.js";
import { Badge, Empty, Failure, Heading, Icon, Loading, Panel, useLoad } from "../ui.js";

const AGAIN_MS = 10_000;

const flat = (data) =>
  Object.entries(data?.agents || {}).flatMap(([agent, each]) => Object.entries(each.capabilities).map(([name, about]) => ({ ...about, name, agent })));

const counted = (count) => (count === 1 ? "1 capability" : `${count} capabilities`);

export const Capabilities = () => {
  const { data, problem, loading, reload } = useLoad(async () => {
    const [found, health] = await Promise.all([get("/capabilities"), get("/circuits")]);
    return { ...found, circuits: health.circuits };
  }, []);
  const [search, setSearch] = useState("");
  useEffect(() => {
    const timer = setInterval(reload, AGAIN_MS);
    return () => clearInterval(timer);
  }, []);
  const capabilities = flat(data).filter((each) => `${each.name} ${each.summary || ""} ${each.agent}`.toLowerCase().includes(search.toLowerCase()));
  const agents = [...new Set(capabilities.map((each) => each.agent))];
  const circuits = data?.circuits || [];
  return html`
    <${Heading} title="Capabilities" subtitle="What steps of a pattern can ask for, and the agents that do it.">
      <label class="searchbox"><${Icon} name="search" size=${16} /><span class="sr">Search capabilities</span><input type="search" data-search placeholder="Search capabilities" value=${search} onInput=${(event) => setSearch(event.target.value)} /></label>
    <//>
    ${problem && html`<${Failure} problem=${problem} retry=${reload} />`}
    ${loading && html`<${Loading} rows=${5} />`}
    ${circuits.length > 0 && html`
      <section class="group"><h2 class="eyebrow">Services behind the agents</h2>
        <div class="circuits">${circuits.map((circuit) => html`
          <div class="card" key=${circuit.circuit}><div class="label"><span>${circuit.circuit.split("/").map(words).join(" → ")}</span><${Badge} status=${circuit.state} /></div>
          <div class="note">${circuit.state === "closed" ? (circuit.failures ? `${circuit.failures} ${circuit.failures === 1 ? "failure" : "failures in a row"}` : "answers") : circuit.retry_in_s ? `tried again in ${Math.ceil(circuit.retry_in_s)} s` : "one call is let through to try it"}</div></div>`)}</div>
      </section>`}
    ${data && !capabilities.length && html`<${Empty} icon="capabilities" title="No capability fits">Try another word.<//>`}
    ${agents.map((agent) => html`
      <${Panel} key=${agent} title=${words(agent)} subtitle=${counted(capabilities.filter((each) => each.agent === agent).length)} kind="flush">
        <div class="scroll" tabindex="0" role="region" aria-label=${`Capabilities of ${agent}`}>
          <table class="list">
            <thead><tr><th scope="col" class="text">Capability</th><th scope="col" class="text">What it does</th><th scope="col" class="text">Rests on</th><th scope="col">Cached</th><th scope="col">Time limit</th></tr></thead>
            <tbody>${capabilities.filter((each) => each.agent === agent).map((each) => html`
              <tr key=${each.name}><th scope="row" class="text"><code>${each.name}@${each.version}</code></th><td class="text wrap">${each.summary || "–"}</td>
              <td class="text">${(each.needs || []).join(", ") || "–"}</td><td>${each.pure === false ? "no" : each.ttl_s ? `${each.ttl_s} s` : "yes"}</td><td>${each.timeout_s ? `${each.timeout_s} s` : "–"}</td></tr>`)}</tbody>
          </table>
        </div>
      <//>`)}`;
};
