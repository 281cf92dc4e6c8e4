// @ts-check
/**
 * The panel of sources: where this step's drafts came from, what was expected of them, and what
 * happened.
 */

import { clip, make, setText } from "../kit/dom.js";
import { isJudged } from "../state/player.js";
import { STATUS_OF, tokenOf } from "../state/records.js";
import { sourceOf } from "../state/sources.js";
import { WORDS } from "../words/words.js";
import { createTable } from "../kit/tables.js";

/**
 * @typedef {import("../state/records.js").Run} Run
 * @typedef {import("../state/records.js").Step} Step
 * @typedef {import("../state/sources.js").SourceName} SourceName
 * @typedef {import("../state/player.js").State} State
 * @typedef {import("../state/player.js").Player} Player
 * @typedef {{drafted: number, accepted: number, expected: number}} Count
 */

const NODES_LISTED = 16;
const NODE_NAME = 16;

/** @param {State} state @param {Player} player @returns {import("../frame/tabs.js").Panel} */
export function createSourcesPanel(state, player) {
  const element = make("div", "tr-sources");
  const lead = make("p", "tr-panel-lead");
  const columns = [
    { name: WORDS.sourceColumn },
    { name: WORDS.draftedColumn, number: true },
    { name: WORDS.expectedColumn, number: true },
    { name: WORDS.acceptedColumn, number: true },
    { name: WORDS.shareColumn, number: true },
  ];
  const inStep = createTable("", columns);
  const inRun = createTable("", columns);
  const nodes = createTable(WORDS.nodesByChance, [
    { name: WORDS.nodeNameColumn },
    { name: WORDS.sourceColumn },
    { name: WORDS.expectedColumn, number: true },
    { name: WORDS.happenedColumn },
  ]);
  const [left, right] = [make("div", ""), make("div", "")];
  left.append(inStep.element, inRun.element);
  right.append(nodes.element);
  const body = make("div", "tr-columns-of-tables");
  body.append(left, right);
  element.append(lead, body);

  /**
   * Counts over the steps read so far of one run.
   * @type {{run: Run | null, read: number, counts: Map<SourceName, Count>}}
   */
  let all = { run: null, read: 0, counts: new Map() };
  let drawn = "";

  /** @param {Map<SourceName, Count>} counts @param {Step} step */
  function count(counts, step) {
    const path = new Set(step.path);
    step.ids.forEach((_, node) => {
      const source = sourceOf(step, node);
      if (!source) return;
      const total = counts.get(source.name) ?? { drafted: 0, accepted: 0, expected: 0 };
      counts.set(source.name, total);
      total.drafted += 1;
      total.accepted += path.has(node) ? 1 : 0;
      total.expected += step.exp?.[node] ?? 0;
    });
    return counts;
  }

  /** @param {Map<SourceName, Count>} counts @param {boolean} expects */
  function lines(counts, expects) {
    const most = Math.max(1, ...[...counts.values()].map((one) => one.accepted));
    return [...counts]
      .sort(([, a], [, b]) => b.drafted - a.drafted)
      .map(([name, one]) => [
        `${WORDS.sourceMarks[name]} ${WORDS.sources[name]}`,
        String(one.drafted),
        expects ? one.expected.toFixed(1) : "–",
        { text: String(one.accepted), bar: one.accepted / most },
        `${((100 * one.accepted) / one.drafted).toFixed(0)} %`,
      ]);
  }

  /** @param {Run} run @param {Step} step */
  function drawNodes(run, step) {
    const listed = step.ids.map((_, node) => node).filter((node) => sourceOf(step, node));
    listed.sort((a, b) => (step.exp?.[b] ?? 0) - (step.exp?.[a] ?? 0) || a - b);
    nodes.fill(
      listed.slice(0, NODES_LISTED).map((node) => {
        const source = /** @type {import("../state/sources.js").NodeSource} */ (
          sourceOf(step, node)
        );
        const status = isJudged(state) ? WORDS.status[STATUS_OF[step.status[node]]] : "";
        return [
          {
            text: `“${clip(tokenOf(run, step.ids[node]).label, NODE_NAME)}”`,
            press: () => player.select(node),
            pressed: state.selected === node,
          },
          `${WORDS.sourceMarks[source.name]} ${WORDS.sources[source.name]}`,
          step.exp ? step.exp[node].toFixed(2) : "–",
          status,
        ];
      }),
    );
    nodes.element.hidden = !listed.length;
  }

  return {
    title: WORDS.sourcesTitle,
    element,
    draw() {
      const run = /** @type {Run} */ (state.run);
      const step = run.steps[state.step - 1];
      const key = [run.id, run.steps.length, state.step, isJudged(state), state.selected].join(" ");
      if (key === drawn || !step) return;
      drawn = key;
      if (all.run !== run) all = { run, read: 0, counts: new Map() };
      for (; all.read < run.steps.length; all.read++) count(all.counts, run.steps[all.read]);
      const expects = run.steps.some((one) => one.exp);
      const known = run.steps.some((one) => one.src);
      setText(
        lead,
        !all.counts.size
          ? WORDS.sourcesNone
          : known
            ? WORDS.sourcesLead(expects)
            : WORDS.sourcesMatrix,
      );
      body.hidden = !all.counts.size;
      const own = count(new Map(), step);
      inStep.rename(
        own.size ? WORDS.sourcesOfStep(state.step) : WORDS.sourcesNoneInStep(state.step),
      );
      inStep.fill(lines(own, Boolean(step.exp)));
      inRun.rename(WORDS.sourcesOfRun(run.steps.length));
      inRun.fill(lines(all.counts, expects));
      drawNodes(run, step);
    },
  };
}
