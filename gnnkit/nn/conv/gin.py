"""GINConv of Xu et al. and GINEConv of Hu et al.: sums through an MLP.

Imports the convolution base, Linear and message programs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import SparseMatrix, Tensor, relu
from gnnkit.errors import InvalidFeatureError, ShapeError
from gnnkit.graph import Graph
from gnnkit.kernels import sums_are_exact
from gnnkit.message import agg, message_program, remember
from gnnkit.nn.conv.base import Convolution, aggregate_input, weighted_sum
from gnnkit.nn.conv.networks import edge_product
from gnnkit.nn.declared import MESSAGE_PASSING, Symmetry, around
from gnnkit.nn.inputs import require_dense
from gnnkit.nn.linear import Linear
from gnnkit.nn.module import Module
from gnnkit.nn.parameter import Parameter


class GINConv(Convolution):
    """Graph isomorphism layer: an MLP of each node's own features plus the sum of its neighbours'.

    ``x_i' = mlp((1 + eps) x_i + sum_{j in N(i)} w_ij x_j)``.

    Parameters
    ----------
    mlp : Module
        Maps features to features, for instance ``gk.nn.MLP([16, 32, 32])``.
    eps : float
        Start of eps.
    train_eps : bool
        Whether eps is learnt (GIN-eps in the paper) or stays (GIN-0).
    edge_weight : str, optional
        Name of an edge field [num_edges] that holds ``w_ij``; without it every edge weighs 1.
    dtype
        Dtype of a learnt eps.

    Raises
    ------
    InvalidFeatureError
        If the graph has state ``e`` (see :class:`GINEConv`) or ``u``, which this layer would ignore.

    Notes
    -----
    No array of one row per edge is made. The sum over constant input features is remembered between calls; of sparse
    features it stays sparse (with a learnt eps sparse features are refused). A node without incoming edges keeps its
    own features. Messages follow the edges; a self-loop makes a node its own neighbour; parallel edges count each.

    Differences from the paper: edge weights. Bipartite topologies are refused.

    References
    ----------
    Xu et al., How powerful are graph neural networks?, ICLR 2019, equation 4.1.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(3).replace(x=np.array([[1.0], [2.0], [4.0]], dtype=np.float32))
    >>> gk.nn.GINConv(gk.nn.Identity())(g).x.numpy().ravel()
    array([3., 7., 6.], dtype=float32)
    """

    def __init__(
        self,
        mlp: Module,
        *,
        eps: float = 0.0,
        train_eps: bool = False,
        edge_weight: str | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.mlp = mlp
        self.initial_eps = float(eps)
        self.eps = Parameter(eps, dtype=dtype, decay=0.0) if train_eps else float(eps)
        self.edge_weight = edge_weight

    def initialise(self, rng: np.random.Generator) -> None:
        if isinstance(self.eps, Parameter):
            self.eps.assign(self.initial_eps)

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        return around(MESSAGE_PASSING, [self.mlp])

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        if isinstance(x, SparseMatrix):
            return self.mlp(self._exact_sum(graph, x) if sums_are_exact() else self._sparse_sum(graph, x))
        weights = self.weights(graph, x.dtype)

        def total() -> Tensor:
            return weighted_sum(graph.topology, x, weights)

        summed = total() if weights is not None else aggregate_input(graph, "sum", x, total)
        return self.mlp(summed + x * (1.0 + self.eps))

    def _exact_sum(self, graph: Graph, x: SparseMatrix) -> Tensor:
        """The sum over neighbours as a dense matrix: a product of sparse ones adds in the order of the numbers."""
        weights, own = self.weights(graph, x.dtype), 1.0 + self.eps

        def build() -> Tensor:
            dense = x.toarray()
            return weighted_sum(graph.topology, dense, weights) + dense * own

        if weights is not None or isinstance(own, Tensor):
            return build()
        return remember(graph.topology, ("gin, exact", self.eps), x, build)

    def _sparse_sum(self, graph: Graph, x: SparseMatrix) -> SparseMatrix:
        eps = self.eps
        if isinstance(eps, Parameter):
            raise InvalidFeatureError(
                f"With a learnt eps the sum over neighbours is not constant, so it needs dense features. Got a "
                f"SparseMatrix of shape {list(x.shape)}. Put a Linear first, or use train_eps=False."
            )
        weights = self.weights(graph, x.dtype)
        if isinstance(weights, Tensor):
            if weights.requires_grad:
                raise InvalidFeatureError(
                    "Learnt edge weights need dense features here. Got a SparseMatrix of shape "
                    f"{list(x.shape)}. Put a Linear first, or use weights.detach()."
                )
            weights = weights.data

        def build() -> SparseMatrix:
            from scipy.sparse import csr_matrix, identity

            t = graph.topology
            values = np.ones(t.num_edges, x.dtype) if weights is None else weights
            adjacency = csr_matrix((values, t.indices, t.indptr), shape=(t.num_nodes, t.num_nodes))
            own = identity(t.num_nodes, dtype=x.dtype, format="csr") * x.dtype.type(1.0 + eps)
            return SparseMatrix.from_scipy((adjacency + own) @ x.to_scipy())

        if weights is not None:
            return build()
        return remember(graph.topology, ("gin", eps), x, build)

    def own_work(self, graph_in: Any, graph_out: Any) -> float:
        # The sum over neighbours, and the own features times 1 + eps added to it.
        return self.sum_work(graph_in, graph_in.x.shape[-1]) + 2.0 * float(np.prod(graph_in.x.shape))


@message_program
def _messages(src: Any, edge: Any) -> Any:
    return agg.sum(relu(src.x + edge.e))


@message_program
def _mapped_messages(src: Any, edge: Any, params: Any) -> Any:
    return agg.sum(relu(src.x + params.bias + edge_product(edge.e, params.weight)))


class GINEConv(Convolution):
    """Graph isomorphism layer with edge features: each message is a neighbour's features plus those of the edge.

    ``x_i' = mlp((1 + eps) x_i + sum_{j in N(i)} relu(x_j + W_e^T e_ij + b_e))``.

    Parameters
    ----------
    mlp : Module
        Maps features to features, for instance ``gk.nn.MLP([16, 32, 32])``.
    in_channels : int, optional
        Channels of ``x``; needed with ``edge_channels``.
    edge_channels : int, optional
        Channels of ``e``, mapped to ``in_channels`` by ``W_e``; without it ``e`` is added as it is and must have the
        channels of ``x``.
    eps : float
        Start of eps.
    train_eps : bool
        Whether eps is learnt.
    rng : None, int or numpy.random.Generator
        Draws ``W_e``.
    dtype
        Dtype of ``W_e`` and of a learnt eps.

    Raises
    ------
    UnknownFieldError
        If the graph has no ``e``.
    ShapeError
        If the channels of ``e`` do not fit.
    InvalidFeatureError
        If the graph has state ``u``, which this layer would ignore, or if ``x`` is sparse.

    Notes
    -----
    No array of one row per edge is made beside ``e``. A node without incoming edges keeps its own features. ``e``
    passes unchanged. Messages follow the edges; a self-loop and parallel edges are messages like others.

    Differences from the paper: ``W_e`` is one matrix for edge features of any kind instead of embeddings of two
    categories. Bipartite topologies are refused.

    References
    ----------
    Hu et al., Strategies for pre-training graph neural networks, ICLR 2020, section A.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_edges([0, 1], [1, 2], num_nodes=3, x=np.ones((3, 1)), e=np.array([[2.0], [-5.0]]))
    >>> gk.nn.GINEConv(gk.nn.Identity())(g).x.numpy().ravel()
    array([1., 4., 1.])
    """

    state = ("x", "e")

    def __init__(
        self,
        mlp: Module,
        *,
        in_channels: int | None = None,
        edge_channels: int | None = None,
        eps: float = 0.0,
        train_eps: bool = False,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if edge_channels is not None and in_channels is None:
            raise ShapeError(
                "Edge features are mapped to the channels of x, so both numbers must be given. "
                f"Got edge_channels={edge_channels} without in_channels. Pass in_channels= as well."
            )
        self.mlp = mlp
        self.in_channels = in_channels
        self.initial_eps = float(eps)
        self.eps = Parameter(eps, dtype=dtype, decay=0.0) if train_eps else float(eps)
        self.edge_map: Linear | None = None
        if edge_channels is not None and in_channels is not None:
            self.edge_map = Linear(edge_channels, in_channels, rng=rng, dtype=dtype)

    def initialise(self, rng: np.random.Generator) -> None:
        if isinstance(self.eps, Parameter):
            self.eps.assign(self.initial_eps)

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        return around(MESSAGE_PASSING, [self.mlp])

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        x = require_dense(x, self)
        channels = x.shape[1] if self.edge_map is None else self.edge_map.in_channels
        e = self.edge_features(graph, channels, x.dtype)
        if self.edge_map is None:
            total = _messages(graph.topology, src={"x": x}, edge={"e": e})
        else:
            params = {"weight": self.edge_map.weight, "bias": self.edge_map.bias}
            total = _mapped_messages(graph.topology, src={"x": x}, edge={"e": e}, params=params)
        return self.mlp(total + x * (1.0 + self.eps))

    def own_work(self, graph_in: Any, graph_out: Any) -> float:
        # Mapped, added to the edge, ReLU, the sum; and the own features times 1 + eps added to it.
        mapping = 0.0 if self.edge_map is None else 2.0 * self.edge_map.in_channels + 1.0
        width = graph_in.x.shape[-1]
        return (3.0 + mapping) * graph_in.num_edges * width + 2.0 * float(np.prod(graph_in.x.shape))
