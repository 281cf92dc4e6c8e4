// @ts-check
/**
 * The tour: chapters that drive the explorer through recorded runs, and ask before they show. What
 * they say and where they lead comes in a `lessons` record (viz/lessons/record.py). While the tour
 * has the screen, the visitor's own run is kept aside with a player of its own, so that nothing of
 * it is lost and its records go on being taken.
 */

import { makeButton } from "../kit/dom.js";
import { ANSWER_KEYS, createLessonCard, sceneOf } from "./card.js";
import { createStore } from "../kit/store.js";
import { createPlayer, isJudged } from "../state/player.js";
import { addStep, endRun, openRun } from "../state/records.js";
import { WORDS } from "../words/words.js";

/**
 * @typedef {{type: "lessons", chapters: import("./card.js").Chapter[], open?: number, runs:
 *   Record<string, import("../state/records.js").WholeRun>}} Lessons what viz/lessons/record.py
 *   writes; `open` is the chapter to open at once, from 1, or 0 for where the reader was
 * @typedef {import("../state/player.js").State} State
 * @typedef {import("../state/player.js").Player} Player
 * @typedef {import("../state/records.js").Run} Run
 * @typedef {import("./card.js").Reading} Reading
 */

/** Candidates in a row, up to which there is room for large letters. */
const FEW = 4;

/**
 * @param {object} parts
 * @param {HTMLElement} parts.root
 * @param {State} parts.state
 * @param {Player} parts.player
 * @param {{names: string[], element: HTMLElement}} parts.panels the host of all panels
 * @param {HTMLElement} parts.frame
 * @param {() => void} parts.ask asks for the lessons record
 */
export function createTour({ root, frame, state, player, panels, ask }) {
  const store = createStore("tr-lessons");
  const card = createLessonCard({ go, next, back, pick, leave });
  const button = makeButton("tr-header-button tr-learn-button", WORDS.learn);
  button.title = WORDS.learnHint;
  button.addEventListener("click", toggle);
  /** @type {Lessons | null} */
  let record = null;
  /** @type {Map<string, Run>} */
  const runs = new Map();
  /** @type {{state: State, player: Player} | null} */
  let aside = null;
  /**
   * Where to begin as soon as the chapters have come; null: where the reader was.
   * @type {{chapter: number | null} | null}
   */
  let waiting = null;
  let unsettled = false;
  /** @type {Reading} */
  const reading = {
    chapters: [],
    chapter: 0,
    scene: 0,
    done: new Set(),
    picked: [],
    settled: false,
  };

  /** @param {number | null} chapter from 0; null: where the reader was */
  function open(chapter = null) {
    if (!record) {
      waiting = { chapter };
      return ask();
    }
    waiting = null;
    if (!aside) {
      player.pause();
      const kept = { ...state };
      aside = { state: kept, player: createPlayer(kept, () => {}) };
      root.classList.add("tr-in-lesson");
      button.setAttribute("aria-pressed", "true");
      // Within the frame a panel stands beside the tree that it is about.
      frame.append(panels.element);
    }
    const known = remembered();
    reading.done = new Set(known.done);
    if (chapter === null) go(known.chapter, known.scene);
    else go(Math.max(0, Math.min(chapter, reading.chapters.length - 1)), 0);
  }

  function toggle() {
    if (aside) leave();
    else open();
  }

  function leave() {
    if (!aside) return;
    aside.player.destroy();
    Object.assign(state, aside.state, { playing: false });
    aside = null;
    root.classList.remove("tr-in-lesson", "tr-predicting", "tr-few", "tr-lesson-panel");
    frame.after(panels.element);
    button.setAttribute("aria-pressed", "false");
    card.hide();
    player.refresh();
    button.focus({ preventScroll: true });
  }

  /**
   * Progress as it was stored; what does not fit the chapters, which may be others by now, is
   * dropped.
   */
  function remembered() {
    const stored = store.read() ?? {};
    const fits = (/** @type {any} */ c) =>
      Number.isInteger(c) && c >= 0 && c < reading.chapters.length;
    const chapter = fits(stored.chapter) ? stored.chapter : 0;
    const scene =
      Number.isInteger(stored.scene) && reading.chapters[chapter].scenes[stored.scene]
        ? stored.scene
        : 0;
    return { chapter, scene, done: Array.isArray(stored.done) ? stored.done.filter(fits) : [] };
  }

  function remember() {
    store.write({ chapter: reading.chapter, scene: reading.scene, done: [...reading.done] });
  }

  /** @param {number} chapter @param {number} number of the scene */
  function go(chapter, number) {
    Object.assign(reading, { chapter, scene: number, picked: [], settled: false });
    const scene = sceneOf(reading);
    show(scene.run, scene.step, scene.phase);
    const panel = scene.panel ?? null;
    const there = panel !== null && panels.names.includes(panel);
    player.openPanel(there ? panel : null);
    root.classList.toggle("tr-lesson-panel", there);
    player.select(scene.select ?? null);
    player.ring(scene.highlight ? [scene.highlight] : []);
    unsettled = true;
    root.classList.toggle("tr-predicting", scene.ask?.kind === "predict");
    card.draw(reading);
    remember();
  }

  /** @param {string} name of a run @param {number} step @param {string} phase */
  function show(name, step, phase) {
    const run = runOf(name);
    if (state.run !== run) player.open(run);
    root.classList.toggle("tr-few", run.info.k <= FEW);
    player.goTo(step, phase);
  }

  /** @param {string} name */
  function runOf(name) {
    const known = runs.get(name);
    if (known) return known;
    const content = /** @type {Lessons} */ (record).runs[name];
    const run = openRun(`lesson ${name}`, content.start);
    run.recorded = "";
    for (const step of content.steps) addStep(run, step);
    endRun(run, content.end ?? {});
    runs.set(name, run);
    return run;
  }

  /** On: shows the answer first where there is one still hidden. */
  function next() {
    const chapter = reading.chapters[reading.chapter];
    if (sceneOf(reading).ask && !reading.settled) return settle();
    if (reading.scene + 1 < chapter.scenes.length) return go(reading.chapter, reading.scene + 1);
    reading.done.add(reading.chapter);
    remember();
    if (reading.chapter + 1 < reading.chapters.length) return go(reading.chapter + 1, 0);
    store.write({ chapter: 0, scene: 0, done: [...reading.done] });
    leave();
  }

  function back() {
    if (reading.scene > 0) return go(reading.chapter, reading.scene - 1);
    if (reading.chapter > 0)
      go(reading.chapter - 1, reading.chapters[reading.chapter - 1].scenes.length - 1);
  }

  /** @param {number} option */
  function pick(option) {
    const asked = sceneOf(reading).ask;
    const chosen = asked?.options[option];
    if (!asked || !chosen || reading.settled) return;
    reading.picked.push(option);
    if (chosen.right) return settle();
    card.answer(reading, chosen);
  }

  /** The right answer comes out, and the explorer shows it. */
  function settle() {
    const scene = sceneOf(reading);
    const asked = scene.ask;
    if (!asked) return;
    reading.settled = true;
    root.classList.remove("tr-predicting");
    const right = asked.options.filter((option) => option.right);
    const chosen = asked.options[reading.picked.at(-1) ?? -1];
    if (asked.reveal) {
      show(scene.run, scene.step, asked.reveal);
      const nodes = right.flatMap((option) => option.node ?? []);
      const rows = right.flatMap((option) => option.row ?? []);
      if (nodes.length) player.ring([{ nodes }]);
      else if (rows.length) player.ring([{ rows }]);
      unsettled = true;
    }
    card.answer(reading, chosen?.right ? chosen : right[0]);
  }

  /** A click on a node or a row is an answer where one is asked for. @param {MouseEvent} event */
  function onClick(event) {
    const asked = aside && sceneOf(reading).ask;
    if (!asked || reading.settled || asked.pick === "none" || !(event.target instanceof Element))
      return;
    const target = event.target.closest(asked.pick === "node" ? "[data-node]" : "[data-row]");
    if (!(target instanceof HTMLElement || target instanceof SVGElement)) return;
    pickTarget(asked.pick, Number(target.dataset[asked.pick]));
  }

  /** @param {"node" | "row"} kind @param {number} wanted */
  function pickTarget(kind, wanted) {
    const at = sceneOf(reading).ask?.options.findIndex((option) => option[kind] === wanted) ?? -1;
    if (at >= 0) pick(at);
  }

  /** Enter answers with the node that J and K have chosen. */
  function pickSelected() {
    const asked = sceneOf(reading).ask;
    const step = state.run?.steps[state.step - 1];
    if (!asked || asked.pick === "none" || !step || state.selected === null) return;
    pickTarget(asked.pick, asked.pick === "node" ? state.selected : step.ids[state.selected]);
  }

  root.addEventListener("click", onClick, true);

  /** @type {Record<string, () => void>} */
  const keys = { n: next, PageDown: next, PageUp: back, Enter: pickSelected };
  [...ANSWER_KEYS].forEach((letter, i) => {
    keys[letter] = keys[letter.toUpperCase()] = keys[String(i + 1)] = () => pick(i);
  });
  keys.Escape = () => (card.isListShown() ? card.showList(false) : player.select(null));

  return {
    element: card.element,
    /** Opens the tour and leaves it, from the header. */
    button,
    open,
    toggle,
    leave,
    isOpen: () => aside !== null,
    /**
     * Whether something is still to be guessed, or comes out in a later phase, so that nothing else
     * may tell it.
     */
    isSecret: () =>
      aside !== null &&
      (!isJudged(state) || (sceneOf(reading).ask?.kind === "predict" && !reading.settled)),
    /** Where records of the visitor's own run go. */
    own: () => aside ?? { state, player },
    /** Once all is drawn, what is pointed at comes into sight. @param {Element | null} ringed */
    settle(ringed) {
      if (unsettled) ringed?.closest(".tr-panel, .tr-panels")?.scrollIntoView({ block: "nearest" });
      unsettled = false;
    },
    /** Keys of the tour while it is open. */
    keys: () => (aside ? keys : {}),
    /** The chapters have come. @param {Lessons} content */
    receive(content) {
      record = content;
      reading.chapters = content.chapters;
      runs.clear();
      const wanted =
        waiting ??
        (content.open === undefined ? null : { chapter: content.open ? content.open - 1 : null });
      if (wanted) open(wanted.chapter);
    },
    destroy() {
      aside?.player.destroy();
      root.removeEventListener("click", onClick, true);
    },
  };
}
