// @ts-check
/**
 * The explorer's style sheets, in the order in which they apply; viz/assets.py reads the names from
 * here too.
 */

import { make } from "./kit/dom.js";

const STYLE_ID = "tr-explorer-style";

export const STYLES = [
  "styles/explorer.css",
  "styles/panels.css",
  "styles/compare.css",
  "styles/lesson.css",
  "styles/projector.css",
];

/** Bring in the style sheets once; an exported page has them inline already. */
export function addStyles() {
  if (document.getElementById(STYLE_ID)) return;
  STYLES.forEach((name, i) => {
    const link = make("link", "");
    if (i === 0) link.id = STYLE_ID;
    link.rel = "stylesheet";
    link.href = new URL(`./${name}`, import.meta.url).href;
    document.head.append(link);
  });
}
