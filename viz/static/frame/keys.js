// @ts-check
/**
 * Keys of the explorer, heard anywhere on the page unless something there wants them for itself.
 */

/** @typedef {import("../state/player.js").Player} Player */

const TYPING = "input, textarea, select, [contenteditable]:not([contenteditable=false])";
const CHOOSING = [
  "tab",
  "listbox",
  "option",
  "slider",
  "menuitem",
  "radio",
  "spinbutton",
  "combobox",
]
  .map((role) => `[role=${role}]`)
  .join(", ");

/**
 * @param {{player: Player, steps: () => number, step: () => number, openHelp: () => void, more: ()
 *   => Record<string, () => void>, root: HTMLElement}} parts `more` are keys that come before the
 *   explorer's own, and need no run
 * @returns {() => void} stops listening
 */
export function listenToKeys({ player, steps, step, openHelp, more, root }) {
  /** @type {Record<string, () => void>} */
  const actions = {
    " ": () => player.toggle(),
    ArrowLeft: () => player.goTo(step() - 1),
    ArrowRight: () => player.goTo(step() + 1),
    ArrowUp: () => player.shiftPhase(-1),
    ArrowDown: () => player.shiftPhase(1),
    Home: () => player.goTo(1),
    End: () => player.goTo(steps()),
    j: () => player.shiftNode(1),
    k: () => player.shiftNode(-1),
    n: () => player.goToMark(1),
    N: () => player.goToMark(-1),
    Escape: () => player.select(null),
  };

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const target = event.target instanceof Element ? event.target : document.body;
    if (
      event.defaultPrevented ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      document.querySelector("dialog[open]")
    )
      return;
    if (target.closest(TYPING) || (!root.contains(target) && target.closest(CHOOSING))) return;
    if (event.key === "?") {
      event.preventDefault();
      return openHelp();
    }
    // Space and Enter press a focused button; that is the button's.
    if ((event.key === " " || event.key === "Enter") && target.closest("button, a, summary"))
      return;
    const first = more()[event.key];
    if (first) {
      event.preventDefault();
      return first();
    }
    const action = actions[event.key];
    if (!action || !steps()) return;
    event.preventDefault();
    action();
  }

  document.addEventListener("keydown", onKey);
  return () => document.removeEventListener("keydown", onKey);
}
