// @ts-check
/** The style sheet's colours for what it cannot style itself: canvases and plotly. */

import { make } from "./dom.js";

/**
 * Custom properties as the browser resolves them, light or dark. Asked of it once and kept until
 * the scheme changes: a question in the middle of drawing would make it lay out the page then and
 * there.
 * @param {HTMLElement} element any within the explorer
 * @param {() => void} changed called when they are others
 */
export function watchColours(element, changed) {
  /** @type {Map<string, string>} */
  const known = new Map();
  const probe = make("span", "");
  probe.hidden = true;
  element.append(probe);
  function forget() {
    known.clear();
    changed();
  }
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", forget);
  // Gradio's pages tell their scheme by a class.
  const classes = new MutationObserver(forget);
  for (const one of [document.documentElement, document.body])
    classes.observe(one, { attributeFilter: ["class"] });
  return {
    /** @param {string} property such as `--accepted` */
    of(property) {
      const colour = known.get(property);
      if (colour !== undefined) return colour;
      probe.style.color = `var(${property})`;
      const resolved = getComputedStyle(probe).color;
      known.set(property, resolved);
      return resolved;
    },
    destroy() {
      scheme.removeEventListener("change", forget);
      classes.disconnect();
    },
  };
}
