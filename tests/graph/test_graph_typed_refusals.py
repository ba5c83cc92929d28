"""What typed graphs refuse, each by its text; and that bad input never gives an error of somebody else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit.errors import (
    DTypeError,
    GnnkitError,
    InvalidArgumentError,
    InvalidFeatureError,
    InvalidGraphError,
    ShapeError,
    UnknownFieldError,
    UnknownNameError,
)
from gnnkit.graph import Relation, Schema

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


def test_names_are_not_guessed():
    g = gk.typed_graph({"a": 1, "b": 1}, edges={("a", "to", "b"): ([0], [0]), ("b", "to", "a"): ([], [])})
    with pytest.raises(InvalidArgumentError, match=r"'to' may be g\['a', 'to', 'b'\] or g\['b', 'to', 'a'\]"):
        g["to"]
    same = gk.typed_graph({"a": 1}, edges={("a", "a", "a"): ([0], [0])})
    with pytest.raises(InvalidArgumentError, match=r"g\.nodes\['a'\] or g\['a', 'a', 'a'\]"):
        same["a"]
    with pytest.raises(UnknownFieldError, match=r"Got 'papr'\. Did you mean 'paper'"):
        small()["papr"]
    with pytest.raises(UnknownFieldError, match=r"A relation must be one of"):
        small()["a", "b", "c"]
    with pytest.raises(DTypeError, match=r"three non-empty strings"):
        small()["author", "paper"]
    with pytest.raises(UnknownFieldError, match=r"The node type 'paper' has no field 'z'; it has: 'x', 'y'\."):
        small()["paper"]["z"]
    with pytest.raises(UnknownFieldError, match=r"g\.replace\(edges=\{\('author', 'writes', 'paper'\): \{'e': values"):
        _ = small()["writes"].e


E0 = {("a", "to", "b"): ([0], [0])}
REFUSED = [
    ({"num_nodes": 3}, DTypeError, r"num_nodes must be a mapping"),
    ({"num_nodes": {"a": -1}}, InvalidArgumentError, r"num_nodes\['a'\] must be 0 or more"),
    ({"num_nodes": {"a": 1.5}}, DTypeError, r"num_nodes\['a'\] must be an integer"),
    ({"num_nodes": {"": 1}}, DTypeError, r"named by a non-empty string"),
    ({"num_nodes": {0: 1}}, DTypeError, r"named by a non-empty string\. Got 0"),
    ({"nodes": {"a": {}}}, InvalidGraphError, r"Node type 'a': The number of nodes must be given"),
    ({"nodes": {"a": [1.0]}}, DTypeError, r"Node type 'a': nodes must be a mapping"),
    ({"num_nodes": {"a": 2}, "nodes": {"a": {"x": [1.0]}}}, ShapeError, r"Node type 'a': .*'x'.*node 1 has no row"),
    ({"nodes": {"a": {"x": [1.0, np.nan]}}}, InvalidFeatureError, r"Node type 'a': .*'x' has a NaN at node 1"),
    ({"nodes": {"a": {"x": [1, "b"]}}}, InvalidFeatureError, r"Node type 'a'.*'x'"),
    ({"num_nodes": {"a": 1}, "nodes": {"a": {3: [1]}}}, DTypeError, r"Node type 'a': The name of a field"),
    ({"num_nodes": {"a": 1}, "edges": E0}, UnknownNameError, r"Relation \('a', 'to', 'b'\): A node type .*Got 'b'"),
    ({"num_nodes": {"a": 1}, "edges": {"to": ([0], [0])}}, DTypeError, r"three non-empty strings.*'to'"),
    ({"num_nodes": {"a": 1}, "edges": {("a", "", "a"): ([0], [0])}}, DTypeError, r"three non-empty strings"),
    (
        {"num_nodes": {"a": 1, "b": 1}, "edges": {("a", "to", "b"): [(0, 0)]}},
        DTypeError,
        r"tuple \(senders, receivers\)",
    ),
    (
        {"num_nodes": {"a": 1, "b": 1}, "edges": {("a", "to", "b"): {"senders": [0]}}},
        InvalidArgumentError,
        r"receivers",
    ),
    (
        {"num_nodes": {"a": 2, "b": 2}, "edges": {("a", "to", "b"): ([0, 1], [0, 2])}},
        InvalidGraphError,
        r"Relation \('a', 'to', 'b'\): .*num_nodes\['b'\]=2.*Edge 1 \(1 -> 2\) has receiver 2",
    ),
    (
        {"num_nodes": {"a": 0, "b": 2}, "edges": {("a", "to", "b"): ([0], [0])}},
        InvalidGraphError,
        r"no nodes \(num_nodes\['a'\]=0\)",
    ),
    (
        {"num_nodes": {"a": 2, "b": 2}, "edges": {("a", "to", "b"): ([0, 1], [0])}},
        ShapeError,
        r"edge 1 has no receiver",
    ),
    (
        {"num_nodes": {"a": 2}, "edges": {("a", "to", "a"): ([0, 1], [0, 1], {"e": [1.0]})}},
        ShapeError,
        r"Relation .*'e'.*edge 1 has no row",
    ),
    (
        {"num_nodes": {"a": 2}, "edges": {("a", "to", "a"): ([1, 0], [1, 0], {"e": [np.nan, 1.0]})}},
        InvalidFeatureError,
        r"'e' has a NaN at edge 0 \(1 -> 1\)",
    ),
    ({"globals": {"u": [1.0, 2.0]}}, ShapeError, r"Graph: .*'u'"),
    ({"globals": {"u": [np.nan]}}, InvalidFeatureError, r"NaN at graph 0"),
]


@pytest.mark.parametrize(("arguments", "error", "match"), REFUSED)
def test_the_door_refuses(arguments, error, match):
    with pytest.raises(error, match=match):
        gk.typed_graph(**arguments)


def test_changes_are_refused_by_name():
    g = small()
    other = gk.Topology.from_edges([0], [1], num_nodes=3)
    for change, error, match in [
        (lambda: g.replace(x={"papr": [1]}), UnknownNameError, r"Did you mean 'paper'"),
        (lambda: g.replace(x={"paper": [1.0]}), ShapeError, r"Node type 'paper': .*node 1 has no row"),
        (lambda: g.replace(x=[1.0]), DTypeError, r"x must be a mapping"),
        (lambda: g.replace(x={"paper": [1.0]}, nodes={"paper": {"x": [1.0]}}), InvalidArgumentError, r"given once"),
        (lambda: g.replace(e={("a", "b", "c"): [1.0]}), UnknownNameError, r"A relation must be one of"),
        (lambda: g.replace(relations={CITES: other}), InvalidGraphError, r"leaves 'e' from the old edges"),
        (lambda: g.replace(relations={WRITES: other}), InvalidGraphError, r"2 senders \('author'\) and 3 receivers"),
        (lambda: g.replace(relations={WRITES: 3}), InvalidGraphError, r"must be a Topology\. Got int"),
        (lambda: g.without("q"), UnknownFieldError, r"No field 'q'"),
        (lambda: g.without("e", at="paper"), UnknownFieldError, r"No field 'e'"),
        (lambda: g.without("e", at="papr"), UnknownNameError, r"Did you mean 'paper'"),
        (lambda: g.select("paper"), InvalidArgumentError, r"node_types=\['paper'\]"),
        (lambda: g.select(3), InvalidArgumentError, r"must be a list"),
        (lambda: g.select(["papr"]), UnknownNameError, r"Did you mean 'paper'"),
        (lambda: g.select(["paper"], [WRITES]), InvalidArgumentError, r"nodes of both its ends"),
        (lambda: g.select(relations=WRITES), InvalidArgumentError, r"relations must list several"),
        (lambda: g.select(relations=[("paper", "cite", "paper")]), UnknownNameError, r"A relation must be one of"),
        (lambda: g.add_reverse(prefix=""), InvalidArgumentError, r"non-empty string"),
        (lambda: g.add_reverse().add_reverse([WRITES]), InvalidGraphError, r"rev_writes.*exists"),
        (lambda: gk.TypedGraph({"a": 2}, {("a", "to", "a"): other}), InvalidGraphError, r"must have the nodes"),
    ]:
        with pytest.raises(error, match=match):
            change()


def test_from_homogeneous_refuses():
    plain = gk.from_edges([0, 1], [1, 0], num_nodes=2, nodes={"node_type": [0, 1]}, edges={"edge_type": [0, 1]})
    keys = [("a", "to", "b"), ("b", "to", "a")]
    assert gk.from_homogeneous(plain, ["a", "b"], keys).num_edges == {keys[0]: 1, keys[1]: 1}
    for arguments, error, match in [
        ((plain, ["a"], keys), InvalidGraphError, r"node_types lists 1\. Node 1 has node_type 1"),
        ((plain, ["a", "b"], keys[:1]), InvalidGraphError, r"relations lists 1\. Edge 1 has edge_type 1"),
        (
            (plain, ["a", "b"], keys[::-1]),
            InvalidGraphError,
            r"Edge 0 \(0 -> 1\) of \('b', 'to', 'a'\) goes from a 'a'",
        ),
        ((plain, ["a", "a"], keys), InvalidArgumentError, r"Got 'a' twice"),
        ((plain, "ab", keys), InvalidArgumentError, r"must be a list"),
        ((plain, ["a", "b"], [("a", "to", "c")]), UnknownNameError, r"Got 'c'"),
        ((plain.without("node_type"), ["a"], []), UnknownFieldError, r"'node_type'"),
        ((plain.replace(nodes={"node_type": [0.0, 1.0]}), ["a"], []), InvalidFeatureError, r"one integer"),
        ((3, [], []), InvalidArgumentError, r"takes a gk\.Graph"),
    ]:
        with pytest.raises(error, match=match):
            gk.from_homogeneous(*arguments)


def test_batches_are_refused_by_name():
    g = small()
    ends = gk.Topology.from_edges([0], [2], num_senders=2, num_receivers=3)
    counts = {"author": 2, "paper": 3}
    for make, error, match in [
        (lambda: gk.batch(g), DTypeError, r"single TypedGraph"),
        (lambda: gk.batch([g, gk.path(2)]), DTypeError, r"item 1 is Graph"),
        (lambda: gk.batch([gk.path(2), g]), DTypeError, r"Item 1 is TypedGraph"),
        (lambda: gk.batch([g, g.select(["paper"])]), InvalidGraphError, r"same node types.*graph 1"),
        (lambda: gk.batch([g, g.select(["author", "venue", "paper"], [CITES])]), InvalidGraphError, r"same relations"),
        (lambda: gk.batch([g, g.without("y")]), InvalidFeatureError, r"Node type 'paper': .*graph 1 has \['x'\]"),
        (
            lambda: gk.batch([g, g.replace(e={CITES: np.ones((4, 2))})]),
            ShapeError,
            r"Relation \('paper', 'cites', 'paper'\): Rows of the edge field 'e'",
        ),
        (lambda: gk.TypedGraph(counts, node_ptr={"author": [0, 2]}), InvalidGraphError, r"one entry per node type"),
        (
            lambda: gk.TypedGraph(counts, node_ptr={"author": [0, 2], "paper": [0, 1, 3]}),
            ShapeError,
            r"as many graphs for every type",
        ),
        (
            lambda: gk.TypedGraph(counts, node_ptr={"author": [0, 1], "paper": [0, 3]}),
            InvalidGraphError,
            r"Node type 'author': node_ptr must rise",
        ),
        (
            lambda: gk.TypedGraph(counts, {WRITES: ends}, node_ptr={"author": [0, 1, 2], "paper": [0, 1, 3]}),
            InvalidGraphError,
            r"Edge 0 \(0 -> 2\) leads from graph 0 to graph 1",
        ),
    ]:
        with pytest.raises(error, match=match):
            make()


anything = st.one_of(
    st.none(),
    st.integers(-2, 3),
    st.text(max_size=2),
    st.lists(st.one_of(st.integers(-2, 3), st.floats(), st.text(max_size=1)), max_size=3),
    st.tuples(st.lists(st.integers(-1, 3), max_size=3), st.lists(st.integers(-1, 3), max_size=3)),
    st.dictionaries(st.sampled_from(["x", "senders", "receivers", "", 3]), st.lists(st.integers(-1, 3), max_size=3)),
    st.just(np.ones((2, 2))),
    st.just(np.array([[0, 1], [1, 0]])),
)
keys = st.one_of(
    st.sampled_from(["a", "b", "", 4]), st.just(("a", "to", "b")), st.just(("a", "to")), st.just(("a", 1, "b"))
)


@settings(max_examples=300)
@given(
    st.one_of(anything, st.dictionaries(keys, anything, max_size=2)),
    st.one_of(anything, st.dictionaries(keys, st.one_of(anything, st.dictionaries(keys, anything)), max_size=2)),
    st.one_of(anything, st.dictionaries(keys, anything, max_size=2)),
)
def test_bad_input_gives_our_errors_only(num_nodes, nodes, edges):
    try:
        g = gk.typed_graph(num_nodes, nodes=nodes, edges=edges)
    except GnnkitError as error:
        assert str(error).endswith((".", ".)", "]", ")", "?")) and len(str(error)) > 30
    else:
        assert isinstance(g.schema, Schema) and all(isinstance(one, Relation) for one in g.relations.values())
