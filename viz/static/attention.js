// @ts-check
/** The attention mask of the step. */

import { make } from "./dom.js";
import { WORDS } from "./strings.js";

/**
 * @typedef {import("./player.js").State} State
 * @typedef {import("./player.js").Player} Player
 */

/** @param {State} state @param {Player} player @returns {import("./panels.js").Panel} */
export function createAttentionPanel(state, player) {
  const element = make("div", "tr-attention");
  return { name: "attention", title: WORDS.attentionTitle, element, draw() {} };
}
