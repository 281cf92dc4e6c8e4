// @ts-check
/**
 * Saved runs that are dropped onto the explorer: a hint while they are held there, and the files
 * handed on.
 */

import { MOST_RUNS } from "../state/align.js";
import { make } from "../kit/dom.js";
import { WORDS } from "../words/words.js";

/**
 * Why files are not worth sending, in a sentence; null if they are.
 * @param {File[]} files
 * @param {number} largest bytes
 */
export function refusalOfFiles(files, largest) {
  if (!files.length || files.length > MOST_RUNS) return WORDS.dropFew(MOST_RUNS);
  const tooLarge = files.find((file) => file.size > largest);
  return tooLarge
    ? WORDS.dropTooLarge(tooLarge.name, Math.round(tooLarge.size / 1e6), Math.round(largest / 1e6))
    : null;
}

/**
 * @param {HTMLElement} root
 * @param {{take: (files: File[]) => void, refuse: (sentence: string) => void, largest: () =>
 *   number}} parts `take` gets files worth sending, `refuse` a sentence why they are not; `largest`
 *   is the most bytes of a file
 * @returns {() => void} stops listening
 */
export function listenToDrops(root, { take, refuse, largest }) {
  const hint = make("div", "tr-drop-hint", WORDS.dropHere);
  hint.setAttribute("aria-hidden", "true");
  root.append(hint);

  const bringsFiles = (/** @type {DragEvent} */ event) =>
    event.dataTransfer?.types.includes("Files") ?? false;
  const isOver = (/** @type {DragEvent} */ event) =>
    event.target instanceof Node && root.contains(event.target);

  /** @param {DragEvent} event */
  function onDrag(event) {
    if (!bringsFiles(event)) return;
    // Beside the explorer too: a file that misses it must not take the place of the page.
    event.preventDefault();
    root.classList.toggle("tr-is-dropping", isOver(event));
  }

  /** @param {DragEvent} event */
  function onLeave(event) {
    if (!(event.relatedTarget instanceof Node) || !root.contains(event.relatedTarget))
      root.classList.remove("tr-is-dropping");
  }

  /** @param {DragEvent} event */
  function onDrop(event) {
    root.classList.remove("tr-is-dropping");
    if (!bringsFiles(event)) return;
    event.preventDefault();
    const content = event.dataTransfer;
    if (!content || !isOver(event)) return;
    const files = [...content.files];
    const folder = [...content.items].some((item) => item.webkitGetAsEntry?.()?.isDirectory);
    const sentence = folder ? WORDS.dropFew(MOST_RUNS) : refusalOfFiles(files, largest());
    if (sentence) refuse(sentence);
    else take(files);
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
