// Small parts every view is made of.
import { html, useEffect, useRef, useState } from "../vendor/htm-preact-3.1.1.module.js";
import { ago, moment } from "./format.js";
import { notify } from "./store.js";

const PATHS = {
  run: "M7 4.5v15l12-7.5z",
  history: "M3.5 12a8.5 8.5 0 1 0 2.6-6.1L3.5 8.2M3.5 4v4.2h4.2M12 7.5V12l3 2",
  packs: "M12 3 4 7v10l8 4 8-4V7zM4 7l8 4 8-4M12 11v10",
  patterns: "M6 4h4v4H6zM14 16h4v4h-4zM14 4h4v4h-4zM8 8v5a3 3 0 0 0 3 3h3M16 8v8",
  capabilities: "M4 6h10M18 6h2M4 12h2M10 12h10M4 18h8M16 18h4M14 4v4M6 10v4M12 16v4",
  letters: "M3.5 6h17v12h-17zM3.5 7l8.5 6.5L20.5 7",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.4M5.6 18.4 7 17M17 7l1.4-1.4",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5",
  out: "M9 4H5v16h4M14 8l4 4-4 4M18 12H9",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M15.5 15.5 20 20",
  close: "M6 6l12 12M18 6 6 18",
  check: "M5 12.5l4.5 4.5L19 7.5",
  cross: "M7 7l10 10M17 7 7 17",
  skip: "M6 5l7 7-7 7M17 5v14",
  clock: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16M12 8v4l2.5 2",
  copy: "M9 9h10v11H9zM15 9V4H5v11h4",
  download: "M12 4v11M7.5 11l4.5 4.5L16.5 11M5 20h14",
  retry: "M20 12a8 8 0 1 1-2.5-5.8L20 8.5M20 4v4.5h-4.5",
  diff: "M8 4v16M4.5 7.5 8 4l3.5 3.5M16 20V4M12.5 16.5 16 20l3.5-3.5",
  shield: "M12 3l7.5 3v6c0 4.5-3.2 7.7-7.5 9-4.3-1.3-7.5-4.5-7.5-9V6zM8.8 12l2.3 2.3 4.3-4.6",
  stop: "M7 7h10v10H7z",
  warn: "M12 4 2.8 19.5h18.4zM12 10v4.5M12 17v.4",
  menu: "M4 7h16M4 12h16M4 17h16",
  chevron: "M9 6l6 6-6 6",
  undo: "M8 5 4 9l4 4M4 9h10a5 5 0 0 1 0 10h-3",
};

export const Icon = ({ name, size = 18 }) => html`<svg class="icon" width=${size} height=${size} viewBox="0 0 24 24" aria-hidden="true"
  fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"><path d=${PATHS[name]} /></svg>`;

const TONES = {
  succeeded: "good", fresh: "good", closed: "good", live: "good", verified: "good",
  running: "busy", resolving: "busy", requested: "busy", queued: "busy",
  waiting_for_pack: "warn", retry_wait: "warn", warming: "warn", stale: "warn", half_open: "warn", compensating: "warn", compensated: "warn",
  failed: "bad", rejected: "bad", timed_out: "bad", open: "bad", unavailable: "bad", compensation_failed: "bad",
};

export const Badge = ({ status, children, title, tone }) =>
  html`<span class="badge ${tone ?? TONES[status] ?? ""}" title=${title}>${children ?? String(status).replace(/_/g, " ")}</span>`;

export const Button = ({ icon, children, kind = "", ...rest }) =>
  html`<button type="button" class="button ${kind}" ...${rest}>${icon && html`<${Icon} name=${icon} size=${16} />`}${children && html`<span>${children}</span>`}</button>`;

export const Panel = ({ title, subtitle, aside, children, kind = "" }) => html`
  <section class="panel ${kind}">
    ${title && html`<header><div><h2>${title}</h2>${subtitle && html`<p>${subtitle}</p>`}</div>${aside}</header>`}
    ${children}
  </section>`;

export const Heading = ({ title, subtitle, children }) => html`
  <div class="heading"><div><h1>${title}</h1>${subtitle && html`<p>${subtitle}</p>`}</div>${children && html`<div class="actions">${children}</div>`}</div>`;

export const Empty = ({ icon = "search", title, children }) => html`
  <div class="empty"><div class="medallion"><${Icon} name=${icon} size=${26} /></div><h2>${title}</h2><p>${children}</p></div>`;

// The sentence may name the mistakes itself; only those it leaves out are listed.
export const Failure = ({ problem, retry }) => {
  const faults = (problem.errors || []).filter((fault) => !problem.message.includes(fault.detail));
  return html`
    <div class="notice bad" role="alert">
      <${Icon} name="warn" />
      <div>
        <strong>${problem.title || "Something went wrong"}</strong>
        <p>${problem.message}${problem.code && html` <code>${problem.code}</code>`}</p>
        ${faults.length > 0 && html`<ul>${faults.map((fault) => html`<li><code>${fault.pointer}</code> ${fault.detail}</li>`)}</ul>`}
        ${retry && html`<${Button} icon="retry" onClick=${retry}>Try again</${Button}>`}
      </div>
    </div>`;
};

// A card's figure says how wide it is, in digits: the page shrinks it to its card.
export const Figure = ({ text, unit = "", tone = "" }) => {
  const wide = text.length - 0.5 * (text.match(/[,. ]/g) || []).length + 0.6 * (text.match(/%/g) || []).length + 0.8 * unit.length;
  return html`<div class="figure ${tone}" style=${`--wide:${wide.toFixed(1)}`}>${text}${unit && html`<span class="unit">${unit}</span>`}</div>`;
};

export const Loading = ({ rows = 3, label = "Loading" }) => html`
  <div class="loading" role="status" aria-label=${label}>${Array.from({ length: rows }, (_, row) => html`<div class="bone" key=${row}></div>`)}</div>`;

export const Time = ({ at }) => (at ? html`<time datetime=${new Date(at).toISOString()} title=${moment(at)}>${ago(at)}</time>` : "–");

export const Copy = ({ text, label }) => {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      notify(`${label || "Text"} copied`);
    } catch {
      notify("The browser does not allow copying here", "bad");
    }
  };
  return html`<span class="copy"><code>${text}</code><button type="button" class="quiet" onClick=${copy} aria-label=${`Copy ${label || "text"}`}><${Icon} name="copy" size=${14} /></button></span>`;
};

// Fetches something; again when `keys` change; `reload` asks once more and keeps what is shown meanwhile.
export function useLoad(load, keys) {
  const [state, set] = useState({ data: null, problem: null, loading: true });
  const turn = useRef(0);
  // Whoever reloads later, from a timer say, means what is shown by then.
  const newest = useRef(load);
  newest.current = load;
  const run = async (quiet) => {
    const mine = ++turn.current;
    if (!quiet) set({ data: null, problem: null, loading: true });
    try {
      const data = await newest.current();
      if (mine === turn.current) set({ data, problem: null, loading: false });
    } catch (problem) {
      if (mine === turn.current) set((old) => ({ data: quiet ? old.data : null, problem, loading: false }));
    }
  };
  useEffect(() => {
    run(false);
    return () => {
      turn.current += 1;
    };
  }, keys);
  return { ...state, reload: () => run(true) };
}

export function useClock(active, everyMs = 100) {
  const [now, set] = useState(Date.now());
  useEffect(() => {
    if (!active) return undefined;
    const timer = setInterval(() => set(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [active, everyMs]);
  return now;
}

// Slides over the page; focus stays inside while it is open and returns afterwards.
export const Drawer = ({ title, onClose, children }) => {
  const box = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    box.current.showModal();
    return () => before?.focus?.();
  }, []);
  return html`
    <dialog class="drawer" ref=${box} aria-label=${title} onClose=${onClose} onClick=${(event) => event.target === box.current && box.current.close()}>
      <div class="drawer-body">
        <header><h2>${title}</h2><button type="button" class="quiet" aria-label="Close" onClick=${() => box.current.close()}><${Icon} name="close" /></button></header>
        ${children}
      </div>
    </dialog>`;
};

export const Tabs = ({ tabs, chosen, onChoose, label }) => {
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = tabs.findIndex(([id]) => id === chosen);
    const next = tabs[(at + step + tabs.length) % tabs.length][0];
    onChoose(next);
    event.currentTarget.querySelector(`[data-tab="${next}"]`)?.focus();
  };
  return html`
    <div class="tabs" role="tablist" aria-label=${label} onKeyDown=${move}>
      ${tabs.map(([id, name]) => html`<button type="button" role="tab" key=${id} data-tab=${id} aria-selected=${id === chosen} tabindex=${id === chosen ? 0 : -1} onClick=${() => onChoose(id)}>${name}</button>`)}
    </div>`;
};

export const Facts = ({ facts }) => html`
  <dl class="facts">${facts.filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false).map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;

export function download(name, data) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(data, null, 2) + "\n"], { type: "application/json" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
