// @ts-check
/**
 * Where drafted tokens came from: as the trace has it, for tree, inspector, text and the panel of
 * sources.
 */

import { lineage } from "./records.js";
import { WORDS } from "../words/words.js";

/**
 * @typedef {import("./records.js").Run} Run
 * @typedef {import("./records.js").Step} Step
 * @typedef {keyof typeof WORDS.sources} SourceName as the reader sees it: rows by the length of
 *   their key
 * @typedef {{name: SourceName, key: number, place: number}} NodeSource
 */

/** Keys of rows that have a mark of their own. */
const LONGEST_KEY = 3;

/**
 * The source of a node; null for the root, a filler, and where nothing is known of it. Without
 * sources in the trace, a drafter that keeps a matrix takes all from its rows.
 * @param {Step} step
 * @param {number} node
 * @returns {NodeSource | null}
 */
export function sourceOf(step, node) {
  if (node <= 0 || step.status[node] === "u") return null;
  if (!step.src) return step.rows.length ? { name: "row1", key: 1, place: -1 } : null;
  const [kind, key, place] = step.src[node];
  const name = kind === "row" ? `row${Math.min(Math.max(key, 1), LONGEST_KEY)}` : kind;
  return name in WORDS.sources ? { name: /** @type {SourceName} */ (name), key, place } : null;
}

/**
 * Tokens of the key that answered: the last of the way to the node's parent, as far as the text
 * before it is not needed.
 */
export function keyOf(
  /** @type {Run} */ run,
  /** @type {Step} */ step,
  /** @type {number} */ node,
  /** @type {number} */ length,
) {
  const way = lineage(step, step.parents[node]).map((n) => step.ids[n]);
  return way.length >= length
    ? way.slice(-length)
    : [...textBefore(run, step, length - way.length), ...way];
}

/** The last tokens before the root. @param {Run} run @param {Step} step @param {number} count */
function textBefore(run, step, count) {
  const text = [
    ...(run.info.prompt ?? []),
    ...run.steps.slice(0, run.steps.indexOf(step)).flatMap((one) => one.emitted),
  ];
  return text.slice(Math.max(0, text.length - 1 - count), text.length - 1);
}
