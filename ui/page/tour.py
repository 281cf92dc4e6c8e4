"""The tour's record, built when the first visitor opens it. No gradio here."""

from __future__ import annotations

from functools import cached_property

import viz
from tr_core.errors import TokenRecyclingError


class Tour:
    """The chapters of ``assets/lessons`` and their runs, the same for all visitors."""

    def record(self) -> str:
        """The ``lessons`` record, or one sentence on a faulty chapter."""
        try:
            return self._lessons
        except TokenRecyclingError as error:
            return viz.error_record(str(error))

    @cached_property
    def _lessons(self) -> str:
        return viz.lessons_record()
