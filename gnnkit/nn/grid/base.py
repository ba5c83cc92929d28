"""What the layers on grids share: which pixels they join, what they refuse, and the graph that they return.

Imports autodiff, graph, message and the module base.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from gnnkit.autodiff import SparseMatrix, Tensor
from gnnkit.errors import (
    DTypeError,
    InvalidArgumentError,
    InvalidFeatureError,
    InvalidGraphError,
    ShapeError,
    type_name,
)
from gnnkit.graph import Graph, Topology
from gnnkit.graph.grids import Grid, GridTopology, Stencil, grid_topology
from gnnkit.nn.declared import Symmetry
from gnnkit.nn.inputs import check_state, input_features, layer_name, require_dense
from gnnkit.nn.module import Module

AXES = {1: "a sequence", 2: "an image", 3: "a volume"}


@lru_cache(maxsize=1024)
def _stencil_of(kernel_size: Any, options: tuple[tuple[str, Any], ...]) -> Stencil:
    """The stencil of these arguments, the same object every time."""
    return Stencil(kernel_size, **dict(options))


@dataclass(frozen=True, eq=False)
class Place:
    """Where a layer runs on one kind of grid.

    Attributes
    ----------
    topology : GridTopology
        From the pixels of the input to those of the output.
    grid : Grid
        Of the output.
    out : Topology
        Of the graph that the layer returns: the neighbourhood of the input graph, on the new grid.
    """

    topology: GridTopology
    grid: Grid
    out: Topology


def kept_place(owner: GridTopology, key: Any, build: Callable[[], Place]) -> Place:
    """``build()``, worked out once and kept with the topology ``owner``."""

    def parts() -> tuple[GridTopology | None, Grid, Topology | None]:
        place = build()  # kept without the owner itself: a cycle would keep big plans alive
        runs, out = place.topology, place.out
        return None if runs is owner else runs, place.grid, None if out is owner else out

    runs, grid, out = owner.cached(key, parts)
    return Place(owner if runs is None else runs, grid, owner if out is None else out)


class GridLayer(Module):
    """Base of the layers that see pixels through a stencil: Graph to Graph.

    A subclass sets ``ndim`` and ``lattice``, stores the arguments of its stencil as attributes, and computes from
    ``self.place(graph).topology``.

    It promises that shifting the images, by multiples of the stride, shifts the output: on a torus (border "wrap")
    exactly, if its windows go around, and elsewhere away from the edges.
    """

    hops = 1
    ndim: ClassVar[int | None] = None  # None: any
    lattice: ClassVar[str | None] = None

    in_channels: int | None = None
    kernel_size: Any
    stride: Any = 1
    dilation: Any = 1
    padding: Any = "same"
    border: str | None = None

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        if self.lattice == "hexagonal":  # whose rows are shifted against each other: no group of the checker moves them
            return Symmetry({"union": "equivariant"})
        shifts = {"union": "equivariant", "translation": "equivariant"}
        if self._goes_around():
            shifts["torus"] = "equivariant"
        return Symmetry(shifts, step=self.stride, scale=inverse(self.stride))

    def _goes_around(self) -> bool:
        """Whether it takes a torus, whose size is a multiple of the stride, to a torus: no window is left out."""
        return self.border in (None, "wrap") and all(0 < beyond <= stride for beyond, stride in self._overhang())

    def _keeps_grids(self) -> bool:
        """Whether every image keeps its size."""
        return all(stride == beyond == 1 for beyond, stride in self._overhang())

    def _overhang(self) -> list[tuple[int, int]]:
        """For every axis: pixels of a window that do not fit into the padding, and the step between two windows."""
        values = (
            self.kernel_size,
            self.dilation,
            self.stride,
            0 if self.padding in ("same", "valid") else self.padding,
        )
        count = max(len(value) if isinstance(value, tuple) else 1 for value in values)
        axes = zip(*(value if isinstance(value, tuple) else (value,) * count for value in values))
        if self.padding == "same":  # pads what is needed for one output per step
            return [(stride, stride) for _, _, stride, _ in axes]
        return [(d * (k - 1) + 1 - (sum(pad) if isinstance(pad, tuple) else 2 * pad), s) for k, d, s, pad in axes]

    # --- where ---------------------------------------------------------------------------------------------------

    def stencil(self, like: Stencil | None = None) -> Stencil:
        """The stencil of this layer on graphs whose own neighbourhood is ``like``.

        What the layer leaves open, its border as a rule, is that of the graph. Without ``like`` the arguments are read
        anew: among those remembered 3.0 would count as 3.
        """
        stencil_of = _stencil_of.__wrapped__ if like is None else _stencil_of
        border = self.border or ("zero" if like is None else like.border)
        ndim = self.ndim if like is None else self.ndim or like.ndim
        lattice = self.lattice or ("square" if like is None else like.lattice)
        return stencil_of(
            self.kernel_size,
            (
                ("ndim", ndim),
                ("stride", self.stride),
                ("dilation", self.dilation),
                ("padding", self.padding),
                ("border", border),
                ("lattice", lattice),
            ),
        )

    def topology(self, graph: Graph | Grid | GridTopology) -> GridTopology:
        """The grid topology that this layer runs on: from the pixels of ``graph`` to those of the output.

        Parameters
        ----------
        graph : Graph, GridTopology or Grid
            A grid alone has the border "zero", unless the layer names its own.

        Raises
        ------
        InvalidGraphError
            If it is no grid, or has another number of axes or another lattice.
        """
        if isinstance(graph, Graph | GridTopology):
            return self.place(graph).topology
        grid = self._checked_grid(graph)
        like = Stencil(1, ndim=grid.ndim, lattice=grid.lattice)
        return self._run_on(grid, self.stencil(like))

    def place(self, graph: Graph | GridTopology) -> Place:
        """Where the layer runs on this graph; kept with its topology."""
        topology = grid_of(self, graph)
        stencil = self.stencil(topology.stencil)
        return kept_place(topology, (type(self)._run_on, stencil), lambda: self._build_place(topology, stencil))

    def _build_place(self, topology: GridTopology, stencil: Stencil) -> Place:
        grid = self._checked_grid(topology.grid)
        runs = self._run_on(grid, stencil)
        target = self._grid_after(runs)
        return Place(runs, target, topology if target == grid else grid_topology(target, topology.stencil))

    def _run_on(self, grid: Grid, stencil: Stencil) -> GridTopology:
        return grid_topology(grid, stencil)

    def _grid_after(self, topology: GridTopology) -> Grid:
        return topology.receiver_grid

    def _checked_grid(self, grid: Any) -> Grid:
        if not isinstance(grid, Grid):
            raise _no_grid(self, grid)
        if self.ndim is not None and grid.ndim != self.ndim:
            raise InvalidGraphError(
                f"{layer_name(self)} works on grids of {self.ndim} axes ({AXES[self.ndim]}). Got a grid of {grid.ndim} "
                f"axes, {AXES.get(grid.ndim, 'another')}. Use the layer whose name ends in {grid.ndim}d."
            )
        if self.lattice is not None and grid.lattice != self.lattice:
            other = "HexConv" if grid.lattice == "hexagonal" else "Conv2d"
            raise InvalidGraphError(
                f"{layer_name(self)} works on {self.lattice} grids. Got a grid with lattice={grid.lattice!r}. Use a "
                f"layer for that lattice, such as gk.nn.{other}."
            )
        return grid

    # --- what it takes -------------------------------------------------------------------------------------------

    def checked(self, graph: Any) -> Tensor:
        """``x`` of a graph that this layer can use, in the dtype of its parameters; others are refused."""
        if not isinstance(graph, Graph):
            raise InvalidArgumentError(
                f"{layer_name(self)} needs a gk.Graph whose nodes are pixels. Got {type_name(graph)}. Make one with "
                "gk.from_image(array), where a batch is [num_images, height, width, channels]."
            )
        check_state(graph, layer=self)
        x = graph.x
        if x.dtype.kind in "iub":
            raise DTypeError(
                f"The channels of a pixel must be floating, as {layer_name(self)} computes with them. Got x of dtype "
                f"{x.dtype} and shape {list(x.shape)}. gk.from_image scales bytes to [0, 1] by itself; or use "
                "g.replace(x=g.x.astype('float32') / 255), and one-hot rows or gk.nn.Embedding for categories."
            )
        x = input_features(x, self.in_channels, self.dtype_of(x), self)
        if isinstance(x, SparseMatrix):
            require_dense(x, self)  # refuses it
        if x.ndim != 2:
            raise ShapeError(
                f"{layer_name(self)} needs features of shape [num_nodes, channels]. Got x of shape {list(x.shape)}. "
                "Flatten the trailing axes with x.reshape(num_nodes, -1)."
            )
        return x

    def dtype_of(self, x: Any) -> Any:
        """The dtype to compute in: that of the parameters, or that of ``x`` for a layer without any."""
        for _, parameter in self.own_parameters():
            return parameter.dtype
        return x.dtype

    # --- what it gives -------------------------------------------------------------------------------------------

    def moved(self, graph: Graph, place: Place, x: Any) -> Graph:
        """The graph on the grid after this layer: ``x`` on its pixels, the globals as they were.

        A layer that keeps the grid keeps every field. On another grid the other fields of the nodes have no place: they
        are left behind, also if an image happens to keep its size (of one pixel, or none), which alone would else have
        other fields than in a batch. Named fields of edges are refused.
        """
        if place.out is graph.topology and self._keeps_grids():
            return graph.replace(x=x)
        if graph.edges:
            names = ", ".join(map(repr, graph.edges))
            raise InvalidFeatureError(
                f"{layer_name(self)} gives another grid, whose edges are others. Got a graph with the edge fields "
                f"{names}. Drop them with g.without({names})."
            )
        return Graph.trusted(place.out, {"x": x}, None, graph.globals, node_ptr=place.grid.node_ptr)

    def window(self, graph: Graph) -> tuple[tuple[float, float], ...]:
        """For every axis: how many pixels of ``graph`` one pixel of the output sees, and the step between two."""
        stencil = self.place(graph).topology.stencil
        return tuple(
            (dilation * (size - 1) + 1, stride)
            for size, dilation, stride in zip(stencil.kernel_size, stencil.dilation, stencil.stride)
        )


def grid_of(layer: Module, graph: Any) -> GridTopology:
    """The grid topology of a graph, or this itself; anything else is refused."""
    topology = graph.topology if isinstance(graph, Graph) else graph
    if not isinstance(topology, GridTopology):
        raise _no_grid(layer, topology)
    return topology


def _no_grid(layer: Module, given: Any) -> InvalidGraphError:
    came = repr(given) if isinstance(given, Topology) else type_name(given)
    return InvalidGraphError(
        f"{layer_name(layer)} needs a grid: pixels and their places. Got {came}. Make a graph of images with "
        "gk.from_image; convolutions also run on explicit edges with an integer edge field 'offset', as "
        "gk.transforms.to_explicit makes it."
    )


def per_axis(value: Any) -> Any:
    """An argument that is one number or one for every axis, as a number, a string or a (nested) tuple."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    return tuple(per_axis(item) for item in value) if isinstance(value, list | tuple) else value


def inverse(stride: Any) -> Any:
    """One over a stride, or over each of several: pixels after a layer for one before it."""
    return tuple(Fraction(1, step) for step in stride) if isinstance(stride, tuple) else Fraction(1, stride)


def is_symmetric(layer: GridLayer) -> tuple[bool, bool]:
    """Whether windows that all count the same look the same in a mirror, and after a quarter turn."""
    values = (layer.kernel_size, layer.dilation, layer.stride, layer.padding)
    sizes = layer.kernel_size if isinstance(layer.kernel_size, tuple) else (layer.kernel_size,)
    steps = layer.stride if isinstance(layer.stride, tuple) else (layer.stride,)
    pads = layer.padding if isinstance(layer.padding, tuple) else (layer.padding,)
    even = any(size % 2 == 0 for size in sizes) and layer.padding == "same"  # has more on one side
    mirrored = all(step == 1 for step in steps) and not even
    mirrored = mirrored and all(pad[0] == pad[1] for pad in pads if isinstance(pad, tuple))
    return mirrored, mirrored and all(len(set(value)) == 1 for value in values if isinstance(value, tuple))


def check_divides(groups: Any, in_channels: int, out_channels: int) -> int:
    """``groups``, if it divides the channels before and after."""
    whole = isinstance(groups, int | np.integer) and not isinstance(groups, bool)
    if not whole or groups < 1 or in_channels % groups or out_channels % groups:
        raise InvalidArgumentError(
            f"groups must be an integer that divides in_channels and out_channels. Got groups={groups!r} for "
            f"{in_channels} and {out_channels} channels. Choose a common divisor of them."
        )
    return int(groups)


def central_offsets(topology: Topology, offset: np.ndarray) -> list[int]:
    """The offsets of explicit edges that lead every node to itself, and nothing else; several where borders fold."""
    loops = offset[topology.self_loops()]
    kinds = zip(*np.unique(loops, return_counts=True))
    return [int(k) for k, count in kinds if count == topology.num_nodes == np.count_nonzero(offset == k)]
