// Draws the charts of a report. Everything it needs is in the page; nothing is loaded.
(() => {
  "use strict";
  const specs = JSON.parse(document.getElementById("chart-specs").textContent);
  const options = { renderer: "svg", actions: false, ast: true, tooltip: { theme: "report" } };
  const parts = (spec) => spec.vconcat || spec.concat || null;
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
    if (measured(copy)) {
      for (const child of parts(copy) || [copy]) child.width = Math.max(width, 80);
    } else if (!copy.hconcat && !copy.facet && !copy.repeat) {
      copy.width = width;
      copy.autosize = { type: "fit-x", contains: "padding" };
    }
    return copy;
  }

  async function draw(box, spec) {
    const width = Math.floor(box.clientWidth);
    if (width < 40) return;
    let guess = measured(spec) ? width - 70 : width;
    let view = await vegaEmbed(box, sized(spec, guess), options);
    const svg = box.querySelector("svg");
    if (measured(spec) && svg) {
      const excess = Math.ceil(Number(svg.getAttribute("width")) - width);
      if (excess !== 0) {
        view.finalize();
        guess -= excess;
        view = await vegaEmbed(box, sized(spec, guess), options);
      }
    }
    box.removeAttribute("aria-busy");
    return view;
  }

  for (const box of document.querySelectorAll("[data-chart]")) {
    const spec = specs[Number(box.dataset.chart)];
    let shown = 0;
    let view = null;
    let queue = Promise.resolve();
    const refresh = () => {
      const width = Math.floor(box.clientWidth);
      if (width === shown || width < 40) return;
      shown = width;
      queue = queue.then(async () => {
        if (view) view.finalize();
        view = await draw(box, spec);
      }).catch((error) => {
        box.textContent = "This chart cannot be drawn: " + error.message;
        box.classList.add("chart-failed");
      });
    };
    let timer = 0;
    new ResizeObserver(() => {
      clearTimeout(timer);
      timer = setTimeout(refresh, shown ? 150 : 0);
    }).observe(box);
    refresh();
  }
})();
