"""GatedGraphConv of Li et al. and ResGatedGraphConv of Bresson and Laurent. Imports the base and message programs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import Tensor, sigmoid, tanh
from gnnkit.errors import ShapeError
from gnnkit.graph import Graph
from gnnkit.message import agg, message_program
from gnnkit.nn.conv.base import Convolution, add_bias, add_into
from gnnkit.nn.init import glorot_uniform
from gnnkit.nn.inputs import require_dense
from gnnkit.nn.linear import check_count
from gnnkit.nn.parameter import Parameter


class GatedGraphConv(Convolution):
    """Gated graph network: ``num_layers`` rounds of summed messages, each read by one gated recurrent unit.

    ``h_0 = [x, 0]``, and for every round with the same weights ``a_i = W^T sum_{j in N(i)} w_ij h_j + b``,
    ``z = sigmoid(W_z^T a + U_z^T h)``, ``r = sigmoid(W_r^T a + U_r^T h)``, ``c = tanh(W_c^T a + U_c^T (r * h))``,
    ``h' = (1 - z) * h + z * c``.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of ``x`` before and after; ``x`` is filled up with zeros, so ``out_channels >= in_channels``.
    num_layers : int
        Number of rounds.
    edge_weight : str, optional
        Name of an edge field [num_edges] that holds ``w_ij``; without it every edge weighs 1.
    bias : bool
        Whether there is ``b``, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws ``weight`` [out, out], ``input_weight`` (``W_z, W_r, W_c``) and ``state_weight`` (``U_z, U_r, U_c``)
        [3, out, out], Glorot uniform each.
    dtype
        Dtype of the parameters, in which it computes.

    Raises
    ------
    ShapeError
        If ``out_channels < in_channels``.
    InvalidFeatureError
        If ``x`` is sparse (put a Linear first), or if the graph has state ``e`` or ``u``, which this layer would
        ignore.

    Notes
    -----
    No array of one row per edge is made. A node without incoming edges reads ``a = b``. Messages follow the edges; a
    self-loop makes a node its own neighbour; parallel edges count each.

    Differences from the paper: one kind of edges, and messages along their direction only (the paper has a matrix for
    each type and direction: reverse the graph in a second layer, or take typed edges with RGCNConv); edge weights. The
    output model of the paper is a layer of its own. Bipartite topologies are refused.

    References
    ----------
    Li, Tarlow, Brockschmidt and Zemel, Gated graph sequence neural networks, ICLR 2016, equations 1 to 6.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(3).replace(x=np.eye(3, dtype=np.float32))
    >>> gk.nn.GatedGraphConv(3, 8, num_layers=4, rng=0)(g).x.shape
    (3, 8)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        num_layers: int = 3,
        edge_weight: str | None = None,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        if out_channels < in_channels:
            raise ShapeError(
                "The state of a gated graph network starts as x and zeros, so out_channels must be at least "
                f"in_channels. Got in_channels={in_channels}, out_channels={out_channels}. "
                "Put a Linear first to narrow x."
            )
        self.num_layers = self.hops = check_count("num_layers", num_layers)
        self.edge_weight = edge_weight
        self.weight = Parameter(np.zeros((out_channels, out_channels)), dtype=dtype)
        self.input_weight = Parameter(np.zeros((3, out_channels, out_channels)), dtype=dtype)
        self.state_weight = Parameter(np.zeros((3, out_channels, out_channels)), dtype=dtype)
        self.bias = Parameter(np.zeros(out_channels), dtype=dtype, decay=0.0) if bias else None
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        for weight in (self.weight, self.input_weight, self.state_weight):
            weight.assign(glorot_uniform(weight.shape, rng))
        if self.bias is not None:
            self.bias.assign(np.zeros(self.out_channels))

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        h = require_dense(x, self)
        missing = self.out_channels - h.shape[1]
        if missing:
            h = np.concatenate([h, np.zeros((graph.num_nodes, missing), h.dtype)], axis=1)  # type: ignore[assignment]
        weights = self.weights(graph, self.weight.dtype)
        for _ in range(self.num_layers):
            if weights is None:
                summed = _sum(graph.topology, src={"h": h})
            else:
                summed = _weighted_sum(graph.topology, src={"h": h}, edge={"weight": weights})
            h = self._recurrent_unit(add_bias(summed @ self.weight, self.bias), h)
        return h

    def _recurrent_unit(self, a: Tensor, h: Tensor) -> Tensor:
        w, u = self.input_weight, self.state_weight
        update = sigmoid(add_into(a @ w[0], h @ u[0]))
        reset = sigmoid(add_into(a @ w[1], h @ u[1]))
        candidate = tanh(add_into(a @ w[2], (reset * h) @ u[2]))
        return h + update * (candidate - h)

    def work(self, graph_in: Any, graph_out: Any) -> float:
        width = self.out_channels
        products = 14.0 * graph_in.num_nodes * width * width
        return self.num_layers * (products + self.sum_work(graph_in, width) + 10.0 * graph_in.num_nodes * width)


class ResGatedGraphConv(Convolution):
    """Residual gated graph convolution: a gate for every channel of every edge decides what passes.

    ``x_i' = U^T x_i + sum_{j in N(i)} eta_ij * (V^T x_j) + b``,
    ``eta_ij = sigmoid(A^T x_i + B^T x_j [+ C^T e_ij])``.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of ``x`` before and after.
    edge_channels : int, optional
        Channels of ``e``, which then takes part in the gates through ``C``.
    bias : bool
        Whether to add ``b``, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws ``own_weight`` U, ``value_weight`` V, ``receiver_gate`` A, ``sender_gate`` B [in_channels, out_channels]
        and ``edge_gate`` C [edge_channels, out_channels], Glorot uniform.
    dtype
        Dtype of the parameters, in which it computes.

    Raises
    ------
    UnknownFieldError
        With ``edge_channels``, if the graph has no ``e``.
    InvalidFeatureError
        If the graph has state ``e`` without ``edge_channels``, or ``u``: this layer would ignore it.

    Notes
    -----
    The four products are taken per node (sparse ``x`` stays sparse); gates and sum are one message program without an
    array of one row per edge. A node without incoming edges gets ``U^T x_i + b``. Messages follow the edges; a
    self-loop and parallel edges are messages like others.

    Differences from the paper: the ReLU and the residual around it are layers of their own
    (``gk.nn.Residual(gk.nn.Sequential(conv, gk.nn.ReLU()))``); edge features in the gates (optional); a bias.
    Bipartite topologies are refused.

    References
    ----------
    Bresson and Laurent, Residual gated graph ConvNets, arXiv 1711.07553, 2017, gated graph ConvNets of section 2.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(3).replace(x=np.eye(3, dtype=np.float32))
    >>> gk.nn.ResGatedGraphConv(3, 4, rng=0)(g).x.shape
    (3, 4)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        edge_channels: int | None = None,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        self.edge_channels = None if edge_channels is None else check_count("edge_channels", edge_channels)
        self.state = ("x",) if edge_channels is None else ("x", "e")

        def empty(rows: int) -> Parameter:
            return Parameter(np.zeros((rows, out_channels)), dtype=dtype)

        self.own_weight, self.value_weight = empty(in_channels), empty(in_channels)
        self.receiver_gate, self.sender_gate = empty(in_channels), empty(in_channels)
        self.edge_gate = None if edge_channels is None else empty(edge_channels)
        self.bias = Parameter(np.zeros(out_channels), dtype=dtype, decay=0.0) if bias else None
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        for name, parameter in self.own_parameters():
            parameter.assign(np.zeros(parameter.shape) if name == "bias" else glorot_uniform(parameter.shape, rng))

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        own = add_bias(x @ self.own_weight, self.bias)
        src = {"value": x @ self.value_weight, "gate": x @ self.sender_gate}
        dst = {"gate": x @ self.receiver_gate}
        if self.edge_gate is None:
            return own + _gated(graph.topology, src=src, dst=dst)
        e = self.edge_features(graph, self.edge_gate.shape[0], self.own_weight.dtype)
        return own + _gated_by_edges(graph.topology, src=src, dst=dst, edge={"e": e}, params={"gate": self.edge_gate})

    def work(self, graph_in: Any, graph_out: Any) -> float:
        per_edge = self.out_channels * (7.0 + 2.0 * (self.edge_channels or 0))
        return 4 * self.product_work(graph_in, self.out_channels) + graph_in.num_edges * per_edge


@message_program
def _sum(src: Any) -> Any:
    return agg.sum(src.h)


@message_program
def _weighted_sum(src: Any, edge: Any) -> Any:
    return agg.sum(edge.weight * src.h)


@message_program
def _gated(src: Any, dst: Any) -> Any:
    return agg.sum(sigmoid(dst.gate + src.gate) * src.value)


@message_program
def _gated_by_edges(src: Any, dst: Any, edge: Any, params: Any) -> Any:
    by_edge = (edge.e[:, None] * params.gate).sum(axis=0)
    return agg.sum(sigmoid(dst.gate + src.gate + by_edge) * src.value)
