// @ts-check
/**
 * The explorer: `mount(element)` builds it inside an element; `receive(string)` feeds it the
 * records of viz/records/run_records.py. All drawing happens here in the browser; the panels read
 * one state and draw what has changed.
 */

import { make } from "./kit/dom.js";
import { listenToDrops, refusalOfFiles } from "./frame/drop.js";
import { createBanner, createHeader } from "./frame/header.js";
import { createEmpty, createHelp } from "./frame/help.js";
import { createInspector } from "./frame/inspector.js";
import { listenToKeys } from "./frame/keys.js";
import { createTour } from "./tour/tour.js";
import { createMatrixPanel } from "./frame/matrix.js";
import { createPanels } from "./frame/tabs.js";
import { PANELS } from "./panels/panels.js";
import { PHASE_MS, createPlayer, initialState } from "./state/player.js";
import { createProjector } from "./kit/projector.js";
import { addStep, draftedIn, endRun, learnAnalysis, openRun, tokenOf } from "./state/records.js";
import { createResume } from "./state/resume.js";
import { createRings } from "./frame/rings.js";
import { createStepsPanel } from "./frame/steps.js";
import { WORDS } from "./words/words.js";
import { addStyles } from "./styles.js";
import { createTextPanel } from "./frame/text.js";
import { createTreePanel } from "./frame/tree.js";
import { createWaiting } from "./frame/waiting.js";

const ROOT_ID = "tr-explorer";

/**
 * @typedef {import("./state/records.js").Run} Run
 * @typedef {import("./state/records.js").Received} Received
 */

/**
 * @param {HTMLElement} element where the explorer goes
 * @param {{onRequest?: import("./frame/tabs.js").OnRequest}} [options]
 *   `onRequest` gets where the reader is whenever that changes, and what the reader asks for.
 *   Without it examples and files are not offered.
 */
export function mount(element, { onRequest } = {}) {
  addStyles();
  const state = initialState();
  const root = make("div", "");
  root.id = ROOT_ID;
  root.lang = "en";
  if (!element.closest(".gradio-container, gradio-app")) root.dataset.standalone = "";

  let frame = 0;
  const player = createPlayer(state, () => {
    // Many changes in one frame are drawn once.
    frame ||= requestAnimationFrame(draw);
  });
  const help = createHelp();
  const frameBox = make("div", "tr-frame");
  const cards = createPanels(PANELS, state, player, onRequest);
  const tour = createTour({
    root,
    frame: frameBox,
    state,
    player,
    panels: cards,
    ask: () => onRequest?.({ type: "lessons" }),
  });
  const projector = createProjector(root, player.refresh);
  const rings = createRings(root, state);
  const header = createHeader(state, help.open, Boolean(onRequest), [
    tour.button,
    projector.button,
  ]);
  tour.button.hidden = !onRequest;
  const banner = createBanner(state, () => player.setError(null));
  const steps = createStepsPanel(state, player);
  const tree = createTreePanel(state, player);
  const text = createTextPanel(state, player);
  const resume = createResume(() => tour.own().state, runOf);
  const waiting = createWaiting();
  /** @type {{element: HTMLElement}[]} */
  const over = [banner, waiting];
  const regions = [
    header,
    banner,
    waiting,
    text,
    tree,
    createMatrixPanel(state, player),
    createInspector(state),
    steps,
  ];
  const empty = createEmpty(
    (name) => onRequest?.({ type: "example", name }),
    () => tour.open(),
    Boolean(onRequest),
  );
  const live = make("div", "tr-only-heard");
  live.setAttribute("aria-live", "polite");
  frameBox.append(
    ...regions.filter((region) => !over.includes(region)).map((region) => region.element),
    tour.element,
    empty.element,
  );
  root.append(frameBox, cards.element, banner.element, waiting.element, live, help.element);
  element.replaceChildren(root);

  let announced = "";
  function draw() {
    frame = 0;
    const run = state.run;
    root.dataset.step = String(state.step);
    root.dataset.steps = String(run?.steps.length ?? 0);
    root.dataset.phase = state.phase;
    root.style.setProperty("--tr-beat", `${PHASE_MS / (state.playing ? state.speed : 1)}ms`);
    root.classList.toggle("tr-is-empty", !run);
    root.classList.toggle("tr-is-waiting", Boolean(run && !run.steps.length));
    for (const region of regions) region.draw();
    cards.draw();
    rings.draw();
    text.settle();
    tree.settle();
    cards.settle();
    tour.settle(rings.first());
    animate();
    announce();
  }

  let beat = 0;
  let moved = "";
  /** Start the motion of a phase once, when it is entered. */
  function animate() {
    const moment = `${state.run?.id} ${state.step} ${state.phase}`;
    if (moment === moved) return;
    moved = moment;
    beat = 1 - beat;
    root.dataset.motion = state.animate ? String(beat) : "none";
  }

  function announce() {
    const step = state.run?.steps[state.step - 1];
    if (!step || !state.run) {
      live.textContent = state.run ? WORDS.reading : "";
      announced = "";
      return;
    }
    const moment = `${state.run.id} ${state.step} ${state.phase}`;
    if (moment === announced) return;
    // What is to be guessed is not given away to those who hear the page either.
    if (tour.isSecret()) {
      live.textContent = "";
      return;
    }
    announced = moment;
    const run = state.run;
    const label = (/** @type {number} */ id) => tokenOf(run, id).full;
    const accepted = step.path.map((node) => label(step.ids[node]));
    const words = WORDS.summary(
      step.index,
      draftedIn(step),
      accepted,
      step.bonus === null ? null : label(step.bonus),
      step.stop,
    );
    if (live.textContent !== words) live.textContent = words;
    if (!tour.isOpen())
      onRequest?.({ type: "view", run: run.id, step: state.step, phase: state.phase });
  }

  /**
   * The run that was started last: it goes on while the reader looks at another.
   * @type {Run | null}
   */
  let started = null;

  /** @param {string | undefined} id @returns {Run | null} */
  function runOf(id) {
    const { state: own } = tour.own();
    return [own.run, started, ...own.kept].find((run) => run?.id === id) ?? null;
  }

  /** A run that comes whole. @param {import("./state/records.js").WholeRun} record */
  function wholeRun(record) {
    const run = openRun(record.run, record.start);
    run.recorded = record.name ?? "";
    for (const step of record.steps) addStep(run, step);
    endRun(run, record.end ?? {});
    return run;
  }

  /** @param {Received | import("./tour/tour.js").Lessons} record */
  function take(record) {
    resume.take(record);
    waiting.take(record);
    if (tour.isOpen() && isWished(record)) tour.leave();
    const { state: own, player: reader } = tour.own();
    const current = own.run;
    const known = "run" in record ? runOf(record.run) : null;
    switch (record.type) {
      case "start":
        player.setError(null);
        if (known) break;
        started = openRun(record.run ?? "", record);
        reader.open(started);
        break;
      case "step":
        if (!known || !addStep(known, record)) break;
        player.setError(null);
        if (known === current) reader.added();
        else reader.refresh();
        break;
      case "end":
        if (known) endRun(known, record);
        // What was remembered of it while it went on was not all.
        if (known && own.kept.includes(known))
          onRequest?.({ type: "kept", run: known.id, shown: known === current });
        reader.refresh();
        break;
      case "run":
        player.setError(null);
        if (!known?.end || known.steps.length < record.steps.length) reader.open(wholeRun(record));
        else if (known !== current) reader.open(known);
        break;
      case "compare":
        player.setError(null);
        if (record.anew) reader.keepOnly([]);
        for (const id of record.known) {
          const run = runOf(id);
          if (run) reader.keep(run);
        }
        for (const content of record.runs) {
          const run = runOf(content.run) ?? wholeRun(content);
          if (!own.run) reader.open(run);
          reader.keep(run);
        }
        reader.openPanel("compare");
        break;
      case "progress":
        reader.setMaking(record.words === null ? null : { ...record, words: record.words });
        break;
      case "analysis":
        if (!known || !learnAnalysis(known, record)) break;
        if (known === current) reader.analysed();
        break;
      case "view":
        look(record, own, reader);
        break;
      case "lessons":
        tour.button.hidden = false;
        tour.receive(record);
        break;
      case "offer":
        empty.offer(record.examples);
        largestFile = record.largest;
        break;
      case "error":
        player.setError(record.sentence);
        break;
      case "queue":
      case "loading":
        player.refresh();
        break;
      case "forgotten":
        if (current?.id === record.run && resume.knows(record.run)) onRequest?.({ type: "again" });
        else player.setError(WORDS.gone);
        break;
      case "reset":
        player.setError(null);
        started = null;
        reader.open(null);
        break;
    }
  }

  /**
   * Whether a record that comes during the tour is something new, and not a run that goes on
   * meanwhile.
   * @param {Received | import("./tour/tour.js").Lessons} record
   */
  function isWished(record) {
    if (record.type === "step") return !runOf(record.run)?.running;
    return ["start", "run", "compare", "reset"].includes(record.type ?? "");
  }

  /**
   * Go where a view record says.
   * @param {import("./state/records.js").View} record
   * @param {import("./state/player.js").State} own
   * @param {import("./state/player.js").Player} reader
   */
  function look(record, own, reader) {
    reader.goTo(record.step, record.phase ?? undefined);
    if (record.panel !== undefined)
      reader.openPanel(cards.names.includes(record.panel ?? "") ? record.panel : null);
    const row = own.run?.steps[own.step - 1]?.rows.find(({ t }) => t === record.row);
    if (record.node !== undefined || row) reader.select(record.node ?? row?.n ?? null);
    if (record.highlight !== undefined) reader.ring(record.highlight);
  }

  /** The visitor's run does not go on by itself any more. */
  function endOwn() {
    const { run } = tour.own().state;
    if (run?.running) endRun(run, { stop: null, identical: null });
  }

  let largestFile = Infinity;
  const stopDrops =
    onRequest &&
    listenToDrops(root, {
      take: (files) => onRequest({ type: "files", files }),
      refuse: (sentence) => player.setError(sentence),
      largest: () => largestFile,
    });
  const stopKeys = listenToKeys({
    player,
    steps: () => state.run?.steps.length ?? 0,
    step: () => state.step,
    openHelp: help.open,
    more: () => ({ l: tour.toggle, p: projector.toggle, ...tour.keys() }),
    root,
  });
  draw();
  const linked = /^[1-9]\d?$/.exec(new URLSearchParams(location.search).get("lesson") ?? "");
  if (linked) tour.open(Number(linked[0]) - 1);

  return {
    /**
     * Take one record, or a list of them, as JSON. What is known already changes nothing.
     * @param {string} text
     */
    receive(text) {
      if (!text) return;
      const content = JSON.parse(text);
      for (const record of Array.isArray(content) ? content : [content]) take(record);
    },
    /**
     * Whether files that were chosen outside may be sent; a sentence says why not.
     * @param {File[]} files
     */
    mayTake(files) {
      const sentence = refusalOfFiles(files, largestFile);
      if (sentence) player.setError(sentence);
      return !sentence;
    },

    /** The run on the screen, for the server that is asked to go on with it. */
    claim: () => resume.claim(),

    /**
     * What the server is asked to save, and, if it does not have that, what is known of it here.
     */
    wish: resume.wish,
    handOver: resume.handOver,

    /** Whether the server said that it does not know the run, and nothing since. */
    isForgotten: () => resume.isForgotten(),

    /** Records that bring the run on the screen back to another page. */
    records: () => resume.records(),

    /** The page has lost its server: what is there stays. */
    lost() {
      waiting.say(WORDS.lost);
      endOwn();
      player.refresh();
    },

    /** The page has its server, and its run, again. */
    found() {
      waiting.say(WORDS.found);
      endOwn();
      player.refresh();
    },

    destroy() {
      cancelAnimationFrame(frame);
      player.destroy();
      stopKeys();
      stopDrops?.();
      tree.destroy();
      steps.destroy();
      cards.destroy();
      tour.destroy();
      root.remove();
    },
  };
}
