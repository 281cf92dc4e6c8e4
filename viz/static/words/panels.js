// @ts-check
/** The English words of the panels; see words.js. */

import { plural } from "./plural.js";

export const PANEL_WORDS = {
  panels: "Panels",
  marked: "Marked steps",
  markedSteps: (
    /** @type {string} */ name,
    /** @type {number} */ steps,
    /** @type {number} */ at,
  ) => `${name}: ${at ? `${at} of ` : ""}${plural(steps, "step", "steps")}`,
  previousMark: "Previous marked step",
  nextMark: "Next marked step",
  clearMarks: "Remove the marks",

  diagnosisTitle: "Diagnosis",
  diagnosisWaits: "Working this out …",
  whyStep: (/** @type {number} */ step, /** @type {string} */ reason) =>
    `Why step ${step} ended: ${reason}`,
  whyEnded: "Why paths ended",
  reason: "reason",
  stepsColumn: "steps",
  lostColumn: "tokens lost",
  costly: "Tokens after which the run lost most",
  afterColumn: "path ended after",
  whatIfs: "What would have helped this run",
  whatIfColumn: "with",
  passesColumn: "passes",
  matColumn: "tokens per pass",
  savedColumn: "passes saved",
  sureColumn: "certainty",
  additions: "One more node in every tree",
  nodeColumn: "ranks from the root",
  caughtColumn: "steps it helps",
  markReason: (/** @type {string} */ words) =>
    `Mark the steps that ended for this reason: ${words}`,
  markAfter: (/** @type {string} */ name) => `Mark the steps that lost tokens after ${name}`,
  endedAfter: (/** @type {string} */ name) => `ended after ${name}`,

  metricsTitle: "Metrics",
  metricsLead: (/** @type {number} */ steps) =>
    `Over the run's ${plural(steps, "step", "steps")} so far. Click a bar to go to its step.`,
  plotlyFailed: "The chart library could not be loaded: reload the page.",
  figures: {
    accepted_per_step: "Tokens each pass emitted",
    accepted_histogram: "Accepted tokens per step",
    acceptance_by_depth_and_rank: "Acceptance by depth and rank",
    tokens_against_passes: "Tokens against forward passes",
    time_per_phase: "Time of each phase",
    sliding_mat: "Tokens per pass, moving average",
    emitted_by_class: "By token class",
    mat_by_position: "By position in the output",
    reliability: "Expected and observed acceptance",
  },
  figureNotes: {
    acceptance_by_depth_and_rank: "Of the drafted nodes whose parent was accepted.",
    sliding_mat: "Over the last 10 steps.",
    reliability: "On the dotted line, drafts were as good as expected; below it, worse.",
  },
  figureWords: (/** @type {string} */ title) => `Chart: ${title}. The table below has its numbers.`,
  asTable: "as a table",
  acceptedExactly: (/** @type {number} */ n) => `${n} accepted`,

  attentionTitle: "Attention mask",
  maskHint: "Attention mask; arrow keys choose a row",
  maskPrefix: (/** @type {number} */ n) => `prefix: ${n}`,
  maskTree: (/** @type {number} */ n) => `the ${plural(n, "token", "tokens")} of this pass`,
  maskPosition: "position",
  maskWords: (
    /** @type {number} */ rows,
    /** @type {number} */ prefix,
    /** @type {number} */ open,
  ) =>
    "Each row is a token of this pass, each column a token it may attend to. " +
    `All ${rows} see the prefix of ${plural(prefix, "token", "tokens")}, drawn as one block. ` +
    "Within the tree, a token sees its ancestors and itself: " +
    `${open} of ${rows * rows} pairs are open.`,
  maskSubject: (
    /** @type {number} */ node,
    /** @type {string} */ name,
    /** @type {number} */ position,
  ) => `${node ? `Node ${node}` : "The root"}, ${name}, is at position ${position}.`,
  maskSees: (/** @type {number} */ prefix, /** @type {string[]} */ above) =>
    `It sees ${plural(prefix, "token", "tokens")} of the prefix, ` +
    `${above.length ? `${above.join(" → ")}, ` : ""}and itself.`,
  maskShares: (
    /** @type {number} */ position,
    /** @type {number} */ level,
    /** @type {number} */ siblings,
  ) =>
    `${plural(level, "other node is", "other nodes are")} at position ${position} too` +
    `${siblings ? `, including ${plural(siblings, "sibling", "siblings")}` : ""}: ` +
    "they do not see each other.",
  maskAlone: (/** @type {number} */ position) => `No other node is at position ${position}.`,
  maskLegend: {
    prefix: "prefix, seen by all",
    seen: "ancestor, seen",
    self: "itself",
    unseen: "row never seen: a filler",
    bracket: "same position; inner: siblings",
    kept: "root and accepted nodes",
    band: "hovered or selected row",
  },

  mapTitle: "Matrix map",
  mapMode: "Shade by",
  mapModes: { age: "age", writes: "times written", lost: "candidates lost" },
  mapLegend: {
    age:
      "Each dot is a row, in token-id order. The stronger, the more recently written; " +
      "faint dots were written 20 or more steps ago, or before this run.",
    writes: "Each dot is a row, in token-id order. The stronger, the more often written.",
    lost: "Each dot is a row, in token-id order. The stronger, the more candidates lost.",
  },
  mapSearch: "Find a row, or rows that lost a token",
  mapLead: (/** @type {number} */ seen, /** @type {number} */ all, /** @type {number} */ step) =>
    `After step ${step}, ${seen.toLocaleString("en")} of ${all.toLocaleString("en")} rows ` +
    "hold candidates. Rows that this run never wrote are not shown.",
  mapWords: (/** @type {number} */ filled, /** @type {number} */ all) =>
    `Map of ${all.toLocaleString("en")} rows, ${filled.toLocaleString("en")} of them shown ` +
    "as filled. The lists beside it name them.",
  mapHint:
    "Point at a dot to see its row. " +
    "Click it, or a row of the list, to mark the steps that wrote the row.",
  mapNothing: "No row of this run has such a token or lost one.",
  mapUnknown: (/** @type {number} */ token) => `Row of token ${token}: not written by this run.`,
  mapLater: (
    /** @type {string} */ name,
    /** @type {number} */ token,
    /** @type {boolean} */ before,
  ) =>
    `Row of ${name} (id ${token}): ` +
    `${before ? "filled before this run's first step" : "empty"}, not yet written by this run.`,
  mapRow: (
    /** @type {string} */ name,
    /** @type {number} */ token,
    /** @type {number} */ writes,
    /** @type {number} */ lost,
    /** @type {number} */ last,
  ) =>
    `Row of ${name} (id ${token}): written ${plural(writes, "time", "times")}, ` +
    `last in step ${last}; it lost ${plural(lost, "candidate", "candidates")}.`,
  rowsRewritten: "Rows that lost most",
  rowsFound: "Rows of the tokens found",
  losers: "Rows that lost the tokens found",
  rowColumn: "row of",
  writtenColumn: "times written",
  rowLostColumn: "candidates lost",
  agoColumn: "age",
  lostTokenColumn: "lost",
  inStepColumn: "in",
  ago: (/** @type {number} */ steps) => plural(steps, "step", "steps"),
  inStep: (/** @type {number} */ step) => `step ${step}`,
  rowWrites: (/** @type {string} */ name) => `row of ${name} written`,
  markRow: (/** @type {string} */ name) => `Mark the steps that wrote the row of ${name}`,
  showLoss: (/** @type {string} */ name, /** @type {number} */ step) =>
    `Go to step ${step}, which overwrote the row of ${name}`,

  costTitle: "ms and bytes",
  costLead:
    "A pass reads all weights once, however many tokens it checks, and the keys and values of " +
    "every token it attends to. Where memory is the bottleneck, " +
    "a tree costs little more than one token.",
  bytesUnknown: "This run's record does not say how many bytes its model reads.",
  bytesSaid: (
    /** @type {string} */ tree,
    /** @type {number} */ nodes,
    /** @type {string} */ plain,
    /** @type {number} */ emitted,
    /** @type {number} */ times,
  ) =>
    `This step read ${tree} for ${plural(nodes, "token", "tokens")}; ` +
    `a pass over its root alone would have read ${plain}. ` +
    `It emitted ${plural(emitted, "token", "tokens")}: ` +
    `plain decoding reads ${times.toFixed(2)} × as much for that.`,
  bytesStep: (/** @type {number} */ step) => `Bytes read for the tokens of step ${step}`,
  bytesRun: (/** @type {number} */ steps, /** @type {number} */ tokens) =>
    `Bytes read in ${plural(steps, "step", "steps")}, for ${plural(tokens, "token", "tokens")}`,
  weightsColumn: "weights",
  cacheColumn: "keys and values",
  allColumn: "total",
  perTokenColumn: "per token emitted",
  treePasses: (/** @type {number} */ n) => plural(n, "pass over a tree", "passes over trees"),
  plainPasses: (/** @type {number} */ n) => plural(n, "plain pass", "plain passes"),
  msTitle: "Milliseconds",
  msParts: { draft: "draft", forward: "forward pass", verify: "verify", update: "update" },
  thisStep: (/** @type {number} */ step) => `step ${step}`,
  wholeRun: (/** @type {number} */ steps) => `all ${plural(steps, "step", "steps")}`,
  plainStep: "a plain step, as measured",
  plainUnmeasured:
    "This run did not measure a plain step on this machine; runs with the tree auto do.",

  sourcesTitle: "Sources",
  sources: {
    row1: "row of one token",
    row2: "row of two tokens",
    row3: "row of three tokens",
    lookup: "copied from the text",
    usual: "frequent in this text",
    trie: "trie of the text",
    automaton: "suffix automaton",
    ngram: "n-gram statistics",
    fused: "more than one drafter",
  },
  // One sign each, so that no reader depends on colour.
  sourceMarks: {
    row1: "¹",
    row2: "²",
    row3: "³",
    lookup: "≡",
    usual: "~",
    trie: "Y",
    automaton: "∞",
    ngram: "#",
    fused: "+",
  },
  sourceOfNode: {
    row: (/** @type {string} */ key) => `From the row of ${key}.`,
    lookup: (/** @type {number} */ place) => `Copied from position ${place} of the text.`,
    other: (/** @type {string} */ source) => `From: ${source}.`,
  },
  expectedOfNode: (/** @type {number} */ chance) =>
    `Expected chance of acceptance: ${chance.toFixed(2)}.`,
  sourcesLead: (/** @type {boolean} */ expects) =>
    "Each node of the tree carries its source's sign. " +
    "Copied tokens have a square outline, recycled ones a round one. " +
    (expects
      ? "Expected is the sum of the chances that the drafter gave its nodes; " +
        "Metrics compares them with what happened."
      : "This drafter gives its nodes no chances, so nothing was expected."),
  sourcesMatrix:
    "This drafter takes all its drafts from one matrix with a row per token. " +
    "It gives its nodes no chances, so nothing was expected.",
  sourcesNone: "This run drafted nothing with a recorded source.",
  sourcesOfStep: (/** @type {number} */ step) => `Step ${step}`,
  sourcesNoneInStep: (/** @type {number} */ step) => `Step ${step} drafted nothing`,
  sourcesOfRun: (/** @type {number} */ steps) => `All ${plural(steps, "step", "steps")}`,
  sourceColumn: "source",
  draftedColumn: "drafted",
  expectedColumn: "expected",
  acceptedColumn: "accepted",
  shareColumn: "share",
  nodesByChance: "Nodes of this step, most expected first",
  nodeNameColumn: "node",
  happenedColumn: "what happened",

  budgetTitle: "Why so many nodes?",
  budgetTable: "Sizes compared",
  budgetTableFixed: "The tree of this run, cut short",
  nodesColumn: "nodes",
  msColumn: "ms",
  tokensColumn: "tokens expected",
  rateColumn: "tokens per second",
  chosenMark: "◆ chosen",
  bestMark: "best",
  thisTree: "this tree",
  unmeasured: "not measured",
  msLine: "t(N): milliseconds of a step",
  tokensLine: "E(N): tokens expected",
  rateLine: "E(N) / t(N): tokens per second",
  leftLine: "Tokens left after paying for the time",
  laterColumn: "saved later",
  leftColumn: "left",
  reachLine: "Tokens per step with the first N nodes of this run's tree",
  chartWords: (/** @type {string} */ name, /** @type {string[]} */ values) =>
    `${name}, by number of nodes: ${values.join(", ")}.`,
  budgetReasons: {
    best: (/** @type {Record<string, number>} */ b) =>
      `${plural(b.chosen, "node", "nodes")} in step ${b.step}: that size promised most, ` +
      `${b.rate.toFixed(0)} tokens per second against ${b.plainRate.toFixed(0)} ` +
      "for plain decoding.",
    plain: (/** @type {Record<string, number>} */ b) =>
      `No draft in step ${b.step}: the best size, ${plural(b.best, "node", "nodes")}, ` +
      `promised ${b.bestRate.toFixed(0)} tokens per second, ` +
      `too little above the ${b.plainRate.toFixed(0)} of plain decoding.`,
    kept: (/** @type {Record<string, number>} */ b) =>
      `${plural(b.chosen, "node", "nodes")} in step ${b.step}, as before: ` +
      `the best size, ${b.best}, promised hardly more ` +
      `(${b.bestRate.toFixed(0)} tokens per second).`,
    unseen: (/** @type {Record<string, number>} */ b) =>
      `No draft in step ${b.step}: the root's row was never written, ` +
      "so there was nothing to draft from.",
    probe: (/** @type {Record<string, number>} */ b) =>
      `${plural(b.chosen, "node", "nodes")} in step ${b.step}, to measure that size: ` +
      `the best size was ${b.best}, but it was unclear how the two compare in milliseconds.`,
  },
  growthReasons: /** @type {Record<string, (b: Record<string, number>) => string>} */ ({
    best: (b) =>
      `${plural(b.chosen, "node", "nodes")} in step ${b.step}: this size leaves the most tokens ` +
      "after paying for its time at the run's own speed, " +
      `${b.rate.toFixed(0)} tokens per second.`,
    plain: (b) =>
      `No draft in step ${b.step}: no size was worth its time at the run's own speed, ` +
      `${b.rate.toFixed(0)} tokens per second.`,
    probe: (b) =>
      b.chosen === 0
        ? `Plain decoding in step ${b.step}, to measure it: it is the yardstick for all sizes.`
        : `${plural(b.chosen, "node", "nodes")} in step ${b.step}, to measure that size: ` +
          "its cost was uncertain, and at the lowest likely cost it would pay.",
    unseen: (b) => `No draft in step ${b.step}: the drafter knew nothing that could follow here.`,
  }),
  growthHint:
    "Expected tokens are corrected by how earlier expectations turned out in this run. " +
    "Rejected nodes also write rows, which save tokens later: the first nodes most, " +
    "and all of them less where drafting pays less.",
  budgetSpine: (/** @type {number} */ spine) =>
    spine
      ? `Along the first candidates from the root, ${plural(spine, "row was", "rows were")} ` +
        "right when last checked. The longer this chain, the more deep nodes are worth."
      : "The root's row was wrong, or not checked, last time: " +
        "deep nodes are worth little here.",
  budgetFixed: (/** @type {string} */ tree, /** @type {number} */ nodes) =>
    `This run's tree is fixed: ${tree}, ${plural(nodes, "node", "nodes")} in this step. ` +
    "No sizes were compared.",
  budgetPlain: "This step drafted nothing and compared no sizes: it is plain decoding.",
  budgetOffer: (/** @type {boolean} */ known) =>
    "With the tree auto, the step time is measured for several sizes on this machine, " +
    "and each step uses the size with the most expected tokens per second." +
    (known ? " This record shows what its own tree would have emitted if cut short:" : ""),
};
