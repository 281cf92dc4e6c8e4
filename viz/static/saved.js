// @ts-check
/**
 * The page that viz/export.py writes: the explorer, fed with the record that lies in the page
 * itself.
 */

import { mount } from "./explorer.js";
import { unpack } from "./kit/unpack.js";

const host = /** @type {HTMLElement} */ (document.getElementById("tr-saved-explorer"));
const record = /** @type {HTMLElement} */ (document.getElementById("tr-saved-record"));
const explorer = mount(host);
unpack(record.textContent ?? "").then(explorer.receive);
