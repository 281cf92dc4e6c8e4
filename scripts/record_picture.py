"""Record the README's moving picture, ``assets/run.webp``: some steps of a run, phase by phase.

    python scripts/record_picture.py

The bundled model decodes a preset, the run becomes a saved page, and Chromium goes through the
steps that emitted most. Pillow comes with gradio.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from pathlib import Path

from msgspec.structs import replace
from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.browser import FLAGS, chromium  # noqa: E402
from tr_core import Session, Settings, load_target  # noqa: E402
from tr_core.decoding.recording import Recording  # noqa: E402
from tr_core.models.plain_generate import plain_ids  # noqa: E402
from tr_core.trace import RunTrace, Timing  # noqa: E402
from viz.export import to_html  # noqa: E402
from viz.records.run_records import PHASES  # noqa: E402

PICTURE = ROOT / "assets" / "run.webp"
MODEL = ROOT / "assets" / "models" / "pocket"
PRESETS = ROOT / "assets" / "presets.json"
PRESET = "Maths: pencils"
UNTIMED = Timing(0.0, 0.0, 0.0, 0.0)  # the speed of the recording machine means nothing
STEPS = 5
PHASE_MS = 900
SIZE = {"width": 1120, "height": 740}
LARGEST = 1_500_000


def main() -> int:
    """Write the picture; returns the exit status."""
    trace = decode()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        saved = Path(folder) / "run.html"
        saved.write_text(to_html(trace), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport=SIZE, color_scheme="light", reduced_motion="reduce")
        page.goto(saved.as_uri())
        frames = photograph(page, best_window(trace))
        browser.close()
    first, *rest = frames
    first.save(
        PICTURE, save_all=True, append_images=rest, duration=PHASE_MS, loop=0, quality=75, method=6
    )
    size = PICTURE.stat().st_size
    print(f"{PICTURE.relative_to(ROOT)}: {len(frames)} frames, {size:,} bytes")
    return 0 if size <= LARGEST else 1


def decode() -> RunTrace:
    """A checked run with a tree that is small enough to read."""
    presets = {p["name"]: p["prompt"] for p in json.loads(PRESETS.read_text(encoding="utf-8"))}
    target = load_target(str(MODEL))
    settings = Settings(tree="small-16", max_new_tokens=96)
    prompt = target.vocabulary.encode(presets[PRESET])
    session = Session(target.fork(), settings).start(prompt)
    recording = Recording(session)
    for step in session.run():
        recording.add(replace(step, timing=UNTIMED))
    identical = plain_ids(target, session.prompt_ids, settings) == session.output_ids
    return recording.trace(reference_identical=identical)


def best_window(trace: RunTrace) -> range:
    """The ``STEPS`` steps in a row that emitted most, as numbers from 1 on."""
    emitted = [len(step.emitted) for step in trace.steps]
    starts = range(len(emitted) - STEPS + 1)
    start = max(starts, key=lambda i: sum(emitted[i : i + STEPS]))
    return range(start + 1, start + 1 + STEPS)


def photograph(page: Page, steps: range) -> list[Image.Image]:
    """One frame a phase of each step."""
    explorer = page.locator("#tr-explorer")
    explorer.wait_for()
    frames = []
    for step in steps:
        box = page.get_by_role("spinbutton", name="Go to step")
        box.fill(str(step))
        box.press("Enter")
        for phase in PHASES:
            page.get_by_role("button", name=phase, exact=True).click()
            page.wait_for_selector(f'#tr-explorer[data-step="{step}"][data-phase="{phase}"]')
            page.mouse.move(0, 0)
            page.wait_for_timeout(100)  # one repaint
            frames.append(Image.open(io.BytesIO(page.screenshot())))
    return frames


if __name__ == "__main__":
    raise SystemExit(main())
