// @ts-check
/**
 * The attention panel: which tokens each token of the pass may look at. One path for all cells, so
 * any tree is cheap.
 */

import { clip, make, makeSvg, setText } from "../kit/dom.js";
import { isJudged, shownNode } from "../state/player.js";
import { BONUS_NODE, lineage, pathEnd, tokenOf } from "../state/records.js";
import { WORDS } from "../words/words.js";

/**
 * @typedef {import("../state/records.js").Step} Step
 * @typedef {import("../state/records.js").Run} Run
 * @typedef {import("../state/player.js").State} State
 * @typedef {import("../state/player.js").Player} Player
 */

/**
 * Pixels: left of the mask stand positions, then the brackets of siblings; the prefix is one block,
 * however long.
 */
const POSITIONS = 46;
const BRACKETS = 12;
const PREFIX = 64;
const PREFIX_GAP = 5;
const HEAD = 20;
const TAIL = 14;
const TALLEST_MASK = 470;
const [SMALLEST_CELL, LARGEST_CELL] = [2.5, 18];
/** Positions closer than this are not all written. */
const POSITION_LINE = 11;
const NAMED = 18;

/** @param {State} state @param {Player} player @returns {import("../frame/tabs.js").Panel} */
export function createAttentionPanel(state, player) {
  const element = make("div", "tr-attention");
  const window = make("div", "tr-mask-window");
  window.tabIndex = 0;
  window.setAttribute("role", "group");
  window.setAttribute("aria-label", WORDS.maskHint);
  const svg = makeSvg("svg", { class: "tr-mask", role: "img" });
  const layers = {
    ground: makeSvg("path", { class: "tr-mask-ground" }),
    prefix: makeSvg("rect", { class: "tr-mask-prefix" }),
    seen: makeSvg("path", { class: "tr-mask-seen" }),
    unseen: makeSvg("path", { class: "tr-mask-unseen" }),
    self: makeSvg("path", { class: "tr-mask-self" }),
    brackets: makeSvg("path", { class: "tr-mask-bracket" }),
    kept: makeSvg("path", { class: "tr-mask-kept" }),
    band: makeSvg("path", { class: "tr-mask-band" }),
    lit: makeSvg("path", { class: "tr-mask-lit" }),
  };
  const positions = makeSvg("g", { class: "tr-mask-positions" });
  const heads = makeSvg("g", { class: "tr-mask-heads" });
  svg.append(...Object.values(layers), positions, heads);
  window.append(svg);
  const side = make("div", "tr-mask-side");
  const lead = make("p", "tr-panel-lead");
  const subject = make("p", "tr-mask-subject");
  const sees = make("p", "");
  const shares = make("p", "");
  const said = make("div", "tr-mask-said");
  said.setAttribute("aria-live", "polite");
  said.append(subject, sees, shares);
  side.append(said, lead, makeMaskLegend());
  element.append(window, side);

  /** @type {Step | null} */
  let step = null;
  let drawn = "";
  let described = "";
  let cell = 0;
  let width = 0;
  const left = POSITIONS + BRACKETS;
  const tree = left + PREFIX + PREFIX_GAP;

  const y = (/** @type {number} */ node) => HEAD + node * cell;
  const x = (/** @type {number} */ node) => tree + node * cell;
  const square = (/** @type {number} */ row, /** @type {number} */ column) =>
    `M${x(column).toFixed(1)} ${y(row).toFixed(1)}h${cell}v${cell}h${-cell}z`;

  /** @param {Step} shown */
  function drawMask(shown) {
    const count = shown.ids.length;
    const room = Math.max(60, width - tree - TAIL - 2);
    cell = Math.max(SMALLEST_CELL, Math.min(LARGEST_CELL, TALLEST_MASK / count, room / count));
    const size = count * cell;
    for (const [name, value] of Object.entries({
      width: tree + size + TAIL,
      height: HEAD + size + 2,
    }))
      svg.setAttribute(name, String(value));
    layers.ground.setAttribute("d", `M${tree} ${HEAD}h${size}v${size}h${-size}z`);
    for (const [name, value] of Object.entries({ x: left, y: HEAD, width: PREFIX, height: size }))
      layers.prefix.setAttribute(name, String(value));
    const cells = { seen: "", unseen: "", self: "" };
    shown.ids.forEach((_, node) => {
      const which = shown.status[node] === "u" ? "unseen" : "seen";
      for (const above of lineage(shown, node))
        cells[above === node ? "self" : which] += square(node, above);
    });
    for (const [name, d] of Object.entries(cells))
      layers[/** @type {keyof typeof layers} */ (name)].setAttribute("d", d);
    drawEdge(shown);
    heads.replaceChildren(
      maskText(WORDS.maskPrefix(shown.committed - 1), left + PREFIX / 2, HEAD - 7, "middle"),
      maskText(WORDS.maskTree(count), tree, HEAD - 7, "start"),
    );
    svg.setAttribute("aria-label", WORDS.maskWords(count, shown.committed - 1, countPairs(shown)));
  }

  /**
   * Positions, one for all nodes of a depth, and a bracket around the children of one node.
   * @param {Step} shown
   */
  function drawEdge(shown) {
    const labels = [];
    let brackets = "";
    let written = -Infinity;
    /**
     * @param {(node: number) => number} keyOf
     * @param {(first: number, last: number) => void} draw
     */
    const groups = (keyOf, draw) => {
      for (let first = 0, node = 1; node <= shown.ids.length; node++) {
        if (node < shown.ids.length && keyOf(node) === keyOf(first)) continue;
        draw(first, node - 1);
        first = node;
      }
    };
    const bracket = (
      /** @type {number} */ at,
      /** @type {number} */ first,
      /** @type {number} */ last,
    ) => {
      const inset = Math.min(1, cell / 4);
      brackets += `M${at + 4} ${y(first) + inset}h-4V${y(last + 1) - inset}h4`;
    };
    groups(
      (node) => shown.x[node],
      (first, last) => {
        bracket(POSITIONS - 6, first, last);
        const middle = (y(first) + y(last + 1)) / 2 + 4;
        if (middle - written < POSITION_LINE) return;
        written = middle;
        labels.push(
          maskText(String(shown.committed - 1 + shown.x[first]), POSITIONS - 10, middle, "end"),
        );
      },
    );
    groups(
      (node) => shown.parents[node],
      (first, last) => {
        if (last > first) bracket(POSITIONS + 4, first, last);
      },
    );
    labels.push(maskText(WORDS.maskPosition, POSITIONS - 6, HEAD - 7, "end"));
    positions.replaceChildren(...labels);
    layers.brackets.setAttribute("d", brackets);
  }

  /**
   * Rows that are pointed at, or the one chosen, and what they see.
   * @param {Run} run
   * @param {Step} shown
   */
  function light(run, shown) {
    const chosen = state.selected ?? shownNode(state);
    const node = chosen === BONUS_NODE ? pathEnd(shown) : chosen;
    const pointed = (state.hover?.nodes ?? []).filter((n) => n !== BONUS_NODE);
    const above = new Set(pointed.length ? lineage(shown, pointed[0]).slice(0, -1) : []);
    const rows = pointed.length ? pointed.filter((n) => !above.has(n)) : [node];
    const right = tree + shown.ids.length * cell;
    layers.band.setAttribute(
      "d",
      rows.map((n) => `M${left} ${y(n)}H${right}v${cell}H${left}z`).join(""),
    );
    layers.lit.setAttribute(
      "d",
      rows
        .map((n) =>
          lineage(shown, n)
            .map((m) => square(n, m))
            .join(""),
        )
        .join(""),
    );
    layers.kept.setAttribute(
      "d",
      isJudged(state)
        ? [0, ...shown.path].map((n) => dot(right + 7, y(n) + cell / 2)).join("")
        : "",
    );
    describe(run, shown, rows[0]);
  }

  /** @param {Run} run @param {Step} shown @param {number} node */
  function describe(run, shown, node) {
    const key = `${run.id} ${shown.index} ${node}`;
    if (described === key) return;
    described = key;
    const name = (/** @type {number} */ n) =>
      shown.status[n] === "u"
        ? WORDS.status.unseen
        : `“${clip(tokenOf(run, shown.ids[n]).full, NAMED)}”`;
    const position = shown.committed - 1 + shown.x[node];
    const level = shown.ids.filter((_, n) => n !== node && shown.x[n] === shown.x[node]).length;
    const siblings = shown.ids.filter(
      (_, n) => n !== node && node && shown.parents[n] === shown.parents[node],
    ).length;
    setText(subject, WORDS.maskSubject(node, name(node), position));
    setText(sees, WORDS.maskSees(shown.committed - 1, lineage(shown, node).slice(0, -1).map(name)));
    setText(
      shares,
      level ? WORDS.maskShares(position, level, siblings) : WORDS.maskAlone(position),
    );
  }

  svg.addEventListener("pointermove", (event) => {
    if (!step) return;
    const box = svg.getBoundingClientRect();
    const node = Math.floor((event.clientY - box.top - HEAD) / cell);
    if (node < 0 || node >= step.ids.length) return player.point(null);
    if (state.hover?.nodes[0] === node) return;
    player.point({ nodes: lineage(step, node).reverse(), row: step.ids[node], rank: null });
  });
  svg.addEventListener("pointerleave", () => player.point(null));
  svg.addEventListener("click", () => player.select(state.hover?.nodes[0] ?? null));
  window.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    player.shiftNode(by);
  });
  const watcher = new ResizeObserver(() => {
    width = window.clientWidth;
    if (step && !element.hidden) player.refresh();
  });
  watcher.observe(window);

  return {
    title: WORDS.attentionTitle,
    element,
    draw() {
      const run = /** @type {Run} */ (state.run);
      step = run.steps[state.step - 1] ?? null;
      if (!step || !width) return;
      const key = `${run.id} ${state.step} ${width}`;
      if (key !== drawn) {
        drawn = key;
        drawMask(step);
        setText(lead, WORDS.maskWords(step.ids.length, step.committed - 1, countPairs(step)));
      }
      light(run, step);
    },
    destroy: () => watcher.disconnect(),
  };
}

/** Pairs of the tree that are open. @param {Step} step */
function countPairs(step) {
  return step.x.reduce((sum, depth) => sum + depth + 1, 0);
}

/** @param {string} words @param {number} x @param {number} y @param {string} anchor */
function maskText(words, x, y, anchor) {
  const element = makeSvg("text", { x, y, "text-anchor": anchor });
  element.textContent = words;
  return element;
}

/** @param {number} x @param {number} y */
function dot(x, y) {
  return `M${x - 3} ${y}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0`;
}

function makeMaskLegend() {
  const legend = make("ul", "tr-mask-legend");
  for (const [kind, words] of Object.entries(WORDS.maskLegend)) {
    const item = make("li", "", words);
    const swatch = makeSvg("svg", { width: 14, height: 12, "aria-hidden": "true" });
    const d =
      {
        bracket: "M9 1h-4v10h4",
        kept: dot(7, 6),
        prefix: "M1 1h12v10h-12z",
        band: "M1 1h12v10h-12z",
      }[kind] ?? "M2 1h10v10h-10z";
    swatch.append(makeSvg("path", { class: `tr-mask-${kind}`, d }));
    item.prepend(swatch);
    legend.append(item);
  }
  return legend;
}
