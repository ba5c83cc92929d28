"""Norms: known answers, gradients to second order, graphs of a batch, running statistics, empties."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import nn
from gnnkit.autodiff import assert_gradients
from gnnkit.errors import InvalidArgumentError, ShapeError, UnknownNameError

ALL = [
    nn.BatchNorm,
    nn.LayerNorm,
    lambda c, **kw: nn.LayerNorm(c, over="graph", **kw),
    nn.RMSNorm,
    nn.InstanceNorm,
    nn.GraphNorm,
]
NAMES = ["BatchNorm", "LayerNorm", "LayerNorm over graph", "RMSNorm", "InstanceNorm", "GraphNorm"]
per_graph = pytest.mark.parametrize("make", ALL[1:], ids=NAMES[1:])
every = pytest.mark.parametrize("make", ALL, ids=NAMES)

# Batch {1, 7, 7, 9}: mean 6, standard deviation 3.
BATCH = np.array([[1.0], [7.0], [7.0], [9.0]])
NORMALISED = np.array([-5 / 3, 1 / 3, 1 / 3, 1.0])


@pytest.mark.parametrize("make", [nn.BatchNorm, nn.InstanceNorm, nn.GraphNorm, ALL[2]])
def test_known_batch(make):
    norm = make(1, eps=0.0).astype("float64")
    assert np.allclose(norm(BATCH).numpy().ravel(), NORMALISED)
    norm.scale.assign([2.0])
    norm.shift.assign([1.0])
    assert np.allclose(norm(BATCH).numpy().ravel(), 2 * NORMALISED + 1)
    rows = nn.LayerNorm(4, eps=0.0).astype("float64")
    assert np.allclose(rows(BATCH.T).numpy().ravel(), NORMALISED)


def test_gradient_of_the_de_meaned_batch():
    norm = nn.BatchNorm(1, center_only=True).astype("float64")
    norm.scale.assign([2.5])
    x = gk.tensor(BATCH, requires_grad=True)
    y = norm(x)
    assert np.allclose(y.numpy().ravel(), 2.5 * np.array([-5.0, 1.0, 1.0, 3.0]))
    g = np.array([[1.0], [-2.0], [0.5], [4.0]])
    y.backward(g)
    assert np.allclose(x.grad.numpy(), 2.5 * (g - g.mean()))


def test_batch_norm_agrees_with_pytorch():
    x = np.array([[1.0, 2.0], [7.0, 0.0], [7.0, -4.0], [9.0, 4.0]])
    norm = nn.BatchNorm(2).astype("float64")
    trained = [-1.66666574, 0.50709226, 0.33333315, -0.16903075, 0.33333315, -1.52127679, 0.99999944, 1.18321528]
    assert np.allclose(norm(x).numpy().ravel(), trained, atol=1e-8)
    assert np.allclose(norm.running_mean, [0.6, 0.05])
    assert np.allclose(norm.running_variance, [2.1, 31 / 15])
    norm.eval()
    evaluated = [0.27602557, 1.35643299, 4.41640906, -0.03478033, 4.41640906, -2.81720698, 5.7965369, 2.74764631]
    assert np.allclose(norm(x).numpy().ravel(), evaluated, atol=1e-8)
    assert np.allclose(norm(x[:1]).numpy().ravel(), evaluated[:2], atol=1e-8), "a node alone gives the same then"
    assert np.allclose(norm.running_mean, [0.6, 0.05]), "evaluation leaves the statistics alone"


def test_layer_norm_agrees_with_pytorch():
    x = np.array([[1.0, 2.0, 3.0], [0.5, -1.0, 2.0], [0.0, 0.0, 0.0], [-3.0, 4.0, 1.0]])
    expected = [
        [-1.22473569, 0.0, 1.22473569],
        [0.0, -1.22474079, 1.22474079],
        [0.0, 0.0, 0.0],
        [-1.27872325, 1.16247568, 0.11624757],
    ]
    assert np.allclose(nn.LayerNorm(3).astype("float64")(x).numpy(), expected, atol=1e-8)


def test_rms_norm_by_definition_and_at_zero():
    x = np.array([[3.0, 4.0], [0.0, 0.0]])
    norm = nn.RMSNorm(2, eps=0.5).astype("float64")
    root = np.sqrt(12.5)
    assert np.allclose(norm(x).numpy(), [[3 / (root + 0.5), 4 / (root + 0.5)], [0, 0]])
    for eps, slope in ((0.5, 2.0), (0.0, 1.0)):
        norm.eps = eps
        t = gk.tensor(x, requires_grad=True)
        norm(t).sum().backward()
        assert np.allclose(t.grad.numpy()[1], slope), "finite where all channels are 0"
    assert norm.shift is None


def test_graph_norm_by_definition(rng):
    norm = nn.GraphNorm(3, eps=1e-3).astype("float64")
    mean_scale, scale, shift = rng.normal(size=(3, 3))
    norm.mean_scale.assign(mean_scale)
    norm.scale.assign(scale)
    norm.shift.assign(shift)
    x = rng.normal(size=(7, 3))
    centred = x - mean_scale * x.mean(axis=0)
    expected = scale * centred / np.sqrt((centred**2).mean(axis=0) + 1e-3) + shift
    assert np.allclose(norm(x).numpy(), expected)
    assert norm.mean_scale.decay == 0.0


@every
@pytest.mark.parametrize("order", [1, 2])
def test_gradients(make, order, rng):
    norm = make(3, dtype="float64")
    names = [name for name, _ in norm.own_parameters()]

    def apply(x, *values):
        vars(norm).update(zip(names, values, strict=True))
        return norm(x)

    assert_gradients(apply, rng.normal(size=(5, 3)), *(rng.normal(size=3) for _ in names), order=order)


@per_graph
def test_a_batch_is_a_loop_over_its_graphs(make, rng):
    graphs = [gk.path(n).replace(x=rng.normal(size=(n, 4)) + 3) for n in (3, 1, 0, 6)]
    norm = make(4, dtype="float64")
    together = norm(gk.batch(graphs)).x
    one_by_one = [norm(g).x.numpy() for g in graphs]
    assert np.array_equal(together.numpy(), np.concatenate(one_by_one)), "the same bits"
    assert np.array_equal(norm(graphs[0].x).numpy(), one_by_one[0]), "a bare array is one graph"


@per_graph
def test_gradients_of_a_batch(make, rng):
    g = gk.batch([gk.path(3), gk.path(2), gk.empty(0), gk.path(4)])
    norm = make(2, dtype="float64")
    assert_gradients(lambda x: norm(g.replace(x=x)).x, rng.normal(size=(9, 2)), order=2)


@every
def test_permuting_the_nodes_permutes_the_output(make, rng):
    x, order = rng.normal(size=(8, 3)), rng.permutation(8)
    norm = make(3, dtype="float64")
    assert np.allclose(norm(x).numpy()[order], norm(x[order]).numpy(), atol=1e-12)
    assert norm.symmetry["nodes"] == "equivariant"


@every
@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (5, 0), (0, 0)])
def test_empties_and_single_nodes_are_finite(make, shape):
    norm = make(shape[1])
    x = gk.tensor(np.ones(shape, dtype=np.float32), requires_grad=True)
    y = norm(x)
    assert y.shape == shape
    y.sum().backward()
    assert np.isfinite(y.numpy()).all()
    assert np.isfinite(x.grad.numpy()).all()


@every
def test_constant_features_with_and_without_eps(make):
    for eps in (1e-5, 0.0):
        x = gk.tensor(np.full((4, 2), 3.0), requires_grad=True)
        norm = make(2, eps=eps, dtype="float64")
        norm(x).sum().backward()
        assert np.isfinite(norm(x).numpy()).all()
        assert np.isfinite(x.grad.numpy()).all()


def test_batch_norm_of_one_node_and_of_none():
    norm = nn.BatchNorm(2)
    norm.shift.assign([1.0, 2.0])
    assert norm(np.array([[5.0, 6.0]])).numpy().tolist() == [[1.0, 2.0]]
    assert np.allclose(norm.running_variance, 0.9), "a variance of 0, not 0/0"
    before = norm.state_dict()
    norm(np.zeros((0, 2)))
    assert all(np.array_equal(a, before[name]) for name, a in norm.state_dict().items())


@pytest.mark.parametrize("norm", [gk.nn.BatchNorm, gk.nn.InstanceNorm])
def test_statistics_of_many_nodes_in_float32(norm, rng):
    x = (rng.normal(size=(500_000, 1)) + 1000).astype(np.float32)
    y = norm(1, affine=False)(x).numpy().astype(np.float64)
    assert abs(y.mean()) < 1e-3
    assert abs(y.std() - 1) < 1e-3


def test_running_statistics_are_state_and_reset():
    norm = nn.BatchNorm(2, momentum=1.0)
    norm(np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert set(norm.state_dict()) == {"scale", "shift", "running_mean", "running_variance"}
    assert norm.running_mean.tolist() == [2.0, 3.0]
    norm.reset_parameters(0)
    assert norm.running_mean.tolist() == [0.0, 0.0]
    assert norm.running_variance.tolist() == [1.0, 1.0]


@every
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_and_decay(make, dtype):
    norm = make(2, dtype=dtype)
    x = gk.tensor(np.array([[1.0, 2.0], [3.0, 5.0]]), requires_grad=True)
    y = norm(x)
    assert y.dtype == dtype
    y.sum().backward()
    assert x.grad.dtype == np.float64
    assert all(p.grad.dtype == dtype and p.decay == 0.0 for p in norm.parameters())


@every
def test_without_scale_and_shift(make):
    norm = make(2, affine=False)
    assert norm.scale is None
    assert norm.shift is None
    assert norm(np.array([[1.0, 2.0], [3.0, 5.0]], dtype=np.float32)).shape == (2, 2)


def test_batch_norm_of_more_axes_is_over_space_and_batch(rng):
    x = rng.normal(size=(4, 5, 3))
    norm = nn.BatchNorm(3, dtype="float64")
    assert np.allclose(norm(x).numpy().reshape(20, 3), norm(x.reshape(20, 3)).numpy())


def test_errors():
    with pytest.raises(InvalidArgumentError, match="eps must be at least 0"):
        nn.LayerNorm(2, eps=-1.0)
    with pytest.raises(InvalidArgumentError, match="momentum"):
        nn.BatchNorm(2, momentum=2.0)
    with pytest.raises(UnknownNameError, match="Did you mean 'graph'"):
        nn.LayerNorm(2, over="grap")
    with pytest.raises(ShapeError, match=r"\[num_nodes, 2\]"):
        nn.BatchNorm(2)(np.ones((3, 4)))
    with pytest.raises(ShapeError, match="Reshape the axes"):
        nn.InstanceNorm(2)(np.ones((3, 4, 2)))
