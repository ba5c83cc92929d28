"""TAGConv of Du et al.: a polynomial of the adjacency with a matrix for every power. Imports the convolution base."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import SparseMatrix, Tensor
from gnnkit.graph import Graph
from gnnkit.nn.conv.base import Convolution, add_bias, add_into, aggregate_input, aggregates_first, weighted_sum
from gnnkit.nn.conv.normalise import normalised
from gnnkit.nn.init import glorot_uniform
from gnnkit.nn.inputs import as_features
from gnnkit.nn.linear import check_count
from gnnkit.nn.parameter import Parameter


class TAGConv(Convolution):
    """Topology adaptive graph convolution: filters of all sizes up to ``K`` hops at once.

    ``x' = sum_{k=0}^{K} A^k x W_k + b``  with  ``A_ij = w_ij / sqrt(d_i d_j)``, ``d_i = sum_j w_ij``.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of ``x`` before and after.
    K : int
        Number of hops; 0 is a linear layer, 2 is what the paper found best.
    normalise : bool
        Whether to divide by the degrees. Without it ``A_ij = w_ij``.
    edge_weight : str, optional
        Name of an edge field [num_edges] that holds ``w_ij``; without it every edge weighs 1.
    bias : bool
        Whether to add ``b``, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws ``weight`` [K + 1, in_channels, out_channels], Glorot uniform for each power.
    dtype
        Dtype of the parameters, in which it computes.

    Raises
    ------
    InvalidFeatureError
        If the graph has state ``e`` or ``u``, which this layer would ignore.

    Notes
    -----
    No array of one row per edge is made. The powers ``A^k x`` of constant dense features are computed once and
    remembered; otherwise the cheaper of two orders is taken: the powers and then one product, or the K + 1 products
    and then Horner's rule, ``A (A (x W_2) + x W_1) + x W_0``. Of sparse features the products come first, as ``A x``
    would be dense. No self-loops are added; those of the graph are part of A, and parallel edges count each. A node
    without incoming edges gets ``x_i W_0 + b``.

    Differences from the paper: edge weights, and sums of directed graphs, where ``d`` is the in-degree on both sides;
    the non-linearity is a layer of its own. Bipartite topologies are refused.

    References
    ----------
    Du et al., Topology adaptive graph convolutional networks, 2017, equations 1 and 2.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(3).replace(x=np.array([[1.0], [0.0], [0.0]], dtype=np.float32))
    >>> layer = gk.nn.TAGConv(1, 1, K=2, normalise=False)
    >>> layer.weight.assign([[[1.0]], [[10.0]], [[100.0]]])
    >>> layer(g).x.numpy().ravel()
    array([101.,  10., 100.], dtype=float32)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        K: int = 3,
        normalise: bool = True,
        edge_weight: str | None = None,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        self.K = self.hops = check_count("K", K)
        self.normalise = bool(normalise)
        self.edge_weight = edge_weight
        self.weight = Parameter(np.zeros((K + 1, in_channels, out_channels)), dtype=dtype)
        self.bias = Parameter(np.zeros(out_channels), dtype=dtype, decay=0.0) if bias else None
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        self.weight.assign(glorot_uniform(self.weight.shape, rng))
        if self.bias is not None:
            self.bias.assign(np.zeros(self.out_channels))

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        topology, scale = graph.topology, self.weights(graph, self.weight.dtype)
        weighted = scale is not None
        if self.normalise:
            topology, scale = normalised(topology, scale, self.weight.dtype, self_loops=False)
        if not self._powers_first(graph, x):
            total = x @ self.weight[self.K]
            for k in range(self.K - 1, -1, -1):
                total = add_into(weighted_sum(topology, total, scale), x @ self.weight[k])
            return add_bias(total, self.bias)

        def powers() -> Any:
            terms = [x]
            for _ in range(self.K):
                terms.append(weighted_sum(topology, terms[-1], scale))
            return np.concatenate(terms, axis=1)  # type: ignore[arg-type]

        stacked = powers() if weighted else aggregate_input(graph, ("tag", self.K, self.normalise), x, powers)
        rows = (self.K + 1) * x.shape[1]
        return add_bias(stacked @ self.weight.reshape(rows, self.out_channels), self.bias)

    def _powers_first(self, graph: Graph, x: Any) -> bool:
        if isinstance(x, SparseMatrix):
            return False
        remembered = isinstance(graph.nodes["x"], np.ndarray) and self.edge_weight is None
        return remembered or aggregates_first(x, self.out_channels)

    def work(self, graph_in: Any, graph_out: Any) -> float:
        first = self._powers_first(graph_in, as_features(graph_in))
        width = graph_in.x.shape[1] if first else self.out_channels
        return (self.K + 1) * self.product_work(graph_in, self.out_channels) + self.K * self.sum_work(graph_in, width)
