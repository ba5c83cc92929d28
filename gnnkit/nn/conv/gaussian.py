"""GMMConv, the mixture of Gaussians of MoNet. Imports the convolution base and message programs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import Tensor
from gnnkit.errors import InvalidArgumentError, unknown_name
from gnnkit.graph import Graph
from gnnkit.message import agg, message_program
from gnnkit.nn.conv.base import Convolution, add_bias, add_into
from gnnkit.nn.init import glorot_uniform
from gnnkit.nn.linear import check_count
from gnnkit.nn.parameter import Parameter

REDUCERS = ("sum", "mean")


class GMMConv(Convolution):
    """Mixture-model convolution: learnt Gaussians over the pseudo-coordinates of the edges play the filter's window.

    ``x_i' = sum_k W_k^T sum_{j in N(i)} w_k(e_ij) x_j + b``,
    ``w_k(e) = exp(-1/2 sum_d ((e_d - mu_kd) / sigma_kd)^2)``.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of ``x`` before and after.
    edge_channels : int
        Number of pseudo-coordinates, the channels of ``e`` (for instance the two degrees, or polar coordinates).
    kernels : int
        Number of Gaussians ``k``.
    reducer : {"sum", "mean"}
        How the messages are aggregated.
    own_weight : bool
        Whether to add ``W^T x_i``.
    bias : bool
        Whether to add ``b``, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws ``weight`` [kernels, in_channels, out_channels] and ``own_weight``, Glorot uniform, and the means ``mu``
        [kernels, edge_channels], standard normal; every ``1 / sigma`` starts at 1.
    dtype
        Dtype of the parameters, in which it computes.

    Raises
    ------
    UnknownFieldError
        If the graph has no ``e``.
    ShapeError
        If ``e`` has not ``edge_channels`` channels.
    InvalidFeatureError
        If the graph has state ``u``, which this layer would ignore.

    Notes
    -----
    Nodes are multiplied with the matrices first (sparse ``x`` stays sparse) and edges weigh the results, in one message
    program: no array of one row per edge is made. A node without incoming edges gets the bias (and its own part).
    Messages follow the edges; a self-loop and parallel edges are messages like others.

    Differences from the paper: what is learnt is ``inverse_sigma``, 1 / sigma, so that no step divides by 0; the
    covariance is diagonal, as in the paper's experiments; the mean, an own weight and a bias are optional. The
    pseudo-coordinates come with the graph: put the learnt map that the paper uses for degrees before this layer. The
    means and widths are not decayed. Bipartite topologies are refused.

    References
    ----------
    Monti et al., Geometric deep learning on graphs and manifolds using mixture model CNNs, CVPR 2017, equations 9 to
    11.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_edges([0, 1], [1, 2], x=np.eye(3, 2, dtype="float32"), e=np.zeros((2, 2), "float32"))
    >>> gk.nn.GMMConv(2, 4, edge_channels=2, kernels=3, rng=0)(g).x.shape
    (3, 4)
    """

    state = ("x", "e")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        edge_channels: int,
        kernels: int = 4,
        reducer: str = "sum",
        own_weight: bool = False,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if reducer not in REDUCERS:
            raise unknown_name("reducer of GMMConv", reducer, REDUCERS)
        if check_count("kernels", kernels) == 0:
            raise InvalidArgumentError("A mixture needs at least 1 Gaussian. Got kernels=0. Use for example 4.")
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        self.edge_channels = check_count("edge_channels", edge_channels)
        self.kernels, self.reducer = int(kernels), reducer
        self.weight = Parameter(np.zeros((kernels, in_channels, out_channels)), dtype=dtype)
        self.mu = Parameter(np.zeros((kernels, edge_channels)), dtype=dtype, decay=0.0)
        self.inverse_sigma = Parameter(np.ones((kernels, edge_channels)), dtype=dtype, decay=0.0)
        self.own_weight = Parameter(np.zeros((in_channels, out_channels)), dtype=dtype) if own_weight else None
        self.bias = Parameter(np.zeros(out_channels), dtype=dtype, decay=0.0) if bias else None
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        self.weight.assign(glorot_uniform(self.weight.shape, rng))
        self.mu.assign(rng.normal(size=self.mu.shape))
        self.inverse_sigma.assign(np.ones(self.inverse_sigma.shape))
        if self.own_weight is not None:
            self.own_weight.assign(glorot_uniform(self.own_weight.shape, rng))
        if self.bias is not None:
            self.bias.assign(np.zeros(self.out_channels))

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        e = self.edge_features(graph, self.edge_channels, self.weight.dtype)
        side_by_side = self.weight.transpose(1, 0, 2).reshape(x.shape[1], self.kernels * self.out_channels)
        h = (x @ side_by_side).reshape(graph.num_nodes, self.kernels, self.out_channels)
        params = {"mu": self.mu, "inverse_sigma": self.inverse_sigma}
        out = _programs[self.reducer](graph.topology, src={"h": h}, edge={"e": e}, params=params)
        out = out if self.own_weight is None else add_into(out, x @ self.own_weight)
        return add_bias(out, self.bias)

    def work(self, graph_in: Any, graph_out: Any) -> float:
        products = self.kernels + (self.own_weight is not None)
        per_edge = self.kernels * (4.0 * self.edge_channels + 2.0 * self.out_channels + 2.0)
        return products * self.product_work(graph_in, self.out_channels) + graph_in.num_edges * per_edge


def _message(src: Any, edge: Any, params: Any) -> Any:
    scaled = (edge.e - params.mu) * params.inverse_sigma  # [kernels, edge_channels]
    window = np.exp(-0.5 * (scaled * scaled).sum(axis=-1))
    return (window[:, None] * src.h).sum(axis=0)


@message_program
def _sum(src: Any, edge: Any, params: Any) -> Any:
    return agg.sum(_message(src, edge, params))


@message_program
def _mean(src: Any, edge: Any, params: Any) -> Any:
    return agg.mean(_message(src, edge, params))


_programs = {"sum": _sum, "mean": _mean}
