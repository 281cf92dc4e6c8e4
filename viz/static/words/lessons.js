// @ts-check
/**
 * The English words of the tour and of projector mode; see words.js. The text of its chapters is
 * in assets/lessons.
 */

export const LESSON_WORDS = {
  learn: "Learn",
  learnHint: "A tour in twelve short chapters, twenty minutes (L)",
  takeTour: "New here? Take the tour, 20 minutes",
  emptyTour:
    "A tour of Token Recycling in twelve short chapters: " +
    "first a toy that fits on a sheet of paper, then recorded runs of a real model.",
  tour: "Tour",
  tourProgress: "progress of the tour",
  chapters: "All chapters",
  chapterOf: (/** @type {number} */ chapter, /** @type {number} */ all) =>
    `Chapter ${chapter} of ${all}`,
  sceneOf: (/** @type {number} */ scene, /** @type {number} */ all) => `${scene} / ${all}`,
  sceneName: (
    /** @type {string} */ title,
    /** @type {number} */ scene,
    /** @type {number} */ all,
  ) => `${title}, part ${scene} of ${all}`,
  chapterDone: "✓ done ·",
  minutes: (/** @type {number} */ minutes) => `${minutes} min`,
  leaveTour: "Leave the tour",
  lessonBack: "Previous",
  lessonNext: "Next",
  nextChapter: "Next chapter",
  finishTour: "Finish",
  showMe: "Show me",
  predict: "Predict",
  question: "Question",
  pickHints: {
    node: "Click a word of the tree, or choose here:",
    row: "Click a row of the matrix, or choose here:",
  },
  answers: "Answers",
  right: "Right.",
  notQuite: "Not quite.",
  answerIs: (/** @type {string} */ label) => `The answer: ${label}.`,
  projector: "Projector mode",
  projectorHint: "Large type and high contrast, for a classroom (P)",
};
