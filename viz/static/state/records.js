// @ts-check
/** Records, as viz/records writes them → the runs that the panels read. */

// Printed by `python -m viz.records.typedef`; edit viz/records/schema.py instead.

/**
 * One matrix row that a step overwrote.
 * @typedef {object} Row
 * @property {number} t whose row it is.
 * @property {number} n the scored node that wrote it.
 * @property {number[]} b earlier candidates; empty if the row had never been written.
 * @property {string} c a letter per candidate: f fresh, m moved, k kept.
 * @property {number[]} [a] new candidates; left out where they equal `top` of the node.
 * @property {string} [u] a letter per candidate before: d drafted by this step, a accepted, -
 *   neither; left out where none was drafted.
 * @property {number[]} [e] candidates that the row lost, best first.
 */

/**
 * Why a step has as many nodes: `BudgetChoice` as a list.
 * @typedef {[chosen: number, reason: "best" | "plain" | "kept" | "unseen" | "probe", spine: number,
 *   sizes: number[], expected: number[], ms: number[], later: number[], rate: number]} Budget
 */

/**
 * What the drafter knew at the end of the path: `Held` as a list.
 * @typedef {[candidates: number, rank: number | null]} PathEnd
 */

/**
 * Where a drafted token came from; in JSON a list of three, `["row", 2, -1]`.
 * @typedef {[kind: "root" | "row" | "lookup" | "usual" | "trie" | "automaton" | "ngram" | "fused",
 *   key: number, place: number]} Source
 */

/**
 * Parts of the picture to ring: one of these.
 * @typedef {object} Part
 * @property {number[]} [nodes] nodes of the tree.
 * @property {number[]} [rows] tokens whose matrix rows are meant.
 * @property {string} [region] name of a region of the page.
 */

/**
 * A figure for plotly; its colours are names of the style sheet's, such as `$accepted`.
 * @typedef {object} Figure
 * @property {string} name the function in `viz/figures/charts.py` that draws it.
 * @property {any} data plotly's traces.
 * @property {any} layout plotly's layout.
 */

/**
 * A run begins: its model, settings and prompt.
 * @typedef {object} Start
 * @property {"start"} [type] left out within a `WholeRun`.
 * @property {string} [run] left out within a `WholeRun`.
 * @property {string} model Hub id or folder name.
 * @property {string} family transformers' `model_type`.
 * @property {string} device where the model runs.
 * @property {string} dtype of its weights.
 * @property {string} drafter by name.
 * @property {string} tree by name.
 * @property {number} nodes draft nodes of a step; with `auto` those of the first.
 * @property {number} k candidates in a row.
 * @property {string} sampling greedy, or the temperature in words.
 * @property {number} vocab width of the logits.
 * @property {number} rows_seen rows of the matrix that hold candidates after the prefill.
 * @property {number} prefill_ms milliseconds of the prefill.
 * @property {number | null} limit new tokens at most.
 * @property {string} tokenizer fingerprint of the vocabulary.
 * @property {Record<string, string>} facts what runs can differ in, in words, by key; see
 *   `tr_core/analysis/run_names.py`.
 * @property {number[]} prompt the prompt's token ids.
 * @property {Record<string, any>} more the other fields of `RunInfo`, which no panel shows.
 * @property {Record<string, number>} [cost] milliseconds of a step by its draft nodes, where the
 *   tree is `auto`.
 * @property {Record<string, string[]>} tokens of each id that the browser has not met, its label,
 *   text, full label, and its bytes in hexadecimal if it is no text of its own; trailing items that
 *   equal the label are left out.
 */

/**
 * One step: the draft, the verdict on every node, what was written, and the rows overwritten.
 * @typedef {object} Step
 * @property {"step"} [type] left out within a `WholeRun`.
 * @property {string} [run] left out within a `WholeRun`.
 * @property {boolean} [running] whether the next step follows by itself; left out within a
 *   `WholeRun`.
 * @property {number} index number of the step, from 1.
 * @property {number} committed prompt and output tokens before this step.
 * @property {string | null} stop why the run ended with this step, in words.
 * @property {[number, number, number, number]} ms milliseconds of draft, forward pass, verification
 *   and update.
 * @property {number} cached tokens whose keys and values are in the cache after this step.
 * @property {number[]} ids each node's token; node 0 is the root.
 * @property {number[]} parents each node's parent, -1 for the root.
 * @property {number[]} ranks each node's place among its siblings.
 * @property {number[]} choices the model's own token after each node.
 * @property {string} status a letter per node: r root, a accepted, x rejected, u unseen.
 * @property {string} why a letter per node; see `verdicts` in `viz/records/run_records.py`.
 * @property {number[][]} top the model's best tokens after each node, best first.
 * @property {number[][]} p their probabilities, in parts of `CHANCES`.
 * @property {number[]} path accepted nodes, without the root.
 * @property {number | null} bonus the choice after the path; null if the run stopped before it.
 * @property {number[]} emitted tokens added to the output.
 * @property {number[]} x each node's column, which is its depth.
 * @property {number[]} y each node's row of the drawing.
 * @property {number[]} counts nodes in each column.
 * @property {number} height rows of the drawing.
 * @property {[number, number] | null} at column and row of the bonus.
 * @property {number} new_rows matrix rows first written by this step.
 * @property {Row[]} rows matrix rows overwritten, in the order to read them.
 * @property {Budget} [budget] why the step has as many nodes, where the tree is `auto`.
 * @property {Source[]} [src] where each node's token came from: kind, length of the key, place in
 *   the text.
 * @property {number[]} [exp] the chance of each node to be accepted, as believed before the pass.
 * @property {number} [passes] forward passes of the step.
 * @property {PathEnd} [held] at the end of the path, how many candidates the drafter had, and the
 *   place of the model's choice among them.
 * @property {Record<string, string[]>} [tokens] as in `Start`.
 */

/**
 * A run is over.
 * @typedef {object} End
 * @property {"end"} [type] left out within a `WholeRun`.
 * @property {string} [run] left out within a `WholeRun`.
 * @property {string | null} stop why, in words; null if it was interrupted.
 * @property {string | null} text the output; null where the browser does not know it.
 * @property {boolean | null} identical whether plain decoding gave the same tokens; null if not
 *   checked.
 */

/**
 * A whole run at once; the browser also sends runs back in this form.
 * @typedef {object} WholeRun
 * @property {"run"} [type] left out where the browser sends it back.
 * @property {string} run its name.
 * @property {string} [name] of a recorded example; left out if it has none.
 * @property {Start} start its description.
 * @property {Step[]} steps its steps, in order.
 * @property {End} [end] how it ended.
 */

/**
 * Lay runs side by side, and open that panel.
 * @typedef {object} Compare
 * @property {"compare"} type
 * @property {WholeRun[]} runs runs that the browser may not have.
 * @property {string[]} known names of runs that it has; they come first.
 * @property {boolean} anew whether they replace the present ones.
 */

/**
 * How far a run for the comparison has come.
 * @typedef {object} Progress
 * @property {"progress"} type
 * @property {string | null} words what is run; null when there is nothing to wait for.
 * @property {number} done tokens so far.
 * @property {number} of tokens at most.
 */

/**
 * What the reader may open before the first run.
 * @typedef {object} Offer
 * @property {"offer"} type
 * @property {[string, string, string][]} examples name, word on the button, and title of each
 *   recorded example.
 * @property {number} largest bytes of a file that may be dropped.
 */

/**
 * Something went wrong.
 * @typedef {object} Failure
 * @property {"error"} type
 * @property {string} sentence for the reader.
 * @property {number} at a number that no other error has.
 */

/**
 * Go to a step: for links and lessons. What is left out stays as it is.
 * @typedef {object} View
 * @property {"view"} type
 * @property {number} step its number, from 1.
 * @property {"draft" | "verify" | "accept" | "recycle" | null} phase null for the one on screen.
 * @property {string | null} [panel] to open, by name; null to close.
 * @property {number} [node] to select.
 * @property {number} [row] to select, by its token.
 * @property {Part[]} [highlight] parts to ring.
 */

/**
 * Back to the empty screen.
 * @typedef {object} Reset
 * @property {"reset"} type
 */

/**
 * What the panels say about a run beyond its single steps.
 * @typedef {object} Analysis
 * @property {"analysis"} type
 * @property {string} run its name.
 * @property {number} steps how many of its steps this is about.
 * @property {[string, string, string][]} why of each step, why its path ended, and two sentences
 *   about it.
 * @property {[string, string, number, number][]} reasons those that the run has, each with its
 *   words, steps, and tokens lost; `evicted` is `not_in_row` where the token had been in the row
 *   earlier.
 * @property {[number, number[], number][]} costly tokens after which paths ended: the token,
 *   numbers of the steps, tokens lost.
 * @property {([string, number | null, number | null, number | null, string])[]} what_ifs what would
 *   have helped: words, passes, tokens per pass, passes saved, certainty; null where not recorded.
 * @property {[string, number, number][]} additions nodes that would have helped: ranks from the
 *   root, steps, passes saved.
 * @property {string[]} notes what limits these figures, in sentences.
 * @property {number} weights bytes that every pass reads.
 * @property {[number, number, number][]} bytes of each step, bytes read by its pass, by a plain
 *   pass, and by plain passes for all its tokens; empty if the record lacks the size of its model.
 * @property {number[]} reach tokens that a step emits with the first n nodes of its tree, for n = 0
 *   …; empty if trees differ.
 * @property {Figure[]} figures of the metrics panel.
 */

/**
 * The run waits for its turn.
 * @typedef {object} Queue
 * @property {"queue"} type
 * @property {number} ahead turns before this one.
 * @property {number} seconds about how long they take.
 * @property {number} at a number that no other record has.
 */

/**
 * The run waits for its model.
 * @typedef {object} Loading
 * @property {"loading"} type
 * @property {string} model its name.
 * @property {number} seconds since it was requested.
 * @property {string} doing the present stage, in words.
 * @property {number} at a number that no other record has.
 */

/**
 * Where the run is, for the browser to keep and hand to another server, unread.
 * @typedef {object} Checkpoint
 * @property {"checkpoint"} type
 * @property {string} run its name.
 * @property {string} text opaque.
 */

/**
 * The server does not have the run; the browser sends its checkpoint and asks again.
 * @typedef {object} Forgotten
 * @property {"forgotten"} type
 * @property {string} run its name.
 * @property {number} at a number that no other record has.
 */

/**
 * What the page receives.
 * @typedef {Start | Step | End | WholeRun | Compare | Progress | Offer | Failure | View | Reset |
 *   Analysis | Queue | Loading | Checkpoint | Forgotten} Received
 */

/** Probabilities are whole numbers of these parts: `CHANCES` of the schema. */
export const CHANCES = 100_000;

// End of what is printed.

/**
 * @typedef {{label: string, text: string, full: string, hex: string}} Token
 *
 * @typedef {object} Run
 * @property {string} id
 * @property {Start} info
 * @property {Map<number, Token>} tokens
 * @property {Step[]} steps
 * @property {number[]} rowsSeen rows of the matrix that hold candidates after each step
 * @property {number} reach columns that its trees have needed so far, those of their bonus included
 * @property {number} emitted tokens so far
 * @property {number} passes forward passes so far
 * @property {number} milliseconds of all steps
 * @property {boolean} running
 * @property {End | null} end
 * @property {Analysis | null} analysis null before it has come
 * @property {string | null} recorded name of a run that came whole, which may be empty; null if it
 *   came step by step
 */

/**
 * What the explorer asks of its page, or reports to it: where the reader is, which runs lie side by
 * side, and what the reader wants to see or save.
 * @typedef {{type: "view", run: string, step: number, phase: string}
 *   | {type: "kept", run: string, shown: boolean}
 *   | {type: "example", name: string} | {type: "files", files: File[]} | {type: "lessons"}
 *   | {type: "save comparison", format: string, runs: string[]} | {type: "again"}} Request
 */

/** Node of the bonus, where a node is meant: it is none of the tree's. */
export const BONUS_NODE = -1;

/** @type {Record<string, "root" | "accepted" | "rejected" | "unseen">} */
export const STATUS_OF = { r: "root", a: "accepted", x: "rejected", u: "unseen" };

/**
 * Tokens that a step drafted: its nodes but the root, and but those below a row never seen, which
 * hold none.
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
 * @param {Start} start
 * @returns {Run}
 */
export function openRun(id, start) {
  /** @type {Run} */
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
 * @param {Step} record
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
  run.milliseconds += record.ms.reduce((a, b) => a + b, 0);
  run.running = record.running ?? true;
  if (record.stop !== null) {
    run.running = false;
    run.end = { stop: record.stop, identical: null, text: null };
  }
  return true;
}

/** @param {Run} run @param {Partial<End>} record */
export function endRun(run, record) {
  run.running = false;
  run.end = {
    stop: record.stop ?? run.end?.stop ?? null,
    identical: record.identical ?? null,
    text: record.text ?? null,
  };
}

/** A run as one record, for a server that does not have it. @param {Run} run */
export function recordOf({ id, info, steps, end }) {
  // The text of a run that goes on is that of its tokens so far.
  return { run: id, start: info, steps, end: end && { ...end, text: end.stop ? end.text : null } };
}

/**
 * Take an analysis; one of fewer steps than the one that is there comes too late.
 * @param {Run} run
 * @param {Analysis} record
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
