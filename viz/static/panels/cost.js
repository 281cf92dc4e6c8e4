// @ts-check
/**
 * The panel “ms and bytes”: what a pass over a tree reads and takes, beside passes over one token
 * each.
 */

import { make, setText } from "../kit/dom.js";
import { WORDS } from "../words/words.js";
import { createTable } from "../kit/tables.js";

/**
 * @typedef {import("../state/records.js").Run} Run
 * @typedef {import("../state/player.js").State} State
 */

const PARTS = /** @type {const} */ (["draft", "forward", "verify", "update"]);

/** @param {State} state @returns {import("../frame/tabs.js").Panel} */
export function createCostPanel(state) {
  const element = make("div", "tr-cost");
  const lead = make("p", "tr-panel-lead");
  const columns = [
    { name: "" },
    { name: WORDS.weightsColumn, number: true },
    { name: WORDS.cacheColumn, number: true },
    { name: WORDS.allColumn, number: true },
    { name: WORDS.perTokenColumn, number: true },
  ];
  const bytes = [createTable("", columns), createTable("", columns)];
  const times = createTable(WORDS.msTitle, [
    { name: "" },
    ...PARTS.map((part) => ({ name: WORDS.msParts[part], number: true })),
    { name: WORDS.allColumn, number: true },
    { name: WORDS.perTokenColumn, number: true },
  ]);
  const said = make("p", "");
  const note = make("p", "tr-panel-lead");
  element.append(said, ...bytes.map((table) => table.element), times.element, note, lead);
  let drawn = "";

  /** @param {Run} run */
  function drawBytes(run) {
    const analysis = run.analysis;
    const line = analysis?.bytes[state.step - 1];
    for (const table of bytes) table.element.hidden = !line;
    if (!analysis) return setText(said, WORDS.diagnosisWaits);
    if (!analysis.bytes.length) return setText(said, WORDS.bytesUnknown);
    if (!line) return setText(said, WORDS.diagnosisWaits);
    const emitted = run.steps[state.step - 1].emitted.length;
    const nodes = run.steps[state.step - 1].ids.length;
    setText(
      said,
      WORDS.bytesSaid(
        mega(line[0]),
        nodes,
        mega(line[1]),
        emitted,
        emitted ? line[2] / line[0] : 0,
      ),
    );
    bytes[0].rename(WORDS.bytesStep(state.step));
    fillBytes(bytes[0], analysis.weights, 1, emitted, line);
    const sum = [0, 1, 2].map((at) =>
      analysis.bytes.reduce(
        (/** @type {number} */ all, /** @type {number[]} */ one) => all + one[at],
        0,
      ),
    );
    const tokens = run.steps
      .slice(0, analysis.steps)
      .reduce((all, step) => all + step.emitted.length, 0);
    bytes[1].rename(WORDS.bytesRun(analysis.steps, tokens));
    fillBytes(bytes[1], analysis.weights, analysis.steps, tokens, sum);
  }

  /**
   * @param {ReturnType<typeof createTable>} table @param {number} weights bytes that a pass reads
   * @param {number} passes over a tree @param {number} tokens @param {number[]} line
   */
  function fillBytes(table, weights, passes, tokens, [tree, , plain]) {
    const most = Math.max(tree, plain, 1);
    const row = (
      /** @type {string} */ name,
      /** @type {number} */ count,
      /** @type {number} */ all,
    ) => [
      name,
      mega(count * weights),
      mega(all - count * weights),
      { text: mega(all), bar: all / most },
      tokens ? mega(all / tokens) : "–",
    ];
    table.fill([
      row(WORDS.treePasses(passes), passes, tree),
      row(WORDS.plainPasses(tokens), tokens, plain),
    ]);
  }

  /** @param {Run} run */
  function drawTimes(run) {
    const step = run.steps[state.step - 1];
    const sums = PARTS.map((_, at) => run.steps.reduce((all, { ms }) => all + ms[at], 0));
    const line = (
      /** @type {string} */ name,
      /** @type {number[]} */ ms,
      /** @type {number} */ tokens,
    ) => {
      const all = ms.reduce((a, b) => a + b, 0);
      return [
        name,
        ...ms.map((value) => ({ text: milli(value), bar: all ? value / all : 0 })),
        milli(all),
        tokens ? milli(all / tokens) : "–",
      ];
    };
    const lines = [
      line(WORDS.thisStep(state.step), step.ms, step.emitted.length),
      line(WORDS.wholeRun(run.steps.length), sums, run.emitted),
    ];
    const plain = run.info.cost?.["0"];
    if (plain) lines.push([WORDS.plainStep, "", "", "", "", milli(plain), milli(plain)]);
    times.fill(lines);
    setText(note, plain ? "" : WORDS.plainUnmeasured);
  }

  return {
    title: WORDS.costTitle,
    element,
    draw() {
      const run = /** @type {Run} */ (state.run);
      const key = `${run.id} ${run.steps.length} ${run.analysis?.steps} ${state.step}`;
      if (key === drawn) return;
      drawn = key;
      setText(lead, WORDS.costLead);
      drawBytes(run);
      drawTimes(run);
    },
  };
}

/** @param {number} bytes */
function mega(bytes) {
  const value = bytes / 1e6;
  return `${value >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3)} MB`;
}

/** @param {number} ms */
function milli(ms) {
  return ms >= 100 ? Math.round(ms).toLocaleString("en") : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2);
}
