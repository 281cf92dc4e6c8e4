// @ts-check
/**
 * The header line: how well the run goes, what is run, and how it ended. And the banner for errors.
 */

import { make, makeButton, setText } from "../kit/dom.js";
import { WORDS } from "../words/words.js";

/**
 * @typedef {import("../state/player.js").State} State
 * @typedef {import("../state/records.js").Run} Run
 */

/**
 * @param {State} state
 * @param {() => void} openHelp
 * @param {boolean} canRun whether the reader can make runs here, or only look at one
 * @param {HTMLElement[]} buttons that stand before the one for help
 */
export function createHeader(state, openHelp, canRun, buttons) {
  const head = make("header", "tr-header");
  const headline = make("span", "tr-headline");
  headline.title = WORDS.perPassHint;
  const number = make("strong", "tr-number");
  headline.append(number, make("span", "", WORDS.tokensPerPass));
  const counted = make("span", "tr-figure");
  const passesMade = make("span", "");
  const passesSaved = make("span", "");
  passesSaved.title = WORDS.passesSavedHint;
  counted.append(passesMade, passesSaved);
  const speed = make("span", "tr-figure");
  speed.title = WORDS.perSecondHint;
  const check = make("span", "tr-chip-word tr-check");
  const recorded = make("span", "tr-chip-word tr-recorded");
  setText(recorded, canRun ? WORDS.recordedHere : WORDS.recorded);
  const model = make("span", "tr-chip-word");
  const drafter = make("span", "tr-chip-word");
  const status = make("span", "tr-state");
  status.setAttribute("role", "status");
  const progress = /** @type {HTMLProgressElement} */ (make("progress", "tr-progress"));
  progress.setAttribute("aria-label", WORDS.progress);
  const help = makeButton("tr-help-button", "?");
  help.setAttribute("aria-label", WORDS.help);
  help.title = WORDS.help;
  help.addEventListener("click", openHelp);
  head.append(
    headline,
    counted,
    speed,
    check,
    recorded,
    make("span", "tr-space-between"),
    model,
    drafter,
    status,
    progress,
    ...buttons,
    help,
  );

  return {
    element: head,
    draw() {
      const run = state.run;
      head.classList.toggle("tr-no-run", !run);
      if (!run) return;
      const { info, emitted, milliseconds, passes } = run;
      setText(number, passes ? (emitted / passes).toFixed(2) : "–");
      setText(passesMade, WORDS.tokensInPasses(emitted, passes));
      setText(passesSaved, emitted > passes ? WORDS.passesSaved(emitted - passes) : "");
      setText(
        speed,
        milliseconds > 0 ? WORDS.perSecond(inFigures((1000 * emitted) / milliseconds)) : "",
      );
      setText(model, [info.model, info.device, WORDS.dtypes[info.dtype] ?? info.dtype].join(" · "));
      setText(
        drafter,
        [info.drafter, WORDS.tree(info.tree, info.nodes), `k ${info.k}`, info.sampling].join(" · "),
      );
      model.title = [info.model, info.device, info.dtype].join(" · ");
      drafter.title = drafter.textContent ?? "";
      setText(status, stateOf(run));
      status.title = run.end?.stop ?? "";
      progress.hidden = !run.running || !info.limit;
      if (!progress.hidden && info.limit) {
        progress.max = info.limit;
        progress.value = emitted;
        progress.title = WORDS.progressOf(emitted, info.limit);
      }
      recorded.hidden = run.recorded === null;
      recorded.title = WORDS.recordedHint(run.recorded ?? "");
      head.dataset.state = run.running ? "running" : run.end ? "over" : "waiting";
      drawCheck(run);
    },
  };

  /** @param {Run} run */
  function drawCheck(run) {
    const identical = run.end?.identical;
    const word = !run.end
      ? ""
      : identical
        ? WORDS.lossless
        : identical === false
          ? WORDS.differs
          : WORDS.unchecked;
    setText(check, word);
    check.hidden = !word;
    check.dataset.identical = String(identical ?? "unknown");
    check.title = identical
      ? WORDS.losslessHint
      : identical === false
        ? WORDS.differsHint
        : WORDS.uncheckedHint;
  }
}

/** @param {Run} run */
function stateOf(run) {
  if (run.running) return WORDS.running;
  if (!run.end) return WORDS.waiting;
  return run.end.stop ? WORDS.finished : WORDS.interrupted;
}

/** Three figures are what the eye takes in. @param {number} value */
function inFigures(value) {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** @param {State} state @param {() => void} dismiss */
export function createBanner(state, dismiss) {
  const banner = make("div", "tr-banner");
  banner.setAttribute("role", "alert");
  const words = make("span", "tr-banner-words");
  const close = makeButton("tr-tool", WORDS.dismiss, "M4 4l8 8M12 4l-8 8");
  close.addEventListener("click", dismiss);
  banner.append(words, close);
  return {
    element: banner,
    draw() {
      banner.hidden = state.error === null;
      setText(words, state.error ?? "");
    },
  };
}
