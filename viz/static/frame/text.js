// @ts-check
/** The text panel: the prompt, then the output, tinted by the step that emitted it. */

import { joinBytes } from "../state/bytes.js";
import { make, makePanel, setText } from "../kit/dom.js";
import { BONUS_NODE, tokenOf } from "../state/records.js";
import { sourceOf } from "../state/sources.js";
import { WORDS } from "../words/words.js";

/**
 * @typedef {import("../state/records.js").Run} Run
 * @typedef {import("../state/player.js").State} State
 * @typedef {import("../state/player.js").Player} Player
 * @typedef {{id: number, step: number, node: number}} Written a token of the output: its step (from
 *   1) and its node
 */

/** Pixels of a line, kept free above and below the step shown. */
const LINE = 24;

/** A prompt longer than this is folded to its last tokens. */
const PROMPT_SHOWN = 64;

/** A character that needs a mark: white space, a control, a direction mark, any without a shape. */
const SHAPELESS_ONE = String.raw`[\p{Z}\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}]`;
const SHAPELESS = new RegExp(`^${SHAPELESS_ONE}$`, "u");
/** Emoji that are joined by a character of that kind, and stay whole. */
const PICTURE = String.raw`\p{Extended_Pictographic}`;
const JOINED = String.raw`${PICTURE}(?:[\uFE0F\p{Emoji_Modifier}]?\u200D${PICTURE})+`;
const CUTS = new RegExp(`(${JOINED}|${SHAPELESS_ONE})`, "u");
const SPACE_CLASSES = new Map([
  [" ", "tr-space"],
  ["\n", "tr-break"],
  ["\t", "tr-tab"],
]);
const SPACE_MARKS = new Map([
  [" ", "·"],
  ["\n", "⏎"],
  ["\t", "⇥"],
]);

/**
 * Put text into an element with its white space marked; the marks are drawn by the style sheet over
 * the real characters, so that copied text is the text.
 * @param {Element} element
 * @param {string} text
 */
export function fillMarked(element, text) {
  const parts = text.split(CUTS).filter(Boolean);
  element.replaceChildren(
    ...parts.map((part) => {
      const mark = SPACE_MARKS.get(part);
      if (mark) {
        const space = make("span", SPACE_CLASSES.get(part) ?? "", part);
        space.dataset.mark = mark;
        return space;
      }
      if (!SHAPELESS.test(part)) return document.createTextNode(part);
      const code = /** @type {number} */ (part.codePointAt(0))
        .toString(16)
        .toUpperCase()
        .padStart(4, "0");
      return make("span", "tr-odd", `‹U+${code}›`);
    }),
  );
}

/** @param {State} state @param {Player} player */
export function createTextPanel(state, player) {
  const { panel, head } = makePanel("tr-text", WORDS.text);
  head.remove();
  const scroller = make("div", "tr-text-scroll");
  scroller.tabIndex = 0;
  scroller.setAttribute("role", "group");
  scroller.setAttribute("aria-label", WORDS.text);
  const fold = make("button", "tr-fold");
  fold.type = "button";
  const prompt = make("span", "tr-prompt");
  const output = make("span", "tr-output");
  const ending = make("span", "tr-end");
  scroller.append(fold, prompt, output, ending);
  panel.append(scroller);

  /** @type {Run | null} */
  let run = null;
  let unfolded = false;
  /** @type {{tokens: HTMLElement[], written: Written[], groups: HTMLElement[]}} */
  let drawn = { tokens: [], written: [], groups: [] };
  let shownStep = 0;
  let unsettled = false;
  /** @type {HTMLElement[]} */
  let hot = [];

  function drawPrompt() {
    const ids = run?.info.prompt ?? [];
    const hidden = Math.max(0, ids.length - PROMPT_SHOWN);
    fold.hidden = !hidden;
    fold.textContent = unfolded ? WORDS.promptUnfolded : WORDS.promptFolded(hidden);
    const from = unfolded ? 0 : hidden;
    const tokens = ids
      .slice(from)
      .map((/** @type {number} */ id) => tokenOf(/** @type {Run} */ (run), id));
    prompt.replaceChildren(
      ...joinBytes(tokens).map((text, i) => {
        const span = make("span", "tr-token");
        fillMarked(span, text);
        span.title = `“${tokens[i].full}” · id ${ids[from + i]}`;
        return span;
      }),
    );
  }

  /** Append what has been emitted since the last call. @param {Run} shown */
  function appendOutput(shown) {
    const before = drawn.written.length;
    for (let i = drawn.groups.length; i < shown.steps.length; i++) {
      const step = shown.steps[i];
      const group = make("span", i % 2 ? "tr-emit tr-tint" : "tr-emit");
      step.emitted.forEach((id, nth) => {
        const node = step.path[nth] ?? BONUS_NODE;
        const span = make("span", node === BONUS_NODE ? "tr-token tr-own" : "tr-token");
        span.dataset.at = String(drawn.written.length);
        const emittedBy = WORDS.emittedBy(step.index, node === BONUS_NODE);
        span.title = `“${tokenOf(shown, id).full}” · id ${id} · ${emittedBy}`;
        drawn.written.push({ id, step: i + 1, node });
        drawn.tokens.push(span);
        group.append(span);
      });
      drawn.groups.push(group);
      output.append(group);
    }
    if (drawn.written.length === before) return;
    // A character may begin in an earlier step and end in this one, so trailing bytes are read
    // again.
    let from = before;
    while (from > 0 && tokenOf(shown, drawn.written[from - 1].id).hex) from -= 1;
    const fresh = drawn.written.slice(from).map(({ id }) => tokenOf(shown, id));
    joinBytes(fresh).forEach((text, i) => {
      const span = drawn.tokens[from + i];
      fillMarked(span, text);
      span.classList.toggle("tr-joined", text === "");
    });
  }

  /** @param {number} step @param {number} from groups from here on are new */
  function moveTo(step, from) {
    drawn.groups[shownStep - 1]?.classList.remove("tr-now");
    for (let i = Math.min(step, shownStep); i < Math.max(step, shownStep); i++)
      drawn.groups[i].classList.toggle("tr-later", i >= step);
    for (let i = from; i < drawn.groups.length; i++)
      drawn.groups[i].classList.toggle("tr-later", i >= step);
    drawn.groups[step - 1]?.classList.add("tr-now");
    shownStep = step;
    unsettled = true;
  }

  /** Scroll the panel, and only the panel, to the step's text. @param {HTMLElement} element */
  function keepInView(element) {
    const box = element.getBoundingClientRect();
    const view = scroller.getBoundingClientRect();
    if (box.bottom > view.bottom) scroller.scrollTop += box.bottom - view.bottom + LINE;
    else if (box.top < view.top) scroller.scrollTop -= view.top - box.top + LINE;
  }

  /** @param {EventTarget | null} target @returns {Written | null} */
  function writtenAt(target) {
    const span = target instanceof Element ? target.closest("[data-at]") : null;
    return span instanceof HTMLElement ? drawn.written[Number(span.dataset.at)] : null;
  }

  fold.addEventListener("click", () => {
    unfolded = !unfolded;
    drawPrompt();
    scroller.scrollTop = unfolded ? 0 : scroller.scrollHeight;
  });
  scroller.addEventListener("click", (event) => {
    const written = writtenAt(event.target);
    if (!written) return;
    player.goTo(written.step);
    player.select(written.node);
  });
  scroller.addEventListener("pointerover", (event) => {
    const written = writtenAt(event.target);
    if (!written) return player.point(null);
    player.point(
      written.step === state.step ? { nodes: [written.node], row: written.id, rank: null } : null,
    );
  });
  scroller.addEventListener("pointerleave", () => player.point(null));

  return {
    element: panel,
    draw() {
      if (run !== state.run) {
        run = state.run;
        unfolded = false;
        drawn = { tokens: [], written: [], groups: [] };
        shownStep = 0;
        output.replaceChildren();
        drawPrompt();
      }
      ending.hidden = !run?.end?.stop;
      setText(ending, run?.end?.stop ? WORDS.ended(run.end.stop) : "");
      if (!run) return;
      const known = drawn.groups.length;
      if (known < run.steps.length) appendOutput(run);
      if (known < run.steps.length || shownStep !== state.step) moveTo(state.step, known);
      for (const span of hot) span.classList.remove("tr-hot", "tr-copied");
      const nodes = state.hover?.nodes ?? (state.selected === null ? [] : [state.selected]);
      hot = nodes.length && drawn.groups[state.step - 1] ? tokensOfNodes(nodes) : [];
      for (const span of hot) span.classList.add("tr-hot");
      const copied = copiedFrom(nodes);
      for (const span of copied) span.classList.add("tr-copied");
      hot.push(...copied);
    },
    /**
     * Reads of the layout wait until everything is drawn, or each would cost a layout of its own.
     */
    settle() {
      const now = drawn.groups[shownStep - 1];
      if (unsettled && now) keepInView(now);
      unsettled = false;
    },
  };

  /**
   * Spans that these nodes were copied from. A position in the folded part of the prompt has none;
   * one after the root is in the node's own branch, and not in the text.
   * @param {number[]} nodes
   */
  function copiedFrom(nodes) {
    const step = run?.steps[state.step - 1];
    if (!run || !step) return [];
    const positions = nodes
      .map((node) => sourceOf(step, node)?.place ?? -1)
      .filter((position) => position >= 0 && position < step.committed);
    const length = run.info.prompt.length;
    const from = length - prompt.children.length;
    const spans = positions.map((position) =>
      position < length ? prompt.children[position - from] : drawn.tokens[position - length],
    );
    return /** @type {HTMLElement[]} */ (spans.filter((span) => span instanceof HTMLElement));
  }

  /**
   * Spans of the step shown that these nodes wrote; the root's is the one before them.
   * @param {number[]} nodes
   */
  function tokensOfNodes(nodes) {
    const group = drawn.groups[state.step - 1];
    const own = /** @type {HTMLElement[]} */ ([...group.children]);
    const spans = own.filter((span) => nodes.includes(drawn.written[Number(span.dataset.at)].node));
    if (nodes.includes(0)) {
      const root = drawn.groups[state.step - 2]?.lastElementChild ?? prompt.lastElementChild;
      if (root instanceof HTMLElement) spans.push(root);
    }
    return spans;
  }
}
