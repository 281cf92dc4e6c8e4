"""What the browser is given besides records: the style sheets that ``static/styles.js`` lists, and
plotly.
"""

from __future__ import annotations

import re
from pathlib import Path

import plotly

STATIC = Path(__file__).with_name("static")

# The whole of plotly.js, as the Python package ships it for its own offline pages.
PLOTLY = Path(plotly.__file__).with_name("package_data") / "plotly.min.js"

STYLES: tuple[str, ...] = tuple(
    re.findall(r'"([\w/-]+\.css)"', (STATIC / "styles.js").read_text(encoding="utf-8"))
)
