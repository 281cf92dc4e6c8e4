"""The log: one JSON object per line, on stderr. No gradio here.

It never holds an output or a secret, and prompts only with ``TR_LOG_PROMPTS=1``.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
import traceback

LOGGER = logging.getLogger("tr")
# What a visitor reads after a bug.
FAILED = (
    "Something went wrong on the server, and was logged there: what is on the screen stays; try"
    " again."
)
# Names of secret environment variables, and Hub tokens from anywhere.
_SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASSWORD|API_?KEY", re.IGNORECASE)
_SECRET_LOOKS = re.compile(r"\bhf_\w{10,}")
_REDACTED = "[redacted]"


class JsonLines(logging.Formatter):
    """One JSON object per record.

    ``logger.info("step", extra={"payload": {…}})`` → ``{"at": …, "level": "info", "event": "step",
    …}``.
    """

    def format(self, record: logging.LogRecord) -> str:
        payload = {
            # The wall clock, for readers; no duration is computed from it.
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "from": record.name,
            "event": record.getMessage(),
            **getattr(record, "payload", {}),
        }
        if record.exc_info:
            # Where it was raised and of what kind: an exception's text can hold what a visitor
            # typed.
            kind, _, trace = record.exc_info
            payload["error"] = kind.__name__ if kind is not None else ""
            payload["where"] = [
                f"{os.path.basename(f.filename)}:{f.lineno}" for f in traceback.extract_tb(trace)
            ][-12:]
        return without_secrets(json.dumps(payload, ensure_ascii=False, default=str))


def without_secrets(text: str) -> str:
    """The text without values of secret environment variables or anything like a Hub token."""
    for name, value in os.environ.items():
        if len(value) >= 8 and _SECRET_NAMES.search(name):
            text = text.replace(value, _REDACTED)
    return _SECRET_LOOKS.sub(_REDACTED, text)


def start() -> None:
    """Send our log to stderr as JSON lines.

    uvicorn logs warnings and errors only, and no requests.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    LOGGER.handlers, LOGGER.propagate = [handler], False
    LOGGER.setLevel(os.environ.get("TR_LOG_LEVEL", "INFO").upper())


def tell(event: str, **payload: object) -> None:
    """Log an event and its figures."""
    LOGGER.info(event, extra={"payload": payload})
