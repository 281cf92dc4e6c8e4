// @ts-check
/** Small helpers that make elements. Text always goes in as text: nothing here parses HTML. */

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {string} className
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

/**
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | number>} [attributes]
 * @returns {SVGElementTagNameMap[T]}
 */
export function makeSvg(tag, attributes = {}) {
  const element = document.createElementNS(SVG_NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/**
 * A button; `drawing` is the path of its picture, without one it shows its name.
 * @param {string} className
 * @param {string} name accessible name
 * @param {string} [drawing] path in a 16 × 16 box
 */
export function makeButton(className, name, drawing) {
  const button = make("button", className, drawing ? undefined : name);
  button.type = "button";
  if (drawing) {
    button.setAttribute("aria-label", name);
    button.title = name;
    const picture = makeSvg("svg", {
      viewBox: "0 0 16 16",
      width: 16,
      height: 16,
      "aria-hidden": "true",
    });
    picture.append(makeSvg("path", { d: drawing }));
    button.append(picture);
  }
  return button;
}

/**
 * A card with a heading line; returns its parts.
 * @param {string} className
 * @param {string} title
 */
export function makePanel(className, title) {
  const panel = make("section", `tr-panel ${className}`);
  panel.setAttribute("aria-label", title);
  const head = make("div", "tr-panel-head");
  const name = make("span", "tr-panel-title", title);
  const note = make("span", "tr-panel-note");
  head.append(name, note);
  panel.append(head);
  return { panel, head, note };
}

/**
 * Set the text of an element only if it changes, which spares layout; and within the text node that
 * is there, since a step changes hundreds of texts, and as many nodes thrown away would pile up
 * between two collections.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  const only = element.firstChild;
  if (only instanceof Text && only === element.lastChild) {
    if (only.data !== text) only.data = text;
  } else if (element.textContent !== text) element.textContent = text;
}

/** Characters that take two columns of a fixed-width font, or nearly. */
const EAST_ASIAN =
  "\\u1100-\\u115f\\u2e80-\\ua4cf\\uac00-\\ud7a3\\uf900-\\ufaff\\ufe30-\\ufe6f\\uff00-\\uff60";
const WIDE = new RegExp(`[${EAST_ASIAN}]|\\p{Extended_Pictographic}`, "u");

/**
 * Cut text to a width. Labels are cut in script rather than by the style sheet, which would make a
 * layer of every cell.
 * @param {string} text
 * @param {number} limit columns, the ellipsis included
 */
export function clip(text, limit) {
  if (text.length <= limit && !WIDE.test(text)) return text;
  let width = 0;
  let kept = "";
  let fitting = "";
  for (const character of text) {
    width += WIDE.test(character) ? 2 : 1;
    if (width > limit) return `${fitting}…`;
    kept += character;
    if (width < limit) fitting = kept;
  }
  return text;
}
