"""The newcomer test: what docs/newcomer.md says, done in a browser. With TR_PICTURES=1 the pictures
are made anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.support.app_page import SOON_MS

DOCS = Path(__file__).resolve().parent.parent / "docs"
TEXT = (DOCS / "newcomer.md").read_text(encoding="utf-8")
LARGEST_PICTURE = 150_000
SEARCHES = {"Go to step": "spinbutton", "Find a token": "searchbox"}

# Question → where the answer stands on the page, what stands there, and the part that is pictured.
ANSWERS = {
    "Which token was the bonus of step 5?": ("#tr-explorer [data-bonus]", "★ ·know", ".tr-tree"),
    "Why did step 9 accept nothing?": (
        "[data-panel=diagnosis]",
        (
            "Nothing could be drafted, because the row of “·do” had never been written. The model"
            " continued with “.”."
        ),
        ".tr-why-step",
    ),
    "Which row lost the token “the”?": ("[data-lost] >> nth=0", "step 1: row of “,”", ".tr-matrix"),
    "How many forward passes were saved?": (
        "#tr-explorer header",
        "72 tokens in 37 passes (35 saved)",
        ".tr-header",
    ),
}
PARTS = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]


def question(part):
    return part.splitlines()[0]


def actions(part):
    return re.findall(r"^\d\. (.*)$", part, re.MULTILINE)


def picture(part):
    return DOCS / re.search(r"\]\((newcomer/\w+\.png)\)", part)[1]


def perform(page, action):
    """Click “name”, or type text into “name”: what a sentence of the document says."""
    if clicked := re.fullmatch(r"Click “(.*)”\.", action):
        page.get_by_role("button", name=clicked[1], exact=True).or_(
            page.get_by_role("tab", name=clicked[1], exact=True)
        ).click()
        return
    text, box = re.fullmatch(r"Type (.*) into “(.*)”\.", action).groups()
    found = page.get_by_role(SEARCHES[box], name=box)
    found.fill(text)
    found.press("Enter")


def test_every_question_is_there_with_at_most_three_actions_and_a_small_picture():
    assert [question(part) for part in PARTS] == list(ANSWERS)
    for part in PARTS:
        assert 1 <= len(actions(part)) <= 3
        assert 0 < picture(part).stat().st_size <= LARGEST_PICTURE


@pytest.mark.parametrize("part", PARTS, ids=question)
def test_a_newcomer_finds_it(tabs, part):
    page = tabs(viewport={"width": 1440, "height": 900})
    for action in actions(part):
        perform(page, action)
    where, answer, pictured = ANSWERS[question(part)]
    page.locator(where).get_by_text(answer).or_(
        page.locator(where, has_text=answer)
    ).first.wait_for(timeout=SOON_MS)
    assert page.locator(pictured).first.is_visible()
    if os.environ.get("TR_PICTURES"):
        picture(part).parent.mkdir(exist_ok=True)
        page.locator(pictured).first.screenshot(path=picture(part))
