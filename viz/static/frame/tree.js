// @ts-check
/** The tree panel: what it says and how it is pointed at. Its shapes are drawn in treeshapes.js. */

import { clip, make, makeButton, makePanel, makeSvg, setText } from "../kit/dom.js";
import { asPng, asSvgText, download } from "../kit/picture.js";
import { PHASES, isJudged } from "../state/player.js";
import { BONUS_NODE, STATUS_OF, draftedIn, pathEnd, tokenOf } from "../state/records.js";
import { WORDS } from "../words/words.js";
import { createTreeShapes } from "./treeshapes.js";
import { ROW_HEIGHT, createZoom, fitTree, sizesAt } from "./treeview.js";

/**
 * @typedef {import("../state/records.js").Step} Step
 * @typedef {import("../state/player.js").State} State
 * @typedef {import("../state/player.js").Player} Player
 */

/** Rows above and below the tree that a bonus may need. */
const SPARE_ROWS = 2;

/** @param {State} state @param {Player} player */
export function createTreePanel(state, player) {
  const { panel, head, note } = makePanel("tr-tree", WORDS.treeTitle);
  const phases = make("div", "tr-phases");
  phases.setAttribute("role", "group");
  phases.setAttribute("aria-label", WORDS.phaseGroup);
  const phaseButtons = PHASES.map((phase) => {
    const button = makeButton(
      "tr-phase",
      WORDS.phases[/** @type {keyof typeof WORDS.phases} */ (phase)],
    );
    button.title = WORDS.phaseHints[/** @type {keyof typeof WORDS.phaseHints} */ (phase)];
    button.addEventListener("click", () => player.setPhase(phase));
    phases.append(button);
    return button;
  });
  head.append(phases);

  const scroller = make("div", "tr-tree-scroll");
  scroller.tabIndex = 0;
  scroller.setAttribute("role", "group");
  scroller.setAttribute("aria-label", WORDS.treeTitle);
  scroller.dataset.waiting = WORDS.reading;
  const inner = make("div", "tr-tree-inner");
  const heads = make("div", "tr-columns");
  const shapes = createTreeShapes();
  inner.append(heads, shapes.element);
  scroller.append(inner);

  const foot = make("div", "tr-foot");
  foot.append(makeLegend());
  const zoomOut = makeButton("tr-tool", WORDS.zoomOut, "M3 8h10");
  const zoomIn = makeButton("tr-tool", WORDS.zoomIn, "M3 8h10M8 3v10");
  const fit = makeButton("tr-tool tr-fit", WORDS.fit);
  fit.title = WORDS.fitHint;
  const tools = make("div", "tr-tools");
  tools.append(...["SVG", "PNG"].map(makeSave), zoomOut, zoomIn, fit);
  tools.title = WORDS.zoomHint;
  foot.append(tools);
  panel.append(scroller, foot);

  /** @type {import("../state/records.js").Run | null} */
  let run = null;
  /** @type {Step | null} */
  let step = null;
  /**
   * How the scale was chosen: for reading, to see it all, or by hand.
   * @type {"read" | "whole" | "hand"}
   */
  let mode = "read";
  let scale = 1;
  let column = 100;
  let rows = 0;
  let columns = 0;
  let unsettled = false;

  /**
   * Take the scale and width of columns; places everything again if the latter changed.
   * @param {boolean} [again]
   */
  function refit(again = false) {
    if (!step || !scroller.clientWidth) return;
    if (mode !== "hand") {
      const room = {
        width: scroller.clientWidth - 4,
        height: scroller.clientHeight - heads.offsetHeight - 4,
      };
      const fitted = fitTree({ columns, rows }, room, mode === "whole", sizesAt(panel));
      scale = fitted.scale;
      again ||= fitted.column !== column;
      column = fitted.column;
    }
    if (again) shapes.place(step, column);
    resize();
  }

  function resize() {
    shapes.resize(columns * column, rows * ROW_HEIGHT, scale);
    inner.style.width = `${columns * column * scale}px`;
    panel.classList.toggle("tr-far", scale < 0.5);
    heads.classList.remove("tr-narrow");
    heads.classList.toggle("tr-narrowest", column * scale < 20);
    [...heads.children].forEach((child, depth) => {
      if (child instanceof HTMLElement) {
        // As wide as a column, and above the middle of its nodes, which leave 18 between two
        // columns.
        child.style.left = `${(depth * column - 9) * scale}px`;
        child.style.width = `${column * scale}px`;
      }
    });
    // A count that is cut would be another number.
    heads.classList.toggle(
      "tr-narrow",
      [...heads.children].some((child) => child.scrollWidth > child.clientWidth),
    );
  }

  /** @param {string} format SVG or PNG */
  function makeSave(format) {
    const button = makeButton("tr-tool", format);
    button.setAttribute("aria-label", WORDS.saveAs(format));
    button.title = WORDS.saveHint(format);
    button.addEventListener("click", () =>
      save(format).catch(() => player.setError(WORDS.saveFailed)),
    );
    return button;
  }

  /** @param {string} format */
  async function save(format) {
    if (!step) return;
    const svg = asSvgText(
      shapes.element,
      getComputedStyle(panel).backgroundColor,
      note.textContent ?? "",
    );
    const { width, height } = shapes.element.getBoundingClientRect();
    const blob =
      format === "SVG"
        ? new Blob([svg], { type: "image/svg+xml" })
        : await asPng(svg, width, height);
    download(blob, `tree-step-${step.index}-${state.phase}.${format.toLowerCase()}`);
  }

  /** @param {Step} next */
  function drawHeads(next) {
    heads.replaceChildren(
      ...next.counts.map((count, depth) => {
        const name = make("span", "tr-column");
        name.append(
          make("span", "tr-depth", depth ? WORDS.depth(depth) : WORDS.root),
          make("span", "tr-count", String(count)),
        );
        return name;
      }),
    );
  }

  /** Keep the end of the path in the window of a tree too large for it. @param {Step} next */
  function followPath(next) {
    if (
      mode === "whole" ||
      (inner.offsetWidth <= scroller.clientWidth && inner.offsetHeight <= scroller.clientHeight)
    )
      return;
    const end = pathEnd(next);
    const x = next.x[end] * column * scale;
    const y = (next.y[end] + 1) * ROW_HEIGHT * scale;
    const reach = 1.9 * column * scale;
    if (x < scroller.scrollLeft || x + reach > scroller.scrollLeft + scroller.clientWidth) {
      scroller.scrollLeft = x + reach < scroller.clientWidth ? 0 : x + reach - scroller.clientWidth;
    }
    const room = scroller.clientHeight - heads.offsetHeight;
    if (y < scroller.scrollTop || y + 40 > scroller.scrollTop + room)
      scroller.scrollTop = y - room / 2;
  }

  const zoom = createZoom(
    scroller,
    () => scale,
    (next) => {
      mode = "hand";
      scale = next;
      resize();
    },
  );
  zoomIn.addEventListener("click", () => zoom.zoomBy(1.25));
  zoomOut.addEventListener("click", () => zoom.zoomBy(0.8));
  fit.addEventListener("click", () => {
    // Pressed again, a tree too large to be read as a whole goes back to where it can be.
    mode = mode === "whole" ? "read" : "whole";
    refit();
    if (mode === "read" && step) followPath(step);
  });
  const watcher = new ResizeObserver(() => refit());
  watcher.observe(scroller);

  shapes.element.addEventListener("pointerover", (event) => {
    const node = shapes.nodeAt(event.target);
    if (node === null || !step || !state.run) return player.point(null);
    shapes.describe(node, nodeHint(node));
    const id = node === BONUS_NODE ? step.bonus : step.ids[node];
    player.point({ nodes: [node], row: id, rank: null });
  });
  shapes.element.addEventListener("pointerleave", () => player.point(null));
  shapes.element.addEventListener("click", (event) => player.select(shapes.nodeAt(event.target)));

  /** @param {Step} shown */
  function headOf(shown) {
    const nodes = shown.ids.length - 1;
    if (state.phase === "verify") return WORDS.treeHeads.verify(shown.index, nodes);
    if (state.phase === "draft") return WORDS.treeHeads.draft(shown.index, draftedIn(shown), nodes);
    return WORDS.treeHead(shown.index, shown.path.length, draftedIn(shown), shown.bonus !== null);
  }

  /** @param {number} node */
  function nodeHint(node) {
    const shown = /** @type {Step} */ (step);
    const id = node === BONUS_NODE ? /** @type {number} */ (shown.bonus) : shown.ids[node];
    const status = node === BONUS_NODE ? "bonus" : STATUS_OF[shown.status[node]];
    const known = isJudged(state) || status === "root" || status === "unseen";
    const label = tokenOf(/** @type {import("../state/records.js").Run} */ (state.run), id).full;
    return WORDS.nodeHint(clip(label, 80), id, known ? WORDS.status[status] : WORDS.draftedNode);
  }

  return {
    element: panel,
    draw() {
      const next = state.run?.steps[state.step - 1] ?? null;
      phaseButtons.forEach((button, i) => {
        button.disabled = !next;
        button.setAttribute("aria-pressed", String(PHASES[i] === state.phase));
      });
      if (run !== state.run) mode = "read";
      run = state.run;
      if (next !== step) {
        step = next;
        if (!step || !state.run) {
          setText(note, "");
          shapes.clear();
          heads.replaceChildren();
          return;
        }
        const reshaped = shapes.fill(step, state.run);
        // A bonus after the deepest node needs a column more; where one step needs it all have it,
        // so nothing jumps.
        if (reshaped || state.run.reach !== columns) {
          columns = state.run.reach;
          rows = step.height + SPARE_ROWS;
          drawHeads(step);
          refit(true);
        } else {
          shapes.placePath(step);
        }
        unsettled = true;
      }
      if (step) {
        const words = headOf(step);
        setText(note, words);
        shapes.element.setAttribute("aria-label", `${WORDS.treeTitle}, ${words}`);
      }
      if (step) shapes.highlight(step, state.selected, state.hover?.nodes ?? []);
    },
    settle() {
      if (unsettled && step) followPath(step);
      unsettled = false;
    },
    destroy: () => watcher.disconnect(),
  };
}

function makeLegend() {
  const legend = make("div", "tr-legend");
  for (const [kind, words] of Object.entries(WORDS.legend)) {
    const item = make("span", `tr-key tr-key-${kind}`);
    if (kind !== "choice" && kind !== "agrees" && kind !== "rank" && kind !== "bonus") {
      const swatch = makeSvg("svg", { width: 24, height: 12, "aria-hidden": "true" });
      swatch.append(makeSvg("rect", { x: 1.5, y: 1.5, width: 21, height: 9, rx: 4.5 }));
      item.append(swatch);
    }
    if (kind === "rank") item.append(make("span", "tr-rank-sample", "0…7"));
    item.append(words);
    legend.append(item);
  }
  return legend;
}
