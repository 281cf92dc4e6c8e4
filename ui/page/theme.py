"""Gradio's theme in the explorer's colours (viz/static/styles/explorer.css)."""

import gradio as gr

_LIGHT = {
    "ground": "#fbfbfa", "card": "#ffffff", "ink": "#1f2328", "mute": "#5c6470", "line": "#e3e6ea",
    "accent": "#0b7a75", "on_accent": "#ffffff", "field": "#fbfbfa", "second": "#ffffff",
}  # fmt: skip
_DARK = {
    "ground": "#0f1216", "card": "#171b21", "ink": "#e8ebef", "mute": "#9ba5b1", "line": "#2a3038",
    "accent": "#3fd0c4", "on_accent": "#10151c", "field": "#0f1216", "second": "#1e242b",
}  # fmt: skip
# Gradio's variables by the colour they take; each has a “_dark” twin.
_VARIABLES = {
    "ground": ["body_background_fill", "background_fill_secondary"],
    "card": ["block_background_fill", "background_fill_primary", "panel_background_fill"],
    "ink": ["body_text_color", "block_title_text_color", "button_secondary_text_color"],
    "mute": ["body_text_color_subdued", "block_label_text_color", "block_info_text_color"],
    "line": [
        "border_color_primary", "block_border_color", "input_border_color",
        "button_secondary_border_color", "panel_border_color",
    ],
    "accent": [
        "button_primary_background_fill", "button_primary_background_fill_hover",
        "button_primary_border_color", "color_accent", "slider_color",
    ],
    "on_accent": ["button_primary_text_color"],
    "field": ["input_background_fill"],
    "second": ["button_secondary_background_fill", "button_secondary_background_fill_hover"],
}  # fmt: skip


def theme() -> gr.themes.Base:
    """Teal on white or near-black, small type, the system's own fonts: nothing is fetched."""
    base = gr.themes.Default(
        primary_hue="teal", neutral_hue="slate",
        text_size="sm", spacing_size="sm", radius_size="md",
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"],
    )  # fmt: skip
    chosen = {}
    for name, variables in _VARIABLES.items():
        for variable in variables:
            chosen[variable], chosen[f"{variable}_dark"] = _LIGHT[name], _DARK[name]
    del chosen["color_accent_dark"]  # the one variable without a twin
    return base.set(button_border_width="1px", **chosen)
