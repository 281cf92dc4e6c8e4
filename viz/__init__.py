"""Pictures of traces. Reads ``tr_core``'s records and nothing else; importing it costs no torch."""

from pathlib import Path

from viz.explorer import (
    PHASES,
    batch,
    end_record,
    error_record,
    offer_record,
    reset_record,
    run_record,
    start_record,
    step_record,
    token_ids,
    view_record,
)
from viz.export import to_html
from viz.figures import accepted_per_step
from viz.labels import full_label, label

STATIC = Path(__file__).with_name("static")

__all__ = [
    "PHASES",
    "STATIC",
    "accepted_per_step",
    "batch",
    "end_record",
    "error_record",
    "full_label",
    "label",
    "offer_record",
    "reset_record",
    "run_record",
    "start_record",
    "step_record",
    "to_html",
    "token_ids",
    "view_record",
]
