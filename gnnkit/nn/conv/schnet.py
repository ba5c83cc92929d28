"""SchNetConv, the continuous filter of Schuett et al. Imports the geometric base and message programs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import Tensor, softplus
from gnnkit.errors import InvalidArgumentError
from gnnkit.graph import Graph
from gnnkit.message import agg, message_program
from gnnkit.nn.conv.base import add_bias
from gnnkit.nn.conv.geometric import GeometricConvolution
from gnnkit.nn.declared import EQUIVARIANT
from gnnkit.nn.init import glorot_uniform
from gnnkit.nn.linear import check_count
from gnnkit.nn.parameter import Parameter


class SchNetConv(GeometricConvolution):
    """Continuous-filter convolution: the distance to a neighbour chooses, through a network, a weight per channel.

    ``x_i' = W_out^T sum_{j in N(i)} (W_in^T x_j) * filter(|p_i - p_j|) * fade(|p_i - p_j|) + b``,
    ``filter(d) = s(W_2^T s(W_1^T gaussians(d) + b_1) + b_2)``, ``gaussians(d)_k = exp(-gamma (d - mu_k)^2)``,
    ``s(t) = log(1/2 exp(t) + 1/2)``, ``fade(d) = (cos(pi d / cutoff) + 1) / 2`` up to the cutoff and 0 beyond.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of ``x`` before and after.
    filters : int, optional
        Channels of the filter and of what it multiplies; ``out_channels`` if not given.
    gaussians : int
        Number of Gaussians, at least 2; their centres ``mu`` lie evenly on [0, cutoff], and ``gamma`` is
        ``1 / (2 spacing^2)``.
    cutoff : float
        Distance from which on nodes do not see each other, in the unit of the positions.
    positions : str
        Name of the node field [num_nodes, dimensions] that holds ``p``; any number of dimensions.
    bias : bool
        Whether to add ``b``, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws ``in_weight``, ``out_weight``, ``filter_weight_1`` and ``filter_weight_2``, Glorot uniform.
    dtype
        Dtype of the parameters, in which it computes; positions are converted to it.

    Raises
    ------
    UnknownFieldError
        If the graph has no field of that name.
    ShapeError
        If positions or ``x`` have the wrong shape.
    InvalidFeatureError
        If the graph has state ``e`` or ``u``, which this layer would ignore.

    Notes
    -----
    Products with nodes are taken per node (sparse ``x`` stays sparse); distances, Gaussians, filters and the sum are
    one message program without an array of one row per edge. The edges say who is looked at: make them long enough for
    the cutoff. A node without incoming edges gets ``b``. Messages follow the edges; a self-loop has distance 0;
    parallel edges count each. The derivative of a distance of 0 is taken as 0, so that coincident nodes give finite
    forces.

    Differences from the paper: the factor ``fade``, from the authors' later code, which makes energies smooth where a
    neighbour enters the cutoff; centres up to the cutoff instead of every 0.1 A up to 30 A. The non-linear, atom-wise
    rest of an interaction block is made of Linear, a softplus and gk.nn.Residual. Bipartite topologies are refused.

    References
    ----------
    Schuett et al., SchNet: a continuous-filter convolutional neural network for modeling quantum interactions, NIPS
    2017, equation 1 and section 4.1.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.complete(4).replace(x=np.eye(4, dtype="float32"), nodes={"pos": np.eye(4, 3, dtype="float32")})
    >>> gk.nn.SchNetConv(4, 8, gaussians=10, cutoff=3.0, rng=0)(g).x.shape
    (4, 8)
    """

    symmetry = EQUIVARIANT | {"euclidean": "invariant"}  # distances alone are read

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        filters: int | None = None,
        gaussians: int = 50,
        cutoff: float = 10.0,
        positions: str = "pos",
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if not cutoff > 0 or not np.isfinite(cutoff) or check_count("gaussians", gaussians) < 2:
            raise InvalidArgumentError(
                "The cutoff must be positive and finite, and there must be at least 2 Gaussians. Got "
                f"cutoff={cutoff!r}, gaussians={gaussians!r}. For molecules in Angstrom use for example cutoff=5.0, "
                "gaussians=50."
            )
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        self.filters = self.out_channels if filters is None else check_count("filters", filters)
        self.gaussians, self.cutoff = int(gaussians), float(cutoff)
        self._name_positions(positions)
        width = self.filters
        self.in_weight = Parameter(np.zeros((in_channels, width)), dtype=dtype)
        self.filter_weight_1 = Parameter(np.zeros((gaussians, width)), dtype=dtype)
        self.filter_bias_1 = Parameter(np.zeros(width), dtype=dtype, decay=0.0)
        self.filter_weight_2 = Parameter(np.zeros((width, width)), dtype=dtype)
        self.filter_bias_2 = Parameter(np.zeros(width), dtype=dtype, decay=0.0)
        self.out_weight = Parameter(np.zeros((width, out_channels)), dtype=dtype)
        self.bias = Parameter(np.zeros(out_channels), dtype=dtype, decay=0.0) if bias else None
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        for name, parameter in self.own_parameters():
            parameter.assign(np.zeros(parameter.shape) if "bias" in name else glorot_uniform(parameter.shape, rng))

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        dtype = self.in_weight.dtype
        position = self.positions_of(graph, dtype)
        params = {
            "centres": np.linspace(0.0, self.cutoff, self.gaussians, dtype=dtype),
            "gamma": np.asarray(0.5 * ((self.gaussians - 1) / self.cutoff) ** 2, dtype),
            "cutoff": np.asarray(self.cutoff, dtype),
            "weight_1": self.filter_weight_1,
            "bias_1": self.filter_bias_1,
            "weight_2": self.filter_weight_2,
            "bias_2": self.filter_bias_2,
        }
        src = {"h": x @ self.in_weight, "position": position}
        summed = _filtered(graph.topology, src=src, dst={"position": position}, params=params)
        return add_bias(summed @ self.out_weight, self.bias)

    def work(self, graph_in: Any, graph_out: Any) -> float:
        width = self.filters
        per_edge = 2.0 * width * (self.gaussians + width + 3) + 4.0 * self.gaussians + 20.0
        products = self.product_work(graph_in, width) + 2.0 * graph_in.num_nodes * width * self.out_channels
        return products + graph_in.num_edges * per_edge


@message_program
def _filtered(src: Any, dst: Any, params: Any) -> Any:
    distance = _distance(dst.position - src.position)
    gaussians = np.exp(-params.gamma * (distance - params.centres) ** 2)
    hidden = _shifted_softplus(gaussians @ params.weight_1 + params.bias_1)
    window = _shifted_softplus(hidden @ params.weight_2 + params.bias_2)
    fade = np.where(distance < params.cutoff, 0.5 * np.cos(np.pi * distance / params.cutoff) + 0.5, 0.0)
    return agg.sum(src.h * (window * fade))


def _distance(apart: Any) -> Any:
    """Length of a vector, with derivative 0 where it is 0: that of the square root would be infinite there."""
    squared = (apart * apart).sum(axis=-1)
    somewhere_else = np.where(squared > 0, squared, 1.0)
    return np.where(squared > 0, np.sqrt(somewhere_else), 0.0)


def _shifted_softplus(values: Any) -> Any:
    return softplus(values) - float(np.log(2.0))
