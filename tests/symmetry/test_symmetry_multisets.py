"""Numbers for rows and multisets: equal exactly where the things are, whatever the order and the size."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit.symmetry.multisets import joined_keys, multiset_ids, pair_ids, ranks, row_ids


def numbers_of(sets: list[list[int]]) -> list[int]:
    indptr = np.cumsum([0, *map(len, sets)])
    return multiset_ids(indptr, np.array([key for each in sets for key in each], np.int64)).tolist()


@given(st.lists(st.lists(st.integers(0, 3), max_size=9), max_size=12))
def test_equal_numbers_for_equal_multisets_and_no_others(sets):
    numbers = numbers_of(sets)
    for i, one in enumerate(sets):
        for j, other in enumerate(sets):
            assert (numbers[i] == numbers[j]) == (Counter(one) == Counter(other))
    assert set(numbers) == set(range(len(set(numbers))))


@given(st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=8), st.randoms(use_true_random=False))
def test_numbers_depend_on_the_sets_alone(sets, random):
    order = random.sample(range(len(sets)), len(sets))
    shuffled = [random.sample(sets[i], len(sets[i])) for i in order]
    numbers = numbers_of(sets)
    assert numbers_of(shuffled) == [numbers[i] for i in order]


def test_sizes_that_end_in_the_same_round_are_kept_apart():
    # halving 3 and 4 entries takes two rounds for both; the partner that is absent is a value of its own
    assert len(set(numbers_of([[5, 5, 5], [5, 5, 5, 5], [5, 5], [5], [], [5, 5, 5, 0]]))) == 6


def test_large_keys_and_a_hub():
    keys = np.array([2**61, 1, 1, 2**61], np.int64)
    assert multiset_ids(np.array([0, 2, 4]), keys).tolist() == [0, 0]
    hub = np.arange(100_000)
    numbers = multiset_ids(np.array([0, 100_000, 200_000, 300_000]), np.concatenate([hub, hub[::-1], hub // 2]))
    assert numbers[0] == numbers[1] != numbers[2]


def test_pairs_are_numbered_in_their_order():
    first, second = np.array([1, 0, 1, 0]), np.array([0, 7, 0, 2])
    assert pair_ids(first, second).tolist() == [2, 1, 2, 0]
    huge = np.array([2**40, 0, 2**40], np.int64)
    assert ranks(joined_keys(huge, huge)).tolist() == [1, 0, 1]  # would overflow without renumbering first


def test_rows_of_every_kind_of_field():
    assert row_ids(np.array([3, 1, 3])).tolist() == [1, 0, 1]
    assert row_ids(np.array([["b", "a"], ["a", "a"], ["b", "a"]])).tolist() == [1, 0, 1]
    wide = row_ids(np.array([[0.0, 1.0], [-0.0, 1.0], [np.nan, 1.0], [np.nan, 1.0]]))
    assert wide[0] == wide[1] != wide[2] == wide[3]
    assert row_ids(np.zeros((3, 0))).tolist() == [0, 0, 0] and row_ids(np.zeros((0, 2))).tolist() == []
    assert row_ids(gk.tensor([[1.0], [0.5]])).tolist() == [1, 0]


def test_sparse_rows_are_equal_where_dense_ones_are():
    from scipy import sparse

    dense = np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 2.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    stored = sparse.csr_matrix((np.array([2.0, 0.0]), np.array([1, 2]), np.array([0, 1, 1, 1, 2, 2])), shape=(5, 3))
    numbers = row_ids(gk.SparseMatrix.from_scipy(sparse.csr_matrix(dense)))
    assert [[a == b for b in numbers] for a in numbers] == [[(a == b).all() for b in dense] for a in dense]
    explicit = row_ids(gk.SparseMatrix.from_scipy(stored))  # row 3 holds a zero that is written down
    assert explicit[3] == explicit[1] != explicit[0]
