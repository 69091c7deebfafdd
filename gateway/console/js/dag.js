// The graph of a pattern, with each step's state when there is one. Laid out by dagre, drawn as SVG; same graph, same picture.
import dagre from "../vendor/dagre-3.1.3.esm.js";
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/htm-preact-3.1.1.module.js";
import { duration } from "./format.js";
import { useClock } from "./ui.js";

const WIDTH = 150;
const HEIGHT = 62;
const MARGIN = 12;
// Across reads best; where that would make the words too small, steps go down the page.
const SCALE_MIN = 0.78;
const GLYPHS = {
  succeeded: "M-4 0.5 -1.2 3.4 4.2 -3.2",
  failed: "M-3.4 -3.4 3.4 3.4M3.4 -3.4 -3.4 3.4",
  compensation_failed: "M-3.4 -3.4 3.4 3.4M3.4 -3.4 -3.4 3.4",
  skipped: "M-4 0H4",
  cancelled: "M-3.4 -3.4 3.4 3.4M3.4 -3.4 -3.4 3.4",
  compensated: "M3.6 3.2V1.4A2.6 2.6 0 0 0 1 -1.2H-3.6M-1.4 -3.6 -3.8 -1.2 -1.4 1.2",
  retry_wait: "M0 -3.6V0.4L2.4 2",
};

// Edges that only say what others say already make the picture harder to read.
function reduced(edges) {
  const next = new Map();
  for (const edge of edges) next.set(edge.from, [...(next.get(edge.from) || []), edge.to]);
  const reaches = (from, to, skip) => {
    const seen = new Set();
    const queue = (next.get(from) || []).filter((name) => name !== skip);
    while (queue.length) {
      const name = queue.pop();
      if (name === to) return true;
      if (seen.has(name)) continue;
      seen.add(name);
      queue.push(...(next.get(name) || []));
    }
    return false;
  };
  return edges.filter((edge) => edge.kind === "data" || !reaches(edge.from, edge.to, edge.to));
}

function layout(graph, down) {
  const drawn = new dagre.graphlib.Graph();
  drawn.setGraph({ rankdir: down ? "TB" : "LR", nodesep: 22, ranksep: down ? 30 : 28, marginx: MARGIN, marginy: MARGIN });
  drawn.setDefaultEdgeLabel(() => ({}));
  for (const node of graph.nodes) drawn.setNode(node.id, { width: WIDTH, height: HEIGHT });
  const edges = reduced(graph.edges);
  for (const edge of edges) drawn.setEdge(edge.from, edge.to, { weight: edge.kind === "order" ? 2 : 1 });
  dagre.layout(drawn);
  const routes = edges.map((edge) => drawn.edge(edge.from, edge.to).points);
  return {
    ...extent(drawn.graph(), routes.flat()),
    nodes: graph.nodes.map((node) => ({ ...node, ...pick(drawn.node(node.id)) })),
    edges: edges.map((edge, at) => ({ ...edge, path: curve(routes[at], down) })).filter((edge) => edge.kind !== "unknown"),
  };
}

// dagre leaves room for the steps only; an edge that goes round them may need more.
function extent({ width, height }, points) {
  const xs = points.map((point) => point.x);
  const ys = points.map((point) => point.y);
  const left = Math.min(0, ...xs.map((x) => x - MARGIN));
  const top = Math.min(0, ...ys.map((y) => y - MARGIN));
  return { left, top, width: Math.max(width, ...xs.map((x) => x + MARGIN)) - left, height: Math.max(height, ...ys.map((y) => y + MARGIN)) - top };
}

const pick = ({ x, y }) => ({ x, y });

function curve(points, down) {
  const [first, ...rest] = points;
  let path = `M${first.x} ${first.y}`;
  let last = first;
  for (const point of rest) {
    const bend = down ? (point.y - last.y) / 2 : (point.x - last.x) / 2;
    path += down
      ? `C${last.x} ${last.y + bend} ${point.x} ${point.y - bend} ${point.x} ${point.y}`
      : `C${last.x + bend} ${last.y} ${point.x - bend} ${point.y} ${point.x} ${point.y}`;
    last = point;
  }
  return path;
}

const cut = (text, length) => (text.length > length ? text.slice(0, length - 1) + "…" : text);
const title = (name) => (name === "$resolve" ? "resolve pins" : name);

function timing(step, now) {
  if (!step) return "";
  if (step.items && step.status === "requested") return `${step.items[1]} of ${step.items[0]}`;
  if (step.finished_at_ms && step.started_at_ms) return duration(step.finished_at_ms - step.started_at_ms);
  if (step.started_at_ms && ["requested", "retry_wait"].includes(step.status)) return duration(now - step.started_at_ms);
  return "";
}

// Classes of the lines. The spaces between them keep their words apart for those who have them read or called.
const LINES = ["name", "what", "time"];

// The three lines of text in a step's box.
function lines(node, step, now) {
  const attempt = step?.attempt > 1 ? `attempt ${step.attempt}` : "";
  const kind = node.foreach ? "for each" : node.condition ? "if" : "";
  return [cut(title(node.as), 18), cut(node.capability, 22), [timing(step, now), attempt, kind].filter(Boolean).join(" · ")];
}

// What is seen comes first and as it is written, so that a step can be called by it; then what its box does not say.
function spoken(node, step, shown) {
  const whole = [title(node.as), node.capability].filter((text, at) => text !== shown[at]);
  return [shown.filter(Boolean).join(" "), ...whole, step?.status.replace(/_/g, " "), step?.error].filter(Boolean).join(", ");
}

export const Dag = ({ graph, steps = new Map(), skewMs = 0, onChoose, chosen }) => {
  const frame = useRef(null);
  const across = useMemo(() => layout(graph, false), [graph]);
  const [down, setDown] = useState(false);
  useLayoutEffect(() => {
    const watch = new ResizeObserver(([entry]) => setDown(entry.contentRect.width < across.width * SCALE_MIN));
    watch.observe(frame.current);
    return () => watch.disconnect();
  }, [across]);
  const placed = useMemo(() => (down ? layout(graph, true) : across), [across, down]);
  const busy = [...steps.values()].some((step) => ["requested", "retry_wait"].includes(step.status));
  const now = useClock(busy) + skewMs;
  const state = (id) => steps.get(id)?.status || (steps.size ? "blocked" : "plain");

  return html`
    <div class="dag" ref=${frame}>
      <svg viewBox="${placed.left} ${placed.top} ${placed.width} ${placed.height}" width=${placed.width} height=${placed.height} role="group" aria-label="Steps of ${graph.name}">
        <defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0.8 1 7 4 0.8 7" /></marker></defs>
        ${placed.edges.map((edge) => html`
          <path key=${`${edge.from} ${edge.to}`} class="edge ${edge.kind} ${["succeeded"].includes(state(edge.from)) ? "passed" : ""} ${state(edge.to) === "requested" ? "flowing" : ""}" d=${edge.path} marker-end="url(#arrow)" />`)}
        ${placed.nodes.map((node) => html`
          <${Node} key=${node.id} node=${node} step=${steps.get(node.id)} state=${state(node.id)} now=${now} chosen=${chosen === node.id} onChoose=${onChoose} />`)}
      </svg>
    </div>`;
};

const Node = ({ node, step, state, now, chosen, onChoose }) => {
  const act = onChoose && (() => onChoose(node.id));
  const keys = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    act();
  };
  const mark = GLYPHS[state];
  const shown = lines(node, step, now);
  return html`
    <g class="node ${state} ${chosen ? "chosen" : ""}" transform="translate(${node.x - WIDTH / 2} ${node.y - HEIGHT / 2})"
       role=${act ? "button" : "img"} tabindex=${act ? 0 : undefined} aria-label=${spoken(node, step, shown)} data-step=${node.id} data-state=${state}
       onClick=${act} onKeyDown=${act && keys}>
      <rect class="box" width=${WIDTH} height=${HEIGHT} rx="10" />
      ${node.output && html`<rect class="out" x="0" y="14" width="3" height=${HEIGHT - 28} rx="1.5" />`}
      ${shown.map((text, at) => html`<text class=${LINES[at]} x="13" y=${22 + 15 * at}>${text}</text>${" "}`)}
      <g class="glyph" transform="translate(${WIDTH - 17} 47)">
        ${state === "requested" && html`<circle class="track" r="7" /><circle class="spin" r="7" pathLength="100" />`}
        ${mark && html`<circle class="disc" r="8" /><path d=${mark} />`}
        ${state === "blocked" && html`<circle class="track" r="6" />`}
      </g>
    </g>`;
};

export const Legend = () => html`
  <ul class="legend" aria-label="What the lines mean">
    <li><i class="line data"></i>reads its output</li><li><i class="line order"></i>waits for it</li><li><i class="bar"></i>output of the pattern</li>
  </ul>`;
