"""Index kernels: canonical order, transpose, pointers; the counting sort against numpy's sorts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnkit import kernels as K
from gnnkit.kernels import csr
from gnnkit.kernels.twins import csr as twins


@pytest.fixture
def no_small_inputs(monkeypatch):
    """Send inputs of every size to the compiled loops."""
    monkeypatch.setattr(csr, "SMALL", 0)


@st.composite
def edges(draw):
    num_senders, num_receivers = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    count = draw(st.integers(0, 40))
    senders = draw(st.lists(st.integers(0, num_senders - 1), min_size=count, max_size=count))
    receivers = draw(st.lists(st.integers(0, num_receivers - 1), min_size=count, max_size=count))
    return np.array(senders, np.int64), np.array(receivers, np.int64), num_senders, num_receivers


def test_build_by_hand():
    # edges 2->0, 0->1, 1->0, 1->0 (parallel): rows of receivers, senders ascending, parallels in the given order
    indptr, indices, order = K.build_csr([2, 0, 1, 1], [0, 1, 0, 0], num_receivers=3, num_senders=3)
    assert indptr.tolist() == [0, 3, 4, 4]
    assert indices.tolist() == [1, 1, 2, 0]
    assert order.tolist() == [2, 3, 0, 1]
    assert (indptr.dtype, indices.dtype, order.dtype) == (np.int64, np.int32, np.int64)


@settings(max_examples=60, deadline=None)
@given(case=edges(), small=st.booleans())
def test_build_and_transpose_equal_their_twins(case, small):
    senders, receivers, num_senders, num_receivers = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csr, "SMALL", 1 << 15 if small else 0)
        built = K.build_csr(senders, receivers, num_receivers=num_receivers, num_senders=num_senders)
        turned = K.transpose_csr(built[0], built[1], num_senders=num_senders)
    for ours, theirs in zip(
        built, twins.build_csr(senders, receivers, num_receivers=num_receivers, num_senders=num_senders), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    for ours, theirs in zip(turned, twins.transpose_csr(built[0], built[1], num_senders=num_senders), strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


@settings(max_examples=40, deadline=None)
@given(case=edges())
def test_transposing_by_definition(case):
    senders, receivers, num_senders, num_receivers = case
    indptr, indices, order = K.build_csr(senders, receivers, num_receivers=num_receivers, num_senders=num_senders)
    rows = K.expand_indptr(indptr)
    np.testing.assert_array_equal(rows, receivers[order])
    np.testing.assert_array_equal(indices, senders[order])
    indptr_t, indices_t, perm = K.transpose_csr(indptr, indices, num_senders=num_senders)
    # edge k of the transpose is edge perm[k], seen from the other end
    np.testing.assert_array_equal(K.expand_indptr(indptr_t), indices[perm])
    np.testing.assert_array_equal(indices_t, rows[perm])
    for i in range(num_senders):
        assert (np.diff(indices_t[indptr_t[i] : indptr_t[i + 1]]) >= 0).all()
    # twice is the identity
    back = K.transpose_csr(indptr_t, indices_t, num_senders=num_receivers)
    np.testing.assert_array_equal(back[0], indptr)
    np.testing.assert_array_equal(back[1], indices)
    np.testing.assert_array_equal(perm[back[2]], np.arange(len(indices)))


def test_large_input_takes_the_loops(rng):
    senders, receivers = rng.integers(0, 5000, 100_000), rng.integers(0, 3000, 100_000)
    ours = K.build_csr(senders, receivers, num_receivers=3000, num_senders=5000)
    theirs = twins.build_csr(senders, receivers, num_receivers=3000, num_senders=5000)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_edges_and_no_nodes(no_small_inputs):
    empty = np.zeros(0, np.int64)
    for num_receivers, num_senders in [(0, 0), (3, 0), (0, 3), (2, 5)]:
        indptr, indices, order = K.build_csr(empty, empty, num_receivers=num_receivers, num_senders=num_senders)
        assert indptr.tolist() == [0] * (num_receivers + 1)
        assert len(indices) == len(order) == 0
        indptr_t, _, perm = K.transpose_csr(indptr, indices, num_senders=num_senders)
        assert indptr_t.tolist() == [0] * (num_senders + 1)
        assert len(perm) == 0
        assert len(K.expand_indptr(indptr)) == 0


def test_many_nodes_need_int64():
    from gnnkit.kernels.arrays import index_dtype

    assert index_dtype(2**31 - 1) is np.int32
    assert index_dtype(2**31) is np.int64


def test_stable_order_keeps_ties_in_order(no_small_inputs):
    indptr, order = K.stable_order(np.array([2, 0, 2, 0, 2]), 4)
    assert indptr.tolist() == [0, 2, 2, 5, 5]
    assert order.tolist() == [1, 3, 0, 2, 4]
