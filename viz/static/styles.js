// @ts-check
/** The explorer's style sheets, in the order in which they apply; viz/styles.py reads the names from here too. */

export const STYLES = ["explorer.css", "panels.css"];
