"""Lossless speculative decoding by Token Recycling for ``model.generate``.

All of it is in the package tr_core.
"""

try:
    from tr_core.generate import generate
except ImportError as error:
    raise ImportError(
        "custom_generate needs the package token-recycling-explorer (module tr_core), which is not"
        " installed or is older: run “pip install .” in a checkout of Token Recycling Explorer"
        f" ({error})."
    ) from error

__all__ = ["generate"]
