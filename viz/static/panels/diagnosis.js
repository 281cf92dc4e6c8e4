// @ts-check
/**
 * The diagnosis panel: why this step's path ended, what that cost over the run, and what would have
 * helped.
 */

import { make, setText } from "../kit/dom.js";
import { tokenOf } from "../state/records.js";
import { WORDS } from "../words/words.js";
import { createTable } from "../kit/tables.js";

/**
 * @typedef {import("../state/records.js").Run} Run
 * @typedef {import("../state/player.js").State} State
 * @typedef {import("../state/player.js").Player} Player
 */

/** @param {State} state @param {Player} player @returns {import("../frame/tabs.js").Panel} */
export function createDiagnosisPanel(state, player) {
  const element = make("div", "tr-diagnosis");
  const why = make("div", "tr-why-step");
  const reason = make("strong", "tr-why-reason");
  const what = make("p", "");
  const help = make("p", "");
  why.append(reason, what, help);
  const reasons = createTable(WORDS.whyEnded, [
    { name: WORDS.reason },
    { name: WORDS.stepsColumn, number: true },
    { name: WORDS.lostColumn, number: true },
  ]);
  const costly = createTable(WORDS.costly, [
    { name: WORDS.afterColumn },
    { name: WORDS.stepsColumn, number: true },
    { name: WORDS.lostColumn, number: true },
  ]);
  const whatIfs = createTable(WORDS.whatIfs, [
    { name: WORDS.whatIfColumn },
    { name: WORDS.passesColumn, number: true },
    { name: WORDS.matColumn, number: true },
    { name: WORDS.savedColumn, number: true },
    { name: WORDS.sureColumn },
  ]);
  const additions = createTable(WORDS.additions, [
    { name: WORDS.nodeColumn },
    { name: WORDS.caughtColumn, number: true },
    { name: WORDS.savedColumn, number: true },
  ]);
  const notes = make("ul", "tr-notes");
  const run = make("div", "tr-columns-of-tables");
  const [ended, helped] = [make("div", ""), make("div", "")];
  ended.append(reasons.element, costly.element);
  helped.append(whatIfs.element, additions.element);
  run.append(ended, helped);
  element.append(why, run, notes);

  let drawn = "";

  /** @param {import("../state/records.js").Analysis} analysis @param {Run} shown */
  function drawRun(analysis, shown) {
    const mostSteps = Math.max(1, ...analysis.reasons.map(([, , steps]) => steps));
    const mostLost = Math.max(1, ...analysis.reasons.map(([, , , lost]) => lost));
    reasons.fill(
      analysis.reasons.map(([key, words, steps, lost]) => [
        {
          text: words,
          press: () => markReason(key, words),
          pressed: state.marks?.key === `reason ${key}`,
          title: WORDS.markReason(words),
        },
        { text: String(steps), bar: steps / mostSteps },
        { text: String(lost), bar: lost / mostLost },
      ]),
    );
    const most = Math.max(1, ...analysis.costly.map(([, , lost]) => lost));
    costly.element.hidden = !analysis.costly.length;
    costly.fill(
      analysis.costly.map(([token, steps, lost]) => {
        const name = `“${tokenOf(shown, token).label}”`;
        return [
          {
            text: name,
            press: () => markToken(token, name),
            pressed: state.marks?.key === `after ${token}`,
            title: WORDS.markAfter(`“${tokenOf(shown, token).full}”`),
          },
          String(steps.length),
          { text: String(lost), bar: lost / most },
        ];
      }),
    );
    whatIfs.element.hidden = !analysis.what_ifs.length;
    whatIfs.fill(
      analysis.what_ifs.map(([words, passes, mat, saved, sure]) => [
        words,
        passes === null ? "–" : String(passes),
        mat === null ? "–" : mat.toFixed(2),
        saved === null ? "–" : String(saved).replace("-", "−"),
        sure,
      ]),
    );
    additions.element.hidden = !analysis.additions.length;
    additions.fill(
      analysis.additions.map(([words, steps, saved]) => [words, String(steps), String(saved)]),
    );
    notes.replaceChildren(...analysis.notes.map((note) => make("li", "", note)));
  }

  /** @param {string} key @param {string} words */
  function markReason(key, words) {
    follow({
      key: `reason ${key}`,
      name: words,
      find: (run) =>
        (run.analysis?.why ?? []).flatMap(([reason], i) => (reason === key ? [i + 1] : [])),
    });
  }

  /** @param {number} token @param {string} name */
  function markToken(token, name) {
    follow({
      key: `after ${token}`,
      name: WORDS.endedAfter(name),
      find: (run) => run.analysis?.costly.find(([after]) => after === token)?.[1] ?? [],
    });
  }

  /**
   * Mark steps, and go to the first of them if the one shown is none of them.
   * @param {Parameters<Player["mark"]>[0]} marks
   */
  function follow(marks) {
    player.mark(marks);
    const steps = state.marks?.steps ?? [];
    if (steps.length && !steps.includes(state.step))
      player.goTo(steps.find((step) => step > state.step) ?? steps[0]);
  }

  return {
    title: WORDS.diagnosisTitle,
    element,
    draw() {
      const shown = /** @type {Run} */ (state.run);
      const { analysis } = shown;
      const line = analysis?.why[state.step - 1];
      const words = analysis?.reasons.find(([key]) => key === line?.[0])?.[1] ?? "";
      why.dataset.reason = line?.[0] ?? "";
      setText(reason, line ? WORDS.whyStep(state.step, words) : "");
      setText(what, line?.[1] ?? WORDS.diagnosisWaits);
      setText(help, line?.[2] ?? "");
      run.hidden = !analysis;
      notes.hidden = !analysis;
      const key = `${shown.id} ${analysis?.steps} ${state.marks?.key}`;
      if (!analysis || key === drawn) return;
      drawn = key;
      drawRun(analysis, shown);
    },
  };
}
