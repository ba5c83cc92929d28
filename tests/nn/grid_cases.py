"""What the tests of layers on grids share: a convolution by its definition, and random cases for it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit.autodiff import as_array
from gnnkit.graph.grids import Grid, Stencil, grid_topology

BORDERS = ("zero", "wrap", "reflect", "edge")


def folded(position, size, border):
    """The cell that is found at ``position`` along an axis of ``size`` cells; None if there is none."""
    if 0 <= position < size:
        return position
    if border == "zero" or size == 0:
        return None
    if border == "wrap":
        return position % size
    if border == "edge":
        return min(max(position, 0), size - 1)
    period = 2 * (size - 1)
    turned = position % period if period else 0
    return turned if turned < size else period - turned


def on_grid(grid, x, border="zero"):
    """A graph of the cells of ``grid`` with features ``x``; a Grid, or its sizes."""
    grid = grid if isinstance(grid, Grid) else Grid(grid)
    return gk.Graph(grid_topology(grid, Stencil(3, ndim=grid.ndim, border=border, lattice=grid.lattice)), {"x": x})


def drawn(layer, seed=0):
    """The layer in float64 with parameters drawn anew, biases too."""
    rng = np.random.default_rng(seed)
    layer.astype("float64")
    for parameter in layer.parameters():
        parameter.assign(rng.normal(size=parameter.shape))
    return layer


def gradients(layer, graph, call=None):
    """The output, and the gradients of a fixed function of it for x and the parameters."""
    x = gk.tensor(graph.x, requires_grad=True)
    layer.zero_grad()
    out = (call or layer)(graph.replace(x=x))
    np.sum(np.sin(out.x)).backward()
    found = {"output": as_array(out.x), "x": x.grad.numpy()}
    return found | {name: p.grad.numpy() for name, p in layer.named_parameters()}


def assert_close(left, right, tolerance=1e-12):
    """Equal up to ``tolerance`` times the largest value."""
    assert left.keys() == right.keys()
    for key in left:
        scale = max(np.abs(right[key]).max(initial=0.0), 1.0)
        np.testing.assert_allclose(left[key], right[key], rtol=0, atol=tolerance * scale, err_msg=key)


def pads_of(padding, size, kernel, stride, dilation):
    """(before, after) for every axis."""
    if padding == "valid":
        return [(0, 0)] * len(size)
    if padding == "same":
        totals = [
            max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0) for n, k, s, d in zip(size, kernel, stride, dilation)
        ]
        return [(total // 2, total - total // 2) for total in totals]
    if isinstance(padding, int):
        return [(padding, padding)] * len(size)
    return [pair if isinstance(pair, tuple) else (pair, pair) for pair in padding]


def output_size(case, size):
    axes = zip(size, case.kernel, case.stride, case.dilation, case.pads(size))
    return tuple((n + sum(pad) - d * (k - 1) - 1) // s + 1 if n else 0 for n, k, s, d, pad in axes)


@dataclass
class Case:
    """The arguments of a convolution, and what it is applied to."""

    sizes: list
    kernel: tuple
    stride: tuple
    dilation: tuple
    padding: object
    border: str
    groups: int = 1
    channels: tuple = (1, 1)
    masks: list | None = None
    seed: int = 0
    options: dict = field(default_factory=dict)

    @property
    def ndim(self):
        return len(self.kernel)

    @property
    def has_holes(self):
        return self.masks is not None and not all(mask.all() for mask in self.masks)

    def pads(self, size):
        return pads_of(self.padding, size, self.kernel, self.stride, self.dilation)

    def fits(self):
        axes = [
            (n + sum(pad), d * (k - 1) + 1)
            for size in self.sizes
            for n, k, d, pad in zip(size, self.kernel, self.dilation, self.pads(size))
        ]
        return all(room >= reach for room, reach in axes)

    def layer(self, name="Conv", **options):
        return getattr(gk.nn, f"{name}{self.ndim}d")(
            *self.channels,
            self.kernel,
            stride=self.stride,
            dilation=self.dilation,
            padding=self.padding,
            groups=self.groups,
            border=self.border,
            rng=self.seed,
            dtype="float64",
            **options,
        )

    def graph(self, channels=None, dtype="float64"):
        rng = np.random.default_rng(self.seed)
        grid = Grid(self.sizes, mask=self.masks)
        x = rng.normal(size=(grid.num_nodes, self.channels[0] if channels is None else channels)).astype(dtype)
        return on_grid(grid, x)

    def images(self, x, sizes=None, masks=None):
        """Rows of pixels as one array [*size, channels] per image, missing pixels NaN."""
        sizes, masks = sizes or self.sizes, masks if masks is not None else self.masks
        images, start = [], 0
        for i, size in enumerate(sizes):
            there = np.ones(size, bool) if masks is None else masks[i]
            image = np.full((*size, x.shape[1]), np.nan)
            count = int(there.sum())
            image[there] = x[start : start + count]
            start += count
            images.append(image)
        assert start == len(x)
        return images

    def expected(self, x, weight, bias=0.0):
        """The output by the definition: rows of the pixels that exist, image after image."""
        return np.concatenate([self._one(image, weight, bias) for image in self.images(x)])

    def _one(self, image, weight, bias):
        size, (_, out_channels) = image.shape[:-1], self.channels
        there = ~np.isnan(image).any(axis=-1) if self.channels[0] else np.ones(size, bool)
        inside, outside = self.channels[0] // self.groups, out_channels // self.groups
        keeps = output_size(self, size) == size and set(self.stride) == {1}
        pads, rows = self.pads(size), []
        for output in np.ndindex(*output_size(self, size)):
            total, heard, in_padding = np.zeros(out_channels), False, True
            for k, offset in enumerate(itertools.product(*map(range, self.kernel))):
                place = tuple(
                    folded(o * s + j * d - before, n, self.border)
                    for o, s, j, d, (before, _), n in zip(output, self.stride, offset, self.dilation, pads, size)
                )
                in_padding &= None in place
                if None in place or not there[place]:
                    continue
                heard = True
                for g in range(self.groups):
                    part = slice(g * outside, (g + 1) * outside)
                    total[part] += image[place][g * inside : (g + 1) * inside] @ weight[k][:, part]
            exists = True if not self.has_holes else (there[output] if keeps else heard or in_padding)
            if exists:
                rows.append(total + bias)
        return np.array(rows).reshape(-1, out_channels)


@st.composite
def cases(draw, masks=True, ndims=(1, 2, 3)):
    """Random convolutions of a few small images."""
    ndim = draw(st.sampled_from(ndims))
    per_axis = lambda low, high: st.tuples(*[st.integers(low, high)] * ndim)  # noqa: E731
    longest = {1: 9, 2: 6, 3: 4}[ndim]
    sizes = draw(st.lists(per_axis(1, longest), min_size=1, max_size=3))
    if draw(st.booleans()):
        sizes = [sizes[0]] * len(sizes)
    padding = draw(
        st.one_of(
            st.sampled_from(["same", "valid"]),
            st.integers(0, 2),
            st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * ndim),
        )
    )
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    inside, outside = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    case = Case(
        sizes=sizes,
        kernel=draw(per_axis(1, 3 if ndim > 1 else 4)),
        stride=draw(st.one_of(st.just((1,) * ndim), per_axis(1, 3))),
        dilation=draw(st.one_of(st.just((1,) * ndim), per_axis(1, 2))),
        padding=padding,
        border=draw(st.sampled_from(BORDERS)),
        groups=groups,
        channels=(groups * inside, groups * outside),
        seed=draw(st.integers(0, 1000)),
    )
    if masks and draw(st.booleans()):
        rng = np.random.default_rng(case.seed + 1)
        case.masks = [rng.random(size) < draw(st.sampled_from([0.0, 0.3, 0.7])) for size in sizes]
    return case
