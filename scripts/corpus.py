"""The text the bundled model learns from: four domains and a copying exercise, as documents.

Each domain is split by document into training and held-out text (every 50th document is held out),
so that the card's losses are on text the model never saw. Sources and licences: ``SOURCES``.
"""

from __future__ import annotations

import json
import random
import re
import sysconfig
from pathlib import Path

HELD_OUT_EVERY = 50
# Tests, generated tables and bundled third-party code teach little Python for their size.
SKIPPED_PACKAGES = {
    "test", "tests", "idle_test", "idlelib", "encodings", "lib2to3", "site-packages", "ensurepip",
    "pydoc_data", "turtledemo", "unicodedata", "__pycache__", "msilib",
}  # fmt: skip

SOURCES = {
    "stories": (
        "tinystories_lowercase.txt",
        "TinyStories (Eldan & Li 2023), lower-cased",
        "CDLA-Sharing-1.0",
    ),
    "maths": ("gsm8k_train.jsonl", "openai/grade-school-math, training split", "MIT"),
    "plays": ("tinyshakespeare.txt", "karpathy/char-rnn", "public domain"),
    "python": (None, "the standard library of the interpreter that ran the training", "PSF-2.0"),
    "copying": (None, "passages of the four domains above, each written twice", "as its sources"),
}


def load_domains(data: Path, seed: int = 0) -> dict[str, list[str]]:
    """Read all domains below ``data`` and return ``{domain: documents}`` in a fixed shuffled order.

    Raises:
        FileNotFoundError: a file of ``SOURCES`` is missing in ``data``.
    """
    domains = {
        "stories": _stories((data / "tinystories_lowercase.txt").read_text()),
        "maths": _maths((data / "gsm8k_train.jsonl").read_text()),
        "plays": _passages((data / "tinyshakespeare.txt").read_text(), 1500),
        "python": _standard_library(),
    }
    domains["copying"] = _copying(domains, seed)
    for documents in domains.values():
        random.Random(seed).shuffle(documents)
    return domains


def split(documents: list[str]) -> tuple[list[str], list[str]]:
    """Split documents into (training, held out)."""
    training = [d for i, d in enumerate(documents) if i % HELD_OUT_EVERY]
    return training, documents[::HELD_OUT_EVERY]


def _stories(text: str) -> list[str]:
    # An empty line separates the paragraphs of a story; two stories follow each other without
    # one.
    return [s.strip() + "\n" for s in re.split(r"(?<=\S)\n(?=\S)", text) if len(s.strip()) > 100]


def _maths(text: str) -> list[str]:
    problems = (json.loads(line) for line in text.splitlines() if line.strip())
    return [f"Question: {p['question']}\nAnswer: {p['answer']}\n" for p in problems]


def _passages(text: str, size: int) -> list[str]:
    passages, current = [], ""
    for block in text.split("\n\n"):
        current += block + "\n\n"
        if len(current) >= size:
            passages.append(current)
            current = ""
    return [*passages, current] if current.strip() else passages


def _standard_library() -> list[str]:
    root = Path(sysconfig.get_paths()["stdlib"])
    documents = []
    for path in sorted(root.rglob("*.py")):
        if SKIPPED_PACKAGES.intersection(path.relative_to(root).parts):
            continue
        try:
            source = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        # Cut before a top-level def or class, so that a window starts where a reader would.
        pieces = re.split(r"(?m)^(?=(?:def|class|@)\b)", source)
        current = ""
        for piece in pieces:
            if current and len(current) + len(piece) > 4000:
                documents.append(current)
                current = ""
            current += piece
        documents.append(current)
    return [d for d in documents if len(d) > 80]


def _copying(domains: dict[str, list[str]], seed: int) -> list[str]:
    """Passages written twice, under the headings of the explorer's copying preset."""
    rng = random.Random(seed + 1)
    exercises = []
    for documents in domains.values():
        for document in rng.sample(documents, k=min(1500, len(documents))):
            paragraphs = [p.strip() for p in document.split("\n\n") if 60 < len(p.strip()) < 700]
            if paragraphs:
                passage = rng.choice(paragraphs)
                exercises.append(f"Text: {passage}\nCopy: {passage}\n")
    return exercises
