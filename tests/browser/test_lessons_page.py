"""The tour in a real browser: walked from a file with the network cut, beside a visitor's own run,
and on the page.
"""

from __future__ import annotations

import json

import msgspec
import pytest

import viz
from tests.support import viz_runs
from tests.support.app_page import SOON_MS, at, click
from tests.support.explorer_tab import feed, press, settle

DENY_STORAGE = """Object.defineProperty(window, "localStorage",
  { get() { throw new DOMException("denied", "SecurityError"); } })"""


@pytest.fixture(scope="module")
def lessons():
    return viz.lessons_record()


@pytest.fixture(scope="module")
def chapters(lessons):
    return json.loads(lessons)["chapters"]


@pytest.fixture(scope="module")
def file_address(tmp_path_factory):
    path = tmp_path_factory.mktemp("tour") / "lessons.html"
    path.write_text(viz.lessons_to_html(), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def open_page(browser):
    """Opens pages; afterwards asserts that none had an error, and that none asked anybody else for
    anything.
    """
    contexts, faults = [], []

    def opener(address, *, width=1440, height=900, script=None, offline=False, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        context.set_offline(offline)
        if script:
            context.add_init_script(script)
        page = context.new_page()
        known = (address.split("?")[0], "data:", "blob:")
        page.on("request", lambda r: None if r.url.startswith(known) else faults.append(r.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console", lambda m: faults.append(m.text) if m.type in ("error", "warning") else None
        )
        page.goto(address)
        page.wait_for_selector("#tr-explorer")
        return page

    yield opener
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def tour(open_page, file_address):
    """The exported tour, opened from the disk with the network cut."""
    return lambda query="", **options: open_page(file_address + query, offline=True, **options)


@pytest.fixture
def explorer(open_page, address):
    def opener(query="", **options):
        page = open_page(f"{address}/{query}", **options)
        page.wait_for_function("window.explorer")
        return page

    return opener


def card(page, chapter, scene):
    page.wait_for_selector(f".tr-lesson[data-chapter='{chapter}'][data-scene='{scene}']:visible")


def where(page):
    """(step, phase, panel that is open, ringed nodes, ringed rows) of the explorer."""
    return page.evaluate("""() => { const root = document.querySelector("#tr-explorer");
        const ringed = (name) => [...root.querySelectorAll(`[data-${name}].tr-ring`)]
          .map(e => +e.dataset[name]).sort();
        const panel = root.querySelector("[data-panel]:not([hidden])");
        return [+root.dataset.step, root.dataset.phase, panel?.dataset.panel ?? null,
          ringed("node"), ringed("row")] }""")


def plain(paragraph):
    return "".join(part if isinstance(part, str) else part[1] for part in paragraph)


def reply(page):
    return page.locator(".tr-reply").inner_text()


def test_all_twelve_chapters_by_keyboard_with_the_network_cut(tour, chapters):
    page = tour()
    for number, chapter in enumerate(chapters, start=1):
        for place, scene in enumerate(chapter["scenes"], start=1):
            card(page, number, place)
            settle(page)
            ring = scene.get("highlight", {})
            assert where(page) == [
                scene["step"], scene["phase"], scene.get("panel"), sorted(ring.get("nodes", [])),
                sorted(ring.get("rows", [])),
            ]  # fmt: skip
            if "region" in ring:
                assert page.locator(f".tr-{ring['region']}.tr-ring").count() == 1
            body = page.locator(".tr-lesson-body").inner_text()
            assert chapter["title"] in body
            assert all(plain(p) in body for p in scene["text"])
            assert page.evaluate("document.activeElement.className") == "tr-lesson-body", (
                "where a reader goes on"
            )
            if "ask" in scene:
                answer_by_keyboard(page, scene)
            press(page, "PageDown")
    page.wait_for_selector(".tr-lesson", state="hidden")
    assert page.get_by_role("button", name="New here? Take the tour, 20 minutes").is_visible()
    press(page, "l")
    card(page, 1, 1)
    page.get_by_role("button", name="All chapters").press("Enter")
    assert page.get_by_text("✓ done").count() == 12


def answer_by_keyboard(page, scene):
    ask = scene["ask"]
    options = ask["options"]
    wrong = next(i for i, o in enumerate(options) if not o["right"])
    right = next(i for i, o in enumerate(options) if o["right"])
    press(page, str(wrong + 1))
    assert reply(page) == f"Not quite. {plain(options[wrong]['reply'])}"
    assert where(page)[1] == scene["phase"], "nothing is shown yet"
    if ask["pick"] == "node":
        step_to_node(page, options[right]["node"])
        press(page, "Enter")
    else:
        press(page, str(right + 1))
    assert reply(page) == f"Right. {plain(options[right]['reply'])}"
    if ask["kind"] == "predict":
        assert where(page)[1] == ask["reveal"]
        assert (
            where(page)[3 if ask["pick"] != "row" else 4]
            == [o[ask["pick"]] for o in options if o["right"] and ask["pick"] != "none"]
            or ask["pick"] == "none"
        )
    assert page.locator(".tr-option[data-right=true]").count() >= 1


def step_to_node(page, node):
    for _ in range(20):
        press(page, "j")
        if page.locator(f"[data-node='{node}'].tr-chosen").count():
            return
    raise AssertionError(f"J never came to node {node}")


def test_the_file_opens_where_its_reader_was(tour):
    page = tour()
    card(page, 1, 1)
    press(page, "PageDown")
    card(page, 1, 2)
    page.reload()
    card(page, 1, 2)


def test_buttons_and_list_work_by_tab_and_enter(tour):
    page = tour("?lesson=3")
    card(page, 3, 1)
    page.get_by_role("button", name="Next", exact=True).press("Enter")
    card(page, 3, 2)
    page.get_by_role("button", name="and › ran", exact=True).press("Enter")
    assert reply(page).startswith("Not quite. After the root the model chooses the, not ran.")
    assert page.evaluate("document.activeElement.dataset.option") == "2", (
        "the reader stays where she was"
    )
    page.get_by_role("button", name="Show me").press("Space")
    assert reply(page).startswith("The answer: and › the › cat.")
    page.get_by_role("button", name="Previous").press("Enter")
    card(page, 3, 1)
    page.get_by_role("button", name="All chapters").press("Enter")
    assert page.evaluate("document.activeElement.textContent").startswith("Guess, check, keep")
    press(page, "Escape")
    assert page.locator(".tr-lesson-body").is_visible()
    page.get_by_role("button", name="All chapters").press("Enter")
    page.get_by_role("button", name="Honest numbers").press("Enter")
    card(page, 12, 1)


def test_a_click_in_the_tree_or_the_matrix_is_an_answer(tour):
    page = tour("?lesson=5")
    card(page, 5, 1)
    page.locator("[data-node='3']").click()
    assert "It does agree with the arrow after cat" in reply(page)
    page.locator("[data-node='2']").click()
    assert reply(page).startswith("Right.")
    page.wait_for_selector("#tr-explorer[data-phase='accept'] [data-node='2'].tr-ring")
    page.locator("[data-node='1']").click()
    assert reply(page).startswith("Right."), "it is settled"

    page = tour("?lesson=9")
    card(page, 9, 1)
    page.locator("[data-row]", has_text="·saw").first.click()
    assert reply(page).startswith("Not quite. The row of")
    page.locator("[data-row='5']").click()
    assert reply(page).startswith("Right. ran was drafted, checked and rejected")
    page.wait_for_selector("#tr-explorer[data-phase='recycle'] [data-row='5'].tr-ring")


def test_what_is_to_be_predicted_is_not_given_away(tour, chapters):
    page = tour("?lesson=3")
    card(page, 3, 1)
    press(page, "PageDown")
    card(page, 3, 2)
    heard = "document.querySelector('#tr-explorer > .tr-only-heard').textContent"
    assert page.evaluate(heard) == ""
    shown = page.evaluate(
        """() => [...document.querySelectorAll(".tr-now, .tr-later, .tr-chart, .tr-headline")]
        .filter(e => e.checkVisibility({ visibilityProperty: true })).length"""
    )
    assert shown == 0
    press(page, "PageDown")
    assert page.locator(".tr-now").is_visible()
    assert "Step 8: 2 of 5" in page.evaluate(heard)
    assert "cat" in page.locator(".tr-now").inner_text()


def test_leaving_gives_the_visitor_their_own_run_back(explorer, lessons):
    page = explorer()
    trace = viz_runs.toy_run(9)
    info = viz.start_record("own", trace.info, trace.pieces)
    feed(page, info, *(viz.step_record("own", s, {}) for s in trace.steps[:6]))
    feed(page, viz.view_record(3, "verify", node=4))
    press(page, "l")
    assert page.evaluate("window.requests.at(-1).type") == "lessons"
    assert page.locator(".tr-lesson").is_hidden(), "the chapters have not come yet"
    before = where(page)
    feed(page, lessons)
    card(page, 1, 1)
    press(page, "PageDown")
    card(page, 1, 2)
    # The run goes on behind the lesson.
    feed(page, *(viz.step_record("own", s, {}) for s in trace.steps[6:8]))
    card(page, 1, 2)
    page.get_by_role("button", name="Leave the tour").click()
    settle(page)
    assert where(page) == before
    assert page.locator("#tr-explorer").get_attribute("data-steps") == "8"
    assert page.locator("[data-node='4'].tr-chosen").count() == 1
    assert page.get_by_role("button", name="2 new steps").is_visible()
    assert page.locator(".tr-in-lesson, .tr-predicting").count() == 0
    assert page.evaluate("document.activeElement.textContent") == "Learn"
    press(page, "l")
    card(page, 1, 2)
    assert page.evaluate("window.requests.filter(r => r.type === 'lessons').length") == 1, (
        "asked for once"
    )


@pytest.mark.parametrize("wish", ["start", "run", "step", "reset"])
def test_what_the_visitor_asks_for_takes_the_screen(explorer, lessons, wish):
    page = explorer()
    trace = viz_runs.toy_run(5)
    start = viz.start_record("own", trace.info, trace.pieces)
    feed(page, start, viz.step_record("own", trace.steps[0], {}, running=False))
    press(page, "l")
    feed(page, lessons)
    card(page, 1, 1)
    feed(
        page,
        {
            "start": viz.start_record("other", trace.info, trace.pieces),
            "run": viz.run_record(trace),
            "step": viz.step_record("own", trace.steps[1], {}, running=False),
            "reset": viz.reset_record(),
        }[wish],
    )
    page.wait_for_selector(".tr-lesson", state="hidden")
    steps = {"start": "0", "run": "5", "step": "2", "reset": "0"}[wish]
    assert page.locator("#tr-explorer").get_attribute("data-steps") == steps


def test_progress_is_kept_and_what_does_not_fit_is_dropped(explorer, lessons):
    page = explorer()
    press(page, "l")
    feed(page, lessons)
    card(page, 1, 1)
    press(page, "PageDown", "PageDown", "PageDown")
    card(page, 1, 3)
    page.reload()
    page.wait_for_function("window.explorer")
    press(page, "l")
    feed(page, lessons)
    card(page, 1, 3)
    for stored in [
        '{"chapter":99,"scene":0,"done":[0,44,"x"]}',
        '{"chapter":0,"scene":77}',
        "17",
        '"x"',
        "{broken",
        "null",
    ]:
        page.evaluate("text => localStorage.setItem('tr-lessons', text)", stored)
        page.reload()
        page.wait_for_function("window.explorer")
        press(page, "l")
        feed(page, lessons)
        card(page, 1, 1)


def test_without_storage_it_works_and_forgets(explorer, lessons):
    page = explorer(script=DENY_STORAGE)
    press(page, "p", "l")
    feed(page, lessons)
    card(page, 1, 1)
    press(page, "PageDown")
    card(page, 1, 2)
    press(page, "l", "l")
    card(page, 1, 2)
    assert page.locator("#tr-explorer.tr-projector").count() == 1


def test_a_link_opens_a_chapter(explorer, lessons):
    page = explorer("?lesson=3")
    assert page.evaluate("window.requests.map(r => r.type)") == ["lessons"]
    feed(page, lessons)
    card(page, 3, 1)
    for odd in ["?lesson=0", "?lesson=<b>", "?lesson=-1", "?lesson="]:
        assert explorer(odd).evaluate("window.requests") == []
    page = explorer("?lesson=99")
    feed(page, lessons)
    card(page, 12, 1)


def test_keys_stay_with_whoever_types(explorer, lessons):
    page = explorer()
    page.get_by_label("Elsewhere").focus()
    press(page, "l", "p", "1")
    assert page.get_by_label("Elsewhere").input_value() == "lp1"
    assert page.evaluate("window.requests") == []
    assert page.locator(".tr-projector").count() == 0


def test_text_of_a_chapter_is_text(explorer, lessons):
    record = json.loads(lessons)
    evil = "<img src=x onerror=window.hit=1>${hit}{{hit}}<script>hit=1</script>"
    scene = record["chapters"][2]["scenes"][1]
    record["chapters"][2]["title"] = evil
    scene["text"] = [[evil, ["b", evil], ["code", evil]]]
    scene["ask"]["text"] = [evil]
    for option in scene["ask"]["options"]:
        option["label"], option["reply"] = [evil], [evil]
    scene["highlight"] = {"nodes": ['0"],img[src="x']}
    page = explorer("?lesson=3")
    feed(page, json.dumps(record))
    press(page, "PageDown", "1")
    assert page.evaluate("window.hit") is None
    assert page.locator("#tr-explorer :is(img, script)").count() == 0
    assert evil in page.locator(".tr-lesson").inner_text()


def overlaps(page, selector):
    """Pairs of visible elements that lie on each other."""
    return page.evaluate(
        """(selector) => {
           const all = [...document.querySelectorAll(selector)].filter(e => e.checkVisibility());
        const box = (e) => e.getBoundingClientRect();
        const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
          && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
        const found = [];
        all.forEach((a, i) => all.slice(i + 1).forEach(b => {
          if (meet(box(a), box(b))) found.push([a.className, b.className]) }));
        return found }""",
        selector,
    )


@pytest.mark.parametrize("chapter", [3, 6, 9])
def test_projector_mode_is_large_and_nothing_overlaps(tour, chapter):
    page = tour(f"?lesson={chapter}", width=1280, height=720)
    card(page, chapter, 1)
    press(page, "p")
    settle(page)
    assert page.get_by_role("button", name="Projector mode").get_attribute("aria-pressed") == "true"
    sizes = page.evaluate(
        """() => {
        const size = (s) => parseFloat(getComputedStyle(document.querySelector(s)).fontSize);
        const node = document.querySelector("[data-node='1'] .tr-label");
        const label = node.getBoundingClientRect().height;
        return [size(".tr-lesson-text"), size(".tr-text-scroll"), size(".tr-rows"), label] }"""
    )
    assert min(sizes) >= 18, sizes
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert overlaps(page, "#tr-explorer :is(.tr-panel, .tr-lesson)") == []
    assert overlaps(page, ".tr-header > *") == []
    assert overlaps(page, ".tr-lesson-foot > *, .tr-lesson-body, .tr-lesson-head > *") == []
    assert (
        page.evaluate("document.querySelector('.tr-lesson').getBoundingClientRect().bottom")
        <= 720 + 80
    )
    page.reload()
    card(page, chapter, 1)
    page.locator("#tr-explorer.tr-projector").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_the_tree_and_the_card(tour, scheme):
    page = tour("?lesson=3", width=390, height=844, color_scheme=scheme)
    card(page, 3, 1)
    press(page, "PageDown")
    card(page, 3, 2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    tops = page.evaluate(
        """() => [...document.querySelectorAll("[data-node]:not([data-status=unseen]) .tr-chip")]
           .map(e => {
        const box = e.getBoundingClientRect();
        const on = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
        return Boolean(on?.closest("[data-node]")) })"""
    )
    assert all(tops), "every word that may be clicked can be"
    assert page.locator(".tr-lesson-next").is_visible()


def test_on_the_page_the_tour_comes_by_button_or_link_and_goes_without_a_trace(tabs, app_url):
    page = tabs()
    click(page, "Step")
    at(page, step=1, steps=1)
    click(page, "Learn")
    page.wait_for_selector(".tr-lesson[data-chapter='1']:visible", timeout=SOON_MS)
    assert page.get_by_label("Prompt", exact=True).is_hidden()
    press(page, "PageDown")
    click(page, "Leave the tour")
    at(page, step=1, steps=1)
    click(page, "Step")
    at(page, step=2, steps=2)
    page.goto(f"{app_url}?lesson=4")
    page.wait_for_selector(".tr-lesson[data-chapter='4']:visible", timeout=SOON_MS)
    click(page, "Leave the tour")
    at(page, step=0, steps=0)
    click(page, "New here? Take the tour, 20 minutes")
    page.wait_for_selector(".tr-lesson[data-chapter='4']:visible", timeout=SOON_MS)
    page.set_viewport_size({"width": 390, "height": 844})
    settle(page)
    page.evaluate("scrollTo(0, 0)")
    button = page.locator(".tr-lesson-next").bounding_box()
    assert 0 < button["y"] < 844 - button["height"], "the card stands at the window's foot"


def test_a_view_record_can_ring_parts(explorer):
    page = explorer()
    trace = viz_runs.toy_run(4)
    row = trace.steps[1].rows[0].token
    feed(page, viz.run_record(msgspec.structs.replace(trace, stop_reason=None)))
    feed(
        page,
        viz.view_record(
            2, "accept", highlight=[{"nodes": [1, 2]}, {"rows": [row]}, {"region": "steps"}]
        ),
    )
    assert where(page)[3:] == [[1, 2], [row]]
    assert page.locator(".tr-steps.tr-ring").count() == 1
    press(page, "ArrowRight")
    assert where(page)[3:] == [[], []], "they belong to their step"
    press(page, "ArrowLeft")
    assert where(page)[3:] == [[1, 2], [row]]
    feed(page, viz.view_record(2, "accept", highlight=[{"region": "moon"}]))
    assert page.locator(".tr-ring").count() == 0
