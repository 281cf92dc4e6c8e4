"""One self-contained web page of a run or of the tour.

It opens from ``file://``, requests nothing and sends nothing.

The page is the explorer itself: the modules of ``static/`` in one script, the style sheet, and the
run's records as data. A browser fetches no module from ``file://``, so the modules are put into one
script here: each becomes a function that returns its exports, which keeps their names apart without
a bundler.

The records and plotly.js, which draws the charts, are packed (gzip, base64), so that a hundred
steps stay below three megabytes; plotly is unpacked when the metrics are first opened.

Nothing that a model or a user wrote can become markup: outside the data blocks it is escaped, and
inside them there are only letters and digits. As a second defence, the page's content security
policy allows only this script and plotly's, each by its hash, and no connection.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from tr_core.analysis.alignment import align
from tr_core.trace import RunTrace
from viz.assets import PLOTLY, STATIC, STYLES
from viz.lessons.record import LESSONS, lessons_record
from viz.records.analysis_record import analysis_record
from viz.records.run_records import batch, compare_record, run_name, run_record, view_record

ENTRY = "saved.js"
EXCERPT = 160
LESSONS_TITLE = "A tour of Token Recycling"
LESSONS_SUMMARY = (
    "A tour of Token Recycling in twelve short chapters. Everything is in this file; nothing is"
    " sent."
)

_IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.\.?/[\w./-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let) (\w+))", re.MULTILINE)

_MAP_STYLE = re.compile(
    r"""(createElement\("style"\);\w+\.id="\w{64}",\w+\.textContent=)'(?:[^'\\]|\\.)*'"""
)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<link rel="icon" href="data:,">
<style id="tr-explorer-style">{style}</style>
</head>
<body>
<header class="tr-saved-head"><h1>Token Recycling Explorer</h1><p dir="auto">{summary}</p></header>
<main id="tr-saved-explorer"></main>
<noscript><p>This page draws a recorded run in your browser: allow it to run its script. Nothing is
fetched or sent.</p></noscript>
<script type="text/plain" id="tr-saved-record">{record}</script>
<script type="text/plain" id="tr-saved-plotly">{plotly}</script>
<script type="module">{script}</script>
</body>
</html>
"""


def to_html(runs: RunTrace | Sequence[RunTrace]) -> str:
    """A whole run as one page, opened at its first step; or two to four runs side by side.

    Raises:
        CompareError: several runs that do not belong together.
    """
    traces = [runs] if isinstance(runs, RunTrace) else list(runs)
    trace = traces[0] if len(traces) == 1 else _comparable(traces)
    return _page(batch(_records(traces)), _title(trace), _summary(trace), _plotly())


def lessons_to_html(folder: Path = LESSONS) -> str:
    """The whole tour as one page.

    It opens where its reader left, or as its address says: ``…html?lesson=3``.

    Args:
        folder: chapters and traces of their own; see ``lessons_record``.

    Raises:
        LessonError: a chapter is malformed, or contradicts its run.
        TraceError: a trace is damaged or of another schema.
    """
    return _page(lessons_record(folder, open_at=0), LESSONS_TITLE, LESSONS_SUMMARY)


def _page(records: str, title: str, summary: str, plotly: _Plotly | None = None) -> str:
    """The page around some records; ``plotly`` where its charts can be opened."""
    script = bundle()
    style = "".join(
        (STATIC / name).read_text(encoding="utf-8") for name in (*STYLES, "styles/saved.css")
    )
    scripts = [_hash(script), *([plotly.hash] if plotly else [])]
    return _PAGE.format(
        # plotly makes itself an empty style element, and fills that by script.
        policy=_policy(scripts, (_hash(style), _hash(""))),
        title=html.escape(title),
        style=style,
        summary=html.escape(summary),
        record=_packed(records),
        plotly=plotly.packed if plotly else "",
        script=script,
    )


def _comparable(traces: Sequence[RunTrace]) -> RunTrace:
    align(traces)
    return traces[0]


def _records(traces: Sequence[RunTrace]) -> Iterator[str]:
    """The first run, and the others beside it if there are more."""
    names: list[str] = []
    for trace in traces:
        name = run_name(trace)
        names.append(
            f"{name}-{len(names)}" if name in names else name
        )  # one run may be there twice
    named = list(zip(traces, names, strict=True))
    yield run_record(*named[0])
    if len(traces) > 1:
        yield compare_record(named[1:], known=[named[0][1]])
    for trace, name in named:
        yield analysis_record(trace, name)
    yield view_record(1)


def bundle(entry: str = ENTRY, folder: Path = STATIC) -> str:
    """A module and all that it imports, as one script.

    Imports must be of the form ``import { a, b } from "./x.js";``, exports stand before a
    declaration, and no module may import itself in a circle: see ``tests/viz/test_export.py``.
    """
    sources: dict[str, str] = {}
    needs: dict[str, list[str]] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name not in sources:
            sources[name] = (folder / name).read_text(encoding="utf-8")
            needs[name] = [_beside(name, match[2]) for match in _IMPORT.finditer(sources[name])]
            waiting.extend(needs[name])
    modules = (_module(name, sources[name]) for name in TopologicalSorter(needs).static_order())
    return "\n" + "\n".join(modules)


def _module(name: str, source: str) -> str:
    """A module as a function, called once, whose result is the module's exports."""
    exports = ", ".join(match[1] for match in _EXPORT.finditer(source))
    body = _IMPORT.sub(
        lambda match: f"const {{{match[1]}}} = {_variable(_beside(name, match[2]))};\n", source
    )
    body = _EXPORT.sub("", body).removeprefix("// @ts-check\n")
    return f"const {_variable(name)} = (() => {{\n{body}return {{ {exports} }};\n}})();\n"


def _beside(name: str, path: str) -> str:
    """The name of a module that another one imports by a relative path."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), path))


def _variable(name: str) -> str:
    return "module_" + re.sub(r"\W", "_", name.removesuffix(".js"))


def _policy(scripts: Iterable[str], styles: Iterable[str]) -> str:
    """Only scripts and styles with these hashes, the page's own pictures, and no connection."""
    allowed, styling = (" ".join(f"'{one}'" for one in hashes) for hashes in (scripts, styles))
    # Of style attributes the empty one alone is let through, which plotly sets.
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-hashes' {styling}; img-src"
        " data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


class _Plotly(NamedTuple):
    packed: str
    hash: str


@cache
def _plotly() -> _Plotly:
    # The style sheet of its maps, which are not used here, would be against the page's policy.
    text = _MAP_STYLE.sub(r"\1''", PLOTLY.read_bytes().decode())
    return _Plotly(_packed(text), _hash(text))


def _packed(text: str) -> str:
    """Text as gzip in base64, in which no character means anything to a reader of HTML."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _title(trace: RunTrace) -> str:
    return _line(f"{_prompt(trace)[:60]} · {trace.info.model} · Token Recycling Explorer")


def _summary(trace: RunTrace) -> str:
    return _line(f"A recorded run of {trace.info.model}: “{_prompt(trace)}”")


def _prompt(trace: RunTrace) -> str:
    """The beginning of the prompt, on one line."""
    # A prompt can be long; what is cut away need not be joined.
    start = _line("".join(trace.pieces.get(t, "") for t in trace.info.prompt_ids[: 2 * EXCERPT]))
    return start if len(start) <= EXCERPT else start[:EXCERPT] + "…"


def _line(text: str) -> str:
    """Text as one line that can be encoded and has no control or direction marks."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(shown.split())
