"""A transformers tokenizer as the engine uses it: text, ids, and the exact bytes of a token."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from functools import cached_property
from typing import cast

from jinja2 import TemplateError as JinjaError
from transformers import PreTrainedTokenizerBase

from tr_core.errors import PromptError

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE_MARK = "▁"


class TokenizerVocabulary:
    """What the engine and the trace need of a tokenizer.

    Args:
        tokenizer: of the model.
        size: ids that the model can embed; a prompt with others is refused.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, size: int) -> None:
        self.tokenizer = tokenizer
        self.size = size

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of SHA-256 over the vocabulary, added tokens included, sorted by id."""
        vocabulary = sorted(self.tokenizer.get_vocab().items(), key=lambda item: (item[1], item[0]))
        return hashlib.sha256(json.dumps(vocabulary, ensure_ascii=True).encode()).hexdigest()[:16]

    @property
    def has_chat_template(self) -> bool:
        return bool(self.tokenizer.chat_template)

    def encode(self, text: str, *, chat_template: bool = False) -> list[int]:
        """Token ids of a prompt, with the beginning token where the tokenizer puts one.

        Args:
            text: the prompt, or the user's message.
            chat_template: wrap the text as one user message and open the assistant's answer.

        Raises:
            PromptError: the text is not valid Unicode, there is no chat template, it fails on this
                text, or the tokenizer makes ids that the model does not have.
        """
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise PromptError(
                f"The prompt is not valid text: character {error.start + 1} is only half of one;"
                " delete it."
            ) from error
        if not chat_template:
            ids = self.tokenizer.encode(text)
        elif self.has_chat_template:
            ids = self._encode_chat(text)
        else:
            raise PromptError("This model has no chat template: turn the chat template off.")
        if ids and max(ids) >= self.size:
            raise PromptError(
                f"The tokenizer makes the token {max(ids)} of this prompt, but the model knows only"
                f" {self.size:,} tokens: the tokenizer belongs to another model."
            )
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids; end and control tokens, and ids beyond the tokenizer, add nothing."""
        known = [token for token in ids if token in self._pieces]
        text = self.tokenizer.decode(
            known, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return cast(str, text)  # a list only for a batch

    def token_bytes(self, token: int) -> bytes:
        """The bytes that one token adds to a text; an added or control token gives its name.

        An id beyond the tokenizer, which wider logits can choose, gives ``<id 123>``.
        """
        if (name := self._added.get(token)) is not None:
            return name.encode()
        piece = self._pieces.get(token)
        if piece is None:
            return f"<id {token}>".encode()
        if self._byte_level:
            return b"".join(
                bytes([_BYTE_ALPHABET[c]]) if c in _BYTE_ALPHABET else c.encode() for c in piece
            )
        if byte := _BYTE_TOKEN.fullmatch(piece):
            return bytes([int(byte[1], 16)])
        return piece.replace(_SPACE_MARK, " ").encode()

    def _encode_chat(self, text: str) -> list[int]:
        messages = [{"role": "user", "content": text}]
        try:
            ids = self.tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=True, return_dict=False
            )
            return cast(list[int], ids)
        except (JinjaError, ValueError, TypeError) as error:
            raise PromptError(
                f"The model's chat template does not take this prompt: {error}."
            ) from error

    @cached_property
    def _added(self) -> dict[int, str]:
        """Control tokens and added words: they are spelled as they are, in no alphabet."""
        return {
            token: added.content for token, added in self.tokenizer.added_tokens_decoder.items()
        }

    @cached_property
    def _pieces(self) -> dict[int, str]:
        """The tokenizer's own spelling of each id."""
        return {token: piece for piece, token in self.tokenizer.get_vocab().items()}

    @cached_property
    def _byte_level(self) -> bool:
        """Whether pieces are spelled in GPT-2's byte alphabet."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        decoder = getattr(backend, "decoder", None)
        return decoder is not None and b'"ByteLevel"' in decoder.__getstate__()


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's spelling of bytes as printable characters, turned round: 0x20 is “Ġ”, 0x41 is “A”.

    The bytes that print as themselves keep their character, the others take those from U+0100 on
    (``bytes_to_unicode`` of openai/gpt-2, src/encoder.py).
    """
    printable = {
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    }
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {
        chr(256 + index): byte for index, byte in enumerate(others)
    }


_BYTE_ALPHABET = _byte_alphabet()
