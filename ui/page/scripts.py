"""JavaScript that ties Gradio's components to the explorer in viz/static.

Constants: no text of a visitor goes in.
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
const receive = () => {
  if (!props.value) return;
  explorer ? explorer.receive(props.value) : early.push(props.value);
};
watch("value", receive);
receive();
const base = new URL(root.replace(/[?#].*$/, "").replace(/\\/?$/, "/"));
import(new URL("tr/explorer.js", base)).then((module) => {
  explorer = module.mount(element.querySelector("#tr-explorer-host"), { onRequest: ask });
  early.forEach((value) => explorer.receive(value));
  import(new URL("tr/connection.js", base)).then((connection) =>
    connection.keepPage(base, explorer, () => window.trControls));
});
// Refuse a file that is too large here: Gradio would send it first, then fail without a reason.
document.addEventListener("change", (event) => {
  const files = event.target instanceof HTMLInputElement
    && event.target.closest("#tr-controls") && event.target.files;
  if (!explorer || !files || !files.length || explorer.mayTake([...files])) return;
  event.stopImmediatePropagation();
  event.target.value = "";
}, true);
// On Enter, Gradio would choose the first name that contains the text: “paper · 80 nodes” for 8.
document.addEventListener("keydown", (event) => {
  const box = event.target instanceof HTMLInputElement && event.target;
  if (!box || !box.closest("#tr-choose-tree") || event.key !== "Enter") return;
  if (!/^[0-9]+$/.test(box.value.trim())) return;
  event.stopImmediatePropagation();
  box.blur();
}, true);
// Gradio ignores a click while the previous one is running, so click until a record arrives.
function pressAgain() {
  if (!explorer.isForgotten()) return;
  document.getElementById(window.trPressed)?.click();
  setTimeout(pressAgain, 300);
}
function ask(request) {
  if (request.type === "example") trigger("input", { example: request.name });
  if (request.type === "lessons") trigger("input", { example: null });
  if (request.type === "kept") trigger("select", { run: request.run, shown: request.shown });
  if (request.type === "save comparison")
    trigger("submit", { format: request.format, runs: request.runs });
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

# What connection.js put aside, once.
TAKE_UP_CONTROLS = """() => {
  try {
    const kept = sessionStorage.getItem("tr-controls");
    sessionStorage.removeItem("tr-controls");
    return kept ?? "";
  } catch { return ""; }
}"""

# A request that the server returns is for runs that it does not have.
HAND_OVER = "(wish) => window.trHandOver(wish)"

DOWNLOAD = "() => document.querySelector('#tr-download').click()"

# On a phone the explorer is below all controls: show it after a press on Step or Run.
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
    if (kind === "lines") {{
      const lines = String(value).split("\\n").filter(Boolean);
      lines.forEach((line) => query.append(key, line));
    }} else query.set(key, typeof value === "boolean" ? Number(value) : value);
  }});
  window.trControls = query.toString();
}}"""
