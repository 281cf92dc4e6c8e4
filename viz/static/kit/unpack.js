// @ts-check
/** What a saved page holds packed: gzip, written as base64. */

/** @param {string} packed @returns {Promise<string>} */
export async function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}
