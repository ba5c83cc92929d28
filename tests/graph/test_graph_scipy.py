"""The scipy.sparse door: rows receive, every stored entry is an edge, nothing is summed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import gnnkit as gk
from gnnkit.errors import DTypeError, InvalidFeatureError, InvalidGraphError, UnknownFieldError


@st.composite
def entries(draw):
    n = draw(st.integers(0, 6))
    node = st.integers(0, max(n - 1, 0))
    cells = draw(st.lists(st.tuples(node, node, st.floats(-4, 4)), max_size=12 if n else 0))
    rows, columns, values = (np.array([cell[i] for cell in cells]) for i in range(3))
    return n, rows.astype(int), columns.astype(int), values.astype(float)


@given(entries())
def test_round_trip_keeps_order_duplicates_and_stored_zeros(case):
    n, rows, columns, values = case
    A = sparse.coo_array((values, (rows, columns)), shape=(n, n))
    g = gk.from_scipy(A)
    back = gk.to_scipy(g, "weight", format="coo")
    np.testing.assert_array_equal(back.row, rows)
    np.testing.assert_array_equal(back.col, columns)
    np.testing.assert_array_equal(back.data, values)
    assert gk.to_scipy(g).nnz == len(values)
    np.testing.assert_allclose(gk.to_scipy(g, "weight").toarray(), A.toarray())
    np.testing.assert_allclose(gk.to_scipy(g, "weight", format="csc").toarray(), A.toarray())


@given(entries())
def test_csr_round_trip_is_identical(case):
    n, rows, columns, values = case
    A = sparse.coo_array((values, (rows, columns)), shape=(n, n)).tocsr()
    A.sum_duplicates()
    B = gk.to_scipy(gk.from_scipy(A), "weight")
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(A, name), getattr(B, name))


def test_rows_receive():
    A = sparse.csr_matrix(np.array([[0, 5], [0, 0]]))
    g = gk.from_scipy(A, x=[[1.0], [2.0]])
    assert (g.senders.tolist(), g.receivers.tolist(), g.edges["weight"].tolist()) == ([1], [0], [5])
    assert g.edges["weight"].dtype == A.dtype and g.x.shape == (2, 1)
    np.testing.assert_array_equal(gk.to_scipy(gk.transforms.reverse(g), "weight").toarray(), A.toarray().T)


def test_weight_names_and_none():
    A = sparse.eye_array(2, format="dia", dtype=bool)
    assert gk.from_scipy(A, weight="w").edges["w"].dtype == bool
    assert not gk.from_scipy(A, weight=None).edges
    ones = gk.to_scipy(gk.path(3))
    assert ones.dtype == np.float64 and ones.sum() == 4


def test_graph_does_not_share_memory_with_the_matrix():
    A = sparse.coo_array(([1.0, 2.0], ([0, 1], [1, 0])), shape=(2, 2))
    g = gk.from_scipy(A)
    A.data[:] = 9
    assert g.edges["weight"].tolist() == [1.0, 2.0]
    B = gk.to_scipy(g, "weight")
    B.data[:] = 7
    B.indices[:] = 0
    assert g.edges["weight"].tolist() == [1.0, 2.0] and g.senders.tolist() == [1, 0]


def test_batches_are_block_diagonal():
    whole = gk.to_scipy(gk.batch([gk.path(2), gk.path(2)])).toarray()
    np.testing.assert_array_equal(whole, np.kron(np.eye(2), [[0, 1], [1, 0]]))


def test_refusals():
    with pytest.raises(DTypeError, match=r"Got ndarray. Wrap a dense adjacency in scipy.sparse.csr_array"):
        gk.from_scipy(np.eye(2))
    with pytest.raises(InvalidGraphError, match=r"must be square.*\(2, 3\)"):
        gk.from_scipy(sparse.csr_array((2, 3)))
    with pytest.raises(InvalidFeatureError, match=r"edge field 'weight' has a NaN at edge 0 \(1 -> 0\)"):
        gk.from_scipy(sparse.coo_array(([np.nan], ([0], [1])), shape=(2, 2)))
    with pytest.raises(UnknownFieldError, match=r"Got 'w'; the edge fields are \[\]"):
        gk.to_scipy(gk.path(2), "w")
    with pytest.raises(InvalidGraphError, match="one number per edge"):
        gk.to_scipy(gk.path(2).replace(e=np.zeros((2, 3))), "e")


def test_coordinates_written_afterwards_are_checked():
    A = sparse.coo_array((np.ones(1), ([0], [1])), shape=(2, 2))
    A.coords[1][0] = 99
    with pytest.raises(InvalidGraphError, match=r"Edge 0 \(99 -> 0\) has sender 99"):
        gk.from_scipy(A)


def test_only_numbers_become_entries():
    g = gk.from_edges([0], [1], num_nodes=2, edges={"s": ["a"]})
    with pytest.raises(InvalidGraphError, match=r"one number per edge. The edge field 's' is <U1\[1\]"):
        gk.to_scipy(g, weight="s")
