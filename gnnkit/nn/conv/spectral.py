"""SGConv, APPNP and ChebConv: polynomials of the normalised adjacency. Imports the convolution base."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import SparseMatrix, Tensor, dropout
from gnnkit.errors import InvalidArgumentError
from gnnkit.graph import Graph, Topology
from gnnkit.nn.conv.base import Convolution, add_bias, add_into, aggregate_input, aggregates_first, weighted_sum
from gnnkit.nn.conv.normalise import normalised
from gnnkit.nn.declared import MESSAGE_PASSING
from gnnkit.nn.dropout import check_rate
from gnnkit.nn.init import glorot_uniform
from gnnkit.nn.inputs import as_features, require_dense
from gnnkit.nn.linear import check_count
from gnnkit.nn.parameter import Parameter


class SGConv(Convolution):
    """Simplified graph convolution: ``K`` steps of GCN's averaging, then one linear map.

    ``x' = S^K x W + b``  with  ``S_ij = w_ij / sqrt(d_i d_j)``, self-loops included.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of ``x`` before and after.
    K : int
        Number of steps; 0 is a linear layer.
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
    ``S^K x`` of constant dense features is computed once and remembered, as in the paper; of sparse features the
    product with W comes first, as ``S^K x`` would be dense. Directed graphs, self-loops and parallel edges as in
    :class:`GCNConv`.

    Differences from the paper: a bias; a node that already has a self-loop keeps its weight. Bipartite topologies are
    refused.

    References
    ----------
    Wu et al., Simplifying graph convolutional networks, ICML 2019, equation 8.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(3).replace(x=np.eye(3, dtype=np.float32))
    >>> gk.nn.SGConv(3, 2, K=2, rng=0)(g).x.shape
    (3, 2)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        K: int = 2,
        edge_weight: str | None = None,
        self_loops: bool = True,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        self.K = self.hops = check_count("K", K)
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

        def power(rows: Tensor) -> Tensor:
            for _ in range(self.K):
                rows = weighted_sum(topology, rows, scale)
            return rows

        if not self._steps_first(x):
            return add_bias(power(x @ self.weight), self.bias)
        if weights is not None:
            return add_bias(power(x) @ self.weight, self.bias)
        smoothed = aggregate_input(graph, ("sgc", self.K, self.self_loops), x, lambda: power(x))
        return add_bias(smoothed @ self.weight, self.bias)

    def _steps_first(self, x: Any) -> bool:
        return not isinstance(x, SparseMatrix) and (not x.requires_grad or aggregates_first(x, self.out_channels))

    def work(self, graph_in: Any, graph_out: Any) -> float:
        first = self._steps_first(as_features(graph_in))
        width = graph_in.x.shape[1] if first else self.out_channels
        return self.product_work(graph_in, self.out_channels) + self.K * self.sum_work(graph_in, width)


class APPNP(Convolution):
    """Personalised propagation: ``K`` steps of averaging that return to the start with probability ``alpha``.

    ``z_0 = x``, ``z_{k+1} = (1 - alpha) S z_k + alpha x``, ``x' = z_K``, with ``S`` as in :class:`SGConv`.

    Parameters
    ----------
    K : int
        Number of steps.
    alpha : float
        Teleport probability, in [0, 1].
    dropout : float
        Rate at which the entries of ``S`` are dropped while training, anew in each step.
    edge_weight : str, optional
        Name of an edge field [num_edges] that holds ``w_ij``; without it every edge weighs 1.
    self_loops : bool
        Whether nodes without a self-loop get one of weight 1.

    Raises
    ------
    InvalidFeatureError
        If ``x`` is sparse (the prediction comes first), or if the graph has state ``e`` or ``u``.

    Notes
    -----
    It has no parameters: the model of the paper is an MLP followed by this layer. Directed graphs, self-loops and
    parallel edges as in :class:`GCNConv`.

    Differences from the paper: a node that already has a self-loop keeps its weight. Bipartite topologies are refused.

    References
    ----------
    Klicpera, Bojchevski and Guennemann, Predict then propagate, ICLR 2019, equation 5.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(2).replace(x=np.array([[1.0], [0.0]]))
    >>> gk.nn.APPNP(K=1, alpha=0.5)(g).x.numpy().ravel()
    array([0.75, 0.25])
    """

    stochastic = True

    symmetry = MESSAGE_PASSING | {"channels": "equivariant"}  # no weights: every channel alike

    def __init__(
        self,
        *,
        K: int = 10,
        alpha: float = 0.1,
        dropout: float = 0.0,
        edge_weight: str | None = None,
        self_loops: bool = True,
    ) -> None:
        if not 0.0 <= alpha <= 1.0:
            raise InvalidArgumentError(f"alpha must lie in [0, 1]. Got {alpha!r}. The paper uses 0.1.")
        self.K = self.hops = check_count("K", K)
        self.alpha = float(alpha)
        self.dropout = check_rate(dropout, "dropout")
        self.edge_weight = edge_weight
        self.self_loops = self_loops

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        start = require_dense(x, self)
        weights = self.weights(graph, start.dtype)
        topology, scale = normalised(
            graph.topology, weights, start.dtype, self_loops=self.self_loops, factor=1.0 - self.alpha
        )
        back = start * self.alpha
        z = start
        for _ in range(self.K):
            drops = self.training and self.dropout
            kept = dropout(scale, self.dropout, rng=self.generator) if drops else scale
            z = add_into(weighted_sum(topology, z, kept), back)
        return z

    def work(self, graph_in: Any, graph_out: Any) -> float:
        return self.K * (self.sum_work(graph_in, graph_in.x.shape[-1]) + 2.0 * float(np.prod(graph_in.x.shape)))


class ChebConv(Convolution):
    """Spectral filter of ``K`` Chebyshev polynomials of the Laplacian.

    ``x' = sum_{k < K} T_k(L~) x W_k + b``, ``L~ = 2 / lambda_max (I - S) - I``, ``S_ij = w_ij / sqrt(d_i d_j)``,
    ``T_0 = 1``, ``T_1(L) = L``, ``T_k(L) = 2 L T_{k-1}(L) - T_{k-2}(L)``.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of ``x`` before and after.
    K : int
        Number of terms, at least 1: a node sees others up to K - 1 hops away.
    lambda_max : float
        Upper end of the spectrum of the Laplacian; 2 is its bound on every undirected graph.
    edge_weight : str, optional
        Name of an edge field [num_edges] that holds ``w_ij``; without it every edge weighs 1.
    bias : bool
        Whether to add ``b``, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws ``weight`` [K, in_channels, out_channels], Glorot uniform for each term.
    dtype
        Dtype of the parameters, in which it computes.

    Raises
    ------
    InvalidFeatureError
        If the graph has state ``e`` or ``u``, which this layer would ignore.

    Notes
    -----
    Whichever is cheaper comes first: the polynomials of ``x`` and then one product, or the K products and then
    Clenshaw's recurrence, the same sum from the highest term down. Polynomials of constant input features are
    remembered between calls. No self-loops are added; those of the graph are part of S. A node without edges has
    ``S_ii = 0``.

    Differences from the paper: no pooling; ``lambda_max`` is a number instead of an eigenvalue computation; on a
    directed graph S uses the in-degree on both sides and the spectral meaning is lost. Bipartite topologies are
    refused.

    References
    ----------
    Defferrard, Bresson and Vandergheynst, Convolutional neural networks on graphs with fast localized spectral
    filtering, NeurIPS 2016, equations 4 and 5.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(3).replace(x=np.eye(3, dtype=np.float32))
    >>> gk.nn.ChebConv(3, 2, K=3, rng=0)(g).x.shape
    (3, 2)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        K: int = 3,
        lambda_max: float = 2.0,
        edge_weight: str | None = None,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if check_count("K", K) < 1 or not lambda_max > 0:
            raise InvalidArgumentError(
                f"K must be at least 1 and lambda_max positive. Got K={K!r}, lambda_max={lambda_max!r}. "
                "K counts the terms: K=1 is a linear layer, K=3 sees two hops."
            )
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        self.K, self.hops = int(K), int(K) - 1
        self.lambda_max = float(lambda_max)
        self.edge_weight = edge_weight
        self.weight = Parameter(np.zeros((K, in_channels, out_channels)), dtype=dtype)
        self.bias = Parameter(np.zeros(out_channels), dtype=dtype, decay=0.0) if bias else None
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        self.weight.assign(glorot_uniform(self.weight.shape, rng))
        if self.bias is not None:
            self.bias.assign(np.zeros(self.out_channels))

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        weights = self.weights(graph, self.weight.dtype)
        topology, scale = normalised(
            graph.topology, weights, self.weight.dtype, self_loops=False, factor=-2.0 / self.lambda_max
        )
        if not aggregates_first(x, self.out_channels):
            return add_bias(self._clenshaw(topology, scale, [x @ self.weight[k] for k in range(self.K)]), self.bias)

        def terms() -> Any:
            return np.concatenate(self._polynomials(topology, scale, x), axis=1)  # type: ignore[arg-type]

        what = ("cheb", self.K, self.lambda_max)
        stacked = terms() if weights is not None else aggregate_input(graph, what, x, terms)
        rows = self.K * x.shape[1]
        return add_bias(stacked @ self.weight.reshape(rows, self.out_channels), self.bias)

    def _laplacian(self, topology: Topology, scale: Any, x: Tensor) -> Tensor:
        """``L~ x``; ``scale`` holds its off-diagonal part ``-2 / lambda_max S``."""
        diagonal = 2.0 / self.lambda_max - 1.0
        off_diagonal = weighted_sum(topology, x, scale)
        return off_diagonal if diagonal == 0.0 else off_diagonal + x * diagonal

    def _polynomials(self, topology: Topology, scale: Any, x: Tensor) -> list[Tensor]:
        terms = [x]
        if self.K > 1:
            terms.append(self._laplacian(topology, scale, x))
        for _ in range(2, self.K):
            terms.append(self._laplacian(topology, scale, terms[-1]) * 2.0 - terms[-2])
        return terms

    def _clenshaw(self, topology: Topology, scale: Any, products: list[Tensor]) -> Tensor:
        # b_k = y_k + 2 L b_{k+1} - b_{k+2} from the top down; the result is y_0 + L b_1 - b_2.
        after: Tensor | None = None
        after_next: Tensor | None = None
        for k in range(self.K - 1, -1, -1):
            now = products[k]
            if after is not None:
                step = self._laplacian(topology, scale, after)
                now = now + (step if k == 0 else step * 2.0)
            if after_next is not None:
                now = now - after_next
            after, after_next = now, after
        assert after is not None
        return after

    def work(self, graph_in: Any, graph_out: Any) -> float:
        first = aggregates_first(as_features(graph_in), self.out_channels)
        width = graph_in.x.shape[1] if first else self.out_channels
        return self.K * self.product_work(graph_in, self.out_channels) + (self.K - 1) * self.sum_work(graph_in, width)
