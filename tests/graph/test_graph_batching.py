"""batch and unbatch: inverse of each other, with empty graphs, sparse rows and gradients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import gnnkit as gk
from gnnkit.errors import DTypeError, InvalidFeatureError, ShapeError


def build(num_nodes, edges, seed):
    rng = np.random.default_rng(seed)
    senders, receivers = np.array(edges, np.int64).reshape(-1, 2).T
    return gk.from_edges(
        senders,
        receivers,
        num_nodes=num_nodes,
        x=rng.normal(size=(num_nodes, 2)),
        nodes={"name": [f"n{i}" * (1 + seed % 3) for i in range(num_nodes)] or np.zeros(0, "<U1")},
        e=rng.integers(0, 9, len(edges)),
        u=[[float(seed)]],
    )


@st.composite
def graphs(draw):
    num_nodes = draw(st.integers(0, 4))
    node = st.integers(0, max(num_nodes - 1, 0))
    edges = draw(st.lists(st.tuples(node, node), max_size=6 if num_nodes else 0))
    return build(num_nodes, edges, draw(st.integers(0, 99)))


def assert_same(one, other):
    assert one.topology == other.topology
    for level in ("nodes", "edges", "globals"):
        assert list(getattr(one, level)) == list(getattr(other, level))
        for name, value in getattr(one, level).items():
            np.testing.assert_array_equal(getattr(other, level)[name], value)


@given(st.lists(graphs(), max_size=5))
def test_unbatch_undoes_batch_also_with_trailing_empty_graphs(graphs):
    graphs = [*graphs, build(0, [], 1), build(0, [], 2)]
    whole = gk.batch(graphs)
    assert whole.num_graphs == len(graphs)
    assert whole.node_ptr[-3:].tolist() == [whole.num_nodes] * 3
    parts = gk.unbatch(whole)
    assert len(parts) == len(graphs)
    for part, graph in zip(parts, graphs):
        assert_same(part, graph)
    assert_same(gk.batch(parts), whole)


@given(st.lists(graphs(), min_size=2, max_size=4))
def test_a_batch_is_a_valid_graph_in_the_callers_order(graphs):
    whole = gk.batch(graphs)
    checked = gk.Graph(
        gk.Topology(whole.topology.indptr, whole.topology.indices, edge_order=whole.topology.edge_order),
        whole.nodes,
        whole.edges,
        whole.globals,
        node_ptr=whole.node_ptr,
        edge_ptr=whole.edge_ptr,
    )
    assert_same(checked, whole)
    starts = np.cumsum([0] + [g.num_nodes for g in graphs])
    senders = np.concatenate([g.to_edges()[0] + start for g, start in zip(graphs, starts)])
    np.testing.assert_array_equal(whole.to_edges()[0], senders)
    assert whole.node_graph.tolist() == [i for i, g in enumerate(graphs) for _ in range(g.num_nodes)]
    assert whole.edge_graph.tolist() == [i for i, g in enumerate(graphs) for _ in range(g.num_edges)]


def test_batches_of_batches_are_flat():
    g, h = build(2, [(0, 1)], 1), build(1, [], 2)
    assert_same(gk.batch([gk.batch([g, h]), g]), gk.batch([g, h, g]))
    assert gk.batch([gk.batch([g, h]), g]).num_graphs == 3


def test_none_and_one():
    g = build(2, [(0, 1)], 1)
    assert gk.batch([g]) is g and gk.unbatch(g) == [g]
    nothing = gk.batch([])
    assert (nothing.num_graphs, nothing.num_nodes, nothing.num_edges) == (0, 0, 0)
    assert gk.unbatch(nothing) == [] and nothing.node_graph.size == 0
    assert gk.batch([nothing, g, nothing]).num_graphs == 1


def test_sparse_rows():
    def sparse_graph(n):
        matrix = sparse.random_array((n, 5), density=0.5, rng=n, format="csr")
        return gk.from_edges([], [], num_nodes=n, x=matrix)

    graphs = [sparse_graph(3), sparse_graph(0), sparse_graph(2)]
    whole = gk.batch(graphs)
    assert isinstance(whole.x, gk.SparseMatrix)
    np.testing.assert_array_equal(whole.x.toarray(), np.concatenate([g.x.toarray() for g in graphs]))
    for part, graph in zip(gk.unbatch(whole), graphs):
        np.testing.assert_array_equal(part.x.toarray(), graph.x.toarray())


def test_gradients_flow_through_batch_and_unbatch():
    x, y = (gk.tensor(np.ones((2, 1)), requires_grad=True) for _ in range(2))
    whole = gk.batch([gk.path(2).replace(x=x), gk.path(2).replace(x=y)])
    np.sum(gk.unbatch(whole)[1].x * 3 + gk.unbatch(whole)[0].x).backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.ones((2, 1)))
    np.testing.assert_array_equal(y.grad.numpy(), np.full((2, 1), 3.0))


def test_interleaved_edges_of_the_caller_are_untangled():
    topology = gk.Topology.from_edges([2, 0, 3, 1], [3, 1, 2, 0], num_nodes=4)
    first, second = gk.unbatch(gk.Graph(topology, node_ptr=[0, 2, 4], edges={"id": topology.edge_order}))
    assert [a.tolist() for a in first.to_edges()[:2]] == [[0, 1], [1, 0]]
    assert second.to_edges()[2]["id"].tolist() == [0, 2]
    # three edges whose order is no involution, so that ranks and positions differ
    topology = gk.Topology.from_edges([0, 3, 0, 0], [1, 3, 2, 0], num_nodes=4)
    part, _ = gk.unbatch(gk.Graph(topology, node_ptr=[0, 3, 4], edges={"id": topology.edge_order}))
    assert part.to_edges()[2]["id"].tolist() == [0, 2, 3]


def test_origins_come_back():
    import networkx as nx

    G, H = nx.Graph([("a", "b")]), nx.MultiDiGraph([(1, 1)])
    parts = gk.unbatch(gk.batch([gk.from_networkx(G), gk.empty(0), gk.from_networkx(H)]))
    assert nx.utils.graphs_equal(gk.to_networkx(parts[0]), G)
    assert nx.utils.graphs_equal(gk.to_networkx(parts[2]), H)


def test_disagreements_name_the_graph_and_the_field():
    g = gk.path(2).replace(x=np.zeros((2, 3)))
    with pytest.raises(InvalidFeatureError, match=r"Graph 0 has \['x'\], graph 1 has \[\]"):
        gk.batch([g, gk.path(2)])
    with pytest.raises(ShapeError, match=r"field 'x'.*graph 2 has float64\[2, 4\]"):
        gk.batch([g, g, g.replace(x=np.zeros((2, 4)))])
    with pytest.raises(DTypeError, match=r"graph 1 has float32\[2, 3\]"):
        gk.batch([g, g.replace(x=np.zeros((2, 3), "float32"))])
    with pytest.raises(DTypeError, match=r"dense or sparse"):
        gk.batch([g, g.replace(x=sparse.csr_array((2, 3)))])
    with pytest.raises(DTypeError, match=r"Item 1 is str"):
        gk.batch([g, "graph"])


def test_a_single_graph_and_other_things_are_refused():
    with pytest.raises(DTypeError, match=r"several graphs. Got a single Graph"):
        gk.batch(gk.path(2))
    with pytest.raises(DTypeError, match=r"Only a Graph can be unbatched. Got list"):
        gk.unbatch([gk.path(2)])
