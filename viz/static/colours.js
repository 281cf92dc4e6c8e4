// @ts-check
/** The style sheet's colours for what it cannot style itself: canvases and plotly. */

/**
 * A custom property as the browser resolves it here, light or dark.
 * @param {Element} element
 * @param {string} property such as `--accepted`
 */
export function colourOf(element, property) {
  const root = /** @type {HTMLElement} */ (element.closest("#tr-explorer") ?? element);
  let probe = /** @type {HTMLElement | null} */ (root.querySelector(":scope > .tr-probe"));
  if (!probe) {
    probe = document.createElement("span");
    probe.className = "tr-probe";
    probe.hidden = true;
    root.append(probe);
  }
  probe.style.color = `var(${property})`;
  return getComputedStyle(probe).color;
}
