"""Conv1d, Conv2d, Conv3d: the grid path, the explicit edges, the definition and the classic operation are one."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from grid_cases import BORDERS, Case, assert_close, cases, drawn, gradients, on_grid
from hypothesis import assume, given, settings
from scipy import ndimage, signal

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit.autodiff import as_array
from gnnkit.graph.grids import Grid, GridTopology

several = settings(max_examples=80, deadline=None)


@several
@given(case=cases())
def test_the_grid_path_is_the_definition(case):
    assume(case.fits())
    layer, graph = drawn(case.layer()), case.graph()
    expected = case.expected(graph.x, layer.weight.numpy(), layer.bias.numpy())
    out = layer(graph)
    assert out.x.shape == expected.shape
    np.testing.assert_allclose(out.x.numpy(), expected, rtol=0, atol=1e-12)
    assert out.num_graphs == graph.num_graphs and out.topology.stencil == graph.topology.stencil


@several
@given(case=cases())
def test_explicit_edges_give_the_same_output_and_gradients(case):
    assume(case.fits())
    layer, graph = drawn(case.layer()), case.graph()
    assert_close(gradients(layer, graph), gradients(layer, graph, layer.on_edges), 1e-12)


@several
@given(case=cases())
def test_float32_is_as_exact_as_its_digits(case):
    assume(case.fits())
    layer, graph = drawn(case.layer()), case.graph()
    exact = gradients(layer, graph, layer.on_edges)
    single = gradients(layer.astype("float32"), graph.replace(x=graph.x.astype("float32")))
    assert all(value.dtype == np.float32 for value in single.values())
    assert_close(single, exact, 1e-5)


@several
@given(case=cases())
def test_the_matrix_of_a_convolution(case):
    assume(case.fits())
    layer, graph = drawn(case.layer(bias=False)), case.graph()
    matrix = layer.to_matrix(graph)
    out = layer(graph).x.numpy()
    assert matrix.shape == (out.size, graph.x.size)
    np.testing.assert_allclose(matrix @ graph.x.ravel(), out.ravel(), rtol=0, atol=1e-12)


@several
@given(case=cases(masks=False))
def test_a_batch_is_a_loop(case):
    assume(case.fits())
    layer, graph = drawn(case.layer()), case.graph()
    out = layer(graph)
    for i, one in enumerate(gk.unbatch(graph)):
        part = as_array(out.x)[out.node_ptr[i] : out.node_ptr[i + 1]]
        np.testing.assert_array_equal(as_array(layer(one).x), part)


@several
@given(case=cases())
def test_second_derivatives(case):
    assume(case.fits() and sum(int(np.prod(size)) for size in case.sizes) < 40)
    layer, graph = case.layer(), case.graph()
    topology = layer.topology(graph)
    rng = np.random.default_rng(case.seed)

    def loss(x, weight):
        return np.sum(np.sin(gk.message.stencil_sum(topology, x, weight, groups=case.groups)))

    gk.autodiff.assert_gradients(loss, graph.x, rng.normal(size=layer.weight.shape), order=2, directions=1)


# --- against the classic operation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(9,), (7, 5), (4, 5, 3)])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_scipy_signal_correlate(shape, padding):
    ndim, rng = len(shape), np.random.default_rng(0)
    conv = getattr(gk.nn, f"Conv{ndim}d")(2, 3, 3, padding=padding, bias=False, dtype="float64", rng=0)
    image = rng.normal(size=(*shape, 2))
    out = conv(on_grid(shape, image.reshape(-1, 2))).x.numpy()
    kernel = conv.weight.numpy().reshape(*[3] * ndim, 2, 3)
    for channel in range(3):
        expected = sum(signal.correlate(image[..., c], kernel[..., c, channel], mode=padding) for c in range(2))
        np.testing.assert_allclose(out[:, channel], expected.ravel(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("border", "mode"), [("zero", "constant"), ("wrap", "wrap"), ("reflect", "mirror"), ("edge", "nearest")]
)
@pytest.mark.parametrize("kernel", [(3, 3), (5, 3), (1, 7)])
def test_borders_are_those_of_scipy_ndimage(border, mode, kernel):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(8, 9))
    conv = gk.nn.Conv2d(1, 1, kernel, border=border, bias=False, dtype="float64", rng=0)
    expected = ndimage.correlate(image, conv.weight.numpy().reshape(kernel), mode=mode)
    out = gk.to_image(conv(gk.from_image(image)))
    np.testing.assert_allclose(out[..., 0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("border", BORDERS)
def test_a_layer_takes_the_border_of_the_graph(border):
    image = np.random.default_rng(0).normal(size=(5, 6, 2))
    conv = gk.nn.Conv2d(2, 3, 3, dtype="float64", rng=0)
    told = gk.nn.Conv2d(2, 3, 3, border=border, dtype="float64", rng=0)
    one, other = conv(gk.from_image(image, border=border)), told(gk.from_image(image))
    np.testing.assert_array_equal(one.x.numpy(), other.x.numpy())


# --- symmetry ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [(1, 0), (0, 2), (3, 4)])
def test_translation_equivariance_is_exact_on_a_torus(shift):
    image = np.random.default_rng(0).normal(size=(7, 8, 2))
    net = gk.nn.Sequential(gk.nn.Conv2d(2, 4, 3, rng=0), gk.nn.Tanh(), gk.nn.Conv2d(4, 2, 5, rng=1)).astype("float64")
    moved = np.roll(image, shift, axis=(0, 1))
    assert net.symmetry["torus"] == "equivariant" and net.symmetry.step == 1
    out = gk.to_image(net(gk.from_image(image, border="wrap")))
    again = gk.to_image(net(gk.from_image(moved, border="wrap")))
    np.testing.assert_array_equal(np.roll(out, shift, axis=(0, 1)), again)


@pytest.mark.parametrize("stride", [(2, 2), (1, 3)])
def test_translation_by_multiples_of_the_stride(stride):
    image = np.random.default_rng(0).normal(size=(8, 12, 2))
    down = gk.nn.Conv2d(2, 4, 3, stride=stride, rng=0, dtype="float64")
    up = gk.nn.ConvTranspose2d(4, 2, 3, stride=stride, rng=1, dtype="float64")
    fine, moved = (gk.from_image(each, border="wrap") for each in (image, np.roll(image, stride, axis=(0, 1))))
    np.testing.assert_array_equal(np.roll(gk.to_image(down(fine)), 1, axis=(0, 1)), gk.to_image(down(moved)))
    out, again = (gk.to_image(up(down(each), onto=each)) for each in (fine, moved))
    np.testing.assert_array_equal(np.roll(out, stride, axis=(0, 1)), again)
    both = gk.nn.Sequential(down, up).symmetry
    by = stride if stride == (1, 3) else 2
    assert (down.symmetry.step, up.symmetry.step, both.step, both.scale) == (by, 1, by, 1)
    assert down.symmetry["torus"] == up.symmetry["torus"] == both["torus"] == "equivariant"


@pytest.mark.parametrize("border", BORDERS)
def test_translation_equivariance_in_the_interior(border):
    image = np.random.default_rng(0).normal(size=(9, 10, 2))
    conv = gk.nn.Conv2d(2, 4, 3, rng=0, dtype="float64")
    out = gk.to_image(conv(gk.from_image(image, border=border)))
    moved = gk.to_image(conv(gk.from_image(image[2:, 1:], border=border)))
    np.testing.assert_array_equal(out[3:-1, 2:-1], moved[1:-1, 1:-1])
    assert conv.symmetry["translation"] == "equivariant"


def test_the_number_of_threads_changes_no_bit():
    image = np.random.default_rng(0).normal(size=(3, 33, 41, 5)).astype("float32")
    layers = [
        gk.nn.Conv2d(5, 7, 3, rng=0),
        gk.nn.Conv2d(5, 7, 3, stride=2, rng=0),
        gk.nn.DepthwiseConv2d(5, 5, rng=0),
        gk.nn.ConvTranspose2d(5, 4, 3, stride=2, rng=0),
        gk.nn.IsotropicConv(5, 7, rng=0),
    ]
    before = K.get_num_threads()
    for layer in layers:
        found = []
        try:
            for threads in (1, 2, 3):
                K.set_num_threads(threads)
                found.append(gradients(layer, gk.from_image(image)))
        finally:
            K.set_num_threads(before)
        for other in found[1:]:
            for key, value in found[0].items():
                np.testing.assert_array_equal(value, other[key], err_msg=f"{layer!r} {key}")


# --- sizes, holes, nothing -----------------------------------------------------------------------------------------


def test_mixed_sizes_in_one_batch():
    rng = np.random.default_rng(0)
    images = [rng.normal(size=(*size, 2)) for size in [(5, 7), (3, 3), (5, 7), (1, 9)]]
    conv = gk.nn.Conv2d(2, 3, 3, stride=2, dtype="float64", rng=0)
    out = conv(gk.from_image(images))
    for image, single in zip(gk.to_image(out), images):
        np.testing.assert_array_equal(image, gk.to_image(conv(gk.from_image(single))))


def test_holes_are_not_zeros_with_a_bias_and_need_no_values():
    rng = np.random.default_rng(0)
    image, mask = rng.normal(size=(6, 6, 1)), rng.random((6, 6)) < 0.6
    image[~mask] = np.nan  # never looked at
    net = gk.nn.Sequential(gk.nn.Conv2d(1, 2, 3, rng=0), gk.nn.Conv2d(2, 1, 3, rng=1)).astype("float64")
    out = net(gk.from_image(image, mask=mask))
    assert out.num_nodes == mask.sum() and np.isfinite(out.x.numpy()).all()


@pytest.mark.parametrize("sizes", [(0, 5), (0, 0), [(0, 3), (2, 2)], [(2, 2), (0, 0), (2, 2)]])
@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"padding": "valid", "kernel_size": 1}])
def test_empty_images(sizes, options):
    grid = Grid(sizes)
    conv = gk.nn.Conv2d(2, 3, **{"kernel_size": 3, **options}, dtype="float64", rng=0)
    found = gradients(conv, on_grid(grid, np.ones((grid.num_nodes, 2))))
    assert all(np.isfinite(value).all() for value in found.values())
    assert found["x"].shape == (grid.num_nodes, 2)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_mask_with_no_pixel_left(stride):
    grid = Grid((4, 4), mask=np.zeros((4, 4), bool))
    conv = gk.nn.Conv2d(2, 3, 3, stride=stride, rng=0)
    out = conv(on_grid(grid, np.zeros((0, 2), "float32")))
    assert out.num_nodes == 0 and out.x.shape == (0, 3) and out.num_graphs == 1


@pytest.mark.parametrize(("inside", "out"), [(0, 3), (2, 0), (0, 0)])
def test_no_channels(inside, out):
    conv = gk.nn.Conv2d(inside, out, 3, rng=0)
    y = conv(gk.from_image(np.ones((4, 5, inside), "float32")))
    assert y.x.shape == (20, out)


# --- what is kept --------------------------------------------------------------------------------------------------


def test_other_fields_stay_with_the_grid_and_globals_always():
    g = gk.from_image(np.ones((2, 4, 4, 1), "float32"))
    g = g.replace(nodes={"label": np.arange(32)}, globals={"y": np.array([3, 5])})
    same = gk.nn.Conv2d(1, 2, 3, rng=0)(g)
    assert same.topology is g.topology and same.nodes["label"][7] == 7 and same.globals["y"].tolist() == [3, 5]
    half = gk.nn.Conv2d(1, 2, 3, stride=2, rng=0)(g)
    assert set(half.nodes) == {"x"} and half.globals["y"].tolist() == [3, 5]
    assert half.node_ptr.tolist() == [0, 4, 8] and half.num_graphs == 2


def test_batches_of_one_shape_share_their_plans():
    conv = gk.nn.Conv2d(1, 2, 3, stride=2, rng=0)
    one, two = (gk.from_image(np.full((2, 4, 4, 1), value, "float32")) for value in (1.0, 2.0))
    assert conv.topology(one) is conv.topology(two)
    assert conv(one).topology is conv(two).topology


def test_topologies_are_freed_at_once():
    mask = np.random.default_rng(0).random((5, 5)) < 0.6
    graph = gk.from_image(np.ones((5, 5, 1), "float32"), mask=mask)
    own = GridTopology(graph.topology.grid, graph.topology.stencil)  # not one that is shared
    graph = gk.Graph(own, dict(graph.nodes))
    for layer in (gk.nn.Conv2d(1, 1, 3, rng=0), gk.nn.Conv2d(1, 1, 5, rng=0), gk.nn.Conv2d(1, 1, 3, stride=2, rng=0)):
        layer(graph)
        gk.nn.ConvTranspose2d(1, 1, 3, rng=0)(graph, onto=graph)
    alive = weakref.ref(own)
    gc.disable()
    try:
        del graph, own
        assert alive() is None
    finally:
        gc.enable()


def test_a_graph_with_explicit_edges_and_offsets():
    g = gk.from_image(np.random.default_rng(0).normal(size=(2, 5, 4, 4)), border="reflect")
    conv = gk.nn.Conv2d(4, 6, 3, groups=2, dtype="float64", rng=0)
    plain = gk.transforms.to_explicit(g)
    assert_close(gradients(conv, plain), gradients(conv, g), 1e-12)
    for options in ({"stride": 2}, {"padding": "valid"}, {"dilation": 2}):
        with pytest.raises(gk.errors.InvalidArgumentError, match="explicit edges"):
            gk.nn.Conv2d(4, 6, 3, **options, dtype="float64")(plain)
    with pytest.raises(gk.errors.InvalidFeatureError, match="matrix for every offset"):
        gk.nn.Conv2d(4, 6, 2, dtype="float64")(plain)


def test_by_hand():
    case = Case([(3,)], (2,), (1,), (1,), "same", "zero", channels=(1, 1))
    np.testing.assert_array_equal(case.pads((3,)), [(0, 1)])  # an even kernel pads more behind
    conv = gk.nn.Conv1d(1, 1, 2, bias=False, dtype="float64")
    conv.weight.assign([[[1.0]], [[10.0]]])
    out = conv(on_grid((3,), np.array([[1.0], [2.0], [3.0]])))
    np.testing.assert_array_equal(out.x.numpy().ravel(), [21.0, 32.0, 3.0])
