"""RGCNConv against equation 2 of its paper, with the matrices of equations 3 and 4, and the typed products."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import gnnkit as gk
from gnnkit.errors import DTypeError, InvalidArgumentError, InvalidFeatureError, ShapeError, UnknownFieldError
from gnnkit.nn.conv.typed import TypedEdges, collect, outer, project

# Directed, with a self-loop at 2, the edge 0 -> 1 twice with one type and once with another, a hub at 3, no edge into
# 4, node 5 isolated; no edge has type 3.
SENDERS = np.array([0, 0, 0, 1, 2, 3, 2, 4, 1, 0])
RECEIVERS = np.array([1, 1, 1, 0, 2, 2, 3, 3, 3, 3])
KINDS = np.array([0, 0, 2, 1, 1, 0, 2, 2, 0, 4])
NUM_NODES, NUM_KINDS = 6, 5

# One basis is multiplied at the nodes, three are mixed to matrices first.
DECOMPOSITIONS = {"full": {}, "a basis": {"num_bases": 1}, "bases": {"num_bases": 3}, "blocks": {"num_blocks": 2}}
every_decomposition = pytest.mark.parametrize("decomposition", DECOMPOSITIONS.values(), ids=DECOMPOSITIONS)


def make_graph(rng, channels=4):
    return gk.from_edges(SENDERS, RECEIVERS, x=rng.normal(size=(NUM_NODES, channels)), edges={"kind": KINDS})


def make_layer(rng, inside=4, outside=6, **options):
    layer = gk.nn.RGCNConv(inside, outside, num_relations=NUM_KINDS, relation="kind", **options).astype("float64")
    for parameter in layer.parameters():
        parameter.assign(rng.normal(size=parameter.shape))
    return layer


def matrices(layer):
    """W_r of every type, written out."""
    if layer.num_bases is not None:
        pairs = (layer.coefficients.data, layer.bases.data)
        return [sum(a * v for a, v in zip(row, pairs[1], strict=True)) for row in pairs[0]]
    if layer.num_blocks is None:
        return list(layer.weight.data)
    _, blocks, inside, outside = layer.weight.shape
    full = np.zeros((NUM_KINDS, blocks * inside, blocks * outside))
    for r in range(NUM_KINDS):
        for b in range(blocks):
            full[r, b * inside : (b + 1) * inside, b * outside : (b + 1) * outside] = layer.weight.data[r, b]
    return list(full)


@every_decomposition
@pytest.mark.parametrize("reducer", ["mean", "sum"])
@pytest.mark.parametrize("root", [True, False])
def test_equation_2(decomposition, reducer, root, rng):
    graph, layer = make_graph(rng), make_layer(rng, reducer=reducer, root_weight=root, **decomposition)
    kinds, w = graph.edges["kind"], matrices(layer)
    expected = np.zeros((NUM_NODES, 6)) + layer.bias.data
    for i in range(NUM_NODES):
        if root:
            expected[i] += graph.x[i] @ layer.root_weight.data
        for r in range(NUM_KINDS):
            found = [graph.senders[k] for k in range(graph.num_edges) if graph.receivers[k] == i and kinds[k] == r]
            for j in found:
                expected[i] += graph.x[j] @ w[r] / (len(found) if reducer == "mean" else 1)
    np.testing.assert_allclose(layer(graph).x.numpy(), expected, atol=1e-10)


def test_bases_are_multiplied_where_that_is_cheaper(rng):
    graph = make_graph(rng)
    for count, expected in ((1, True), (3, False)):
        layer = make_layer(rng, num_bases=count)
        assert layer._bases_first(graph, layer._typed_edges(graph)) == expected
        out = layer(graph).x.numpy()
        layer._bases_first = lambda graph, edges, other=not expected: other
        np.testing.assert_allclose(layer(graph).x.numpy(), out, atol=1e-11)


def test_known_answer():
    graph = gk.from_edges([0, 1, 2], [3, 3, 3], num_nodes=4, x=np.array([[1.0], [2.0], [4.0], [0.0]]))
    layer = gk.nn.RGCNConv(1, 1, num_relations=2, relation="kind").astype("float64")
    layer.weight.assign([[[1.0]], [[10.0]]])
    layer.root_weight.assign([[100.0]])
    out = layer(graph.replace(edges={"kind": np.array([0, 0, 1])})).x.numpy()
    np.testing.assert_allclose(out.ravel(), [100.0, 200.0, 400.0, 1.5 + 40.0])


@every_decomposition
def test_sparse_features_give_what_dense_ones_give(decomposition, rng, monkeypatch):
    graph, layer = make_graph(rng), make_layer(rng, **decomposition)
    dense = graph.x * (rng.random(graph.x.shape) < 0.5)
    results = []
    for x in (dense, sp.csr_array(dense)):
        layer.zero_grad()
        out = layer(graph.replace(x=x)).x
        np.sum(out**2).backward()
        results.append([out.numpy(), *(parameter.grad.numpy() for parameter in layer.parameters())])
        monkeypatch.setattr(gk.SparseMatrix, "toarray", lambda self: pytest.fail("made dense"))
    for left, right in zip(*results, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-11)


def test_the_typed_products_are_derivatives_of_one_form(rng):
    graph = make_graph(rng)
    edges = TypedEdges.build(graph.topology, graph.edges["kind"], NUM_KINDS)
    kinds = np.repeat(np.arange(NUM_KINDS), np.diff(edges.ptr))
    x, y = rng.normal(size=(NUM_NODES, 6)), rng.normal(size=(edges.num_pairs, 4))
    w = rng.normal(size=(NUM_KINDS, 2, 3, 2))
    form = sum(
        x[j, 3 * b : 3 * b + 3] @ w[r, b] @ y[p, 2 * b : 2 * b + 2]
        for p, (j, r) in enumerate(zip(edges.senders, kinds, strict=True))
        for b in range(2)
    )
    assert np.sum(project(x, w, edges=edges) * y) == pytest.approx(form)
    assert np.sum(collect(y, w, edges=edges, num_nodes=NUM_NODES) * x) == pytest.approx(form)
    assert np.sum(outer(x, y, edges=edges, shape=w.shape) * w) == pytest.approx(form)
    for function in (
        lambda x, w, y: project(x, w, edges=edges) * y,
        lambda x, w, y: collect(y, w, edges=edges, num_nodes=NUM_NODES) * x,
        lambda x, w, y: outer(x, y, edges=edges, shape=w.shape) * w,
    ):
        gk.assert_gradients(lambda *a, f=function: np.sum(np.sin(f(*a))), x, w, y, order=2)


@every_decomposition
def test_derivatives_in_x(decomposition, rng):
    graph, layer = make_graph(rng), make_layer(rng, **decomposition)
    gk.assert_gradients(lambda x: np.sum(np.sin(layer(graph.replace(x=x)).x)), graph.x, order=2)


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.int64])
def test_types_of_any_integer(dtype, rng):
    graph, layer = make_graph(rng), make_layer(rng)
    out = layer(graph.replace(edges={"kind": graph.edges["kind"].astype(dtype)})).x.numpy()
    np.testing.assert_array_equal(out, layer(graph).x.numpy())


def test_changing_types_are_seen(rng):
    layer, kinds = make_layer(rng), np.zeros(2, np.int64)
    graph = gk.from_edges([0, 1], [1, 2], x=rng.normal(size=(3, 4)), edges={"kind": kinds})
    before = layer(graph).x.numpy()
    kinds[:] = 1
    assert not np.allclose(layer(graph).x.numpy(), before)
    for seed in range(9):
        types = np.random.default_rng(seed).integers(0, NUM_KINDS, 2)
        layer(graph.replace(edges={"kind": types}))
    assert len(graph.topology.cached("typed_edges", dict)) <= 4


def test_types_may_be_the_edge_state(rng):
    graph = make_graph(rng)
    named = make_layer(rng)
    layer = gk.nn.RGCNConv(4, 6, num_relations=NUM_KINDS, relation="e").astype("float64")
    layer.load_state_dict(named.state_dict())
    out = layer(graph.without("kind").replace(e=graph.edges["kind"])).x.numpy()
    np.testing.assert_array_equal(out, named(graph).x.numpy())


@every_decomposition
@pytest.mark.parametrize("num_nodes", [0, 3])
def test_no_edges(decomposition, num_nodes, rng):
    layer, nothing = make_layer(rng, **decomposition), np.zeros(0, np.int64)
    graph = gk.from_edges(nothing, nothing, x=rng.normal(size=(num_nodes, 4)), edges={"kind": nothing})
    out = layer(graph).x
    np.testing.assert_allclose(out.numpy(), graph.x @ layer.root_weight.data + layer.bias.data)
    out.sum().backward()
    assert all(np.isfinite(parameter.grad.numpy()).all() for parameter in layer.parameters())


@pytest.mark.parametrize(("inside", "outside", "kinds"), [(0, 4, 5), (4, 0, 5), (0, 0, 5)])
@every_decomposition
def test_zero_channels(inside, outside, kinds, decomposition, rng):
    out = make_layer(rng, inside, outside, **decomposition)(make_graph(rng, inside)).x
    assert out.shape == (NUM_NODES, outside)
    out.sum().backward()


def test_refusals(rng):
    graph, layer = make_graph(rng), make_layer(rng)
    with pytest.raises(UnknownFieldError, match="'kind'"):
        layer(graph.without("kind"))
    with pytest.raises(DTypeError, match=r"np\.unique"):
        layer(graph.replace(edges={"kind": KINDS * 1.0}))
    with pytest.raises(ShapeError, match=r"\[num_edges\]"):
        layer(graph.replace(edges={"kind": KINDS[:, None]}))
    for wrong in (-1, 5):
        kinds = graph.edges["kind"].copy()
        kinds[3] = wrong
        ends = f"{graph.senders[3]} -> {graph.receivers[3]}"
        with pytest.raises(InvalidFeatureError, match=rf"Got type {wrong} at the edge {ends}, and 1 such"):
            layer(graph.replace(edges={"kind": kinds}))
    with pytest.raises(InvalidFeatureError, match=r"without\('e'\)"):
        layer(graph.replace(e=np.ones((10, 2))))


def test_bad_arguments():
    options = {"num_relations": 2, "relation": "kind"}
    with pytest.raises(InvalidArgumentError, match="not both"):
        gk.nn.RGCNConv(4, 4, num_bases=2, num_blocks=2, **options)
    with pytest.raises(InvalidArgumentError, match="at least 1 basis"):
        gk.nn.RGCNConv(4, 4, num_bases=0, **options)
    with pytest.raises(InvalidArgumentError, match="must divide"):
        gk.nn.RGCNConv(4, 6, num_blocks=4, **options)
    with pytest.raises(gk.errors.UnknownNameError, match="'mean'"):
        gk.nn.RGCNConv(4, 6, reducer="maen", **options)


@every_decomposition
def test_it_is_saved_and_loaded(decomposition, rng, tmp_path):
    graph, layer = make_graph(rng), make_layer(rng, **decomposition)
    gk.nn.save_model(layer, tmp_path / "model.safetensors")
    again = gk.nn.load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again(graph).x.numpy(), layer(graph).x.numpy())
