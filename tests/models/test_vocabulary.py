"""Text to ids and back, and the exact bytes of every token."""

from __future__ import annotations

import pytest

from tests.support import tiny_models as tiny
from tr_core.errors import PromptError
from tr_core.models.vocabulary import TokenizerVocabulary

CHAT = (
    "{% for m in messages %}<s>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<think>{%"
    " endif %}"
)


@pytest.fixture
def words() -> TokenizerVocabulary:
    return TokenizerVocabulary(tiny.byte_tokenizer(), tiny.VOCAB)


@pytest.fixture
def pieces() -> TokenizerVocabulary:
    return TokenizerVocabulary(tiny.piece_tokenizer(), 1000)


def as_bytes(vocabulary: TokenizerVocabulary, ids: list[int]) -> list[bytes]:
    return [vocabulary.token_bytes(token) for token in ids]


@pytest.mark.parametrize("text", ["the theme", " é😀 \n\n x", "<s> is no text", "a<think>b"])
def test_the_bytes_of_byte_level_tokens_join_to_the_text(
    words: TokenizerVocabulary, text: str
) -> None:
    assert b"".join(as_bytes(words, words.encode(text))) == text.encode()


def test_byte_level_tokens_may_be_parts_of_a_character(words: TokenizerVocabulary) -> None:
    assert as_bytes(words, words.encode("é the")) == [b"\xc3", b"\xa9", b" th", b"e"]
    assert words.decode(words.encode("é the")) == "é the"


def test_sentencepiece_tokens_spell_spaces_and_bytes(pieces: TokenizerVocabulary) -> None:
    ids = pieces.encode("a bé ea")
    assert as_bytes(pieces, ids) == [b" a", b" b", b"\xc3", b"\xa9", b" ", b"e", b"a"]
    assert pieces.decode(ids) == "a bé ea"


def test_control_tokens_give_their_name_and_leave_the_text(words: TokenizerVocabulary) -> None:
    assert as_bytes(words, [0, 1]) == [b"<s>", b"</s>"]
    assert words.decode([0, *words.encode("hi"), 1]) == "hi"


def test_ids_beyond_the_tokenizer_have_a_name_and_no_text(words: TokenizerVocabulary) -> None:
    assert words.token_bytes(tiny.VOCAB + 9) == b"<id 121>"
    assert words.decode([*words.encode("hi"), 121]) == "hi"


def test_the_fingerprint_knows_the_vocabulary(
    words: TokenizerVocabulary, pieces: TokenizerVocabulary
) -> None:
    assert len(words.fingerprint) == 16
    assert int(words.fingerprint, 16) >= 0
    assert (
        words.fingerprint
        == TokenizerVocabulary(tiny.byte_tokenizer(), 5).fingerprint
        != pieces.fingerprint
    )


def test_text_that_is_no_text_is_refused(words: TokenizerVocabulary) -> None:
    with pytest.raises(PromptError, match="character 4 is only half of one"):
        words.encode("abc\ud83d")


def test_a_tokenizer_larger_than_the_model_is_told() -> None:
    with pytest.raises(PromptError, match="belongs to another model"):
        TokenizerVocabulary(tiny.byte_tokenizer(), 50).encode("the")


def test_a_chat_template_is_used_when_asked_for(words: TokenizerVocabulary) -> None:
    assert not words.has_chat_template
    with pytest.raises(PromptError, match="no chat template"):
        words.encode("hi", chat_template=True)
    tokenizer = tiny.byte_tokenizer.__wrapped__()
    tokenizer.chat_template = CHAT
    chat = TokenizerVocabulary(tokenizer, tiny.VOCAB)
    assert chat.has_chat_template
    assert as_bytes(chat, chat.encode("hi", chat_template=True)) == [b"<s>", b"h", b"i", b"<think>"]
    assert as_bytes(chat, chat.encode("hi")) == [b"h", b"i"]
    tokenizer.chat_template = "{{ raise_exception('only system messages') }}"
    with pytest.raises(PromptError, match="does not take this prompt: only system messages"):
        chat.encode("hi", chat_template=True)
