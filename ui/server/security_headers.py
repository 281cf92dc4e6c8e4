"""Headers that let nothing in from outside, and Gradio's unused routes closed. No gradio here.

The policy is as strict as Gradio 6 permits. Its inline scripts are allowed by their hashes. It
compiles the page's few lines of JavaScript, hence ``unsafe-eval``. See docs/security.md.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_INLINE = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
# Routes of Gradio that fetch from other servers, edit the app, or reveal other visitors.
_CLOSED = re.compile(
    r"^/(gradio_api/)?(file=https?:|proxy=|vibe-|undo-vibe|process_recording|deep_link|runs|run-history|monitoring|dev/)"
)
_FIXED = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class Guard:
    """Middleware: adds the headers, closes routes, refuses bodies that are too large.

    Args:
        app: the application to guard.
        framed_by: origins that may show the page in a frame, besides its own: on a Space its
            owner's page.
        largest: bytes of a request's body.
    """

    def __init__(self, app: ASGIApp, framed_by: str = "", largest: int = 200_000_000) -> None:
        self._app, self._framed_by, self._largest = app, framed_by, largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _CLOSED.match(scope["path"]):
            await _refuse(send, 404, b"There is no such page.")
            return
        if self._too_large(scope):
            await _refuse(
                send, 413, f"At most {self._largest // 1_000_000} MB are taken at once.".encode()
            )
            return
        await self._app(scope, self._counted(receive), _Headers(send, self._framed_by))

    def _counted(self, receive: Receive) -> Receive:
        """A body of unknown length is cut off where it becomes too large."""
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            return message if taken <= self._largest else {"type": "http.disconnect"}

        return counted

    def _too_large(self, scope: Scope) -> bool:
        length = dict(scope["headers"]).get(b"content-length", b"0")
        return not length.isdigit() or int(length[:20]) > self._largest


class _Headers:
    """Adds headers to a response.

    A page of HTML is held back until it is complete, to allow its own scripts.
    """

    def __init__(self, send: Send, framed_by: str) -> None:
        self._send, self._framed_by = send, framed_by
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(k, v) for k, v in message["headers"] if k.lower() not in _FIXED]
            message = {**message, "headers": [*headers, *_FIXED.items()]}
            if _is_html(headers):
                self._start = message
                return
        elif self._start is not None and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if message.get("more_body"):
                return
            policy = _policy(self._body, self._framed_by).encode()
            headers = [*self._start["headers"], (b"content-security-policy", policy)]
            start = {**self._start, "headers": headers}
            await self._send(start)
            message = {"type": "http.response.body", "body": self._body}
            self._start = None
        await self._send(message)


def _is_html(headers: list[Any]) -> bool:
    plain = dict(headers)
    return (
        plain.get(b"content-type", b"").startswith(b"text/html")
        and b"content-encoding" not in plain
    )


def _policy(html: bytes, framed_by: str) -> str:
    hashes = " ".join(sorted({_hash(match[1]) for match in _INLINE.finditer(html)}))
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'self' 'unsafe-eval' {hashes}".rstrip(),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "media-src 'self' data: blob:",
            "connect-src 'self'",
            "manifest-src 'self'",
            "worker-src 'self' blob:",
            "base-uri 'self'",
            "form-action 'self'",
            f"frame-ancestors 'self' {framed_by}".rstrip(),
        ]
    )


def _hash(script: bytes) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"


async def _refuse(send: Send, status: int, sentence: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *_FIXED.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence})
