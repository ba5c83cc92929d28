"""Norms on images (exercises 18 and 19), and skips: residual with pre- and post-norm, projection, dense."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import nn
from gnnkit.errors import ShapeError

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(2.0, 3.0, (4, 5, 6, 3))  # [image, row, column, channel]

# which axes of the array share a mean and a spread
OVER = {
    "BatchNorm over space and batch": (nn.BatchNorm(3, eps=0.0), (0, 1, 2)),
    "LayerNorm over channels": (nn.LayerNorm(3, eps=0.0), (3,)),
    "LayerNorm over space and channels": (nn.LayerNorm(3, over="graph", eps=0.0), (1, 2, 3)),
    "InstanceNorm over space": (nn.InstanceNorm(3, eps=0.0), (1, 2)),
    "GraphNorm over space": (nn.GraphNorm(3, eps=0.0), (1, 2)),
}


@pytest.mark.parametrize("name", OVER)
def test_norms_take_means_over_these_axes(name):
    norm, axes = OVER[name]
    out = gk.to_image(norm.astype("float64")(gk.from_image(IMAGES)))
    want = (IMAGES - IMAGES.mean(axes, keepdims=True)) / IMAGES.std(axes, keepdims=True)
    np.testing.assert_allclose(out, want, atol=1e-12)


def test_rms_norm_divides_by_the_root_mean_square_of_the_channels():
    out = gk.to_image(nn.RMSNorm(3, eps=0.25).astype("float64")(gk.from_image(IMAGES)))
    rms = np.sqrt(np.mean(IMAGES**2, axis=-1, keepdims=True))
    np.testing.assert_allclose(out, IMAGES / (rms + 0.25), atol=1e-12)


@pytest.mark.parametrize("name", OVER)
def test_scale_and_shift_start_at_one_and_zero_without_decay(name):
    norm, _ = OVER[name]
    assert norm.scale.data.tolist() == [1, 1, 1]
    assert norm.shift.data.tolist() == [0, 0, 0]
    assert norm.scale.decay == norm.shift.decay == 0.0


@pytest.mark.parametrize("name", [name for name in OVER if not name.startswith("Batch")])
def test_images_of_a_batch_do_not_see_each_other(name):
    norm = OVER[name][0].astype("float64")
    images = [RNG.normal(size=(h, w, 3)) for h, w in ((2, 3), (5, 1), (4, 4))]
    mask = [RNG.random(image.shape[:2]) < 0.8 for image in images]
    whole = norm(gk.from_image(images, mask=mask)).x.numpy()
    alone = [norm(gk.from_image(image, mask=there)).x.numpy() for image, there in zip(images, mask)]
    np.testing.assert_allclose(whole, np.concatenate(alone), atol=1e-12)


def test_the_batch_of_exercise_18():
    """{1, 7, 7, 9}: mean 6, standard deviation 3; de-meaned only, dL/dx = gamma (g - mean(g))."""
    graph = gk.from_image(np.array([[1.0, 7.0], [7.0, 9.0]])[..., None])
    for norm in (nn.BatchNorm(1, eps=0.0), nn.InstanceNorm(1, eps=0.0), nn.LayerNorm(1, over="graph", eps=0.0)):
        out = norm.astype("float64")(graph).x.numpy().ravel()
        np.testing.assert_allclose(out, [-5 / 3, 1 / 3, 1 / 3, 1], atol=1e-12)
    centred = nn.BatchNorm(1, center_only=True).astype("float64")
    centred.scale.assign([2.5])
    x = gk.tensor(graph.x, requires_grad=True)
    out = centred(graph.replace(x=x)).x
    np.testing.assert_allclose(out.numpy().ravel(), 2.5 * np.array([-5, 1, 1, 3]))
    g = np.array([[1.0], [-2.0], [0.5], [4.0]])
    out.backward(g)
    np.testing.assert_allclose(x.grad.numpy(), 2.5 * (g - g.mean()), atol=1e-12)


def test_running_statistics_at_evaluation_count_pixels():
    norm = nn.BatchNorm(3, momentum=1.0, eps=0.0).astype("float64")
    norm(gk.from_image(IMAGES))
    rows = IMAGES.reshape(-1, 3)
    np.testing.assert_allclose(norm.running_mean, rows.mean(axis=0))
    np.testing.assert_allclose(norm.running_variance, rows.var(axis=0, ddof=1))
    one = gk.to_image(norm.eval()(gk.from_image(IMAGES[0])))
    np.testing.assert_allclose(one, (IMAGES[0] - rows.mean(axis=0)) / rows.std(axis=0, ddof=1))


# --- skips


def conv(inside, out, **options):
    return nn.Conv2d(inside, out, 3, rng=1, **options).astype("float64")


def test_pre_norm_and_post_norm():
    graph, inner, norm = gk.from_image(IMAGES), conv(3, 3), nn.LayerNorm(3).astype("float64")
    before = nn.Residual(inner, norm=norm)(graph).x.numpy()
    np.testing.assert_allclose(before, graph.x + inner(norm(graph)).x.numpy(), atol=1e-12)
    after = nn.Residual(inner, norm=norm, norm_first=False)(graph).x.numpy()
    np.testing.assert_allclose(after, norm(graph.x + inner(graph).x.numpy()).numpy(), atol=1e-12)


def test_a_projection_follows_the_branch_to_other_pixels_and_channels():
    graph, inner, projection = gk.from_image(IMAGES), conv(3, 5, stride=2), nn.Conv2d(3, 5, 1, stride=2, rng=2)
    block = nn.Residual(inner, projection.astype("float64"), norm=nn.LayerNorm(3).astype("float64"))
    out = block(graph)
    assert out.topology.grid.size == (3, 3)
    want = projection(graph).x.numpy() + inner(block.norm(graph)).x.numpy()
    np.testing.assert_allclose(out.x.numpy(), want, atol=1e-12)
    with pytest.raises(ShapeError, match=r"gave \[36, 5\].*Conv2d\(3, 5, 3, stride=2\)"):
        nn.Residual(inner)(graph)
    with pytest.raises(ShapeError, match=r"projection=gk.nn.Linear\(3, 4\)"):
        nn.Residual(conv(3, 4))(graph)


def test_a_dense_block_joins_all_earlier_outputs():
    graph = gk.from_image(IMAGES)
    layers = [conv(3, 4), conv(7, 2), conv(9, 5)]
    out = nn.DenseBlock(*layers)(graph)
    states = [graph.x]
    for layer in layers:
        states.append(layer(graph.replace(x=np.concatenate(states, axis=1))).x.numpy())
    np.testing.assert_allclose(out.x.numpy(), np.concatenate(states, axis=1), atol=1e-12)
    assert nn.DenseBlock()(graph) is graph
    assert isinstance(nn.DenseBlock(*layers)[:2], nn.DenseBlock)
    with pytest.raises(ShapeError, match="keep the nodes"):
        nn.DenseBlock(nn.MaxPool(2))(graph)


def test_skips_state_the_symmetry_of_their_parts():
    moving = dict.fromkeys(("union", "torus", "translation"), "equivariant")
    assert nn.Residual(conv(3, 3)).symmetry == moving
    assert nn.Residual(nn.Linear(3, 3)).symmetry == nn.POINTWISE
    assert nn.DenseBlock(conv(3, 3), nn.ReLU()).symmetry == moving
    normed = nn.Sequential(conv(3, 3), nn.BatchNorm(3), nn.ReLU())
    assert normed.symmetry == {"torus": "equivariant"} and normed.eval().symmetry == moving
    assert nn.Residual(nn.LocallyConnected2d(3, 3, 3, size=(5, 6))).symmetry == {"union": "equivariant"}
    assert nn.Sequential(nn.Linear(3, 3), nn.GlobalPool("mean")).symmetry["nodes"] == "invariant"
    pooled = nn.Sequential(conv(3, 3), nn.GlobalPool("mean"))
    assert pooled.symmetry == {"union": "equivariant", "torus": "invariant"}  # shifts are relabellings: the mean stays


@pytest.mark.parametrize(
    "block",
    [
        nn.Residual(nn.Linear(3, 3), norm=nn.LayerNorm(3), norm_first=False),
        nn.Residual(nn.Linear(3, 2), nn.Linear(3, 2), norm=nn.RMSNorm(3)),
        nn.DenseBlock(nn.Linear(3, 4), nn.Tanh(), nn.Linear(14, 2)),
    ],
)
def test_skips_are_saved_and_loaded(block, tmp_path):
    gk.nn.save_model(block, tmp_path / "block.safetensors")
    again = gk.nn.load_model(tmp_path / "block.safetensors")
    x = np.ones((2, 3), "float32")
    assert repr(again) == repr(block)
    np.testing.assert_array_equal(again(x).numpy(), block(x).numpy())


def test_derivatives_of_skips():
    graph = gk.from_image(IMAGES[:1, :3, :3])
    for block in (
        nn.Residual(conv(3, 3), norm=nn.LayerNorm(3).astype("float64"), norm_first=False),
        nn.DenseBlock(conv(3, 2), conv(5, 2)),
    ):
        gk.assert_gradients(lambda x, block=block: np.sum(np.sin(block(graph.replace(x=x)).x)), graph.x, order=2)
