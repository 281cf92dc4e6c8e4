// @ts-check
/**
 * Every English word of the explorer; larger parts have files of their own beside this one.
 * Functions where a number or a token goes into a sentence.
 */

import { plural, quoted } from "./plural.js";
import { COMPARE_WORDS } from "./compare.js";
import { LESSON_WORDS } from "./lessons.js";
import { PANEL_WORDS } from "./panels.js";

export const WORDS = {
  title: "Token Recycling Explorer",
  empty:
    "Type a prompt and press Step: you will see what is drafted, what the model accepts, " +
    "and what is recycled from the rest.",
  lookAt: "Or look at a recorded run first:",
  recorded: "recording",
  recordedHere: "recording · Step for your own",
  recordedHint: (/** @type {string} */ name) =>
    `${name ? `${name}. ` : ""}This run was recorded earlier: nothing is computed here.`,
  dropHere: "Drop a saved run here to open it",
  dropFew: (/** @type {number} */ most) =>
    `Drop a run saved here as JSON, or up to ${most} runs of one prompt to compare.`,
  dropTooLarge: (
    /** @type {string} */ name,
    /** @type {number} */ size,
    /** @type {number} */ largest,
  ) => `“${name}” has ${size} MB; the limit is ${largest} MB. Record a shorter run.`,
  emptyMore:
    "Step decodes one pass and waits; Run goes on to the end. " +
    "Every step is kept, so you can go back at any time.",
  reading: "The prompt is read. Waiting for the first pass …",
  tokensPerPass: "tokens per pass",
  tokensInPasses: (/** @type {number} */ tokens, /** @type {number} */ passes) =>
    `${plural(tokens, "token", "tokens")} in ${plural(passes, "pass", "passes")}`,
  passesSaved: (/** @type {number} */ passes) => ` (${passes} saved)`,
  dtypes: /** @type {Record<string, string>} */ ({
    float32: "fp32",
    bfloat16: "bf16",
    float16: "fp16",
  }),
  passesSavedHint: "Plain decoding makes one forward pass per token: this run made so many fewer.",
  perSecond: (/** @type {string} */ speed) => `${speed} tokens/s`,
  perSecondHint:
    "Tokens emitted per second of drafting, forward passes, verifying and updating. " +
    "The prompt's pass does not count.",
  perPassHint:
    "Mean accepted tokens: tokens emitted per forward pass, including the bonus. " +
    "The prompt's pass does not count. Plain decoding gives 1.",
  tree: (/** @type {string} */ name, /** @type {number} */ nodes) =>
    /\d/.test(name) || !nodes ? name : `${name} ${nodes}`,
  lossless: "lossless ✓",
  losslessHint: "Plain decoding of the same prompt gave the same tokens.",
  differs: "differs from plain decoding",
  differsHint:
    "Plain decoding of the same prompt gave other tokens. In half precision near-ties may flip.",
  unchecked: "not checked",
  uncheckedHint: "This run was not compared with plain decoding.",
  running: "running",
  progress: "tokens written",
  progressOf: (/** @type {number} */ tokens, /** @type {number} */ limit) =>
    `${tokens} of at most ${limit} tokens`,
  waiting: "waiting for the next step",
  interrupted: "stopped",
  finished: "finished",
  ended: (/** @type {string} */ why) => `■ ${why}`,
  queue: (/** @type {number} */ ahead, /** @type {number} */ seconds) =>
    `Waiting for the model: ${plural(ahead, "turn", "turns")} before yours` +
    `${seconds >= 1 ? `, about ${Math.ceil(seconds)} s` : ""}.`,
  loading: (
    /** @type {string} */ model,
    /** @type {number} */ seconds,
    /** @type {string} */ doing,
  ) => `Loading “${model}”: ${doing}, ${seconds} s so far. All visitors share it once loaded.`,
  lost: "The connection to the server is lost. Your run stays here; reconnecting …",
  found: "The server is back: press Step or Run to go on where you were.",
  gone: "The server no longer has this run: press Step or Run again to restart it.",
  dismiss: "Dismiss",
  help: "Help",
  close: "Close",

  text: "Text",
  promptFolded: (/** @type {number} */ n) =>
    `show ${plural(n, "earlier prompt token", "earlier prompt tokens")}`,
  promptUnfolded: "fold the prompt",
  emittedBy: (/** @type {number} */ step, /** @type {boolean} */ bonus) =>
    bonus ? `step ${step}, bonus` : `step ${step}, accepted`,

  treeTitle: "Draft tree",
  treeHead: (
    /** @type {number} */ step,
    /** @type {number} */ accepted,
    /** @type {number} */ drafted,
    /** @type {boolean} */ bonus,
  ) =>
    `step ${step}: ${drafted ? `${accepted} of ${drafted} accepted` : "nothing drafted"}` +
    `${bonus ? ", + 1 bonus" : ""}`,
  treeHeads: {
    draft: (
      /** @type {number} */ step,
      /** @type {number} */ drafted,
      /** @type {number} */ nodes,
    ) =>
      `step ${step}: ${drafted < nodes ? `${drafted} of ` : ""}` +
      `${plural(nodes, "node", "nodes")} drafted`,
    verify: (/** @type {number} */ step, /** @type {number} */ nodes) =>
      `step ${step}: ${plural(nodes + 1, "token", "tokens")} checked in one pass`,
  },
  root: "root",
  depth: (/** @type {number} */ d) => `depth ${d}`,
  zoomIn: "Zoom in",
  zoomOut: "Zoom out",
  fit: "fit",
  fitHint: "Fit the whole tree",
  zoomHint: "Drag to move, Ctrl + wheel to zoom",
  saveAs: (/** @type {string} */ format) => `Save ${format}`,
  saveHint: (/** @type {string} */ format) => `Save the tree as you see it, as ${format}`,
  saveFailed: "This browser could not draw the picture: save as SVG instead.",
  phaseGroup: "Phase of the step",
  phases: { draft: "draft", verify: "verify", accept: "accept", recycle: "recycle" },
  phaseHints: {
    draft:
      "The matrix fills the tree level by level: a child is a candidate from its parent's row.",
    verify: "One forward pass gives the model's own choice after every node at once.",
    accept:
      "From the root down, nodes that equal the model's choice are kept. " +
      "The choice after the last one is the bonus token.",
    recycle:
      "This pass's best tokens overwrite the row of every checked token, rejected ones included.",
  },
  legend: {
    accepted: "accepted",
    rejected: "rejected",
    unseen: "row never seen",
    bonus: "★ bonus",
    choice: "→ model's choice",
    agrees: "agrees with the choice",
    rank: "rank in the row",
  },
  nodeHint: (/** @type {string} */ label, /** @type {number} */ id, /** @type {string} */ status) =>
    `“${label}” · id ${id} · ${status}`,
  status: {
    root: "root",
    accepted: "accepted",
    rejected: "rejected",
    unseen: "row never seen",
    bonus: "bonus",
  },

  draftedNode: "drafted",

  matrixTitle: "Matrix",
  matrixHead: (/** @type {number} */ n) => `${plural(n, "row", "rows")} overwritten`,
  matrixHeadBefore: (/** @type {number} */ n) => `${plural(n, "row", "rows")} to be overwritten`,
  matrixNone: "This drafter keeps no matrix.",
  matrixUntouched: "This step touched no row.",
  matrixNoMatch: "No row of this step has such a token.",
  search: "Find a token",
  lostHead: (/** @type {string} */ label, /** @type {number} */ times) =>
    times
      ? `Rows that lost “${label}”, ${plural(times, "time", "times")} in this run:`
      : `No row lost “${label}” in this run.`,
  lostRow: (/** @type {number} */ step, /** @type {string} */ row) =>
    `step ${step}: row of “${row}”`,
  lostHint: (/** @type {string} */ row, /** @type {string} */ label, /** @type {number} */ step) =>
    `In step ${step} the row of “${row}” lost “${label}”`,
  fill: (/** @type {number} */ seen, /** @type {number} */ all) =>
    `${seen.toLocaleString("en")} of ${all.toLocaleString("en")} rows filled`,
  neverWritten: "new row",
  change: { fresh: "fresh", moved: "moved", kept: "kept" },
  evicted: "evicted",
  drafted: "drafted from",
  used: "accepted",
  cellHint: (
    /** @type {string} */ label,
    /** @type {number} */ id,
    /** @type {number} */ rank,
    /** @type {string} */ what,
  ) => `“${label}” · id ${id} · rank ${rank}${what ? ` · ${what}` : ""}`,
  rowHint: (/** @type {string} */ label, /** @type {number} */ id, /** @type {number} */ node) =>
    `row of “${label}” · id ${id} · written by node ${node}`,
  evictedHint: (/** @type {string[]} */ labels) => `evicted: ${quoted(labels)}`,

  inspectorTitle: "Inspector",
  place: (
    /** @type {number} */ id,
    /** @type {number} */ depth,
    /** @type {number} */ rank,
    /** @type {string} */ parent,
    /** @type {number} */ position,
  ) => `id ${id} · depth ${depth} · rank ${rank} below “${parent}” · position ${position}`,
  placeRoot: (/** @type {number} */ id, /** @type {number} */ position) =>
    `id ${id} · root, depth 0 · position ${position}`,
  placeBonus: (
    /** @type {number} */ id,
    /** @type {number} */ depth,
    /** @type {string} */ parent,
    /** @type {number} */ position,
  ) => `id ${id} · bonus, depth ${depth} after “${parent}” · position ${position}`,
  verdict: {
    r: () => "The last committed token: not a draft, but the root of the tree.",
    a: (/** @type {string} */ parent) =>
      `Accepted: it agrees with the model's choice after “${parent}”.`,
    o: (/** @type {string} */ parent, /** @type {string} */ choice) =>
      `Rejected: after “${parent}” the model chose “${choice}” instead.`,
    p: (/** @type {string} */ parent, /** @type {string} */ choice) =>
      `Rejected: its parent “${parent}” was not accepted. ` +
      `(There the model would choose “${choice}”.)`,
    q: (/** @type {string} */ parent) =>
      `A right guess in the wrong place: it agrees with the choice after “${parent}”, ` +
      `but “${parent}” was not accepted.`,
    u: () =>
      "Not a draft: the row above was never written, so there was nothing to recycle. " +
      "It cannot be accepted.",
    s: (/** @type {string} */ parent) =>
      `It agrees with the choice after “${parent}”, but the run stopped before it.`,
    d: () => "A sibling of lower rank has the same token and was accepted instead.",
  },
  proposed: (/** @type {string} */ parent, /** @type {number} */ rank) =>
    `The candidate of rank ${rank} in the row of “${parent}”. The model has not checked it yet.`,
  asked: (/** @type {string} */ label, /** @type {string} */ choice) =>
    `After “${label}” the model chooses “${choice}”.`,
  verdictBonus: (/** @type {string} */ parent) =>
    `Not drafted: the model's own choice after “${parent}”, which the same pass computed anyway. ` +
    "Every pass gives at least this token.",
  next: (/** @type {string} */ label) => `The model's best tokens after “${label}”`,
  rowNow: (/** @type {string} */ label) =>
    `Row of “${label}” before this pass, the source of its children`,
  nextBonus: (/** @type {string} */ label) => `The model's best tokens after “${label}”`,
  outside: (/** @type {string} */ choice, /** @type {number} */ k) =>
    `It chose “${choice}”, which is not among the top ${k}.`,
  choice: "choice",
  draftedAt: (/** @type {number} */ rank) => `drafted ${rank}`,

  stepsTitle: "Steps",
  stepsHead: "tokens each pass emitted",
  stepInput: "Go to step",
  stepsInAll: (/** @type {number} */ steps) => `/ ${steps}`,
  stepOf: (/** @type {number} */ step, /** @type {number} */ steps) => `${step} / ${steps}`,
  slider: "Step",
  newSteps: (/** @type {number} */ n) => plural(n, "new step", "new steps"),
  first: "First",
  back: "Back",
  play: "Play",
  pause: "Pause",
  forward: "Forward",
  last: "Last",
  speed: "Speed",

  helpTitle: "How to read and use this page",
  helpKeys: [
    ["Space", "play or pause"],
    ["← →", "one step back or forward"],
    ["↑ ↓", "one phase back or forward"],
    ["Home End", "first or last step"],
    ["J K", "next or previous node"],
    ["N", "next marked step; with Shift the previous one"],
    ["L", "the tour; in it, a presenter's clicker or N goes on, and A … I answer"],
    ["P", "projector mode: large type, high contrast"],
    ["?", "this help"],
    ["Esc", "close, or deselect the node"],
  ],
  helpMore:
    "Click a token of the text to go to the step that wrote it. " +
    "Click a node or a row to see why it was accepted or not.",

  summary: (
    /** @type {number} */ step,
    /** @type {number} */ drafted,
    /** @type {string[]} */ accepted,
    /** @type {string | null} */ bonus,
    /** @type {string | null} */ stop,
  ) => {
    const kept = accepted.length ? `: ${quoted(accepted)}` : "";
    const own =
      bonus === null
        ? ""
        : accepted.length
          ? `, then the model's own “${bonus}”`
          : `; the model's own “${bonus}”`;
    const end = stop ? ` The run ended: ${stop}.` : "";
    const drafts = plural(drafted, "drafted token", "drafted tokens");
    return `Step ${step}: ${accepted.length} of ${drafts} accepted${kept}${own}.${end}`;
  },

  ...PANEL_WORDS,
  ...COMPARE_WORDS,
  ...LESSON_WORDS,
};
