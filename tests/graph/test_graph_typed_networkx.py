"""The networkx door of typed graphs: lossless for all four classes, both ways, and every refusal by name."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit.errors import DTypeError, InvalidFeatureError, InvalidGraphError, UnknownNameError

CLASSES = [nx.Graph, nx.DiGraph, nx.MultiGraph, nx.MultiDiGraph]
TYPES = ["author", "paper", "a.b/c"]

names = st.one_of(st.integers(-5, 5), st.text(max_size=3), st.tuples(st.integers(0, 3), st.text(max_size=1)))
text = st.text(max_size=4).filter(lambda value: not value.endswith("\0"))
int64 = st.integers(-(2**63), 2**63 - 1)
finite = st.floats(allow_nan=False)
value_kinds = [
    int64,
    finite,
    st.booleans(),
    text,
    st.lists(finite, min_size=2, max_size=2),
    st.tuples(int64, text.map(len)),
    st.floats(width=32, allow_nan=False).map(np.float32),
    st.just(np.ones((2, 2), "float32")),
]
attributes = st.dictionaries(
    text.filter(lambda name: name not in ("", "kind")), st.sampled_from(value_kinds), max_size=2
)


@st.composite
def typed_networkx(draw, cls):
    G = cls()
    node_kinds = {name: draw(attributes) for name in TYPES}
    for name in draw(st.lists(names, max_size=6, unique=True)):
        kind = draw(st.sampled_from(TYPES))
        G.add_node(name, kind=kind)
        for key, values in node_kinds[kind].items():
            G.nodes[name][key] = draw(values)
    nodes = list(G)
    edge_kinds = {name: draw(attributes) for name in ("to", "of")}
    pairs = st.lists(st.tuples(st.sampled_from(nodes), st.sampled_from(nodes)), max_size=9) if nodes else st.just([])
    for u, v in draw(pairs):
        if not G.is_multigraph() and G.has_edge(u, v):
            continue
        name = draw(st.sampled_from(["to", "of"]))
        key = G.add_edge(u, v, draw(st.one_of(st.none(), st.text(max_size=2)))) if G.is_multigraph() else None
        if not G.is_multigraph():
            G.add_edge(u, v)
        data = G.edges[u, v, key] if G.is_multigraph() else G.edges[u, v]
        data["kind"] = name
        # An edge added again under its key keeps old attributes: begin anew.
        for old in [old for old in data if old != "kind"]:
            del data[old]
        for attribute, values in edge_kinds[name].items():
            data[attribute] = draw(values)
    for key in draw(st.lists(st.one_of(text, st.integers()), max_size=3, unique=True)):
        G.graph[key] = draw(st.one_of(*value_kinds, st.none(), st.just({"nested": [1, "a"]})))
    return G


def same(one, other):
    """Equality that also compares types, and arrays by value and dtype."""
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return type(one) is type(other) and bool(one == other)


def assert_lossless(G, H):
    assert type(H) is type(G)
    assert list(H.nodes) == list(G.nodes)
    assert all(same(dict(G.nodes[name]), dict(H.nodes[name])) for name in G.nodes)
    one, other = (
        list(each.edges(keys=True, data=True) if G.is_multigraph() else each.edges(data=True)) for each in (G, H)
    )
    assert len(one) == len(other)
    assert all(same(a[:-1], b[:-1]) and same(dict(a[-1]), dict(b[-1])) for a, b in zip(one, other))
    assert same(dict(G.graph), dict(H.graph))


@pytest.mark.parametrize("cls", CLASSES)
@settings(max_examples=60)
@given(data=st.data())
def test_round_trip_is_lossless(cls, data):
    G = data.draw(typed_networkx(cls))
    g = gk.from_networkx_typed(G, node_type="kind", edge_type="kind")
    assert_lossless(G, gk.to_networkx(g))
    loops = nx.number_of_selfloops(G)
    total = G.number_of_edges() if G.is_directed() else 2 * G.number_of_edges() - loops
    assert sum(g.num_edges.values()) == total and sum(g.num_nodes.values()) == len(G)
    if not G.is_directed():
        for (s, r, d), relation in g.relations.items():
            assert np.array_equal(g[d, r, s].topology.indptr, relation.topology.transpose().indptr)
            assert np.array_equal(g[d, r, s].topology.indices, relation.topology.transpose().indices)
    again = gk.from_networkx_typed(gk.to_networkx(g), node_type="kind", edge_type="kind", schema=g.schema)
    assert again == g
    batch = gk.batch([g, again])
    for part in gk.unbatch(batch):
        assert_lossless(G, gk.to_networkx(part))
    by_function = gk.from_networkx_typed(
        G, node_type=lambda name, data: data["kind"], edge_type=lambda *entry: entry[-1]["kind"]
    )
    assert by_function.node_types == g.node_types and by_function.edge_types == g.edge_types
    assert_lossless(G, gk.to_networkx(by_function))


def library():
    G = nx.DiGraph(place="here")
    G.add_node("p1", type="paper", words=[1.0, 2.0])
    G.add_node("ann", type="author", age=3)
    G.add_node("p2", type="paper", words=[3.0, 4.0])
    G.add_node("bob", type="author", age=4)
    G.add_edge("bob", "p1", type="writes", share=0.5)
    G.add_edge("p2", "p1", type="cites")
    G.add_edge("ann", "p2", type="writes", share=1.0)
    return G


def test_fields_order_and_names():
    g = gk.from_networkx_typed(library())
    assert g.node_types == ("paper", "author")
    assert g.edge_types == (("author", "writes", "paper"), ("paper", "cites", "paper"))
    assert g["paper"]["words"].tolist() == [[1, 2], [3, 4]] and g["author"]["age"].tolist() == [3, 4]
    assert g["paper"].names == ("p1", "p2") and g["author"].names == ("ann", "bob")
    senders, receivers, fields = g["writes"].to_edges()
    assert (senders.tolist(), receivers.tolist(), fields["share"].tolist()) == ([0, 1], [1, 0], [1.0, 0.5])
    assert gk.to_networkx(g.select(["paper"])).nodes(data=True) == library().subgraph(["p1", "p2"]).nodes(data=True)
    assert list(gk.to_networkx(g.select(["paper"])).edges(data=True)) == [("p2", "p1", {"type": "cites"})]
    without = gk.to_networkx(g.without("share").replace(x={"author": [[1], [2]]}))
    assert without.edges["bob", "p1"] == {"type": "writes"} and without.nodes["bob"]["x"].tolist() == [2]


def test_selections_and_a_schema():
    words = {"paper": {"x": "words"}, "author": {"x": ["age", "age"], "y": "age"}}
    g = gk.from_networkx_typed(library(), node_attrs=words, edge_attrs={("author", "writes", "paper"): []}, dtype="f4")
    assert repr(g.schema.nodes) == "{'paper': {'x': float32[2]}, 'author': {'x': float32[2], 'y': int64}}"
    assert g.schema.relations["author", "writes", "paper"] == {}
    schema = gk.typed_graph({"author": 0, "paper": 0}, edges={("paper", "cites", "paper"): ([], [])}).schema
    with pytest.raises(
        UnknownNameError, match=r"A relation must be one of: \('paper'.*Got \('author', 'writes', 'paper'"
    ):
        gk.from_networkx_typed(library(), schema=schema)
    wanted = gk.typed_graph(
        {"venue": 0, "author": 1},
        nodes={"paper": {"words": np.ones((1, 2))}, "book": {"x": np.ones((1, 7), "float32")}},
        edges={
            ("paper", "in", "venue"): ([], [], {"e": np.zeros((0, 3))}),
            ("author", "writes", "paper"): ([0], [0]),
            ("paper", "cites", "paper"): ([0], [0]),
        },
    ).schema
    g = gk.from_networkx_typed(library(), schema=wanted)
    assert g.node_types == ("venue", "author", "paper", "book") and g.edge_types == wanted.edge_types
    assert g["book"].x.shape == (0, 7) and g["book"].x.dtype == np.float32 and g["in"].e.shape == (0, 3)
    assert_lossless(library(), gk.to_networkx(g))
    known = gk.typed_graph({"paper": 1}).schema
    with pytest.raises(UnknownNameError, match=r"A node type must be one of: paper\. Got 'author'"):
        gk.from_networkx_typed(library(), schema=known)


def test_a_graph_of_ours_goes_out_with_names_of_type_and_index():
    to = ("a", "to", "b")
    g = gk.typed_graph({"a": 2, "b": 1, "c": 0}, edges={to: ([1, 1], [0, 0], {"e": [1.5, 2.5]})})
    G = gk.to_networkx(g)
    assert type(G) is nx.MultiDiGraph and list(G) == [("a", 0), ("a", 1), ("b", 0)]
    assert list(G.edges(keys=True, data=True)) == [
        (("a", 1), ("b", 0), 0, {"type": "to", "e": 1.5}),
        (("a", 1), ("b", 0), 1, {"type": "to", "e": 2.5}),
    ]
    assert gk.from_networkx_typed(G, schema=g.schema) == g
    two = gk.typed_graph({"a": 1, "b": 1}, edges={to: ([0], [0]), ("a", "of", "b"): ([0], [0])})
    assert gk.to_networkx(two).is_multigraph() and not gk.to_networkx(two.select(relations=[to])).is_multigraph()
    assert len(gk.to_networkx(gk.typed_graph())) == 0


def test_undirected_edges_are_two_and_a_loop_is_one():
    G = nx.Graph()
    G.add_node("a", type="n")
    G.add_node("b", type="m")
    G.add_edge("a", "b", type="r", w=5)
    G.add_edge("b", "b", type="r", w=7)
    g = gk.from_networkx_typed(G)
    assert g.num_edges == {("n", "r", "m"): 1, ("m", "r", "n"): 1, ("m", "r", "m"): 1}
    assert g["m", "r", "n"]["w"].tolist() == [5]
    assert_lossless(G, gk.to_networkx(g))
    changed = g.replace(edges={("n", "r", "m"): {"w": [6]}})
    with pytest.raises(InvalidFeatureError, match=r"'w' of \('n', 'r', 'm'\) differs .*first at 'a' -> 'b'"):
        gk.to_networkx(changed)
    lone = g.replace(edges={("m", "r", "n"): {"z": [6]}})
    with pytest.raises(InvalidFeatureError, match=r"'z' of \('m', 'r', 'n'\) differs"):
        gk.to_networkx(lone)
    wide = g.replace(edges={("m", "r", "n"): {"w": [[6]]}})
    with pytest.raises(InvalidFeatureError, match=r"'w' of .* differs"):
        gk.to_networkx(wide)
    assert gk.to_networkx(g.select(relations=[("n", "r", "m")])).is_directed()
    assert gk.to_networkx(g.add_reverse([("n", "r", "m")])).is_directed()


def test_known_graphs():
    G = nx.davis_southern_women_graph()
    g = gk.from_networkx_typed(
        G,
        node_type=lambda name, data: "event" if data["bipartite"] else "woman",
        edge_type=lambda u, v, data: "attends",
    )
    assert dict(g.num_nodes) == {"woman": 18, "event": 14} and set(g.num_edges.values()) == {89}
    assert_lossless(G, gk.to_networkx(g))


def test_the_doors_refuse():
    def change(where, value):
        G = library()
        (G.nodes if isinstance(where, str) else G.edges)[where].update(value)
        return G

    def drop(where, name):
        G = library()
        del (G.nodes if isinstance(where, str) else G.edges)[where][name]
        return G

    for G, options, error, match in [
        (gk.path(2), {}, DTypeError, r"from_networkx_typed must be given a networkx graph"),
        (drop("p2", "type"), {}, InvalidFeatureError, r"Every node must have a type.*Node 'p2' has None"),
        (change("p2", {"type": 3}), {}, InvalidFeatureError, r"Node 'p2' has 3"),
        (
            drop(("ann", "p2"), "type"),
            {},
            InvalidFeatureError,
            r"Every edge must have a type.*Edge \d \('ann' -> 'p2'\)",
        ),
        (library(), {"edge_type": lambda u, v, data: ""}, InvalidFeatureError, r"has ''.*edge_type="),
        (drop("bob", "age"), {}, InvalidFeatureError, r"Node type 'author': .*'age'.*first without it is node 'bob'"),
        (change("bob", {"age": "old"}), {}, InvalidFeatureError, r"Node type 'author': .*Node 'bob' has 'old'"),
        (
            drop(("bob", "p1"), "share"),
            {},
            InvalidFeatureError,
            r"Relation \('author', 'writes', 'paper'\): .*'bob' -> 'p1'",
        ),
        (
            change("ann", {"age": np.nan, "z": 1}),
            {"node_attrs": {"author": ["age"]}},
            InvalidFeatureError,
            r"node 'ann'",
        ),
        (
            change(("bob", "p1"), {"share": np.nan}),
            {},
            InvalidFeatureError,
            r"Relation .*'share' has a NaN at edge 1 \('bob' -> 'p1'\)",
        ),
        (library(), {"node_attrs": {"papr": []}}, UnknownNameError, r"Did you mean 'paper'"),
        (library(), {"node_attrs": ["x"]}, DTypeError, r"node_attrs must be a mapping"),
        (library(), {"edge_attrs": {("a", "b", "c"): []}}, UnknownNameError, r"A relation must be one of"),
    ]:
        with pytest.raises(error, match=match):
            gk.from_networkx_typed(G, **options)
    with pytest.raises(InvalidGraphError, match=r"Got a batch of 2"):
        gk.to_networkx(gk.batch([gk.typed_graph({"a": 1})] * 2))
    with pytest.raises(InvalidFeatureError, match=r"Two of them would be called 'type'"):
        gk.to_networkx(gk.typed_graph(nodes={"a": {"type": [1]}}))
