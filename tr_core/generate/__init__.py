"""Token recycling inside transformers' own ``generate``."""

from tr_core.generate.method import generate, token_recycling

__all__ = ["generate", "token_recycling"]
