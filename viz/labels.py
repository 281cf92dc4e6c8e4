"""Labels of tokens as the page draws them; the command line writes the same ones, so they live in
``tr_core``.
"""

from tr_core.trace.labels import CELLS, cells, full_label, label

__all__ = ["CELLS", "cells", "full_label", "label"]
