// @ts-check
/**
 * The panels below the steps and the tree: a strip of tabs and one card. Only the open panel draws; none need be open.
 *
 * A panel is a module with `createXPanel(state, player)`, and one entry in `PANELS`; see the typedef for its parts.
 */

import { createAttentionPanel } from "./attention.js";
import { createBudgetPanel } from "./budget.js";
import { createComparePanel } from "./compare.js";
import { createCostPanel } from "./cost.js";
import { createDiagnosisPanel } from "./diagnosis.js";
import { make, makeButton, setText } from "../kit/dom.js";
import { createMatrixMapPanel } from "./matrixmap.js";
import { createMetricsPanel } from "./metrics.js";
import { createSourcesPanel } from "./sources.js";
import { WORDS } from "../words/words.js";

/**
 * @typedef {import("../state/player.js").State} State
 * @typedef {import("../state/player.js").Player} Player
 * @typedef {object} Panel
 * @property {string} name its `data-panel`, and its name in `state.panel` and in a view record
 * @property {string} title on its tab
 * @property {HTMLElement} element
 * @property {() => void} draw called after every change while it is open; cheap where nothing of it has changed
 * @property {() => void} [settle] called after everything is drawn, for what needs to know how wide it has become
 * @property {() => void} [destroy]
 */

/** Every panel, in the order of the tabs. @type {((state: State, player: Player, onRequest?: (request: any) => void) => Panel)[]} */
const PANELS = [
  createDiagnosisPanel,
  createMetricsPanel,
  createComparePanel,
  createAttentionPanel,
  createMatrixMapPanel,
  createCostPanel,
  createBudgetPanel,
  createSourcesPanel,
];

/** @param {State} state @param {Player} player @param {(request: any) => void} [onRequest] see explorer.js */
export function createPanels(state, player, onRequest) {
  const card = make("section", "tr-panels");
  card.setAttribute("aria-label", WORDS.panels);
  const strip = make("div", "tr-panels-strip");
  const list = make("div", "tr-tabs");
  list.setAttribute("role", "tablist");
  list.setAttribute("aria-label", WORDS.panels);
  const marks = createMarks(state, player);
  strip.append(list, marks.element);
  card.append(strip);

  const panels = PANELS.map((create) => create(state, player, onRequest));
  const tabs = panels.map((panel) => {
    const tab = makeButton("tr-tab", panel.title);
    tab.setAttribute("role", "tab");
    tab.id = `tr-tab-${panel.name}`;
    tab.addEventListener("click", () => open(state.panel === panel.name ? null : panel.name));
    panel.element.classList.add("tr-panel-body");
    panel.element.id = `tr-panel-${panel.name}`;
    panel.element.dataset.panel = panel.name;
    panel.element.setAttribute("role", "tabpanel");
    panel.element.setAttribute("aria-labelledby", tab.id);
    panel.element.hidden = true;
    tab.setAttribute("aria-controls", panel.element.id);
    list.append(tab);
    card.append(panel.element);
    return tab;
  });

  /** @type {string | null | undefined} */
  let shown;
  let unsettled = false;

  /** @param {string | null} name */
  function open(name) {
    unsettled = name !== null;
    player.openPanel(name);
  }

  list.addEventListener("keydown", (event) => {
    const at = tabs.findIndex((tab) => tab === document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const next = (to + tabs.length) % tabs.length;
    tabs[next].focus();
    // With no panel open the arrows only look for one.
    if (state.panel !== null) open(panels[next].name);
  });

  return {
    element: card,
    /** Names of all panels. */
    names: panels.map((panel) => panel.name),
    draw() {
      const at = panels.findIndex((panel) => panel.name === state.panel);
      if (shown !== state.panel) {
        shown = state.panel;
        panels.forEach((panel, i) => {
          panel.element.hidden = i !== at;
          tabs[i].setAttribute("aria-selected", String(i === at));
          tabs[i].tabIndex = i === Math.max(0, at) ? 0 : -1;
        });
        card.classList.toggle("tr-panels-open", at >= 0);
      }
      marks.draw();
      if (at >= 0 && state.run?.steps.length) panels[at].draw();
    },
    /** A panel that was just opened comes into sight, once everything is drawn. */
    settle() {
      if (unsettled) card.scrollIntoView({ block: "nearest" });
      unsettled = false;
      if (state.run?.steps.length) panels.find((panel) => panel.name === state.panel)?.settle?.();
    },
    destroy() {
      for (const panel of panels) panel.destroy?.();
    },
  };
}

/** The steps that a panel has marked: what they have in common, and buttons to walk through them. */
function createMarks(/** @type {State} */ state, /** @type {Player} */ player) {
  const box = make("div", "tr-marks");
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", WORDS.marked);
  const previous = makeButton("tr-tool", WORDS.previousMark, "M10.5 3.5v9L5 8z");
  const next = makeButton("tr-tool", WORDS.nextMark, "M5.5 3.5v9L11 8z");
  const clear = makeButton("tr-tool", WORDS.clearMarks, "M4 4l8 8M12 4l-8 8");
  const words = make("span", "tr-marks-words");
  words.setAttribute("aria-live", "polite");
  previous.addEventListener("click", () => player.goToMark(-1));
  next.addEventListener("click", () => player.goToMark(1));
  clear.addEventListener("click", () => player.mark(null));
  box.append(words, previous, next, clear);
  return {
    element: box,
    draw() {
      const { marks } = state;
      box.hidden = !marks;
      if (!marks) return;
      const at = marks.steps.indexOf(state.step) + 1;
      setText(words, WORDS.markedSteps(marks.name, marks.steps.length, at));
      previous.disabled = !marks.steps.some((step) => step < state.step);
      next.disabled = !marks.steps.some((step) => step > state.step);
    },
  };
}
