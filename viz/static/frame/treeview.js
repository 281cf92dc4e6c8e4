// @ts-check
/**
 * The window onto the tree: how large it is drawn, and moving it. Scrolling is the browser's own.
 */

/** Rows and columns of the layout in pixels at scale 1. */
export const ROW_HEIGHT = 14;
const WIDEST_COLUMN = 150;

const LARGEST_SCALE = 4;
/**
 * How large a tree is drawn: the largest scale that a window is filled with, the one at which a
 * tree starts that would need a smaller one than can be read, and the narrowest column at scale 1.
 * @typedef {{largest: number, readable: number, starting: number, narrowest: number}} Sizes
 */

/** @type {Sizes} */
const NEAR = { largest: 1.6, readable: 0.72, starting: 0.92, narrowest: 92 };
/** From the back of a class room. */
const FAR = { largest: 3, readable: 1.3, starting: 1.45 };
/** A small tree of short words. */
const SHORT = { largest: 3, narrowest: 74 };

/** The sizes that fit where a tree stands. @param {Element} element */
export function sizesAt(element) {
  return {
    ...NEAR,
    ...(element.closest(".tr-projector") ? FAR : {}),
    ...(element.closest(".tr-few") ? SHORT : {}),
  };
}

/**
 * @typedef {object} Fitted
 * @property {number} scale
 * @property {number} column width of a column at scale 1
 */

/**
 * The scale and column width at which a tree fills the window best.
 * @param {{columns: number, rows: number}} size
 * @param {{width: number, height: number}} room
 * @param {boolean} whole whether all of it must be seen, however small
 * @param {Sizes} [sizes]
 * @returns {Fitted}
 */
export function fitTree(size, room, whole, sizes = NEAR) {
  const byHeight = Math.min(room.height / (size.rows * ROW_HEIGHT), sizes.largest);
  const byWidth = room.width / (size.columns * sizes.narrowest);
  let scale = Math.min(byHeight, byWidth);
  if (!whole && scale < sizes.readable) scale = sizes.starting;
  const column = Math.max(
    sizes.narrowest,
    Math.min(WIDEST_COLUMN, room.width / (size.columns * scale)),
  );
  return { scale, column };
}

/**
 * Zoom by Ctrl + wheel and drag to move.
 * @param {HTMLElement} scroller
 * @param {() => number} scaleNow
 * @param {(scale: number) => void} setScale
 */
export function createZoom(scroller, scaleNow, setScale) {
  /**
   * @param {number} factor
   * @param {number} [x]
   * @param {number} [y] point that stays where it is, in the window
   */
  function zoomBy(factor, x = scroller.clientWidth / 2, y = scroller.clientHeight / 2) {
    const before = scaleNow();
    const after = Math.max(0.08, Math.min(LARGEST_SCALE, before * factor));
    const left = (scroller.scrollLeft + x) / before;
    const top = (scroller.scrollTop + y) / before;
    setScale(after);
    scroller.scrollLeft = left * after - x;
    scroller.scrollTop = top * after - y;
  }

  scroller.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const box = scroller.getBoundingClientRect();
      zoomBy(Math.exp(-event.deltaY * 0.002), event.clientX - box.left, event.clientY - box.top);
    },
    { passive: false },
  );

  /** @type {{x: number, y: number, left: number, top: number} | null} */
  let grip = null;
  scroller.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button !== 0) return;
    grip = {
      x: event.clientX,
      y: event.clientY,
      left: scroller.scrollLeft,
      top: scroller.scrollTop,
    };
  });
  scroller.addEventListener("pointermove", (event) => {
    if (!grip) return;
    if (!(event.buttons & 1)) return release();
    const [dx, dy] = [event.clientX - grip.x, event.clientY - grip.y];
    // A click wobbles by a pixel or two; capturing it would take the click away from the node.
    if (!scroller.hasPointerCapture(event.pointerId)) {
      if (Math.hypot(dx, dy) < 4) return;
      scroller.setPointerCapture(event.pointerId);
      scroller.classList.add("tr-gripped");
    }
    scroller.scrollLeft = grip.left - dx;
    scroller.scrollTop = grip.top - dy;
  });
  const release = () => {
    grip = null;
    scroller.classList.remove("tr-gripped");
  };
  scroller.addEventListener("pointerup", release);
  scroller.addEventListener("pointercancel", release);
  return { zoomBy };
}
