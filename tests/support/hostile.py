"""Input that means harm, and what every answer to it must be: one sentence."""

from hypothesis import strategies as st

FIELDS = (
    "prompt",
    "model",
    "drafter",
    "tree",
    "tree_file",
    "k",
    "max_new_tokens",
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "stop_strings",
    "ignore_eos",
    "prompt_rows",
    "chat",
    "start",
    "matrix_file",
)

GOOD = dict(
    zip(
        FIELDS,
        (
            "the then",
            "tiny",
            "token_recycling",
            "small-8",
            None,
            8,
            4,
            0.0,
            1.0,
            0,
            0,
            "",
            False,
            True,
            False,
            "cold",
            None,
        ),
        strict=True,
    )
)

hostile_text = st.text(max_size=40) | st.sampled_from(
    [
        "../../etc/passwd",
        "/etc/passwd",
        "a\0b",
        "<script>",
        "{{7*7}}",
        "__import__('os')",
        "\ud800",
        "a" * 400,
        "١٢",
    ]
)

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | hostile_text,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=4,
)


def one_sentence(text):
    assert text.strip()
    assert "Traceback" not in text
    assert "\n" not in text
