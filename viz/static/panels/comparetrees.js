// @ts-check
/**
 * The trees of all compared runs that wrote one position, side by side: to look at, not to work
 * with.
 */

import { LETTERS, stepAt } from "../state/align.js";
import { make, setText } from "../kit/dom.js";
import { draftedIn, pathEnd, tokenOf } from "../state/records.js";
import { WORDS } from "../words/words.js";
import { createTreeShapes } from "../frame/treeshapes.js";
import { ROW_HEIGHT, fitTree, sizesAt } from "../frame/treeview.js";

/**
 * @typedef {import("../state/records.js").Run} Run
 * @typedef {import("../state/align.js").Alignment} Alignment
 */

const FREE_ROWS = 2;
const LARGEST = 1.1;
/**
 * Milliseconds for which the position must rest: up to four trees a step are too much while a
 * reader runs through the steps.
 */
const REST_MS = 60;
/** Pixels of a box: what is larger is scrolled. */
const TALLEST_BOX = 240;

export function createCompareTrees() {
  const element = make("div", "tr-compare-trees");
  const title = make("p", "tr-compare-lead");
  const grid = make("div", "tr-mini-grid");
  element.append(title, grid);
  /** @type {ReturnType<typeof createMini>[]} */
  let minis = [];
  let wanted = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {() => void} */
  let again = () => {};
  let width = 0;
  const watcher = new ResizeObserver(([{ contentRect }]) => {
    // Its height follows from what is drawn.
    if (contentRect.width !== width) again();
    width = contentRect.width;
  });
  watcher.observe(element);

  return {
    element,
    /** @param {Run[]} runs @param {Alignment} alignment @param {number} position */
    draw(runs, alignment, position) {
      const lengths = alignment.lanes.map((lane) => lane.tokens.length);
      const key = `${runs.map((run) => run.id).join("|")} ${position} ${lengths}`;
      if (key === wanted) return;
      wanted = key;
      clearTimeout(timer);
      again = () => paint(runs, alignment, position);
      timer = setTimeout(again, REST_MS);
    },
    destroy() {
      clearTimeout(timer);
      watcher.disconnect();
    },
  };

  /** @param {Run[]} runs @param {Alignment} alignment @param {number} position */
  function paint(runs, alignment, position) {
    while (minis.length < runs.length) minis.push(createMini());
    if (grid.children.length !== runs.length) {
      grid.dataset.runs = String(runs.length);
      grid.replaceChildren(...minis.slice(0, runs.length).map((mini) => mini.element));
    }
    // Behind the first difference there is no one token to be named.
    const token =
      position <= alignment.shared ? alignment.lanes[0].tokens[position - 1] : undefined;
    setText(
      title,
      WORDS.compareTreesAt(position, token === undefined ? null : tokenOf(runs[0], token).full),
    );
    // All reads of the layout, then all writes, then all scrolling: three layouts, however many
    // trees.
    const widths = runs.map((_, i) => minis[i].width());
    runs.forEach((run, i) =>
      minis[i].draw(run, LETTERS[i], stepAt(alignment.lanes[i], position), widths[i]),
    );
    runs.forEach((_, i) => minis[i].follow());
  }
}

/** One small tree in a box of its own. */
function createMini() {
  const element = make("figure", "tr-mini");
  const caption = make("figcaption", "");
  const letter = make("span", "tr-letter");
  const words = make("span", "");
  caption.append(letter, words);
  const scroller = make("div", "tr-mini-scroll");
  scroller.tabIndex = 0;
  scroller.setAttribute("role", "group");
  const shapes = createTreeShapes({ mini: true });
  scroller.append(shapes.element);
  element.append(caption, scroller);

  /** Width of a column at which everything was placed last. */
  let placed = 0;
  let [left, top] = [0, 0];

  return {
    element,
    width: () => scroller.clientWidth || element.clientWidth,
    /**
     * @param {Run} run
     * @param {string} name
     * @param {number} number of the step; 0 where the run had ended
     * @param {number} width of the box
     */
    draw(run, name, number, width) {
      const step = run.steps[number - 1];
      setText(letter, name);
      letter.dataset.letter = name;
      scroller.hidden = !step;
      const caption = step
        ? WORDS.compareTreeHead(number, step.path.length, draftedIn(step))
        : WORDS.compareTreeNone;
      setText(words, caption);
      if (!step) return;
      for (const named of [scroller, shapes.element])
        named.setAttribute("aria-label", `${name}: ${caption}`);
      const reshaped = shapes.fill(step, run);
      const columns = Math.max(step.counts.length, 1 + (step.at?.[0] ?? 0));
      const rows = step.height + FREE_ROWS;
      const room = { width: width - 4, height: TALLEST_BOX - 4 };
      const { scale, column } = fitTree({ columns, rows }, room, false, {
        ...sizesAt(element),
        largest: LARGEST,
      });
      if (reshaped || column !== placed) shapes.place(step, column);
      else shapes.placePath(step);
      placed = column;
      shapes.resize(columns * column, rows * ROW_HEIGHT, scale);
      const end = pathEnd(step);
      // From the root on, unless the path leads out of the box.
      left = (step.x[end] + 2) * column * scale - room.width;
      top = (step.y[end] + 3) * ROW_HEIGHT * scale - room.height;
    },
    follow() {
      scroller.scrollTo({ left, top, behavior: "instant" });
    },
  };
}
