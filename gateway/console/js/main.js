// The frame around the views: navigation, session, keys.
import { html, render, useEffect, useErrorBoundary, useRef, useState } from "../vendor/htm-preact-3.1.1.module.js";
import * as live from "./live.js";
import { go, usePlace } from "./router.js";
import { end, restore } from "./session.js";
import { store, useStore } from "./store.js";
import { Button, Drawer, Empty, Failure, Icon } from "./ui.js";
import { Capabilities } from "./views/capabilities.js";
import { Diff } from "./views/diff.js";
import { Execution } from "./views/execution.js";
import { History } from "./views/history.js";
import { Letters } from "./views/letters.js";
import { Login, takeCode } from "./views/login.js";
import { Packs } from "./views/packs.js";
import { Patterns, RunForm } from "./views/run.js";

const NAV = [
  ["run", "Run", "run"], ["executions", "History", "history"], ["packs", "Packs", "packs"],
  ["capabilities", "Capabilities", "capabilities"], ["letters", "Dead letters", "letters"],
];
const CONNECTION = {
  live: ["good", "Live"], connecting: ["busy", "Connecting"], waiting: ["warn", "Reconnecting"], off: ["", "Off"],
};
const KEYS = [
  ["/", "Search"], ["g r", "Run a pattern"], ["g h", "History"], ["g p", "Pricing packs"], ["g c", "Capabilities"],
  ["g d", "Dead letters"], ["Ctrl Enter", "Run what is filled in"], ["t", "Light or dark"], ["?", "These keys"],
];

function view(place) {
  const [area, id, other] = place.parts;
  if (area === "run" && id) return html`<${RunForm} key=${id} id=${id} given=${place.query} />`;
  if (!area || area === "run") return html`<${Patterns} />`;
  if (area === "executions" && id) return html`<${Execution} key=${id} id=${id} tab=${place.query.tab} />`;
  if (area === "executions") return html`<${History} place=${place} />`;
  if (area === "diff" && id && other) return html`<${Diff} key=${`${id} ${other}`} a=${id} b=${other} />`;
  if (area === "packs") return html`<${Packs} place=${place} />`;
  if (area === "capabilities") return html`<${Capabilities} />`;
  if (area === "letters") return html`<${Letters} place=${place} />`;
  return html`<${Empty} title="There is nothing at this address"><a href="#/run">Run a pattern</a> or look at the <a href="#/executions">history</a>.<//>`;
}

const toggleTheme = () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("dawsos.theme", dark ? "light" : "dark");
  } catch {
    // It holds until the page is closed.
  }
};

const Guarded = ({ children }) => {
  const [error, reset] = useErrorBoundary((caught) => console.error(caught));
  return error ? html`<${Failure} problem=${{ title: "This view failed", message: String(error.message || error) }} retry=${reset} />` : children;
};

const Status = () => {
  const connection = useStore((state) => state.connection);
  const count = useStore((state) => state.running.size);
  const [tone, label] = CONNECTION[connection];
  return html`<span class="connection ${tone}" role="status" data-connection=${connection} title="Connection for live updates"><i></i>${label}${connection === "live" && count > 0 ? ` · ${count} running` : ""}</span>`;
};

const Notices = () => {
  const notices = useStore((state) => state.notices);
  return html`<div class="toasts" role="status" aria-live="polite">${notices.map((notice) => html`<div key=${notice.id} class="toast ${notice.kind}">${notice.text}</div>`)}</div>`;
};

const Frame = ({ session }) => {
  const place = usePlace();
  const [menu, setMenu] = useState(false);
  const [help, setHelp] = useState(false);
  const main = useRef(null);
  const area = place.parts[0] || "run";
  const path = place.parts.join("/");
  useEffect(() => {
    setMenu(false);
    scrollTo(0, 0);
    document.title = `${NAV.find(([name]) => name === area)?.[1] || "Console"} · DawsOS`;
  }, [path]);
  useEffect(() => {
    let before = "";
    const keys = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
      const target = before === "g" ? { r: "/run", h: "/executions", p: "/packs", c: "/capabilities", d: "/letters" }[event.key] : null;
      before = event.key;
      if (target) go(target);
      else if (event.key === "/") {
        const search = document.querySelector("[data-search]");
        if (search) {
          event.preventDefault();
          search.focus();
        } else go("/executions");
      } else if (event.key === "?") setHelp(true);
      else if (event.key === "t") toggleTheme();
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, []);
  return html`
    <button type="button" class="skip-link" onClick=${() => main.current.focus()}>Skip to the content</button>
    <div class="shell ${menu ? "open" : ""}">
      <aside class="sidebar">
        <a class="brand" href="#/run" aria-label="DawsOS, to the start"><img src="icon.svg" alt="" width="26" height="26" /><b>DawsOS</b></a>
        <nav aria-label="Main">${NAV.map(([name, label, icon]) => html`<a key=${name} href="#/${name}" aria-current=${area === name || (name === "executions" && area === "diff") ? "page" : undefined}><${Icon} name=${icon} /><span>${label}</span></a>`)}</nav>
        <div class="who"><span class="avatar" aria-hidden="true">${(session.name || session.tenant || "?").slice(0, 1).toUpperCase()}</span><span class="grow"><b>${session.name || session.user.slice(0, 8)}</b><small>${session.tenant} · ${session.role}</small></span>
          <button type="button" class="quiet" aria-label="Log out" title="Log out" onClick=${() => end()}><${Icon} name="out" /></button></div>
      </aside>
      <div class="page">
        <div class="topbar">
          <button type="button" class="quiet menu" aria-label="Menu" aria-expanded=${menu} onClick=${() => setMenu(!menu)}><${Icon} name="menu" /></button>
          <span class="grow"></span><${Status} />
          <button type="button" class="quiet" aria-label="Keys" title="Keys (?)" onClick=${() => setHelp(true)}><kbd>?</kbd></button>
          <button type="button" class="quiet" aria-label="Light or dark" title="Light or dark (t)" onClick=${toggleTheme}><span class="only-light"><${Icon} name="moon" /></span><span class="only-dark"><${Icon} name="sun" /></span></button>
        </div>
        <main id="content" ref=${main} tabindex="-1"><${Guarded} key=${path}>${view(place)}<//></main>
      </div>
    </div>
    ${menu && html`<button type="button" class="veil" aria-label="Close the menu" onClick=${() => setMenu(false)}></button>`}
    ${help && html`<${Drawer} title="Keys" onClose=${() => setHelp(false)}><dl class="facts keys">${KEYS.map(([key, what]) => html`<dt>${key.split(" ").map((each) => html`<kbd>${each}</kbd> `)}</dt><dd>${what}</dd>`)}</dl><//>`}
    <${Notices} />`;
};

const code = takeCode();

const App = () => {
  const session = useStore((state) => state.session);
  useEffect(() => {
    if (session) live.start();
    else live.stop();
  }, [session?.token]);
  return session ? html`<${Frame} session=${session} />` : html`<${Login} code=${code} /><${Notices} />`;
};

try {
  if (code) end();
  else restore();
} catch (error) {
  store.set({ loginReason: error.message });
}
const root = document.getElementById("app");
root.replaceChildren();
render(html`<${App} />`, root);
