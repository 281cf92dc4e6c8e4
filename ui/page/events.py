"""What the regions of the page share when they handle Gradio's events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from tr_core.errors import TokenRecyclingError
from ui.tab.tab import Tabs

# For every event of the page itself: no part of the API, and nothing blinks.
PRIVATE: Mapping[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


def session_of(request: gr.Request) -> str:
    """The name of the browser tab that an event comes from."""
    return request.session_hash or ""


def event_value(event: gr.EventData, name: str, default: Any = None) -> Any:
    """A field of what the explorer sends with an event; ``default`` if it is missing."""
    try:
        return getattr(event, name)
    except (AttributeError, TypeError):  # the second if the event's data is no object at all
        return default


def as_gradio_error(error: TokenRecyclingError) -> gr.Error:
    """A sentence for the visitor that Gradio shows and does not log."""
    return gr.Error(str(error), print_exception=False)


def show_panels_after(event: Any, tabs: Tabs, explorer: gr.HTML) -> None:
    """Send the panels' record once an event that changes the run is over."""

    def on_panels(request: gr.Request) -> Any:
        return tabs.get(session_of(request)).workspace.analysis() or gr.skip()

    event.then(on_panels, None, explorer, **PRIVATE)
