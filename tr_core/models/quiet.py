"""Libraries that speak on stderr are asked to be silent there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub.utils import logging as hub_logging
from transformers.utils import logging


@contextmanager
def quiet() -> Iterator[None]:
    """Keep bars and reports of transformers and the Hub's client off stderr, where a failure has
    one line.
    """
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    of_hub = hub_logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    hub_logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        hub_logging.set_verbosity(of_hub)
        if bars:
            logging.enable_progress_bar()
