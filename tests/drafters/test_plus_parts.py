"""The parts of recycling_plus, called as plain Python: look-ups, rows in bounded memory, usual
tokens, marks.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.toy import ToyTarget
from tr_core import Session, Settings
from tr_core.drafters.recycling_plus.kernels import arrays as memory
from tr_core.drafters.recycling_plus.kernels import candidates as known
from tr_core.drafters.recycling_plus.kernels import entry_points as loops
from tr_core.drafters.recycling_plus.kernels import features as marks
from tr_core.drafters.recycling_plus.kernels import frequent_tokens as usual
from tr_core.drafters.recycling_plus.kernels import lookup as text
from tr_core.drafters.recycling_plus.kernels import rows
from tr_core.drafters.recycling_plus.kernels import warm_up as first_use
from tr_core.drafters.recycling_plus.kernels.numba_cache import _folder

A, B, C, D = range(4)
V = 40
PRIORS = np.array(marks.PRIORS)


def blank(k=2, size=rows.MEMORY):
    made = memory.empty(memory.sizes_of(V, k, size), PRIORS)
    return made, memory.named(made)


def test_each_number_of_a_memory_belongs_to_one_part():
    made, parts = blank(k=5, size=1000)
    arrays = [parts.worth, parts.priors]
    for group in parts[2:]:
        arrays += [part for part in group if isinstance(part, np.ndarray)]
    for place, part in enumerate(arrays, start=1):
        part[...] = place
    assert all(
        (part == place).all() for place, part in enumerate(arrays, start=1)
    )  # nothing was overwritten
    for whole in made:
        mine = [part for part in arrays if np.shares_memory(part, whole)]
        gap = (
            memory._FIRST - 3 - 2 - 2 if whole is made.numbers else 0
        )  # sizes, and room for more of them
        assert sum(part.size for part in mine) == whole.size - gap


def matches(parts):
    """Place → length."""
    return dict(parts.text.matches[: parts.text.sizes[1]].tolist())


def copied(parts, listed, branch=()):
    """Token → length and place of the match that answers."""
    count = text.copies(
        parts.text,
        np.array(list(listed.items())),
        np.array(branch),
        len(branch),
        parts.found.copies,
    )
    return {token: (length, place) for token, length, place in parts.found.copies[:count].tolist()}


def test_matches_grow_with_the_text_and_narrow_below_a_branch():
    _, parts = blank()
    text.extend(parts.text, [A, B, C, A, B, D, A, B])
    assert matches(parts) == {2: 2, 5: 2}  # “ab” stood before places 2 and 5
    assert copied(parts, matches(parts)) == {C: (2, 2), D: (2, 5)}
    text.extend(parts.text, [D])
    assert matches(parts) == {6: 3}
    # A loop goes on in its own branch: after “aa” comes a, at any depth.
    text.clear(parts.text)
    text.extend(parts.text, [A, A])
    assert matches(parts) == {1: 1}
    assert copied(parts, {1: 1}) == {A: (1, 1)}
    assert copied(parts, {2: 2}, [A]) == {A: (2, 2)}
    assert copied(parts, {3: 2}, [A]) == {}  # behind the branch nothing is known
    # Where two matches are as long the later answers.
    text.extend(parts.text, [B, A])
    assert copied(parts, matches(parts)) == {A: (1, 1), B: (1, 2)}
    text.clear(parts.text)
    text.extend(parts.text, [A, C, A, C, A])
    assert copied(parts, {1: 1, 3: 3}) == {C: (3, 3)}


@settings(max_examples=100, deadline=None)
@given(said=st.lists(st.integers(0, 3), max_size=90))
def test_matches_are_what_a_search_through_the_text_finds(said):
    _, parts = blank()
    for start in range(0, len(said), 7):
        text.extend(parts.text, said[start : start + 7])

    def length(place):
        return next(
            (n for n in range(place) if said[place - 1 - n] != said[len(said) - 1 - n]), place
        )

    found = {place: length(place) for place in range(1, len(said)) if length(place)}
    assert matches(parts) == {place: found[place] for place in sorted(found)[-text.PLACES :]}


def write(made, keys, candidates, step):
    n = len(keys)
    ids = np.tile(np.array(candidates, dtype=np.int32), (n, 1))
    loops.fill(
        *made,
        np.array(keys),
        ids,
        np.full((n, ids.shape[1]), 20, dtype=np.uint8),
        np.full(n, step, np.int32),
    )


def stored(made):
    """Key → candidates, marks and step, least recently written first."""
    parts = memory.named(made)
    order = np.empty(parts.rows.ends[rows.COUNT], dtype=np.int64)
    loops.written(*made, order)
    found = rows.arrays(parts.rows, order)
    return {
        key: tuple(line)
        for key, line in zip(found["keys"].tolist(), found["ids"].tolist(), strict=True)
    }


def test_at_the_bound_the_row_written_longest_ago_goes():
    made, parts = blank(size=128)
    assert len(parts.rows.table) == 3
    write(made, [11, 12, 13], [A, B], 0)
    write(made, [11], [B, A], 1)  # used again: 12 is now the oldest
    write(made, [14], [C, D], 2)
    assert list(stored(made).items()) == [(13, (A, B)), (11, (B, A)), (14, (C, D))]
    assert (rows.find(parts.rows, 12), rows.born(parts.rows, rows.find(parts.rows, 14))) == (-1, 2)
    write(made, [21, 22, 23, 24], [D, C], 3)  # more than places in one go: the last ones stay
    assert list(stored(made)) == [22, 23, 24]


@settings(max_examples=60, deadline=None)
@given(written=st.lists(st.tuples(st.integers(1, 60), st.integers(0, V - 1)), max_size=200))
def test_rows_are_a_dictionary_that_forgets_what_was_written_longest_ago(written):
    made, parts = blank(k=5, size=1000)
    capacity, expected = len(parts.rows.table), {}
    for step, (key, token) in enumerate(written):
        key = key * 10**12  # as keys of three tokens are; some fall on the same place of the index
        write(made, [key], [token] * 5, step)
        expected.pop(key, None)
        expected[key] = (token,) * 5
        if len(expected) > capacity:
            del expected[next(iter(expected))]
    assert list(stored(made).items()) == list(expected.items())
    assert all(
        rows.find(parts.rows, key * 10**12) < 0
        for key in range(1, 61)
        if key * 10**12 not in expected
    )


@pytest.mark.parametrize("k", [1, 3, 8, 32])
def test_all_rows_together_take_no_more_than_the_bound_says(k):
    made, parts = blank(k)
    assert made.small.nbytes - 2 * V * 4 <= rows.MEMORY == 16_000_000
    assert len(parts.rows.table) > 10_000_000 / (4 * rows.columns(k))
    assert len(parts.rows.index) > len(parts.rows.table)


def test_keys_of_one_to_three_tokens():
    base = V + 1
    assert [rows.key_of(A, B, C, n, base) for n in (1, 2, 3)] == [
        3,
        3 + 2 * base,
        3 + 2 * base + base**2,
    ]
    assert [rows.key_of(-1, B, C, n, base) for n in (1, 2, 3)] == [3, 3 + 2 * base, -1]
    assert [rows.key_of(-1, -1, C, n, base) for n in (1, 2, 3)] == [3, -1, -1]


def test_a_long_text_leaves_the_newest_usual_tokens_and_no_more():
    parts = memory.named(memory.empty(memory.sizes_of(2000, 2, 1000), PRIORS))
    for _ in range(300):
        usual.add(parts.usual, np.array([A, B]), np.array([0.6, 0.3]))
    for n in range(700):
        usual.add(parts.usual, np.array([C, 1000 + n]), np.array([0.6, 0.01]))
    (token, mark), *others = parts.usual.best.tolist()
    assert token == C
    assert marks.CHANCES[mark - marks.CHANCE - 1] == pytest.approx(0.5)  # 0.6 of the last places
    assert len(others) == 15
    kept = usual.arrays(parts.usual)
    assert len(kept["usual"]) <= len(parts.usual.tokens) < 300
    assert {t: n + 1 for n, t in enumerate(kept["usual"].tolist())} == {
        t: line for t, line in enumerate(parts.usual.line.tolist()) if line
    }
    usual.clear(parts.usual)
    assert not parts.usual.line.any()


def test_every_mark_has_its_own_number():
    ends = [
        marks.RANK,
        marks.CHANCE,
        marks.OTHER,
        marks.THIS,
        marks.AGED,
        marks.AGREE,
        len(marks.PRIORS),
    ]
    assert ends == sorted(set(ends))
    assert len(marks.PRIORS) < 256  # they travel in eight bits
    assert (marks.ROW + 3, marks.USUAL + 1) == (2, marks.RANK)
    assert (marks.other(0), marks.other(16), marks.this(1), marks.this(40)) == (
        marks.OTHER, marks.THIS - 1, marks.THIS, marks.SHORTER - 1,
    )  # fmt: skip
    assert (marks.aged(0), marks.aged(64), marks.probable(0.0), marks.probable(1.0)) == (
        marks.AGED, marks.NO_AGE - 1, marks.CHANCE, marks.NO_CHANCE - 1,
    )  # fmt: skip
    assert [marks.agreeing(n) - marks.AGREE for n in (0, 1, 2, 3, 9)] == [1, 2, 2, 3, 3]
    assert marks.agreeing(-1) == marks.AGREE_ABSENT == len(marks.PRIORS) - 1
    assert marks.NO_AGE + 1 == marks.AGREE


def test_what_was_right_is_worth_more_and_all_is_drawn_back():
    _, parts = blank()
    packed = sum(mark << 8 * n for n, mark in enumerate((0, 8, 17, 32, 48, 55)))
    assert known.marks_of(packed) == (0, 8, 17, 32, 48, 55)
    parts.found.told[0] = A, known.ROW, 1, -1, packed
    for choice, sign in ((A, 1), (B, -1)):
        parts.worth[:] = parts.priors
        known.correct(parts.found, parts.worth, 0, 1, choice, known.RATE)
        moved = np.flatnonzero(parts.worth != parts.priors)
        assert moved.tolist() == [0, 8, 17, 32, 48, 55]
        assert (np.sign(parts.worth - parts.priors)[moved] == sign).all()
    for _ in range(4000):
        known.draw_back(parts.worth, parts.priors)
    assert parts.worth == pytest.approx(parts.priors, abs=0.001)


@pytest.mark.parametrize("k", [3, 8])
def test_what_was_compiled_at_the_first_use_serves_all_runs(k, tmp_path):
    """Arguments of another type would be compiled for in the middle of a run, for seconds."""
    first_use.prepare()
    compiled = [loop for loop in vars(loops).values() if hasattr(loop, "signatures")]
    assert len(compiled) == 7
    before = [list(loop.signatures) for loop in compiled]
    table = {t: [(t + n) % 10 for n in range(1, k + 1)] for t in range(10)}
    for tree, trace in (("3", True), ("auto", False), ("100", False)):
        settings_ = Settings(
            drafter="recycling_plus", tree=tree, k=k, max_new_tokens=30, trace=trace
        )
        session = Session(ToyTarget(table), settings_).start([A, B, A, B, C])
        for _ in session.run():
            session.drafter.restore(session.drafter.state())
    session.drafter.save(tmp_path / "x", "toy")
    assert [list(loop.signatures) for loop in compiled] == before


def test_compiled_code_is_kept_for_these_very_files(tmp_path, monkeypatch):
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    (tmp_path / "recycling-plus-of-an-earlier-version").mkdir()
    mine = _folder()
    assert [mine] == list(tmp_path.iterdir())
    # Where nothing can be written beside the files, in the user's own folder; and where that cannot
    # be either, nowhere.
    (tmp_path / "a file").touch()
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path / "a file"))
    monkeypatch.setattr(
        "tr_core.drafters.recycling_plus.kernels.numba_cache.cached_assets_path",
        lambda _: tmp_path / "assets",
    )
    assert _folder().parent == tmp_path / "assets"
    monkeypatch.setattr(
        "tr_core.drafters.recycling_plus.kernels.numba_cache.cached_assets_path",
        lambda _: tmp_path / "a file" / "b",
    )
    assert _folder() is None
