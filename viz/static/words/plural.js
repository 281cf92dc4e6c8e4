// @ts-check
/** What sentences are put together with. */

/** @param {number} n @param {string} one @param {string} many */
export function plural(n, one, many) {
  return `${n} ${n === 1 ? one : many}`;
}

/** @param {string[]} labels */
export function quoted(labels) {
  return labels.map((label) => `“${label}”`).join(", ");
}
