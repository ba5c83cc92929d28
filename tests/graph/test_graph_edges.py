"""from_edges: the order, undirected graphs, and every bad edge list."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gnnkit as gk
from gnnkit.errors import DTypeError, InvalidArgumentError, InvalidFeatureError, InvalidGraphError, ShapeError


@st.composite
def graphs(draw):
    num_nodes = draw(st.integers(1, 6))
    node = st.integers(0, num_nodes - 1)
    edges = draw(st.lists(st.tuples(node, node), max_size=12))
    e = draw(hnp.arrays(np.float64, (len(edges), 2), elements=st.floats(-5, 5)))
    senders, receivers = np.array(edges, np.int64).reshape(-1, 2).T
    return num_nodes, senders, receivers, e


@given(graphs())
def test_edges_come_back_as_they_went_in(case):
    n, senders, receivers, e = case
    g = gk.from_edges(senders, receivers, num_nodes=n, e=e, edges={"id": np.arange(len(e))})
    back = g.to_edges()
    np.testing.assert_array_equal(back[0], senders)
    np.testing.assert_array_equal(back[1], receivers)
    np.testing.assert_array_equal(back[2]["e"], e)
    np.testing.assert_array_equal(g.edges["id"], g.topology.edge_order)


@given(graphs())
def test_undirected_adds_the_reverse_of_every_edge_but_loops(case):
    n, senders, receivers, e = case
    g = gk.from_edges(senders, receivers, num_nodes=n, e=e, undirected=True)
    other = senders != receivers
    back = g.to_edges()
    np.testing.assert_array_equal(back[0], np.concatenate([senders, receivers[other]]))
    np.testing.assert_array_equal(back[1], np.concatenate([receivers, senders[other]]))
    np.testing.assert_array_equal(back[2]["e"], np.concatenate([e, e[other]]))
    assert g.topology.is_symmetric()


def test_number_of_nodes_from_features_or_explicit():
    assert gk.from_edges([0], [1], x=np.zeros((5, 1))).num_nodes == 5
    assert gk.from_edges([0], [1], nodes={"y": [0, 1, 2]}).num_nodes == 3
    assert gk.from_edges([], [], num_nodes=4).num_nodes == 4
    with pytest.raises(InvalidGraphError, match=r"never guessed from the largest index"):
        gk.from_edges([0], [1])
    with pytest.raises(ShapeError, match=r"one row per node \(num_nodes=4\). Got shape \(3, 1\): node 3 has no row"):
        gk.from_edges([0], [1], num_nodes=4, x=np.zeros((3, 1)))


def test_a_field_given_twice():
    with pytest.raises(InvalidArgumentError, match=r"given once"):
        gk.from_edges([0], [1], num_nodes=2, x=[1, 2], nodes={"x": [1, 2]})


@pytest.mark.parametrize(
    ("senders", "receivers", "error", "text"),
    [
        ([0, 1, 7], [1, 2, 0], InvalidGraphError, r"Edge 2 \(7 -> 0\) has sender 7. .*at least 8"),
        ([0, 1, 2], [1, 3, 0], InvalidGraphError, r"receiver must be a node index from 0 to 2 \(num_nodes=3\).*Edge 1"),
        ([0, -1], [1, 1], InvalidGraphError, r"Edge 1 \(-1 -> 1\) has sender -1. Negative indices are not wrapped"),
        ([0.0, 1.0], [1, 0], DTypeError, "senders must hold node indices.*float64, edge 0 has 0.0.*astype"),
        ([True, False], [1, 0], DTypeError, "booleans.*np.flatnonzero"),
        ([0], [True], DTypeError, "receivers must hold node indices"),
        (["a"], ["b"], DTypeError, "from_networkx or from_pandas"),
        ([0, 1], [1], ShapeError, "Got 2 senders and 1 receivers, so edge 1 has no receiver"),
        ([0], [1, 2], ShapeError, "edge 1 has no sender"),
        ([[0, 1], [1, 2]], [0, 1], ShapeError, "Pass the two rows as senders and receivers"),
        ([[0], [1, 2]], [0, 1], ShapeError, "lists of unequal lengths"),
        (3, [0], ShapeError, r"Got shape \(\)"),
        ([2**63], [0], InvalidGraphError, "Edge 0"),
        ([2**70], [0], DTypeError, "senders"),
    ],
)
def test_bad_edges_are_named(senders, receivers, error, text):
    with pytest.raises(error, match=text):
        gk.from_edges(senders, receivers, num_nodes=3)


def test_any_edge_is_out_of_range_without_nodes():
    with pytest.raises(InvalidGraphError, match=r"there are no nodes \(num_nodes=0\)"):
        gk.from_edges([0], [0], num_nodes=0)


def test_bad_edge_fields_are_named_in_the_callers_order():
    with pytest.raises(InvalidFeatureError, match=r"edge field 'w' has a NaN at edge 0 \(2 -> 0\)"):
        gk.from_edges([2, 0], [0, 1], num_nodes=3, edges={"w": [np.nan, 1.0]})
    with pytest.raises(ShapeError, match=r"edge 1 has no row"):
        gk.from_edges([2, 0], [0, 1], num_nodes=3, e=[1.0])
    with pytest.raises(ShapeError, match=r"one row per edge"):
        gk.from_edges([2, 0], [0, 1], num_nodes=3, e=[1.0], undirected=True)


def test_the_callers_arrays_are_left_alone():
    senders, receivers = np.array([0, 1]), np.array([1, 2])
    x, e = np.zeros((3, 1)), np.zeros(2)
    g = gk.from_edges(senders, receivers, x=x, e=e)
    assert all(array.flags.writeable for array in (senders, receivers, x, e))
    senders[0] = 2
    assert g.senders.tolist() == [0, 1]


def test_tensors_as_edge_fields_and_indices():
    e = gk.tensor([1.0, 2.0], requires_grad=True)
    g = gk.from_edges(gk.tensor([2, 0]), [0, 1], num_nodes=3, e=e, undirected=True)
    np.sum(g.e * np.arange(4.0)).backward()
    weights = np.arange(4.0)[g.topology.caller_order]
    np.testing.assert_array_equal(e.grad.numpy(), weights[:2] + weights[2:])


def test_many_edges(backend, rng):
    senders, receivers = rng.integers(0, 500, (2, 50_000))
    g = gk.from_edges(senders, receivers, num_nodes=500, e=senders * 1000 + receivers)
    np.testing.assert_array_equal(g.e, g.senders.astype(np.int64) * 1000 + g.receivers)
    np.testing.assert_array_equal(g.to_edges()[0], senders)


def test_a_masked_index_is_refused():
    with pytest.raises(DTypeError, match=r"senders must be a plain array. Got a masked array"):
        gk.from_edges(np.ma.array([0, 99], mask=[False, True]), [1, 1], num_nodes=2)


def test_numbers_among_strings_are_refused_not_converted():
    with pytest.raises(InvalidFeatureError, match=r"strings and, first at node 1, 2.5 of type float"):
        gk.from_edges([], [], num_nodes=2, x=["a", 2.5])
    with pytest.raises(InvalidFeatureError, match="first at node 1, True of type bool"):
        gk.from_edges([], [], num_nodes=2, x=[["a", "b"], [True, "c"]])
    g = gk.from_edges([], [], num_nodes=2, nodes={"s": ["a", np.str_("b")], "b": [b"a", b"b"]})
    assert g.nodes["s"].tolist() == ["a", "b"] and g.nodes["b"].tolist() == [b"a", b"b"]


@pytest.mark.parametrize("count", [2**48, 2**63, 2**70])
def test_impossible_counts_are_refused(count):
    with pytest.raises(InvalidArgumentError, match=rf"num_nodes must be a count that memory can hold. Got {count}"):
        gk.from_edges([0], [1], num_nodes=count)
