"""Input that means harm, and what every answer to it must be: one sentence."""

from hypothesis import strategies as st

from ui.tab.controls import KEYS

GOOD = dict(
    zip(
        KEYS,
        (
            "the then",
            "tiny",
            "token_recycling",
            "small-8",
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
