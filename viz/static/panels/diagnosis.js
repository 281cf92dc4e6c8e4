// @ts-check
/** The diagnosis panel: why this step's path ended, what that cost over the run, and what would have helped. */

import { make, setText } from "../kit/dom.js";
import { tokenOf } from "../state/records.js";
import { WORDS } from "../words/words.js";
import { createTable } from "../kit/tables.js";

/**
 * @typedef {import("../state/records.js").Run} Run
 * @typedef {import("../state/player.js").State} State
 * @typedef {import("../state/player.js").Player} Player
 */

/** @param {State} state @param {Player} player @returns {import("./panels.js").Panel} */
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

  /** @param {any} found @param {Run} shown */
  function drawRun(found, shown) {
    const [mostSteps, mostLost] = [2, 3].map((at) =>
      Math.max(1, ...found.reasons.map((/** @type {any} */ line) => line[at])),
    );
    reasons.fill(
      found.reasons.map(([key, words, steps, lost]) => [
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
    const most = Math.max(1, ...found.costly.map((/** @type {any} */ line) => line[2]));
    costly.element.hidden = !found.costly.length;
    costly.fill(
      found.costly.map(([token, steps, lost]) => {
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
    whatIfs.element.hidden = !found.what_ifs.length;
    whatIfs.fill(
      found.what_ifs.map(([words, passes, mat, saved, sure]) => [
        words,
        passes === null ? "–" : String(passes),
        mat === null ? "–" : mat.toFixed(2),
        saved === null ? "–" : String(saved).replace("-", "−"),
        sure,
      ]),
    );
    additions.element.hidden = !found.additions.length;
    additions.fill(
      found.additions.map(([words, steps, saved]) => [words, String(steps), String(saved)]),
    );
    notes.replaceChildren(...found.notes.map((/** @type {string} */ note) => make("li", "", note)));
  }

  /** @param {string} key @param {string} words */
  function markReason(key, words) {
    follow({
      key: `reason ${key}`,
      name: words,
      find: (run) =>
        (run.analysis?.why ?? []).flatMap(
          (/** @type {string[]} */ [found], /** @type {number} */ i) =>
            found === key ? [i + 1] : [],
        ),
    });
  }

  /** @param {number} token @param {string} name */
  function markToken(token, name) {
    follow({
      key: `after ${token}`,
      name: WORDS.endedAfter(name),
      find: (run) =>
        run.analysis?.costly.find((/** @type {any} */ line) => line[0] === token)?.[1] ?? [],
    });
  }

  /** Mark steps, and go to the first of them if the one shown is none of them. @param {Parameters<Player["mark"]>[0]} marks */
  function follow(marks) {
    player.mark(marks);
    const steps = state.marks?.steps ?? [];
    if (steps.length && !steps.includes(state.step))
      player.goTo(steps.find((step) => step > state.step) ?? steps[0]);
  }

  return {
    name: "diagnosis",
    title: WORDS.diagnosisTitle,
    element,
    draw() {
      const shown = /** @type {Run} */ (state.run);
      const found = shown.analysis;
      const line = found?.why[state.step - 1];
      const words =
        found?.reasons.find((/** @type {string[]} */ [key]) => key === line?.[0])?.[1] ?? "";
      why.dataset.reason = line?.[0] ?? "";
      setText(reason, line ? WORDS.whyStep(state.step, words) : "");
      setText(what, line?.[1] ?? WORDS.diagnosisWaits);
      setText(help, line?.[2] ?? "");
      run.hidden = !found;
      notes.hidden = !found;
      const key = `${shown.id} ${found?.steps} ${state.marks?.key}`;
      if (!found || key === drawn) return;
      drawn = key;
      drawRun(found, shown);
    },
  };
}
