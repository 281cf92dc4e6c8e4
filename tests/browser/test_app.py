"""The page as its users meet it: the real app, the bundled model, a real browser."""

import re

import pytest

from tests.support.app_page import SOON_MS, at, at_least, click
from tr_core import RunTrace


def choose(page, label, text):
    box = page.get_by_label(label, exact=True)
    box.fill(text)
    box.press("Enter")


def drawn(page):
    """Wait for two frames: Gradio sends a field's old value if another one is changed and sent
    within the same.
    """
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def finished(page):
    """Wait for the run's end and its check against plain decoding."""
    page.get_by_text("lossless ✓").wait_for(timeout=SOON_MS)


def test_a_newcomer_steps_runs_and_looks_around(tabs):
    page = tabs()
    assert page.locator("#tr-explorer").get_attribute("data-step") == "0"
    choose(page, "Tree", "paper · 80 nodes")
    click(page, "Step")
    at(page, step=1, steps=1)
    assert page.locator("#tr-explorer [data-node]").count() == 81
    assert page.locator("#tr-explorer [data-node='0']").get_attribute("data-status") == "root"
    assert page.locator("#tr-explorer [data-bonus]").count() == 1
    click(page, "Step")
    at(page, step=2, steps=2)

    click(page, "Run")
    finished(page)
    steps = int(page.locator("#tr-explorer").get_attribute("data-steps"))
    assert 2 < steps < 128  # 128 new tokens in fewer passes
    assert re.search(r"128\s*tokens in " + str(steps), page.locator("#tr-explorer").inner_text())

    for name, step in [("First", 1), ("Forward", 2), ("Last", steps), ("Back", steps - 1)]:
        click(page, name)
        at(page, step=step, steps=steps)
    rows = page.locator("#tr-explorer [data-row]")
    assert rows.count() > 0
    assert rows.first.locator("[data-cell]").count() == 8
    changes = page.locator("#tr-explorer [data-cell]").evaluate_all(
        "cells => cells.map(c => c.dataset.change)"
    )
    assert set(changes) <= {"fresh", "moved", "kept"}

    click(page, "Play")
    page.get_by_role("button", name="Pause", exact=True).click()


def test_the_tree_follows_the_settings(tabs):
    page = tabs()
    choose(page, "Tree", "12")
    click(page, "Step")
    at(page, step=1, steps=1)
    assert page.locator("#tr-explorer [data-node]").count() == 13
    choose(page, "Tree", "chain-4 · 4 nodes")
    click(page, "Step")
    at(page, step=1, steps=1)  # another setting is another run
    page.wait_for_function("document.querySelectorAll('#tr-explorer [data-node]').length === 5")


def test_a_number_of_nodes_is_taken_as_it_was_typed(tabs):
    page = tabs()
    choose(page, "Drafter", "recycling_plus")
    for nodes in ("8", "2"):
        choose(page, "Tree", nodes)  # as in “paper · 80 nodes” and “wide-32 · 32 nodes”
        assert page.get_by_label("Tree", exact=True).input_value() == nodes
        drawn(page)
        click(page, "Reset")
        at(page, steps=0)
        click(page, "Step")
        at(page, steps=1)
        assert page.locator("#tr-explorer [data-node]").count() == 1 + int(nodes)


def press_until(page, name, seen):
    """Press, and again where Gradio passed over it because the click before was not quite over."""
    for tenth in range(SOON_MS // 100):
        if tenth % 30 == 0:
            click(page, name)
        page.wait_for_timeout(100)
        if seen.is_visible():
            return
    raise AssertionError(f"never seen: {seen}")


def test_bad_input_is_told_and_nothing_is_lost(tabs):
    page = tabs()
    choose(page, "Tree", "paper · 80 nodes")
    click(page, "Step")
    at(page, step=1, steps=1)
    for label, bad, good, words in [
        ("Prompt", "", "once upon a time", "The prompt is empty"),
        ("Prompt", "a b " * 25_000, "once upon a time", "shorten it"),
        ("New tokens", "0", "64", "Max new tokens must be"),
        ("New tokens", "-1", "64", "Max new tokens must be"),
        ("New tokens", "1000000000", "64", "Max new tokens must be"),
        ("k", "0", "8", "k must be"),
        ("k", "4", "8", "needs k ≥ 8"),
    ]:
        page.get_by_label(label, exact=True).fill(bad)
        told = page.locator("#tr-explorer [role=alert]").get_by_text(words)
        press_until(page, "Step", told)
        at(page, step=1, steps=1)
        assert page.locator("#tr-explorer [data-node]").count() == 81
        page.get_by_label(label, exact=True).fill(good)
        drawn(page)
    choose(page, "Model", "nobody/no-such-model")
    click(page, "Step")
    page.locator("#tr-explorer [role=alert]").get_by_text("nobody/no-such-model").wait_for(
        timeout=SOON_MS
    )
    at(page, step=1, steps=1)


@pytest.mark.parametrize(
    "prompt", ["<script>hit = 1</script><img src=x onerror='hit = 1'>", "{{value}} ${hit = 1}"]
)
def test_a_hostile_prompt_is_text(tabs, prompt):
    page = tabs()
    page.get_by_label("Prompt", exact=True).fill(prompt)
    click(page, "Step")
    at(page, step=1)
    click(page, "Step")
    at(page, step=2)
    assert page.evaluate("window.hit") is None


def test_emoji_and_right_to_left_are_shown_whole(tabs):
    page = tabs()
    page.get_by_label("Prompt", exact=True).fill(
        "I ate a \N{SLICE OF PIZZA} with \u05e9\u05dc\u05d5\u05dd"
    )
    click(page, "Step")
    at(page, step=1)
    assert "\N{SLICE OF PIZZA}" in page.locator("#tr-explorer").inner_text()


def test_stop_keeps_the_record_and_run_goes_on(tabs):
    page = tabs()
    page.get_by_label("Prompt", exact=True).fill(
        "def f():\n    x = 1\n    x = 1\n    x = 1\n"
    )  # has no end
    page.get_by_label("New tokens", exact=True).fill("1000")
    choose(page, "Drafter", "none")
    click(page, "Run")
    at_least(page, 5)
    click(page, "Stop")
    page.locator("#tr-explorer").get_by_text("stopped", exact=True).wait_for(timeout=SOON_MS)
    steps = int(page.locator("#tr-explorer").get_attribute("data-steps"))
    assert 5 <= steps < 1000
    click(page, "Step")
    at(page, steps=steps + 1)
    click(page, "Reset")
    at(page, step=0, steps=0)


def test_two_tabs_never_see_each_other(tabs):
    one, two = tabs(), tabs()
    one.get_by_label("Prompt", exact=True).fill("def add(first, second):")
    two.get_by_label("Prompt", exact=True).fill("once upon a time, there was a cat")
    for page in (one, two):
        page.get_by_label("New tokens", exact=True).fill("40")
        click(page, "Run")
    for page in (one, two):
        finished(page)
    assert "second" in one.locator("#tr-explorer").inner_text().replace("·", " ")
    assert "cat" not in one.locator("#tr-explorer").inner_text().split("Draft tree")[0].replace(
        "·", " "
    )
    click(one, "Reset")
    at(one, steps=0)
    assert int(two.locator("#tr-explorer").get_attribute("data-steps")) > 1


def test_a_reload_in_the_middle_starts_afresh(tabs):
    page = tabs()
    click(page, "Run")
    at_least(page, 3)
    page.reload()
    page.wait_for_selector("#tr-explorer", timeout=SOON_MS)
    at(page, step=0, steps=0)
    click(page, "Step")
    at(page, step=1, steps=1)


def test_hot_start_remembers_and_cold_does_not(tabs):
    page = tabs()
    page.get_by_label("New tokens", exact=True).fill("30")
    click(page, "Run")
    finished(page)
    cold = int(page.locator("#tr-explorer").get_attribute("data-steps"))
    page.get_by_label("hot", exact=True).check()
    click(page, "Run")
    page.wait_for_function(
        f"+document.querySelector('#tr-explorer').dataset.steps < {cold}", timeout=SOON_MS
    )
    finished(page)
    assert int(page.locator("#tr-explorer").get_attribute("data-steps")) < cold


def test_phone_width_has_no_sideways_scroll(tabs):
    page = tabs(viewport={"width": 390, "height": 844})
    click(page, "Step")
    at(page, step=1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # What the step did comes into sight, though all controls stand above it.
    page.wait_for_function(
        "Math.abs(document.querySelector('#tr-main').getBoundingClientRect().top) < 100"
    )


def upload(page, path):
    with page.expect_file_chooser() as chooser:
        click(page, "Open a saved run")
    chooser.value.set_files(path)


def test_a_run_is_saved_and_opened_again(tabs, tmp_path):
    page = tabs()
    page.get_by_label("New tokens", exact=True).fill("30")
    click(page, "Run")
    finished(page)
    steps = page.locator("#tr-explorer").get_attribute("data-steps")
    page.get_by_role("button", name="Save and open").click()
    with page.expect_download(timeout=SOON_MS) as download:
        click(page, "Save this run")
    download.value.save_as(tmp_path / "run.json")
    saved = RunTrace.from_json((tmp_path / "run.json").read_text())
    assert str(len(saved.steps)) == steps
    with page.expect_download(timeout=SOON_MS) as download:
        click(page, "Save matrix")
    assert download.value.suggested_filename == "matrix.safetensors"

    click(page, "Reset")
    at(page, steps=0)
    upload(page, tmp_path / "run.json")
    at(page, steps=steps)
    assert "lossless ✓" in page.locator("#tr-explorer").inner_text()

    (tmp_path / "half.json").write_text(saved.to_json()[:5000])
    upload(page, tmp_path / "half.json")
    page.locator("#tr-explorer [role=alert]").get_by_text("not a complete trace").wait_for(
        timeout=SOON_MS
    )
    at(page, steps=steps)
