"""Names of the explorer's style sheets: the one list is in ``static/styles.js``, which the browser reads itself."""

from __future__ import annotations

import re
from pathlib import Path

STATIC = Path(__file__).with_name("static")

STYLES: tuple[str, ...] = tuple(re.findall(r'"([\w-]+\.css)"', (STATIC / "styles.js").read_text(encoding="utf-8")))
