"""The tour's record, made when the first visitor asks for it. No gradio here."""

from __future__ import annotations

from functools import cached_property

import viz
from tr_core.errors import TokenRecyclingError


class Tour:
    """The chapters of ``assets/lessons`` and their runs, the same for all visitors."""

    def record(self) -> str:
        """The ``lessons`` record; or what is wrong with a chapter, in a sentence."""
        try:
            return self._lessons
        except TokenRecyclingError as error:
            return viz.error_record(str(error))

    @cached_property
    def _lessons(self) -> str:
        return viz.lessons_record()
