"""IsotropicConv: one matrix for the centre and one for all neighbours, so that the order of edges cannot matter.

Imports the base of grid layers and message passing.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import Tensor
from gnnkit.errors import InvalidArgumentError
from gnnkit.graph import Graph, Topology
from gnnkit.graph.grids import Grid, GridTopology
from gnnkit.message import neighbour_sum, stencil_sum
from gnnkit.nn.conv.base import add_bias, add_into, aggregates_first
from gnnkit.nn.declared import MESSAGE_PASSING, Symmetry
from gnnkit.nn.grid.base import GridLayer, central_offsets, is_symmetric, per_axis
from gnnkit.nn.grid.matrices import stencil_matrix
from gnnkit.nn.init import glorot_uniform
from gnnkit.nn.linear import check_count
from gnnkit.nn.parameter import Parameter


class IsotropicConv(GridLayer):
    """Convolution with the same matrix at every offset but the centre: what is left of a kernel on a graph.

    ``y_i = x_i @ own_weight + sum over the neighbours j of x_j @ neighbour_weight + bias``.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of a node before and after.
    kernel_size : int or tuple of int
        On grids: the extent of the neighbourhood, odd. Of any number of axes, also hexagonal. A plain graph brings its
        own neighbourhoods.
    border : None, "zero", "wrap", "reflect" or "edge"
        On grids, as of :class:`Conv2d`.
    bias : bool
        Whether to add a bias, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws ``own_weight`` and ``neighbour_weight`` [in_channels, out_channels], Glorot uniform.
    dtype
        Dtype of the parameters, in which it computes.

    Notes
    -----
    A kernel that is one value everywhere but at its centre does not ask which edge is which, so the layer is
    equivariant to every permutation of the nodes, on a grid to turns and flips as well, and it works on any graph: a
    sum over neighbours and two products, as :class:`GraphConv`.

    On a plain graph self-loops are left out, as the node itself has its own matrix; parallel edges count each. With an
    integer edge field "offset" (``gk.transforms.to_explicit``) the edges of the centre are left out instead, so that
    the result is that of the grid also where a border folds a neighbour onto the pixel itself.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> layer = gk.nn.IsotropicConv(1, 1, bias=False)
    >>> layer.own_weight.assign([[1.0]]); layer.neighbour_weight.assign([[10.0]])
    >>> x = np.array([[1.0], [2.0], [3.0]], "float32")
    >>> layer(gk.from_sequence(x)).x.numpy().ravel(), layer(gk.path(3).replace(x=x)).x.numpy().ravel()
    (array([21., 42., 23.], dtype=float32), array([21., 42., 23.], dtype=float32))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any = 3,
        *,
        border: str | None = None,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        self.kernel_size, self.border = per_axis(kernel_size), border
        sizes = self.kernel_size if isinstance(self.kernel_size, tuple) else (self.kernel_size,)
        if any(isinstance(size, bool) or not isinstance(size, int) or size < 1 or size % 2 == 0 for size in sizes):
            raise InvalidArgumentError(
                f"kernel_size must be odd, so that there is a centre. Got {kernel_size!r}. Use 3, 5, or (3, 5)."
            )
        self.own_weight = Parameter(np.zeros((in_channels, out_channels)), dtype=dtype)
        self.neighbour_weight = Parameter(np.zeros((in_channels, out_channels)), dtype=dtype)
        self.bias = Parameter(np.zeros(out_channels), dtype=dtype, decay=0.0) if bias else None
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        self.own_weight.assign(glorot_uniform(self.own_weight.shape, rng))
        self.neighbour_weight.assign(glorot_uniform(self.neighbour_weight.shape, rng))
        if self.bias is not None:
            self.bias.assign(np.zeros(self.out_channels))

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        """All relabellings of the nodes, which are those of a grid too if the layer does not see its axes or border."""
        shifts, (flip, turn) = super().symmetry, is_symmetric(self)
        if turn and "torus" in shifts:
            return shifts.without("torus") | MESSAGE_PASSING
        return shifts | {name: "equivariant" for name, some in (("flip", flip), ("rot90", turn)) if some}

    def forward(self, graph: Graph) -> Graph:
        x = self.checked(graph)
        if isinstance(graph.topology, GridTopology):
            edges: Topology = self.place(graph).topology
        else:
            edges = _without_centre(graph.topology, graph.edges.get("offset"))
        return graph.replace(x=self._joined(x, edges))

    def on_edges(self, graph: Graph) -> Graph:
        """The same as calling the layer on a grid graph, but over explicit edges; see :meth:`Conv2d.on_edges`."""
        x = self.checked(graph)
        return graph.replace(x=self._joined(x, _without_centre(*self.place(graph).topology.to_explicit())))

    def _joined(self, x: Tensor, edges: Topology) -> Tensor:
        own = x @ self.own_weight
        if aggregates_first(x, self.out_channels):
            out = add_into(own, _neighbours(edges, x) @ self.neighbour_weight)
        else:
            out = add_into(own, _neighbours(edges, x @ self.neighbour_weight))
        return add_bias(out, self.bias)

    def to_matrix(self, grid: Grid | Graph | GridTopology) -> Any:
        """The layer without its bias as a sparse matrix, as :meth:`Conv2d.to_matrix`."""
        topology = self.topology(grid)
        edges, offset = topology.to_explicit()
        both = np.stack([self.neighbour_weight.data, self.own_weight.data])
        return stencil_matrix(edges, both[(offset == topology.num_offsets // 2).astype(int)])

    def work(self, graph_in: Any, graph_out: Any) -> float:
        inside, out = self.own_weight.shape
        grid = isinstance(graph_in.topology, GridTopology)
        edges = self.topology(graph_in).num_edges if grid else graph_in.num_edges
        return 4.0 * graph_in.num_nodes * inside * out + 2.0 * edges * min(inside, out)


def _neighbours(edges: Topology, h: Any) -> Any:
    """Sum of ``h`` over the neighbours: all edges of a plain topology, all offsets but the centre of a grid."""
    if not isinstance(edges, GridTopology):
        return neighbour_sum(edges, h)
    channels = h.shape[1]
    ones = np.ones((edges.num_offsets, min(channels, 1), channels), h.dtype)
    ones[edges.num_offsets // 2] = 0.0
    return stencil_sum(edges, h, ones, groups=max(channels, 1))


def _without_centre(topology: Topology, offset: Any) -> Topology:
    """The edges to others: without self-loops or, if the edges have offsets, without those of the central one."""
    if offset is None:
        return topology.cached("without_loops", lambda: _selected(topology, ~topology.self_loops()))
    offset = np.ascontiguousarray(offset)
    key = ("without_centre", blake2b(offset.data, digest_size=16).digest())

    def others() -> Topology:
        centres = central_offsets(topology, offset)  # where there are several, they are exchangeable
        return _selected(topology, offset != (centres[0] if centres else -1))

    return topology.cached(key, others)


def _selected(topology: Topology, kept: np.ndarray) -> Topology:
    sizes = {"num_senders": topology.num_senders, "num_receivers": topology.num_receivers}
    return Topology.sort(topology.senders[kept], topology.receivers[kept], **sizes)
