"""Graph: fields, validation, replace and without, immutability, gradients, report."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from scipy import sparse

import gnnkit as gk
from gnnkit.errors import (
    DTypeError,
    ImmutableError,
    InvalidFeatureError,
    InvalidGraphError,
    ShapeError,
    UnknownFieldError,
)

TOPOLOGY = gk.Topology.from_edges([2, 0, 1], [0, 1, 0], num_nodes=3)


def small(**fields):
    return gk.Graph(TOPOLOGY, {"x": np.arange(6.0).reshape(3, 2), **fields}, {"e": [1, 2, 3]}, {"u": [[7.0]]})


def test_fields_counts_and_short_names():
    g = small(y=["a", "b", "c"])
    assert (g.num_nodes, g.num_edges, g.num_graphs) == (3, 3, 1)
    assert g.x is g.nodes["x"] and g.e is g.edges["e"] and g.u is g.globals["u"]
    assert list(g.nodes) == ["x", "y"] and "y" in g.nodes and "z" not in g.nodes
    assert g.node_ptr.tolist() == [0, 3] and g.edge_ptr.tolist() == [0, 3]
    assert g.node_graph.tolist() == [0, 0, 0] and g.edge_graph.tolist() == [0, 0, 0]
    assert repr(g) == "Graph(num_nodes=3, num_edges=3, x=float64[3, 2], y=<U1[3], e=int64[3], u=float64[1, 1])"
    assert g.nodes.get("z") is None


def test_dtypes_stay_as_given():
    for dtype in ("float32", "float16", "int8", "uint64", "bool", "complex64", "<U3", "S2", "datetime64[D]"):
        values = np.zeros(3, dtype)
        assert gk.Graph(TOPOLOGY, {"x": values}).x.dtype == values.dtype


def test_fields_are_read_only_views_and_the_callers_flags_stay():
    x = np.ones((3, 2))
    g = gk.Graph(TOPOLOGY, {"x": x})
    assert np.shares_memory(g.x, x) and x.flags.writeable
    with pytest.raises(ValueError, match=r"read-only"):
        g.x[0, 0] = 5
    assert not g.replace(x=x).x.flags.writeable and x.flags.writeable


def test_graph_never_changes():
    g = small()
    with pytest.raises(ImmutableError, match=r"Use g.replace\(x=...\)"):
        g.x = 1
    with pytest.raises(ImmutableError, match=r"g.without\('x'\)"):
        del g.x
    for change in (
        lambda: g.nodes.__setitem__("a", 1),
        lambda: g.nodes.pop("x"),
        lambda: g.edges.update(e=1),
        lambda: g.globals.clear(),
        lambda: g.nodes.setdefault("q", 1),
        lambda: g.nodes.__delitem__("x"),
        lambda: g.nodes.__ior__({"a": 1}),
        lambda: g.nodes.popitem(),
    ):
        with pytest.raises(ImmutableError, match=r"never change"):
            change()
    assert copy.deepcopy(g) is g and copy.copy(g.nodes) is g.nodes


def test_unknown_fields_say_what_exists():
    g = small()
    with pytest.raises(UnknownFieldError, match=r"no node field 'z'; it has: 'x'"):
        g.nodes["z"]
    with pytest.raises(UnknownFieldError, match=r"no edge field 'e'; it has: none"):
        _ = gk.path(2).e
    with pytest.raises(UnknownFieldError, match=r"no attribute 'y'.*g.nodes\['x'\]"):
        _ = g.y
    with pytest.raises(UnknownFieldError, match=r"No field 'z'"):
        g.without("z")
    assert not hasattr(g, "y") and not hasattr(gk.path(2), "x")


def test_replace_adds_and_overwrites_and_shares_the_rest():
    g = small(y=[0, 1, 2])
    h = g.replace(x=np.zeros((3, 5)), nodes={"z": [1, 2, 3]}, e=[4, 5, 6], u=[[1.0]])
    assert list(h.nodes) == ["x", "y", "z"] and h.x.shape == (3, 5) and h.e.tolist() == [4, 5, 6]
    assert h.topology is g.topology and h.nodes["y"] is g.nodes["y"]
    assert g.x.shape == (3, 2) and "z" not in g.nodes
    assert g.replace() is not g and g.replace().nodes is g.nodes


def test_replace_checks_lengths_and_kinds():
    g = small()
    with pytest.raises(ShapeError, match=r"'x' must have one row per node \(num_nodes=3\).*node 2 has no row"):
        g.replace(x=np.zeros((2, 2)))
    with pytest.raises(ShapeError, match=r"edge field 'e'.*Got shape \(4,\): row 3 belongs to no edge"):
        g.replace(e=np.zeros(4))
    with pytest.raises(ShapeError, match=r"graph field 'u'"):
        g.replace(u=np.zeros((2, 1)))
    with pytest.raises(ShapeError, match=r"Got a single value of type float"):
        g.replace(x=1.5)
    with pytest.raises(ShapeError, match=r"NoneType"):
        g.replace(x=None)
    with pytest.raises(DTypeError, match=r"non-empty string"):
        g.replace(nodes={3: [1, 2, 3]})


def test_replace_of_the_topology_refuses_edge_fields_of_the_old_edges():
    g = small()
    other = gk.Topology.from_edges([0], [1], num_nodes=3)
    with pytest.raises(InvalidGraphError, match=r"leaves 'e' from the old edges.*g.without\('e'\)"):
        g.replace(topology=other)
    assert g.replace(topology=other, e=[9]).e.tolist() == [9]
    assert g.without("e").replace(topology=other).edge_ptr.tolist() == [0, 1]
    assert g.replace(topology=g.topology).e is g.e
    with pytest.raises(InvalidGraphError, match=r"num_nodes=3. It has 4"):
        g.without("e").replace(topology=gk.path(4).topology)
    named = gk.from_edges([0], [1], num_nodes=3, undirected=True).replace(topology=other)
    assert gk.to_networkx(named).is_directed()


def test_replace_shares_what_it_does_not_change():
    g = small()
    other = g.replace(x=np.zeros((3, 2)))
    assert other.topology is g.topology and other.edges is g.edges and other.globals is g.globals
    assert other.node_ptr is g.node_ptr


def test_without():
    g = small(y=[1, 2, 3])
    assert list(g.without("y").nodes) == ["x"]
    assert not g.without("x", "e", "u", "y").nodes
    both = g.replace(edges={"x": [1, 2, 3]})
    assert "x" not in both.without("x").nodes and "x" not in both.without("x").edges
    assert "x" in both.without("x", level="edges").nodes


@pytest.mark.parametrize(
    ("level", "values", "text"),
    [
        ("nodes", [[1.0, 2], [np.nan, 1], [np.nan, 1]], "node field 'f' has a NaN at node 1"),
        ("edges", [1.0, np.nan, 1], r"edge field 'f' has a NaN at edge 0 \(2 -> 0\)"),
        ("globals", [np.nan], "graph field 'f' has a NaN at graph 0"),
        ("nodes", np.array([0, 1, np.nan], "complex64"), "node 2"),
    ],
)
def test_nan_is_named_and_refused_unless_allowed(level, values, text):
    with pytest.raises(InvalidFeatureError, match=text):
        gk.Graph(TOPOLOGY, **{level: {"f": values}})
    assert "f" in getattr(gk.Graph(TOPOLOGY, **{level: {"f": values}}, allow_nan=True), level)


def test_nan_in_sparse_rows_and_tensors_is_found_too():
    matrix = sparse.csr_array(np.array([[0.0, 0], [0, np.nan], [1, 0]]))
    with pytest.raises(InvalidFeatureError, match=r"node 1"):
        gk.Graph(TOPOLOGY, {"x": matrix})
    with pytest.raises(InvalidFeatureError, match=r"node 2"):
        gk.Graph(TOPOLOGY, {"x": gk.tensor([0.0, 1.0, np.nan])})


def test_infinity_is_a_value():
    assert np.isinf(gk.Graph(TOPOLOGY, {"x": [np.inf, -np.inf, 0.0]}).x[:2]).all()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1.0, None, 2.0], "node 1 with None"),
        (np.array(["a", 2, "b"], object), "node 1 with 2 of type int"),
        ([[1], [1, 2], [3]], "unequal lengths"),
        (np.zeros(3, [("a", int)]), "one kind"),
    ],
)
def test_objects_are_refused_naming_the_first(values, text):
    with pytest.raises(InvalidFeatureError, match=text):
        gk.Graph(TOPOLOGY, {"x": values})


def test_masked_arrays_and_sparse_edges_are_refused():
    with pytest.raises(DTypeError, match=r"masked array"):
        gk.Graph(TOPOLOGY, {"x": np.ma.array([1, 2, 3], mask=[0, 1, 0])})
    with pytest.raises(DTypeError, match=r"Only nodes take sparse features"):
        gk.Graph(TOPOLOGY, edges={"e": sparse.eye_array(3, format="csr")})


def test_wrong_containers():
    with pytest.raises(InvalidGraphError, match=r"must be built on a Topology"):
        gk.Graph(([0], [1]))
    with pytest.raises(DTypeError, match=r"nodes must map"):
        gk.Graph(TOPOLOGY, np.zeros(3))
    with pytest.raises(InvalidGraphError, match=r"bipartite"):
        gk.Graph(gk.Topology.from_edges([0], [0], num_senders=1, num_receivers=2))


def test_sparse_features_stay_sparse():
    matrix = sparse.random_array((3, 10), density=0.3, rng=0, dtype=np.float32, format="coo")
    g = gk.Graph(TOPOLOGY, {"x": matrix})
    assert isinstance(g.x, gk.SparseMatrix) and g.x.dtype == np.float32
    np.testing.assert_array_equal(g.x.toarray(), matrix.toarray())
    assert "x=sparse float32[3, 10]" in repr(g) and "% stored" in str(g.report())


def test_tensor_fields_keep_their_gradient():
    x = gk.tensor(np.ones((3, 2)), requires_grad=True)
    g = gk.Graph(TOPOLOGY, {"x": x}).replace(x=x * 2)
    np.sum(g.x).backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full((3, 2), 2.0))


def test_edge_fields_are_canonical_inside_and_the_callers_outside():
    g = gk.from_edges([2, 0, 1], [0, 1, 0], num_nodes=3, e=[10, 20, 30])
    assert g.senders.tolist() == [1, 2, 0] and g.e.tolist() == [30, 10, 20]
    senders, receivers, fields = g.to_edges()
    assert (senders.tolist(), receivers.tolist(), fields["e"].tolist()) == ([2, 0, 1], [0, 1, 0], [10, 20, 30])


def test_boundaries_are_checked():
    topology = gk.Topology.from_edges([0, 2], [1, 3], num_nodes=4)
    g = gk.Graph(topology, node_ptr=[0, 2, 4], globals={"u": [1, 2]})
    assert g.num_graphs == 2 and g.edge_ptr.tolist() == [0, 1, 2]
    assert gk.Graph(topology, node_ptr=[0, 2, 4], edge_ptr=[0, 1, 2]).num_graphs == 2
    with pytest.raises(InvalidGraphError, match=r"must rise from 0 to num_nodes=4"):
        gk.Graph(topology, node_ptr=[0, 3])
    with pytest.raises(InvalidGraphError, match=r"must rise"):
        gk.Graph(topology, node_ptr=[0, 3, 2, 4])
    with pytest.raises(InvalidGraphError, match=r"Edge 0 \(0 -> 1\) leads from graph 0 to graph 1"):
        gk.Graph(topology, node_ptr=[0, 1, 4])
    with pytest.raises(InvalidGraphError, match=r"edge_ptr must count"):
        gk.Graph(topology, node_ptr=[0, 2, 4], edge_ptr=[0, 2, 2])
    with pytest.raises(InvalidGraphError, match=r"edge_ptr needs node_ptr"):
        gk.Graph(topology, edge_ptr=[0, 2])


def test_nothing_at_all_is_legal():
    g = gk.from_edges([], [], num_nodes=0, x=np.zeros((0, 0)), e=np.zeros((0, 3)))
    assert (g.num_nodes, g.num_edges, g.num_graphs) == (0, 0, 1)
    assert "components" in str(g.report()) and g.report().num_components == 0
    for h in (gk.transforms.add_self_loops(g), gk.transforms.to_undirected(g), gk.transforms.coalesce(g)):
        assert h.num_edges == 0 and h.e.shape == (0, 3)


def test_workers_receive_an_equal_graph():
    g = gk.batch([small(), small()])
    rebuild, arguments = g.__reduce__()
    h = rebuild(*arguments)
    assert h.topology == g.topology and h.num_graphs == 2
    np.testing.assert_array_equal(h.x, g.x)
    rebuild, arguments = g.nodes.__reduce__()
    assert list(rebuild(*arguments)) == ["x"]


def test_report_counts():
    g = gk.from_edges([0, 0, 1, 3, 3, 5], [1, 1, 0, 3, 4, 5], num_nodes=7, x=np.zeros((7, 2), "float32"), e=np.zeros(6))
    report = g.report()
    assert (report.num_nodes, report.num_edges, report.num_graphs) == (7, 6, 1)
    assert report.isolated_nodes.tolist() == [2, 5, 6] and report.num_isolated == 3  # 5 has only itself
    assert (report.num_self_loops, report.num_duplicates, report.is_symmetric) == (2, 1, False)
    assert (report.num_components, report.largest_component) == (5, 2)
    assert report.in_degree == (0, 6 / 7, 2)
    assert report.fields == {"nodes.x": "float32[7, 2]", "edges.e": "float64[6]"}
    assert report.num_bytes == 8 * 8 + 6 * 4 + (0 if g.topology.is_caller_ordered else 6 * 8) + 56 + 48
    text = str(report)
    assert "isolated nodes   3 (first: node 2)" in text and "float32[7, 2]" in text and text == repr(report)


def test_report_names_nodes_by_their_names():
    import networkx as nx

    G = nx.Graph([("a", "b")])
    G.add_node("lonely")
    assert "first: node 'lonely' (index 2)" in str(gk.from_networkx(G).report())


def test_without_knows_its_levels():
    with pytest.raises(gk.errors.UnknownNameError, match=r"level must be one of: edges, globals, nodes. Got 'node'"):
        gk.path(2).without("x", level="node")
