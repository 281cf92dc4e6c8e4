// @ts-check
/** The trees of all compared runs that wrote one position, side by side: to look at, not to work with. */

import { LETTERS, stepAt } from "./align.js";
import { make, setText } from "./dom.js";
import { pathEnd, tokenOf } from "./records.js";
import { WORDS } from "./strings.js";
import { createTreeShapes } from "./treeshapes.js";
import { ROW_HEIGHT, fitTree } from "./treeview.js";

/**
 * @typedef {import("./records.js").Run} Run
 * @typedef {import("./align.js").Alignment} Alignment
 */

const FREE_ROWS = 2;
const LARGEST = 1.1;
/** Pixels of a box: what is larger is scrolled. */
const TALLEST_BOX = 240;

export function createCompareTrees() {
  const element = make("div", "tr-compare-trees");
  const title = make("p", "tr-compare-lead");
  const grid = make("div", "tr-mini-grid");
  element.append(title, grid);
  /** @type {ReturnType<typeof createMini>[]} */
  let minis = [];
  let drawn = "";
  /** @type {() => void} */
  let again = () => {};
  const watcher = new ResizeObserver(() => {
    drawn = "";
    again();
  });
  watcher.observe(element);

  return {
    element,
    /** @param {Run[]} runs @param {Alignment} found @param {number} position */
    draw(runs, found, position) {
      const key = `${runs.map((run) => run.id).join("|")} ${position} ${found.lanes.map((lane) => lane.tokens.length)}`;
      if (key === drawn) return;
      drawn = key;
      again = () => this.draw(runs, found, position);
      while (minis.length < runs.length) minis.push(createMini());
      grid.dataset.runs = String(runs.length);
      grid.replaceChildren(...minis.slice(0, runs.length).map((mini) => mini.element));
      // Behind the first difference there is no one token to be named.
      const token = position <= found.shared ? found.lanes[0].tokens[position - 1] : undefined;
      setText(title, WORDS.compareTreesAt(position, token === undefined ? null : tokenOf(runs[0], token).full));
      runs.forEach((run, i) => minis[i].draw(run, LETTERS[i], stepAt(found.lanes[i], position)));
    },
    destroy: () => watcher.disconnect(),
  };
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

  return {
    element,
    /** @param {Run} run @param {string} name @param {number} number of the step; 0 where the run had ended */
    draw(run, name, number) {
      const step = run.steps[number - 1];
      setText(letter, name);
      letter.dataset.letter = name;
      scroller.hidden = !step;
      const told = step ? WORDS.compareTreeHead(number, step.path.length, step.ids.length - 1) : WORDS.compareTreeNone;
      setText(words, told);
      if (!step) return;
      for (const named of [scroller, shapes.element]) named.setAttribute("aria-label", `${name}: ${told}`);
      shapes.fill(step, run);
      const columns = Math.max(step.counts.length, 1 + (step.at?.[0] ?? 0));
      const rows = step.height + FREE_ROWS;
      const room = { width: scroller.clientWidth - 4, height: TALLEST_BOX - 4 };
      const fitted = fitTree({ columns, rows }, room, false);
      const [scale, column] = [Math.min(fitted.scale, LARGEST), fitted.column];
      shapes.place(step, column);
      shapes.resize(columns * column, rows * ROW_HEIGHT, scale);
      const end = pathEnd(step);
      // From the root on, unless the path leads out of the box.
      scroller.scrollLeft = (step.x[end] + 2) * column * scale - room.width;
      scroller.scrollTop = (step.y[end] + 3) * ROW_HEIGHT * scale - room.height;
    },
  };
}
