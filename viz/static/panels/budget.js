// @ts-check
/**
 * The panel “why 12 nodes?”: what the measured budget weighed for the step shown, and what it
 * chose.
 */

import { make, makeSvg, setText } from "../kit/dom.js";
import { WORDS } from "../words/words.js";
import { createTable } from "../kit/tables.js";

/**
 * @typedef {import("../state/records.js").Run} Run
 * @typedef {import("../state/player.js").State} State
 * @typedef {{name: string, values: number[], text: (value: number) => string}} Line
 */

const [WIDTH, HEIGHT] = [300, 150];
const EDGE = { left: 44, right: 12, top: 24, bottom: 24 };
/** Sizes written below an axis; of more every second is left out, and so on. */
const LABELS = 12;

/** @param {State} state @returns {import("../frame/tabs.js").Panel} */
export function createBudgetPanel(state) {
  const element = make("div", "tr-budget");
  const answer = make("p", "tr-budget-answer");
  const more = make("p", "tr-panel-lead");
  const charts = make("div", "tr-budget-charts");
  const table = createTable(WORDS.budgetTable, [
    { name: WORDS.nodesColumn, number: true },
    { name: WORDS.msColumn, number: true },
    { name: WORDS.tokensColumn, number: true },
    { name: WORDS.rateColumn, number: true },
    { name: "" },
  ]);
  const grown = createTable(WORDS.budgetTable, [
    { name: WORDS.nodesColumn, number: true },
    { name: WORDS.msColumn, number: true },
    { name: WORDS.tokensColumn, number: true },
    { name: WORDS.laterColumn, number: true },
    { name: WORDS.leftColumn, number: true },
    { name: "" },
  ]);
  const body = make("div", "tr-budget-body");
  body.append(charts, table.element, grown.element);
  element.append(answer, more, body);
  let drawn = "";

  /**
   * @param {NonNullable<import("../state/records.js").Step["budget"]>} budget
   * @param {number} step
   */
  function drawChoice([chosen, reason, spine, sizes, expected, ms], step) {
    const rate = sizes.map((_, i) => (1000 * expected[i]) / ms[i]);
    const at = sizes.indexOf(chosen);
    const best = rate.indexOf(Math.max(...rate));
    const words = {
      chosen,
      best: sizes[best],
      rate: rate[at] ?? NaN,
      bestRate: rate[best],
      plainRate: rate[0],
      step,
    };
    table.rename(WORDS.budgetTable);
    setText(answer, WORDS.budgetReasons[reason](words));
    setText(more, WORDS.budgetSpine(spine));
    charts.replaceChildren(
      drawChart(sizes, at, { name: WORDS.msLine, values: ms, text: (v) => v.toFixed(1) }),
      drawChart(sizes, at, { name: WORDS.tokensLine, values: expected, text: (v) => v.toFixed(2) }),
      drawChart(sizes, at, { name: WORDS.rateLine, values: rate, text: (v) => v.toFixed(0) }),
    );
    const most = Math.max(...rate);
    table.fill(
      sizes.map((size, i) => [
        String(size),
        ms[i].toFixed(2),
        expected[i].toFixed(2),
        { text: rate[i].toFixed(1), bar: rate[i] / most },
        [i === at ? WORDS.chosenMark : "", i === best ? WORDS.bestMark : ""]
          .filter(Boolean)
          .join(" · "),
      ]),
    );
  }

  /**
   * A draft that its drafter grew.
   * @param {NonNullable<import("../state/records.js").Step["budget"]>} budget
   * @param {number} step
   */
  function drawGrowth([chosen, reason, , sizes, expected, ms, later = [], rate = 0], step) {
    const left = sizes.map((_, i) => expected[i] + later[i] - rate * ms[i]);
    const at = sizes.indexOf(chosen);
    setText(answer, WORDS.growthReasons[reason]?.({ chosen, step, rate: 1000 * rate }) ?? "");
    setText(more, WORDS.growthHint);
    charts.replaceChildren(
      drawChart(sizes, at, { name: WORDS.msLine, values: ms, text: (v) => v.toFixed(1) }),
      drawChart(sizes, at, { name: WORDS.tokensLine, values: expected, text: (v) => v.toFixed(2) }),
      drawChart(sizes, at, { name: WORDS.leftLine, values: left, text: (v) => v.toFixed(2) }),
    );
    grown.fill(
      sizes.map((size, i) => [
        String(size),
        ms[i].toFixed(2),
        expected[i].toFixed(2),
        later[i].toFixed(2),
        left[i].toFixed(2),
        i === at ? WORDS.chosenMark : "",
      ]),
    );
  }

  /** No size was weighed: what can be said all the same. @param {Run} run */
  function drawFixed(run) {
    const reach = /** @type {number[]} */ (run.analysis?.reach ?? []);
    const step = run.steps[state.step - 1];
    const nodes = step.ids.length - 1;
    table.rename(WORDS.budgetTableFixed);
    setText(answer, nodes ? WORDS.budgetFixed(run.info.tree, nodes) : WORDS.budgetPlain);
    setText(more, WORDS.budgetOffer(reach.length > 1));
    const sizes =
      reach.length > 1
        ? SHOWN.filter((size) => size < reach.length - 1).concat(reach.length - 1)
        : [];
    charts.replaceChildren();
    if (sizes.length) {
      charts.append(
        drawChart(sizes, sizes.length - 1, {
          name: WORDS.reachLine,
          values: sizes.map((n) => reach[n]),
          text: (v) => v.toFixed(2),
        }),
      );
    }
    table.fill(
      sizes.map((size, i) => [
        String(size),
        i === sizes.length - 1
          ? (run.milliseconds / run.steps.length).toFixed(2)
          : WORDS.unmeasured,
        reach[size].toFixed(2),
        "",
        i === sizes.length - 1 ? WORDS.thisTree : "",
      ]),
    );
    body.hidden = !sizes.length;
  }

  return {
    title: WORDS.budgetTitle,
    element,
    draw() {
      const run = /** @type {Run} */ (state.run);
      const step = run.steps[state.step - 1];
      const key = `${run.id} ${state.step} ${run.analysis?.steps}`;
      if (key === drawn || !step) return;
      drawn = key;
      body.hidden = false;
      grown.element.hidden = !step.budget?.[7];
      table.element.hidden = !grown.element.hidden;
      if (step.budget?.[7]) drawGrowth(step.budget, state.step);
      else if (step.budget) drawChoice(step.budget, state.step);
      else drawFixed(run);
    },
  };
}

/** Sizes of a fixed tree's beginnings: those that a budget weighs. */
const SHOWN = [0, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 80];

/**
 * One line over the sizes, evenly spaced; the chosen one has a ring, a line down and its number in
 * words.
 * @param {number[]} sizes
 * @param {number} chosen its place, −1 if it is none of them
 * @param {Line} line
 */
function drawChart(sizes, chosen, line) {
  const figure = make("figure", "tr-budget-chart");
  const svg = makeSvg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: "img",
    "aria-label": WORDS.chartWords(
      line.name,
      sizes.map((n, i) => `${n}: ${line.text(line.values[i])}`),
    ),
  });
  const [top, low] = [Math.max(...line.values, 1e-9), Math.min(...line.values, 0)];
  const x = (/** @type {number} */ i) =>
    EDGE.left +
    (sizes.length > 1 ? (i * (WIDTH - EDGE.left - EDGE.right)) / (sizes.length - 1) : 0);
  const y = (/** @type {number} */ value) =>
    HEIGHT - EDGE.bottom - ((value - low) / (top - low)) * (HEIGHT - EDGE.top - EDGE.bottom);
  const base = y(0);
  svg.append(
    makeSvg("path", { class: "tr-budget-axis", d: `M${EDGE.left} ${base}H${WIDTH - EDGE.right}` }),
    makeSvg("path", {
      class: "tr-budget-line",
      d: sizes.map((_, i) => `${i ? "L" : "M"}${x(i)} ${y(line.values[i])}`).join(""),
    }),
    makeSvg("path", {
      class: "tr-budget-dots",
      d: sizes
        .map((_, i) => `M${x(i) - 2} ${y(line.values[i])}a2 2 0 1 0 4 0a2 2 0 1 0 -4 0`)
        .join(""),
    }),
  );
  const every = Math.ceil(sizes.length / LABELS);
  sizes.forEach(
    (size, i) =>
      i % every === 0 && svg.append(label(String(size), x(i), HEIGHT - EDGE.bottom + 14, "middle")),
  );
  svg.append(label(line.text(top), EDGE.left - 6, y(top) + 4, "end"));
  // Where they would overlap, the highest value alone.
  if (base - y(top) > 12) svg.append(label("0", EDGE.left - 6, base + 4, "end"));
  if (chosen >= 0) {
    const [cx, cy] = [x(chosen), y(line.values[chosen])];
    svg.append(
      makeSvg("path", { class: "tr-budget-chosen", d: `M${cx} ${base}V${cy}` }),
      makeSvg("circle", { class: "tr-budget-ring", cx, cy, r: 5 }),
      label(
        line.text(line.values[chosen]),
        cx,
        cy - 9,
        chosen > sizes.length * 0.8 ? "end" : "middle",
        "tr-budget-value",
      ),
    );
  }
  figure.append(make("figcaption", "", line.name), svg);
  return figure;
}

/**
 * @param {string} words
 * @param {number} x
 * @param {number} y
 * @param {string} anchor
 * @param {string} [className]
 */
function label(words, x, y, anchor, className = "") {
  const element = makeSvg("text", { x, y, "text-anchor": anchor, class: className });
  element.textContent = words;
  return element;
}
