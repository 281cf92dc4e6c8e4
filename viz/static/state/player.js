// @ts-check
/** Where the reader is: the one state object, and every way to change it. Draws nothing. */

import { refusalOf } from "./align.js";
import { BONUS_NODE } from "./records.js";

/** @typedef {import("./records.js").Run} Run */

/**
 * What is pointed at: nodes of the tree, the row of a token, and cells of that row.
 * @typedef {{nodes: number[], row: number | null, rank: number | null}} Pointed
 */

/**
 * Steps that a panel has marked: what they have in common, in words, and their numbers, rising.
 * `find` finds them again when the run has gone on.
 * @typedef {{key: string, name: string, steps: number[], find: (run: Run) => number[]}} Marks
 */

/**
 * @typedef {object} State
 * @property {Run | null} run
 * @property {Run[]} kept runs that lie side by side in the compare panel
 * @property {{words: string, done: number, of: number} | null} making a run that is made to lie
 *   there: its tokens so far
 * @property {number} step number of the step shown, from 1; 0 when there is none
 * @property {string} phase
 * @property {number | null} selected node that the reader has chosen; null: where the path ended
 * @property {Pointed | null} hover
 * @property {boolean} playing
 * @property {number} speed
 * @property {number} unread steps that came in while the reader looked at an earlier one
 * @property {string} filter
 * @property {string | null} error
 * @property {boolean} animate whether what is drawn next may move: not while scrubbing
 * @property {string | null} panel name of the open panel; null: none is
 * @property {Marks | null} marks
 * @property {{run: string | undefined, step: number, parts: import("./records.js").Part[]} | null}
 *   rings parts of one step that are pointed at
 */

export const PHASES = ["draft", "verify", "accept", "recycle"];

/** Phase in which a fresh step is shown: the first that has its verdict. */
const FRESH_PHASE = "accept";

/** Milliseconds of a phase at speed 1. */
export const PHASE_MS = 1000;

/** @returns {State} */
export function initialState() {
  return {
    run: null,
    kept: [],
    making: null,
    step: 0,
    phase: FRESH_PHASE,
    selected: null,
    hover: null,
    playing: false,
    speed: 1,
    unread: 0,
    filter: "",
    error: null,
    animate: false,
    panel: null,
    marks: null,
    rings: null,
  };
}

/**
 * @param {State} state
 * @param {() => void} changed called after every change
 */
export function createPlayer(state, changed) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  const steps = () => state.run?.steps.length ?? 0;
  const phaseAt = () => PHASES.indexOf(state.phase);

  /** @param {number} step @param {string} [phase] @param {boolean} [animate] */
  function show(step, phase = state.phase, animate = false) {
    const wanted = Math.max(Math.min(step, steps()), Math.min(1, steps()));
    if (wanted !== state.step) {
      state.selected = null;
      state.hover = null;
    }
    state.step = wanted;
    state.phase = phase;
    state.animate = animate;
    if (wanted === steps()) state.unread = 0;
    changed();
  }

  function beat() {
    timer = undefined;
    if (!state.playing) return;
    if (phaseAt() < PHASES.length - 1) show(state.step, PHASES[phaseAt() + 1], true);
    else if (state.step < steps()) show(state.step + 1, PHASES[0], true);
    else if (!state.run?.running) return player.pause();
    timer = setTimeout(beat, PHASE_MS / state.speed);
  }

  const player = {
    /** A new run takes the screen, at its last step if it has any. @param {Run | null} run */
    open(run) {
      player.pause();
      state.run = run;
      state.step = 0;
      state.unread = 0;
      state.selected = null;
      state.hover = null;
      state.filter = "";
      state.marks = null;
      if (phaseAt() < PHASES.indexOf(FRESH_PHASE)) state.phase = FRESH_PHASE;
      show(steps());
    },

    /**
     * Lay a run beside those that are compared; a sentence says if it cannot lie there.
     * @param {Run} run
     */
    keep(run) {
      const sentence = refusalOf(state.kept, run);
      if (sentence) return player.setError(sentence);
      if (!state.kept.includes(run)) state.kept = [...state.kept, run];
      changed();
    },

    /** @param {Run[]} runs those that lie side by side from now on */
    keepOnly(runs) {
      state.kept = runs;
      changed();
    },

    /** Go to a step of another run. @param {Run} run @param {number} step */
    visit(run, step) {
      // The run that leaves the screen would be gone, if it did not lie with the others.
      if (state.run && state.run !== run && !refusalOf(state.kept, state.run))
        player.keep(state.run);
      if (state.run !== run) player.open(run);
      player.goTo(step);
    },

    /** @param {string | null} name */
    openPanel(name) {
      state.panel = name;
      changed();
    },

    /** Ring parts of the step shown. @param {import("./records.js").Part[]} parts */
    ring(parts) {
      state.rings = parts.length ? { run: state.run?.id, step: state.step, parts } : null;
      changed();
    },

    /**
     * Mark steps; the same key again takes the marks away.
     * @param {Omit<Marks, "steps"> | null} wanted
     */
    mark(wanted) {
      const again = wanted && state.marks?.key === wanted.key;
      state.marks =
        wanted && state.run && !again ? { ...wanted, steps: wanted.find(state.run) } : null;
      changed();
    },

    /** To the next marked step, or the one before. @param {number} by */
    goToMark(by) {
      const steps = state.marks?.steps ?? [];
      const to =
        by > 0
          ? steps.find((step) => step > state.step)
          : steps.findLast((step) => step < state.step);
      if (to !== undefined) player.goTo(to);
    },

    /** More is known of the run. */
    analysed() {
      if (state.marks && state.run)
        state.marks = { ...state.marks, steps: state.marks.find(state.run) };
      changed();
    },

    /**
     * A step was added: follow it, unless the reader is looking at an earlier one or the run is
     * being played.
     */
    added() {
      if (state.step < steps() - 1 || state.playing) {
        state.unread += 1;
        return changed();
      }
      show(steps(), PHASES[Math.max(phaseAt(), PHASES.indexOf(FRESH_PHASE))], true);
    },

    /**
     * Go to a step by hand, in the phase that the reader is in.
     * @param {number} step
     * @param {string} [phase]
     */
    goTo(step, phase) {
      player.pause();
      show(step, phase);
    },

    /** @param {string} phase */
    setPhase(phase) {
      player.pause();
      show(state.step, phase, true);
    },

    /** @param {number} by */
    shiftPhase(by) {
      const at = Math.max(0, Math.min(PHASES.length - 1, phaseAt() + by));
      player.setPhase(PHASES[at]);
    },

    play() {
      if (!steps() || state.playing) return;
      state.playing = true;
      const over = state.step === steps() && phaseAt() === PHASES.length - 1;
      // At the very end there is nothing left to play, so it starts again.
      if (over && !state.run?.running) show(1, PHASES[0], true);
      else changed();
      timer = setTimeout(beat, PHASE_MS / state.speed);
    },

    pause() {
      clearTimeout(timer);
      timer = undefined;
      if (!state.playing) return;
      state.playing = false;
      changed();
    },

    toggle() {
      if (state.playing) player.pause();
      else player.play();
    },

    /** @param {number} speed */
    setSpeed(speed) {
      state.speed = speed;
      changed();
    },

    /** @param {number | null} node */
    select(node) {
      state.selected = node;
      state.animate = false;
      changed();
    },

    /** The next node, breadth-first; the bonus comes last. @param {number} by */
    shiftNode(by) {
      const step = state.run?.steps[state.step - 1];
      if (!step) return;
      const nodes = step.ids.map((_, n) => n);
      if (step.bonus !== null) nodes.push(BONUS_NODE);
      const at = nodes.indexOf(shownNode(state)) + by;
      player.select(nodes[(at + nodes.length) % nodes.length]);
    },

    /** @param {Pointed | null} pointed */
    point(pointed) {
      state.hover = pointed;
      changed();
    },

    /** @param {string} text */
    setFilter(text) {
      state.filter = text;
      changed();
    },

    /** @param {string | null} sentence */
    setError(sentence) {
      state.error = sentence;
      changed();
    },

    /** @param {State["making"]} making */
    setMaking(making) {
      state.making = making;
      changed();
    },

    /** The run has changed without a step. */
    refresh: changed,

    destroy() {
      clearTimeout(timer);
      state.playing = false;
    },
  };
  return player;
}

/** @typedef {ReturnType<typeof createPlayer>} Player */

/** Whether the phase shown comes after the verdict. @param {State} state */
export function isJudged(state) {
  return PHASES.indexOf(state.phase) >= PHASES.indexOf("accept");
}

/**
 * The node that the inspector is about: the chosen one, else the root, or where the path ended.
 * @param {State} state
 */
export function shownNode(state) {
  if (state.selected !== null) return state.selected;
  const step = state.run?.steps[state.step - 1];
  return (isJudged(state) ? step?.path.at(-1) : 0) ?? 0;
}
