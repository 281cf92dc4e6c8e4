"""The explorer by itself in a real browser: opening a long run, changing steps with each panel
open, memory of the tab.

    python -m benchmarks.page.explorer [--steps 300] [--prompt 4000]

Needs no model and no server: the run is generated (81 nodes a step), served from a folder, and also
written as a web page and opened from ``file://``. The medians count, on a quiet machine; on a busy
one look at the least value of each line and at the CPU time of the tab's process, which other work
disturbs least.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

import viz
from benchmarks.shared import report
from tests.support import viz_runs
from tests.support.browser import FLAGS, chromium, served
from tests.support.explorer_tab import HARNESS

PANELS = (None, "diagnosis", "metrics", "compare", "attention", "matrix-map", "cost", "budget")

# In the browser: milliseconds from a record's arrival to the frame after everything was drawn.
OPEN = """async (records) => {
  const frame = () => new Promise(requestAnimationFrame), began = performance.now();
  for (const record of records) window.explorer.receive(record);
  await frame(); document.body.getBoundingClientRect();
  const drawn = performance.now() - began;
  await frame();
  return {drawn, frame: performance.now() - began};
}"""

# Milliseconds of script and layout of a step change, and until its frame. The explorer draws in the
# frame that follows the click, so the first frame is where the work is, and the second one tells
# that it is done.
REPAINT = """async (count) => {
  const root = document.querySelector("#tr-explorer"), took = [];
  const frame = () => new Promise(requestAnimationFrame);
  root.querySelector("button[aria-label=First]").click();
  await frame(); await frame();
  const forward = root.querySelector("button[aria-label=Forward]");
  while (took.length < count && !forward.disabled) {
    await frame();
    const began = performance.now();
    forward.click();
    await frame();
    root.getBoundingClientRect();
    const drawn = performance.now();
    await frame();
    took.push({work: drawn - began, frame: performance.now() - began});
  }
  return took;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--prompt", type=int, default=4000, help="tokens of the prompt")
    parser.add_argument(
        "--changes", type=int, default=60, help="step changes measured with each panel"
    )
    args = parser.parse_args()
    trace = viz_runs.toy_run(args.steps, prompt_length=args.prompt, stop_reason="eos")
    records = [viz.run_record(trace), viz.analysis_record(trace)]
    lines = []
    with sync_playwright() as playwright, served(_folder()) as address:
        with _tab(playwright) as (browser, page):
            page.goto(address)
            page.wait_for_function("window.explorer")
            opened = page.evaluate(OPEN, records)
            lines.append(_line("opening: script and layout, ms", [opened["drawn"]]))
            lines.append(_line("opening → frame, ms", [opened["frame"]]))
            for panel in PANELS:
                lines += _changes(
                    browser, page, panel, args.changes, f"step change, {panel or 'no panel'}"
                )
            unfold = page.locator(".tr-fold")
            began = time.perf_counter()
            unfold.click()
            page.wait_for_function(
                f"document.querySelectorAll('.tr-prompt .tr-token').length === {args.prompt}"
            )
            lines.append(_line("unfolding the prompt, ms", [(time.perf_counter() - began) * 1e3]))
            lines += _changes(
                browser, page, None, args.changes, "step change, the whole prompt unfolded"
            )
            heap, resident = _memory(browser, page)
            lines.append(_line("memory of the tab after all of it: script's heap, MiB", [heap]))
            lines.append(_line("memory of the tab after all of it: the process, MiB", [resident]))
        with _tab(playwright) as (_, page), tempfile.TemporaryDirectory() as folder:
            saved = Path(folder) / "run.html"
            saved.write_text(viz.to_html(trace), encoding="utf-8")
            began = time.perf_counter()
            page.goto(saved.as_uri())
            page.wait_for_selector("#tr-explorer[data-steps]:not([data-steps='0'])")
            lines.append(_line("opening the saved page, ms", [(time.perf_counter() - began) * 1e3]))
            lines.append(_line("size of the saved page, MB", [saved.stat().st_size / 1e6]))
    report.show(
        f"The explorer, {args.steps} steps of 81 nodes, a prompt of {args.prompt:,} tokens", lines
    )


@contextmanager
def _tab(playwright) -> Iterator[tuple[Browser, Page]]:
    browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
    try:
        yield browser, browser.new_page(viewport={"width": 1440, "height": 900})
    finally:
        browser.close()


def _changes(browser, page, panel, changes, name):
    """Lines of so many step changes with a panel open, or none."""
    page.evaluate("record => window.explorer.receive(record)", viz.view_record(1, panel=panel))
    if panel == "metrics":
        page.wait_for_function("document.querySelectorAll('.js-plotly-plot').length === 8")
    page.wait_for_timeout(500)
    before = _cpu(browser)
    took = page.evaluate(REPAINT, changes)
    spent = (_cpu(browser) - before) * 1e3 / len(took)
    return [
        _line(f"{name}: script and layout, ms", [t["work"] for t in took]),
        _line(f"{name} → frame, ms", [t["frame"] for t in took]),
        _line(f"{name}: CPU of the tab, all its threads, ms", [spent]),
    ]


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp())
    (folder / "tr").mkdir()
    for file in (*viz.STATIC.iterdir(), viz.PLOTLY):
        (folder / "tr" / file.name.replace("plotly.min", "plotly")).symlink_to(file)
    (folder / "index.html").write_text(HARNESS, encoding="utf-8")
    return folder


def _memory(browser: Browser, page: Page) -> tuple[float, float]:
    """MiB of the script's heap after a collection, and of the largest renderer: the tab."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    heap = next(
        m["value"]
        for m in session.send("Performance.getMetrics")["metrics"]
        if m["name"] == "JSHeapUsedSize"
    )
    return heap / 2**20, max(p.memory_info().rss for p in _renderers(browser)) / 2**20


def _cpu(browser: Browser) -> float:
    """Seconds that all renderers have spent so far; only the tab's has work to do."""
    return sum(sum(p.cpu_times()[:2]) for p in _renderers(browser))


def _renderers(browser: Browser) -> list[psutil.Process]:
    found = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    return [psutil.Process(p["id"]) for p in found if p["type"] == "renderer"]


def _line(what: str, values: list[float]) -> dict[str, object]:
    worst = statistics.quantiles(values, n=20)[-1] if len(values) > 1 else values[0]
    return {
        "what": what,
        "least": min(values),
        "median": statistics.median(values),
        "p95": worst,
        "n": len(values),
    }


if __name__ == "__main__":
    main()
