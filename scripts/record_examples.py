"""Record the presets' runs in ``assets/examples``: shown before a model has loaded.

    python scripts/record_examples.py            # with the bundled model
    python scripts/record_examples.py --model M --max-new-tokens 64

To be run again when the bundled model or the schema of traces has changed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tr_core import Session, Settings, load_target  # noqa: E402
from tr_core.decoding.recording import Recording  # noqa: E402
from tr_core.models import catalog  # noqa: E402
from ui.tab import examples  # noqa: E402

LARGEST = 1_000_000


def main() -> int:
    """Record the presets named on the command line, or the default ones; returns the status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model", default="pocket", help="a bundled name, a local folder, or a Hub id"
    )
    parser.add_argument("--max-new-tokens", type=int, default=72, metavar="N")
    parser.add_argument(
        "--only", nargs="+", default=["story", "maths", "python", "copy"], metavar="NAME"
    )
    args = parser.parse_args()
    target = load_target(catalog.source(args.model))
    for preset in json.loads((ROOT / "assets" / "presets.json").read_text(encoding="utf-8")):
        example = examples.named(preset["name"])
        if example.name not in args.only:
            continue
        settings = Settings(
            tree="paper", max_new_tokens=min(args.max_new_tokens, preset["max_new_tokens"])
        )
        session = Session(target.fork(), settings).start(target.vocabulary.encode(preset["prompt"]))
        recording = Recording(session)
        for step in session.run():
            recording.add(step)
        identical = target.plain_ids(session.prompt_ids, settings) == session.output_ids
        text = recording.trace(reference_identical=identical).to_json()
        if len(text.encode()) > LARGEST:
            raise SystemExit(
                f"{example.name} takes {len(text.encode()):,} bytes: choose a smaller"
                " --max-new-tokens."
            )
        example.path.parent.mkdir(exist_ok=True)
        example.path.write_text(text, encoding="utf-8")
        print(
            f"{example.name}: {session.steps} steps, {len(text.encode()):,} bytes, identical to"
            f" plain: {identical}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
