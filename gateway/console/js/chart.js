// Vega-Lite charts without eval: colours of the palette follow the theme, titles move into the page.
import { html, useEffect, useRef, useState } from "../vendor/htm-preact-3.1.1.module.js";
import { withMinus } from "./format.js";
import { positionLabel } from "./labels.js";

const PALETTE = {
  "#1f2933": "ink", "#e4e7eb": "grid", "#64748b": "muted", "#2563eb": "blue", "#15803d": "green", "#b91c1c": "red",
  "#b45309": "amber", "#7c3aed": "violet", "#0e7490": "cyan", "#be185d": "pink", "#4d7c0f": "lime",
};
const soft = { labelColor: "var(--chart-muted)", titleColor: "var(--chart-muted)", titleFontWeight: "normal", labelFontSize: 11, titleFontSize: 11 };
const CONFIG = {
  background: "transparent",
  font: "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
  padding: 2,
  view: { stroke: null },
  axis: { ...soft, gridColor: "var(--chart-grid)", domainColor: "var(--chart-grid)", tickColor: "var(--chart-grid)", labelPadding: 6 },
  axisX: { labelSeparation: 14 },
  axisY: { domain: false, ticks: false, titlePadding: 8 },
  legend: { ...soft, labelColor: "var(--chart-ink)", orient: "bottom" },
  title: { color: "var(--chart-ink)", subtitleColor: "var(--chart-muted)" },
};
const SCRIPTS = ["vega-6.4.0.min.js", "vega-lite-6.4.3.min.js", "vega-embed-7.3.0.min.js"];
let library = null;

// 830 kB that only a page with charts needs.
function vega() {
  library ??= SCRIPTS.reduce(
    (before, name) =>
      before.then(
        () =>
          new Promise((done, fail) => {
            const script = document.createElement("script");
            script.src = new URL(`../vendor/${name}`, import.meta.url).href;
            script.onload = done;
            script.onerror = () => fail(new Error(`${name} could not be loaded`));
            document.head.append(script);
          }),
      ),
    Promise.resolve(),
  ).then(() => globalThis.vegaEmbed);
  library.catch(() => {
    library = null;
  });
  return library;
}

// Texts of a spec and its data as tables write them: `−0.66%` on a bar, `Cash CAD` for `cash:CAD`. Sort orders and
// domains name values of the data, so both change alike.
const written = (value) => (typeof value !== "string" ? value : /^-[\d.,]+%$/.test(value) ? withMinus(value) : positionLabel(value));
const writtenRow = (row) => (row && typeof row === "object" ? Object.fromEntries(Object.entries(row).map(([key, item]) => [key, written(item)])) : row);

function themed(value) {
  if (Array.isArray(value)) return value.map(themed);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, key === "$schema" ? item : key === "values" && Array.isArray(item) ? item.map(writtenRow) : themed(item)]));
  }
  const name = typeof value === "string" ? PALETTE[value.toLowerCase()] : undefined;
  return name ? `var(--chart-${name})` : written(value);
}

function merged(below, above) {
  const result = { ...below };
  for (const [key, value] of Object.entries(above)) {
    const under = result[key];
    const nested = under && value && typeof under === "object" && typeof value === "object" && !Array.isArray(value);
    result[key] = nested ? merged(under, value) : value;
  }
  return result;
}

const line = (value) => withMinus(Array.isArray(value) ? value.join(" ") : value ? String(value) : "");

const PARTS = ["layer", "vconcat", "hconcat", "concat"];

// The newest day on a chart's time axis, or empty.
function lastDay(spec, inherited = []) {
  const rows = Array.isArray(spec.data?.values) ? spec.data.values : inherited;
  const days = PARTS.flatMap((key) => (Array.isArray(spec[key]) ? spec[key] : []).map((each) => lastDay(each, rows)));
  const x = spec.encoding?.x;
  if (x?.type === "temporal") days.push(...rows.map((row) => String(row?.[x.field] ?? "").slice(0, 10)));
  return days.reduce((last, each) => (each > last ? each : last), "");
}

export function prepare(spec, number) {
  const { title, config, description, ...body } = spec;
  const heading = title && typeof title === "object" ? title : { text: title };
  return {
    name: spec.name || `chart_${number + 1}`,
    title: line(heading.text) || `Chart ${number + 1}`,
    subtitle: line(heading.subtitle),
    description: line(description),
    last: lastDay(spec),
    spec: { ...themed(body), config: merged(themed(config || {}), CONFIG) },
  };
}

const parts = (spec) => spec.vconcat || spec.concat;
// Vega fits a single view to a width, but not concatenated ones and none whose height goes by its bars: these are
// measured once and corrected.
const measured = (spec) => parts(spec) || spec.height?.step;

// Bars of a width of their own and words side by side have room on a page; on a phone they would overlap.
const NARROW = 420;

function narrow(spec) {
  for (const { mark, encoding } of spec.layer || [spec]) {
    if (encoding?.x?.type !== "nominal" || !encoding.x.axis || !mark?.type) continue;
    if (mark.size) [mark.size, mark.width] = [undefined, { band: 0.75 }];
    if (mark.type === "text") mark.fontSize = 9;
    encoding.x.axis.labelFontSize = 9;
    encoding.y.title = null;
  }
}

function sized(spec, width) {
  const copy = structuredClone(spec);
  if (width < NARROW) narrow(copy);
  if (measured(copy)) for (const child of parts(copy) || [copy]) child.width = Math.max(width, 80);
  else if (!copy.hconcat && !copy.facet && !copy.repeat) {
    copy.width = width;
    copy.autosize = { type: "fit-x", contains: "padding" };
  }
  return copy;
}

async function draw(box, spec) {
  const embed = await vega();
  const options = { renderer: "svg", actions: false, ast: true, defaultStyle: false, tooltip: { theme: "console", disableDefaultStyle: true } };
  const width = Math.floor(box.clientWidth);
  let guess = measured(spec) ? width - 70 : width;
  let view = await embed(box, sized(spec, guess), options);
  const svg = box.querySelector("svg");
  const excess = measured(spec) && svg ? Math.ceil(Number(svg.getAttribute("width")) - width) : 0;
  if (excess) {
    view.finalize();
    guess -= excess;
    view = await embed(box, sized(spec, guess), options);
  }
  return view;
}

export const Chart = ({ chart }) => {
  const box = useRef(null);
  const [failed, setFailed] = useState("");
  useEffect(() => {
    let shown = 0;
    let view = null;
    let gone = false;
    let timer = 0;
    let queue = Promise.resolve();
    const refresh = () => {
      const width = Math.floor(box.current?.clientWidth || 0);
      if (width === shown || width < 40) return;
      shown = width;
      queue = queue
        .then(async () => {
          if (gone) return;
          view?.finalize();
          view = await draw(box.current, chart.spec);
          box.current?.removeAttribute("aria-busy");
        })
        .catch((error) => !gone && setFailed(error.message));
    };
    const watch = new ResizeObserver(() => {
      clearTimeout(timer);
      timer = setTimeout(refresh, shown ? 150 : 0);
    });
    watch.observe(box.current);
    return () => {
      gone = true;
      watch.disconnect();
      clearTimeout(timer);
      queue.then(() => view?.finalize());
    };
  }, [chart]);
  if (failed) return html`<p class="chart-failed">This chart cannot be drawn: ${failed}</p>`;
  return html`<div class="chart" ref=${box} role="img" aria-label=${chart.description || chart.title} aria-busy="true" data-chart=${chart.name}></div>`;
};
