"""The networkx door: lossless round trips of all four classes, selections, and every refusal by name."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gnnkit as gk
from gnnkit.errors import DTypeError, InvalidFeatureError, InvalidGraphError, UnknownNameError

CLASSES = [nx.Graph, nx.DiGraph, nx.MultiGraph, nx.MultiDiGraph]

names = st.one_of(
    st.integers(-5, 5),
    st.text(max_size=3),
    st.tuples(st.integers(0, 3), st.text(max_size=1)),
    st.frozensets(st.integers(0, 2), max_size=2),
    st.floats(allow_nan=False),
    st.booleans(),
)
text = st.text(max_size=4).filter(lambda value: not value.endswith("\0"))
finite = st.floats(allow_nan=False)
int64 = st.integers(-(2**63), 2**63 - 1)
value_kinds = [
    int64,
    finite,
    st.booleans(),
    text,
    st.binary(max_size=3).filter(lambda value: not value.endswith(b"\0")),
    st.complex_numbers(allow_nan=False),
    st.lists(finite, min_size=2, max_size=2),
    st.tuples(int64, int64),
    st.lists(st.tuples(text, text), min_size=2, max_size=2),
    st.just([]),
    st.integers(0, 255).map(np.uint8),
    st.floats(width=32, allow_nan=False).map(np.float32),
    st.dates().map(np.datetime64),
    hnp.arrays(np.float32, (2, 2), elements=st.floats(-9, 9, width=32)),
]


@st.composite
def networkx_graphs(draw, cls):
    G = cls()
    nodes = draw(st.lists(names, max_size=6, unique=True))
    node_kinds = draw(st.dictionaries(text, st.sampled_from(value_kinds), max_size=3))
    for name in nodes:
        G.add_node(name)
        for key, kind in node_kinds.items():
            G.nodes[name][key] = draw(kind)
    edge_kinds = draw(st.dictionaries(text, st.sampled_from(value_kinds), max_size=2))
    if nodes:
        for u, v in draw(st.lists(st.tuples(st.sampled_from(nodes), st.sampled_from(nodes)), max_size=9)):
            if G.is_multigraph():
                key = G.add_edge(u, v, draw(st.one_of(st.none(), st.text(max_size=2))))
                data = G.edges[u, v, key]
            else:
                G.add_edge(u, v)
                data = G.edges[u, v]
            for name, kind in edge_kinds.items():
                data[name] = draw(kind)
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
    assert list(H.nodes) == list(G.nodes) and list(map(type, H.nodes)) == list(map(type, G.nodes))
    for name in G.nodes:
        assert same(dict(G.nodes[name]), dict(H.nodes[name]))
    edges = [list(each.edges(keys=True, data=True) if G.is_multigraph() else each.edges(data=True)) for each in (G, H)]
    assert len(edges[0]) == len(edges[1])
    for one, other in zip(*edges):
        assert same(one[:-1], other[:-1]) and same(dict(one[-1]), dict(other[-1]))
    assert same(dict(G.graph), dict(H.graph))


@pytest.mark.parametrize("cls", CLASSES)
@settings(max_examples=60)
@given(data=st.data())
def test_round_trip_is_lossless(cls, data):
    G = data.draw(networkx_graphs(cls))
    if "" in {key for level in (G.nodes(data=True), G.edges(data=True)) for *_, row in level for key in row}:
        with pytest.raises(DTypeError, match=r"non-empty string"):
            gk.from_networkx(G)
        return
    g = gk.from_networkx(G)
    assert_lossless(G, gk.to_networkx(g))
    assert_lossless(G, gk.to_networkx(gk.from_networkx(gk.to_networkx(g))))
    loops = nx.number_of_selfloops(G)
    assert g.num_edges == (G.number_of_edges() if G.is_directed() else 2 * G.number_of_edges() - loops)


@pytest.mark.parametrize("make", [nx.karate_club_graph, nx.les_miserables_graph, nx.petersen_graph])
def test_known_graphs(make):
    assert_lossless(make(), gk.to_networkx(gk.from_networkx(make())))


def test_undirected_edges_are_two_and_a_loop_is_one():
    G = nx.Graph()
    G.add_edge("a", "b", w=5)
    G.add_edge("b", "b", w=7)
    senders, receivers, fields = gk.from_networkx(G).to_edges()
    assert (senders.tolist(), receivers.tolist(), fields["w"].tolist()) == ([0, 1, 1], [1, 1, 0], [5, 7, 5])


def test_selection_renames_and_stacks():
    G = nx.DiGraph()
    G.add_node("a", age=3, size=[1.5, 2.5], club="x", junk=None)
    G.add_node("b", age=4, size=[3.5, 4.5], club="y")
    G.add_edge("a", "b", w=2.0, label="s")
    g = gk.from_networkx(
        G, node_attrs={"x": ["age", "size"], "y": "club"}, edge_attrs=["w"], graph_attrs=[], dtype="float32"
    )
    assert g.x.dtype == np.float32 and g.x.tolist() == [[3, 1.5, 2.5], [4, 3.5, 4.5]]
    assert g.nodes["y"].tolist() == ["x", "y"] and list(g.edges) == ["w"] and g.edges["w"].dtype == np.float32
    H = gk.to_networkx(g)
    assert dict(H.nodes["a"]) == {"age": 3, "size": [1.5, 2.5], "club": "x"} and type(H.nodes["a"]["age"]) is int
    changed = gk.to_networkx(g.replace(x=np.zeros((2, 1))))
    assert set(changed.nodes["a"]) == {"x", "club"}
    assert list(gk.from_networkx(G, node_attrs="age").nodes) == ["age"]


def test_new_fields_go_out_under_their_names():
    g = gk.path(2).replace(
        x=np.array([[1, 2], [3, 4]], "float32"), nodes={"y": [1, 2], "z": np.array([1, 2], "int8")}, u=[9.0]
    )
    G = gk.to_networkx(g)
    assert type(G.nodes[0]["y"]) is int and type(G.nodes[0]["z"]) is np.int8
    assert G.nodes[1]["x"].dtype == np.float32 and G.graph == {"u": 9.0}
    back = gk.from_networkx(G)
    for name, value in g.nodes.items():
        np.testing.assert_array_equal(back.nodes[name], value)
        assert back.nodes[name].dtype == value.dtype


def test_tensors_and_sparse_rows_go_out_as_values():
    g = gk.path(2).replace(nodes={"t": gk.tensor([1.0, 2.0], requires_grad=True)}, e=gk.tensor([3.0, 3.0]))
    from scipy import sparse

    G = gk.to_networkx(g.replace(x=sparse.csr_array([[0.0, 1], [2, 0]])))
    assert G.nodes[1]["t"] == 2.0 and G.nodes[1]["x"].tolist() == [2, 0] and G.edges[0, 1]["e"] == 3.0


def test_parallel_edges_make_a_multigraph():
    assert type(gk.to_networkx(gk.from_edges([0, 0], [1, 1], num_nodes=2))) is nx.MultiDiGraph
    assert type(gk.to_networkx(gk.from_edges([0, 1], [1, 0], num_nodes=2))) is nx.DiGraph
    assert type(gk.to_networkx(gk.from_edges([0], [1], num_nodes=2, undirected=True))) is nx.Graph
    assert type(gk.to_networkx(gk.from_edges([0, 1], [1, 0], num_nodes=2, undirected=True))) is nx.MultiGraph


def test_integers_among_floats_become_floats_when_exact():
    G = nx.path_graph(3)
    nx.set_node_attributes(G, {0: 1, 1: 2.5, 2: 3}, "w")
    assert gk.from_networkx(G).nodes["w"].tolist() == [1.0, 2.5, 3.0]
    G.nodes[2]["w"] = 2**53 + 1
    with pytest.raises(
        InvalidFeatureError, match=r"Node 2 has 9007199254740993: an integer too large to stand exactly"
    ):
        gk.from_networkx(G)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("three", "'three': a string among others"),
        (None, "None: an array cannot hold a NoneType"),
        (True, "True: a boolean among others"),
        ([1, 2], r"\[1, 2\]: an array cannot hold a list"),
        (2**70, "1180591620717411303424: an integer too large for 64 bits"),
        ({1: 2}, "{1: 2}: an array cannot hold a dict"),
    ],
)
def test_mixed_attributes_name_the_first_offending_node(value, text):
    G = nx.Graph()
    G.add_nodes_from([("ann", {"age": 1}), ("bob", {"age": 2}), ("cat", {"age": value}), ("dan", {"age": value})])
    with pytest.raises(InvalidFeatureError, match=rf"'age' must have the same kind.*Node 'cat' has {text}"):
        gk.from_networkx(G)
    assert gk.from_networkx(G, node_attrs=[]).num_nodes == 4


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([[1, 2], [1, 2, 3]], "where the first has a list of length 2"),
        ([[1, 2], (1, 2)], "where the first has a list"),
        ([[1, 2], ["a", 2]], "a string among others"),
        ([[[1], [2]], [[1], [2, 3]]], "length 1"),
        ([np.zeros(2), np.zeros(3)], "shape"),
        ([np.zeros(2), np.zeros(2, int)], "dtype int64 where the first has float64"),
        ([np.zeros(2), [0.0, 0.0]], "not a plain"),
        (["a", "b\0"], "drops a zero character"),
        ([2**63, -1], "too large for 64 bits"),
    ],
)
def test_rows_of_unequal_kind_or_length(values, text):
    G = nx.path_graph(2)
    nx.set_node_attributes(G, dict(enumerate(values)), "f")
    with pytest.raises(InvalidFeatureError, match=rf"(?s)Node 1 has .*{text}|Node 0 has .*{text}"):
        gk.from_networkx(G)


def test_absent_attributes_name_the_first_node_or_edge():
    G = nx.MultiGraph()
    G.add_edge("a", "b", w=1)
    G.add_edge("b", "c")
    with pytest.raises(InvalidFeatureError, match=r"first without it is edge 1 \('b' -> 'c'\)"):
        gk.from_networkx(G)
    G.nodes["b"]["x"] = 1.0
    with pytest.raises(InvalidFeatureError, match=r"attribute 'x'. The first without it is node 'a'"):
        gk.from_networkx(G, edge_attrs=[])
    with pytest.raises(UnknownNameError, match=r"Got 'wieght'"):
        gk.from_networkx(nx.karate_club_graph(), edge_attrs=["wieght"])
    with pytest.raises(UnknownNameError, match=r"Did you mean 'weight'"):
        gk.from_networkx(nx.karate_club_graph(), edge_attrs=["wieght"])


def test_nan_is_named_by_the_nodes_name():
    G = nx.Graph()
    G.add_node("ann", f=1.0)
    G.add_node("bob", f=float("nan"))
    with pytest.raises(InvalidFeatureError, match=r"field 'f' has a NaN at node 'bob' \(index 1\)"):
        gk.from_networkx(G)
    assert np.isnan(gk.to_networkx(gk.from_networkx(G, allow_nan=True)).nodes["bob"]["f"])


def test_nan_on_an_undirected_edge_is_named_as_it_was_given():
    G = nx.Graph()
    G.add_edge("z", "y", w=1.0)
    G.add_edge("z", "a", w=float("nan"))
    with pytest.raises(InvalidFeatureError, match=r"field 'w' has a NaN at edge 1 \('z' -> 'a'\)"):
        gk.from_networkx(G)


def test_undirected_edges_that_came_to_differ_are_refused():
    g = gk.path(3).replace(e=[1.0, 2.0, 1.0, 1.0])
    with pytest.raises(InvalidFeatureError, match=r"edge field 'e' differs between 0 -> 1 and 1 -> 0.*to_directed"):
        gk.to_networkx(g)
    assert gk.to_networkx(gk.transforms.to_directed(g)).number_of_edges() == 4
    gk.to_networkx(gk.path(2).replace(e=np.full((2, 1), np.nan)))  # two NaN are the same


def test_other_refusals():
    with pytest.raises(DTypeError, match=r"must be given a networkx graph. Got ndarray"):
        gk.from_networkx(np.eye(2))
    with pytest.raises(InvalidGraphError, match=r"batch of 2"):
        gk.to_networkx(gk.batch([gk.path(1), gk.path(1)]))
    G = nx.Graph()
    G.add_node(0, a="s")
    with pytest.raises(DTypeError, match=r"Only numbers can be stacked"):
        gk.from_networkx(G, node_attrs={"x": ["a"]})
    with pytest.raises(InvalidFeatureError, match=r"at least one attribute"):
        gk.from_networkx(G, node_attrs={"x": []})
    G.nodes[0][5] = 1
    with pytest.raises(DTypeError, match=r"named by a string. Got the node attribute 5"):
        gk.from_networkx(G)


def test_empty_graphs_with_selections():
    g = gk.from_networkx(nx.DiGraph(), node_attrs={"x": ["a", "b"], "y": "c"})
    assert g.x.shape == (0, 2) and g.nodes["y"].shape == (0,)


def test_transforms_keep_names_and_undirectedness():
    G = nx.karate_club_graph()
    G = nx.relabel_nodes(G, {i: f"member {i}" for i in G})
    part = gk.transforms.subgraph(gk.from_networkx(G), [5, 0, 1, 2])
    H = gk.to_networkx(part)
    expected = G.subgraph([f"member {i}" for i in (5, 0, 1, 2)])
    assert list(H.nodes) == [f"member {i}" for i in (5, 0, 1, 2)]
    assert type(H) is nx.Graph and nx.utils.graphs_equal(H, nx.Graph(expected))
    loops = gk.transforms.add_self_loops(part, fill=9)
    assert nx.number_of_selfloops(gk.to_networkx(loops)) == 4
    assert nx.utils.graphs_equal(gk.to_networkx(gk.transforms.remove_self_loops(loops)), H)
    assert nx.utils.graphs_equal(gk.to_networkx(gk.transforms.reverse(part)), H)


def test_multigraph_keys_follow_their_edges():
    G = nx.MultiGraph()
    for u, v, key in [("a", "b", "one"), ("b", "a", "two"), ("b", "c", "three"), ("c", "c", "loop")]:
        G.add_edge(u, v, key, w=1.0)
    part = gk.to_networkx(gk.transforms.subgraph(gk.from_networkx(G), [1, 2]))
    assert list(part.edges(keys=True)) == [("b", "c", "three"), ("c", "c", "loop")]
    gone = gk.to_networkx(gk.transforms.remove_self_loops(gk.from_networkx(G)))
    assert list(gone.edges(keys=True)) == list(G.edges(keys=True))[:3]
    merged = gk.to_networkx(gk.transforms.coalesce(gk.from_networkx(G)))
    assert type(merged) is nx.Graph and merged.edges["a", "b"]["w"] == 2.0


def test_integers_on_both_sides_of_two_to_the_63rd():
    G = nx.Graph([(0, 1, {"w": 2**63}), (1, 2, {"w": 1})])
    assert gk.from_networkx(G).edges["w"].dtype == np.uint64
    assert nx.utils.graphs_equal(gk.to_networkx(gk.from_networkx(G)), G)
    G.edges[1, 2]["w"] = -1
    with pytest.raises(InvalidFeatureError, match="too large for 64 bits"):
        gk.from_networkx(G)


def test_two_attributes_of_one_name_are_refused():
    G = nx.Graph()
    G.add_node("a", age=3.0)
    g = gk.from_networkx(G, node_attrs={"x": ["age"]}).replace(nodes={"age": [4.0]})
    with pytest.raises(InvalidFeatureError, match=r"node field must go out under .* would be called 'age'"):
        gk.to_networkx(g)
