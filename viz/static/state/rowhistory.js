// @ts-check
/**
 * What a run did to the matrix: which steps wrote which row, and what the rows lost. Draws nothing.
 */

/**
 * @typedef {import("./records.js").Run} Run
 * @typedef {object} Life a row that the run wrote
 * @property {number} token
 * @property {number[]} steps places of the steps that wrote it, rising, from 1
 * @property {number[]} lost candidates that it had lost after each of these
 * @property {boolean} before whether it held candidates before the first of them
 * @typedef {{row: number, token: number, step: number}} Loss a candidate that a row lost
 */

/** Follows one run after the other; only steps that are new are read. */
export function createRowLives() {
  /** @type {Run | null} */
  let run = null;
  let read = 0;
  /** @type {Map<number, Life>} */
  let lives = new Map();
  /** @type {Loss[]} */
  let losses = [];

  return {
    /** @param {Run} shown @returns {{lives: Map<number, Life>, losses: Loss[]}} */
    of(shown) {
      if (shown !== run) {
        run = shown;
        read = 0;
        lives = new Map();
        losses = [];
      }
      for (; read < shown.steps.length; read++) {
        for (const row of shown.steps[read].rows) {
          const life = lives.get(row.t) ?? {
            token: row.t,
            steps: [],
            lost: [],
            before: row.b.length > 0,
          };
          lives.set(row.t, life);
          life.steps.push(read + 1);
          life.lost.push((life.lost.at(-1) ?? 0) + (row.e?.length ?? 0));
          for (const token of row.e ?? []) losses.push({ row: row.t, token, step: read + 1 });
        }
      }
      return { lives, losses };
    },
  };
}

/**
 * A row as it is after a step: times written, candidates lost, and the last step that wrote it (0:
 * none so far).
 * @param {Life} life
 * @param {number} step
 */
export function lifeAt(life, step) {
  let writes = life.steps.length;
  while (writes && life.steps[writes - 1] > step) writes -= 1;
  return { writes, lost: life.lost[writes - 1] ?? 0, last: life.steps[writes - 1] ?? 0 };
}
