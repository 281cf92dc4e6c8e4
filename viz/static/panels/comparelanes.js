// @ts-check
/**
 * The picture of a comparison: a curve and a lane for each run, over the positions of the output.
 */

import { LETTERS, stepAt } from "../state/align.js";
import { clip, make, makeSvg } from "../kit/dom.js";
import { tokenOf } from "../state/records.js";
import { WORDS } from "../words/words.js";

/**
 * @typedef {import("../state/records.js").Run} Run
 * @typedef {import("../state/align.js").Alignment} Alignment
 * @typedef {import("../state/align.js").LaneStep} LaneStep
 */

const CELL = 58;
const TOKEN_LETTERS = 8;
const TOP = 24;
const LANE = 36;
/** A lane that also shows its own text. */
const TEXT_LANE = 52;
const CURVES_HEIGHT = 132;
const MARGIN = { left: 40, right: 20, top: 16, bottom: 20 };

/** @param {(run: number, position: number) => void} chosen called when a bracket is clicked */
export function createLanes(chosen) {
  const element = make("div", "tr-lanes");
  const letters = make("div", "tr-lane-letters");
  const scroller = make("div", "tr-lanes-scroll");
  scroller.tabIndex = 0;
  scroller.setAttribute("role", "group");
  scroller.setAttribute("aria-label", WORDS.compareLanes);
  const svg = makeSvg("svg", {
    class: "tr-lanes-picture",
    role: "img",
    "aria-label": WORDS.compareLanes,
  });
  const column = makeSvg("rect", { class: "tr-lane-position", y: 0, width: CELL });
  const content = makeSvg("g");
  const now = makeSvg("path", { class: "tr-bracket tr-bracket-now" });
  svg.append(column, content, now);
  scroller.append(svg);
  const body = make("div", "tr-lanes-body");
  body.append(letters, scroller);
  element.append(body, makeMarksLegend());

  /** @type {Run[]} */
  let runs = [];
  /** @type {Alignment | null} */
  let laid = null;
  let height = LANE;
  let seen = 0;

  /** Run and position at a point of the picture. @param {MouseEvent} event */
  function positionOf(event) {
    const box = svg.getBoundingClientRect();
    const run = Math.floor((event.clientY - box.top - TOP) / height);
    const position = Math.floor((event.clientX - box.left) / CELL) + 1;
    return run >= 0 && laid && stepAt(laid.lanes[run] ?? { emitter: [] }, position)
      ? { run, position }
      : null;
  }

  svg.addEventListener("click", (event) => {
    const target = positionOf(event);
    if (target) chosen(target.run, target.position);
  });
  svg.addEventListener("pointermove", (event) => {
    const target = positionOf(event);
    svg.classList.toggle("tr-can-choose", Boolean(target));
    if (!target || !laid) return scroller.removeAttribute("title");
    const lane = laid.lanes[target.run];
    const line = lane.steps[stepAt(lane, target.position) - 1];
    const labels = lane.tokens
      .slice(line.first - 1, line.last)
      .map((token) => tokenOf(runs[target.run], token).full);
    scroller.title = WORDS.compareBracket(lane.name, line.step, labels, line.accepted);
  });

  /** @param {LaneStep} line @param {number} y top of its lane */
  function bracket(line, y) {
    const [left, right] = [(line.first - 1) * CELL + 3, line.last * CELL - 3];
    const rise = `M${left} ${y + 15}V${y + 9}Q${left} ${y + 7} ${left + 2} ${y + 7}`;
    return `${rise}H${right - 2}Q${right} ${y + 7} ${right} ${y + 9}V${y + 15}`;
  }

  /** @param {string} text @param {number} x @param {number} y @param {string} name */
  function word(text, x, y, name) {
    const element = makeSvg("text", { class: name, x, y });
    element.textContent = text;
    return element;
  }

  return {
    element,

    /** @param {Run[]} shown @param {Alignment} alignment */
    fill(shown, alignment) {
      [runs, laid] = [shown, alignment];
      const { lanes, shared, difference } = alignment;
      const longest = Math.max(1, ...lanes.map((lane) => lane.tokens.length));
      height = alignment.verdict === "different" ? TEXT_LANE : LANE;
      const bottom = TOP + lanes.length * height;
      svg.setAttribute("width", String(longest * CELL));
      svg.setAttribute("height", String(bottom));
      svg.setAttribute("viewBox", `0 0 ${longest * CELL} ${bottom}`);
      column.setAttribute("height", String(bottom));
      letters.replaceChildren(
        ...lanes.map((lane, i) => {
          const letter = make("span", "tr-letter", LETTERS[i]);
          letter.dataset.letter = LETTERS[i];
          letter.title = lane.name;
          letter.style.top = `${TOP + i * height + 3}px`;
          return letter;
        }),
      );
      const parts = [];
      // Where all have the same token it is written once, above; after the difference each lane has
      // its own.
      const whole = lanes.findIndex((lane) => lane.tokens.length === longest);
      const together = difference && alignment.verdict === "different" ? shared : longest;
      for (let p = 0; p < longest; p++) {
        const token = lanes[whole]?.tokens[p];
        if (token !== undefined && p < together)
          parts.push(
            word(
              clip(tokenOf(runs[whole], token).label, TOKEN_LETTERS),
              (p + 0.5) * CELL,
              15,
              "tr-lane-token",
            ),
          );
      }
      lanes.forEach((lane, i) => {
        const y = TOP + i * height;
        const group = makeSvg("g", { class: "tr-lane", "data-lane": i, "data-letter": LETTERS[i] });
        if (i)
          group.append(makeSvg("path", { class: "tr-lane-rule", d: `M0 ${y}H${longest * CELL}` }));
        let [dots, stars] = ["", ""];
        for (const line of lane.steps) {
          if (line.last < line.first) continue;
          group.append(
            makeSvg("path", {
              class: "tr-bracket",
              d: bracket(line, y),
              "data-bracket": line.step,
            }),
          );
          group.append(
            word(
              String(line.step),
              ((line.first + line.last - 1) / 2) * CELL,
              y + 19,
              "tr-bracket-step",
            ),
          );
          for (let p = line.first; p <= line.last; p++) {
            const drafted = p - line.first < line.accepted;
            const x = (p - 0.5) * CELL;
            if (drafted) dots += roundMark(x, y + 26);
            else stars += starMark(x, y + 26);
          }
        }
        group.append(
          makeSvg("path", { class: "tr-lane-accepted", d: dots }),
          makeSvg("path", { class: "tr-lane-bonus", d: stars }),
        );
        for (let p = together; p < lane.tokens.length; p++) {
          group.append(
            word(
              clip(tokenOf(runs[i], lane.tokens[p]).label, TOKEN_LETTERS),
              (p + 0.5) * CELL,
              y + 44,
              "tr-lane-token",
            ),
          );
        }
        parts.push(group);
      });
      for (const jump of alignment.jumps) {
        const y = TOP + jump.run * height;
        const text = word(
          WORDS.compareGain(jump.gain),
          jump.last * CELL - 8,
          y + 20,
          "tr-lane-jump",
        );
        text.dataset.lead = String(jump.gain);
        parts.push(text);
      }
      if (difference)
        parts.push(
          makeSvg("path", { class: "tr-lane-difference", d: `M${shared * CELL} 0V${bottom}` }),
        );
      content.replaceChildren(...parts);
      seen = 0;
    },

    /**
     * Mark the step that is shown above, and the position that is looked at.
     * @param {number} run
     * @param {LaneStep | null} line
     * @param {number} position
     */
    mark(run, line, position) {
      now.setAttribute(
        "d",
        line && line.last >= line.first ? bracket(line, TOP + run * height) : "",
      );
      column.setAttribute("x", String((position - 1) * CELL));
    },

    /** Follow the position, once everything is drawn. @param {number} position */
    settle(position) {
      if (position !== seen) this.show(position);
      seen = position;
    },

    /** Bring a position into sight. @param {number} position */
    show(position) {
      const x = (position - 1) * CELL;
      const room = scroller.clientWidth;
      if (x < scroller.scrollLeft + CELL || x + 2 * CELL > scroller.scrollLeft + room)
        scroller.scrollLeft = x - room / 2;
    },

    destroy() {
      svg.remove();
    },
  };
}

/** @param {number} x @param {number} y */
function roundMark(x, y) {
  return `M${x - 3.5} ${y}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z`;
}

/** @param {number} x @param {number} y */
function starMark(x, y) {
  const points = Array.from({ length: 10 }, (_, i) => {
    const [radius, angle] = [i % 2 ? 2.3 : 5.4, (i * Math.PI) / 5];
    const [right, up] = [radius * Math.sin(angle), radius * Math.cos(angle)];
    return `${(x + right).toFixed(1)} ${(y - up).toFixed(1)}`;
  });
  return `M${points.join("L")}z`;
}

function makeMarksLegend() {
  const legend = make("div", "tr-lanes-legend");
  for (const [kind, words] of Object.entries(WORDS.compareLegend)) {
    const item = make("span", "tr-key");
    const sample = makeSvg("svg", { width: 14, height: 12, "aria-hidden": "true" });
    if (kind === "accepted")
      sample.append(makeSvg("path", { class: "tr-lane-accepted", d: roundMark(7, 6) }));
    else if (kind === "bonus")
      sample.append(makeSvg("path", { class: "tr-lane-bonus", d: starMark(7, 6) }));
    if (kind === "jump") item.append(make("span", "tr-jump-sample", WORDS.compareGain(2)));
    else item.append(sample);
    item.append(words);
    legend.append(item);
  }
  return legend;
}

/**
 * Passes against tokens, one line a run.
 * @param {(position: number) => void} chosen called when a place is clicked
 */
export function createCurves(chosen) {
  const element = make("div", "tr-curves");
  const svg = makeSvg("svg", {
    class: "tr-curves-picture",
    height: CURVES_HEIGHT,
    role: "img",
    "aria-label": WORDS.compareCurves,
  });
  const content = makeSvg("g");
  const cursor = makeSvg("path", { class: "tr-curve-cursor" });
  svg.append(content, cursor);
  element.append(make("span", "tr-compare-lead", WORDS.compareCurves), svg);
  /** @type {Alignment | null} */
  let laid = null;
  let width = 0;
  let longest = 1;
  let most = 1;
  let position = 1;

  const xOf = (/** @type {number} */ p) =>
    MARGIN.left + (p / longest) * (width - MARGIN.left - MARGIN.right);
  const yOf = (/** @type {number} */ passes) =>
    CURVES_HEIGHT - MARGIN.bottom - (passes / most) * (CURVES_HEIGHT - MARGIN.top - MARGIN.bottom);

  function draw() {
    if (!laid || !width) return;
    svg.setAttribute("viewBox", `0 0 ${width} ${CURVES_HEIGHT}`);
    longest = Math.max(1, ...laid.lanes.map((lane) => lane.tokens.length));
    most = Math.max(1, ...laid.lanes.map((lane) => lane.passes.at(-1) ?? 0));
    const plain = Math.min(longest, most);
    const parts = [
      makeSvg("path", {
        class: "tr-curve-axis",
        d: `M${xOf(0)} ${yOf(most)}V${yOf(0)}H${xOf(longest)}`,
      }),
      makeSvg("path", {
        class: "tr-curve-plain",
        d: `M${xOf(0)} ${yOf(0)}L${xOf(plain)} ${yOf(plain)}`,
      }),
      wordAt(String(most), xOf(0) - 5, yOf(most) + 4, "end"),
      wordAt("0", xOf(0) - 5, yOf(0) + 4, "end"),
      wordAt(WORDS.comparePasses, xOf(0) + 6, yOf(most) + 4, "start"),
      wordAt(`${longest} ${WORDS.compareTokens}`, xOf(longest), CURVES_HEIGHT - 5, "end"),
      wordAt(WORDS.comparePlain, xOf(plain * 0.8) - 8, yOf(plain * 0.8) - 5, "end"),
    ];
    const ends = laid.lanes.map((lane, i) => {
      const points = [
        `M${xOf(0)} ${yOf(0)}`,
        ...lane.passes.map((passes, p) => `L${xOf(p + 1).toFixed(1)} ${yOf(passes).toFixed(1)}`),
      ];
      parts.push(
        makeSvg("path", { class: "tr-curve", d: points.join(""), "data-letter": LETTERS[i] }),
      );
      return { i, x: xOf(lane.passes.length) + 4, y: yOf(lane.passes.at(-1) ?? 0) + 4 };
    });
    // Letters of lines that end in one place stand below each other.
    ends.sort((a, b) => a.y - b.y);
    ends.forEach((end, n) => {
      if (n) end.y = Math.max(end.y, ends[n - 1].y + 12);
      const letter = wordAt(LETTERS[end.i], end.x, end.y, "start");
      letter.setAttribute("class", "tr-curve-letter");
      letter.dataset.letter = LETTERS[end.i];
      parts.push(letter);
    });
    const late = laid.shared > longest * 0.7;
    if (laid.difference)
      parts.push(
        makeSvg("path", {
          class: "tr-lane-difference",
          d: `M${xOf(laid.shared)} ${yOf(most)}V${yOf(0)}`,
        }),
        wordAt(
          WORDS.compareFirstDifference,
          xOf(laid.shared) + (late ? -4 : 4),
          yOf(most) + 17,
          late ? "end" : "start",
        ),
      );
    content.replaceChildren(...parts);
    cursor.setAttribute("d", `M${xOf(position - 0.5)} ${yOf(most)}V${yOf(0)}`);
  }

  const watcher = new ResizeObserver(() => {
    width = svg.clientWidth;
    draw();
  });
  watcher.observe(svg);
  svg.addEventListener("click", (event) => {
    const x = event.clientX - svg.getBoundingClientRect().left - MARGIN.left;
    chosen(
      Math.max(
        1,
        Math.min(longest, Math.ceil((x / (width - MARGIN.left - MARGIN.right)) * longest)),
      ),
    );
  });

  return {
    element,
    /** @param {Alignment} alignment */
    fill(alignment) {
      laid = alignment;
      draw();
    },
    /** @param {number} at */
    mark(at) {
      position = at;
      cursor.setAttribute("d", width ? `M${xOf(at - 0.5)} ${yOf(most)}V${yOf(0)}` : "");
    },
    destroy: () => watcher.disconnect(),
  };
}

/** @param {string} text @param {number} x @param {number} y @param {string} anchor */
function wordAt(text, x, y, anchor) {
  const element = makeSvg("text", { class: "tr-curve-word", x, y, "text-anchor": anchor });
  element.textContent = text;
  return element;
}
