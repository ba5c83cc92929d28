"""What the layers on grids refuse, and how they say it; construction, saving and the like."""

from __future__ import annotations

import numpy as np
import pytest
from grid_cases import on_grid

import gnnkit as gk
from gnnkit import errors
from gnnkit.graph.grids import Grid

GRID_LAYERS = {
    "conv1d": (1, lambda: gk.nn.Conv1d(3, 4, 3, rng=0)),
    "conv2d": (2, lambda: gk.nn.Conv2d(3, 4, (3, 5), stride=2, border="wrap", rng=0)),
    "conv3d": (3, lambda: gk.nn.Conv3d(3, 4, 3, padding=((0, 1), (1, 1), (2, 0)), rng=0)),
    "depthwise": (2, lambda: gk.nn.DepthwiseConv2d(3, 3, multiplier=2, rng=0)),
    "grouped": (1, lambda: gk.nn.Conv1d(3, 6, 3, groups=3, bias=False, rng=0)),
    "local": (2, lambda: gk.nn.LocallyConnected2d(3, 2, 3, size=(4, 4), rng=0)),
    "isotropic": (2, lambda: gk.nn.IsotropicConv(3, 2, rng=0)),
    "transposed": (2, lambda: gk.nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1, output_padding=1, rng=0)),
}

every = pytest.mark.parametrize("name", GRID_LAYERS)


def graph_of(ndim, channels=3, dtype="float32"):
    grid = Grid((4,) * ndim)
    x = np.random.default_rng(0).normal(size=(grid.num_nodes, channels)).astype(dtype)
    return on_grid(grid, x)


@every
def test_saved_and_built_again(name, tmp_path):
    ndim, make = GRID_LAYERS[name]
    layer, graph = make(), graph_of(ndim)
    gk.nn.save_model(layer, tmp_path / "layer.safetensors")
    again = gk.nn.load_model(tmp_path / "layer.safetensors")
    np.testing.assert_array_equal(again(graph).x.numpy(), layer(graph).x.numpy())
    assert repr(again) == repr(layer)


@every
def test_a_seed_draws_the_same_bits(name):
    _, make = GRID_LAYERS[name]
    one, other = make(), make().reset_parameters(7).reset_parameters(0)
    for (key, value), again in zip(one.state_dict().items(), other.state_dict().values()):
        np.testing.assert_array_equal(value, again, err_msg=key)


@every
def test_biases_are_not_decayed(name):
    layer = GRID_LAYERS[name][1]()
    for key, parameter in layer.named_parameters():
        assert parameter.decay == (0.0 if "bias" in key else 1.0)


@every
def test_wrong_channels(name):
    ndim, make = GRID_LAYERS[name]
    with pytest.raises(errors.ShapeError, match=r"in_channels=5"):
        make()(graph_of(ndim, channels=5))


@every
@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool"])
def test_channels_must_be_floating(name, dtype):
    ndim, make = GRID_LAYERS[name]
    graph = graph_of(ndim)
    with pytest.raises(errors.DTypeError, match=r"astype\('float32'\) / 255"):
        make()(graph.replace(x=np.ones(graph.x.shape, dtype)))


@every
def test_floats_of_another_width_are_converted(name):
    ndim, make = GRID_LAYERS[name]
    assert make()(graph_of(ndim, dtype="float64")).x.dtype == np.float32


@every
def test_state_that_would_be_ignored(name):
    ndim, make = GRID_LAYERS[name]
    graph = graph_of(ndim)
    with pytest.raises(errors.InvalidFeatureError, match=r"without\('e'\)"):
        make()(graph.replace(e=np.ones((graph.num_edges, 1), "float32")))
    with pytest.raises(errors.InvalidFeatureError, match=r"without\('u'\)"):
        make()(graph.replace(u=np.ones((1, 1), "float32")))


def test_fields_of_edges_that_will_be_others():
    graph = graph_of(2)
    graph = graph.replace(edges={"w": np.ones(graph.num_edges)})
    assert "w" in gk.nn.Conv2d(3, 4, 3)(graph).edges
    with pytest.raises(errors.InvalidFeatureError, match=r"without\('w'\)"):
        gk.nn.Conv2d(3, 4, 3, stride=2)(graph)


@every
def test_no_grid(name):
    _, make = GRID_LAYERS[name]
    if name == "isotropic":  # works on any graph
        return
    with pytest.raises(errors.InvalidGraphError, match=r"gk\.from_image"):
        make()(gk.path(4).replace(x=np.ones((4, 3), "float32")))


@pytest.mark.parametrize(("layer", "ndim"), [("Conv1d", 2), ("Conv2d", 1), ("Conv2d", 3), ("ConvTranspose3d", 2)])
def test_wrong_number_of_axes(layer, ndim):
    with pytest.raises(errors.InvalidGraphError, match=f"ends in {ndim}d"):
        getattr(gk.nn, layer)(3, 4, 3)(graph_of(ndim))


def test_wrong_lattice():
    hexagons = gk.from_image(np.ones((4, 4, 3), "float32"), lattice="hexagonal")
    with pytest.raises(errors.InvalidGraphError, match="HexConv"):
        gk.nn.Conv2d(3, 4, 3)(hexagons)
    with pytest.raises(errors.InvalidGraphError, match="Conv2d"):
        gk.nn.HexConv(3, 4, 3)(graph_of(2))


def test_a_kernel_that_does_not_fit():
    with pytest.raises(errors.ShapeError, match="must fit"):
        gk.nn.Conv2d(3, 4, 5, padding="valid")(graph_of(2))


@pytest.mark.parametrize(
    "arguments",
    [
        {"kernel_size": 0},
        {"kernel_size": (3, 3, 3)},
        {"kernel_size": 2.5},
        {"kernel_size": 3, "stride": 0},
        {"kernel_size": 3, "padding": "full"},
        {"kernel_size": 3, "border": "mirror"},
        {"kernel_size": 3, "groups": 2},
        {"kernel_size": 3, "groups": 0},
        {"kernel_size": 3, "groups": True},
    ],
)
def test_wrong_arguments_are_refused_at_construction(arguments):
    with pytest.raises(errors.GnnkitError):
        gk.nn.Conv2d(3, 3, **arguments)


@pytest.mark.parametrize("size", [2, (2, 2), (3, 5)])
def test_hexagonal_kernels_are_odd(size):
    with pytest.raises(errors.InvalidArgumentError, match="odd"):
        gk.nn.HexConv(3, 4, size)


def test_weights_start_glorot_uniform_over_all_offsets():
    weight = gk.nn.Conv2d(8, 24, 3, groups=4, rng=0).weight.numpy()
    bound = np.sqrt(6 / (9 * (2 + 6)))
    assert weight.shape == (9, 2, 24) and 0.95 * bound < np.abs(weight).max() <= bound
    assert not gk.nn.Conv2d(8, 24, 3).bias.numpy().any()


def test_arguments_are_read_anew_by_every_layer():
    """Among remembered stencils 3.0 equals 3 and True equals 1; a layer must not depend on those built before."""
    gk.nn.Conv2d(2, 2, 3, stride=1), gk.nn.LocallyConnected2d(1, 1, 3, size=(4, 4))
    for wrong in ({"kernel_size": 3.0}, {"kernel_size": 3, "stride": True}, {"kernel_size": (3.0, 3)}):
        with pytest.raises(errors.GnnkitError, match="must be an integer"):
            gk.nn.Conv2d(2, 2, **wrong)
        with pytest.raises(errors.GnnkitError, match="must be an integer"):
            gk.nn.LocallyConnected2d(1, 1, size=(4, 4), **wrong)


@pytest.mark.parametrize("wrong", [(1, 1, 1), (1,), 2, -1, 0.5])
def test_output_padding_that_does_not_fit(wrong):
    with pytest.raises(errors.InvalidArgumentError, match="output_padding must be one whole number or one per axis"):
        gk.nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=wrong)


@pytest.mark.parametrize(
    "layer", [gk.nn.Conv2d(3, 2, 3), gk.nn.MaxPool(2), gk.nn.Upsample(2), gk.nn.Flatten(), gk.nn.StridePool(2)]
)
def test_graphs_without_a_grid_are_refused_by_name(layer):
    plain = gk.path(3).replace(x=np.ones((3, 3), "float32"))
    with pytest.raises(errors.InvalidGraphError, match=rf"^{type(layer).__name__}\(.*needs a grid"):
        layer(plain)


def test_what_is_no_graph_is_named_and_not_printed():
    for layer in (gk.nn.Upsample(2), gk.nn.ConvTranspose2d(3, 2, 2, stride=2)):
        with pytest.raises(errors.InvalidGraphError, match=r"Got numpy\.ndarray"):
            layer(graph_of(2), onto=np.zeros((8, 8, 3)))


def test_lenet_wants_rows_and_columns():
    for size in (28, (28,), (28, 28, 3)):
        with pytest.raises(errors.InvalidArgumentError, match=r"size must be \(rows, columns\)"):
            gk.nn.LeNet(size=size)


@pytest.mark.parametrize("kernel_size", [5, 1, (3, 5)])
def test_offsets_of_another_kernel_are_refused(kernel_size):
    """Offset 4 is the centre of 3 x 3 and the end of the first row of 5 x 5: the sum would be silently wrong."""
    plain = gk.transforms.to_explicit(gk.from_image(np.ones((4, 5, 3), "float32"), kernel_size=3))
    assert gk.nn.Conv2d(3, 2, 3, rng=0)(plain).x.shape == (20, 2)
    with pytest.raises(errors.InvalidFeatureError, match=r"must lie in|must be those of the kernel"):
        gk.nn.Conv2d(3, 2, kernel_size, rng=0)(plain)
    with pytest.raises(errors.InvalidFeatureError, match=r"In Conv1d.* has offset 6, in the graph 4"):
        gk.nn.Conv1d(3, 2, 13, rng=0)(plain)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 3)])
@pytest.mark.parametrize("border", gk.graph.grids.stencil.BORDERS)
@pytest.mark.parametrize("kernel_size", [(3, 3), (2, 4), (1, 2), (5, 4)])
def test_offsets_of_the_same_kernel_are_not_refused(size, border, kernel_size):
    x = np.random.default_rng(0).normal(size=(*size, 3))
    graph = gk.from_image(x, kernel_size=kernel_size, border=border)
    conv = gk.nn.Conv2d(3, 2, kernel_size, rng=0, dtype="float64")
    plain = conv(gk.transforms.to_explicit(graph))
    np.testing.assert_allclose(plain.x.numpy(), conv(graph).x.numpy(), atol=1e-12)


def test_a_border_cannot_be_chosen_on_explicit_edges():
    plain = gk.transforms.to_explicit(gk.from_image(np.ones((4, 5, 3), "float32")))
    with pytest.raises(errors.InvalidArgumentError, match="there is no border to choose"):
        gk.nn.Conv2d(3, 2, 3, border="wrap")(plain)
