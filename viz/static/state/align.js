// @ts-check
/**
 * Runs of one prompt side by side, aligned by output position: tr_core/analysis/alignment.py for
 * the browser, where any runs that were kept can be laid together without a server. The tests hold
 * the two to the same numbers. Positions count from 1, runs from 0.
 */

import { CHANCES } from "./records.js";
import { WORDS } from "../words/words.js";

/**
 * @typedef {import("./records.js").Run} Run
 * @typedef {{step: number, first: number, last: number, accepted: number, passes: number}} LaneStep
 * @typedef {{name: string, steps: LaneStep[], emitter: number[], passes: number[], tokens:
 *   number[]}} Lane
 * @typedef {{run: number, step: number, first: number, last: number, spent: number[], gain:
 *   number}} Jump
 * @typedef {{run: number, position: number, passes: number}} Lead
 * @typedef {{token: number | null, step: number | null, probability: number | null, margin: number
 *   | null}} Chosen
 * @typedef {object} Summary
 * @property {number} tokens
 * @property {number} passes
 * @property {number} mat
 * @property {number} perSecond
 * @property {number} perStep milliseconds
 * @property {number} nodes of a step, on average
 * @property {number} drafted
 * @property {number} accepted
 * @property {boolean | null} lossless
 * @typedef {object} Alignment
 * @property {Lane[]} lanes
 * @property {Summary[]} summaries
 * @property {number} shared positions at which all runs have the same token, from 1 on
 * @property {"equal" | "beginning" | "different"} verdict
 * @property {{position: number, runs: Chosen[]} | null} difference
 * @property {number[][]} alike where not all are equal, groups of runs that wrote the same from
 *   beginning to end
 * @property {string[]} mayDiffer settings that may change the text, and differ
 * @property {Jump[]} jumps
 * @property {Lead[]} leads
 */

export const MOST_RUNS = 4;
/** What the runs are called in pictures. */
export const LETTERS = ["A", "B", "C", "D"];
const JUMPS = 10;
const TEXT_FACTS = ["model", "dtype", "device", "sampling"];

/**
 * Why a run cannot lie beside the others, in a sentence; null if it can.
 * @param {Run[]} kept
 * @param {Run} run
 */
export function refusalOf(kept, run) {
  const [first] = kept;
  if (kept.some(({ id }) => id === run.id)) return null;
  if (kept.length >= MOST_RUNS) return WORDS.compareFull(MOST_RUNS);
  if (first && first.info.tokenizer !== run.info.tokenizer)
    return WORDS.compareOtherTokenizer(run.info.model, first.info.model);
  const same =
    !first ||
    (first.info.prompt.length === run.info.prompt.length &&
      first.info.prompt.every(
        (/** @type {number} */ id, /** @type {number} */ i) => id === run.info.prompt[i],
      ));
  return same ? null : WORDS.compareOtherPrompt;
}

/** @param {Run[]} runs at least one @returns {Alignment} */
export function align(runs) {
  const names = namesOf(runs);
  const lanes = runs.map((run, i) => laneOf(names[i], run));
  const longest = Math.max(...lanes.map((lane) => lane.tokens.length));
  const shortest = Math.min(...lanes.map((lane) => lane.tokens.length));
  let shared = 0;
  while (
    shared < shortest &&
    lanes.every((lane) => lane.tokens[shared] === lanes[0].tokens[shared])
  )
    shared += 1;
  const whole = /** @type {Lane} */ (lanes.find((lane) => lane.tokens.length === longest)).tokens;
  const goesOn = lanes.every((lane) => lane.tokens.every((token, i) => token === whole[i]));
  const verdict = shared === longest ? "equal" : goesOn ? "beginning" : "different";
  return {
    lanes,
    summaries: runs.map(summaryOf),
    shared,
    verdict,
    difference:
      verdict === "equal"
        ? null
        : { position: shared + 1, runs: runs.map((run, i) => chosenAt(run, lanes[i], shared)) },
    alike: verdict === "equal" ? [] : alikeOf(lanes),
    mayDiffer: TEXT_FACTS.filter((key) => new Set(runs.map((run) => run.info.facts[key])).size > 1),
    jumps: jumpsOf(lanes, shared),
    leads: leadsOf(lanes, shared),
  };
}

/** A name for each run, made of what tells it from the others. @param {Run[]} runs */
export function namesOf(runs) {
  const listed = runs.map((run) => /** @type {Record<string, string>} */ (run.info.facts));
  const telling = Object.keys(listed[0] ?? {}).filter(
    (key) => new Set(listed.map((facts) => facts[key]).filter(Boolean)).size > 1,
  );
  const names = listed.map(
    (facts) =>
      telling
        .map((key) => facts[key])
        .filter(Boolean)
        .join(" · ") || facts.drafter,
  );
  return names.map((name, i) => {
    const times = names.slice(0, i).filter((other) => other === name).length;
    return times ? `${name} (${times + 1})` : name;
  });
}

/** Number of the step that wrote a position, or 0. @param {Lane} lane @param {number} position */
export function stepAt(lane, position) {
  return lane.emitter[position - 1] ?? 0;
}

/** @param {string} name @param {Run} run @returns {Lane} */
function laneOf(name, run) {
  /** @type {Lane} */
  const lane = { name, steps: [], emitter: [], passes: [], tokens: [] };
  let total = 0;
  run.steps.forEach((step, i) => {
    total += step.passes ?? 1;
    const first = lane.tokens.length + 1;
    lane.steps.push({
      step: i + 1,
      first,
      last: first + step.emitted.length - 1,
      accepted: step.path.length,
      passes: total,
    });
    for (const token of step.emitted) {
      lane.tokens.push(token);
      lane.emitter.push(i + 1);
      lane.passes.push(total);
    }
  });
  return lane;
}

/**
 * Passes from before `first` to `last`.
 * @param {Lane} lane
 * @param {number} first
 * @param {number} last
 */
function spent(lane, first, last) {
  return lane.passes[last - 1] - (first > 1 ? lane.passes[first - 2] : 0);
}

/** @param {Lane[]} lanes @returns {number[][]} */
function alikeOf(lanes) {
  /** @type {Map<string, number[]>} */
  const groups = new Map();
  lanes.forEach((lane, run) => {
    const text = lane.tokens.join(" ");
    groups.set(text, [...(groups.get(text) ?? []), run]);
  });
  return [...groups.values()].filter((group) => group.length > 1);
}

/** @param {Lane[]} lanes @param {number} shared @returns {Jump[]} */
function jumpsOf(lanes, shared) {
  /** @type {Jump[]} */
  const jumps = [];
  lanes.forEach((lane, run) => {
    for (const { step, first, last } of lane.steps) {
      if (last < first || last > shared) continue;
      const all = lanes.map((other) => spent(other, first, last));
      const gain = Math.min(...all.filter((_, i) => i !== run)) - all[run];
      if (gain > 0 && Number.isFinite(gain))
        jumps.push({ run, step, first, last, spent: all, gain });
    }
  });
  return jumps
    .sort((a, b) => b.gain - a.gain || a.first - b.first || a.run - b.run)
    .slice(0, JUMPS);
}

/** @param {Lane[]} lanes @param {number} shared @returns {Lead[]} */
function leadsOf(lanes, shared) {
  return lanes.flatMap((lane, run) => {
    const others = lanes.filter((other) => other !== lane);
    let [most, position] = [0, 0];
    for (let p = 0; p < shared && others.length; p++) {
      const ahead = Math.min(...others.map((other) => other.passes[p])) - lane.passes[p];
      if (ahead > most) [most, position] = [ahead, p + 1];
    }
    return most ? [{ run, position, passes: most }] : [];
  });
}

/**
 * What a run has at a position of the output, here from 0.
 * @param {Run} run
 * @param {Lane} lane
 * @param {number} index
 * @returns {Chosen}
 */
function chosenAt(run, lane, index) {
  const number = lane.emitter[index];
  if (number === undefined) return { token: null, step: null, probability: null, margin: null };
  const step = run.steps[number - 1];
  const after = [0, ...step.path][index + 1 - lane.steps[number - 1].first];
  const best = step.p[after];
  const chance = best[step.top[after].indexOf(lane.tokens[index])];
  return {
    token: lane.tokens[index],
    step: number,
    probability: chance === undefined ? null : chance / CHANCES,
    margin: best.length > 1 ? (best[0] - best[1]) / CHANCES : null,
  };
}

/** @param {Run} run @returns {Summary} */
function summaryOf(run) {
  const count = run.steps.length;
  const drafted = run.steps.reduce((sum, step) => sum + step.ids.length - 1, 0);
  return {
    tokens: run.emitted,
    passes: run.passes,
    mat: run.passes ? run.emitted / run.passes : 0,
    perSecond: run.milliseconds ? (1000 * run.emitted) / run.milliseconds : 0,
    perStep: count ? run.milliseconds / count : 0,
    nodes: count ? drafted / count : 0,
    drafted,
    accepted: run.steps.reduce((sum, step) => sum + step.path.length, 0),
    lossless: run.end?.identical ?? null,
  };
}
