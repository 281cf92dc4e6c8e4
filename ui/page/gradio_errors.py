"""Values that Gradio's components cannot take get one sentence, and no line in the log."""

from __future__ import annotations

from typing import Any

import gradio as gr

_LONGEST = 300


class Page(gr.Blocks):
    """A page that answers an unfit value with a sentence."""

    async def preprocess_data(self, *arguments: Any, **more: Any) -> list[Any]:
        try:
            return await super().preprocess_data(*arguments, **more)
        except gr.Error as error:
            sentence = " ".join(str(error.message).split())[:_LONGEST]
            raise gr.Error(sentence, print_exception=False) from error
        except Exception as error:  # components raise many kinds; no code of ours runs here
            raise gr.Error(
                "What the page has sent does not fit its controls: load the page again.",
                print_exception=False,
            ) from error
