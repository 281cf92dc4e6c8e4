// @ts-check
/**
 * The shapes of the tree: chips and edges, made once per shape of tree and refilled with every
 * step. How they look in each phase is the style sheet's business; it reads data-status here and
 * data-phase at the root.
 */

import { clip, makeSvg, setText } from "../kit/dom.js";
import { BONUS_NODE, STATUS_OF, lineage, pathEnd, tokenOf } from "../state/records.js";
import { sourceOf } from "../state/sources.js";
import { WORDS } from "../words/words.js";
import { ROW_HEIGHT } from "./treeview.js";

/**
 * @typedef {import("../state/records.js").Step} Step
 * @typedef {import("../state/records.js").Run} Run
 * @typedef {object} Chip
 * @property {SVGGElement} group
 * @property {SVGTitleElement} title
 * @property {SVGRectElement} rect
 * @property {SVGTextElement} label
 * @property {SVGTextElement} rank
 * @property {SVGTextElement} choice
 * @property {SVGTextElement} source
 */

const CHIP_HEIGHT = 12;
/** Room between the columns: for edges, ranks, and the model's choices. */
const GAP = 34;
const CHOICE_LETTERS = 5;
const BEND = 4;

/** @param {number[]} a @param {number[]} b */
function sameNumbers(a, b) {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}

/**
 * @param {{mini?: boolean}} [options] a mini is one of several and only looked at: its verdict
 *   always shows, and its nodes do not count among those of the tree that the page is about
 */
export function createTreeShapes({ mini = false } = {}) {
  const svg = makeSvg("svg", { class: "tr-shapes", role: "img" });
  const edgeLayer = makeSvg("g");
  const lines = makeSvg("g");
  const nodeLayer = makeSvg("g");
  const pathLine = makeSvg("path", { class: "tr-line-path" });
  const bonusLine = makeSvg("path", { class: "tr-line-bonus" });
  const hoverLine = makeSvg("path", { class: "tr-line-hover" });
  lines.append(hoverLine, pathLine, bonusLine);
  svg.append(edgeLayer, lines, nodeLayer);

  const bonus = makeChip("tr-node tr-bonus-node");
  /** @type {Chip[]} */
  let chips = [];
  /** @type {SVGPathElement[]} */
  let edges = [];
  /** @type {{parents: number[], ranks: number[]} | null} */
  let shape = null;
  /** @type {SVGGElement[]} */
  let marked = [];
  /** Widths at scale 1: of a chip, and from column to column. */
  let width = 0;
  let pitch = 0;

  /** Make the elements of another shape of tree. @param {Step} step */
  function build(step) {
    chips = step.ids.map(() => makeChip("tr-node"));
    edges = step.ids.map(() => makeSvg("path", { class: "tr-edge" }));
    const levels = step.counts.map((_, depth) => {
      const pair = [makeSvg("g", { class: "tr-level" }), makeSvg("g", { class: "tr-level" })];
      for (const group of pair) group.style.setProperty("--tr-depth", String(depth));
      return pair;
    });
    chips.forEach((chip, node) => {
      if (!mini) chip.group.dataset.node = String(node);
      setText(chip.rank, node ? String(step.ranks[node]) : "");
      levels[step.x[node]][1].append(chip.group);
      if (node) levels[step.x[node]][0].append(edges[node]);
    });
    edgeLayer.replaceChildren(...levels.map((pair) => pair[0]));
    nodeLayer.replaceChildren(...levels.map((pair) => pair[1]), bonus.group);
    shape = { parents: step.parents, ranks: step.ranks };
    marked = [];
  }

  /** Middle of the left side of a chip. @param {Step} step @param {number} node */
  function spot(step, node) {
    const [x, y] =
      node === BONUS_NODE
        ? /** @type {[number, number]} */ (step.at)
        : [step.x[node], step.y[node]];
    return { x: x * pitch + 8, y: (y + 1.5) * ROW_HEIGHT };
  }

  /** From a chip's right side to another's left side, in right angles. */
  function elbow(
    /** @type {Step} */ step,
    /** @type {number} */ from,
    /** @type {number} */ to,
    side = 0,
  ) {
    const a = spot(step, from);
    const b = spot(step, to);
    const start = a.x + width;
    if (a.y === b.y) return `M${start} ${a.y}H${b.x}`;
    const turn = start + 9 + side;
    const bend = Math.sign(b.y - a.y) * Math.min(BEND, Math.abs(b.y - a.y) / 2);
    const down = `M${start} ${a.y}H${turn - BEND}Q${turn} ${a.y} ${turn} ${a.y + bend}`;
    return `${down}V${b.y - bend}Q${turn} ${b.y} ${turn + BEND} ${b.y}H${b.x}`;
  }

  /** @param {Chip} chip @param {{x: number, y: number}} at */
  function put(chip, at) {
    chip.group.setAttribute("transform", `translate(${at.x} ${at.y})`);
    chip.rect.setAttribute("width", String(width));
    chip.label.setAttribute("x", String(width / 2));
    chip.choice.setAttribute("x", String(width + 3));
    chip.source.setAttribute("x", String(width + 2));
  }

  return {
    element: svg,

    /**
     * Show a step's tokens and verdicts.
     * @param {Step} step
     * @param {Run} run
     * @returns {boolean} whether the shape is another
     */
    fill(step, run) {
      const reshaped =
        !shape ||
        !sameNumbers(shape.parents, step.parents) ||
        !sameNumbers(shape.ranks, step.ranks);
      if (reshaped) build(step);
      chips.forEach((chip, node) => {
        const status = STATUS_OF[step.status[node]];
        if (mini) chip.group.setAttribute("class", `tr-node tr-mini-${status}`);
        else chip.group.dataset.status = status;
        const source = step.src && !mini ? sourceOf(step, node) : null;
        chip.group.dataset.source = source?.name ?? "";
        setText(chip.source, source ? WORDS.sourceMarks[source.name] : "");
        const agrees =
          node > 0 && status !== "unseen" && step.ids[node] === step.choices[step.parents[node]];
        chip.group.classList.toggle("tr-agrees", agrees);
        chip.group.classList.remove("tr-met");
        if (agrees) chips[step.parents[node]].group.classList.add("tr-met");
        setText(chip.label, status === "unseen" ? "" : tokenOf(run, step.ids[node]).label);
        setText(
          chip.choice,
          status === "unseen"
            ? ""
            : `→${clip(tokenOf(run, step.choices[node]).label, CHOICE_LETTERS)}`,
        );
        edges[node].classList.toggle("tr-edge-unseen", status === "unseen");
      });
      const free = step.bonus !== null;
      bonus.group.toggleAttribute("data-bonus", free && !mini);
      bonus.group.style.display = free ? "" : "none";
      if (free)
        setText(
          bonus.label,
          `★ ${clip(tokenOf(run, /** @type {number} */ (step.bonus)).label, 8)}`,
        );
      return reshaped;
    },

    /** Put everything in its place. @param {Step} step @param {number} column width of a column */
    place(step, column) {
      pitch = column;
      width = column - GAP;
      chips.forEach((chip, node) => {
        put(chip, spot(step, node));
        if (node) edges[node].setAttribute("d", elbow(step, step.parents[node], node));
      });
      this.placePath(step);
    },

    /** Put in place what moves with each step: the path and the bonus. @param {Step} step */
    placePath(step) {
      const nodes = [0, ...step.path];
      pathLine.setAttribute("d", step.path.map((node, i) => elbow(step, nodes[i], node)).join(""));
      bonusLine.setAttribute("d", step.at ? elbow(step, pathEnd(step), BONUS_NODE, 3) : "");
      if (step.at) put(bonus, spot(step, BONUS_NODE));
    },

    /** @param {number} w @param {number} h in units at scale 1 @param {number} scale */
    resize(w, h, scale) {
      svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
      svg.setAttribute("width", String(w * scale));
      svg.setAttribute("height", String(h * scale));
    },

    /** Mark the selected node, the nodes pointed at, and the way to the first of them. */
    highlight(
      /** @type {Step} */ step,
      /** @type {number | null} */ selected,
      /** @type {number[]} */ pointed,
    ) {
      const wanted = pointed
        .map((node) => chipOf(node)?.group)
        .filter((group) => group !== undefined);
      const chosen = selected === null ? undefined : chipOf(selected)?.group;
      for (const group of marked) group.classList.remove("tr-hot", "tr-chosen", "tr-on-way");
      for (const group of wanted) group.classList.add("tr-hot");
      chosen?.classList.add("tr-chosen");
      const way = pointed.length && pointed[0] !== BONUS_NODE ? lineage(step, pointed[0]) : [];
      const above = way.slice(0, -1).map((node) => chips[node].group);
      for (const group of above) group.classList.add("tr-on-way");
      marked = [...wanted, ...above, ...(chosen ? [chosen] : [])];
      hoverLine.setAttribute(
        "d",
        way
          .slice(1)
          .map((node, i) => elbow(step, way[i], node))
          .join(""),
      );
    },

    /** @param {EventTarget | null} target @returns {number | null} */
    nodeAt(target) {
      const group = target instanceof Element ? target.closest(".tr-node") : null;
      if (!(group instanceof SVGGElement)) return null;
      return group === bonus.group ? BONUS_NODE : Number(group.dataset.node);
    },

    /**
     * Set the words that appear when the pointer rests on a node.
     * @param {number} node
     * @param {string} words
     */
    describe(node, words) {
      const chip = chipOf(node);
      if (chip) setText(chip.title, words);
    },

    clear() {
      shape = null;
      chips = [];
      edges = [];
      edgeLayer.replaceChildren();
      nodeLayer.replaceChildren();
      for (const line of [pathLine, bonusLine, hoverLine]) line.setAttribute("d", "");
    },
  };

  /** @param {number} node @returns {Chip | undefined} */
  function chipOf(node) {
    return node === BONUS_NODE ? bonus : chips[node];
  }
}

/** @param {string} className @returns {Chip} */
function makeChip(className) {
  const group = makeSvg("g", { class: className });
  const title = makeSvg("title");
  const rect = makeSvg("rect", {
    class: "tr-chip",
    y: -CHIP_HEIGHT / 2,
    height: CHIP_HEIGHT,
    rx: CHIP_HEIGHT / 2,
  });
  const label = makeSvg("text", { class: "tr-label", dy: "0.34em" });
  const rank = makeSvg("text", { class: "tr-rank", x: -3, dy: "-0.15em" });
  const choice = makeSvg("text", { class: "tr-choice", dy: "0.34em" });
  const source = makeSvg("text", { class: "tr-source-mark", dy: "-0.1em" });
  group.append(title, rect, label, rank, choice, source);
  return { group, title, rect, label, rank, choice, source };
}
