// @ts-check
/**
 * Tables of the panels: filled again in place, numbers to the right, a button where a line leads
 * somewhere.
 */

import { make, setText } from "./dom.js";

/**
 * A cell: text, or a text that is pressed, with whether it is pressed now and what its line is
 * compared with as a bar.
 * @typedef {{text: string, title?: string, press?: () => void, pressed?: boolean, bar?: number}}
 *   Cell
 */

/**
 * @param {string} caption
 * @param {{name: string, number?: boolean}[]} columns
 */
export function createTable(caption, columns) {
  const table = make("table", "tr-table");
  const title = make("caption", "", caption);
  const head = make("tr", "");
  for (const column of columns) {
    const cell = make("th", column.number ? "tr-number-cell" : "", column.name);
    cell.scope = "col";
    head.append(cell);
  }
  const top = make("thead", "");
  top.append(head);
  const body = make("tbody", "");
  table.append(title, top, body);
  const box = make("div", "tr-table-box");
  box.append(table);
  // A table that does not fit is scrolled, so the keyboard must get there; one that fits is no stop
  // for it.
  const parts = { tabindex: "0", role: "group", "aria-label": caption };
  new ResizeObserver(() => {
    const wide = box.scrollWidth > box.clientWidth + 1;
    for (const [name, value] of Object.entries(parts))
      wide ? box.setAttribute(name, value) : box.removeAttribute(name);
  }).observe(box);
  /** @type {(() => void)[]} */
  let actions = [];
  body.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("button") : null;
    if (button) actions[Number(button.dataset.line)]?.();
  });

  return {
    element: box,
    /** @param {string} words */
    rename(words) {
      parts["aria-label"] = words;
      setText(title, words);
    },
    /** @param {(Cell | string)[][]} lines */
    fill(lines) {
      actions = [];
      while (body.rows.length > lines.length) body.deleteRow(-1);
      lines.forEach((line, i) => {
        const row = body.rows[i] ?? body.insertRow();
        line.forEach((content, j) => {
          const cell = row.cells[j] ?? row.insertCell();
          cell.className = columns[j].number ? "tr-number-cell" : "";
          fillCell(cell, typeof content === "string" ? { text: content } : content, i, actions);
        });
      });
    },
  };
}

/**
 * @param {HTMLTableCellElement} cell
 * @param {Cell} content
 * @param {number} line
 * @param {(() => void)[]} actions
 */
function fillCell(cell, content, line, actions) {
  let holder = /** @type {HTMLElement | null} */ (cell.firstElementChild);
  const tag = content.press ? "BUTTON" : "SPAN";
  if (holder?.tagName !== tag) {
    holder = content.press ? make("button", "tr-link") : make("span", "");
    if (holder instanceof HTMLButtonElement) holder.type = "button";
    cell.replaceChildren(holder);
  }
  setText(holder, content.text);
  holder.title = content.title ?? "";
  if (content.press) {
    holder.dataset.line = String(line);
    if (content.pressed !== undefined) holder.setAttribute("aria-pressed", String(content.pressed));
    actions[line] = content.press;
  }
  cell.classList.toggle("tr-bar-cell", content.bar !== undefined);
  cell.style.setProperty("--tr-share", String(content.bar ?? 0));
}
