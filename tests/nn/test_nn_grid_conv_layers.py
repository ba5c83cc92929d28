"""The relatives of a convolution: transposed, locally connected, isotropic, depthwise, hexagonal."""

from __future__ import annotations

import numpy as np
import pytest
from grid_cases import BORDERS, assert_close, cases, drawn, gradients, on_grid
from hypothesis import assume, given, settings

import gnnkit as gk
from gnnkit import errors
from gnnkit.autodiff import as_array
from gnnkit.graph.grids import Grid

several = settings(max_examples=80, deadline=None)


# --- transposed ----------------------------------------------------------------------------------------------------


def transposed(case, **options):
    """The transpose of the convolution of ``case``, without biases: weights shared, blocks turned."""
    conv = drawn(case.layer(bias=False))
    case.channels = case.channels[::-1]
    up = case.layer("ConvTranspose", bias=False, **options)
    case.channels = case.channels[::-1]
    up.weight.assign(gk.message.reversed_weight(conv.weight.numpy(), case.groups))
    return conv, up


@several
@given(case=cases())
def test_the_transpose_is_the_adjoint(case):
    assume(case.fits())
    conv, up = transposed(case)
    graph, rng = case.graph(), np.random.default_rng(1)
    out = conv(graph)
    y = rng.normal(size=out.x.shape)
    back = up(out.replace(x=y), onto=graph)
    assert back.x.shape == graph.x.shape and back.topology is graph.topology
    left, right = np.sum(out.x.numpy() * y), np.sum(graph.x * back.x.numpy())
    assert left == pytest.approx(right, rel=1e-12, abs=1e-11)


@several
@given(case=cases())
def test_the_transpose_over_explicit_edges(case):
    assume(case.fits())
    conv, up = transposed(case)
    fine = case.graph()
    coarse = conv(fine)
    coarse = coarse.replace(x=as_array(coarse.x))
    one = gradients(up, coarse, lambda g: up(g, onto=fine))
    other = gradients(up, coarse, lambda g: up.on_edges(g, onto=fine))
    assert_close(one, other)


@several
@given(case=cases(masks=False))
def test_the_matrix_of_the_transpose_is_the_transpose_of_the_matrix(case):
    assume(case.fits())
    conv, up = transposed(case)
    coarse = conv(case.graph())
    try:
        fine = up(coarse)
    except errors.InvalidGraphError:  # padded away
        return
    assert np.abs(up.to_matrix(coarse) - conv.to_matrix(fine).T).max() < 1e-12


@pytest.mark.parametrize(("kernel", "stride", "padding", "extra", "dilation"), [
    (3, 2, 1, 1, 1), (3, 2, 0, 0, 1), (4, 2, 1, 0, 1), (5, 3, 2, 2, 1), (3, 1, 0, 0, 2), (2, 2, 0, 0, 1),
    (3, 3, 1, 1, 2),
])  # fmt: skip
def test_sizes_are_those_of_the_usual_arithmetic(kernel, stride, padding, extra, dilation):
    options = {"stride": stride, "padding": padding, "output_padding": extra, "dilation": dilation}
    up = drawn(gk.nn.ConvTranspose2d(2, 3, kernel, **options))
    x = np.random.default_rng(0).normal(size=(4, 5, 2))
    out = up(on_grid((4, 5), x.reshape(-1, 2)))
    rows, columns = ((n - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 + extra for n in (4, 5))
    assert out.topology.grid.size == (rows, columns)
    whole = np.zeros((rows + 2 * padding, columns + 2 * padding, 3))  # scattered by the definition, then cut
    weight = up.weight.numpy().reshape(kernel, kernel, 2, 3)
    for i, j, a, b in np.ndindex(4, 5, kernel, kernel):
        whole[i * stride + a * dilation, j * stride + b * dilation] += x[i, j] @ weight[a, b]
    expected = whole[padding : padding + rows, padding : padding + columns] + up.bias.numpy()
    np.testing.assert_allclose(out.x.numpy(), expected.reshape(-1, 3), rtol=0, atol=1e-12)


def test_same_padding_grows_by_the_stride_and_onto_restores_any_size():
    up = gk.nn.ConvTranspose2d(2, 1, 3, stride=2, rng=0)
    graph = on_grid([(2, 3), (4, 1)], np.ones((10, 2), "float32"))
    assert up(graph).topology.grid.sizes == ((4, 6), (8, 2))
    fine = on_grid([(3, 5), (8, 2)], np.ones((31, 2), "float32"))
    assert up(graph, onto=fine).topology is fine.topology


def test_holes_are_restored():
    rng = np.random.default_rng(0)
    grid = Grid((7, 6), mask=rng.random((7, 6)) < 0.15)
    fine = on_grid(grid, rng.normal(size=(grid.num_nodes, 2)).astype("float32"))
    coarse = gk.nn.Conv2d(2, 3, 3, stride=2, rng=0)(fine)
    up = gk.nn.ConvTranspose2d(3, 2, 3, stride=2, rng=0)
    assert up(coarse, onto=fine).topology is fine.topology
    with pytest.raises(errors.InvalidGraphError, match="onto=graph"):
        up(coarse)


def test_onto_another_graph_is_refused():
    fine, coarse = on_grid((6, 6), np.ones((36, 2), "float32")), on_grid((4, 3), np.ones((12, 2), "float32"))
    with pytest.raises(errors.InvalidGraphError, match="kernel_size, stride, padding"):
        gk.nn.ConvTranspose2d(2, 2, 3, stride=2)(coarse, onto=fine)
    good = on_grid((3, 3), np.ones((9, 2), "float32"))
    up = gk.nn.ConvTranspose2d(2, 2, 3, stride=2)
    assert up(good, onto=fine).num_nodes == 36
    with pytest.raises(errors.InvalidGraphError, match="kernel_size, stride, padding"):
        up(coarse, onto=fine)


@pytest.mark.parametrize(("stride", "padding", "extra"), [(2, 1, 2), (2, "same", 1), (1, 0, 1), (2, 1, -1)])
def test_output_padding_is_less_than_the_stride(stride, padding, extra):
    with pytest.raises(errors.InvalidArgumentError, match="output_padding"):
        gk.nn.ConvTranspose2d(1, 1, 3, stride=stride, padding=padding, output_padding=extra)


# --- locally connected ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize(("size", "kernel", "options"), [
    ((9,), 3, {"padding": "valid"}),
    ((9,), 3, {}),
    ((5, 4), (3, 2), {"stride": (2, 1)}),
    ((5, 4), 3, {"padding": 2, "dilation": 2}),
    ((3, 3, 4), 2, {}),
])  # fmt: skip
def test_with_equal_weights_it_is_the_convolution(size, kernel, options, border):
    ndim = len(size)
    conv = drawn(getattr(gk.nn, f"Conv{ndim}d")(2, 3, kernel, border=border, **options))
    local = getattr(gk.nn, f"LocallyConnected{ndim}d")(2, 3, kernel, size=size, border=border, **options)
    local.astype("float64")
    offset = conv.topology(Grid(size)).offset
    local.weight.assign(conv.weight.numpy()[offset])
    local.bias.assign(np.broadcast_to(conv.bias.numpy(), local.bias.shape))
    x = np.random.default_rng(0).normal(size=(2 * int(np.prod(size)), 2))
    graph = on_grid(Grid(size, num_graphs=2), x)
    one, other = gradients(local, graph), gradients(conv, graph)
    assert_close({k: one[k] for k in ("output", "x")}, {k: other[k] for k in ("output", "x")}, 1e-11)
    total = np.zeros(conv.weight.shape)
    np.add.at(total, offset, one["weight"])
    np.testing.assert_allclose(total, other["weight"], rtol=0, atol=1e-11)
    flat = on_grid(size, x[: len(x) // 2])
    expected = (local.to_matrix() @ flat.x.ravel()).reshape(-1, 3) + local.bias.numpy()
    np.testing.assert_allclose(local(flat).x.numpy(), expected, rtol=0, atol=1e-12)


def test_locally_connected_knows_one_size():
    local = gk.nn.LocallyConnected2d(1, 1, 3, size=(4, 5))
    gk.nn.Conv2d(1, 1, 3)(on_grid((5, 4), np.ones((20, 1), "float32")))  # knows the place, asks for no size
    with pytest.raises(errors.ShapeError, match=r"\(4, 5\)"):
        local(on_grid((5, 4), np.ones((20, 1), "float32")))
    mask = np.ones((4, 5), bool)
    mask[0, 0] = False
    with pytest.raises(errors.ShapeError, match="mask"):
        local(on_grid(Grid((4, 5), mask=mask), np.ones((19, 1), "float32")))


def test_second_derivatives_of_locally_connected():
    local = drawn(gk.nn.LocallyConnected1d(2, 2, 3, size=4))
    graph = on_grid(Grid((4,), num_graphs=2), np.random.default_rng(0).normal(size=(8, 2)))

    def loss(x, weight):
        object.__setattr__(local, "weight", weight)
        return np.sum(np.sin(local(graph.replace(x=x)).x))

    gk.autodiff.assert_gradients(loss, graph.x, local.weight.numpy(), order=2, directions=2)


# --- isotropic -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize(("size", "kernel"), [((9,), 3), ((5, 6), 3), ((5, 6), (5, 3)), ((3, 4, 2), 3), ((1, 2), 3)])
@pytest.mark.parametrize("channels", [(2, 5), (5, 2)])
def test_isotropic_is_a_convolution_with_two_matrices(size, kernel, border, channels):
    layer = drawn(gk.nn.IsotropicConv(*channels, kernel))
    conv = drawn(getattr(gk.nn, f"Conv{len(size)}d")(*channels, kernel))
    conv.weight.assign(np.broadcast_to(layer.neighbour_weight.numpy(), conv.weight.shape))
    conv.weight.data[len(conv.weight) // 2] = layer.own_weight.numpy()
    conv.bias.assign(layer.bias.numpy())
    graph = on_grid(size, np.random.default_rng(0).normal(size=(int(np.prod(size)), channels[0])), border)
    np.testing.assert_allclose(layer(graph).x.numpy(), conv(graph).x.numpy(), rtol=0, atol=1e-12)
    assert_close(gradients(layer, graph), gradients(layer, graph, layer.on_edges))
    assert np.abs(layer.to_matrix(graph) - conv.to_matrix(graph)).max() < 1e-12
    edges, offset = graph.topology.to_explicit()
    if kernel == 3:
        plain = gk.Graph(edges, {"x": graph.x}, {"offset": offset})
        np.testing.assert_allclose(layer(plain).x.numpy(), layer(graph).x.numpy(), rtol=0, atol=1e-12)


def test_isotropic_is_equivariant_to_every_permutation(rng):
    layer = drawn(gk.nn.IsotropicConv(3, 2))
    x, order = rng.normal(size=(30, 3)), rng.permutation(30)
    edges, _ = on_grid((5, 6), x).topology.to_explicit()
    moved = np.empty_like(x)
    moved[order] = x
    shuffle = rng.permutation(edges.num_edges)
    turned = gk.from_edges(order[edges.senders][shuffle], order[edges.receivers][shuffle], x=moved)
    out = layer(on_grid((5, 6), x)).x.numpy()
    np.testing.assert_allclose(layer(turned).x.numpy()[order], out, rtol=0, atol=1e-12)
    assert layer.symmetry["nodes"] == "equivariant"


@pytest.mark.parametrize("move", [np.rot90, np.flipud, np.fliplr, lambda image: image.swapaxes(0, 1)])
@pytest.mark.parametrize("border", BORDERS)
def test_isotropic_turns_and_flips_with_the_image(move, border, rng):
    layer = drawn(gk.nn.IsotropicConv(2, 3, 5))
    image = rng.normal(size=(6, 7, 2))

    def run(pixels):
        graph = on_grid(pixels.shape[:2], np.ascontiguousarray(pixels).reshape(-1, 2), border)
        return layer(graph).x.numpy().reshape(*pixels.shape[:2], 3)

    np.testing.assert_allclose(run(move(image)), move(run(image)), rtol=0, atol=1e-12)


def test_self_loops_of_a_plain_graph_are_left_out():
    layer = drawn(gk.nn.IsotropicConv(1, 1, bias=False))
    layer.own_weight.assign([[1.0]])
    layer.neighbour_weight.assign([[10.0]])
    x = np.array([[1.0], [2.0], [3.0]])
    g = gk.from_edges([0, 0, 1, 1], [0, 1, 2, 2], x=x)
    np.testing.assert_array_equal(layer(g).x.numpy().ravel(), [1.0, 12.0, 43.0])


def test_isotropic_kernels_are_odd():
    with pytest.raises(errors.InvalidArgumentError, match="odd"):
        gk.nn.IsotropicConv(1, 1, 4)


# --- depthwise -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("multiplier", [1, 3])
def test_depthwise_is_a_convolution_of_each_channel(ndim, multiplier, rng):
    size = (5, 4, 3)[:ndim]
    layer = drawn(getattr(gk.nn, f"DepthwiseConv{ndim}d")(4, 3, multiplier=multiplier))
    x = rng.normal(size=(int(np.prod(size)), 4))
    out = layer(on_grid(size, x)).x.numpy()
    for channel in range(4):
        part = slice(channel * multiplier, (channel + 1) * multiplier)
        one = drawn(getattr(gk.nn, f"Conv{ndim}d")(1, multiplier, 3))
        one.weight.assign(layer.weight.numpy()[:, :, part])
        one.bias.assign(layer.bias.numpy()[part])
        expected = one(on_grid(size, x[:, channel : channel + 1])).x.numpy()
        np.testing.assert_allclose(out[:, part], expected, rtol=0, atol=1e-12)


# --- hexagonal -----------------------------------------------------------------------------------------------------


def axial(row, column):
    """Axial coordinates of a cell when odd rows are shifted to the right."""
    return row, column - (row - (row & 1)) // 2


def hexagon(kernel):
    r = kernel // 2
    return [(i, j) for i in range(-r, r + 1) for j in range(-r, r + 1) if abs(i + j) <= r]


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("holes", [False, True])
def test_hexagonal_against_a_loop(kernel, holes, rng):
    size = (6, 5)
    mask = rng.random(size) < 0.7 if holes else None
    grid = Grid(size, mask=mask, lattice="hexagonal")
    layer = drawn(gk.nn.HexConv(2, 3, kernel))
    graph = on_grid(grid, rng.normal(size=(grid.num_nodes, 2)))
    cells = [tuple(cell) for cell in grid.coordinates()]
    places = {axial(*cell): i for i, cell in enumerate(cells)}
    expected = np.tile(layer.bias.numpy(), (len(cells), 1))
    for i, cell in enumerate(cells):
        row, diagonal = axial(*cell)
        for k, (a, b) in enumerate(hexagon(kernel)):
            j = places.get((row + a, diagonal + b))
            if j is not None:
                expected[i] += graph.x[j] @ layer.weight.numpy()[k]
    np.testing.assert_allclose(layer(graph).x.numpy(), expected, rtol=0, atol=1e-12)
    assert_close(gradients(layer, graph), gradients(layer, graph, layer.on_edges))


def test_hexagonal_kernels_that_are_isotropic_turn_by_60_degrees(rng):
    radius = 3  # a hexagon of cells within a rectangle, turned about its centre
    cells = hexagon(2 * radius + 1)
    size = (2 * radius + 2, 2 * radius + 2)
    middle = (radius + 1, radius + 1)
    home = axial(*middle)

    def cell_of(i, j):
        row, diagonal = home[0] + i, home[1] + j
        return row, diagonal + (row - (row & 1)) // 2

    mask = np.zeros(size, bool)
    for place in cells:
        mask[cell_of(*place)] = True
    grid = Grid(size, mask=mask, lattice="hexagonal")
    node = {tuple(cell): i for i, cell in enumerate(grid.coordinates())}
    ids = np.array([node[cell_of(*place)] for place in cells])
    turned = np.array([node[cell_of(-j, i + j)] for i, j in cells])  # (i, j) -> (-j, i + j): 60 degrees
    x = rng.normal(size=(grid.num_nodes, 2))
    moved = np.empty_like(x)
    moved[turned] = x[ids]
    layer = drawn(gk.nn.HexConv(2, 3, 5))
    rings = [max(abs(i), abs(j), abs(i + j)) for i, j in hexagon(5)]
    layer.weight.assign(layer.weight.numpy()[[rings.index(ring) for ring in rings]])
    out, again = layer(on_grid(grid, x)).x.numpy(), layer(on_grid(grid, moved)).x.numpy()
    np.testing.assert_allclose(again[turned], out[ids], rtol=0, atol=1e-12)
    same = drawn(gk.nn.IsotropicConv(2, 3))
    out, again = same(on_grid(grid, x)).x.numpy(), same(on_grid(grid, moved)).x.numpy()
    np.testing.assert_allclose(again[turned], out[ids], rtol=0, atol=1e-12)
