"""Topology: the canonical order, what is derived from it, immutability, refusals."""

from __future__ import annotations

import copy
import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit.errors import DTypeError, ImmutableError, InvalidArgumentError, InvalidGraphError, ShapeError
from gnnkit.graph.topology import inverse_permutation


@st.composite
def edge_lists(draw, max_nodes: int = 7, max_edges: int = 20):
    num_nodes = draw(st.integers(0, max_nodes))
    node = st.integers(0, max(num_nodes - 1, 0))
    edges = draw(st.lists(st.tuples(node, node), max_size=max_edges if num_nodes else 0))
    return num_nodes, np.array([s for s, _ in edges], np.int64), np.array([r for _, r in edges], np.int64)


@given(edge_lists())
def test_edges_are_sorted_by_receiver_then_sender_then_position(case):
    n, senders, receivers = case
    topology = gk.Topology.from_edges(senders, receivers, num_nodes=n)
    keys = list(zip(topology.receivers.tolist(), topology.senders.tolist(), topology.edge_order.tolist()))
    assert keys == sorted(keys)
    assert topology.indptr.tolist() == [int((receivers < i).sum()) for i in range(n + 1)]


@given(edge_lists())
def test_edge_order_leads_to_the_callers_edges_and_caller_order_back(case):
    n, senders, receivers = case
    topology = gk.Topology.from_edges(senders, receivers, num_nodes=n)
    assert sorted(topology.edge_order.tolist()) == list(range(len(senders)))
    np.testing.assert_array_equal(senders[topology.edge_order], topology.senders)
    np.testing.assert_array_equal(receivers[topology.edge_order], topology.receivers)
    np.testing.assert_array_equal(topology.senders[topology.caller_order], senders)
    np.testing.assert_array_equal(topology.edge_order[topology.caller_order], np.arange(len(senders)))


@given(edge_lists(), st.randoms())
def test_the_structure_does_not_depend_on_the_order_the_edges_came_in(case, random):
    n, senders, receivers = case
    mixed = list(range(len(senders)))
    random.shuffle(mixed)
    one = gk.Topology.from_edges(senders, receivers, num_nodes=n)
    other = gk.Topology.from_edges(senders[mixed], receivers[mixed], num_nodes=n)
    np.testing.assert_array_equal(one.indptr, other.indptr)
    np.testing.assert_array_equal(one.indices, other.indices)


@given(edge_lists())
def test_transpose_reverses_every_edge_and_twice_is_the_same_object(case):
    n, senders, receivers = case
    topology = gk.Topology.from_edges(senders, receivers, num_nodes=n)
    other = topology.transpose()
    perm = topology.transpose_permutation
    np.testing.assert_array_equal(other.senders, topology.receivers[perm])
    np.testing.assert_array_equal(other.receivers, topology.senders[perm])
    np.testing.assert_array_equal(other.edge_order, topology.edge_order[perm])
    assert (np.diff(other.receivers) >= 0).all()
    assert other.transpose() is topology
    np.testing.assert_array_equal(other.transpose_permutation, inverse_permutation(perm))
    assert topology.transpose() is other


def test_a_transpose_outlives_its_parent():
    other = gk.Topology.from_edges([0, 2], [1, 1], num_nodes=3).transpose()
    gc.collect()
    assert other.transpose() == gk.Topology.from_edges([0, 2], [1, 1], num_nodes=3)
    assert other.transpose().transpose() is other


def test_no_reference_cycle_keeps_a_topology_alive():
    topology = gk.Topology.from_edges([0, 2], [1, 1], num_nodes=3)
    topology.transpose()
    watch = weakref.ref(topology)
    gc.disable()
    try:
        del topology
        assert watch() is None
    finally:
        gc.enable()


@given(edge_lists())
def test_degrees_loops_and_symmetry_by_their_definition(case):
    n, senders, receivers = case
    topology = gk.Topology.from_edges(senders, receivers, num_nodes=n)
    assert topology.in_degree().tolist() == [int((receivers == i).sum()) for i in range(n)]
    assert topology.out_degree().tolist() == [int((senders == i).sum()) for i in range(n)]
    assert topology.has_self_loops() == bool((senders == receivers).any())
    edges = sorted(zip(senders.tolist(), receivers.tolist()))
    assert topology.is_symmetric() == (edges == sorted((r, s) for s, r in edges))


def test_indices_are_int32_where_they_fit():
    topology = gk.Topology.from_edges(np.array([1], np.uint8), [0], num_nodes=2)
    assert topology.indices.dtype == np.int32
    assert topology.indptr.dtype == topology.edge_order.dtype == np.int64


def test_many_edges_take_the_compiled_path_to_the_same_answer(backend, rng):
    senders, receivers = rng.integers(0, 300, (2, 40_000))
    topology = gk.Topology.from_edges(senders, receivers, num_nodes=300)
    order = np.lexsort((np.arange(40_000), senders, receivers))
    np.testing.assert_array_equal(topology.edge_order, order)
    back = topology.transpose()
    np.testing.assert_array_equal(back.receivers, np.sort(senders))
    np.testing.assert_array_equal(topology.senders[topology.transpose_permutation], back.receivers)


def test_bipartite():
    topology = gk.Topology.from_edges([3, 0], [1, 0], num_senders=4, num_receivers=2)
    assert repr(topology) == "Topology(num_senders=4, num_receivers=2, num_edges=2)"
    assert topology.is_bipartite and topology.transpose().num_receivers == 4
    assert not topology.is_symmetric()
    with pytest.raises(InvalidGraphError, match=r"4 senders, 2 receivers"):
        _ = topology.num_nodes
    with pytest.raises(InvalidGraphError, match=r"bipartite"):
        topology.has_self_loops()


def test_constructor_takes_rows_and_copies_them():
    indptr, indices = np.array([0, 2, 3]), np.array([0, 1, 0])
    topology = gk.Topology(indptr, indices)
    indices[0] = 99
    assert indptr.flags.writeable and indices.flags.writeable
    assert topology.senders.tolist() == [0, 1, 0]
    assert topology == gk.Topology.from_edges([0, 1, 0], [0, 0, 1], num_nodes=2)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (([0, 2], [0]), "end at the number of edges, 1"),
        (([1, 1], [0]), "start at 0"),
        (([], []), "is empty"),
        (([0, 2, 1, 3], [0, 1, 2]), "Row 1 runs from 2 to 1"),
        (([0, 2], [0, 1]), r"Edge 1 \(1 -> 0\) has sender 1"),
        (([0, 2, 2], [1, 0]), "Receiver 0 has sender 0 after 1"),
    ],
)
def test_constructor_refuses_what_are_no_rows(arguments, text):
    with pytest.raises(InvalidGraphError, match=text):
        gk.Topology(*arguments)


def test_edge_order_must_be_a_permutation():
    with pytest.raises(InvalidGraphError, match=r"Position 1 is missing"):
        gk.Topology([0, 2], [0, 0], edge_order=[0, 0])
    with pytest.raises(ShapeError, match=r"one entry per edge, 2"):
        gk.Topology([0, 2], [0, 0], edge_order=[0])
    with pytest.raises(InvalidGraphError, match=r"out of range"):
        gk.Topology([0, 2], [0, 0], edge_order=[0, 7])


def test_number_of_nodes_is_never_guessed():
    with pytest.raises(InvalidArgumentError, match=r"never guessed"):
        gk.Topology.from_edges([0], [1])
    with pytest.raises(InvalidArgumentError, match=r"Got both"):
        gk.Topology.from_edges([0], [1], num_nodes=2, num_senders=2)
    with pytest.raises(DTypeError, match=r"num_nodes must be an integer"):
        gk.Topology.from_edges([0], [1], num_nodes=2.0)
    with pytest.raises(DTypeError, match=r"of type bool"):
        gk.Topology.from_edges([], [], num_nodes=True)
    with pytest.raises(InvalidArgumentError, match=r"num_nodes must be 0 or more"):
        gk.Topology.from_edges([], [], num_nodes=-1)


def test_nothing_can_be_changed():
    topology = gk.Topology.from_edges([0, 1], [1, 0], num_nodes=2)
    with pytest.raises(ImmutableError, match=r"assignment to 'indices'"):
        topology.indices = np.zeros(2)
    with pytest.raises(ImmutableError, match=r"deletion of 'indptr'"):
        del topology.indptr
    for array in (topology.indptr, topology.indices, topology.receivers, topology.edge_order, topology.in_degree()):
        with pytest.raises(ValueError, match=r"read-only"):
            array[0] = 5
    for array in (topology.out_degree(), topology.caller_order, topology.transpose_permutation, topology.self_loops()):
        assert not array.flags.writeable


def test_equality_hash_and_copies():
    one = gk.Topology.from_edges([0, 1], [1, 0], num_nodes=2)
    same = gk.Topology.from_edges([0, 1], [1, 0], num_nodes=2)
    assert one == same and hash(one) == hash(same)
    assert one != gk.Topology.from_edges([1, 0], [0, 1], num_nodes=2)  # another order of the caller
    assert one != gk.Topology.from_edges([0, 1], [1, 0], num_nodes=3)
    assert one != "topology"
    assert copy.deepcopy(one) is one and copy.copy(one) is one


def test_cached_builds_once():
    topology = gk.Topology.from_edges([0], [1], num_nodes=2)
    calls = []
    for _ in range(3):
        assert topology.cached("plan", lambda: calls.append(1) or "built") == "built"
    assert calls == [1]


def test_workers_receive_an_equal_topology():
    rebuild, arguments = gk.Topology.from_edges([1, 0], [0, 1], num_nodes=2).__reduce__()
    assert rebuild(*arguments) == gk.Topology.from_edges([1, 0], [0, 1], num_nodes=2)
