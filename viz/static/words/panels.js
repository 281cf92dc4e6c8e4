// @ts-check
/** The English words of the panels; see strings.js. */

import { plural } from "./plural.js";

export const PANEL_WORDS = {
  panels: "Panels",
  marked: "Marked steps",
  markedSteps: (
    /** @type {string} */ name,
    /** @type {number} */ steps,
    /** @type {number} */ at,
  ) =>
    `${name}: ${at ? `${at} of ${plural(steps, "step", "steps")}` : plural(steps, "step", "steps")}`,
  previousMark: "Previous marked step",
  nextMark: "Next marked step",
  clearMarks: "Remove the marks",

  diagnosisTitle: "Diagnosis",
  diagnosisWaits: "This is being worked out …",
  whyStep: (/** @type {number} */ step, /** @type {string} */ reason) =>
    `Why step ${step} ended: ${reason}`,
  whyEnded: "Why paths ended",
  reason: "reason",
  stepsColumn: "steps",
  lostColumn: "tokens lost",
  costly: "Tokens after which most was lost",
  afterColumn: "path ended after",
  whatIfs: "What would have helped, on this run",
  whatIfColumn: "if it had had",
  passesColumn: "passes",
  matColumn: "tokens per pass",
  savedColumn: "passes saved",
  sureColumn: "how sure",
  additions: "One more node in every tree",
  nodeColumn: "at these ranks from the root",
  caughtColumn: "steps it helps",
  markReason: (/** @type {string} */ words) => `Mark the steps that ended so: ${words}`,
  markAfter: (/** @type {string} */ name) => `Mark the steps that lost tokens after ${name}`,
  endedAfter: (/** @type {string} */ name) => `ended after ${name}`,

  metricsTitle: "Metrics",
  metricsLead: (/** @type {number} */ steps) =>
    `Of the run's ${plural(steps, "step", "steps")} so far. Click a bar to go to its step.`,
  plotlyFailed: "The library that draws the charts could not be loaded: open the page again.",
  figures: {
    accepted_per_step: "Tokens each pass emitted",
    accepted_histogram: "Accepted tokens, how often",
    acceptance_by_depth_and_rank: "Acceptance by depth and rank",
    tokens_against_passes: "Tokens against forward passes",
    time_per_phase: "Time of each phase",
    sliding_mat: "Tokens per pass, sliding",
    emitted_by_class: "By class of token",
    mat_by_position: "By position in the output",
    reliability: "Expected against observed acceptance",
  },
  figureNotes: {
    acceptance_by_depth_and_rank: "Of drafted nodes whose parent was accepted.",
    sliding_mat: "Of the last 10 steps.",
    reliability: "On the dotted line drafts were as good as expected; below it, worse.",
  },
  figureWords: (/** @type {string} */ title) =>
    `Chart: ${title}. Its numbers are in the table below it.`,
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
    `Each row is a token of this pass, each column one that it may look at. All ${rows} see the prefix of ${plural(prefix, "token", "tokens")}, here one block; among themselves ${open} of ${rows * rows} pairs are open: itself and its ancestors.`,
  maskSubject: (
    /** @type {number} */ node,
    /** @type {string} */ name,
    /** @type {number} */ position,
  ) => `${node ? `Node ${node}` : "The root"}, ${name}, stands at position ${position}.`,
  maskSees: (/** @type {number} */ prefix, /** @type {string[]} */ above) =>
    `It sees ${plural(prefix, "token", "tokens")} of the prefix, ${above.length ? `${above.join(" → ")}, ` : ""}and itself.`,
  maskShares: (
    /** @type {number} */ position,
    /** @type {number} */ level,
    /** @type {number} */ siblings,
  ) =>
    `${plural(level, "other node stands", "other nodes stand")} at position ${position} too${siblings ? `, ${siblings} of them its ${siblings === 1 ? "sibling" : "siblings"}` : ""}: they do not see each other.`,
  maskAlone: (/** @type {number} */ position) => `No other node stands at position ${position}.`,
  maskLegend: {
    prefix: "prefix, seen by all",
    seen: "ancestor, seen",
    self: "itself",
    unseen: "row never seen: a filler",
    bracket: "one position; inner: siblings",
    kept: "root and accepted nodes",
    band: "row pointed at or chosen",
  },

  mapTitle: "Matrix map",
  mapMode: "Shade by",
  mapModes: { age: "age", writes: "times written", lost: "candidates lost" },
  mapLegend: {
    age: "Each dot is a row, in order of token ids: the stronger, the later written; faint: 20 steps ago or more, or before this run.",
    writes: "Each dot is a row, in order of token ids: the stronger, the more often written.",
    lost: "Each dot is a row, in order of token ids: the stronger, the more candidates it lost.",
  },
  mapSearch: "Find a row, or who lost a token",
  mapLead: (/** @type {number} */ seen, /** @type {number} */ all, /** @type {number} */ step) =>
    `After step ${step}, ${seen.toLocaleString("en")} of ${all.toLocaleString("en")} rows hold candidates. Rows that this run never wrote are not shown.`,
  mapWords: (/** @type {number} */ filled, /** @type {number} */ all) =>
    `Map of ${all.toLocaleString("en")} rows, ${filled.toLocaleString("en")} of them shown as filled. The lists beside it tell them by name.`,
  mapHint:
    "Point at a dot to see whose row it is; click it, or a row of the list, to mark the steps that wrote it.",
  mapNothing: "No row of this run has such a token, and none lost one.",
  mapUnknown: (/** @type {number} */ token) => `Row of token ${token}: not written by this run.`,
  mapLater: (
    /** @type {string} */ name,
    /** @type {number} */ token,
    /** @type {boolean} */ before,
  ) =>
    `Row of ${name} (id ${token}): ${before ? "filled before this run's first step" : "empty"}, not yet written by it.`,
  mapRow: (
    /** @type {string} */ name,
    /** @type {number} */ token,
    /** @type {number} */ writes,
    /** @type {number} */ lost,
    /** @type {number} */ last,
  ) =>
    `Row of ${name} (id ${token}): written ${plural(writes, "time", "times")}, last in step ${last}; it lost ${plural(lost, "candidate", "candidates")}.`,
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
    "A pass reads all weights once, however many tokens it checks, and the keys and values of every token it looks at. Where reading is what takes the time, a tree costs little more than one token.",
  bytesUnknown: "The record of this run does not tell how many bytes its model reads.",
  bytesSaid: (
    /** @type {string} */ tree,
    /** @type {number} */ nodes,
    /** @type {string} */ plain,
    /** @type {number} */ emitted,
    /** @type {number} */ times,
  ) =>
    `This step read ${tree} for ${plural(nodes, "token", "tokens")}; a pass for its root alone would have read ${plain}. It emitted ${plural(emitted, "token", "tokens")}, for which plain decoding reads ${times.toFixed(2)} × as much.`,
  bytesStep: (/** @type {number} */ step) => `Bytes read for what step ${step} emitted`,
  bytesRun: (/** @type {number} */ steps, /** @type {number} */ tokens) =>
    `Bytes read by all ${plural(steps, "step", "steps")}, for ${plural(tokens, "token", "tokens")}`,
  weightsColumn: "weights",
  cacheColumn: "keys and values",
  allColumn: "together",
  perTokenColumn: "per token emitted",
  treePasses: (/** @type {number} */ n) => plural(n, "pass over a tree", "passes over trees"),
  plainPasses: (/** @type {number} */ n) => plural(n, "plain pass", "plain passes"),
  msTitle: "Milliseconds",
  msParts: { draft: "draft", forward: "forward pass", verify: "verify", update: "update" },
  thisStep: (/** @type {number} */ step) => `step ${step}`,
  wholeRun: (/** @type {number} */ steps) => `all ${plural(steps, "step", "steps")}`,
  plainStep: "a plain step, as measured",
  plainUnmeasured:
    "What a plain step takes on this machine was not measured in this run: it is where the tree is auto.",

  sourcesTitle: "Sources",
  sources: {
    row1: "row of one token",
    row2: "row of two tokens",
    row3: "row of three tokens",
    lookup: "copied from the text",
    usual: "usual in this text",
    trie: "trie of the text",
    automaton: "suffix automaton",
    ngram: "n-gram statistics",
    fused: "more than one drafter",
  },
  // One sign each, so that a source is told without its colour.
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
    `Expected to be accepted with ${chance.toFixed(2)}.`,
  sourcesLead: (/** @type {boolean} */ expects) =>
    `The sign stands beside each node of the tree, and its outline tells copied tokens (square) from recycled ones (round).${expects ? " Expected: the sum of the chances that the drafter gave its nodes; the metrics compare them with what happened." : " This drafter gives its nodes no chances, so nothing was expected."}`,
  sourcesMatrix:
    "All that this drafter drafts comes from the rows of one matrix, each found by one token, and nothing was expected of it.",
  sourcesNone: "This run drafted nothing whose source is told.",
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
  budgetTable: "What was weighed",
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
  leftLine: "What is left of them when the time is paid",
  laterColumn: "saved later",
  leftColumn: "left",
  reachLine: "Tokens a step of this run emits with the first N nodes of its tree",
  chartWords: (/** @type {string} */ name, /** @type {string[]} */ values) =>
    `${name}, by number of nodes: ${values.join(", ")}.`,
  budgetReasons: {
    best: (/** @type {Record<string, number>} */ b) =>
      `${plural(b.chosen, "node", "nodes")} in step ${b.step}, because that size promised most: ${b.rate.toFixed(0)} tokens per second, plain decoding ${b.plainRate.toFixed(0)}.`,
    plain: (/** @type {Record<string, number>} */ b) =>
      `No draft in step ${b.step}: the best size, ${plural(b.best, "node", "nodes")}, promised ${b.bestRate.toFixed(0)} tokens per second, too little above the ${b.plainRate.toFixed(0)} of plain decoding.`,
    kept: (/** @type {Record<string, number>} */ b) =>
      `${plural(b.chosen, "node", "nodes")} in step ${b.step}: the shape in use was kept, since the best size, ${b.best}, promised hardly more (${b.bestRate.toFixed(0)} tokens per second).`,
    unseen: (/** @type {Record<string, number>} */ b) =>
      `No draft in step ${b.step}: the row of the root was never written, so there was nothing to draft from.`,
    probe: (/** @type {Record<string, number>} */ b) =>
      `${plural(b.chosen, "node", "nodes")} in step ${b.step}, to see what that takes: the best size was ${b.best}, but how the two compare in milliseconds was in doubt.`,
  },
  growthReasons: /** @type {Record<string, (b: Record<string, number>) => string>} */ ({
    best: (b) =>
      `${plural(b.chosen, "node", "nodes")} in step ${b.step}: of all sizes, this one leaves most tokens when its time is paid at the run's own speed, ${b.rate.toFixed(0)} tokens per second.`,
    plain: (b) =>
      `No draft in step ${b.step}: no size was worth its time at the run's own speed, ${b.rate.toFixed(0)} tokens per second.`,
    probe: (b) =>
      b.chosen === 0
        ? `Plain decoding in step ${b.step}, to see what that takes: all sizes are judged by it.`
        : `${plural(b.chosen, "node", "nodes")} in step ${b.step}, to see what that takes: it would pay at the least that it may cost, and how much that is was in doubt.`,
    unseen: (b) => `No draft in step ${b.step}: nothing is known of what follows here.`,
  }),
  growthHint:
    "Expected tokens are corrected by what came of such promises in this run. A rejected node still writes a row, and rows save tokens later; the first nodes most, and the less the less drafting pays in this run.",
  budgetSpine: (/** @type {number} */ spine) =>
    spine
      ? `From the root down the first candidates, ${plural(spine, "row was", "rows were")} right when last asked; the longer this chain, the more deep nodes are worth.`
      : "The root's row was wrong, or not asked, the last time; so deep nodes are worth little here.",
  budgetFixed: (/** @type {string} */ tree, /** @type {number} */ nodes) =>
    `The tree of this run is fixed: ${tree}, ${plural(nodes, "node", "nodes")} in this step, so nothing was weighed.`,
  budgetPlain: "This step drafted nothing, and nothing was weighed: it is plain decoding.",
  budgetOffer: (/** @type {boolean} */ known) =>
    `With the tree auto, the milliseconds of a step are measured for several sizes on this machine, and each step gets the size with most expected tokens per second.${known ? " Of these, this record holds what its own tree would have emitted if it had been cut short:" : ""}`,
};
