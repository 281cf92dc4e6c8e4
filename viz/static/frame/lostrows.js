// @ts-check
/**
 * Rows that lost a token, over the whole run: what the search of the matrix panel finds beyond the
 * step shown.
 */

import { make, makeButton, setText } from "../kit/dom.js";
import { tokenOf } from "../state/records.js";
import { WORDS } from "../words/words.js";

/**
 * @typedef {import("../state/records.js").Run} Run
 * @typedef {import("../state/player.js").State} State
 * @typedef {import("../state/player.js").Player} Player
 * @typedef {{step: number, node: number, row: number, token: number}} Loss a row, the node that
 *   overwrote it, what it lost
 */

/** More are not listed; the head says how many there are. */
const LOSSES_LISTED = 200;

/**
 * Tokens meant by a text: those that are it, white space aside, or else those that have it in them.
 * @param {Run} run
 * @param {string} wanted
 * @returns {Set<number>}
 */
function meant(run, wanted) {
  const text = wanted.trim().toLowerCase();
  const matches = new Set();
  const holding = new Set();
  for (const [id, token] of run.tokens) {
    if (token.text.trim().toLowerCase() === text || String(id) === text) matches.add(id);
    else if (token.text.toLowerCase().includes(text)) holding.add(id);
  }
  return matches.size ? matches : holding;
}

/** @param {Run} run @param {string} wanted @returns {Loss[]} in the order of the steps */
function lossesOf(run, wanted) {
  const tokens = meant(run, wanted);
  return run.steps.flatMap((step, i) =>
    step.rows.flatMap((row) =>
      (row.e ?? [])
        .filter((id) => tokens.has(id))
        .map((token) => ({ step: i + 1, node: row.n, row: row.t, token })),
    ),
  );
}

/** @param {State} state @param {Player} player */
export function createLostRows(state, player) {
  const element = make("div", "tr-lost");
  const head = make("div", "tr-lost-head");
  const list = make("div", "tr-lost-list");
  list.tabIndex = 0;
  list.setAttribute("role", "group");
  element.append(head, list);
  element.hidden = true;
  let drawn = "";
  /** @type {HTMLElement[]} */
  let buttons = [];
  /** @type {Loss[]} */
  let losses = [];

  /** @param {Run} run */
  function fill(run) {
    losses = lossesOf(run, state.filter);
    const label = (/** @type {number} */ id) => tokenOf(run, id).full;
    const only =
      new Set(losses.map((loss) => loss.token)).size === 1
        ? label(losses[0].token)
        : state.filter.trim();
    setText(head, WORDS.lostHead(only, losses.length));
    list.setAttribute("aria-label", head.textContent ?? "");
    buttons = losses.slice(0, LOSSES_LISTED).map((loss) => {
      const button = makeButton("tr-lost-row", WORDS.lostRow(loss.step, label(loss.row)));
      button.title = WORDS.lostHint(label(loss.row), label(loss.token), loss.step);
      button.dataset.lost = String(loss.row);
      button.addEventListener("click", () => {
        player.goTo(loss.step, "recycle");
        player.select(loss.node);
      });
      return button;
    });
    list.replaceChildren(...buttons);
  }

  return {
    element,
    draw() {
      const run = state.run;
      element.hidden = !run?.info.k || !state.filter.trim();
      const key = element.hidden ? "" : `${run?.id} ${run?.steps.length} ${state.filter}`;
      if (key && key !== drawn) fill(/** @type {Run} */ (run));
      drawn = key;
      if (!key) return;
      buttons.forEach((button, i) =>
        button.classList.toggle("tr-lost-now", losses[i].step === state.step),
      );
    },
  };
}
