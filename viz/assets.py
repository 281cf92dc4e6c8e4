"""What the browser gets besides records: the modules in ``static/``, their lists, and plotly."""

from __future__ import annotations

import re
from pathlib import Path

import plotly

STATIC = Path(__file__).with_name("static")

# The whole of plotly.js, as the Python package ships it for its own offline pages.
PLOTLY = Path(plotly.__file__).with_name("package_data") / "plotly.min.js"


def _listed(module: str, pattern: str) -> tuple[str, ...]:
    return tuple(re.findall(pattern, (STATIC / module).read_text(encoding="utf-8"), re.MULTILINE))


STYLES = _listed("styles.js", r'"([\w/-]+\.css)"')
PANELS = _listed("panels/panels.js", r'^  "?([\w-]+)"?: create\w+,$')
