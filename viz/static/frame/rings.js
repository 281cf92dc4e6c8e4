// @ts-check
/** Rings around the parts of the picture that a lesson or a view record points at. */

/**
 * @typedef {import("../state/player.js").State} State
 * @typedef {import("../state/records.js").Part} Part
 */

const REGIONS = {
  text: ".tr-text",
  tree: ".tr-tree",
  matrix: ".tr-matrix",
  inspector: ".tr-inspector",
  steps: ".tr-steps",
  panel: ".tr-panels",
};

/** @param {HTMLElement} root @param {State} state */
export function createRings(root, state) {
  /** @type {Element[]} */
  let ringed = [];

  /**
   * @param {Part} part
   * @returns {string[]} selectors of what it means; names of no region mean nothing
   */
  function selectors(part) {
    if (part.nodes) return part.nodes.map((node) => `[data-node="${Number(node)}"]`);
    if (part.rows) return part.rows.map((row) => `[data-row="${Number(row)}"]`);
    const selector = REGIONS[/** @type {keyof typeof REGIONS} */ (part.region)];
    return selector ? [selector] : [];
  }

  return {
    /** Once all else is drawn: elements come and go with the step. */
    draw() {
      const rings = state.rings;
      // Nodes and rows are those of one step: at another they would point at anything.
      const here = rings !== null && rings.run === state.run?.id && rings.step === state.step;
      const wanted = here
        ? rings.parts.flatMap(selectors).flatMap((selector) => [...root.querySelectorAll(selector)])
        : [];
      for (const element of ringed) element.classList.remove("tr-ring");
      for (const element of wanted) element.classList.add("tr-ring");
      ringed = wanted;
    },
    /** The first thing ringed, to be brought into sight. */
    first: () => ringed[0] ?? null,
  };
}
