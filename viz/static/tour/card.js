// @ts-check
/**
 * The card of the tour: chapters, text, prediction or question, and the way on. What happens is
 * lesson.js's.
 */

import { make, makeButton, setText } from "../kit/dom.js";
import { WORDS } from "../words/words.js";

/**
 * A paragraph, marked up in Python: texts, and texts with their mark.
 * @typedef {(string | ["b" | "code", string])[]} Paragraph
 * @typedef {{label: Paragraph, reply: Paragraph, right: boolean, node?: number, row?: number}}
 *   Option
 * @typedef {{kind: "predict" | "question", pick: "node" | "row" | "none", text: Paragraph, options:
 *   Option[], reveal?: string}} Ask
 * @typedef {{run: string, step: number, phase: string, text: Paragraph[], panel?: string, select?:
 *   number, highlight?: import("../state/records.js").Part, ask?: Ask}} Scene
 * @typedef {{title: string, minutes: number, scenes: Scene[]}} Chapter
 * @typedef {{chapters: Chapter[], chapter: number, scene: number, done: Set<number>, picked:
 *   number[], settled: boolean}} Reading `picked` are the answers tried, the last one last;
 *   `settled` whether the right one is out
 * @typedef {{go: (chapter: number, scene: number) => void, next: () => void, back: () => void,
 *   pick: (option: number) => void, leave: () => void}} Actions
 */

/** Letters that choose an answer. */
export const ANSWER_KEYS = "abcdefghi";

/** @param {Actions} actions */
export function createLessonCard(actions) {
  const card = make("section", "tr-lesson");
  card.setAttribute("aria-label", WORDS.tour);
  card.hidden = true;

  const head = make("div", "tr-lesson-head");
  const contents = makeButton(
    "tr-tool tr-lesson-contents",
    WORDS.chapters,
    "M2 4h12M2 8h12M2 12h12",
  );
  contents.setAttribute("aria-expanded", "false");
  const number = make("span", "tr-lesson-number");
  const leave = makeButton("tr-tool tr-lesson-leave", WORDS.leaveTour, "M4 4l8 8M12 4l-8 8");
  const progress = make("div", "tr-lesson-progress");
  const passed = make("span", "tr-lesson-passed");
  progress.setAttribute("role", "progressbar");
  progress.setAttribute("aria-label", WORDS.tourProgress);
  progress.append(passed);
  head.append(contents, number, leave);

  const list = make("ol", "tr-lesson-list");
  list.hidden = true;
  const body = make("div", "tr-lesson-body");
  body.tabIndex = 0;
  body.setAttribute("role", "group");
  const title = make("h2", "tr-lesson-title");
  const text = make("div", "tr-lesson-text");
  const ask = make("div", "tr-ask");
  const reply = make("p", "tr-reply");
  reply.setAttribute("role", "status");
  body.append(title, text, ask, reply);

  const foot = make("div", "tr-lesson-foot");
  const back = makeButton("tr-lesson-move", WORDS.lessonBack);
  const dots = make("span", "tr-lesson-dots");
  const next = makeButton("tr-lesson-move tr-lesson-next", WORDS.lessonNext);
  foot.append(back, dots, next);
  card.append(head, progress, list, body, foot);

  contents.addEventListener("click", () => showList(Boolean(list.hidden)));
  leave.addEventListener("click", actions.leave);
  back.addEventListener("click", actions.back);
  next.addEventListener("click", actions.next);

  /** @param {boolean} shown */
  function showList(shown) {
    list.hidden = !shown;
    body.hidden = shown;
    contents.setAttribute("aria-expanded", String(shown));
    const now = list.querySelector("[aria-current]");
    if (shown && now instanceof HTMLElement) now.focus();
  }

  /** @param {Reading} reading */
  function drawList(reading) {
    list.replaceChildren(
      ...reading.chapters.map((chapter, i) => {
        const item = make("li", "");
        const button = makeButton("tr-lesson-entry", chapter.title);
        if (i === reading.chapter) button.setAttribute("aria-current", "true");
        const done = reading.done.has(i);
        button.append(
          make(
            "span",
            "tr-lesson-minutes",
            `${done ? WORDS.chapterDone : ""} ${WORDS.minutes(chapter.minutes)}`,
          ),
        );
        button.classList.toggle("tr-lesson-done", done);
        button.addEventListener("click", () => actions.go(i, 0));
        item.append(button);
        return item;
      }),
    );
  }

  /** @param {Reading} reading */
  function drawAsk(reading) {
    const asked = sceneOf(reading).ask;
    ask.hidden = !asked;
    ask.replaceChildren();
    reply.replaceChildren();
    delete reply.dataset.right;
    if (!asked) return;
    const question = make("p", "tr-question");
    question.append(
      make("span", "tr-ask-kind", asked.kind === "predict" ? WORDS.predict : WORDS.question),
      ...marked(asked.text),
    );
    ask.append(question);
    if (asked.pick !== "none" && !reading.settled)
      ask.append(make("p", "tr-pick-hint", WORDS.pickHints[asked.pick]));
    const options = make(
      "div",
      asked.pick === "none" ? "tr-options" : "tr-options tr-options-short",
    );
    options.setAttribute("role", "group");
    options.setAttribute("aria-label", WORDS.answers);
    asked.options.forEach((option, i) => {
      const button = make("button", "tr-option");
      button.type = "button";
      button.dataset.option = String(i);
      const revealed = (reading.settled && option.right) || reading.picked.includes(i);
      if (revealed) button.dataset.right = String(option.right);
      const mark = make(
        "span",
        "tr-option-mark",
        revealed ? (option.right ? "✓" : "✗") : (ANSWER_KEYS[i] ?? "").toUpperCase(),
      );
      if (!revealed) mark.setAttribute("aria-hidden", "true");
      const label = make("span", "tr-option-label");
      label.append(...marked(option.label));
      button.append(mark, label);
      button.setAttribute("aria-pressed", String(reading.picked.at(-1) === i));
      button.addEventListener("click", () => actions.pick(i));
      options.append(button);
    });
    ask.append(options);
  }

  return {
    element: card,

    /** A scene comes on. @param {Reading} reading */
    draw(reading) {
      const chapter = reading.chapters[reading.chapter];
      card.hidden = false;
      card.dataset.chapter = String(reading.chapter + 1);
      card.dataset.scene = String(reading.scene + 1);
      setText(number, WORDS.chapterOf(reading.chapter + 1, reading.chapters.length));
      const scenes = reading.chapters.map((each) => each.scenes.length);
      const all = scenes.reduce((a, b) => a + b, 0);
      const come = scenes.slice(0, reading.chapter).reduce((a, b) => a + b, 0) + reading.scene + 1;
      progress.setAttribute("aria-valuemax", String(all));
      progress.setAttribute("aria-valuenow", String(come));
      passed.style.width = `${(100 * come) / all}%`;
      setText(title, chapter.title);
      text.replaceChildren(...sceneOf(reading).text.map(paragraph));
      body.setAttribute(
        "aria-label",
        WORDS.sceneName(chapter.title, reading.scene + 1, chapter.scenes.length),
      );
      setText(dots, WORDS.sceneOf(reading.scene + 1, chapter.scenes.length));
      back.disabled = reading.chapter === 0 && reading.scene === 0;
      drawList(reading);
      drawAsk(reading);
      this.drawWay(reading);
      showList(false);
      body.scrollTop = 0;
      body.focus({ preventScroll: true });
    },

    /**
     * An answer was tried, or the right one shown.
     * @param {Reading} reading
     * @param {Option | null} said
     */
    answer(reading, said) {
      const focused =
        document.activeElement instanceof HTMLElement
          ? document.activeElement.dataset.option
          : undefined;
      drawAsk(reading);
      if (said) {
        reply.dataset.right = String(said.right);
        const picked = sceneOf(reading).ask?.options[reading.picked.at(-1) ?? -1] === said;
        // The colour is for the eye; the words themselves say whether it was right.
        const verdict = !said.right
          ? WORDS.notQuite
          : picked
            ? WORDS.right
            : WORDS.answerIs(plain(said.label));
        reply.append(make("strong", "", `${verdict} `), ...marked(said.reply));
      }
      const again = focused === undefined ? null : ask.querySelector(`[data-option="${focused}"]`);
      if (again instanceof HTMLElement) again.focus({ preventScroll: true });
      reply.scrollIntoView({ block: "nearest" });
      this.drawWay(reading);
    },

    /** @param {Reading} reading */
    drawWay(reading) {
      const last =
        reading.chapter === reading.chapters.length - 1 &&
        reading.scene === reading.chapters[reading.chapter].scenes.length - 1;
      const hidden = Boolean(sceneOf(reading).ask) && !reading.settled;
      const over = reading.scene === reading.chapters[reading.chapter].scenes.length - 1;
      setText(
        next,
        hidden
          ? WORDS.showMe
          : last
            ? WORDS.finishTour
            : over
              ? WORDS.nextChapter
              : WORDS.lessonNext,
      );
    },

    hide() {
      card.hidden = true;
    },
    isListShown: () => !list.hidden,
    showList,
  };
}

/** @param {Reading} reading */
export function sceneOf(reading) {
  return reading.chapters[reading.chapter].scenes[reading.scene];
}

/** @param {Paragraph} parts @returns {Node[]} */
function marked(parts) {
  return parts.map((part) =>
    typeof part === "string"
      ? document.createTextNode(part)
      : make(part[0] === "b" ? "strong" : "code", "", part[1]),
  );
}

/** @param {Paragraph} parts */
function paragraph(parts) {
  const element = make("p", "");
  element.append(...marked(parts));
  return element;
}

/** @param {Paragraph} parts */
function plain(parts) {
  return parts.map((part) => (typeof part === "string" ? part : part[1])).join("");
}
