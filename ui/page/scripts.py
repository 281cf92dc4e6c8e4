"""Lines of JavaScript that tie Gradio's components to the explorer in viz/static. Constants: no
text goes in.
"""

import json
from collections.abc import Sequence

from ui.tab.controls import Control

# The explorer is loaded once from its own files; each new value is one record, or a list of
# records, as JSON text. Values that arrive before the module has loaded wait in `early`.
MOUNT_EXPLORER = """
const root = (window.gradio_config && window.gradio_config.root) || location.href;
const early = [];
let explorer = null;
window.trClaim = () => explorer?.claim() ?? "";
window.trWish = (what) => explorer?.wish(what) ?? "";
window.trHandOver = (wish) => (wish && explorer?.handOver(wish)) || "";
const receive = () => { if (props.value) { explorer ? explorer.receive(props.value) : early.push(props.value); } };
watch("value", receive);
receive();
const base = new URL(root.replace(/[?#].*$/, "").replace(/\\/?$/, "/"));
import(new URL("tr/explorer.js", base)).then((module) => {
  explorer = module.mount(element.querySelector("#tr-explorer-host"), { onRequest: ask });
  early.forEach((value) => explorer.receive(value));
  import(new URL("tr/connection.js", base)).then((kept) => kept.keepPage(base, explorer, () => window.trControls));
});
// A file that is too large would be sent for nothing, and Gradio would not say why it comes to nothing.
document.addEventListener("change", (event) => {
  const files = event.target instanceof HTMLInputElement && event.target.closest("#tr-controls") && event.target.files;
  if (!explorer || !files || !files.length || explorer.mayTake([...files])) return;
  event.stopImmediatePropagation();
  event.target.value = "";
}, true);
// Enter takes the first of the names on offer that holds what was typed: “paper · 80 nodes” for an 8.
document.addEventListener("keydown", (event) => {
  const box = event.target instanceof HTMLInputElement && event.target.closest("#tr-choose-tree") ? event.target : null;
  if (!box || event.key !== "Enter" || !/^[0-9]+$/.test(box.value.trim())) return;
  event.stopImmediatePropagation();
  box.blur();
}, true);
// Gradio passes over a click while the one before is not over, so it takes a few until the next record comes.
function pressAgain() {
  if (!explorer.isForgotten()) return;
  document.getElementById(window.trPressed)?.click();
  setTimeout(pressAgain, 300);
}
function ask(request) {
  if (request.type === "example") trigger("input", { example: request.name });
  if (request.type === "lessons") trigger("input", { example: null });
  if (request.type === "kept") trigger("select", { run: request.run, shown: request.shown });
  if (request.type === "save comparison") trigger("submit", { format: request.format, runs: request.runs });
  if (request.type === "again") pressAgain();
  if (request.type !== "files") return;
  // A dropped file goes the way of a chosen one, so that Gradio's own upload takes and checks it.
  const input = document.querySelector("#tr-drop input[type=file]");
  const content = new DataTransfer();
  request.files.forEach((file) => content.items.add(file));
  input.files = content.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}
"""

# Without the right to write the clipboard, which plain http does not give, the link can still be
# copied from its box.
COPY_LINK = """async (query) => {
  const link = location.origin + location.pathname + "?" + query;
  try { await navigator.clipboard.writeText(link); } catch {}
  return link;
}"""

# What connection.js laid aside, once.
TAKE_UP_CONTROLS = """() => {
  try {
    const kept = sessionStorage.getItem("tr-controls");
    sessionStorage.removeItem("tr-controls");
    return kept ?? "";
  } catch { return ""; }
}"""

# A wish that the server gave back is one for runs that it does not have.
HAND_OVER = "(wish) => window.trHandOver(wish)"

DOWNLOAD = "() => document.querySelector('#tr-download').click()"

# On a phone the explorer stands below all controls: whoever presses Step or Run wants to see what
# it does.
SHOW_EXPLORER = (
    "() => { if (innerWidth <= 760) document.querySelector('#tr-main').scrollIntoView(); }"
)


def save_request(what: str) -> str:
    """Fills in a ``browser_state.SaveRequest`` for the run on the screen."""
    return f"() => window.trWish({json.dumps(what)})"


def with_browser_state(button: str) -> str:
    """Fills in a ``browser_state.BrowserState`` as the last value of a click on this button."""
    return f"""(...values) => {{
  window.trPressed = {json.dumps(button)};
  return [...values.slice(0, -1), window.trClaim()];
}}"""


def kept_controls(controls: Sequence[Control]) -> str:
    """Keeps the controls' values as a query string, for a page that must load again."""
    kinds = [[control.key, control.kind] for control in controls]
    return f"""(...values) => {{
  const query = new URLSearchParams();
  {json.dumps(kinds)}.forEach(([key, kind], i) => {{
    const value = values[i];
    if (value === null || kind === "file") return;
    if (kind === "lines") String(value).split("\\n").filter(Boolean).forEach((line) => query.append(key, line));
    else query.set(key, typeof value === "boolean" ? Number(value) : value);
  }});
  window.trControls = query.toString();
}}"""
