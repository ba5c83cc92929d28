"""EGNNConv and SchNetConv in corners: coincident nodes, derivatives, empty graphs, dtypes, files, bad positions."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import scipy.sparse as sp
from position_cases import NUM_EDGES, NUM_NODES, make_graph, randomised, states

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit.errors import (
    DTypeError,
    InvalidArgumentError,
    InvalidFeatureError,
    InvalidGraphError,
    ShapeError,
    UnknownFieldError,
    UnknownNameError,
)

LAYERS = {
    "egnn": (lambda: gk.nn.EGNNConv(3, 4, hidden=5, rng=0), False),
    "egnn edges": (lambda: gk.nn.EGNNConv(3, 4, hidden=5, edge_channels=2, rng=0), True),
    "egnn at rest": (lambda: gk.nn.EGNNConv(3, 4, hidden=5, update_positions=False, rng=0), False),
    "schnet": (lambda: gk.nn.SchNetConv(3, 4, gaussians=6, cutoff=4.0, rng=0), False),
}

every_layer = pytest.mark.parametrize("name", LAYERS)


def standard(name, seed=3, **options):
    return make_graph(np.random.default_rng(seed), edge_channels=2 if LAYERS[name][1] else None, **options)


def make(name, seed=1):
    return randomised(LAYERS[name][0](), np.random.default_rng(seed))


def gradients(layer, graph, turn=None):
    """Gradients, for features, positions and parameters, of a function of what comes out, turned back first."""
    turn = np.eye(3) if turn is None else turn
    x = gk.tensor(graph.x, requires_grad=True)
    pos = gk.tensor(graph.nodes["pos"], requires_grad=True)
    layer.zero_grad()
    out = layer(graph.replace(x=x, nodes={"pos": pos}))
    moved = (out.nodes["pos"] - pos) @ turn
    (np.sin(out.x).sum() + np.sin(moved).sum()).backward()
    rest = {name: parameter.grad.numpy() for name, parameter in layer.named_parameters() if parameter.grad is not None}
    return x.grad.numpy(), pos.grad.numpy(), rest


# --- corners --------------------------------------------------------------------------------------------------------


def coincident(name):
    """Nodes 0 and 1, joined by an edge, in one place."""
    graph = standard(name)
    pos = graph.nodes["pos"].copy()
    pos[1] = pos[0]
    return graph.replace(nodes={"pos": pos})


@every_layer
def test_coincident_nodes_have_finite_derivatives(name):
    layer, graph = make(name), coincident(name)
    x, pos = states(layer(graph))
    assert np.isfinite(x).all() and np.isfinite(pos).all()
    gx, gp, rest = gradients(layer, graph)
    assert all(np.isfinite(value).all() for value in (gx, gp, *rest.values()))

    def force(position):
        return gk.grad(lambda p: np.sin(layer(graph.replace(nodes={"pos": p})).x).sum())(position)

    again = gk.grad(lambda p: (force(p) ** 2).sum())(gk.tensor(graph.nodes["pos"], requires_grad=True))
    assert np.isfinite(gk.autodiff.as_array(again)).all()


@every_layer
def test_the_force_between_coincident_nodes_is_zero(name):
    layer = make(name)
    pos = gk.tensor(np.ones((2, 3)), requires_grad=True)
    e = np.ones((2, 2)) if LAYERS[name][1] else None
    graph = gk.from_edges([0, 1], [1, 0], x=np.arange(6.0).reshape(2, 3), e=e, nodes={"pos": pos})
    layer(graph).x.sum().backward()
    np.testing.assert_array_equal(pos.grad.numpy(), 0.0)


@contextmanager
def parameters_replaced(layer, tensors):
    places = [(module, key) for module in layer.modules() for key, _ in module.own_parameters()]
    old = [getattr(module, key) for module, key in places]
    try:
        for (module, key), value in zip(places, tensors, strict=True):
            object.__setattr__(module, key, value)
        yield
    finally:
        for (module, key), value in zip(places, old, strict=True):
            object.__setattr__(module, key, value)


@every_layer
def test_first_and_second_derivatives_against_differences(name):
    layer, graph = make(name), standard(name)
    starts = [0.4 * parameter.data for module in layer.modules() for _, parameter in module.own_parameters()]
    edges = [graph.e] if LAYERS[name][1] else []

    def function(x, pos, *values):
        fields = dict(zip(("e",), values[: len(edges)]))
        with parameters_replaced(layer, values[len(edges) :]):
            out = layer(graph.replace(x=x, nodes={"pos": pos}, edges=fields))
        return np.sin(out.x).sum() + np.sin(out.nodes["pos"]).sum()

    gk.assert_gradients(function, graph.x, graph.nodes["pos"], *edges, *starts, order=2, directions=1)


@every_layer
@pytest.mark.parametrize(("num_nodes", "num_edges"), [(0, 0), (1, 0), (4, 0), (1, 2)])
def test_empty_and_tiny_graphs(name, num_nodes, num_edges, rng):
    layer, zeros = make(name), np.zeros(num_edges, int)
    e = np.ones((num_edges, 2)) if LAYERS[name][1] else None
    start = rng.normal(size=(num_nodes, 3))
    graph = gk.from_edges(zeros, zeros, x=rng.normal(size=(num_nodes, 3)), e=e, nodes={"pos": start})
    x, pos = states(layer(graph))
    assert x.shape == (num_nodes, 4) and np.isfinite(x).all()
    np.testing.assert_array_equal(pos, start)
    gx, gp, rest = gradients(layer, graph)
    assert all(np.isfinite(value).all() for value in (gx, gp, *rest.values()))


@every_layer
def test_a_batch_equals_a_loop(name, rng):
    layer = make(name)
    zeros, e = np.zeros(0, int), np.zeros((0, 2)) if LAYERS[name][1] else None
    lonely = gk.from_edges(zeros, zeros, x=rng.normal(size=(2, 3)), e=e, nodes={"pos": rng.normal(size=(2, 3))})
    nobody = gk.from_edges(zeros, zeros, x=np.zeros((0, 3)), e=e, nodes={"pos": np.zeros((0, 3))})
    graphs = [nobody, standard(name), lonely, standard(name, seed=8), nobody]
    together = states(layer(gk.batch(graphs)))
    alone = zip(*(states(layer(graph)) for graph in graphs), strict=True)
    for batch, parts in zip(together, alone, strict=True):
        np.testing.assert_allclose(batch, np.concatenate(parts), atol=1e-11)


@every_layer
def test_backends_agree(name):
    layer = make(name)
    fast = (*states(layer(standard(name))), *gradients(layer, standard(name))[:2])
    with K.use_backend("numpy"):
        plain = (*states(layer(standard(name))), *gradients(layer, standard(name))[:2])
    for left, right in zip(fast, plain, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-11)


@every_layer
def test_float32_stays_float32(name):
    layer, graph = LAYERS[name][0](), standard(name, dtype="float32")
    assert all(value.dtype == np.float32 for value in states(layer(graph)))
    gx, gp, rest = gradients(layer, graph, np.eye(3, dtype="float32"))
    assert all(value.dtype == np.float32 for value in (gx, gp, *rest.values()))
    assert states(layer(standard(name)))[0].dtype == np.float32


@every_layer
def test_a_saved_layer_is_the_same(name, tmp_path):
    layer, graph = make(name), standard(name)
    gk.nn.save_model(layer, tmp_path / "layer.safetensors")
    again = gk.nn.load_model(tmp_path / "layer.safetensors")
    assert repr(again) == repr(layer)
    for left, right in zip(states(again(graph)), states(layer(graph)), strict=True):
        np.testing.assert_array_equal(left, right)
    assert str(layer.summary(graph))


@every_layer
def test_resetting_draws_the_same_bits_from_the_same_seed(name):
    first, second = (LAYERS[name][0]().reset_parameters(5).state_dict() for _ in range(2))
    for key, value in first.items():
        np.testing.assert_array_equal(value, second[key])


@every_layer
def test_sparse_features_stay_sparse(name, rng, monkeypatch):
    layer, graph = make(name), standard(name)
    dense = graph.x * (rng.random(graph.x.shape) < 0.4)
    expected = states(layer(graph.replace(x=dense)))
    monkeypatch.setattr(gk.SparseMatrix, "toarray", lambda self: pytest.fail("made dense"))
    for left, right in zip(states(layer(graph.replace(x=sp.csr_array(dense)))), expected, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-12)


def test_a_residual_needs_dense_features(rng):
    graph = make_graph(rng).replace(x=sp.csr_array(np.eye(NUM_NODES, 3)))
    with pytest.raises(InvalidFeatureError, match="Linear"):
        gk.nn.EGNNConv(3, 3, residual=True)(graph)


# --- positions ------------------------------------------------------------------------------------------------------


@every_layer
def test_positions_that_are_none(name):
    layer, graph = make(name), standard(name)
    with pytest.raises(UnknownFieldError, match=r"positions .* 'pos'.*node fields \['x'\].*positions="):
        layer(graph.without("pos"))
    with pytest.raises(ShapeError, match=r"\[num_nodes, dimensions\].*\[6\]"):
        layer(graph.replace(nodes={"pos": np.ones(NUM_NODES)}))
    with pytest.raises(ShapeError, match="dense"):
        layer(graph.replace(nodes={"pos": sp.csr_array(np.eye(NUM_NODES, 3))}))
    with pytest.raises(DTypeError, match="pos"):
        layer(graph.replace(nodes={"pos": np.ones((NUM_NODES, 3), int)}))


@pytest.mark.parametrize("layer", [gk.nn.EGNNConv, gk.nn.SchNetConv])
def test_positions_have_the_name_that_the_layer_is_given(layer, rng):
    graph = make_graph(rng)
    renamed = graph.without("pos").replace(nodes={"xyz": graph.nodes["pos"]})
    here, there = layer(3, 4, rng=0)(graph), layer(3, 4, positions="xyz", rng=0)(renamed)
    np.testing.assert_array_equal(here.x.numpy(), there.x.numpy())
    assert set(there.nodes) == {"x", "xyz"}
    with pytest.raises(InvalidArgumentError, match="positions='x'"):
        layer(3, 4, positions="x")


@every_layer
def test_other_state_and_bipartite_graphs_are_refused(name):
    layer, graph = make(name), standard(name)
    with pytest.raises(InvalidFeatureError, match=r"without\('u'\)"):
        layer(graph.replace(u=np.ones((1, 2))))
    if not LAYERS[name][1]:
        with pytest.raises(InvalidFeatureError, match=r"without\('e'\)"):
            layer(graph.replace(e=np.ones((NUM_EDGES, 2))))
    with pytest.raises(InvalidGraphError, match="bipartite"):
        bipartite = gk.Topology.from_edges([0, 2], [0, 1], num_senders=3, num_receivers=2)
        e = {"e": np.ones((2, 2))} if LAYERS[name][1] else {}
        layer(gk.Graph(bipartite, {"x": np.ones((3, 3)), "pos": np.ones((3, 3))}, e))


def test_bad_arguments():
    with pytest.raises(UnknownNameError, match="'mean'"):
        gk.nn.EGNNConv(3, 4, position_reducer="maen")
    for bad in ({"cutoff": 0.0}, {"cutoff": np.inf}, {"gaussians": 1}):
        with pytest.raises(InvalidArgumentError, match="cutoff must be positive"):
            gk.nn.SchNetConv(3, 4, **bad)
