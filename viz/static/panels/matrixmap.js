// @ts-check
/** The matrix map: every row of the vocabulary as a dot, as the matrix was after the step shown. */

import { watchColours } from "../kit/colours.js";
import { clip, make, makeSvg, setText } from "../kit/dom.js";
import { tokenOf } from "../state/records.js";
import { createRowLives, lifeAt } from "../state/rowhistory.js";
import { WORDS } from "../words/words.js";
import { createTable } from "../kit/tables.js";

/**
 * @typedef {import("../state/records.js").Run} Run
 * @typedef {import("../state/rowhistory.js").Life} Life
 * @typedef {import("../state/player.js").State} State
 * @typedef {import("../state/player.js").Player} Player
 * @typedef {keyof typeof WORDS.mapModes} Mode
 */

const LISTED = 12;
const TALLEST_MAP = 330;
const [SMALLEST_DOT, LARGEST_DOT] = [1.5, 12];
/** Steps after which a row counts as old. */
const OLD = 20;
const LISTED_NAME = 16;

/** @param {State} state @param {Player} player @returns {import("../frame/tabs.js").Panel} */
export function createMatrixMapPanel(state, player) {
  const element = make("div", "tr-map");
  const bar = make("div", "tr-map-bar");
  const modes = make("div", "tr-choices");
  modes.setAttribute("role", "group");
  modes.setAttribute("aria-label", WORDS.mapMode);
  /** @type {Mode} */
  let mode = "age";
  const buttons = /** @type {Mode[]} */ (Object.keys(WORDS.mapModes)).map((name) => {
    const button = make("button", "tr-choice-button", WORDS.mapModes[name]);
    button.type = "button";
    button.addEventListener("click", () => {
      mode = name;
      player.refresh();
    });
    modes.append(button);
    return { name, button };
  });
  const search = make("input", "tr-search");
  search.type = "search";
  search.placeholder = WORDS.mapSearch;
  search.setAttribute("aria-label", WORDS.mapSearch);
  search.autocomplete = "off";
  search.spellcheck = false;
  bar.append(modes, search);
  const lead = make("p", "tr-panel-lead");
  const window = make("div", "tr-map-window");
  const canvas = make("canvas", "tr-map-canvas");
  canvas.setAttribute("role", "img");
  const ring = makeSvg("svg", { class: "tr-map-rings", "aria-hidden": "true" });
  const rings = makeSvg("path", { class: "tr-map-ring" });
  ring.append(rings);
  window.append(canvas, ring);
  const readout = make("p", "tr-map-readout");
  const legend = make("p", "tr-map-legend");
  const picture = make("div", "tr-map-picture");
  picture.append(window, legend, readout);
  const rows = createTable("", [
    { name: WORDS.rowColumn },
    { name: WORDS.writtenColumn, number: true },
    { name: WORDS.rowLostColumn, number: true },
    { name: WORDS.agoColumn, number: true },
  ]);
  const losers = createTable("", [
    { name: WORDS.rowColumn },
    { name: WORDS.lostTokenColumn },
    { name: WORDS.inStepColumn },
  ]);
  const lists = make("div", "tr-map-lists");
  lists.append(rows.element, losers.element);
  const body = make("div", "tr-map-body");
  body.append(picture, lists);
  element.append(bar, lead, body);

  const history = createRowLives();
  const colours = watchColours(element, () => {
    drawn = "";
    player.refresh();
  });
  let wanted = "";
  let drawn = "";
  let width = 0;
  let dot = 0;
  let across = 1;
  /** @type {number | null} */
  let pointed = null;

  /** @param {number} token */
  const spot = (token) => ({ x: (token % across) * dot, y: Math.floor(token / across) * dot });

  /** @param {Run} run @param {Map<number, Life>} lives */
  function drawMap(run, lives) {
    const vocabulary = run.info.vocab;
    dot = Math.max(
      SMALLEST_DOT,
      Math.min(LARGEST_DOT, Math.sqrt((width * TALLEST_MAP) / vocabulary)),
    );
    across = Math.max(1, Math.floor(width / dot));
    const height = Math.ceil(vocabulary / across) * dot;
    const sharp = devicePixelRatio || 1;
    if (
      canvas.width !== Math.round(width * sharp) ||
      canvas.height !== Math.round(height * sharp)
    ) {
      canvas.width = Math.round(width * sharp);
      canvas.height = Math.round(height * sharp);
      canvas.style.height = `${height}px`;
      for (const [name, value] of Object.entries({ width, height }))
        ring.setAttribute(name, String(value));
    }
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.setTransform(sharp, 0, 0, sharp, 0, 0);
    context.clearRect(0, 0, width, height);
    context.fillStyle = colours.of("--accepted");
    const size = dot > 4 ? dot - 1 : dot;
    let [filled, most] = [0, 1];
    const now = [...lives.values()].map((life) => ({
      token: life.token,
      before: life.before,
      ...lifeAt(life, state.step),
    }));
    for (const row of now) most = Math.max(most, mode === "lost" ? row.lost : row.writes);
    for (const row of now) {
      if (!row.writes && !row.before) continue;
      filled += 1;
      const age = row.last ? state.step - row.last : OLD;
      const share =
        mode === "age"
          ? 1 - Math.min(age, OLD) / OLD
          : (mode === "lost" ? row.lost : row.writes) / most;
      context.globalAlpha = 0.18 + 0.82 * share;
      const { x, y } = spot(row.token);
      context.fillRect(x, y, size, size);
    }
    context.globalAlpha = 1;
    canvas.setAttribute("aria-label", WORDS.mapWords(filled, vocabulary));
    setText(legend, WORDS.mapLegend[mode]);
    return now;
  }

  /** @param {Run} run @param {Iterable<number>} tokens */
  function drawRings(run, tokens) {
    let d = "";
    const size = Math.max(dot, 3);
    for (const token of tokens) {
      if (token >= run.info.vocab) continue;
      const { x, y } = spot(token);
      d += `M${x - 1.5} ${y - 1.5}h${size + 3}v${size + 3}h${-size - 3}z`;
    }
    rings.setAttribute("d", d);
  }

  /**
   * Tokens that the reader looks for; null if for none.
   * @param {Run} run
   * @returns {Set<number> | null}
   */
  function matching(run) {
    const text = wanted.trim().toLowerCase();
    if (!text) return null;
    const exact = [];
    const within = [];
    for (const [id, token] of run.tokens) {
      const bare = token.text.trim().toLowerCase();
      if (bare === text || String(id) === text || token.full.toLowerCase() === text) exact.push(id);
      else if (bare.includes(text) || token.full.toLowerCase().includes(text)) within.push(id);
    }
    return new Set(exact.length ? exact : within);
  }

  /**
   * @param {Run} run
   * @param {{token: number, writes: number, lost: number, last: number}[]} now
   * @param {import("../state/rowhistory.js").Loss[]} losses
   */
  function drawLists(run, now, losses) {
    const ids = matching(run);
    const name = (/** @type {number} */ token) =>
      `“${clip(tokenOf(run, token).label, LISTED_NAME)}”`;
    const listed = now
      .filter((row) => row.writes && (!ids || ids.has(row.token)))
      .sort((a, b) => b.lost - a.lost || b.writes - a.writes || a.token - b.token)
      .slice(0, LISTED);
    rows.rename(ids ? WORDS.rowsFound : WORDS.rowsRewritten);
    rows.fill(
      listed.map((row) => [
        {
          text: name(row.token),
          press: () => markRow(row.token, name(row.token)),
          pressed: state.marks?.key === `row ${row.token}`,
          title: WORDS.markRow(name(row.token)),
        },
        String(row.writes),
        String(row.lost),
        WORDS.ago(state.step - row.last),
      ]),
    );
    rows.element.hidden = !listed.length;
    const gone = ids
      ? losses
          .filter((loss) => loss.step <= state.step && ids.has(loss.token))
          .slice(-LISTED)
          .reverse()
      : [];
    losers.element.hidden = !gone.length;
    losers.rename(WORDS.losers);
    losers.fill(
      gone.map((loss) => [
        {
          text: name(loss.row),
          press: () => showLoss(loss),
          title: WORDS.showLoss(name(loss.row), loss.step),
        },
        name(loss.token),
        WORDS.inStep(loss.step),
      ]),
    );
    setText(
      readout,
      ids && !listed.length && !gone.length
        ? WORDS.mapNothing
        : pointed === null
          ? WORDS.mapHint
          : describe(run, pointed),
    );
    return ids;
  }

  /** @param {import("../state/rowhistory.js").Loss} loss */
  function showLoss(loss) {
    player.goTo(loss.step, "recycle");
    const row = state.run?.steps[state.step - 1].rows.find(({ t }) => t === loss.row);
    if (row) player.select(row.n);
  }

  /** @param {number} token @param {string} name */
  function markRow(token, name) {
    player.mark({
      key: `row ${token}`,
      name: WORDS.rowWrites(name),
      find: (run) =>
        run.steps.flatMap((step, i) => (step.rows.some(({ t }) => t === token) ? [i + 1] : [])),
    });
  }

  /** @param {Run} run @param {number} token */
  function describe(run, token) {
    const life = history.of(run).lives.get(token);
    const name = `“${tokenOf(run, token).full}”`;
    if (!life) return WORDS.mapUnknown(token);
    const { writes, lost, last } = lifeAt(life, state.step);
    return writes
      ? WORDS.mapRow(name, token, writes, lost, last)
      : WORDS.mapLater(name, token, life.before);
  }

  search.addEventListener("input", () => {
    wanted = search.value;
    player.refresh();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!state.run || !dot) return;
    const box = canvas.getBoundingClientRect();
    const token =
      Math.floor((event.clientY - box.top) / dot) * across +
      Math.floor((event.clientX - box.left) / dot);
    pointed = token < state.run.info.vocab ? token : null;
    player.point(pointed === null ? null : { nodes: [], row: pointed, rank: null });
  });
  canvas.addEventListener("pointerleave", () => {
    pointed = null;
    player.point(null);
  });
  canvas.addEventListener("click", () => {
    if (state.run && pointed !== null && history.of(state.run).lives.has(pointed))
      markRow(pointed, `“${clip(tokenOf(state.run, pointed).label, LISTED_NAME)}”`);
  });
  const watcher = new ResizeObserver(() => {
    width = window.clientWidth;
    if (!element.hidden) player.refresh();
  });
  watcher.observe(window);

  return {
    title: WORDS.mapTitle,
    element,
    draw() {
      const run = /** @type {Run} */ (state.run);
      if (!width) return;
      const empty = !run.steps.some((step) => step.rows.length);
      body.hidden = bar.hidden = empty;
      if (empty) return setText(lead, WORDS.matrixNone);
      const marked = /** @type {string} */ (state.marks?.key ?? "");
      const shown = [run.id, run.steps.length, state.step, mode, wanted, marked, pointed, width];
      const key = shown.join(" ");
      if (key === drawn) return;
      drawn = key;
      const { lives, losses } = history.of(run);
      const now = drawMap(run, lives);
      const seen = run.rowsSeen[state.step - 1] ?? run.info.rows_seen;
      setText(lead, WORDS.mapLead(seen, run.info.vocab, state.step));
      for (const { name, button } of buttons)
        button.setAttribute("aria-pressed", String(name === mode));
      const ids = drawLists(run, now, losses);
      const chosen = marked.startsWith("row ") ? [Number(marked.slice(4))] : [];
      drawRings(run, [...(ids ?? []), ...chosen, ...(pointed === null ? [] : [pointed])]);
    },
    destroy() {
      watcher.disconnect();
      colours.destroy();
    },
  };
}
