// @ts-check
/** The explorer's style sheets, in the order in which they apply; viz/assets.py reads the names from here too. */

export const STYLES = ["explorer.css", "panels.css", "compare.css", "lesson.css", "projector.css"];
