// @ts-check
/**
 * The tree as it is seen, as a file: an SVG that needs no style sheet, or a PNG drawn from it. All
 * in the browser.
 */

const NAMESPACE = "http://www.w3.org/2000/svg";
/**
 * What the style sheet decides about a shape, and about text; all of them are presentation
 * attributes too.
 */
const SHAPE = ["fill", "stroke", "stroke-width", "stroke-dasharray"];
const TEXT = [
  "fill",
  "stroke",
  "stroke-width",
  "paint-order",
  "font-family",
  "font-size",
  "font-weight",
  "text-anchor",
];
const INITIAL = new Map([
  ["stroke", "none"],
  ["stroke-dasharray", "none"],
  ["stroke-width", "1px"],
  ["paint-order", "normal"],
  ["text-anchor", "start"],
]);

/** Pixels of a PNG for one of the screen, and the most that every browser's canvas can hold. */
const SHARPNESS = 2;
const LONGEST_SIDE = 8192;
const LARGEST_AREA = 64_000_000;

/**
 * The drawing with its colours and fonts written into it. What does not show is left out.
 * @param {SVGSVGElement} drawing as it stands in the page
 * @param {string} ground colour behind it
 * @param {string} title
 * @returns {string}
 */
export function asSvgText(drawing, ground, title) {
  const copy = /** @type {SVGSVGElement} */ (drawing.cloneNode(true));
  settle(drawing, copy);
  for (const name of ["class", "style", "role", "aria-label", "aria-hidden"])
    copy.removeAttribute(name);
  const name = document.createElementNS(NAMESPACE, "title");
  name.textContent = title;
  const background = document.createElementNS(NAMESPACE, "rect");
  background.setAttribute("width", "100%");
  background.setAttribute("height", "100%");
  background.setAttribute("fill", plainColour(ground));
  copy.prepend(name, background);
  copy.setAttribute("xmlns", NAMESPACE);
  return new XMLSerializer().serializeToString(copy);
}

/**
 * Walk both trees side by side: computed styles are the original's, attributes the copy's.
 * @param {Element} from
 * @param {Element} to
 */
function settle(from, to) {
  const copies = [...to.children];
  [...from.children].forEach((child, i) => {
    const copy = copies[i];
    const style = getComputedStyle(child);
    if (child.localName === "title" || style.display === "none" || style.visibility === "hidden")
      return copy.remove();
    for (const { name } of [...copy.attributes]) {
      if (name === "class" || name === "style" || name.startsWith("data-"))
        copy.removeAttribute(name);
    }
    if (child.localName !== "g") writeStyle(style, copy);
    settle(child, copy);
    // Groups and lines that hold nothing in this phase.
    if ((child.localName === "g" && !copy.childElementCount) || copy.getAttribute("d") === "")
      copy.remove();
  });
}

/** @param {CSSStyleDeclaration} style @param {Element} copy */
function writeStyle(style, copy) {
  const isText = copy.localName === "text";
  if (isText) copy.setAttribute("xml:space", "preserve");
  for (const name of isText ? TEXT : SHAPE) {
    const value = style.getPropertyValue(name);
    const written = name === "fill" || name === "stroke" ? plainColour(value) : value;
    if (written && written !== INITIAL.get(name)) copy.setAttribute(name, written);
  }
}

/**
 * A colour that every program can read: mixed ones are computed by drawing them.
 * @param {string} colour
 */
function plainColour(colour) {
  if (colour === "none" || /^(#|rgb\()/.test(colour)) return colour;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.fillStyle = colour;
  pen.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
  return a ? `rgb(${r}, ${g}, ${b})` : "none";
}

/**
 * @param {string} svg what `asSvgText` gave
 * @param {number} width @param {number} height of the drawing on the screen, in pixels
 * @returns {Promise<Blob>}
 */
export async function asPng(svg, width, height) {
  const scale = Math.min(
    SHARPNESS,
    LONGEST_SIDE / Math.max(width, height),
    Math.sqrt(LARGEST_AREA / (width * height)),
  );
  const image = new Image();
  // Not by an object's address: from a page on the disk, that would count as another site's and
  // lock the canvas.
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = Math.ceil(width * scale);
  canvas.height = Math.ceil(height * scale);
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done, failed) => {
    canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("no picture"))), "image/png");
  });
}

/** Hand a file to the reader. @param {Blob} blob @param {string} name */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
