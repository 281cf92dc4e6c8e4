"""Write files whole or not at all: a full disk destroys nothing that was there. No torch."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class CannotWriteError(OSError):
    """A file was not written; its text is one sentence, ``strerror`` the system's message."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(error.errno, error.strerror or str(error))
        self._path = path

    def __str__(self) -> str:
        return (
            f"“{self._path}” cannot be written ({self.strerror}); its old content is untouched."
            " Make room, or choose another place."
        )


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A path next to ``path`` to write to; at the end of the block the file replaces ``path``.

    Raises:
        CannotWriteError: the block raised an ``OSError``, or moving failed.
    """
    path = Path(path)
    # A device or a pipe is written to as it is.
    part = (
        path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")
        if path.is_file() or not path.exists()
        else path
    )
    try:
        yield part
        if part != path:
            os.replace(part, path)
    except BaseException as error:
        if part != path:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise CannotWriteError(path, error) from error
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write a text in UTF-8, its line ends as they are.

    Raises:
        CannotWriteError: it cannot be written, or not all of it.
    """
    with whole(path) as part:
        part.write_text(text, encoding="utf-8", newline="")
