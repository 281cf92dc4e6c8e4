// @ts-check
/**
 * Tokens that are only bytes → the characters they make together, such as one emoji out of four
 * tokens.
 */

/** @typedef {import("./records.js").Token} Token */

/** Tokens after which a run of bytes that makes no character is given up. */
const LONGEST_CHARACTER = 8;

/**
 * What each token shows: its text; for tokens that make a character together, the first shows it
 * and the others show nothing; bytes that never make one show their hexadecimal label.
 * @param {Token[]} tokens
 * @returns {string[]}
 */
export function joinBytes(tokens) {
  const shown = tokens.map((token) => (token.hex ? token.label : token.text));
  let start = 0;
  while (start < tokens.length) {
    const length = tokens[start].hex ? decodableLength(tokens, start) : 1;
    if (tokens[start].hex && length) {
      shown[start] = /** @type {string} */ (decodeBytes(tokens.slice(start, start + length)));
      shown.fill("", start + 1, start + length);
    }
    start += Math.max(1, length);
  }
  return shown;
}

/**
 * Number of tokens from `start` on that are text together; 0 if there is none.
 * @param {Token[]} tokens
 * @param {number} start
 */
function decodableLength(tokens, start) {
  for (let end = start + 1; end <= Math.min(tokens.length, start + LONGEST_CHARACTER); end++) {
    if (!tokens[end - 1].hex) return 0;
    if (decodeBytes(tokens.slice(start, end)) !== null) return end - start;
  }
  return 0;
}

/** @param {Token[]} tokens @returns {string | null} */
function decodeBytes(tokens) {
  const pairs =
    tokens
      .map((token) => token.hex)
      .join("")
      .match(/../g) ?? [];
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      Uint8Array.from(pairs, (pair) => parseInt(pair, 16)),
    );
  } catch {
    return null;
  }
}
