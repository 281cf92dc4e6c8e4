// @ts-check
/** The English words of the compare panel; see words.js. */

import { plural, quoted } from "./plural.js";

export const COMPARE_WORDS = {
  compareTitle: "Compare",
  compareAdd: "Add this run",
  compareLies: "This run is in the comparison",
  compareNone:
    "Compare two to four runs of one prompt here. Add this run; then run the same prompt with " +
    "another drafter, tree, k, temperature or start, and add that run too.",
  compareOne: "One run added. Run the same prompt with another setting and add that run too.",
  compareLeft: " Or choose settings under Compare on the left: they run one after another.",
  compareFull: (/** @type {number} */ most) =>
    `The comparison holds at most ${most} runs: remove one first.`,
  compareOtherPrompt:
    "This run's prompt differs from that of the compared runs: " +
    "remove them first, or choose a run of the same prompt.",
  compareOtherTokenizer: (/** @type {string} */ model, /** @type {string} */ first) =>
    `${model} and ${first} have different tokenizers, so their positions cannot be aligned: ` +
    "compare models that share one.",
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
    `The texts are equal up to the end of the shortest, ${plural(tokens, "token", "tokens")}. ` +
    `Ended there: ${ended.join(", ")}.`,
  compareDifferent: (
    /** @type {number} */ tokens,
    /** @type {string[]} */ chosen,
    /** @type {string} */ why,
  ) =>
    `The texts are equal for ${plural(tokens, "token", "tokens")}, then they differ: ` +
    `${chosen.join("; ")}. ${why}`,
  compareWrote: (
    /** @type {string} */ name,
    /** @type {string} */ label,
    /** @type {number | null} */ chance,
    /** @type {number | null} */ margin,
  ) => {
    const gap = margin === null ? "" : `, the two best ${margin.toFixed(3)} apart`;
    const odds = chance === null ? "" : ` (probability ${chance.toFixed(3)}${gap})`;
    return `${name} wrote “${label}”${odds}`;
  },
  compareEnded: (/** @type {string} */ name) => `${name} had ended`,
  compareNoFault: (/** @type {string[]} */ words) =>
    `This is not an error: with ${words.join(" and ")} the text may differ.`,
  compareFacts: {
    model: "another model",
    dtype: "another dtype",
    device: "another device",
    sampling: "different sampling",
  },
  compareHalf: (/** @type {string} */ dtype) =>
    `In ${dtype}, rounding can flip a near-tie between the two best tokens. ` +
    "If this was no near-tie, it is a bug.",
  compareBug: "With these settings the texts should be equal: this is a bug.",
  compareAlike: (/** @type {string[]} */ letters) =>
    `${letters.slice(0, -1).join(", ")} and ${letters.at(-1)} wrote the same text throughout.`,
  compareLead: (
    /** @type {string} */ name,
    /** @type {number} */ passes,
    /** @type {number} */ position,
  ) =>
    `${name} had its largest lead after ${plural(position, "token", "tokens")}: ` +
    `${plural(passes, "pass", "passes")} ahead of all others.`,
  compareJumps: "Where a run jumped ahead",
  compareJump: (
    /** @type {string} */ letter,
    /** @type {number} */ first,
    /** @type {number} */ last,
    /** @type {number} */ own,
    /** @type {string[]} */ others,
  ) =>
    `▲ ${letter} ${first === last ? first : `${first} – ${last}`}: ` +
    `${plural(own, "pass", "passes")}, ${others.join(", ")}`,
  compareJumpOther: (/** @type {string} */ letter, /** @type {number} */ spent) =>
    `${letter} ${spent}`,
  compareGain: (/** @type {number} */ gain) => `▲ ${gain}`,
  compareCurves: "Forward passes against tokens written",
  comparePasses: "forward passes",
  compareTokens: "tokens written",
  comparePlain: "plain decoding",
  compareLanes: "Steps by output position: each bracket spans the tokens that its step wrote",
  compareBracket: (
    /** @type {string} */ name,
    /** @type {number} */ step,
    /** @type {string[]} */ labels,
    /** @type {number} */ accepted,
  ) => `${name}, step ${step}: ${quoted(labels)}${accepted ? `, ${accepted} from the draft` : ""}`,
  compareGoDifference: (/** @type {number} */ position) => `first difference: token ${position}`,
  compareFirstDifference: "first difference",
  compareLegend: {
    accepted: "drafted and accepted",
    bonus: "bonus",
    jump: "passes gained on all others",
  },
  compareTreesAt: (/** @type {number} */ position, /** @type {string | null} */ label) =>
    `The trees that wrote token ${position}${label === null ? "" : `, “${label}”`}`,
  compareTreeHead: (
    /** @type {number} */ step,
    /** @type {number} */ accepted,
    /** @type {number} */ drafted,
  ) => `step ${step}: ${drafted ? `${accepted} of ${drafted} accepted` : "nothing drafted"}`,
  compareTreeNone: "had already ended",
  compareSavePage: "Save as a web page",
  compareSaveCsv: "Save as CSV",
  compareProgress: (
    /** @type {string} */ words,
    /** @type {number} */ done,
    /** @type {number} */ of,
  ) => `${words}: ${done} of at most ${of} tokens`,
};
