"""ConvNeXt block, ResNet, U-Net, LeNet, SmallCNN: shapes, batches, masks, gradients, depth, saving."""

from __future__ import annotations

import numpy as np
import pytest
from grid_cases import gradients

import gnnkit as gk
from gnnkit import nn
from gnnkit.errors import InvalidArgumentError, ShapeError, UnknownNameError

SIZES = [(7, 10), (16, 9), (5, 5), (1, 3), (8, 8)]


def images(seed=0, channels=2, sizes=SIZES, masked=False):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(*size, channels)) for size in sizes]
    masks = [rng.random(size) < 0.6 for size in sizes] if masked else None
    return gk.from_image(arrays, mask=masks)


NETS = {
    "unet": lambda **o: nn.UNet(2, 3, widths=(3, 4, 5), rng=0, **o),
    "unet without skips": lambda **o: nn.UNet(2, 3, widths=(3, 4), skip=False, rng=0, **o),
    "unet bilinear": lambda **o: nn.UNet(2, 3, widths=(3, 4), up="bilinear", activation="tanh", rng=0, **o),
    "unet of one level": lambda **o: nn.UNet(2, 3, widths=(4,), rng=0, **o),
    "resnet": lambda **o: nn.ResNet(2, 3, widths=(3, 4), blocks=(1, 2), rng=0, **o),
    "plain resnet": lambda **o: nn.ResNet(2, 3, widths=(3, 4), blocks=1, skip=False, rng=0, **o),
    "small cnn": lambda **o: nn.SmallCNN(2, 3, widths=(3, 4), rng=0, **o),
}
every_net = pytest.mark.parametrize("name", NETS)


def outputs(net, graph):
    out = net(graph)
    return out.u.numpy() if "u" in out.globals else out.x.numpy()


@every_net
@pytest.mark.parametrize("masked", [False, True])
def test_mixed_sizes_and_masks_are_each_image_alone(name, masked):
    """Exercise 23: images of any sizes, odd ones too, in one batch, without padding."""
    net, graph = NETS[name](norm="layer").astype("float64"), images(masked=masked)
    whole = outputs(net, graph)
    alone = [outputs(net, part) for part in gk.unbatch(graph)]
    np.testing.assert_allclose(whole, np.concatenate(alone), atol=1e-11)
    assert whole.shape == ((graph.num_nodes if "unet" in name else len(SIZES)), 3)


@every_net
def test_batch_norm_at_evaluation_sees_each_image_alone(name):
    net, graph = NETS[name]().astype("float64"), images()
    for _ in range(3):
        net(graph)
    net.eval()
    np.testing.assert_allclose(
        outputs(net, graph), np.concatenate([outputs(net, part) for part in gk.unbatch(graph)]), atol=1e-11
    )


@every_net
def test_every_parameter_has_a_gradient(name):
    net = NETS[name]().astype("float64")
    out = net(images())
    np.sum(np.sin(out.u if "u" in out.globals else out.x)).backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert np.isfinite(parameter.grad.numpy()).all(), key
        assert np.abs(parameter.grad.numpy()).max() > 0, key


@every_net
def test_no_image_no_pixel(name):
    net = NETS[name]()
    empty = gk.from_image(np.zeros((0, 8, 8, 2), "float32"))
    assert outputs(net, empty).shape == (0, 3)
    hole = gk.from_image(np.zeros((6, 6, 2), "float32"), mask=np.zeros((6, 6), bool))
    assert outputs(net.eval(), hole).shape == ((0 if "unet" in name else 1), 3)


@every_net
def test_nets_are_saved_and_loaded(name, tmp_path):
    net, graph = NETS[name](), images().replace(x=images().x.astype("float32"))
    net(graph)
    nn.save_model(net, tmp_path / "net.safetensors")
    again = nn.load_model(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(outputs(again.eval(), graph), outputs(net.eval(), graph))
    assert str(net.summary(graph))


@every_net
def test_the_same_seed_gives_the_same_bits(name):
    one, other = NETS[name]().state_dict(), NETS[name]().state_dict()
    for key in one:
        np.testing.assert_array_equal(one[key], other[key])


@pytest.mark.parametrize("name", ["unet bilinear", "small cnn"])
def test_derivatives_against_differences(name):
    net = NETS[name](norm="layer").astype("float64")
    graph = images(sizes=[(3, 5), (4, 2)])

    def function(x):
        out = net(graph.replace(x=x))
        return np.sum(np.sin(out.u if "u" in out.globals else out.x))

    gk.assert_gradients(function, graph.x, order=1)


def test_a_unet_labels_every_pixel_of_the_graph_that_came_in():
    graph = images().replace(nodes={"y": np.arange(images().num_nodes)})
    out = NETS["unet"]().astype("float64")(graph)
    assert out.topology is graph.topology
    assert out.nodes["y"] is graph.nodes["y"]


def test_a_unet_without_skips_forgets_where_a_pixel_was():
    """Two images with the same maxima of all 2 x 2 windows: only the skips of the finest level tell them apart."""
    one, other = np.zeros((2, 8, 8, 2))
    one[::2, ::2], other[1::2, 1::2] = 1, 1

    def blind(skip):
        net = nn.UNet(2, 3, widths=(3, 4), skip=skip, norm=None, rng=0)
        net.down[0] = nn.Linear(2, 3, rng=0)  # sees single pixels only
        return [net(gk.from_image(image)).x.numpy() for image in (one, other)]

    np.testing.assert_array_equal(*blind(False))
    assert np.abs(np.subtract(*blind(True))).max() > 1e-3


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_other_numbers_of_axes(ndim):
    rng = np.random.default_rng(0)
    graph = gk.from_grid_array(rng.normal(size=(2, *(5, 4, 3)[:ndim], 2)), ndim=ndim)
    for net in (
        nn.UNet(2, 3, widths=(3, 4), ndim=ndim, rng=0),
        nn.ResNet(2, 3, widths=(3, 4), blocks=1, ndim=ndim, rng=0),
        nn.SmallCNN(2, 3, widths=(3, 4), ndim=ndim, rng=0),
    ):
        assert outputs(net, graph).shape[1] == 3
    assert nn.ConvNeXtBlock(2, 3, ndim=ndim, rng=0)(graph).x.shape == graph.x.shape


def test_a_convnext_block_by_its_definition():
    block = nn.ConvNeXtBlock(4, rng=0).astype("float64")
    graph = images(channels=4)
    depthwise, norm, widen, gelu, narrow = block.inner
    assert depthwise.weight.shape == (49, 1, 4)
    assert (norm.channels, widen.out_channels, narrow.in_channels) == (4, 16, 16)
    want = graph.x + narrow(gelu(widen(norm(depthwise(graph))))).x.numpy()
    np.testing.assert_allclose(block(graph).x.numpy(), want, atol=1e-12)
    assert block.symmetry == dict.fromkeys(("union", "torus", "translation"), "equivariant")
    gradients(block, graph)


def test_a_convnext_block_moves_with_the_image_on_a_torus():
    image = np.random.default_rng(0).normal(size=(9, 8, 3))
    block = nn.ConvNeXtBlock(3, border="wrap", rng=0).astype("float64")
    one = gk.to_image(block(gk.from_image(image)))
    other = gk.to_image(block(gk.from_image(np.roll(image, (2, 3), axis=(0, 1)))))
    np.testing.assert_allclose(np.roll(one, (2, 3), axis=(0, 1)), other, atol=1e-12)


def test_fifty_layers_deeper_with_and_without_skips():
    """Exercise 20: the same layers, one net with skips; gradients of the first layer vanish only without."""
    graph = gk.from_image(np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype("float32"))
    sizes = {}
    for skip in (True, False):
        net = nn.ResNet(1, 2, widths=(4, 8), blocks=13, skip=skip, norm=None, rng=0)
        convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == 3]
        assert len(convolutions) == 1 + 2 * 26
        nn.cross_entropy(net(graph).u, np.array([0, 1, 0, 1])).backward()
        sizes[skip] = float(np.abs(net.stem[0].weight.grad.numpy()).max())
    assert sizes[True] > 1e3 * sizes[False]


def test_a_resnet_halves_the_image_from_stage_to_stage():
    net = nn.ResNet(3, 10, rng=0)
    graph = gk.from_image(np.zeros((1, 32, 32, 3), "float32"))
    assert net.blocks(net.stem(graph)).topology.grid.size == (8, 8)
    assert len(net.blocks) == 9
    kernels = 9 * (3 * 16 + 6 * 16 * 16 + 16 * 32 + 5 * 32 * 32 + 32 * 64 + 5 * 64 * 64)
    projections, norms, head = 16 * 32 + 32 * 64, 2 * (7 * 16 + 7 * 32 + 7 * 64), 65 * 10
    assert net.num_parameters == kernels + projections + norms + head


def test_parameters_of_the_classic_and_the_small_net():
    assert nn.LeNet(rng=0).num_parameters == 61_706
    assert nn.SmallCNN(rng=0).num_parameters < 100_000
    net = nn.LeNet(3, 7, size=(32, 24), pool="max", activation="relu", rng=0)
    assert net(gk.from_image(np.zeros((2, 32, 24, 3), "float32"))).u.shape == (2, 7)


def test_a_small_net_learns_where_a_bar_stands():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 64)
    arrays = rng.normal(0, 0.3, (64, 9, 9, 1)).astype("float32")
    for image, label in zip(arrays, labels):
        place = int(rng.integers(0, 9))
        image[(place, slice(None)) if label else (slice(None), place)] += 1
    graph, net = gk.from_image(arrays), nn.SmallCNN(1, 2, widths=(4, 8), rng=0)
    optimizer = nn.Adam(net, lr=0.02)
    for _ in range(30):
        optimizer.zero_grad()
        nn.cross_entropy(net(graph).u, labels).backward()
        optimizer.step()
    assert (net.eval()(graph).u.numpy().argmax(axis=1) == labels).mean() > 0.95


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: nn.UNet(1, 2, widths=()), InvalidArgumentError, "at least one stage"),
        (lambda: nn.UNet(1, 2, up="transposed"), UnknownNameError, "transposed"),
        (lambda: nn.ResNet(1, 2, blocks=(1, 2)), InvalidArgumentError, "3 stages"),
        (lambda: nn.ResNet(1, 2, ndim=4), InvalidArgumentError, "1, 2 or 3 axes"),
        (lambda: nn.SmallCNN(1, 2, norm="group"), UnknownNameError, "group"),
        (lambda: nn.ConvNeXtBlock(4, ndim=0), InvalidArgumentError, "1, 2 or 3 axes"),
        (lambda: nn.LeNet(pool="min"), UnknownNameError, "min"),
        (lambda: nn.LeNet(size=(6, 6)), ShapeError, "kernel must fit"),
        (lambda: nn.LeNet(rng=0)(gk.from_image(np.zeros((32, 32, 1), "float32"))), ShapeError, "576|400"),
    ],
)
def test_wrong_uses_are_explained(call, error, text):
    with pytest.raises(error, match=text):
        call()
