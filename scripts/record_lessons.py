"""Record the toy's runs for the lessons, and draw the worksheet.

Writes ``assets/lessons/*.json`` and ``docs/worksheet.html``.

    python scripts/record_lessons.py

Real runs of the engine on the toy of ``scripts/toy_story.py``; nothing in them depends on the
machine, so that doing it again changes nothing. To be run again when the toy or the schema of
traces has changed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from msgspec.structs import replace

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.toy_story import STORY, StoryTarget, ids  # noqa: E402
from scripts.worksheet import worksheet  # noqa: E402
from tr_core import Session, Settings  # noqa: E402
from tr_core.decoding.recording import record  # noqa: E402
from tr_core.drafters.base import Drafter  # noqa: E402
from tr_core.trace import RunTrace, Timing  # noqa: E402
from tr_core.trees import templates  # noqa: E402
from tr_core.trees.tree import TreeTemplate  # noqa: E402
from viz.lessons.record import LESSONS  # noqa: E402

# Two words below the root, two below the first of them and one below the other: five guesses, drawn
# in a minute.
TREE = TreeTemplate.from_child_counts("toy", [[2], [2, 1]])
WORKSHEET = ROOT / "docs" / "worksheet.html"
SETTINGS = ("drafter", "tree", "k", "max_new_tokens", "temperature")
NOTHING = Timing(0.0, 0.0, 0.0, 0.0)


def main() -> int:
    """Write all files; returns the exit status."""
    runs = toy_runs()
    for name, trace in runs.items():
        (LESSONS / f"{name}.json").write_text(trace.to_json(), encoding="utf-8")
        print(f"{name}: {len(trace.steps)} passes for {len(trace.output_ids)} words")
    WORKSHEET.write_text(worksheet(runs["toy"]), encoding="utf-8")
    return 0


def toy_runs() -> dict[str, RunTrace]:
    """The story decoded plainly, with the tree, with the tree on warm rows, and by a chain."""
    tree, learned = _record_story(TREE)
    return {
        "toy-plain": _record_story(TREE, "none")[0],
        "toy": tree,
        "toy-hot": _record_story(TREE, drafter=learned)[0],
        "toy-chain": _record_story(templates.chain(TREE.nodes))[0],
    }


def _record_story(
    tree: TreeTemplate, name: str = "token_recycling", drafter: Drafter | None = None
) -> tuple[RunTrace, Drafter]:
    settings = Settings(drafter=name, tree=tree, k=2, max_new_tokens=len(STORY) - 1)
    session = Session(StoryTarget(), settings, drafter=drafter).start(ids(STORY[:1]))
    trace = record(session)
    # Times and versions are of the machine that records, most settings mean nothing to the toy.
    portable = {key: trace.info.settings[key] for key in SETTINGS}
    return replace(
        trace,
        info=replace(trace.info, settings=portable, versions={}, prefill_ms=0.0),
        steps=tuple(replace(step, timing=NOTHING) for step in trace.steps),
        reference_identical=tuple(trace.text.split()) == STORY[1:],
    ), session.drafter


if __name__ == "__main__":
    sys.exit(main())
