"""Transforms of nodes and weights: parts, normalisation, splits."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import gnnkit as gk
from gnnkit import transforms
from gnnkit.errors import (
    DTypeError,
    InvalidArgumentError,
    InvalidFeatureError,
    InvalidGraphError,
    ShapeError,
    UnknownFieldError,
    UnknownNameError,
)
from gnnkit.graph import gcn_normalised


@st.composite
def graphs(draw):
    num_nodes = draw(st.integers(1, 7))
    node = st.integers(0, num_nodes - 1)
    edges = draw(st.lists(st.tuples(node, node), max_size=15))
    senders, receivers = np.array(edges, np.int64).reshape(-1, 2).T
    return gk.from_edges(senders, receivers, x=np.arange(num_nodes * 2.0).reshape(-1, 2), e=np.arange(len(edges)))


# ---------------------------------------------------------------------------------------- parts
@given(graphs(), st.data())
def test_subgraph_by_definition(g, data):
    kept = data.draw(st.permutations(range(g.num_nodes)))[: data.draw(st.integers(0, g.num_nodes))]
    part = transforms.subgraph(g, kept)
    senders, receivers, fields = g.to_edges()
    expected = [
        (kept.index(s), kept.index(r), e) for s, r, e in zip(senders, receivers, fields["e"]) if s in kept and r in kept
    ]
    back = part.to_edges()
    assert list(zip(back[0].tolist(), back[1].tolist(), back[2]["e"].tolist())) == expected
    np.testing.assert_array_equal(part.x, g.x[kept])


def test_subgraph_takes_masks_sparse_rows_and_gradients():
    x = gk.tensor(np.ones((4, 1)), requires_grad=True)
    g = gk.path(4).replace(x=x, nodes={"s": sparse.eye_array(4, format="csr")}, u=[[1.0]])
    part = transforms.subgraph(g, [False, True, True, False])
    np.sum(part.x * 5).backward()
    assert x.grad.numpy().ravel().tolist() == [0, 5, 5, 0]
    assert part.nodes["s"].toarray().argmax(1).tolist() == [1, 2] and part.u.shape == (1, 1)
    assert transforms.subgraph(gk.path(3), []).num_nodes == 0


def test_subgraph_of_a_batch_keeps_its_graphs():
    whole = gk.batch([gk.path(3), gk.path(2), gk.path(2)])
    part = transforms.subgraph(whole, [0, 1, 5, 6])
    assert part.node_ptr.tolist() == [0, 2, 2, 4] and part.edge_ptr.tolist() == [0, 2, 2, 4]
    with pytest.raises(InvalidGraphError, match=r"Node 0 of graph 0 follows one of a later graph"):
        transforms.subgraph(whole, [5, 0])


def test_subgraph_refusals():
    with pytest.raises(InvalidGraphError, match=r"from 0 to num_nodes - 1 = 2. Got 3"):
        transforms.subgraph(gk.path(3), [0, 3])
    with pytest.raises(InvalidGraphError, match=r"Got -1"):
        transforms.subgraph(gk.path(3), [-1])
    with pytest.raises(InvalidGraphError, match=r"Got node 1 more than once"):
        transforms.subgraph(gk.path(3), [1, 0, 1])
    with pytest.raises(ShapeError, match=r"one entry per node, 3. Got 2"):
        transforms.subgraph(gk.path(3), [True, False])
    with pytest.raises(DTypeError, match=r"nodes must hold node indices"):
        transforms.subgraph(gk.path(3), [0.5])


@given(graphs())
def test_largest_component_against_networkx(g):
    components = sorted(nx.weakly_connected_components(gk.to_networkx(g)), key=lambda part: (-len(part), min(part)))
    np.testing.assert_array_equal(transforms.largest_component(g).x, g.x[sorted(components[0])])
    assert g.report().num_components == len(components) and g.report().largest_component == len(components[0])


def test_largest_component_of_nothing_and_of_a_batch():
    assert transforms.largest_component(gk.empty(0)).num_nodes == 0
    split = gk.from_edges([0, 2], [1, 3], num_nodes=5)
    whole = transforms.largest_component(gk.batch([split, gk.empty(0), gk.path(3)]))
    assert whole.node_ptr.tolist() == [0, 2, 2, 5]


# ---------------------------------------------------------------------------------------- GCN normalisation
def test_gcn_normalisation_is_cached_and_read_only():
    topology = gk.path(3).topology
    first = gcn_normalised(topology)
    assert gcn_normalised(topology) is first and not first[1].flags.writeable
    assert gcn_normalised(topology, dtype="float64")[1].dtype == np.float64
    assert gcn_normalised(topology, dtype="float64")[0] is first[0]
    assert gcn_normalised(topology, None, False)[0] is topology


def test_existing_loops_keep_their_weight():
    g = gk.from_edges([0, 0], [0, 1], num_nodes=2, edges={"w": [4.0, 1.0]})
    topology, values = gcn_normalised(g.topology, g.edges["w"])
    assert topology.num_edges == 3
    np.testing.assert_allclose(values, [1.0, 1 / np.sqrt(8), 0.5])


def test_no_loops_and_isolated_nodes():
    _, values = gcn_normalised(gk.from_edges([0], [1], num_nodes=3).topology, None, False)
    assert values.tolist() == [0.0]  # the sender receives nothing: its degree is 0
    looped, values = gcn_normalised(gk.empty(2).topology)
    assert looped.num_edges == 2 and values.tolist() == [1, 1]
    assert gcn_normalised(gk.empty(0).topology)[1].shape == (0,)


@given(graphs())
def test_loop_insertion_is_sorted(g):
    looped, _ = gcn_normalised(g.topology)
    again = gk.Topology(looped.indptr, looped.indices, edge_order=looped.edge_order)
    assert again == looped
    loops = transforms.add_remaining_self_loops(g, fill=0)
    assert loops.topology == looped


def test_weights_keep_dtype_and_gradient():
    g = gk.path(3)
    assert gcn_normalised(g.topology, np.ones(4, "float32"))[1].dtype == np.float32
    assert gcn_normalised(g.topology, np.ones(4, int))[1].dtype == np.float32
    gk.assert_gradients(lambda w: gcn_normalised(g.topology, w)[1], np.array([1.0, 2.0, 0.5, 1.5]))
    gk.assert_gradients(lambda w: gcn_normalised(g.topology, w, False)[1], np.array([1.0, 2.0, 0.5, 1.5]))


def test_gcn_refusals():
    topology = gk.path(2).topology
    with pytest.raises(InvalidFeatureError, match=r"weights into node 1 sum to -4"):
        gcn_normalised(topology, [1.0, -5.0])
    with pytest.raises(ShapeError, match=r"shape \(2,\). Got \(3,\)"):
        gcn_normalised(topology, np.ones(3))
    with pytest.raises(DTypeError, match=r"Got dtype bool"):
        gcn_normalised(topology, [True, False])
    with pytest.raises(InvalidGraphError, match=r"bipartite"):
        gcn_normalised(gk.Topology.from_edges([0], [0], num_senders=2, num_receivers=1))


def test_gcn_norm_keeps_what_it_can_and_refuses_what_has_no_value_on_loops():
    g = gk.path(2).replace(e=[1.0, 2.0], edges={"w": [3.0, 3.0]})
    with pytest.raises(InvalidFeatureError, match=r"2 added self-loops have none for 'e'.*g.without\('e'\)"):
        transforms.gcn_norm(g, weight="w")
    assert list(transforms.gcn_norm(g.without("e"), weight="w").edges) == ["weight"]
    assert list(transforms.gcn_norm(g, weight="w", self_loops=False).edges) == ["w", "e", "weight"]
    with pytest.raises(UnknownFieldError, match=r"Got 'q'; the edge fields are \['w', 'e'\]"):
        transforms.gcn_norm(g, weight="q")
    with pytest.raises(InvalidFeatureError, match=r"float64\(2, 2\)"):
        transforms.gcn_norm(g.replace(e=np.ones((2, 2))), weight="e")
    assert transforms.gcn_norm(gk.batch([gk.path(2), gk.empty(0)])).num_graphs == 2
    assert type(gk.to_networkx(transforms.gcn_norm(gk.path(4)))) is nx.Graph


# ---------------------------------------------------------------------------------------- Laplacian
def test_laplacian_drops_loops_and_keeps_gradients():
    g = gk.from_edges([0, 0, 1], [0, 1, 0], num_nodes=3, edges={"w": gk.tensor([9.0, 2.0, 2.0], requires_grad=True)})
    matrix = gk.to_scipy(transforms.laplacian(g, weight="w"), "weight").toarray()
    assert matrix.tolist() == [[2, -2, 0], [-2, 2, 0], [0, 0, 0]]
    normal = gk.to_scipy(transforms.laplacian(g, "rw", weight="w"), "weight").toarray()
    assert normal.tolist() == [[1, -1, 0], [-1, 1, 0], [0, 0, 1]]
    for kind in ("combinatorial", "sym", "rw"):
        gk.assert_gradients(
            lambda w, kind=kind: transforms.laplacian(gk.path(3).replace(edges={"w": w}), kind, weight="w").edges[
                "weight"
            ],
            np.array([1.0, 2.0, 3.0, 4.0]),
        )


def test_laplacian_refusals():
    with pytest.raises(UnknownNameError, match=r"A Laplacian must be one of: combinatorial, rw, sym"):
        transforms.laplacian(gk.path(2), "normal")
    negative = gk.path(2).replace(edges={"w": [-1.0, 1.0]})
    with pytest.raises(InvalidFeatureError, match=r"out of node 1 sum to -1|out of node 0 sum to -1"):
        transforms.laplacian(negative, "sym", weight="w")
    with pytest.raises(InvalidFeatureError, match=r"must not be negative"):
        transforms.random_walk_encoding(negative, 2, weight="w")
    assert transforms.laplacian(gk.empty(0)).num_edges == 0


# ---------------------------------------------------------------------------------------- features
@pytest.mark.parametrize(("norm", "size"), [("l1", 7), ("l2", 5), ("max", 4)])
@pytest.mark.parametrize("kind", ["array", "tensor", "sparse"])
def test_normalize_features(norm, size, kind):
    rows = np.array([[3.0, 0, -4], [0, 0, 0]], "float32")
    value = {"array": rows, "tensor": gk.tensor(rows), "sparse": sparse.csr_array(rows)}[kind]
    x = transforms.normalize_features(gk.empty(2).replace(x=value), norm=norm).x
    assert x.dtype == np.float32 and isinstance(
        x, {"array": np.ndarray, "tensor": gk.Tensor, "sparse": gk.SparseMatrix}[kind]
    )
    dense = x.toarray() if kind == "sparse" else np.asarray(getattr(x, "data", x))
    np.testing.assert_allclose(np.array(x.numpy() if kind == "tensor" else dense), rows / size, rtol=1e-6)


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_normalize_features_gradient_and_empty(norm):
    def f(x):
        return transforms.normalize_features(gk.empty(3).replace(x=x), norm=norm).x

    gk.assert_gradients(f, np.array([[1.0, -2, 0.5], [3, 4, 7], [1, 2, 9]]))
    zero = gk.tensor(np.zeros((3, 2)), requires_grad=True)
    np.sum(f(zero)).backward()
    assert np.isfinite(zero.grad.numpy()).all()
    assert f(np.zeros((3, 0))).shape == (3, 0)
    assert f(sparse.csr_array((3, 0))).shape == (3, 0)
    empty = gk.empty(0).replace(x=np.zeros((0, 4)))
    assert transforms.normalize_features(empty, norm=norm).x.shape == (0, 4)


def test_normalize_features_refusals():
    with pytest.raises(UnknownNameError, match=r"A norm must be one of"):
        transforms.normalize_features(gk.empty(1).replace(x=[[1.0]]), norm="l3")
    with pytest.raises(DTypeError, match=r"'x' is int64"):
        transforms.normalize_features(gk.empty(1).replace(x=[[1]]))
    with pytest.raises(ShapeError, match=r"Field 'x' has \(1,\)"):
        transforms.normalize_features(gk.empty(1).replace(x=[1.0]))
    with pytest.raises(UnknownFieldError, match=r"no node field 'x'"):
        transforms.normalize_features(gk.empty(1))


# ---------------------------------------------------------------------------------------- splits
@given(st.integers(0, 40), st.integers(0, 9))
def test_random_split_is_disjoint_reproducible_and_of_the_asked_sizes(n, seed):
    masks = transforms.random_split(n, train=0.5, val=0.25, rng=seed)
    again = transforms.random_split(n, train=0.5, val=0.25, rng=np.random.default_rng(seed))
    total = sum(mask.astype(int) for mask in masks.values())
    assert total.tolist() == [1] * n
    assert int(masks["train_mask"].sum()) == int(n * 0.5 + 0.5)
    for name, mask in masks.items():
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, again[name])
    thirds = transforms.random_split(n, train=0.5, val=0.25, test=0.25, rng=seed)
    assert sum(int(mask.sum()) for mask in thirds.values()) <= n


def test_random_split_counts_and_refusals():
    masks = transforms.random_split(10, train=3, val=2, test=4, rng=0)
    assert [int(mask.sum()) for mask in masks.values()] == [3, 2, 4]
    assert transforms.random_split(10, train=1.0, val=0)["train_mask"].all()
    assert gk.path(10).replace(nodes=masks).nodes["val_mask"].sum() == 2
    with pytest.raises(InvalidArgumentError, match=r"at most num_nodes=10. Got 8 \+ 3 \+ 0 = 11"):
        transforms.random_split(10, train=8, val=3)
    with pytest.raises(InvalidArgumentError, match=r"between 0.0 and 1.0. Got train=1.5"):
        transforms.random_split(10, train=1.5)
    with pytest.raises(DTypeError, match=r"val must be an integer"):
        transforms.random_split(10, val="2")


def test_per_class_split():
    y = np.repeat([0, 1, 2, -1], 30)
    masks = transforms.per_class_split(y, per_class=5, val=20, test=40, rng=3)
    assert [int(mask.sum()) for mask in masks.values()] == [15, 20, 40]
    assert np.bincount(y[masks["train_mask"]]).tolist() == [5, 5, 5]
    total = sum(mask.astype(int) for mask in masks.values())
    assert total.max() == 1 and not total[y < 0].any()
    same = transforms.per_class_split(y, per_class=5, val=20, test=40, rng=3)
    assert all((same[name] == mask).all() for name, mask in masks.items())
    other = transforms.per_class_split(y, per_class=5, val=20, test=40, rng=4)
    assert any((other[name] != mask).any() for name, mask in masks.items())


def test_per_class_split_refusals():
    with pytest.raises(InvalidArgumentError, match=r"Class 1 has 1"):
        transforms.per_class_split([0, 0, 1], per_class=2, val=0, test=0)
    with pytest.raises(InvalidArgumentError, match=r"in the 1 labelled nodes that are left. Got 1 \+ 1"):
        transforms.per_class_split([0, 0], per_class=1, val=1, test=1)
    with pytest.raises(DTypeError, match=r"Labels must be integers.*float64"):
        transforms.per_class_split([0.0, 1.0], per_class=1, val=0, test=0)
    with pytest.raises(ShapeError, match=r"Got shape \(2, 2\)"):
        transforms.per_class_split(np.eye(2, dtype=int), per_class=1, val=0, test=0)
    assert not transforms.per_class_split([], per_class=1, val=0, test=0)["train_mask"].size


def test_laplacian_keeps_node_fields_that_are_named_as_edge_fields():
    g = gk.from_edges([0], [1], num_nodes=2, edges={"w": [7.0]}, nodes={"w": [1.0, 2.0]})
    assert transforms.laplacian(g, weight="w").nodes["w"].tolist() == [1, 2]


@pytest.mark.parametrize("test", [None, 0.0])
def test_shares_that_round_up_still_fit(test):
    masks = transforms.random_split(5, train=0.5, val=0.5, test=test, rng=0)
    assert sum(int(mask.sum()) for mask in masks.values()) == 5
