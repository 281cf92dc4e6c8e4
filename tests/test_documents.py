"""The documents: one sentence a line, no line too long, no link into nowhere; the README's Python
runs as printed, and docs/structure.md names the files that are there.
"""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WIDEST = 120
SENTENCE_ENDS = re.compile(r"[.!?][”\"’')*`]*\s+(?=[*“\"(\[]*[A-Z`])")
LABEL = re.compile(r"^\s*(?:[-*]|\d+\.)\s+(?:\[[ x]\] )?(?:\*\*[^*]+\*\*\s)?")  # - **Label.** text
FENCE = re.compile(r"^(```|~~~)")


def tracked(*patterns):
    listed = subprocess.run(
        ["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def prose(text):
    """(number, line) of all lines but front matter, code, tables, and lines that are one link."""
    lines = text.splitlines()
    start = lines.index("---", 1) + 1 if lines[:1] == ["---"] else 0
    in_code = False
    for number, line in enumerate(lines[start:], start=start + 1):
        if FENCE.match(line):
            in_code = not in_code
        elif in_code or line.startswith(("|", "    ")) or re.fullmatch(r"!?\[.*\]\(.*\)", line):
            continue
        else:
            yield number, line


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


DOCUMENTS = tracked("*.md")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_has_one_sentence_a_line_and_no_long_line(name):
    faults = []
    for number, line in prose(read(name)):
        if len(line) > WIDEST:
            faults.append(f"{name}:{number}: {len(line)} columns")
        if SENTENCE_ENDS.search(LABEL.sub("", line)):
            faults.append(f"{name}:{number}: two sentences: {line.strip()[:70]}…")
    assert faults == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_documents_links_lead_somewhere(name):
    text = re.sub(r"^```.*?^```$", "", read(name), flags=re.DOTALL | re.MULTILINE)
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    inside = [link for link in links if not re.match(r"[a-z]+:", link)]
    missing = [link for link in inside if not ((ROOT / name).parent / link).exists()]
    assert missing == []


def test_the_readme_is_short():
    text = read("README.md")
    assert len(text.splitlines()) <= 120
    assert len(text.split()) <= 900
    assert max(len(s.split()) for s in sentences(text)) <= 30


def sentences(text):
    """Sentences of the prose; a list item or a heading begins one of its own."""
    paragraphs, open_ = [], False
    for _, line in prose(text):
        starts = re.match(r"\s*(?:[-*#]+|\d+\.)\s", line)
        if not line.strip() or starts or not open_:
            paragraphs.append("")
        paragraphs[-1] += " " + line.strip()
        open_ = bool(line.strip())
    return [s for paragraph in paragraphs for s in SENTENCE_ENDS.split(paragraph) if s.strip()]


def test_contributing_and_decisions_stay_short():
    assert len(read("CONTRIBUTING.md").splitlines()) < 60
    assert len(read("docs/decisions.md").split()) < 4500


def test_the_readmes_first_python_runs_as_printed(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    example = re.search(r"^```python\n(.*?)^```", read("README.md"), re.DOTALL | re.MULTILINE)[1]
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("1 ")
    assert len(printed) > 10


def test_the_readmes_picture_is_there_and_not_too_large():
    (picture,) = re.findall(r"^!\[.*\]\((assets/\S+)\)$", read("README.md"), re.MULTILINE)
    assert 0 < (ROOT / picture).stat().st_size <= 1_500_000


def test_the_map_names_every_file_of_code_and_no_other():
    folder, named = "", []
    for line in read("docs/structure.md").split("\n## Files\n")[1].splitlines():
        if line.startswith("### "):
            folder = re.search(r"`(.+)`", line)[1] if "`" in line else ""
        elif item := re.match(r"- `([^`]+)`: \S", line):
            named.append(folder + item[1])
    code = tracked("*.py", "*.js", "*.css", "*.sh")
    there = {name for name in code if not name.endswith("__init__.py")}
    assert len(named) == len(set(named))
    assert sorted(set(named) - there) == []
    assert sorted(there - set(named)) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_that_a_document_names_are_there(name):
    here = ["/" + there for there in tracked()]
    named = re.findall(r"`((?:\w+/)+[\w.-]+\.(?:py|js|css|md|json|html|ipynb))`", read(name))
    missing = [n for n in named if not any(there.endswith("/" + n) for there in here)]
    assert [n for n in missing if not n.startswith("build/")] == []
