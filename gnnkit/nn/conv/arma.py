"""ARMAConv of Bianchi et al.: rational filters, by recursions that keep the input. Imports the convolution base."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit import autodiff
from gnnkit.autodiff import Tensor
from gnnkit.errors import InvalidArgumentError
from gnnkit.graph import Graph
from gnnkit.nn.activations import activation_named
from gnnkit.nn.conv.base import Convolution, add_bias, add_into, aggregate_input, aggregates_first, weighted_sum
from gnnkit.nn.conv.normalise import normalised
from gnnkit.nn.dropout import check_rate
from gnnkit.nn.init import glorot_uniform
from gnnkit.nn.inputs import as_features
from gnnkit.nn.linear import check_count
from gnnkit.nn.parameter import Parameter


class ARMAConv(Convolution):
    """Auto-regressive moving average filter: the mean of ``stacks`` recursions of ``layers`` steps.

    ``x' = 1 / K sum_k x_k^(T)``,  ``x_k^(t+1) = act(S x_k^(t) W_k^(t) + x V_k^(t) + b_k^(t))``,  ``x_k^(0) = x``,
    ``S_ij = w_ij / sqrt(d_i d_j)``, for K ``stacks`` and T ``layers``.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of ``x`` before and after.
    stacks : int
        Number K of recursions, the order of the filter.
    layers : int
        Number T of steps: a node sees others up to T hops away.
    shared_weights : bool
        Whether the steps of a recursion share ``V``, ``b`` and, from the second step on, ``W``: the first one maps from
        ``in_channels`` and has its own.
    activation : str or None
        Name of ``act`` ("relu", "tanh", ...); None for none.
    dropout : float
        Rate at which ``x`` is dropped on its way to V while training, anew in each step.
    edge_weight : str, optional
        Name of an edge field [num_edges] that holds ``w_ij``; without it every edge weighs 1.
    bias : bool
        Whether to add ``b``, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws ``initial_weight`` [stacks, in_channels, out_channels], ``weight`` [layers - 1, stacks, out_channels,
        out_channels] and ``skip_weight`` [layers, stacks, in_channels, out_channels], Glorot uniform; of shared ones
        there is one instead of ``layers``.
    dtype
        Dtype of the parameters, in which it computes.

    Raises
    ------
    InvalidArgumentError
        If ``stacks`` or ``layers`` is 0.
    InvalidFeatureError
        If the graph has state ``e`` or ``u``, which this layer would ignore.

    Notes
    -----
    No array of one row per edge is made, and all stacks go through one neighbour sum. The first step sums before or
    after its product, whichever is cheaper, and the sum over constant input features is remembered; of sparse features
    the products come first, and dropout drops stored values. No self-loops are added; those of the graph are part of
    S, and parallel edges count each. A node without incoming edges only sees itself, through V.

    Differences from the paper: a bias, as in the authors' code; ``S`` is their modified Laplacian for
    ``lambda_max = 2``; on a directed graph ``d`` is the in-degree on both sides. Bipartite topologies are refused.

    References
    ----------
    Bianchi et al., Graph neural networks with convolutional ARMA filters, IEEE TPAMI 2021: the
    GCS layer, and the mean of K parallel stacks of T of them.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(3).replace(x=np.eye(3, dtype=np.float32))
    >>> gk.nn.ARMAConv(3, 2, stacks=2, layers=3, shared_weights=True, rng=0)(g).x.shape
    (3, 2)
    """

    stochastic = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stacks: int = 1,
        layers: int = 1,
        shared_weights: bool = False,
        activation: str | None = "relu",
        dropout: float = 0.0,
        edge_weight: str | None = None,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if check_count("stacks", stacks) < 1 or check_count("layers", layers) < 1:
            raise InvalidArgumentError(
                f"stacks and layers must be at least 1. Got stacks={stacks}, layers={layers}. "
                "One stack of one layer is a graph convolution with a skip connection."
            )
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        self.stacks, self.layers = int(stacks), int(layers)
        self.hops = self.layers
        self.shared_weights = bool(shared_weights)
        self.activation = activation
        self._act = _function_named(activation)
        self.dropout = check_rate(dropout, "dropout")
        self.edge_weight = edge_weight
        steps = 1 if shared_weights else layers
        later = min(layers - 1, 1) if shared_weights else layers - 1
        self.initial_weight = Parameter(np.zeros((stacks, in_channels, out_channels)), dtype=dtype)
        self.weight = Parameter(np.zeros((later, stacks, out_channels, out_channels)), dtype=dtype)
        self.skip_weight = Parameter(np.zeros((steps, stacks, in_channels, out_channels)), dtype=dtype)
        self.bias = Parameter(np.zeros((steps, stacks, out_channels)), dtype=dtype, decay=0.0) if bias else None
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        for weight in (self.initial_weight, self.weight, self.skip_weight):
            weight.assign(glorot_uniform(weight.shape, rng))
        if self.bias is not None:
            self.bias.assign(np.zeros(self.bias.shape))

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        weights = self.weights(graph, self.initial_weight.dtype)
        topology, scale = normalised(graph.topology, weights, self.initial_weight.dtype, self_loops=False)

        def summed(rows: Any) -> Tensor:
            return weighted_sum(topology, rows, scale)

        first = _side_by_side(self.initial_weight)
        if not aggregates_first(x, self.stacks * self.out_channels):
            state = summed(x @ first)
        elif weights is not None:
            state = summed(x) @ first
        else:
            state = aggregate_input(graph, "arma", x, lambda: summed(x)) @ first
        state = self._stepped(state, x, 0)
        for step in range(1, self.layers):
            state = self._stepped(summed(self._mapped(state, step)), x, step)
        return state.reshape(graph.num_nodes, self.stacks, self.out_channels).mean(axis=1)

    def _mapped(self, state: Tensor, step: int) -> Tensor:
        """``x_k W_k`` of every stack k, side by side: [num_nodes, stacks * out_channels]."""
        weight, width = self.weight[0 if self.shared_weights else step - 1], self.out_channels
        columns = [state[:, k * width : (k + 1) * width] @ weight[k] for k in range(self.stacks)]
        return columns[0] if self.stacks == 1 else np.concatenate(columns, axis=1)  # type: ignore[arg-type,return-value]

    def _stepped(self, fresh: Tensor, x: Any, step: int) -> Tensor:
        """The end of a step: ``fresh``, which may be written into, plus the skip connection, through ``act``."""
        which = 0 if self.shared_weights else step
        dropped = autodiff.dropout(x, self.dropout, rng=self.generator) if self.training and self.dropout else x
        fresh = add_into(fresh, dropped @ _side_by_side(self.skip_weight[which]))
        if self.bias is not None:
            fresh = add_bias(fresh, self.bias[which].reshape(self.stacks * self.out_channels))
        return fresh if self._act is None else self._act(fresh)

    def work(self, graph_in: Any, graph_out: Any) -> float:
        width = self.stacks * self.out_channels
        first = graph_in.x.shape[1] if aggregates_first(as_features(graph_in), width) else width
        products = (1 + self.layers) * self.product_work(graph_in, width)
        later = (self.layers - 1) * (2.0 * graph_in.num_nodes * width * self.out_channels)
        sums = self.sum_work(graph_in, first) + (self.layers - 1) * self.sum_work(graph_in, width)
        return products + later + sums + 3.0 * self.layers * graph_in.num_nodes * width


def _side_by_side(weight: Tensor) -> Tensor:
    """[stacks, in, out] -> [in, stacks * out]: one product then maps for all stacks."""
    stacks, inside, outside = weight.shape
    weight = weight if stacks == 1 else weight.transpose(1, 0, 2)
    return weight.reshape(inside, stacks * outside)


def _function_named(activation: str | None) -> Callable[[Any], Any] | None:
    if activation is None:
        return None
    if not isinstance(activation, str):
        raise InvalidArgumentError(
            f"The activation inside the recursion is given by name. Got {activation!r}. Pass 'relu', 'tanh' or None."
        )
    activation_named(activation)  # refuses an unknown name with the closest known ones
    return getattr(autodiff, activation)
