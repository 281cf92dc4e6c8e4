// @ts-check
/** Records, as viz/records/run_records.py writes them → the runs that the panels read. See there for what the keys mean. */

/**
 * @typedef {{label: string, text: string, full: string, hex: string}} Token
 * @typedef {{t: number, n: number, b: number[], a?: number[], c: string, u?: string, e?: number[]}} Row
 * @typedef {object} Step
 * @property {number} index
 * @property {[string, number, number][]} [src] kind, length of key, and place of each node's source
 * @property {number[]} [exp] chance of each node to be accepted, as expected
 * @property {number} committed
 * @property {string | null} stop
 * @property {number[]} ms
 * @property {number[]} ids
 * @property {number[]} parents
 * @property {number[]} ranks
 * @property {number[]} choices
 * @property {string} status
 * @property {string} why
 * @property {number[][]} top
 * @property {number[][]} p
 * @property {number[]} path
 * @property {number | null} bonus
 * @property {number[]} emitted
 * @property {number[]} x
 * @property {number[]} y
 * @property {number[]} counts
 * @property {number} height
 * @property {[number, number] | null} at
 * @property {number} new_rows
 * @property {number} [passes] forward passes, if more than one
 * @property {Row[]} rows
 * @property {[number, keyof typeof import("../words/words.js").WORDS.budgetReasons, number, number[], number[], number[], number[]?, number?]} [budget] chosen, reason, spine, sizes, expected, ms, later, rate
 * @typedef {{stop: string | null, identical: boolean | null, text: string | null}} End
 * @typedef {object} Run
 * @property {string} id
 * @property {Record<string, any>} info
 * @property {Map<number, Token>} tokens
 * @property {Step[]} steps
 * @property {number[]} rowsSeen rows of the matrix that hold candidates after each step
 * @property {number} reach columns that its trees have needed so far, those of their bonus included
 * @property {number} emitted tokens so far
 * @property {number} passes forward passes so far
 * @property {number} milliseconds of all steps
 * @property {boolean} running
 * @property {End | null} end
 * @property {any} analysis what viz/records/analysis_record.py makes of its first `steps` steps; null before it has come
 * @property {string | null} recorded name of a run that came whole, which may be empty; null if it came step by step
 */

/** Node of the bonus, where a node is meant: it is none of the tree's. */
export const BONUS_NODE = -1;

/** Probabilities come as whole numbers of these parts. */
export const CHANCES = 100_000;

/** @type {Record<string, "root" | "accepted" | "rejected" | "unseen">} */
export const STATUS_OF = { r: "root", a: "accepted", x: "rejected", u: "unseen" };

/**
 * Tokens that a step drafted: its nodes but the root, and but those below a row never seen, which hold none.
 * @param {Step} step
 */
export function draftedIn(step) {
  return [...step.status].filter((why) => why !== "r" && why !== "u").length;
}

/** @type {Record<string, "fresh" | "moved" | "kept">} */
export const CHANGE_OF = { f: "fresh", m: "moved", k: "kept" };

/**
 * A run with no step yet.
 * @param {string} id
 * @param {Record<string, any>} start
 * @returns {Run}
 */
export function openRun(id, start) {
  const run = {
    id,
    info: start,
    tokens: new Map(),
    steps: [],
    rowsSeen: [],
    reach: 0,
    emitted: 0,
    passes: 0,
    milliseconds: 0,
    running: true,
    end: null,
    analysis: null,
    recorded: null,
  };
  learnTokens(run, start.tokens);
  return run;
}

/**
 * Add a step; one that is already there is left alone, so that a repeated record changes nothing.
 * @param {Run} run
 * @param {any} record
 * @returns {boolean} whether it was new
 */
export function addStep(run, record) {
  learnTokens(run, record.tokens);
  const last = run.steps.at(-1);
  if (last && record.index <= last.index) return false;
  run.steps.push(record);
  run.rowsSeen.push((run.rowsSeen.at(-1) ?? run.info.rows_seen) + record.new_rows);
  run.reach = Math.max(run.reach, record.counts.length, 1 + (record.at?.[0] ?? 0));
  run.emitted += record.emitted.length;
  run.passes += record.passes ?? 1;
  run.milliseconds += record.ms.reduce(
    (/** @type {number} */ a, /** @type {number} */ b) => a + b,
    0,
  );
  run.running = record.running ?? true;
  if (record.stop !== null) {
    run.running = false;
    run.end = { stop: record.stop, identical: null, text: null };
  }
  return true;
}

/** @param {Run} run @param {any} record */
export function endRun(run, record) {
  run.running = false;
  run.end = {
    stop: record.stop ?? run.end?.stop ?? null,
    identical: record.identical,
    text: record.text ?? null,
  };
}

/** A run as one record, as viz/records/run_records.py tells whole ones: for a server that does not have it. @param {Run} run */
export function recordOf({ id, info, steps, end }) {
  // The text of a run that goes on is that of its tokens so far.
  return { run: id, start: info, steps, end: end && { ...end, text: end.stop ? end.text : null } };
}

/**
 * Take an analysis; one of fewer steps than the one that is there comes too late.
 * @param {Run} run
 * @param {any} record
 * @returns {boolean} whether it was taken
 */
export function learnAnalysis(run, record) {
  if (run.analysis && record.steps < run.analysis.steps) return false;
  run.analysis = record;
  return true;
}

/** @param {Run} run @param {Record<string, string[]> | undefined} table */
function learnTokens(run, table) {
  for (const [id, [label, text = label, full = label, hex = ""]] of Object.entries(table ?? {})) {
    run.tokens.set(Number(id), { label, text, full, hex });
  }
}

/** @param {Run} run @param {number} id @returns {Token} */
export function tokenOf(run, id) {
  const known = run.tokens.get(id);
  if (known) return known;
  const name = `‹id ${id}›`;
  return { label: name, text: name, full: name, hex: "" };
}

/** Candidates of a row since this step. @param {Step} step @param {Row} row */
export function rowAfter(step, row) {
  return row.a ?? step.top[row.n];
}

/** The node that the bonus stands after. @param {Step} step */
export function pathEnd(step) {
  return step.path.at(-1) ?? 0;
}

/** Nodes from the root to this one. @param {Step} step @param {number} node */
export function lineage(step, node) {
  const nodes = [];
  for (let n = node; n >= 0; n = step.parents[n]) nodes.unshift(n);
  return nodes;
}
