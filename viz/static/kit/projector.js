// @ts-check
/** Projector mode: large type and strong contrast, for a class room. Kept in the browser. */

import { makeButton } from "./dom.js";
import { createStore } from "./store.js";
import { WORDS } from "../words/words.js";

/** @param {HTMLElement} root @param {() => void} changed called after every change */
export function createProjector(root, changed) {
  const store = createStore("tr-projector");
  const button = makeButton(
    "tr-header-button tr-projector-button",
    WORDS.projector,
    "M2 3h12v8H2zM8 11v3M5 14h6",
  );
  button.title = WORDS.projectorHint;

  /** @param {boolean} on */
  function set(on) {
    root.classList.toggle("tr-projector", on);
    button.setAttribute("aria-pressed", String(on));
  }

  function toggle() {
    const on = !root.classList.contains("tr-projector");
    store.write(on);
    set(on);
    changed();
  }

  set(store.read() === true);
  button.addEventListener("click", toggle);
  return { button, toggle };
}
