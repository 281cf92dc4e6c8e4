// @ts-check
/**
 * The panels below the steps and the tree: a strip of tabs and one card. Only the open panel draws;
 * none need be open.
 */

import { make, makeButton, setText } from "../kit/dom.js";
import { WORDS } from "../words/words.js";

/**
 * @typedef {import("../state/player.js").State} State
 * @typedef {import("../state/player.js").Player} Player
 * @typedef {(request: import("../state/records.js").Request) => void} OnRequest
 *
 * @typedef {object} Panel
 * @property {string} title on its tab
 * @property {HTMLElement} element hidden while the panel is closed
 * @property {() => void} draw called after every change while it is open; cheap where nothing of it
 *   has changed
 * @property {() => void} [settle] called after everything is drawn, for what needs to know how wide
 *   it has become
 * @property {() => void} [destroy]
 *
 * @typedef {(state: State, player: Player, onRequest?: OnRequest) => Panel} CreatePanel
 */

/**
 * @param {Record<string, CreatePanel>} list every panel by name, in the order of the tabs
 * @param {State} state
 * @param {Player} player
 * @param {OnRequest} [onRequest]
 */
export function createPanels(list, state, player, onRequest) {
  const card = make("section", "tr-panels");
  card.setAttribute("aria-label", WORDS.panels);
  const strip = make("div", "tr-panels-strip");
  const tabList = make("div", "tr-tabs");
  tabList.setAttribute("role", "tablist");
  tabList.setAttribute("aria-label", WORDS.panels);
  const marks = createMarks(state, player);
  strip.append(tabList, marks.element);
  card.append(strip);

  const names = Object.keys(list);
  const panels = names.map((name) => list[name](state, player, onRequest));
  const tabs = panels.map((panel, i) => {
    const name = names[i];
    const tab = makeButton("tr-tab", panel.title);
    tab.setAttribute("role", "tab");
    tab.id = `tr-tab-${name}`;
    tab.addEventListener("click", () => open(state.panel === name ? null : name));
    panel.element.classList.add("tr-panel-body");
    panel.element.id = `tr-panel-${name}`;
    panel.element.dataset.panel = name;
    panel.element.setAttribute("role", "tabpanel");
    panel.element.setAttribute("aria-labelledby", tab.id);
    panel.element.hidden = true;
    tab.setAttribute("aria-controls", panel.element.id);
    tabList.append(tab);
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

  tabList.addEventListener("keydown", (event) => {
    const at = tabs.findIndex((tab) => tab === document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const next = (to + tabs.length) % tabs.length;
    tabs[next].focus();
    // With no panel open the arrows only look for one.
    if (state.panel !== null) open(names[next]);
  });

  return {
    element: card,
    names,
    draw() {
      const at = state.panel === null ? -1 : names.indexOf(state.panel);
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
      if (state.run?.steps.length) panels[names.indexOf(state.panel ?? "")]?.settle?.();
    },
    destroy() {
      for (const panel of panels) panel.destroy?.();
    },
  };
}

/**
 * The steps that a panel has marked: what they have in common, and buttons to walk through them.
 */
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
