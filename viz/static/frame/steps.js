// @ts-check
/** The steps panel: the chart that is the scrubber, the slider, and the transport buttons. */

import { make, makeButton, makePanel, makeSvg, setText } from "../kit/dom.js";
import { WORDS } from "../words/words.js";

/**
 * @typedef {import("../state/player.js").State} State
 * @typedef {import("../state/player.js").Player} Player
 */

const SPEEDS = [0.5, 1, 2, 4, 8];
const CHART_HEIGHT = 52;
/** A chart of few steps keeps its bars slim. */
const WIDEST_BAR = 24;

const DRAWINGS = {
  first: "M3 3v10M13 3.5v9L6 8z",
  back: "M11.5 3.5v9L5 8z",
  play: "M5 3v10l8-5z",
  pause: "M5 3.5v9M11 3.5v9",
  forward: "M4.5 3.5v9L11 8z",
  last: "M13 3v10M3 3.5v9L10 8z",
};

/** @param {State} state @param {Player} player */
export function createStepsPanel(state, player) {
  const { panel, head, note } = makePanel("tr-steps", WORDS.stepsTitle);
  setText(note, WORDS.stepsHead);
  const place = make("label", "tr-step-of");
  const number = make("input", "tr-step-input");
  number.type = "number";
  number.min = "1";
  number.setAttribute("aria-label", WORDS.stepInput);
  number.title = WORDS.stepInput;
  const inAll = make("span", "");
  place.append(number, inAll);
  head.append(place);

  const chart = makeSvg("svg", {
    class: "tr-chart",
    height: CHART_HEIGHT,
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  const accepted = makeSvg("path", { class: "tr-chart-accepted" });
  const bonus = makeSvg("path", { class: "tr-chart-bonus" });
  const now = makeSvg("rect", { class: "tr-chart-now", y: 0, height: CHART_HEIGHT, rx: 2 });
  const marks = makeSvg("path", { class: "tr-chart-marks" });
  chart.append(now, accepted, bonus, marks);

  const slider = make("input", "tr-slider");
  slider.type = "range";
  slider.min = "1";
  slider.step = "1";
  slider.setAttribute("aria-label", WORDS.slider);

  const first = makeButton("tr-move", WORDS.first, DRAWINGS.first);
  const back = makeButton("tr-move", WORDS.back, DRAWINGS.back);
  const play = makeButton("tr-move tr-play", WORDS.play, DRAWINGS.play);
  const forward = makeButton("tr-move", WORDS.forward, DRAWINGS.forward);
  const last = makeButton("tr-move", WORDS.last, DRAWINGS.last);
  const speed = make("select", "tr-speed");
  speed.setAttribute("aria-label", WORDS.speed);
  for (const times of SPEEDS) {
    const option = make("option", "", `${times}×`);
    option.value = String(times);
    option.selected = times === state.speed;
    speed.append(option);
  }
  const unread = make("button", "tr-unread");
  unread.type = "button";
  const lastPlace = make("span", "tr-last-place");
  lastPlace.append(last, unread);
  const transport = make("div", "tr-transport");
  transport.append(first, back, play, forward, lastPlace, speed);
  panel.append(chart, slider, transport);

  const playPicture = /** @type {SVGPathElement} */ (play.querySelector("path"));
  const steps = () => state.run?.steps ?? [];
  let pitch = 0;
  let width = 0;
  let drawn = "";

  first.addEventListener("click", () => player.goTo(1));
  back.addEventListener("click", () => player.goTo(state.step - 1));
  play.addEventListener("click", () => player.toggle());
  forward.addEventListener("click", () => player.goTo(state.step + 1));
  last.addEventListener("click", () => player.goTo(steps().length));
  unread.addEventListener("click", () => player.goTo(steps().length));
  speed.addEventListener("change", () => player.setSpeed(Number(speed.value)));
  // Not with each digit: on the way to 12 there is no step 1 to be seen.
  number.addEventListener("change", () => {
    const wanted = Math.round(Number(number.value));
    if (wanted) player.goTo(wanted);
    number.value = String(state.step);
    // So that the arrow keys step again.
    number.blur();
  });
  slider.addEventListener("input", () => player.goTo(Number(slider.value)));

  /** @param {PointerEvent} event */
  function scrub(event) {
    if (!(event.buttons & 1) || !steps().length) return;
    const x = event.clientX - chart.getBoundingClientRect().left;
    const step = Math.max(1, Math.min(steps().length, Math.floor(x / pitch) + 1));
    if (step !== state.step) player.goTo(step);
  }
  chart.addEventListener("pointerdown", (event) => {
    chart.setPointerCapture(event.pointerId);
    scrub(event);
  });
  chart.addEventListener("pointermove", scrub);

  const watcher = new ResizeObserver(() => {
    width = chart.clientWidth;
    drawn = "";
    drawChart();
  });
  watcher.observe(chart);

  /** Two paths for all bars, so that a chart of hundreds of steps costs as little as one of ten. */
  function drawChart() {
    const all = steps();
    const key = `${state.run?.id} ${all.length} ${width}`;
    if (key !== drawn && width) {
      drawn = key;
      pitch = Math.min(WIDEST_BAR, width / Math.max(1, all.length));
      const bar = Math.max(0.6, pitch > 4 ? pitch - 2 : pitch * 0.8);
      const unit = (CHART_HEIGHT - 4) / Math.max(4, ...all.map((step) => step.emitted.length));
      let [low, high] = ["", ""];
      all.forEach((step, i) => {
        const x = i * pitch + (pitch - bar) / 2;
        const path = step.path.length * unit;
        low += `M${x} ${CHART_HEIGHT}h${bar}v${-path}h${-bar}z`;
        if (step.bonus !== null) high += `M${x} ${CHART_HEIGHT - path}h${bar}v${-unit}h${-bar}z`;
      });
      chart.setAttribute("viewBox", `0 0 ${width} ${CHART_HEIGHT}`);
      accepted.setAttribute("d", low);
      bonus.setAttribute("d", high);
    }
    drawMarks();
    // The slider's thumb, 16 wide, stands exactly under the bar.
    slider.style.width = all.length > 1 ? `${(all.length - 1) * pitch + 16}px` : "";
    slider.style.marginLeft = all.length > 1 ? `${pitch / 2 - 8}px` : "";
    const shown = Math.max(pitch, 3);
    now.setAttribute("x", String((state.step - 0.5) * pitch - shown / 2));
    now.setAttribute("width", String(state.step ? shown : 0));
  }

  /** A wedge above every marked step. */
  function drawMarks() {
    const half = Math.max(2, Math.min(4, pitch / 2));
    const wedges = (state.marks?.steps ?? []).map(
      (step) => `M${(step - 0.5) * pitch - half} 0h${2 * half}l${-half} 5z`,
    );
    marks.setAttribute("d", pitch ? wedges.join("") : "");
  }

  return {
    element: panel,
    draw() {
      const count = steps().length;
      slider.max = String(Math.max(1, count));
      slider.disabled = !count;
      if (slider.value !== String(state.step)) slider.value = String(state.step);
      slider.setAttribute("aria-valuetext", WORDS.stepOf(state.step, count));
      place.hidden = !count;
      number.max = String(count);
      if (document.activeElement !== number) number.value = String(state.step);
      setText(inAll, WORDS.stepsInAll(count));
      for (const button of [first, back]) button.disabled = state.step <= 1;
      for (const button of [forward, last]) button.disabled = state.step >= count;
      play.disabled = !count;
      const name = state.playing ? WORDS.pause : WORDS.play;
      if (play.title !== name) {
        play.title = name;
        play.setAttribute("aria-label", name);
        playPicture.setAttribute("d", state.playing ? DRAWINGS.pause : DRAWINGS.play);
      }
      speed.value = String(state.speed);
      setText(unread, state.unread ? WORDS.newSteps(state.unread) : "");
      unread.classList.toggle("tr-shown", state.unread > 0);
      unread.tabIndex = state.unread ? 0 : -1;
      drawChart();
    },
    destroy: () => watcher.disconnect(),
  };
}
