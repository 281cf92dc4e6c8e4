// @ts-check
/** The inspector: one node, why it was kept or not, and what the model says after it. */

import { clip, make, makePanel, setText } from "../kit/dom.js";
import { isJudged, shownNode } from "../state/player.js";
import { BONUS_NODE, CHANCES, pathEnd, tokenOf } from "../state/records.js";
import { keyOf, sourceOf } from "../state/sources.js";
import { WORDS } from "../words/words.js";

/**
 * @typedef {import("../state/records.js").Run} Run
 * @typedef {import("../state/records.js").Step} Step
 * @typedef {import("../state/player.js").State} State
 */

const LONGEST_NAME = 40;
const LONGEST_MENTION = 18;

/** @param {State} state */
export function createInspector(state) {
  const { panel } = makePanel("tr-inspector", WORDS.inspectorTitle);
  const body = make("div", "tr-inspector-body");
  body.tabIndex = 0;
  body.setAttribute("role", "group");
  body.setAttribute("aria-label", WORDS.inspectorTitle);
  const line = make("div", "tr-subject");
  const name = make("span", "tr-subject-name");
  const place = make("span", "tr-subject-place");
  line.append(name, place);
  const verdict = make("p", "tr-verdict");
  verdict.setAttribute("aria-live", "polite");
  const source = make("p", "tr-source");
  const title = make("p", "tr-next");
  const bars = make("div", "tr-bars");
  const outside = make("p", "tr-outside");
  body.append(line, verdict, source, title, bars, outside);
  panel.append(body);

  /** @type {Step | null} */
  let step = null;
  let drawn = "";

  /** @param {Run} run @param {number} id */
  const mention = (run, id) => clip(tokenOf(run, id).full, LONGEST_MENTION);

  /** @param {Run} run @param {Step} shown @param {number} at */
  function draw(run, shown, at) {
    const isBonus = at === BONUS_NODE;
    // The bonus was not scored itself; what the model says is what it said where the path ended.
    const scored = isBonus ? pathEnd(shown) : at;
    const id = isBonus ? /** @type {number} */ (shown.bonus) : shown.ids[at];
    const why = isBonus ? "b" : shown.why[at];
    const parent = isBonus ? scored : shown.parents[at];
    const depth = isBonus ? shown.x[scored] + 1 : shown.x[at];
    const position = shown.committed - 1 + depth;
    const below = parent >= 0 ? mention(run, shown.ids[parent]) : "";
    setText(name, why === "u" ? WORDS.status.unseen : clip(tokenOf(run, id).full, LONGEST_NAME));
    name.className = `tr-subject-name tr-is-${why === "a" && !isJudged(state) ? "x" : why}`;
    setText(
      place,
      isBonus
        ? WORDS.placeBonus(id, depth, below, position)
        : at === 0
          ? WORDS.placeRoot(id, position)
          : WORDS.place(id, depth, shown.ranks[at], below, position),
    );
    name.title = tokenOf(run, id).full;
    place.title = place.textContent ?? "";
    setText(verdict, isBonus ? WORDS.verdictBonus(below) : verdictOf(run, shown, at, below));
    setText(source, isBonus ? "" : sourceWords(run, shown, at));
    source.hidden = !source.textContent;
    if (state.phase === "draft" && !isBonus) drawRow(run, shown, at);
    else drawBars(run, shown, scored, why === "u", isBonus);
  }

  /**
   * Where a node came from and what was expected of it, where the trace says.
   * @param {Run} run
   * @param {Step} shown
   * @param {number} at
   */
  function sourceWords(run, shown, at) {
    const origin = shown.src ? sourceOf(shown, at) : null;
    const words = [];
    if (origin?.place !== undefined && origin.place >= 0)
      words.push(WORDS.sourceOfNode.lookup(origin.place));
    else if (origin?.name.startsWith("row")) {
      const key = keyOf(run, shown, at, origin.key).map((id) => `“${mention(run, id)}”`);
      words.push(WORDS.sourceOfNode.row(key.join(" ")));
    } else if (origin) words.push(WORDS.sourceOfNode.other(WORDS.sources[origin.name]));
    if (at && shown.exp && shown.status[at] !== "u")
      words.push(WORDS.expectedOfNode(shown.exp[at]));
    return words.join(" ");
  }

  /** @param {Run} run @param {Step} shown @param {number} at @param {string} below */
  function verdictOf(run, shown, at, below) {
    if (!isJudged(state) && shown.why[at] !== "u") {
      if (state.phase === "draft")
        return at ? WORDS.proposed(below, shown.ranks[at]) : WORDS.verdict.r();
      return WORDS.asked(mention(run, shown.ids[at]), mention(run, shown.choices[at]));
    }
    const choice = at > 0 ? mention(run, shown.choices[shown.parents[at]]) : "";
    return WORDS.verdict[/** @type {keyof typeof WORDS.verdict} */ (shown.why[at])](below, choice);
  }

  /**
   * Before the model has spoken: the row that the children come out of.
   * @param {Run} run
   * @param {Step} shown
   * @param {number} at
   */
  function drawRow(run, shown, at) {
    const row = shown.why[at] === "u" ? undefined : shown.rows.find(({ t }) => t === shown.ids[at]);
    setText(title, row?.b.length ? WORDS.rowNow(mention(run, shown.ids[at])) : "");
    setText(outside, "");
    keepBars(row?.b.length ?? 0);
    row?.b.forEach((id, i) => {
      const [word, track, share, mark] = bars.children[i].children;
      const child = childOf(shown, at, id);
      bars.children[i].classList.remove("tr-bar-chosen");
      setText(word, tokenOf(run, id).label);
      /** @type {HTMLElement} */ (track.firstElementChild).style.width = "0";
      setText(share, "");
      setText(mark, child > 0 ? WORDS.draftedAt(shown.ranks[child]) : "");
    });
  }

  /** @param {number} count */
  function keepBars(count) {
    while (bars.children.length > count) bars.lastElementChild?.remove();
    while (bars.children.length < count) bars.append(makeBar());
  }

  /**
   * @param {Run} run
   * @param {Step} shown
   * @param {number} at
   * @param {boolean} filler
   * @param {boolean} isBonus
   */
  function drawBars(run, shown, at, filler, isBonus) {
    const label = mention(run, shown.ids[at]);
    setText(title, filler ? "" : isBonus ? WORDS.nextBonus(label) : WORDS.next(label));
    const candidates = filler ? [] : shown.top[at];
    keepBars(candidates.length);
    candidates.forEach((id, i) => {
      const [word, track, share, mark] = bars.children[i].children;
      const probability = shown.p[at][i] / CHANCES;
      const chosen = id === shown.choices[at];
      const child = childOf(shown, at, id);
      bars.children[i].classList.toggle("tr-bar-chosen", chosen);
      setText(word, tokenOf(run, id).label);
      /** @type {HTMLElement} */ (word).title = `“${tokenOf(run, id).full}” · id ${id}`;
      /** @type {HTMLElement} */ (track.firstElementChild).style.width = `${100 * probability}%`;
      setText(share, probability.toFixed(2));
      setText(
        mark,
        [chosen ? `● ${WORDS.choice}` : "", child > 0 ? WORDS.draftedAt(shown.ranks[child]) : ""]
          .filter(Boolean)
          .join(" · "),
      );
    });
    const missed = !filler && !candidates.includes(shown.choices[at]);
    setText(
      outside,
      missed ? WORDS.outside(mention(run, shown.choices[at]), candidates.length) : "",
    );
  }

  return {
    element: panel,
    draw() {
      const next = state.run?.steps[state.step - 1] ?? null;
      const at = shownNode(state);
      const phase = isJudged(state) ? "judged" : state.phase;
      if (next === step && drawn === `${at} ${phase}`) return;
      step = next;
      drawn = `${at} ${phase}`;
      body.hidden = !next;
      if (next && state.run) draw(state.run, next, at);
    },
  };
}

/**
 * The drafted child of a node that has this token; −1 if there is none.
 * @param {Step} step
 * @param {number} parent
 * @param {number} id
 */
function childOf(step, parent, id) {
  return step.ids.findIndex(
    (token, n) => n > 0 && step.parents[n] === parent && token === id && step.status[n] !== "u",
  );
}

function makeBar() {
  const bar = make("div", "tr-bar");
  const track = make("span", "tr-bar-track");
  track.append(make("span", "tr-bar-fill"));
  bar.append(
    make("span", "tr-bar-word"),
    track,
    make("span", "tr-bar-share"),
    make("span", "tr-bar-mark"),
  );
  return bar;
}
