// @ts-check
/** The matrix panel: the rows that the step touched, before its update and after. */

import { clip, make, makePanel, setText } from "../kit/dom.js";
import { createLostRows } from "./lostrows.js";
import { BONUS_NODE, CHANGE_OF, rowAfter, tokenOf } from "../state/records.js";
import { WORDS } from "../words/words.js";

/**
 * @typedef {import("../state/records.js").Row} Row
 * @typedef {import("../state/records.js").Run} Run
 * @typedef {import("../state/records.js").Step} Step
 * @typedef {import("../state/player.js").State} State
 * @typedef {import("../state/player.js").Player} Player
 * @typedef {{line: HTMLElement, head: HTMLElement, cells: HTMLElement[], evicted: HTMLElement, row:
 *   Row}} Line
 */

/** Letters that the columns have room for. */
const NAME_LETTERS = 9;
const CELL_LETTERS = 6;

const MARKS = { d: "drafted", a: "used" };

/** @param {State} state @param {Player} player */
export function createMatrixPanel(state, player) {
  const { panel, head, note } = makePanel("tr-matrix", WORDS.matrixTitle);
  const search = make("input", "tr-search");
  search.type = "search";
  search.placeholder = WORDS.search;
  search.setAttribute("aria-label", WORDS.search);
  search.autocomplete = "off";
  search.spellcheck = false;
  head.append(search);
  const scroller = make("div", "tr-matrix-scroll");
  scroller.tabIndex = 0;
  scroller.setAttribute("role", "group");
  scroller.setAttribute("aria-label", WORDS.matrixTitle);
  const table = make("div", "tr-rows");
  const nothing = make("p", "tr-nothing");
  scroller.append(table, nothing);
  const foot = make("div", "tr-foot");
  const legend = make("div", "tr-legend");
  const fill = make("span", "tr-fill");
  const fillBar = make("span", "tr-fill-bar");
  const fillPart = make("span", "tr-fill-part");
  const fillText = make("span", "");
  fillBar.append(fillPart);
  fill.append(fillBar, fillText);
  foot.append(legend, fill);
  const lost = createLostRows(state, player);
  panel.append(scroller, lost.element, foot);

  /** @type {Line[]} */
  let lines = [];
  /** @type {Line[]} */
  const spare = [];
  /** @type {Step | null} */
  let step = null;
  let after = false;
  let filter = "";
  /** @type {HTMLElement[]} */
  let marked = [];

  /** @param {number} k @returns {Line} */
  function makeLine(k) {
    const line = make("div", "tr-row");
    const name = make("span", "tr-row-name");
    const cells = Array.from({ length: k }, (_, rank) => {
      const cell = make("span", "tr-cell");
      cell.dataset.cell = String(rank);
      return cell;
    });
    const evicted = make("span", "tr-evicted");
    line.append(name, ...cells, evicted);
    return { line, head: name, cells, evicted, row: /** @type {any} */ (null) };
  }

  /** @param {Run} run @param {Step} shown */
  function fillRows(run, shown) {
    const k = Math.max(0, ...shown.rows.map((row) => row.c.length));
    table.style.setProperty("--tr-k", String(k));
    if (lines.length && lines[0].cells.length !== k) {
      lines = [];
      spare.length = 0;
      table.replaceChildren();
    }
    while (lines.length > shown.rows.length) {
      const line = /** @type {Line} */ (lines.pop());
      line.line.remove();
      spare.push(line);
    }
    while (lines.length < shown.rows.length) {
      const line = spare.pop() ?? makeLine(k);
      table.append(line.line);
      lines.push(line);
    }
    // By token, not by node: another node with the same token may have written the row.
    const pathTokens = new Set([0, ...shown.path].map((node) => shown.ids[node]));
    shown.rows.forEach((row, i) => fillLine(lines[i], run, shown, row, pathTokens));
  }

  /**
   * @param {Line} line
   * @param {Run} run
   * @param {Step} shown
   * @param {Row} row
   * @param {Set<number>} pathTokens
   */
  function fillLine(line, run, shown, row, pathTokens) {
    line.row = row;
    line.line.dataset.row = String(row.t);
    line.line.classList.toggle("tr-row-path", pathTokens.has(row.t));
    setText(line.head, clip(tokenOf(run, row.t).label, NAME_LETTERS));
    const content = after ? rowAfter(shown, row) : row.b;
    line.cells.forEach((cell, rank) => {
      const id = content[rank];
      cell.dataset.change = CHANGE_OF[row.c[rank]] ?? "kept";
      const mark = after ? undefined : MARKS[/** @type {"d" | "a"} */ (row.u?.[rank])];
      cell.className = mark
        ? `tr-cell tr-cell-${mark}`
        : id === undefined
          ? "tr-cell tr-cell-empty"
          : "tr-cell";
      setText(cell, id === undefined ? "" : clip(tokenOf(run, id).label, CELL_LETTERS));
    });
    const gone = after ? (row.e ?? []) : [];
    setText(
      line.evicted,
      gone.length ? clip(gone.map((id) => tokenOf(run, id).label).join(" "), NAME_LETTERS) : "",
    );
    line.evicted.classList.toggle("tr-first-time", !after && !row.b.length);
    if (!after && !row.b.length) setText(line.evicted, WORDS.neverWritten);
  }

  function applyFilter() {
    const wanted = filter.trim().toLowerCase();
    let count = 0;
    for (const line of lines) {
      const fits = !wanted || matches(line.row, wanted);
      line.line.hidden = !fits;
      if (fits) count += 1;
    }
    return count;
  }

  /** @param {Row} row @param {string} wanted */
  function matches(row, wanted) {
    const run = /** @type {Run} */ (state.run);
    const ids = [row.t, ...row.b, ...rowAfter(/** @type {Step} */ (step), row)];
    return ids.some((id) => {
      const token = tokenOf(run, id);
      return (
        token.text.toLowerCase().includes(wanted) ||
        token.full.toLowerCase().includes(wanted) ||
        String(id) === wanted
      );
    });
  }

  function drawLegend() {
    if (!step) return legend.replaceChildren();
    const words = after
      ? Object.entries(WORDS.change)
      : [
          ["drafted", WORDS.drafted],
          ["used", WORDS.used],
        ];
    const keys = words.map(([kind, word]) => make("span", `tr-swatch tr-swatch-${kind}`, word));
    if (after) keys.push(make("span", "tr-swatch tr-evicted", WORDS.evicted));
    legend.replaceChildren(...keys);
  }

  /** @param {EventTarget | null} target @returns {Line | undefined} */
  function lineAt(target) {
    const row = target instanceof Element ? target.closest(".tr-row") : null;
    return lines.find((line) => line.line === row);
  }

  /** @param {EventTarget | null} target @returns {number | null} */
  function rankAt(target) {
    const cell = target instanceof Element ? target.closest(".tr-cell") : null;
    return cell instanceof HTMLElement ? Number(cell.dataset.cell) : null;
  }

  search.addEventListener("input", () => player.setFilter(search.value));
  table.addEventListener("click", (event) => {
    const line = lineAt(event.target);
    if (line) player.select(line.row.n);
  });
  table.addEventListener("pointerover", (event) => {
    const line = lineAt(event.target);
    if (!line || !step || !state.run) return player.point(null);
    const rank = rankAt(event.target);
    describe(line, rank);
    player.point({ nodes: nodesOf(step, line.row, rank), row: line.row.t, rank });
  });
  table.addEventListener("pointerleave", () => player.point(null));

  /** Nodes that hold the row's token; for a cell, those that were drafted out of it. */
  function nodesOf(
    /** @type {Step} */ shown,
    /** @type {Row} */ row,
    /** @type {number | null} */ rank,
  ) {
    const nodes = shown.ids.map((_, n) => n).filter((n) => shown.status[n] !== "u");
    const cell = rank === null ? undefined : (after ? rowAfter(shown, row) : row.b)[rank];
    const drafted = nodes.filter(
      (n) => n && shown.ids[shown.parents[n]] === row.t && shown.ids[n] === cell,
    );
    return drafted.length ? drafted : nodes.filter((n) => shown.ids[n] === row.t);
  }

  /** @param {Line} line @param {number | null} rank */
  function describe(line, rank) {
    const run = /** @type {Run} */ (state.run);
    if (rank === null) {
      const gone = line.row.e ?? [];
      line.head.title = WORDS.rowHint(tokenOf(run, line.row.t).full, line.row.t, line.row.n);
      line.evicted.title =
        after && gone.length ? WORDS.evictedHint(gone.map((id) => tokenOf(run, id).full)) : "";
      return;
    }
    const id = (after ? rowAfter(/** @type {Step} */ (step), line.row) : line.row.b)[rank];
    const mark = MARKS[/** @type {"d" | "a"} */ (line.row.u?.[rank])];
    const change = /** @type {keyof typeof WORDS.change} */ (line.cells[rank].dataset.change);
    const what = after
      ? WORDS.change[change]
      : mark
        ? WORDS[/** @type {"drafted" | "used"} */ (mark)]
        : "";
    line.cells[rank].title =
      id === undefined ? WORDS.neverWritten : WORDS.cellHint(tokenOf(run, id).full, id, rank, what);
  }

  function highlight() {
    const shown = /** @type {Step} */ (step);
    for (const element of marked) element.classList.remove("tr-hot", "tr-chosen");
    const node = state.selected ?? BONUS_NODE;
    const chosen =
      node === BONUS_NODE
        ? undefined
        : lines.find((line) => line.row.t === shown.ids[node] && shown.status[node] !== "u");
    const hot = state.hover && lines.find((line) => line.row.t === state.hover?.row);
    // The cell that the node pointed at came out of, in its parent's row.
    const [pointed] = state.hover?.nodes ?? [];
    const from =
      pointed > 0 && shown.status[pointed] !== "u"
        ? lines.find((line) => line.row.t === shown.ids[shown.parents[pointed]])
        : null;
    const origin = after ? null : from?.cells[from.row.b.indexOf(shown.ids[pointed])];
    chosen?.line.classList.add("tr-chosen");
    hot?.line.classList.add("tr-hot");
    origin?.classList.add("tr-hot");
    marked = [chosen?.line, hot?.line, origin].filter((element) => element instanceof HTMLElement);
    return chosen;
  }

  /** @type {number | null} */
  let followed = null;

  return {
    element: panel,
    draw() {
      const next = state.run?.steps[state.step - 1] ?? null;
      const nowAfter = state.phase === "recycle";
      const turned = next !== step || nowAfter !== after;
      if (search.value !== state.filter) search.value = state.filter;
      lost.draw();
      if (turned) {
        step = next;
        after = nowAfter;
        fillRows(
          /** @type {Run} */ (state.run),
          next ?? /** @type {any} */ ({ rows: [], path: [], ids: [] }),
        );
        drawLegend();
        const rows = next?.rows.length ?? 0;
        setText(note, next ? (after ? WORDS.matrixHead : WORDS.matrixHeadBefore)(rows) : "");
      }
      if (turned || filter !== state.filter) {
        filter = state.filter;
        const count = applyFilter();
        nothing.hidden = count > 0;
        setText(
          nothing,
          !next
            ? ""
            : lines.length
              ? WORDS.matrixNoMatch
              : state.run?.info.k
                ? WORDS.matrixUntouched
                : WORDS.matrixNone,
        );
      }
      if (turned) drawFill();
      if (!step) return;
      const chosen = highlight();
      if (state.selected !== followed) {
        followed = state.selected;
        if (chosen && followed !== null) keepInView(chosen.line);
      }
    },
  };

  function drawFill() {
    const run = state.run;
    fill.hidden = !run || !run.info.k;
    if (!run) return;
    const seen = run.rowsSeen[state.step - (after ? 1 : 2)] ?? run.info.rows_seen;
    setText(fillText, WORDS.fill(seen, run.info.vocab));
    fillPart.style.width = `${(100 * seen) / run.info.vocab}%`;
  }

  /** @param {HTMLElement} line */
  function keepInView(line) {
    const [top, bottom] = [line.offsetTop, line.offsetTop + line.offsetHeight];
    if (top < scroller.scrollTop) scroller.scrollTop = top - 4;
    else if (bottom > scroller.scrollTop + scroller.clientHeight)
      scroller.scrollTop = bottom - scroller.clientHeight + 4;
  }
}
