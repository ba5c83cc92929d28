"""SAGEConv of Hamilton et al. and GraphConv of Morris et al.: own features and aggregated neighbours, two weights.

Imports the convolution base and message programs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit import kernels as K
from gnnkit.autodiff import Tensor, defvjp, is_tensor, primitive
from gnnkit.errors import InvalidArgumentError, unknown_name
from gnnkit.graph import Graph, Topology
from gnnkit.message import aggregate, neighbour_max, neighbour_sum_adjoint
from gnnkit.nn.conv.base import (
    Convolution,
    add_bias,
    add_into,
    aggregate_input,
    aggregates_first,
    mean_weights,
    weighted_sum,
)
from gnnkit.nn.init import glorot_uniform
from gnnkit.nn.inputs import as_features, require_dense
from gnnkit.nn.linear import check_count
from gnnkit.nn.parameter import Parameter, shared

REDUCERS = ("mean", "max", "sum")


@primitive
def _own_and_summed(both: Any, *, topology: Topology, weights: Any) -> Any:
    """``own_i + sum_j w_ij other_j`` of the left and right halves of ``both`` [num_nodes, 2 * channels]."""
    half = both.shape[1] // 2
    other = K.empty((len(both), half), both.dtype)
    K.copy_columns(both, half, half, other, 0)
    out = K.neighbour_sum(topology.indptr, topology.indices, other, weights)
    K.add_in_place(out, both[:, :half])
    return out


def _own_and_summed_rule(g: Any, y: Any, both: Any, *, topology: Topology, weights: Any) -> Any:
    summed = neighbour_sum_adjoint(g, topology=topology, weights=weights)
    if is_tensor(g):
        return np.concatenate([g, summed], axis=1)
    out = np.empty(both.shape, g.dtype)

    def fill(start: int, stop: int) -> None:
        np.concatenate([g[start:stop], summed[start:stop]], axis=1, out=out[start:stop])

    K.parallel_rows(fill, len(out), width=out.shape[1])
    return out


defvjp(_own_and_summed, _own_and_summed_rule, keep="")


class _TwoWeights(Convolution):
    """``x_i' = W_own^T x_i + W_neighbours^T reduce_j(w_ij x_j) + b``: the common part of both layers."""

    reducer: str = "sum"

    def _build(self, in_channels: int, out_channels: int, bias: bool, rng: Any, dtype: DTypeLike) -> None:
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        self.own_weight = Parameter(np.zeros((in_channels, out_channels)), dtype=dtype)
        self.neighbour_weight = Parameter(np.zeros((in_channels, out_channels)), dtype=dtype)
        self.bias = Parameter(np.zeros(out_channels), dtype=dtype, decay=0.0) if bias else None
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        self.own_weight.assign(glorot_uniform(self.own_weight.shape, rng))
        self.neighbour_weight.assign(glorot_uniform(self.neighbour_weight.shape, rng))
        if self.bias is not None:
            self.bias.assign(np.zeros(self.out_channels))

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        weights = self.weights(graph, self.own_weight.dtype)
        if self.reducer != "max" and weights is None:
            return add_bias(self._in_one_product(graph, x), self.bias)
        own = add_bias(x @ self.own_weight, self.bias)
        # The maximum is not linear: it comes before the product.
        if self.reducer != "max" and not aggregates_first(x, self.out_channels):
            return add_into(own, self._reduced(graph, x @ self.neighbour_weight, weights))

        def reduced() -> Tensor:
            return self._reduced(graph, x, weights)

        neighbours = reduced() if weights is not None else aggregate_input(graph, self.reducer, x, reduced)
        return add_into(own, neighbours @ self.neighbour_weight)

    def _in_one_product(self, graph: Graph, x: Any) -> Tensor:
        """Own and aggregated features, both multiplied at once: a product reads the larger factor once."""
        if aggregates_first(x, self.out_channels):

            def joined() -> Tensor:
                return np.concatenate([x, self._reduced(graph, x, None)], axis=1)  # type: ignore[return-value]

            both = aggregate_input(graph, ("own and", self.reducer), x, joined)
            return both @ shared(np.concatenate([self.own_weight, self.neighbour_weight]))  # type: ignore[arg-type]
        both = x @ shared(np.concatenate([self.own_weight, self.neighbour_weight], axis=1))  # type: ignore[arg-type]
        mean = mean_weights(graph.topology, both.dtype) if self.reducer == "mean" else None
        return _own_and_summed(both, topology=graph.topology, weights=mean)

    def _reduced(self, graph: Graph, x: Any, weights: Any) -> Tensor:
        topology = graph.topology
        if self.reducer == "max":
            return neighbour_max(topology, require_dense(x, self))
        if self.reducer == "mean" and weights is None:
            return weighted_sum(topology, x, mean_weights(topology, x.dtype))
        if self.reducer == "mean":
            total = aggregate(topology, weights, "sum")
            inverse = np.where(total.data == 0, 0.0, 1.0 / np.where(total.data == 0, 1.0, total)).astype(x.dtype)
            return weighted_sum(topology, x, weights) * inverse.reshape(-1, 1)
        return weighted_sum(topology, x, weights)

    def work(self, graph_in: Any, graph_out: Any) -> float:
        first = self.reducer == "max" or aggregates_first(as_features(graph_in), self.out_channels)
        width = graph_in.x.shape[1] if first else self.out_channels
        return 2 * self.product_work(graph_in, self.out_channels) + self.sum_work(graph_in, width)


class SAGEConv(_TwoWeights):
    """GraphSAGE: own features plus the mean, maximum or sum of the neighbours', each with its own weights.

    ``x_i' = W_own^T x_i + W_neighbours^T reduce_{j in N(i)} x_j + b``.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of ``x`` before and after.
    reducer : {"mean", "max", "sum"}
        How the neighbours are aggregated.
    edge_weight : str, optional
        Name of an edge field [num_edges] ``w_ij``: the sum becomes ``sum_j w_ij x_j``, the mean the weighted mean
        ``sum_j w_ij x_j / sum_j w_ij`` (0 where the weights sum to 0). Not with "max".
    bias : bool
        Whether to add ``b``, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws ``own_weight`` and ``neighbour_weight`` [in_channels, out_channels], Glorot uniform.
    dtype
        Dtype of the parameters, in which it computes.

    Raises
    ------
    InvalidFeatureError
        If the graph has state ``e`` or ``u``, which this layer would ignore.

    Notes
    -----
    No array of one row per edge is made. Mean and sum multiply before or after the aggregation, whichever is cheaper;
    the maximum comes before the product. The aggregation of constant input features is remembered. A node without
    incoming edges aggregates to 0. Messages follow the edges: on a directed graph a node sees its senders only. A
    self-loop makes a node its own neighbour; parallel edges count each.

    Differences from the paper: all neighbours instead of a sample; "max" is the maximum of the features themselves,
    without the layer before it; the output is not normalised to unit length. Concatenating ``[x_i, aggregate]`` before
    one matrix, as in the paper, is the same as two matrices. Bipartite topologies are refused.

    References
    ----------
    Hamilton, Ying and Leskovec, Inductive representation learning on large graphs, NeurIPS 2017, algorithm 1.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(3).replace(x=np.array([[1.0], [2.0], [4.0]], dtype=np.float32))
    >>> layer = gk.nn.SAGEConv(1, 1, reducer="max")
    >>> layer.own_weight.assign([[10.0]]); layer.neighbour_weight.assign([[1.0]])
    >>> layer(g).x.numpy().ravel()
    array([12., 24., 42.], dtype=float32)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        reducer: str = "mean",
        edge_weight: str | None = None,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if reducer not in REDUCERS:
            raise unknown_name("reducer of SAGEConv", reducer, REDUCERS)
        if reducer == "max" and edge_weight is not None:
            raise InvalidArgumentError(
                "The maximum over neighbours has no place for edge weights. "
                f"Got reducer='max' with edge_weight={edge_weight!r}. Use reducer='mean' or 'sum'."
            )
        self.reducer = reducer
        self.edge_weight = edge_weight
        self._build(in_channels, out_channels, bias, rng, dtype)


class GraphConv(_TwoWeights):
    """The higher-order layer's first order: own features plus the weighted sum of the neighbours'.

    ``x_i' = W_own^T x_i + W_neighbours^T sum_{j in N(i)} w_ij x_j + b``.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of ``x`` before and after.
    edge_weight : str, optional
        Name of an edge field [num_edges] that holds ``w_ij``; without it every edge weighs 1.
    bias : bool
        Whether to add ``b``, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws ``own_weight`` and ``neighbour_weight`` [in_channels, out_channels], Glorot uniform.
    dtype
        Dtype of the parameters, in which it computes.

    Raises
    ------
    InvalidFeatureError
        If the graph has state ``e`` or ``u``, which this layer would ignore.

    Notes
    -----
    No array of one row per edge is made. A node without incoming edges aggregates to 0. Messages follow the edges; a
    self-loop makes a node its own neighbour; parallel edges count each.

    Differences from the paper: a bias, and edge weights. Bipartite topologies are refused.

    References
    ----------
    Morris et al., Weisfeiler and Leman go neural, AAAI 2019, equation 3.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(3).replace(x=np.array([[1.0], [2.0], [4.0]], dtype=np.float32))
    >>> layer = gk.nn.GraphConv(1, 1)
    >>> layer.own_weight.assign([[10.0]]); layer.neighbour_weight.assign([[1.0]])
    >>> layer(g).x.numpy().ravel()
    array([12., 25., 42.], dtype=float32)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        edge_weight: str | None = None,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.edge_weight = edge_weight
        self._build(in_channels, out_channels, bias, rng, dtype)
