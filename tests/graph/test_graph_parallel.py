"""Parallel edges stand in the order of what they carry, at every door; the caller's order is led back to."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit.graph.parallel import same_as_before

SENDERS, RECEIVERS = np.array([0, 1, 0, 0, 2, 1]), np.array([1, 0, 1, 1, 2, 0])


def test_known_order():
    g = gk.from_edges(SENDERS, RECEIVERS, num_nodes=3, e=[3.0, 5.0, 1.0, 2.0, 7.0, 4.0])
    assert g.e.tolist() == [4.0, 5.0, 1.0, 2.0, 3.0, 7.0]
    assert g.topology.edge_order.tolist() == [5, 1, 2, 3, 0, 4]
    senders, receivers, fields = g.to_edges()
    assert (senders == SENDERS).all() and (receivers == RECEIVERS).all()
    assert fields["e"].tolist() == [3.0, 5.0, 1.0, 2.0, 7.0, 4.0]
    assert same_as_before(g.topology).tolist() == [False, True, False, True, True, False]


def test_fields_count_by_name_and_then_value_by_value():
    fields = {"b": [[1, 2], [1, 1], [0, 9], [0, 9]], "a": ["y", "x", "y", "x"]}
    g = gk.from_edges([0, 0, 0, 0], [0, 0, 0, 0], num_nodes=1, edges=fields)
    assert g.topology.edge_order.tolist() == [3, 1, 2, 0]


def test_equal_edges_and_edges_without_fields_keep_the_callers_order():
    assert gk.from_edges(SENDERS, RECEIVERS, num_nodes=3).topology.edge_order.tolist() == [1, 5, 0, 2, 3, 4]
    g = gk.from_edges(SENDERS, RECEIVERS, num_nodes=3, e=np.ones(6), edges={"none": np.zeros((6, 0))})
    assert g.topology.edge_order.tolist() == [1, 5, 0, 2, 3, 4]


def test_zeros_of_both_signs_and_nan_have_a_place(rng):
    values = np.array([np.nan, -0.0, 0.0, -np.inf, 1.0, -1.0, np.inf])
    seen = set()
    for _ in range(20):
        order = rng.permutation(7)
        g = gk.from_edges(np.zeros(7, int), np.zeros(7, int), num_nodes=1, e=values[order], allow_nan=True)
        seen.add(g.e.tobytes())
    assert len(seen) == 1


def test_canonical_arrays_are_never_permuted():
    topology = gk.Topology([0, 3], [0, 0, 0], num_senders=1)
    assert gk.Graph(topology, edges={"e": np.array([3.0, 1.0, 2.0])}).e.tolist() == [3.0, 1.0, 2.0]
    g = gk.from_edges([0, 0], [0, 0], num_nodes=1, e=[2.0, 1.0])
    assert g.replace(e=np.array([9.0, 8.0])).e.tolist() == [9.0, 8.0]


def test_gradients_lead_back_to_the_callers_order():
    e = gk.tensor(np.array([3.0, 1.0, 2.0]), requires_grad=True)
    g = gk.from_edges([0, 0, 0], [0, 0, 0], num_nodes=1, e=e)
    np.sum(g.e * np.array([1.0, 10.0, 100.0])).backward()
    assert e.grad.numpy().tolist() == [100.0, 1.0, 10.0]


kinds = st.sampled_from(["float32", "float64", "int8", "bool", "U3", "datetime64[s]", "complex64"])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_shuffled_edges_are_the_same_graph(data):
    nodes, count = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 12))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    senders, receivers = rng.integers(0, nodes, count), rng.integers(0, nodes, count)
    fields = {}
    for name in data.draw(st.lists(st.sampled_from("abc"), unique=True, min_size=1)):
        shape = (count, *data.draw(st.sampled_from([(), (1,), (2,), (3, 2), (20,)])))
        fields[name] = rng.integers(0, 2, shape).astype(data.draw(kinds))  # few values: many ties
    first = gk.from_edges(senders, receivers, num_nodes=nodes, edges=fields)
    shuffle = rng.permutation(count)
    moved = {name: value[shuffle] for name, value in fields.items()}
    second = gk.from_edges(senders[shuffle], receivers[shuffle], num_nodes=nodes, edges=moved)
    np.testing.assert_array_equal(first.senders, second.senders)
    np.testing.assert_array_equal(first.receivers, second.receivers)
    for name in fields:
        assert first.edges[name].tobytes() == second.edges[name].tobytes()
    for graph, s, values in ((first, senders, fields), (second, senders[shuffle], moved)):
        back = graph.to_edges()
        np.testing.assert_array_equal(back[0], s)
        for name in fields:
            np.testing.assert_array_equal(back[2][name], values[name])


def from_networkx(senders, receivers, w):
    G = nx.MultiDiGraph()
    G.add_nodes_from(range(3))
    G.add_edges_from((s, r, {"w": value}) for s, r, value in zip(senders.tolist(), receivers.tolist(), w.tolist()))
    return gk.from_networkx(G, edge_attrs=["w"])


def from_pandas(senders, receivers, w):
    table = pd.DataFrame({"from": senders, "to": receivers, "w": w})
    return gk.from_pandas(table, source="from", target="to", num_nodes=3)


def typed(senders, receivers, w):
    return gk.typed_graph({"a": 3}, edges={("a", "to", "a"): (senders, receivers, {"w": w})})["a", "to", "a"]


def plain(senders, receivers, w):
    return gk.from_edges(senders, receivers, num_nodes=3, edges={"w": w})


def subgraph(senders, receivers, w):
    return gk.transforms.subgraph(plain(senders, receivers, w), [2, 0, 1])


def with_loops(senders, receivers, w):
    return gk.transforms.add_self_loops(plain(senders, receivers, w), fill=0.5)


def batched(senders, receivers, w):
    return gk.unbatch(
        gk.batch([gk.from_edges([0], [0], num_nodes=1, edges={"w": [0.5]}), plain(senders, receivers, w)])
    )[1]


def reversed_twice(senders, receivers, w):
    return gk.transforms.reverse(gk.transforms.reverse(plain(senders, receivers, w)))


def undirected(senders, receivers, w):
    return gk.transforms.to_undirected(plain(senders, receivers, w), reduce="sum")


def coalesced(senders, receivers, w):
    return gk.transforms.coalesce(plain(senders, receivers, w), reduce="sum")


def homogeneous(senders, receivers, w):
    return gk.typed_graph({"a": 3}, edges={("a", "to", "a"): (senders, receivers, {"w": w})}).to_homogeneous()


DOORS = [
    plain, from_networkx, from_pandas, typed, homogeneous, subgraph, with_loops, batched, reversed_twice, undirected,
    coalesced,
]  # fmt: skip


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_every_door_gives_the_same_bits_for_shuffled_edges(door, rng):
    senders, receivers = np.tile(SENDERS, 3), np.tile(RECEIVERS, 3)
    w = rng.normal(size=18)
    wanted = door(senders, receivers, w).edges["w"].tobytes()
    for _ in range(5):
        order = rng.permutation(18)
        assert door(senders[order], receivers[order], w[order]).edges["w"].tobytes() == wanted


def test_the_first_of_parallel_edges_is_still_the_callers_first():
    g = gk.from_edges([0, 1, 0], [1, 0, 1], num_nodes=2, e=[7.0, 5.0, 2.0])
    merged = gk.transforms.coalesce(g, reduce="first")
    assert merged.to_edges()[2]["e"].tolist() == [7.0, 5.0]
    both = gk.transforms.to_undirected(gk.from_edges([0, 1], [1, 0], num_nodes=2, e=[7.0, 5.0]), reduce="first")
    assert both.e.tolist() == [7.0, 7.0]
