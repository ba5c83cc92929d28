"""TypedGraph: the schema, access, changes, conversions and batches on tiny graphs."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit.errors import (
    ImmutableError,
    InvalidArgumentError,
    InvalidFeatureError,
    InvalidGraphError,
    UnknownFieldError,
)
from gnnkit.graph import FieldSpec

WRITES, CITES = ("author", "writes", "paper"), ("paper", "cites", "paper")


def small():
    return gk.typed_graph(
        num_nodes={"author": 2, "venue": 0},
        nodes={"paper": {"x": np.arange(6, dtype="float32").reshape(3, 2), "y": [0, 1, 1]}},
        edges={
            WRITES: ([1, 0, 1], [2, 0, 0]),
            CITES: {"senders": [2, 1, 2, 2], "receivers": [0, 1, 0, 1], "e": [0.1, 0.2, 0.3, 0.4]},
            ("paper", "in", "venue"): ([], []),
        },
        globals={"u": [[7.0]]},
    )


def test_schema_counts_and_access():
    g = small()
    assert g.node_types == ("author", "venue", "paper")
    assert g.edge_types == (WRITES, CITES, ("paper", "in", "venue"))
    assert g.metadata() == (["author", "venue", "paper"], [WRITES, CITES, ("paper", "in", "venue")])
    assert dict(g.num_nodes) == {"author": 2, "venue": 0, "paper": 3} and g.num_edges[CITES] == 4
    assert g.schema.nodes["paper"] == {"x": FieldSpec(np.dtype("float32"), (2,)), "y": FieldSpec(np.dtype("int64"), ())}
    assert g["paper"].x is g.nodes["paper"]["x"] and g["paper"]["y"].tolist() == [0, 1, 1]
    assert list(g["paper"]) == ["x", "y"] and "x" in g["paper"] and "x" not in g["author"]
    assert g[WRITES] is g["writes"] is g.relations[WRITES] and g["writes"].topology.is_bipartite
    assert (g["writes"].sender_type, g["writes"].name, g["writes"].receiver_type) == WRITES
    assert list(g.x) == ["paper"] and list(g.e) == [CITES] and g.u.tolist() == [[7.0]]
    assert "paper" in g and CITES in g and "writes" not in g and g.num_graphs == 1
    assert g["paper"].node_ptr.tolist() == [0, 3] and g["paper"].node_graph.tolist() == [0, 0, 0]
    assert g.edge_ptr[CITES].tolist() == [0, 4]


def test_edges_are_sorted_and_come_back_as_given():
    g = small()
    assert g["cites"].receivers.tolist() == [0, 0, 1, 1] and g["cites"].senders.tolist() == [2, 2, 1, 2]
    assert g["cites"].e.tolist() == [0.1, 0.3, 0.2, 0.4]
    senders, receivers, fields = g["cites"].to_edges()
    assert (senders.tolist(), receivers.tolist(), fields["e"].tolist()) == (
        [2, 1, 2, 2],
        [0, 1, 0, 1],
        [0.1, 0.2, 0.3, 0.4],
    )
    again = gk.typed_graph(dict(g.num_nodes), nodes=g.nodes, edges={k: r.to_edges() for k, r in g.relations.items()})
    assert again == g.without("u")
    index = np.array([[1, 0, 1], [2, 0, 0]])
    assert gk.typed_graph({"author": 2, "paper": 3}, edges={WRITES: index})[WRITES].topology == g[WRITES].topology


def test_texts():
    g = small()
    assert repr(g) == (
        "TypedGraph(\n"
        "  'author': num_nodes=2\n"
        "  'venue': num_nodes=0\n"
        "  'paper': num_nodes=3, x=float32[3, 2], y=int64[3]\n"
        "  ('author', 'writes', 'paper'): num_edges=3\n"
        "  ('paper', 'cites', 'paper'): num_edges=4, e=float64[4]\n"
        "  ('paper', 'in', 'venue'): num_edges=0\n"
        "  globals: u=float64[1, 1]\n"
        ")"
    )
    assert str(g.schema).splitlines()[2] == "paper                      3 nodes  x float32[2], y int64"
    assert repr(gk.typed_graph()) == "TypedGraph()" and str(gk.typed_graph().schema) == "no node types"
    assert repr(g["cites"]) == "Relation('paper', 'cites', 'paper', num_edges=4, e=float64[4])"
    sparse = gk.typed_graph(nodes={"a": {"x": sp.csr_array(np.eye(3))}})
    assert str(sparse.schema) == "a  3 nodes  x sparse float64[3]"


def test_report_counts():
    report = small().report()
    assert report.nodes["author"].num_isolated == 0 and report.nodes["paper"].isolated_nodes.tolist() == []
    cites = report.relations[CITES]
    assert (cites.num_edges, cites.num_duplicates, cites.num_self_loops, cites.is_symmetric) == (4, 1, 1, False)
    assert report.relations[WRITES].num_self_loops is None and report.relations[WRITES].in_degree == (0, 1.0, 2)
    assert report.num_components == 1 and report.largest_component == 5
    assert "paper -> cites -> paper" in str(report) and report.num_bytes > 0
    alone = gk.typed_graph({"a": 2, "b": 1}, edges={("a", "to", "a"): ([0], [0])}).report()
    assert alone.nodes["a"].isolated_nodes.tolist() == [0, 1] and alone.num_components == 3
    assert gk.typed_graph().report().num_components == 0


def test_replace_without_select():
    g = small()
    h = g.replace(x={"author": np.ones((2, 5))}, nodes={"paper": {"z": [1, 2, 3]}}, u=[[1.0]])
    assert h["author"].x.shape == (2, 5) and list(h["paper"]) == ["x", "y", "z"] and h.u.tolist() == [[1.0]]
    assert "x" not in g["author"] and h.relations[CITES] is g.relations[CITES]
    assert g.replace(e={CITES: np.zeros(4)}).e[CITES].tolist() == [0.0] * 4
    other = gk.Topology.from_edges([0], [1], num_nodes=3)
    assert g.replace(relations={CITES: other}, e={CITES: [5.0]})["cites"].e.tolist() == [5.0]
    added = g.replace(relations={("paper", "like", "paper"): other})
    assert added.edge_types[-1] == ("paper", "like", "paper") and added["cites"].e is g["cites"].e
    assert "e" not in g.without("e")["cites"] and "u" not in g.without("u", "x").globals
    both = g.replace(x={"author": np.ones((2, 1))})
    assert "x" in both.without("x", at="author")["paper"] and "x" not in both.without("x", at="author")["author"]
    assert g.select(["paper"]).metadata() == (["paper"], [CITES])
    assert g.select(relations=[WRITES]).metadata() == (["author", "paper"], [WRITES])
    assert g.select([]).metadata() == ([], []) and g.select(relations=[]).node_types == ()


def test_equality_and_copies():
    g, h = small(), small()
    assert g == h and hash(g) == hash(h) and g != g.without("e") and g != "g"
    assert g != g.replace(x={"paper": np.zeros((3, 2), "float32")}) and g != g.replace(
        nodes={"paper": {"y": [0, 1, 2]}}
    )
    assert g != g.replace(x={"paper": g["paper"].x.astype("float64")})
    assert g != g.select(["author", "paper"]) and g != gk.batch([g, h])
    nan = gk.typed_graph(nodes={"a": {"x": [np.nan]}}, allow_nan=True)
    assert nan == gk.typed_graph(nodes={"a": {"x": [np.nan]}}, allow_nan=True)
    assert g == g.replace(x={"paper": gk.tensor(g["paper"].x, requires_grad=True)})
    sparse = gk.typed_graph(nodes={"a": {"x": sp.csr_array(np.eye(2))}})
    assert sparse == gk.typed_graph(nodes={"a": {"x": sp.csr_array(np.eye(2))}})
    assert sparse != gk.typed_graph(nodes={"a": {"x": np.eye(2)}})
    assert copy.copy(g) is g and copy.deepcopy(g) is g
    rebuild, parts = g.__reduce__()
    assert rebuild(*parts) == g


def test_nothing_changes_in_place():
    g = small()
    with pytest.raises(ImmutableError, match=r"Got an assignment to 'nodes'"):
        g.nodes = {}
    with pytest.raises(ImmutableError, match=r"one of its maps"):
        g.nodes["paper"] = {}
    with pytest.raises(ImmutableError, match=r"fields of a Graph never change"):
        g.nodes["paper"]["x"] = 1
    with pytest.raises(ImmutableError, match=r"deletion of 'key'"):
        del g["cites"].key
    with pytest.raises(ValueError, match=r"read-only"):
        g["paper"].x[0] = 1


def test_reverses():
    g = small().add_reverse([CITES, WRITES])
    assert g.edge_types[-2:] == (("paper", "rev_cites", "paper"), ("paper", "rev_writes", "author"))
    senders, receivers, fields = g["rev_cites"].to_edges()
    assert (senders.tolist(), receivers.tolist(), fields["e"].tolist()) == (
        [0, 1, 0, 1],
        [2, 1, 2, 2],
        [0.1, 0.2, 0.3, 0.4],
    )
    assert g["rev_writes"].topology == g["writes"].topology.transpose()


def test_to_undirected_per_relation():
    to, back = ("a", "to", "b"), ("b", "to", "a")
    g = gk.typed_graph(
        {"a": 2, "b": 2}, edges={to: ([0, 1], [1, 0], {"w": [1, 2]}), ("a", "is", "a"): ([0, 1], [1, 1])}
    )
    both = g.to_undirected()
    assert both["a", "is", "a"].topology.is_symmetric() and both["is"].num_edges == 3
    assert both[back].to_edges()[2]["w"].tolist() == [1, 2]
    assert both.to_undirected() == both
    assert g.to_undirected([to]).num_edges[("a", "is", "a")] == 2
    broken = both.replace(edges={back: {"w": [2, 2]}})
    with pytest.raises(InvalidGraphError, match=r"\('b', 'to', 'a'\) exists and differs"):
        broken.to_undirected([to])


def test_to_homogeneous_and_back():
    g = small().replace(nodes={"author": {"id": [5, 6]}, "paper": {"id": [7, 8, 9]}, "venue": {"id": np.zeros(0, int)}})
    with pytest.raises(InvalidFeatureError, match=r"'id'|'x' is float32\[3, 2\] in node type 'paper'.*no such field"):
        g.to_homogeneous()
    one = g.to_homogeneous(fields=["id"], edge_fields=[])
    assert one.nodes["node_type"].tolist() == [0, 0, 2, 2, 2] and one.nodes["id"].tolist() == [5, 6, 7, 8, 9]
    senders, receivers, fields = one.to_edges()
    assert senders.tolist() == [1, 0, 1, 4, 3, 4, 4] and receivers.tolist() == [4, 2, 2, 2, 3, 2, 3]
    assert fields["edge_type"].tolist() == [0, 0, 0, 1, 1, 1, 1] and one.u.tolist() == [[7.0]]
    back = gk.from_homogeneous(one, g.node_types, g.edge_types)
    assert back == g.without("x", "y", "e")
    with pytest.raises(UnknownFieldError, match=r"No type has a field 'q'"):
        g.to_homogeneous(fields=["q"], edge_fields=[])
    with pytest.raises(InvalidArgumentError, match=r"list of names"):
        g.to_homogeneous(fields="id")
    wide = gk.typed_graph(nodes={"a": {"x": np.ones((1, 2))}, "b": {"x": np.ones((1, 3))}})
    with pytest.raises(
        InvalidFeatureError, match=r"\[1, 2\] in node type 'a' and there is float64\[1, 3\] in node type"
    ):
        wide.to_homogeneous()
    named = gk.typed_graph(nodes={"a": {"node_type": [1]}})
    with pytest.raises(InvalidFeatureError, match=r"'node_type' is made of the types"):
        named.to_homogeneous()


def test_batches():
    g, h = small(), small().replace(x={"paper": np.zeros((3, 2), "float32")})
    empty = gk.typed_graph(
        {"author": 0, "venue": 0},
        nodes={"paper": {"x": np.zeros((0, 2), "float32"), "y": np.zeros(0, int)}},
        edges={WRITES: ([], []), CITES: ([], [], {"e": []}), ("paper", "in", "venue"): ([], [])},
        globals={"u": [[0.0]]},
    )
    many = gk.batch([g, empty, h, empty])
    assert many.num_graphs == 4 and many.node_ptr["paper"].tolist() == [0, 3, 3, 6, 6]
    assert many.edge_ptr[CITES].tolist() == [0, 4, 4, 8, 8] and many.u.shape == (4, 1)
    assert many["paper"].node_graph.tolist() == [0, 0, 0, 2, 2, 2]
    assert many["writes"].senders.tolist() == [0, 1, 1, 2, 3, 3]
    assert gk.unbatch(many) == [g, empty, h, empty] and gk.batch([many, g]) == gk.batch([g, empty, h, empty, g])
    assert gk.unbatch(g) == [g] and gk.batch([g]) is g
    assert repr(many).startswith("TypedGraph(\n  num_graphs=4\n")
    one = many.to_homogeneous(fields=[], edge_fields=[])
    assert one.node_ptr.tolist() == [0, 5, 5, 10, 10] and one.num_graphs == 4
    loop = gk.batch([part.to_homogeneous(fields=[], edge_fields=[]) for part in gk.unbatch(many)])
    for level in ("nodes", "edges"):
        for name, value in getattr(loop, level).items():
            np.testing.assert_array_equal(value, getattr(one, level)[name])
    np.testing.assert_array_equal(loop.topology.indptr, one.topology.indptr)
    np.testing.assert_array_equal(loop.topology.indices, one.topology.indices)
    assert gk.from_homogeneous(one, many.node_types, many.edge_types) == many.without("x", "y", "e")
    typeless = gk.batch([gk.typed_graph(), gk.typed_graph()])
    assert typeless.num_graphs == 2 and gk.unbatch(typeless) == [gk.typed_graph()] * 2
    pointers = {name: many.node_ptr[name] for name in many.node_types}
    topologies = {key: one.topology for key, one in many.relations.items()}
    again = gk.TypedGraph(
        dict(many.num_nodes), topologies, nodes=many.nodes, edges=many.edges, globals=many.globals, node_ptr=pointers
    )
    assert again == many


@st.composite
def typed_graphs(draw, counts=None):
    names = ["a", "b", "c"]
    sizes = {name: draw(st.integers(0, 4)) for name in names} if counts is None else counts
    edges = {}
    for key in [("a", "to", "b"), ("b", "to", "a"), ("a", "to", "a"), ("c", "is", "c")]:
        if not sizes[key[0]] or not sizes[key[2]]:
            edges[key] = ([], [], {"w": np.zeros((0, 2))})
            continue
        pairs = draw(
            st.lists(st.tuples(st.integers(0, sizes[key[0]] - 1), st.integers(0, sizes[key[2]] - 1)), max_size=6)
        )
        weights = np.arange(2.0 * len(pairs)).reshape(-1, 2)
        edges[key] = ([s for s, _ in pairs], [r for _, r in pairs], {"w": weights})
    x = {name: {"x": np.arange(float(size * k)).reshape(size, k)} for k, (name, size) in enumerate(sizes.items())}
    return gk.typed_graph(sizes, nodes=x, edges=edges, globals={"u": [draw(st.integers(0, 9))]})


@settings(max_examples=60)
@given(st.lists(typed_graphs(), min_size=1, max_size=4))
def test_conversions_are_inverse(graphs):
    many = gk.batch(graphs)
    assert gk.unbatch(many) == graphs
    one = many.to_homogeneous(fields=[])
    assert one.num_graphs == len(graphs)
    back = gk.from_homogeneous(one, many.node_types, many.edge_types)
    assert back == many.without("x")
    assert many.add_reverse(prefix="r").select(relations=many.edge_types).without("w") == many.without("w").select(
        relations=many.edge_types
    )
    for g in graphs:
        undirected = g.select(["a", "c"]).to_undirected(reduce="sum")
        assert undirected["is"].topology.is_symmetric() and undirected["a", "to", "a"].topology.is_symmetric()
