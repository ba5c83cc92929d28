"""Transforms of edges: loops, merging, directions."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit import transforms
from gnnkit.errors import DTypeError, InvalidArgumentError, InvalidFeatureError, UnknownNameError
from gnnkit.graph.transforms.merge import partners


@st.composite
def graphs(draw, max_nodes: int = 5):
    num_nodes = draw(st.integers(1, max_nodes))
    node = st.integers(0, num_nodes - 1)
    edges = draw(st.lists(st.tuples(node, node), max_size=14))
    senders, receivers = np.array(edges, np.int64).reshape(-1, 2).T
    weights = np.array(draw(st.lists(st.integers(1, 9), min_size=len(edges), max_size=len(edges))), float)
    return gk.from_edges(senders, receivers, num_nodes=num_nodes, edges={"w": weights}, x=np.zeros((num_nodes, 1)))


def edges_of(g, field="w"):
    senders, receivers, fields = g.to_edges()
    return list(zip(senders.tolist(), receivers.tolist(), np.asarray(fields[field]).tolist()))


# ---------------------------------------------------------------------------------------- loops
@given(graphs())
def test_adding_and_removing_loops_by_definition(g):
    before = edges_of(g)
    every = edges_of(transforms.add_self_loops(g, fill=7))
    assert every == before + [(i, i, 7.0) for i in range(g.num_nodes)]
    looped = {s for s, r, _ in before if s == r}
    remaining = transforms.add_remaining_self_loops(g, fill=7)
    assert edges_of(remaining) == before + [(i, i, 7.0) for i in range(g.num_nodes) if i not in looped]
    assert edges_of(transforms.add_remaining_self_loops(remaining)) == edges_of(remaining)
    assert edges_of(transforms.remove_self_loops(g)) == [edge for edge in before if edge[0] != edge[1]]
    assert remaining.x is not None and edges_of(g) == before


def test_loops_of_every_kind_of_field():
    g = gk.from_edges(
        [0],
        [1],
        num_nodes=2,
        edges={"i": [5], "b": [False], "v": [[1.0, 2.0]], "s": ["ab"], "t": gk.tensor([1.0], requires_grad=True)},
    )
    fill = {"i": 2, "b": True, "v": [3.0, 4.0], "s": "loop", "t": 9.0}
    fields = transforms.add_self_loops(g, fill=fill).to_edges()[2]
    assert fields["i"].tolist() == [5, 2, 2] and fields["i"].dtype == np.int64
    assert fields["b"].tolist() == [False, True, True]
    assert fields["v"].tolist() == [[1, 2], [3, 4], [3, 4]]
    assert fields["s"].tolist() == ["ab", "loop", "loop"]
    assert isinstance(fields["t"], gk.Tensor) and fields["t"].requires_grad
    assert transforms.add_self_loops(g.without("s")).edges["b"].dtype == bool


def test_fill_must_fit():
    g = gk.from_edges([0], [1], num_nodes=2, edges={"i": [5], "s": ["a"]})
    with pytest.raises(DTypeError, match=r"field 's' is <U1, fill is 1.0"):
        transforms.add_self_loops(g)
    with pytest.raises(DTypeError, match=r"exact.*field 'i' is int64, fill is 0.5"):
        transforms.add_self_loops(g.without("s"), fill=0.5)
    with pytest.raises(InvalidFeatureError, match=r"and not 's'"):
        transforms.add_self_loops(g, fill={"i": 1})
    with pytest.raises(InvalidFeatureError, match=r"rows of shape \(\), fill has \(2,\)"):
        transforms.add_self_loops(g.without("s"), fill={"i": [1, 2]})


def test_loops_in_a_batch_stay_in_their_graph():
    whole = transforms.add_self_loops(gk.batch([gk.path(2), gk.empty(0), gk.path(1)]))
    assert whole.edge_ptr.tolist() == [0, 4, 4, 5]
    assert [g.num_edges for g in gk.unbatch(whole)] == [4, 0, 1]
    assert gk.unbatch(whole)[0].to_edges()[0].tolist() == [0, 1, 0, 1]


# ---------------------------------------------------------------------------------------- merging
@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min", "prod", "first"])
@given(g=graphs())
def test_coalesce_by_definition(reduce, g):
    groups: dict[tuple[int, int], list[float]] = {}
    for s, r, w in edges_of(g):
        groups.setdefault((s, r), []).append(w)
    work = {"sum": sum, "mean": np.mean, "max": max, "min": min, "prod": np.prod, "first": lambda values: values[0]}
    merged = transforms.coalesce(g, reduce=reduce)
    expected = [(s, r, float(work[reduce](values))) for (s, r), values in groups.items()]
    got = edges_of(merged)
    assert [edge[:2] for edge in got] == [edge[:2] for edge in expected]
    np.testing.assert_allclose([edge[2] for edge in got], [edge[2] for edge in expected])
    assert transforms.coalesce(merged) is merged and merged.report().num_duplicates == 0


def test_coalesce_of_every_kind_of_field():
    fields = {"i": [1, 2], "b": [True, False], "s": ["x", "y"], "v": [[1.0, 2], [3, 4]]}
    g = gk.from_edges([0, 0], [1, 1], num_nodes=2, edges=fields)
    merged = transforms.coalesce(g, reduce={"i": "mean", "b": "max", "s": "first", "v": "sum"})
    assert merged.edges["i"].tolist() == [1.5] and merged.edges["b"].tolist() == [True]
    assert merged.edges["s"].tolist() == ["x"] and merged.edges["v"].tolist() == [[4, 6]]
    with pytest.raises(DTypeError, match=r"reduced by 'sum'. The edge field 'b' is bool.*'max' \(any\)"):
        transforms.coalesce(g)
    with pytest.raises(DTypeError, match=r"'s' is <U1"):
        transforms.coalesce(g.without("b"), reduce="max")
    with pytest.raises(UnknownNameError, match=r"Got 'summ'. Did you mean 'sum'"):
        transforms.coalesce(g, reduce="summ")
    with pytest.raises(InvalidArgumentError, match=r"Got none for 'b', 's', 'v'"):
        transforms.coalesce(g, reduce={"i": "sum"})


@pytest.mark.parametrize(
    ("reduce", "value", "gradient"),
    [
        ("sum", [7.0, 5.0], [1, 1, 1, 1]),
        ("mean", [7 / 3, 5.0], [1 / 3, 1, 1 / 3, 1 / 3]),
        ("max", [3.0, 5.0], [0.5, 1, 0, 0.5]),
        ("min", [1.0, 5.0], [0, 1, 1, 0]),
        ("first", [3.0, 5.0], [1, 1, 0, 0]),
    ],
)
def test_coalesce_of_tensors_shares_the_gradient_over_ties(reduce, value, gradient):
    e = gk.tensor([3.0, 5.0, 1.0, 3.0], requires_grad=True)
    g = gk.from_edges([0, 1, 0, 0], [1, 0, 1, 1], num_nodes=2, e=e)
    merged = transforms.coalesce(g, reduce=reduce)
    np.testing.assert_allclose(merged.to_edges()[2]["e"].numpy(), value)
    np.sum(merged.e).backward()
    np.testing.assert_allclose(e.grad.numpy(), gradient)
    if reduce == "first":
        with pytest.raises(DTypeError, match="product"):
            transforms.coalesce(g, reduce="prod")


# ---------------------------------------------------------------------------------------- directions
def test_partners_of_every_small_multigraph():
    for edges in itertools.product(itertools.product(range(2), repeat=2), repeat=4):
        senders, receivers = np.array(edges).T
        topology = gk.from_edges(senders, receivers, num_nodes=2).topology
        partner = partners(topology)
        paired = np.flatnonzero(partner >= 0)
        np.testing.assert_array_equal(partner[partner[paired]], paired)
        assert (partner < 0).sum() == abs(edges.count((0, 1)) - edges.count((1, 0)))
        both = gk.transforms.to_undirected(gk.from_edges(senders, receivers, num_nodes=2))
        assert both.topology.is_symmetric()


@given(graphs())
def test_partners_pair_each_edge_with_its_reverse(g):
    partner = partners(g.topology)
    senders, receivers = g.senders, g.receivers
    paired = np.flatnonzero(partner >= 0)
    np.testing.assert_array_equal(senders[partner[paired]], receivers[paired])
    np.testing.assert_array_equal(receivers[partner[paired]], senders[paired])
    np.testing.assert_array_equal(partner[partner[paired]], paired)
    for k in np.flatnonzero(partner < 0):  # more a -> b than b -> a
        there = ((senders == senders[k]) & (receivers == receivers[k])).sum()
        back = ((senders == receivers[k]) & (receivers == senders[k])).sum()
        assert there > back


@given(graphs())
def test_to_undirected_without_reduction(g):
    g = g.replace(edges={"w": np.minimum(g.senders, g.receivers) * 10.0 + np.maximum(g.senders, g.receivers)})
    both = transforms.to_undirected(g)
    assert both.topology.is_symmetric()
    before, after = edges_of(g), edges_of(both)
    assert after[: len(before)] == before
    pairs = {}
    for s, r, _ in before:
        pairs.setdefault((s, r), []).append(1)
    for s, r in pairs:
        count = max(len(pairs[s, r]), len(pairs.get((r, s), [])))
        assert sum(edge[:2] == (s, r) for edge in after) == (len(pairs[s, r]) if s == r else count)
    G = gk.to_networkx(both)
    assert not G.is_directed() and gk.from_networkx(G).num_edges == both.num_edges
    assert edges_of(transforms.to_undirected(both)) == after


@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min", "prod"])
@given(g=graphs())
def test_to_undirected_with_reduction_is_concatenation_and_merging(reduce, g):
    senders, receivers, fields = g.to_edges()
    doubled = gk.from_edges(
        np.concatenate([senders, receivers]),
        np.concatenate([receivers, senders]),
        num_nodes=g.num_nodes,
        edges={"w": np.concatenate([fields["w"]] * 2)},
    )
    expected = {edge[:2]: edge[2] for edge in edges_of(transforms.coalesce(doubled, reduce=reduce))}
    both = transforms.to_undirected(g, reduce=reduce)
    got = {edge[:2]: edge[2] for edge in edges_of(both)}
    assert got.keys() == expected.keys() and both.num_edges == len(got)
    for pair, value in got.items():
        assert value == pytest.approx(expected[pair])
        assert value == got[pair[::-1]]  # the same bits in both directions
    assert type(gk.to_networkx(both)) is nx.Graph


def test_to_undirected_names_the_pair_that_disagrees():
    g = gk.from_edges([0, 1], [1, 0], num_nodes=2, edges={"w": [1.0, 2.0]})
    with pytest.raises(InvalidFeatureError, match=r"field 'w' has 2.0 on 1 -> 0 and 1.0 on 0 -> 1.*reduce="):
        transforms.to_undirected(g)
    assert transforms.to_undirected(g, reduce="mean").edges["w"].tolist() == [1.5, 1.5]
    with pytest.raises(UnknownNameError, match="A reducer must be one of"):
        transforms.to_undirected(g, reduce="add")


def test_to_undirected_keeps_gradients_names_and_batches():
    e = gk.tensor([1.0, 2.0], requires_grad=True)
    g = gk.from_edges([0, 1], [1, 2], num_nodes=3, e=e)
    np.sum(transforms.to_undirected(g).e).backward()
    assert e.grad.numpy().tolist() == [2, 2]
    G = nx.DiGraph([("a", "b"), ("b", "a"), ("b", "c")])
    H = gk.to_networkx(transforms.to_undirected(gk.from_networkx(G)))
    assert list(H.edges) == [("a", "b"), ("b", "c")] and type(H) is nx.Graph
    whole = transforms.to_undirected(gk.batch([g.without("e"), gk.empty(0), gk.path(2)]))
    assert whole.num_graphs == 3 and whole.edge_ptr.tolist() == [0, 4, 4, 6]


@given(graphs())
def test_reverse_turns_every_edge_and_twice_is_nothing(g):
    other = transforms.reverse(g)
    assert edges_of(other) == [(r, s, w) for s, r, w in edges_of(g)]
    assert edges_of(transforms.reverse(other)) == edges_of(g)


def test_coalesce_of_undirected_edges_stays_undirected(rng):
    pairs = rng.integers(0, 4, (2, 30))
    g = gk.from_edges(*pairs, num_nodes=4, e=rng.normal(size=30), undirected=True)
    G = gk.to_networkx(transforms.coalesce(g))
    assert type(G) is nx.Graph
    total = sum(G.edges[edge]["e"] for edge in G.edges)
    assert total == pytest.approx(gk.to_networkx(g).size("e"))


def test_fill_and_reduce_name_existing_fields_and_hold_values():
    g = gk.from_edges([0, 0], [1, 1], num_nodes=2, e=[1.0, 2.0])
    with pytest.raises(DTypeError, match="field 'e' is float64, fill is None"):
        transforms.add_self_loops(g, fill=None)
    with pytest.raises(InvalidFeatureError, match=r"Got 'w'; the edge fields are \['e'\]"):
        transforms.add_self_loops(g, fill={"e": 1.0, "w": 1.0})
    with pytest.raises(InvalidArgumentError, match=r"Got 'w'; the edge fields are \['e'\]"):
        transforms.coalesce(g, reduce={"e": "sum", "w": "sum"})
    with pytest.raises(DTypeError, match=r"Only real numbers can be reduced by 'max'. .* 'e' is complex128"):
        transforms.coalesce(g.replace(e=[1j, 2j]), reduce="max")
