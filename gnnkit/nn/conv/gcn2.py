"""GCN2Conv of Chen et al. (GCNII), and KeepFeatures, which sets aside the features it returns to.

Imports the convolution base.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import Tensor
from gnnkit.errors import InvalidArgumentError, UnknownFieldError
from gnnkit.graph import Graph
from gnnkit.nn.conv.base import Convolution, add_into, aggregate_input, weighted_sum
from gnnkit.nn.conv.normalise import normalised
from gnnkit.nn.declared import POINTWISE
from gnnkit.nn.init import glorot_uniform
from gnnkit.nn.inputs import input_features, layer_name, require_dense
from gnnkit.nn.linear import check_count
from gnnkit.nn.module import Module
from gnnkit.nn.parameter import Parameter


class KeepFeatures(Module):
    """Store the features ``x`` of a graph under another name as well, where later layers find them.

    Parameters
    ----------
    field : str
        Name of the node field, not "x".

    Raises
    ------
    InvalidArgumentError
        If ``field`` is "x".
    UnknownFieldError
        If the graph has no ``x``.

    Notes
    -----
    The field replaces one of that name. It holds the same values as ``x`` and carries the gradient back. An empty graph
    is like others.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> model = gk.nn.Sequential(gk.nn.Linear(3, 4), gk.nn.KeepFeatures("x_0"), gk.nn.GCN2Conv(4, layer=1))
    >>> sorted(model(gk.path(3).replace(x=np.ones((3, 3), "float32"))).nodes)
    ['x', 'x_0']
    """

    symmetry = POINTWISE

    def __init__(self, field: str) -> None:
        self.field = checked_field(field, "field")

    def forward(self, graph: Graph) -> Graph:
        return graph.replace(nodes={self.field: graph.x})

    def work(self, graph_in: Any, graph_out: Any) -> float:
        return 0.0


def checked_field(field: str, argument: str) -> str:
    """Return the name of a node field beside ``x``."""
    if not isinstance(field, str) or not field or field == "x":
        raise InvalidArgumentError(
            f"{argument} must name a node field beside 'x', which every layer replaces. Got {field!r}. "
            "Choose a name such as 'x_0'."
        )
    return field


class GCN2Conv(Convolution):
    """Graph convolution for deep stacks (GCNII): returns to the first features, and maps by almost the identity.

    ``x' = ((1 - alpha) S x + alpha x_0) ((1 - beta) I + beta W)``  with  ``beta = log(lam / layer + 1)``
    and ``S_ij = w_ij / sqrt(d_i d_j)``, self-loops included.

    Parameters
    ----------
    channels : int
        Channels of ``x``, of ``x_0`` and of the result.
    layer : int
        Number of this layer in the stack, from 1: it sets ``beta``, so that deeper layers change less.
    alpha : float
        Share of the initial residual ``x_0``, in [0, 1].
    lam : float
        The ``lambda`` of the paper, at least 0.
    initial : str
        Name of the node field that holds ``x_0`` [num_nodes, channels]; :class:`KeepFeatures` puts it there.
    shared_weights : bool
        Whether one W maps both parts. Without it (GCNII* in the paper) ``x_0`` has a matrix of its own:
        ``x' = (1 - alpha) S x ((1 - beta) I + beta W) + alpha x_0 ((1 - beta) I + beta W_0)``.
    edge_weight : str, optional
        Name of an edge field [num_edges] that holds ``w_ij``; without it every edge weighs 1.
    self_loops : bool
        Whether nodes without a self-loop get one of weight 1.
    rng : None, int or numpy.random.Generator
        Draws ``weight`` (and ``initial_weight``) [channels, channels], Glorot uniform.
    dtype
        Dtype of the parameters, in which it computes.

    Raises
    ------
    UnknownFieldError
        If the graph has no node field ``initial``.
    ShapeError
        If ``x_0`` has not the shape of ``x``.
    InvalidFeatureError
        If ``x`` or ``x_0`` is sparse (the paper maps the features by a linear layer first), or if the graph has state
        ``e`` or ``u``, which this layer would ignore.

    Notes
    -----
    No array of one row per edge is made. There is no bias and no non-linearity, which is a layer of its own. Directed
    graphs, isolated nodes, self-loops and parallel edges as in :class:`GCNConv`.

    Differences from the paper: a node that already has a self-loop keeps its weight; edge weights. Bipartite
    topologies are refused.

    References
    ----------
    Chen et al., Simple and deep graph convolutional networks, ICML 2020, equation 5.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> layers = [gk.nn.Linear(3, 8, rng=0), gk.nn.ReLU(), gk.nn.KeepFeatures("x_0")]
    >>> for depth in range(1, 9):
    ...     layers += [gk.nn.GCN2Conv(8, layer=depth, rng=depth), gk.nn.ReLU()]
    >>> model = gk.nn.Sequential(*layers, gk.nn.Linear(8, 2, rng=9))
    >>> model(gk.path(5).replace(x=np.ones((5, 3), "float32"))).x.shape
    (5, 2)
    """

    def __init__(
        self,
        channels: int,
        *,
        layer: int,
        alpha: float = 0.1,
        lam: float = 0.5,
        initial: str = "x_0",
        shared_weights: bool = True,
        edge_weight: str | None = None,
        self_loops: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if not 0.0 <= alpha <= 1.0 or not 0.0 <= lam < math.inf:
            raise InvalidArgumentError(
                f"alpha must lie in [0, 1] and lam must be at least 0. Got alpha={alpha!r}, lam={lam!r}. "
                "The paper uses alpha=0.1 and lam=0.5."
            )
        if check_count("layer", layer) < 1:
            raise InvalidArgumentError(
                f"layer counts the layers of the stack from 1. Got layer={layer!r}. Pass layer=1 for the first one."
            )
        self.in_channels = self.channels = check_count("channels", channels)
        self.alpha, self.beta = float(alpha), math.log(lam / layer + 1.0)
        self.initial = checked_field(initial, "initial")
        self.edge_weight = edge_weight
        self.self_loops = self_loops
        self.weight = Parameter(np.zeros((channels, channels)), dtype=dtype)
        self.initial_weight = None if shared_weights else Parameter(np.zeros((channels, channels)), dtype=dtype)
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        self.weight.assign(glorot_uniform(self.weight.shape, rng))
        if self.initial_weight is not None:
            self.initial_weight.assign(glorot_uniform(self.initial_weight.shape, rng))

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        x, start = require_dense(x, self), self._start(graph) * self.alpha
        weights = self.weights(graph, self.weight.dtype)
        topology, scale = normalised(
            graph.topology, weights, self.weight.dtype, self_loops=self.self_loops, factor=1.0 - self.alpha
        )

        def total() -> Tensor:
            return weighted_sum(topology, x, scale)

        what = ("gcn2", self.alpha, self.self_loops)
        smoothed = total() if weights is not None else aggregate_input(graph, what, x, total)
        if self.initial_weight is None:
            return self._mapped(smoothed + start, self.weight)
        return add_into(self._mapped(smoothed, self.weight), self._mapped(start, self.initial_weight))

    def _start(self, graph: Graph) -> Tensor:
        """The ``x_0`` of every node, in the dtype of the parameters."""
        if self.initial not in graph.nodes:
            raise UnknownFieldError(
                f"{layer_name(self)} returns to the features in the node field {self.initial!r}. The graph has node "
                f"fields {sorted(graph.nodes)}. Put gk.nn.KeepFeatures({self.initial!r}) before the first GCN2Conv."
            )
        start = input_features(graph.nodes[self.initial], self.channels, self.weight.dtype, self, field=self.initial)
        return require_dense(start, self)

    def _mapped(self, x: Tensor, weight: Tensor) -> Tensor:
        """``x ((1 - beta) I + beta W)`` without the sum of matrices, whose products would be the same."""
        return add_into((x @ weight) * self.beta, x * (1.0 - self.beta))

    def work(self, graph_in: Any, graph_out: Any) -> float:
        values = float(np.prod(graph_in.x.shape))
        products = 1 if self.initial_weight is None else 2
        return self.sum_work(graph_in, self.channels) + products * values * (2.0 * self.channels + 3.0) + 2.0 * values
