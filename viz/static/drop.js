// @ts-check
/** A saved run that is dropped onto the explorer: a hint while it is held there, and the file handed on. */

import { make } from "./dom.js";
import { WORDS } from "./strings.js";

/**
 * @param {HTMLElement} root
 * @param {{take: (file: File) => void, refuse: (sentence: string) => void, largest: () => number}} parts
 *   `take` gets a file worth sending, `refuse` a sentence why one is not; `largest` is the most bytes of a file
 * @returns {() => void} stops listening
 */
export function listenToDrops(root, { take, refuse, largest }) {
  const hint = make("div", "tr-drop-hint", WORDS.dropHere);
  hint.setAttribute("aria-hidden", "true");
  root.append(hint);

  const bringsFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") ?? false;
  const isOver = (/** @type {DragEvent} */ event) => event.target instanceof Node && root.contains(event.target);

  /** @param {DragEvent} event */
  function onDrag(event) {
    if (!bringsFiles(event)) return;
    // Beside the explorer too: a file that misses it must not take the place of the page.
    event.preventDefault();
    root.classList.toggle("tr-is-dropping", isOver(event));
  }

  /** @param {DragEvent} event */
  function onLeave(event) {
    if (!(event.relatedTarget instanceof Node) || !root.contains(event.relatedTarget)) root.classList.remove("tr-is-dropping");
  }

  /** @param {DragEvent} event */
  function onDrop(event) {
    root.classList.remove("tr-is-dropping");
    if (!bringsFiles(event)) return;
    event.preventDefault();
    const content = event.dataTransfer;
    if (!content || !isOver(event)) return;
    const [file] = content.files;
    if (content.files.length !== 1 || content.items[0]?.webkitGetAsEntry?.()?.isDirectory) refuse(WORDS.dropOne);
    else if (file.size > largest()) refuse(WORDS.dropTooLarge(file.name, Math.round(file.size / 1e6), Math.round(largest() / 1e6)));
    else take(file);
  }

  document.addEventListener("dragover", onDrag);
  document.addEventListener("dragleave", onLeave);
  document.addEventListener("drop", onDrop);
  return () => {
    document.removeEventListener("dragover", onDrag);
    document.removeEventListener("dragleave", onLeave);
    document.removeEventListener("drop", onDrop);
  };
}
