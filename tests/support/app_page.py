"""Driving the real page: opened tabs that note every fault, and the few things each test does with
one.
"""

from __future__ import annotations

import pytest

SOON_MS = 30_000  # generous: timings belong in benchmarks


@pytest.fixture
def tabs(app_url, browser):
    """Opens tabs; afterwards asserts that nothing was logged as an error and nothing left the
    machine.
    """
    contexts, faults = [], []

    def note_request(request):
        if not request.url.startswith((app_url, "data:", "blob:")):
            faults.append(f"request to {request.url}")

    def note_message(message):
        # Gradio logs its own streams as broken when a tab is reloaded or closed in the middle of a
        # run.
        cut_off = "AbortError" in message.text or "errored out" in message.text
        if message.type == "error" and not cut_off:
            faults.append(f"console: {message.text}")

    def open_tab(**options):
        context = browser.new_context(**({"viewport": {"width": 1440, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.on("request", note_request)
        page.on("pageerror", lambda error: faults.append(f"page error: {error}"))
        page.on("console", note_message)
        page.goto(app_url)
        page.wait_for_selector("#tr-explorer", timeout=SOON_MS)
        return page

    yield open_tab
    for context in contexts:
        context.close()
    assert faults == []


def click(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def at(page, step=None, steps=None, phase=None):
    """Wait until the explorer shows this."""
    wanted = {"data-step": step, "data-steps": steps, "data-phase": phase}
    selector = "".join(f'[{k}="{v}"]' for k, v in wanted.items() if v is not None)
    page.wait_for_selector(f"#tr-explorer{selector}", timeout=SOON_MS)


def at_least(page, steps):
    """Wait until a run that streams has come this far; single steps may pass between two looks."""
    page.wait_for_function(
        f"+document.querySelector('#tr-explorer').dataset.steps >= {steps}", timeout=SOON_MS
    )
