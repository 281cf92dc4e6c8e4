"""What Gradio hands to the page's doors, whatever a browser has sent: one sentence where it does
not fit.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

_LONGEST = 300


class Page(gr.Blocks):
    """A page on which a value that a component cannot take is told in a sentence, and logged
    nowhere.
    """

    async def preprocess_data(self, *arguments: Any, **more: Any) -> list[Any]:
        try:
            return await super().preprocess_data(*arguments, **more)
        except gr.Error as error:
            raise gr.Error(
                " ".join(str(error.message).split())[:_LONGEST], print_exception=False
            ) from error
        except (
            Exception
        ) as error:  # Gradio's components fail by many names; a bug of ours cannot be among them
            raise gr.Error(
                "What the page has sent does not fit its controls: load the page again.",
                print_exception=False,
            ) from error


def told(event: gr.EventData, name: str, default: Any = None) -> Any:
    """What the explorer says with an event; ``default`` where it does not say it."""
    try:
        return getattr(event, name)
    except (AttributeError, TypeError):  # the second, where it is no object at all
        return default
