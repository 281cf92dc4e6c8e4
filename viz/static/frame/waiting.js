// @ts-check
/** One line above the text while a run waits: for its turn, for its model, or for the server. */

import { make, setText } from "../kit/dom.js";
import { WORDS } from "../words/words.js";

export function createWaiting() {
  const line = make("p", "tr-waiting");
  line.setAttribute("role", "status");
  let words = "";

  return {
    element: line,
    draw() {
      line.hidden = !words;
      setText(line, words);
    },

    /** @param {any} record */
    take(record) {
      if (record.type === "queue") words = WORDS.queue(record.ahead, record.seconds);
      else if (record.type === "loading")
        words = WORDS.loading(record.model, record.seconds, record.doing);
      else if (record.type !== "checkpoint" && record.type !== "view") words = "";
    },

    /** @param {string} sentence */
    say(sentence) {
      words = sentence;
    },
  };
}
