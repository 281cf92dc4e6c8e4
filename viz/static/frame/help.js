// @ts-check
/** What is shown besides a run: the help dialog, and the screen before the first run. */

import { make, makeButton, makeSvg } from "../kit/dom.js";
import { PHASES } from "../state/player.js";
import { WORDS } from "../words/words.js";

export function createHelp() {
  const dialog = make("dialog", "tr-help");
  dialog.setAttribute("aria-label", WORDS.helpTitle);
  const head = make("div", "tr-help-head");
  const close = makeButton("tr-tool", WORDS.close, "M4 4l8 8M12 4l-8 8");
  close.addEventListener("click", () => dialog.close());
  head.append(make("strong", "", WORDS.helpTitle), close);
  const phases = make("dl", "tr-help-list");
  for (const phase of PHASES) {
    phases.append(make("dt", "", WORDS.phases[/** @type {keyof typeof WORDS.phases} */ (phase)]));
    phases.append(
      make("dd", "", WORDS.phaseHints[/** @type {keyof typeof WORDS.phaseHints} */ (phase)]),
    );
  }
  const keys = make("dl", "tr-help-list");
  for (const [names, action] of WORDS.helpKeys) {
    const term = make("dt", "");
    for (const name of names.split(" ")) term.append(make("kbd", "", name));
    keys.append(term, make("dd", "", action));
  }
  dialog.append(head, phases, make("p", "", WORDS.helpMore), keys);
  // A click on the backdrop is a click on the dialog itself.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  return {
    element: dialog,
    open() {
      if (!dialog.open) dialog.showModal();
    },
  };
}

/**
 * The screen before the first run: one sentence, a small tree that says what kind of picture will
 * come, and recorded runs, which can be seen while the model still loads.
 * @param {(name: string) => void} openExample
 * @param {() => void} openTour
 * @param {boolean} canRun whether the reader can make runs here
 */
export function createEmpty(openExample, openTour, canRun) {
  const empty = make("div", "tr-empty");
  const picture = makeSvg("svg", {
    viewBox: "0 0 320 130",
    width: 320,
    height: 130,
    "aria-hidden": "true",
  });
  /** Column, row, and whether it is on the path. @type {[number, number, boolean][]} */
  const chips = [
    [0, 0, true],
    [1, 0, true],
    [1, 2, false],
    [1, 3, false],
    [2, 0, false],
    [2, 1, true],
    [2, 2, false],
    [3, 0, false],
    [3, 1, true],
  ];
  /** @type {[number, number][]} */
  const edges = [
    [0, 1],
    [0, 2],
    [0, 3],
    [1, 4],
    [1, 5],
    [2, 6],
    [4, 7],
    [5, 8],
  ];
  for (const [from, to] of edges) {
    const [[column, row], [toColumn, toRow, onPath]] = [chips[from], chips[to]];
    const [x, y, toX, toY] = [column * 84 + 52, row * 32 + 16, toColumn * 84 + 8, toRow * 32 + 16];
    const line = makeSvg("path", {
      d: `M${x} ${y}C${x + 20} ${y} ${toX - 16} ${toY} ${toX} ${toY}`,
    });
    line.classList.toggle("tr-on-path", onPath);
    picture.append(line);
  }
  chips.forEach(([column, row, onPath], i) => {
    const chip = makeSvg("rect", {
      x: column * 84 + 8,
      y: row * 32 + 8,
      width: 44,
      height: 16,
      rx: 8,
    });
    chip.classList.toggle("tr-on-path", onPath);
    chip.classList.toggle("tr-is-bonus", i === chips.length - 1);
    picture.append(chip);
  });
  empty.append(picture, make("p", "tr-empty-words", canRun ? WORDS.empty : WORDS.emptyTour));
  if (canRun) empty.append(make("p", "tr-empty-more", WORDS.emptyMore));
  const tour = makeButton("tr-take-tour", WORDS.takeTour);
  tour.addEventListener("click", openTour);
  empty.append(tour);
  const examples = make("div", "tr-examples");
  examples.hidden = true;
  empty.append(examples);
  return {
    element: empty,
    /** @param {[string, string, string][]} offered name, word on the button, and title of each */
    offer(offered) {
      examples.hidden = !offered.length;
      examples.replaceChildren(make("span", "", WORDS.lookAt));
      for (const [name, word, title] of offered) {
        const button = makeButton("tr-example", word);
        button.title = title;
        button.addEventListener("click", () => openExample(name));
        examples.append(button);
      }
    },
  };
}
