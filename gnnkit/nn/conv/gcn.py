"""GCNConv, the graph convolution of Kipf and Welling. Imports the convolution base."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import Tensor
from gnnkit.graph import Graph
from gnnkit.nn.conv.base import Convolution, add_bias, aggregate_input, aggregates_first, weighted_sum
from gnnkit.nn.conv.normalise import normalised
from gnnkit.nn.init import glorot_uniform
from gnnkit.nn.inputs import as_features
from gnnkit.nn.linear import check_count
from gnnkit.nn.parameter import Parameter


class GCNConv(Convolution):
    """Graph convolution: each node sums its own and its neighbours' features, scaled by both degrees.

    ``x_i' = W^T sum_{j in N(i) + i} w_ij / sqrt(d_i d_j) x_j + b``  with  ``d_i = sum_{j in N(i) + i} w_ij``.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of ``x`` before and after.
    edge_weight : str, optional
        Name of an edge field [num_edges] that holds ``w_ij``; without it every edge weighs 1.
    self_loops : bool
        Whether nodes without a self-loop get one of weight 1.
    bias : bool
        Whether to add ``b``, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws ``weight`` [in_channels, out_channels], Glorot uniform.
    dtype
        Dtype of the parameters, in which it computes.

    Raises
    ------
    InvalidFeatureError
        If the graph has state ``e`` or ``u``, which this layer would ignore.

    Notes
    -----
    No array of one row per edge is made. Whichever is cheaper comes first, the neighbour sum or the product with W;
    the sum over constant input features is remembered between calls. An isolated node keeps its own features (its
    self-loop); without self-loops it gets the bias.

    Differences from the paper: a node that already has a self-loop keeps its weight instead of getting a second one
    (A + I would give 2); on a directed graph ``d`` is the in-degree on both sides; parallel edges count each; a
    negative degree is refused. Bipartite topologies are refused.

    References
    ----------
    Kipf and Welling, Semi-supervised classification with graph convolutional networks, ICLR 2017, equation 2.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(3).replace(x=np.eye(3, dtype=np.float32))
    >>> layer = gk.nn.GCNConv(3, 1, rng=0)
    >>> layer.weight.assign([[1.0], [0.0], [0.0]])
    >>> layer(g).x.numpy().round(4).ravel()
    array([0.5   , 0.4082, 0.    ], dtype=float32)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        edge_weight: str | None = None,
        self_loops: bool = True,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        self.edge_weight = edge_weight
        self.self_loops = self_loops
        self.weight = Parameter(np.zeros((in_channels, out_channels)), dtype=dtype)
        self.bias = Parameter(np.zeros(out_channels), dtype=dtype, decay=0.0) if bias else None
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        self.weight.assign(glorot_uniform(self.weight.shape, rng))
        if self.bias is not None:
            self.bias.assign(np.zeros(self.out_channels))

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        weights = self.weights(graph, self.weight.dtype)
        topology, scale = normalised(graph.topology, weights, self.weight.dtype, self_loops=self.self_loops)
        if not aggregates_first(x, self.out_channels):
            return add_bias(weighted_sum(topology, x @ self.weight, scale), self.bias)

        def total() -> Tensor:
            return weighted_sum(topology, x, scale)

        summed = total() if weights is not None else aggregate_input(graph, ("gcn", self.self_loops), x, total)
        return add_bias(summed @ self.weight, self.bias)

    def work(self, graph_in: Any, graph_out: Any) -> float:
        first = aggregates_first(as_features(graph_in), self.out_channels)
        width = graph_in.x.shape[1] if first else self.out_channels
        return self.product_work(graph_in, self.out_channels) + self.sum_work(graph_in, width)
