"""The kernels of recycling_plus as plain Python: look-ups, rows, frequent tokens, features."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.toy import ToyTarget
from tr_core import Session, Settings
from tr_core.drafters.recycling_plus.kernels import (
    arrays,
    candidates,
    features,
    frequent_tokens,
    lookup,
    rows,
    warm_up,
)
from tr_core.drafters.recycling_plus.kernels import entry_points as loops
from tr_core.drafters.recycling_plus.kernels.numba_cache import _folder

A, B, C, D = range(4)
V = 40


def blank(k=2, row_bytes=rows.MAX_BYTES, vocab_size=V):
    memory = arrays.empty(arrays.configure(vocab_size, k, row_bytes))
    return memory, arrays.parts_of(*memory)


def test_each_number_of_a_memory_belongs_to_one_part():
    memory, parts = blank(k=5, row_bytes=1000)
    listed = [array for part in parts for array in part if isinstance(array, np.ndarray)]
    for n, array in enumerate(listed, start=1):
        array[...] = n
    assert all(
        (array == n).all() for n, array in enumerate(listed, start=1)
    )  # nothing was overwritten
    for whole in memory:
        inside = [array for array in listed if np.shares_memory(array, whole)]
        gap = len(arrays.Config._fields) if whole is memory.int64 else 0
        assert sum(array.size for array in inside) == whole.size - gap


def matches(parts):
    """Position → length."""
    return dict(parts.text.matches[: parts.text.sizes[1]].tolist())


def copied(parts, listed, branch=()):
    """Token → length and position of the match that answers."""
    copies = parts.candidates.copies
    count = lookup.find_copies(
        parts.text, np.array(list(listed.items())), np.array(branch), len(branch), copies
    )
    return {token: (length, position) for token, length, position in copies[:count].tolist()}


def test_matches_grow_with_the_text_and_narrow_below_a_branch():
    _, parts = blank()
    lookup.extend(parts.text, [A, B, C, A, B, D, A, B])
    assert matches(parts) == {2: 2, 5: 2}  # “ab” occurs before positions 2 and 5
    assert copied(parts, matches(parts)) == {C: (2, 2), D: (2, 5)}
    lookup.extend(parts.text, [D])
    assert matches(parts) == {6: 3}
    # A loop goes on in its own branch: after “aa” comes a, at any depth.
    lookup.clear(parts.text)
    lookup.extend(parts.text, [A, A])
    assert matches(parts) == {1: 1}
    assert copied(parts, {1: 1}) == {A: (1, 1)}
    assert copied(parts, {2: 2}, [A]) == {A: (2, 2)}
    assert copied(parts, {3: 2}, [A]) == {}  # nothing is known after the branch
    # Where two matches are as long the later answers.
    lookup.extend(parts.text, [B, A])
    assert copied(parts, matches(parts)) == {A: (1, 1), B: (1, 2)}
    lookup.clear(parts.text)
    lookup.extend(parts.text, [A, C, A, C, A])
    assert copied(parts, {1: 1, 3: 3}) == {C: (3, 3)}


@settings(max_examples=100, deadline=None)
@given(said=st.lists(st.integers(0, 3), max_size=90))
def test_matches_are_what_a_search_through_the_text_finds(said):
    _, parts = blank()
    for start in range(0, len(said), 7):
        lookup.extend(parts.text, said[start : start + 7])

    def length(end):
        return next((n for n in range(end) if said[end - 1 - n] != said[len(said) - 1 - n]), end)

    expected = {end: length(end) for end in range(1, len(said)) if length(end)}
    latest = sorted(expected)[-lookup.MAX_MATCHES :]
    assert matches(parts) == {position: expected[position] for position in latest}


def write(memory, keys, ids, step):
    n = len(keys)
    ids = np.tile(np.array(ids, dtype=np.int32), (n, 1))
    probability_features = np.full((n, ids.shape[1]), 20, dtype=np.uint8)
    loops.fill_rows(*memory, np.array(keys), ids, probability_features, np.full(n, step, np.int32))


def stored(memory):
    """Key → candidates, least recently written first."""
    table = arrays.parts_of(*memory).rows
    order = np.empty(table.ends[rows.COUNT], dtype=np.int64)
    loops.list_rows(*memory, order)
    listed = rows.to_arrays(table, order)
    return {
        key: tuple(line)
        for key, line in zip(listed["keys"].tolist(), listed["ids"].tolist(), strict=True)
    }


def test_at_the_bound_the_row_written_longest_ago_goes():
    memory, parts = blank(row_bytes=128)
    assert len(parts.rows.table) == 3
    write(memory, [11, 12, 13], [A, B], 0)
    write(memory, [11], [B, A], 1)  # used again: 12 is now the oldest
    write(memory, [14], [C, D], 2)
    assert list(stored(memory).items()) == [(13, (A, B)), (11, (B, A)), (14, (C, D))]
    assert rows.find(parts.rows, 12) == -1
    parts.rows.step[0] = 5
    assert rows.age(parts.rows, rows.find(parts.rows, 14)) == 3
    write(
        memory, [21, 22, 23, 24], [D, C], 3
    )  # more than there is room for at once: the last ones stay
    assert list(stored(memory)) == [22, 23, 24]


@settings(max_examples=60, deadline=None)
@given(written=st.lists(st.tuples(st.integers(1, 60), st.integers(0, V - 1)), max_size=200))
def test_rows_are_a_dictionary_that_forgets_what_was_written_longest_ago(written):
    memory, parts = blank(k=5, row_bytes=1000)
    capacity, expected = len(parts.rows.table), {}
    for step, (key, token) in enumerate(written):
        key = key * 10**12  # as keys of three tokens are; some share a slot of the index
        write(memory, [key], [token] * 5, step)
        expected.pop(key, None)
        expected[key] = (token,) * 5
        if len(expected) > capacity:
            del expected[next(iter(expected))]
    assert list(stored(memory).items()) == list(expected.items())
    assert all(
        rows.find(parts.rows, key * 10**12) < 0
        for key in range(1, 61)
        if key * 10**12 not in expected
    )


@pytest.mark.parametrize("k", [1, 3, 8, 32])
def test_all_rows_together_take_no_more_than_the_bound_says(k):
    memory, parts = blank(k)
    assert memory.int32.nbytes - 2 * V * 4 <= rows.MAX_BYTES == 16_000_000
    assert len(parts.rows.table) > 10_000_000 / (4 * rows.columns(k))
    assert len(parts.rows.slots) > len(parts.rows.table)


def test_keys_of_one_to_three_tokens():
    base, table = V + 1, blank()[1].rows

    def keys(*context):
        return [rows.key_of(table, rows.Context(*context), length) for length in (1, 2, 3)]

    assert keys(A, B, C) == [3, 3 + 2 * base, 3 + 2 * base + base**2]
    assert keys(-1, B, C) == [3, 3 + 2 * base, -1]
    assert keys(-1, -1, C) == [3, -1, -1]


def test_a_long_text_leaves_the_newest_frequent_tokens_and_no_more():
    _, parts = blank(row_bytes=1000, vocab_size=2000)
    frequent = parts.frequent
    for _ in range(300):
        frequent_tokens.add(frequent, np.array([A, B]), np.array([0.6, 0.3]))
    for n in range(700):
        frequent_tokens.add(frequent, np.array([C, 1000 + n]), np.array([0.6, 0.01]))
    (token, share), *others = frequent.guesses.tolist()
    assert token == C
    edge = features.PROBABILITY_EDGES[share - features.PROBABILITY - 1]
    assert edge == pytest.approx(0.5)  # 0.6 of the last positions
    assert len(others) == 15
    kept = frequent_tokens.to_arrays(frequent)["usual"].tolist()
    assert len(kept) <= len(frequent.tokens) < 300
    slots = {token: slot for token, slot in enumerate(frequent.slots.tolist()) if slot}
    assert {token: slot for slot, token in enumerate(kept, start=1)} == slots
    frequent_tokens.clear(frequent)
    assert not frequent.slots.any()


def test_every_feature_value_has_its_own_number():
    f = features
    ends = [f.RANK, f.PROBABILITY, f.OTHER_COPY, f.THIS_COPY, f.AGE, f.AGREEMENT, f.COUNT]
    assert ends == sorted(set(ends))
    assert f.COUNT == len(f.PRIORS) < 256  # eight bits each
    assert (f.ROW + 3, f.FREQUENT + 1) == (2, f.RANK)
    assert (f.of_other_copy(0), f.of_other_copy(16)) == (f.OTHER_COPY, f.THIS_COPY - 1)
    assert (f.of_copy(1), f.of_copy(40)) == (f.THIS_COPY, f.SHORTER_COPY - 1)
    assert (f.of_age(0), f.of_age(64)) == (f.AGE, f.NO_AGE - 1)
    assert (f.of_probability(0.0), f.of_probability(1.0)) == (f.PROBABILITY, f.NO_PROBABILITY - 1)
    assert [f.of_agreement(n) - f.AGREEMENT for n in (0, 1, 2, 3, 9)] == [1, 2, 2, 3, 3]
    assert f.of_agreement(-1) == f.NO_AGREEMENT == f.COUNT - 1
    assert f.NO_AGE + 1 == f.AGREEMENT


def test_weights_of_what_was_right_rise_and_all_decay_to_their_priors():
    _, parts = blank()
    model = parts.model
    values = features.Features(0, 8, 17, 32, 48, 55)
    packed = features.pack(values)
    assert features.unpack(packed) == values
    parts.candidates.table[0] = A, candidates.ROW, 1, -1, packed
    for choice, sign in ((A, 1), (B, -1)):
        model.weights[:] = model.priors
        candidates.update(model, parts.candidates, 0, 1, choice)
        moved = np.flatnonzero(model.weights != model.priors)
        assert moved.tolist() == list(values)
        assert (np.sign(model.weights - model.priors)[moved] == sign).all()
    for _ in range(4000):
        candidates.decay(model)
    assert model.weights == pytest.approx(model.priors, abs=0.001)


@pytest.mark.parametrize("k", [3, 8])
def test_what_was_compiled_at_the_first_use_serves_all_runs(k, tmp_path):
    """Arguments of another type would be compiled for in the middle of a run, for seconds."""
    warm_up.prepare()
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
