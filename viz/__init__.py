"""Pictures of traces. Reads ``tr_core``'s records and nothing else; importing it costs no torch."""

from tr_core.trace.labels import full_label, label
from viz.assets import PLOTLY, STATIC, STYLES
from viz.export import lessons_to_html, to_html
from viz.figures.comparison import passes_by_position, steps_by_position
from viz.figures.plotly_figures import (
    acceptance_by_depth_and_rank,
    accepted_histogram,
    accepted_per_step,
    bytes_per_token,
    emitted_by_class,
    mat_by_position,
    matrix_over_time,
    most_rewritten_rows,
    reliability,
    sliding_mat,
    time_per_phase,
    tokens_against_passes,
    why_paths_ended,
)
from viz.figures.tree import draft_tree
from viz.lessons.chapter_text import LessonError
from viz.lessons.record import lessons_record
from viz.records.analysis_record import analysis_record
from viz.records.read_back import read_run
from viz.records.run_records import (
    PHASES,
    batch,
    compare_record,
    end_record,
    error_record,
    offer_record,
    progress_record,
    reset_record,
    run_name,
    run_record,
    start_record,
    step_record,
    token_ids,
    view_record,
)

__all__ = [
    "PHASES",
    "PLOTLY",
    "STATIC",
    "STYLES",
    "LessonError",
    "acceptance_by_depth_and_rank",
    "accepted_histogram",
    "accepted_per_step",
    "analysis_record",
    "batch",
    "bytes_per_token",
    "compare_record",
    "draft_tree",
    "emitted_by_class",
    "end_record",
    "error_record",
    "full_label",
    "label",
    "lessons_record",
    "lessons_to_html",
    "mat_by_position",
    "matrix_over_time",
    "most_rewritten_rows",
    "offer_record",
    "passes_by_position",
    "progress_record",
    "read_run",
    "reliability",
    "reset_record",
    "run_name",
    "run_record",
    "sliding_mat",
    "start_record",
    "step_record",
    "steps_by_position",
    "time_per_phase",
    "to_html",
    "token_ids",
    "tokens_against_passes",
    "view_record",
    "why_paths_ended",
]
