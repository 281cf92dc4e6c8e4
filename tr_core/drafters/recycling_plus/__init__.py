"""Our own drafter; its compiled loops are in ``kernels/``."""

from tr_core.drafters.recycling_plus.drafter import KEYS, RecyclingPlus

__all__ = ["KEYS", "RecyclingPlus"]
