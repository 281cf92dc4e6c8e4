// @ts-check
/**
 * plotly.js, brought in when it is first needed: from the server that this module came from, or, on
 * a saved page, out of the page itself. There it becomes an inline script, which the page's policy
 * allows by the hash of its text.
 */

import { unpack } from "./unpack.js";

const PACKED_ID = "tr-saved-plotly";

/** @returns {Promise<any>} Plotly; refused if it cannot be had */
export async function loadPlotly() {
  const known = /** @type {any} */ (globalThis).Plotly;
  if (known) return known;
  const script = document.createElement("script");
  const packed = document.getElementById(PACKED_ID)?.textContent;
  if (packed) {
    script.textContent = await unpack(packed);
    document.head.append(script);
  } else {
    await new Promise((done, failed) => {
      script.addEventListener("load", done);
      script.addEventListener("error", failed);
      script.src = new URL("../plotly.js", import.meta.url).href;
      document.head.append(script);
    });
  }
  return (
    /** @type {any} */ (globalThis).Plotly ?? Promise.reject(new Error("plotly.js is not there"))
  );
}

/**
 * A figure's content with the colours that hold here.
 * @param {any} content
 * @param {(property: string) => string} colourOf such as that of `watchColours`
 * @returns {any}
 */
export function coloured(content, colourOf) {
  if (typeof content === "string" && content.startsWith("$"))
    return colourOf(`--${content.slice(1)}`);
  if (Array.isArray(content)) return content.map((part) => coloured(part, colourOf));
  if (content === null || typeof content !== "object") return content;
  return Object.fromEntries(
    Object.entries(content).map(([key, part]) => [key, coloured(part, colourOf)]),
  );
}
