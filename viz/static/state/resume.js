// @ts-check
/**
 * What is needed to go on with the run on the screen: for a server that does not know it, its last
 * checkpoint, unread; for a reloaded page, the records that it was drawn from.
 */

import { recordOf } from "./records.js";

/** @typedef {import("./player.js").State} State */

/**
 * @param {() => State} own where the visitor's own run is, also while a lesson has the screen
 * @param {(id: string) => import("./records.js").Run | null} runOf a run that is known here
 */
export function createResume(own, runOf) {
  let run = "";
  let text = "";
  let wanted = "";
  /** @type {any[]} */
  let records = [];

  return {
    /** @param {any} record */
    take(record) {
      if (record.type === "checkpoint") ({ run, text } = record);
      if (record.type === "forgotten") {
        wanted = record.run;
        if (record.run !== run) run = "";
      } else if (["step", "start", "error"].includes(record.type)) wanted = "";
      if (["run", "reset"].includes(record.type)) records = [];
      if (record.type === "start" && record.run !== own().run?.id) records = [];
      if (record.type === "analysis") records = records.filter((one) => one.type !== "analysis");
      if (["start", "step", "end", "run", "analysis"].includes(record.type)) records.push(record);
    },

    /** Whether there is something to go on with. @param {string} id */
    knows: (id) => id === run && text !== "",

    isForgotten: () => wanted !== "",

    /** The run that a click on Step or Run goes on with, as JSON; empty if it begins a new one. */
    claim() {
      const shown = own().run;
      if (!shown || shown.id !== run || shown.recorded !== null || shown.end?.stop) return "";
      const kept = wanted === run ? { checkpoint: text, record: recordOf(shown) } : {};
      return JSON.stringify({ run, steps: shown.steps.length, ...kept });
    },

    /**
     * A wish to save the run on the screen, as ui/tab/browser_state.py has it.
     * @param {string} what
     */
    wish(what) {
      const shown = own().run;
      return JSON.stringify({
        what,
        runs: shown ? [shown.id] : [],
        steps: shown?.steps.length ?? 0,
      });
    },

    /**
     * The wish with all that is known here of its runs, for a server that does not have them.
     * @param {string} wish
     */
    handOver(wish) {
      const { runs, ...more } = JSON.parse(wish);
      const records = runs.map(runOf).filter(Boolean).map(recordOf);
      return JSON.stringify({
        ...more,
        runs,
        handed: true,
        records,
        checkpoint: runs[0] === run ? text : "",
      });
    },

    /** Records, as text, that bring the run back to the screen. */
    records() {
      const shown = own().run;
      if (!shown || !records.length) return [];
      const kept = records.map((record) => JSON.stringify(record));
      if (run === shown.id) kept.push(JSON.stringify({ type: "checkpoint", run, text }));
      kept.push(JSON.stringify({ type: "view", step: own().step, phase: own().phase }));
      return kept;
    },
  };
}
