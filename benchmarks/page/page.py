"""The page in a real browser: seconds until it is ready, click to picture, repaint of a step
change, memory.

    python -m benchmarks.page.page --model pocket

Starts ``app.py`` as a process of its own on a free port of this machine, and a headless Chromium.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

import psutil
from playwright.sync_api import sync_playwright

from benchmarks.shared import report
from tests.support.browser import FLAGS, chromium

# In the browser: milliseconds from the key to the second frame after it, by when the first has been
# painted.
REPAINT = """async () => {
  const root = document.querySelector("#tr-explorer"), took = [];
  const frame = () => new Promise(requestAnimationFrame);
  root.querySelector("button[aria-label=First]").click();
  await frame(); await frame();
  const forward = root.querySelector("button[aria-label=Forward]");
  while (+root.dataset.step < +root.dataset.steps && took.length < 100) {
    const began = performance.now();
    forward.click();
    root.getBoundingClientRect();
    const drawn = performance.now();
    await frame();
    took.push({script: drawn - began, frame: performance.now() - began});
    await frame();
  }
  return took;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--clicks", type=int, default=20, help="at most: the run may end before")
    args = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port), "--model", args.model],
        cwd=report.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while True:
            try:
                urllib.request.urlopen(url, timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.perf_counter() - began > 120:
                    raise SystemExit(
                        "the page did not start: run python app.py to see why"
                    ) from None
                time.sleep(0.05)
        answered = time.perf_counter() - began
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(url)
            page.wait_for_selector("#tr-explorer")
            page.get_by_role("button", name="Step", exact=True).click()
            page.wait_for_selector('#tr-explorer[data-steps="1"]', timeout=60_000)
            ready = time.perf_counter() - began
            clicks = []
            ended = page.get_by_text("lossless ✓")
            for number in range(2, args.clicks + 2):
                page.wait_for_timeout(150)
                if ended.count():
                    break
                clicks.append(
                    page.evaluate(
                        """(wanted) => new Promise((done) => {
                          const root = document.querySelector("#tr-explorer");
                          const began = performance.now();
                          new MutationObserver((_, me) => {
                            if (root.dataset.steps !== wanted) return;
                            me.disconnect();
                            requestAnimationFrame(() => done(performance.now() - began));
                          }).observe(root, {attributes: true});
                          const buttons = [...document.querySelectorAll("button")];
                          buttons.find((b) => b.textContent.trim() === "Step").click();
                        })""",
                        str(number),
                    )
                )
            if not ended.count():
                page.get_by_role("button", name="Run", exact=True).click()
            ended.wait_for(timeout=120_000)
            repaints = page.evaluate(REPAINT)
            browser.close()
        memory = psutil.Process(process.pid).memory_info().rss / 2**20
    finally:
        process.terminate()
        process.wait()

    def line(what: str, values: list[float]) -> dict[str, object]:
        worst = statistics.quantiles(values, n=20)[-1] if len(values) > 1 else values[0]
        return {"what": what, "median": statistics.median(values), "p95": worst, "n": len(values)}

    report.show(
        f"The page, {args.model}",
        [
            line("server answers, s after the command", [answered]),
            line("first step on the screen, s after the command", [ready]),
            line("click on Step → frame, ms", clicks),
            line(
                "step change in the browser: script and layout, ms", [r["script"] for r in repaints]
            ),
            line("step change in the browser → frame, ms", [r["frame"] for r in repaints]),
            line("memory of the server after a run, MiB", [memory]),
        ],
    )


if __name__ == "__main__":
    main()
