// @ts-check
/**
 * The compare panel: two to four runs of one prompt side by side. What is drawn is in
 * comparelanes.js and comparetrees.js.
 */

import { LETTERS, MOST_RUNS, align, refusalOf, stepAt } from "../state/align.js";
import { createCurves, createLanes } from "./comparelanes.js";
import { createCompareTrees } from "./comparetrees.js";
import { make, makeButton, setText } from "../kit/dom.js";
import { tokenOf } from "../state/records.js";
import { WORDS } from "../words/words.js";

/**
 * @typedef {import("../state/player.js").State} State
 * @typedef {import("../state/player.js").Player} Player
 * @typedef {import("../state/records.js").Run} Run
 * @typedef {import("../state/align.js").Alignment} Alignment
 */

const HALF = ["bfloat16", "float16"];

/**
 * @param {State} state
 * @param {Player} player
 * @param {import("../frame/tabs.js").OnRequest} [onRequest] without it nothing can be saved or run
 * @returns {import("../frame/tabs.js").Panel}
 */
export function createComparePanel(state, player, onRequest) {
  const element = make("div", "tr-compare");
  const head = make("div", "tr-compare-head");
  const add = makeButton("tr-compare-add", WORDS.compareAdd);
  const lead = make("span", "tr-compare-lead");
  const progress = make("span", "tr-compare-progress");
  progress.setAttribute("role", "status");
  const bar = make("progress", "tr-progress");
  const progressWords = make("span", "");
  progress.append(bar, progressWords);
  const saves = make("span", "tr-compare-saves");
  for (const [format, words] of [
    ["html", WORDS.compareSavePage],
    ["csv", WORDS.compareSaveCsv],
  ]) {
    const button = makeButton("tr-tool", words);
    button.addEventListener("click", () =>
      onRequest?.({ type: "save comparison", format, runs: state.kept.map((run) => run.id) }),
    );
    saves.append(button);
  }
  head.append(add, lead, progress, saves);

  const tableBox = make("div", "tr-compare-scroll");
  const table = make("table", "tr-compare-table");
  tableBox.append(table);
  const verdict = make("p", "tr-compare-verdict");
  const jumps = make("div", "tr-compare-jumps");
  jumps.setAttribute("role", "group");
  jumps.setAttribute("aria-label", WORDS.compareJumps);
  const picture = make("div", "tr-compare-picture");
  const lanes = createLanes((run, position) => go(run, position));
  const curves = createCurves((position) => lanes.show(position));
  const trees = createCompareTrees();
  picture.append(curves.element, lanes.element, trees.element);
  element.append(head, tableBox, verdict, jumps, picture);

  /** @type {Alignment | null} */
  let alignment = null;
  let laid = "";
  /** The position that is looked at: its trees are shown. */
  let position = 1;

  add.addEventListener("click", () => {
    if (!state.run) return;
    player.keep(state.run);
    onRequest?.({ type: "kept", run: state.run.id, shown: true });
  });

  /**
   * Show a run above, at the step that wrote a position.
   * @param {number} index of the run
   * @param {number} at
   */
  function go(index, at) {
    const [run, lane] = [state.kept[index], alignment?.lanes[index]];
    if (!run || !lane) return;
    position = Math.max(1, Math.min(at, lane.tokens.length));
    const before = state.run;
    player.visit(run, stepAt(lane, position) || run.steps.length);
    if (before === run) return;
    if (before) onRequest?.({ type: "kept", run: before.id, shown: false });
    onRequest?.({ type: "kept", run: run.id, shown: true });
  }

  /** @param {Alignment} shown */
  function fillTable(shown) {
    const headRow = make("tr", "");
    headRow.append(...WORDS.compareColumns.map((word) => headCell(word, "col")), make("td", ""));
    const rows = shown.summaries.map((line, i) => {
      const row = make("tr", "");
      const name = headCell("", "row");
      const button = makeButton("tr-compare-name", shown.lanes[i].name);
      button.title = WORDS.compareShow(shown.lanes[i].name);
      button.addEventListener("click", () => go(i, position));
      name.append(letterOf(i), button);
      const figures = [
        line.tokens,
        line.passes,
        line.mat.toFixed(2),
        line.perSecond.toFixed(1),
        line.perStep.toFixed(1),
        line.nodes.toFixed(1),
        line.drafted,
        line.accepted,
        WORDS.compareLossless[/** @type {"true" | "false" | "null"} */ (String(line.lossless))],
      ];
      const remove = makeButton(
        "tr-tool",
        WORDS.compareRemove(shown.lanes[i].name),
        "M4 4l8 8M12 4l-8 8",
      );
      remove.addEventListener("click", () =>
        player.keepOnly(state.kept.filter((_, other) => other !== i)),
      );
      const last = make("td", "");
      last.append(remove);
      row.append(name, ...figures.map((figure) => make("td", "", String(figure))), last);
      row.dataset.run = state.kept[i].id;
      return row;
    });
    const [top, body] = [make("thead", ""), make("tbody", "")];
    top.append(headRow);
    body.append(...rows);
    table.replaceChildren(top, body);
  }

  /** @param {Alignment} shown */
  function fillJumps(shown) {
    const label = make("span", "tr-compare-lead", WORDS.compareJumps);
    const parting = makeButton(
      "tr-tool tr-compare-jump",
      WORDS.compareGoDifference(shown.shared + 1),
    );
    parting.addEventListener("click", () =>
      go(
        shown.lanes.findIndex((lane) => lane.tokens.length > shown.shared),
        shown.shared + 1,
      ),
    );
    const buttons = shown.jumps.map((jump) => {
      const others = jump.spent.flatMap((spent, i) =>
        i === jump.run ? [] : [WORDS.compareJumpOther(LETTERS[i], spent)],
      );
      const words = WORDS.compareJump(
        LETTERS[jump.run],
        jump.first,
        jump.last,
        jump.spent[jump.run],
        others,
      );
      const button = makeButton("tr-tool tr-compare-jump", words);
      button.dataset.jump = String(jump.step);
      button.addEventListener("click", () => go(jump.run, jump.first));
      return button;
    });
    jumps.replaceChildren(
      ...(shown.difference ? [parting] : []),
      ...(buttons.length ? [label, ...buttons] : []),
    );
  }

  /** Lay the runs side by side again, if they are others or have grown. */
  function lay() {
    const key = state.kept
      .map((run) => `${run.id} ${run.steps.length} ${run.end?.identical}`)
      .join("|");
    if (key === laid) return;
    laid = key;
    alignment = state.kept.length ? align(state.kept) : null;
    tableBox.hidden = !alignment;
    const several = alignment !== null && state.kept.length > 1;
    for (const part of [verdict, jumps, picture]) part.hidden = !several;
    if (!alignment) return;
    fillTable(alignment);
    if (!several) return;
    setText(verdict, sentences(state.kept, alignment).join(" "));
    verdict.dataset.verdict = alignment.verdict;
    fillJumps(alignment);
    lanes.fill(state.kept, alignment);
    curves.fill(alignment);
  }

  /** The position follows the step that is shown above, if its run lies here. */
  function follow() {
    const index = state.kept.findIndex((run) => run === state.run);
    const line = alignment?.lanes[index]?.steps[state.step - 1];
    if (line && (position < line.first || position > line.last) && line.last >= line.first)
      position = line.first;
    return { index, line };
  }

  return {
    title: WORDS.compareTitle,
    element,
    draw() {
      const here = state.kept.includes(/** @type {Run} */ (state.run));
      const refused = !here && state.run ? refusalOf(state.kept, state.run) : null;
      add.disabled = here || state.kept.length >= MOST_RUNS;
      setText(add, here ? WORDS.compareLies : WORDS.compareAdd);
      add.title = refused ?? "";
      const more =
        state.kept.length > 1 ? "" : state.kept.length ? WORDS.compareOne : WORDS.compareNone;
      setText(lead, more && onRequest ? more + WORDS.compareLeft : more);
      saves.hidden = !onRequest || state.kept.length < 2;
      progress.hidden = !state.making;
      if (state.making) {
        const { words, done, of } = state.making;
        bar.max = of;
        bar.value = done;
        setText(progressWords, WORDS.compareProgress(words, done, of));
      }
      lay();
      for (const row of table.querySelectorAll("tr[data-run]"))
        row.classList.toggle(
          "tr-compare-now",
          row instanceof HTMLElement && row.dataset.run === state.run?.id,
        );
      if (!alignment || state.kept.length < 2) return;
      const { index, line } = follow();
      lanes.mark(index, line ?? null, position);
      curves.mark(position);
    },
    settle() {
      if (!alignment || state.kept.length < 2) return;
      lanes.settle(position);
      trees.draw(state.kept, alignment, position);
    },
    destroy() {
      lanes.destroy();
      curves.destroy();
      trees.destroy();
    },
  };
}

/** @param {string} text @param {string} scope */
function headCell(text, scope) {
  const cell = make("th", "", text);
  cell.scope = scope;
  return cell;
}

/** A run's letter in its colour; its line in the picture is drawn alike. @param {number} index */
function letterOf(index) {
  const letter = make("span", "tr-letter", LETTERS[index]);
  letter.dataset.letter = LETTERS[index];
  return letter;
}

/**
 * Whether the texts are equal, and who was ahead where.
 * @param {Run[]} runs
 * @param {Alignment} alignment
 */
function sentences(runs, alignment) {
  const names = alignment.lanes.map((lane, i) => `${LETTERS[i]} (${lane.name})`);
  const leads = alignment.leads.map((lead) =>
    WORDS.compareLead(names[lead.run], lead.passes, lead.position),
  );
  const alike = alignment.alike.map((group) =>
    WORDS.compareAlike(group.map((run) => LETTERS[run])),
  );
  return [textSentence(runs, alignment, names), ...alike, ...leads];
}

/** @param {Run[]} runs @param {Alignment} alignment @param {string[]} names */
function textSentence(runs, alignment, names) {
  const { difference, shared } = alignment;
  if (!difference) return WORDS.compareEqual(runs.length, shared);
  if (alignment.verdict === "beginning") {
    return WORDS.compareBeginning(
      shared,
      names.filter((_, i) => difference.runs[i].token === null),
    );
  }
  const choices = difference.runs.map((chosen, i) =>
    chosen.token === null
      ? WORDS.compareEnded(names[i])
      : WORDS.compareWrote(
          names[i],
          tokenOf(runs[i], chosen.token).full,
          chosen.probability,
          chosen.margin,
        ),
  );
  const words = alignment.mayDiffer.map(
    (key) => WORDS.compareFacts[/** @type {keyof typeof WORDS.compareFacts} */ (key)],
  );
  const dtype = runs[0].info.dtype;
  const why = words.length
    ? WORDS.compareNoFault(words)
    : HALF.includes(dtype)
      ? WORDS.compareHalf(dtype)
      : WORDS.compareBug;
  return WORDS.compareDifferent(shared, choices, why);
}
