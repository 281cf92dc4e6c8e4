// @ts-check
/**
 * The metrics panel: the run's figures (viz/figures/charts.py), drawn by plotly, one
 * a frame so that nothing waits.
 */

import { coloured, loadPlotly } from "../kit/plotly.js";
import { watchColours } from "../kit/colours.js";
import { make, setText } from "../kit/dom.js";
import { WORDS } from "../words/words.js";
import { createTable } from "../kit/tables.js";

/**
 * @typedef {import("../state/records.js").Figure} Figure
 * @typedef {import("../state/records.js").Run} Run
 * @typedef {import("../state/player.js").State} State
 * @typedef {import("../state/player.js").Player} Player
 * @typedef {{name: string, box: HTMLElement, plot: HTMLElement, now: HTMLElement, table:
 *   HTMLDetailsElement, figure: Figure, drawn: string, tabled: string}} Chart
 */

const HEIGHT = 250;
/** Figures whose x is a step. */
const STEPPED = new Set(["accepted_per_step", "time_per_phase", "sliding_mat"]);
const CONFIG = { displayModeBar: false, responsive: false, doubleClick: false };

/** @param {State} state @param {Player} player @returns {import("../frame/tabs.js").Panel} */
export function createMetricsPanel(state, player) {
  const element = make("div", "tr-metrics");
  const lead = make("p", "tr-panel-lead");
  const grid = make("div", "tr-charts");
  element.append(lead, grid);
  /** @type {Map<string, Chart>} */
  const charts = new Map();
  /** @type {any} */
  let plotly = null;
  let failed = false;
  let asked = false;
  let frame = 0;
  let drawn = "";
  let width = 0;
  let turned = 0;
  const colours = watchColours(element, () => {
    turned += 1;
    player.refresh();
  });

  /** @param {string} name @returns {Chart} */
  function chartOf(name) {
    const known = charts.get(name);
    if (known) return known;
    const title = WORDS.figures[/** @type {keyof typeof WORDS.figures} */ (name)] ?? name;
    const box = make("figure", "tr-chart-box");
    box.dataset.figure = name;
    const holder = make("div", "tr-chart-holder");
    holder.setAttribute("role", "img");
    holder.setAttribute("aria-label", WORDS.figureWords(title));
    const plot = make("div", "tr-chart-plot");
    const now = make("span", "tr-chart-here");
    holder.append(plot, now);
    const table = make("details", "tr-chart-table");
    table.append(make("summary", "", WORDS.asTable));
    const note = WORDS.figureNotes[/** @type {keyof typeof WORDS.figureNotes} */ (name)];
    box.append(
      make("figcaption", "", title),
      holder,
      ...(note ? [make("p", "tr-chart-note", note)] : []),
      table,
    );
    grid.append(box);
    const chart = {
      name,
      box,
      plot,
      now,
      table,
      figure: /** @type {any} */ (null),
      drawn: "",
      tabled: "",
    };
    table.addEventListener("toggle", () => fillTable(chart));
    charts.set(name, chart);
    return chart;
  }

  /** Draw the next chart that is out of date, and come back for the others. */
  function drawNext() {
    frame = 0;
    if (element.hidden || !plotly) return;
    for (const chart of charts.values()) {
      const key = `${drawn} ${width} ${turned}`;
      if (chart.drawn === key || !width) continue;
      chart.drawn = key;
      const { data, layout } = coloured(chart.figure, colours.of);
      const fonts = { ...layout.font, color: colours.of("--mute") };
      const first = !chart.plot.classList.contains("js-plotly-plot");
      plotly.react(
        chart.plot,
        data,
        {
          ...layout,
          font: fonts,
          width: chart.plot.clientWidth,
          height: HEIGHT,
          dragmode: false,
          hoverlabel: hoverColours(),
        },
        CONFIG,
      );
      if (first)
        /** @type {any} */ (chart.plot).on("plotly_click", (/** @type {any} */ event) =>
          follow(chart.name, event.points[0]),
        );
      fillTable(chart);
      moveNow(chart);
      frame = requestAnimationFrame(drawNext);
      return;
    }
  }

  function hoverColours() {
    return {
      bgcolor: colours.of("--card"),
      bordercolor: colours.of("--chip-line"),
      font: { color: colours.of("--ink") },
    };
  }

  /** What a click on a bar means. @param {string} name @param {any} point */
  function follow(name, point) {
    if (STEPPED.has(name)) player.goTo(point.x);
    if (name !== "accepted_histogram") return;
    player.mark({
      key: `accepted ${point.x}`,
      name: WORDS.acceptedExactly(point.x),
      find: (run) => run.steps.flatMap((step, i) => (step.path.length === point.x ? [i + 1] : [])),
    });
  }

  /** The line at the step shown. @param {Chart} chart */
  function moveNow(chart) {
    const axis = STEPPED.has(chart.name)
      ? /** @type {any} */ (chart.plot)._fullLayout?.xaxis
      : undefined;
    chart.now.hidden = !axis;
    if (!axis) return;
    const size = /** @type {any} */ (chart.plot)._fullLayout._size;
    chart.now.style.left = `${size.l + axis.d2p(state.step)}px`;
    chart.now.style.top = `${size.t}px`;
    chart.now.style.height = `${size.h}px`;
  }

  /** The figure's numbers, once the reader asks for them. @param {Chart} chart */
  function fillTable(chart) {
    if (!chart.table.open || !chart.figure || chart.tabled === drawn) return;
    chart.tabled = drawn;
    const { names, lines } = tabled(chart.figure);
    const table = createTable(
      "",
      names.map((name, i) => ({ name, number: i > 0 })),
    );
    const leads = STEPPED.has(chart.name);
    table.fill(
      lines.map(([first, ...others]) => [
        leads ? { text: first, press: () => player.goTo(Number(first)) } : first,
        ...others,
      ]),
    );
    const holder = make("div", "tr-chart-rows");
    holder.tabIndex = 0;
    holder.setAttribute("role", "group");
    holder.setAttribute("aria-label", WORDS.asTable);
    holder.append(table.element);
    chart.table.replaceChildren(/** @type {Node} */ (chart.table.firstElementChild), holder);
  }

  const watcher = new ResizeObserver(() => {
    width = grid.clientWidth;
    if (!element.hidden) player.refresh();
  });
  watcher.observe(grid);

  return {
    title: WORDS.metricsTitle,
    element,
    draw() {
      const run = /** @type {Run} */ (state.run);
      if (!asked) {
        asked = true;
        loadPlotly()
          .then(
            (loaded) => (plotly = loaded),
            () => (failed = true),
          )
          .then(player.refresh);
      }
      setText(
        lead,
        failed
          ? WORDS.plotlyFailed
          : plotly && run.analysis
            ? WORDS.metricsLead(run.analysis.steps)
            : WORDS.diagnosisWaits,
      );
      if (!run.analysis) return void (grid.hidden = true);
      grid.hidden = false;
      const key = `${run.id} ${run.analysis.steps}`;
      if (key !== drawn) {
        drawn = key;
        for (const figure of run.analysis.figures) chartOf(figure.name).figure = figure;
      }
      frame ||= requestAnimationFrame(drawNext);
      for (const chart of charts.values()) moveNow(chart);
    },
    destroy() {
      cancelAnimationFrame(frame);
      colours.destroy();
      watcher.disconnect();
      for (const chart of charts.values()) plotly?.purge(chart.plot);
    },
  };
}

/**
 * A figure as a table: one line for each value on its first axis.
 * @param {Figure} figure
 * @returns {{names: string[], lines: string[][]}}
 */
function tabled({ data, layout }) {
  const text = (/** @type {any} */ value) =>
    value === null || value === undefined
      ? ""
      : typeof value === "number"
        ? String(Math.round(value * 1000) / 1000)
        : String(value);
  const [across, up] = [layout.xaxis?.title?.text ?? "", layout.yaxis?.title?.text ?? ""];
  if (data[0].type === "heatmap") {
    const { x, y, z, text: counts } = data[0];
    const lines = y.map((/** @type {number} */ rank, /** @type {number} */ i) => [
      text(rank),
      ...z[i].map((/** @type {any} */ value, /** @type {number} */ j) =>
        value === null ? "" : `${text(value)} (${counts[i][j]})`,
      ),
    ]);
    return { names: [up, ...x.map((/** @type {number} */ depth) => `${across} ${depth}`)], lines };
  }
  const lying = data[0].orientation === "h";
  const [keys, values] = lying ? ["y", "x"] : ["x", "y"];
  const listed = data.filter((/** @type {any} */ trace) => trace.hoverinfo !== "skip");
  const names = [
    lying ? "" : across,
    ...listed.map((/** @type {any} */ trace) => trace.name ?? up),
  ];
  const lines = listed[0][keys].map((/** @type {any} */ key, /** @type {number} */ i) => [
    text(key),
    ...listed.map((/** @type {any} */ trace) => text(trace[values][i])),
  ]);
  return { names, lines };
}
