// @ts-check
/** English of the compare panel. */

import { plural, quoted } from "./plural.js";

export const COMPARE_WORDS = {
  compareTitle: "Compare",
  compareAdd: "Add this run",
  compareLies: "This run is among them",
  compareNone:
    "Two to four runs of one prompt can lie side by side here. Add this run; then run the same prompt with another drafter, tree, k, temperature or start, and add that one too.",
  compareOne: "One run lies here. Run the same prompt with another setting and add that run too.",
  compareLeft: " Or choose settings under Compare on the left: they are run one after another.",
  compareFull: (/** @type {number} */ most) =>
    `${most} runs lie side by side already: remove one first.`,
  compareOtherPrompt:
    "This run has another prompt than those that lie side by side: remove them first, or choose a run of the same prompt.",
  compareOtherTokenizer: (/** @type {string} */ model, /** @type {string} */ first) =>
    `${model} has another tokenizer than ${first}, so their positions cannot be aligned: compare models that share one.`,
  compareRemove: (/** @type {string} */ name) => `Remove ${name}`,
  compareShow: (/** @type {string} */ name) => `Show ${name} above, at the same position`,
  compareColumns: [
    "run",
    "tokens",
    "passes",
    "tokens / pass",
    "tokens / s",
    "ms / step",
    "nodes / step",
    "drafted",
    "accepted",
    "lossless",
  ],
  compareLossless: { true: "yes ✓", false: "no", null: "not checked" },
  compareEqual: (/** @type {number} */ runs, /** @type {number} */ tokens) =>
    `${runs === 2 ? "Both" : `All ${runs}`} texts are equal: ${plural(tokens, "token", "tokens")}.`,
  compareBeginning: (/** @type {number} */ tokens, /** @type {string[]} */ ended) =>
    `The texts are equal as far as the shortest goes, ${plural(tokens, "token", "tokens")}; there ended: ${ended.join(", ")}.`,
  compareDifferent: (
    /** @type {number} */ tokens,
    /** @type {string[]} */ told,
    /** @type {string} */ why,
  ) =>
    `The texts are equal for ${plural(tokens, "token", "tokens")}, then they part: ${told.join("; ")}. ${why}`,
  compareWrote: (
    /** @type {string} */ name,
    /** @type {string} */ label,
    /** @type {number | null} */ chance,
    /** @type {number | null} */ margin,
  ) => {
    const far = margin === null ? "" : `, ${margin.toFixed(3)} between the two best`;
    return `${name} wrote “${label}”${chance === null ? "" : ` (probability ${chance.toFixed(3)}${far})`}`;
  },
  compareEnded: (/** @type {string} */ name) => `${name} had ended`,
  compareNoFault: (/** @type {string[]} */ words) =>
    `That is no fault: ${words.join(" and ")} may write another text.`,
  compareFacts: {
    model: "another model",
    dtype: "another dtype",
    device: "another device",
    sampling: "other sampling",
  },
  compareHalf: (/** @type {string} */ dtype) =>
    `In ${dtype} rounding can turn a choice where the two best are this near, or it is a bug.`,
  compareBug: "With these settings they should be equal: this is a bug.",
  compareAlike: (/** @type {string[]} */ letters) =>
    `${letters.slice(0, -1).join(", ")} and ${letters.at(-1)} wrote the same from beginning to end.`,
  compareLead: (
    /** @type {string} */ name,
    /** @type {number} */ passes,
    /** @type {number} */ position,
  ) =>
    `${name} was ahead of all others most after ${plural(position, "token", "tokens")}: by ${plural(passes, "pass", "passes")}.`,
  compareJumps: "Where one jumped ahead",
  compareJump: (
    /** @type {string} */ letter,
    /** @type {number} */ first,
    /** @type {number} */ last,
    /** @type {number} */ own,
    /** @type {string[]} */ others,
  ) =>
    `▲ ${letter} ${first === last ? first : `${first} – ${last}`}: ${plural(own, "pass", "passes")}, ${others.join(", ")}`,
  compareJumpOther: (/** @type {string} */ letter, /** @type {number} */ spent) =>
    `${letter} ${spent}`,
  compareGain: (/** @type {number} */ gain) => `▲ ${gain}`,
  compareCurves: "Forward passes against tokens written",
  comparePasses: "forward passes",
  compareTokens: "tokens written",
  comparePlain: "plain decoding",
  compareLanes: "Steps by output position: the bracket of a step stands over the tokens it wrote",
  compareBracket: (
    /** @type {string} */ name,
    /** @type {number} */ step,
    /** @type {string[]} */ labels,
    /** @type {number} */ accepted,
  ) => `${name}, step ${step}: ${quoted(labels)}${accepted ? `, ${accepted} of them drafted` : ""}`,
  compareGoDifference: (/** @type {number} */ position) => `first difference: token ${position}`,
  compareFirstDifference: "first difference",
  compareLegend: {
    accepted: "drafted and accepted",
    bonus: "bonus",
    jump: "passes ahead of all others there",
  },
  compareTreesAt: (/** @type {number} */ position, /** @type {string | null} */ label) =>
    `The trees that wrote token ${position}${label === null ? "" : `, “${label}”`}`,
  compareTreeHead: (
    /** @type {number} */ step,
    /** @type {number} */ accepted,
    /** @type {number} */ drafted,
  ) => `step ${step}: ${drafted ? `${accepted} of ${drafted} accepted` : "nothing drafted"}`,
  compareTreeNone: "had ended before",
  compareSavePage: "Save as a web page",
  compareSaveCsv: "Save as CSV",
  compareProgress: (
    /** @type {string} */ words,
    /** @type {number} */ done,
    /** @type {number} */ of,
  ) => `${words}: ${done} of at most ${of} tokens`,
};
