"""NNConv of Gilmer et al.: the edge chooses the matrix of its message. Imports the convolution base and programs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import Tensor
from gnnkit.errors import ShapeError, unknown_name
from gnnkit.graph import Graph
from gnnkit.message import agg, message_program
from gnnkit.nn.conv.base import Convolution, add_bias, add_into, aggregates_first
from gnnkit.nn.conv.networks import flat, in_channels, network_work
from gnnkit.nn.declared import MESSAGE_PASSING, Symmetry, around
from gnnkit.nn.init import glorot_uniform
from gnnkit.nn.inputs import as_features, require_dense
from gnnkit.nn.linear import Linear, check_count
from gnnkit.nn.module import Module
from gnnkit.nn.parameter import Parameter

REDUCERS = ("sum", "mean", "max")


class NNConv(Convolution):
    """Edge-conditioned convolution: a network turns the features of an edge into the matrix that its message takes.

    ``x_i' = W^T x_i + sum_{j in N(i)} A(e_ij)^T x_j + b``  with  ``A = network`` reshaped to [in, out].

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of ``x`` before and after.
    network : Module
        Maps ``e`` [num_edges, edge_channels] to [num_edges, in_channels * out_channels], for instance
        ``gk.nn.MLP([edge_channels, 32, in_channels * out_channels])``.
    reducer : {"sum", "mean", "max"}
        How the messages are aggregated.
    own_weight : bool
        Whether to add ``W^T x_i``.
    bias : bool
        Whether to add ``b``, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws ``own_weight`` [in_channels, out_channels], Glorot uniform.
    dtype
        Dtype of the parameters, in which it computes; the network has to have the same.

    Raises
    ------
    UnknownFieldError
        If the graph has no ``e``.
    ShapeError
        If ``e`` does not fit the network, or the network gives another number of channels than in * out.
    InvalidFeatureError
        If the graph has state ``u``, which this layer would ignore; if ``x`` is sparse and the network does not end in
        a Linear.

    Notes
    -----
    A network that ends in a Linear never makes its matrices: with ``h`` the ``K`` channels before that layer,
    ``A(e) = sum_k h_k W_k + B``, so edges weigh ``K`` copies of a node and the matrices multiply once per node, before
    or after the sum, whichever is cheaper. This takes an array ``[num_nodes, (K + 1) * channels]``; sparse ``x``, which
    is multiplied first, stays sparse. Any other network makes an array of all matrices. A node without incoming edges
    gets ``W^T x_i + b``. Messages follow the edges; a self-loop and parallel edges are messages like others.

    Differences from the paper: the layer is the message function and the sum; the paper's update is a GRU
    (:class:`GatedGraphConv` has one) where ``W`` stands here. Bipartite topologies are refused.

    References
    ----------
    Gilmer et al., Neural message passing for quantum chemistry, ICML 2017, section 5, "edge network".

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_edges([0, 1], [1, 2], x=np.eye(3, 2, dtype="float32"), e=np.ones((2, 4), "float32"))
    >>> layer = gk.nn.NNConv(2, 5, gk.nn.MLP([4, 8, 2 * 5], rng=0), rng=0)
    >>> layer(g).x.shape
    (3, 5)
    """

    state = ("x", "e")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        network: Module,
        *,
        reducer: str = "sum",
        own_weight: bool = True,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if reducer not in REDUCERS:
            raise unknown_name("reducer of NNConv", reducer, REDUCERS)
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        self.reducer = reducer
        layers = list(flat(network))
        if layers and isinstance(layers[-1], Linear) and layers[-1].out_channels != in_channels * out_channels:
            raise _wrong_width(in_channels, out_channels, layers[-1].out_channels)
        self.own_weight = Parameter(np.zeros((in_channels, out_channels)), dtype=dtype) if own_weight else None
        self.bias = Parameter(np.zeros(out_channels), dtype=dtype, decay=0.0) if bias else None
        self.network = network
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        if self.own_weight is not None:
            self.own_weight.assign(glorot_uniform(self.own_weight.shape, rng))
        if self.bias is not None:
            self.bias.assign(np.zeros(self.out_channels))

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        return around(MESSAGE_PASSING, [self.network])

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        taken = in_channels(self.network)
        e = self.edge_features(
            graph, graph.e.shape[-1] if taken is None else taken, x.dtype, argument="network.in_channels"
        )
        *before, last = list(flat(self.network)) or [self.network]
        if type(last) is Linear:
            out = self._factorised(graph, x, e, before, last)
        else:
            out = self._by_matrices(graph, require_dense(x, self), self.network(e))
        out = out if self.own_weight is None else add_into(out, x @ self.own_weight)
        return add_bias(out, self.bias)

    def _factorised(self, graph: Graph, x: Any, e: Tensor, before: list[Module], last: Linear) -> Tensor:
        for layer in before:
            e = layer(e)
        weight = last.weight
        if last.bias is not None:  # the bias is one more matrix, of weight 1 on every edge
            ones = np.ones((graph.num_edges, 1), e.dtype)
            e = np.concatenate([e, ones], axis=1)  # type: ignore[assignment]
            weight = np.concatenate([weight, last.bias.reshape(1, -1)], axis=0)  # type: ignore[assignment]
        rows, inside, outside = weight.shape[0], x.shape[1], self.out_channels
        if self._weighs_first(x):
            summed = _outer[self.reducer](graph.topology, src={"x": x}, edge={"h": e})
            return summed.reshape(graph.num_nodes, rows * inside) @ weight.reshape(rows * inside, outside)
        stacked = weight.reshape(rows, inside, outside).transpose(1, 0, 2).reshape(inside, rows * outside)
        by_channel = (x @ stacked).reshape(graph.num_nodes, rows, outside)
        return _weighed[self.reducer](graph.topology, src={"by_channel": by_channel}, edge={"h": e})

    def _weighs_first(self, x: Any) -> bool:
        """Whether the edges weigh ``x`` itself, and the matrices multiply what a node received: the maximum cannot."""
        return self.reducer != "max" and aggregates_first(x, self.out_channels)

    def _by_matrices(self, graph: Graph, x: Tensor, matrices: Tensor) -> Tensor:
        inside, outside = x.shape[1], self.out_channels
        if matrices.shape != (graph.num_edges, inside * outside):
            raise _wrong_width(inside, outside, matrices.shape[-1])
        matrices = matrices.reshape(graph.num_edges, inside, outside)
        return _multiplied[self.reducer](graph.topology, src={"x": x}, edge={"matrix": matrices})

    def work(self, graph_in: Any, graph_out: Any) -> float:
        *before, last = list(flat(self.network)) or [self.network]
        own = 0.0 if self.own_weight is None else self.product_work(graph_in, self.out_channels)
        edges, width = graph_in.num_edges, self.out_channels
        if type(last) is not Linear:
            return own + network_work(self.network, edges) + 2.0 * edges * graph_in.x.shape[1] * width
        narrow = graph_in.x.shape[1] if self._weighs_first(as_features(graph_in)) else width
        conditioned = sum(network_work(layer, edges) for layer in before) + 2.0 * edges * last.in_channels * narrow
        return own + conditioned + self.product_work(graph_in, last.in_channels * width)


def _wrong_width(inside: int, outside: int, given: int) -> ShapeError:
    return ShapeError(
        f"The network of NNConv gives a matrix [in_channels, out_channels] = [{inside}, {outside}] for each edge, so "
        f"{inside * outside} channels. Got a network that gives {given}. End it in a layer of {inside * outside} "
        "channels."
    )


def _reduced(message: Any) -> dict[str, Any]:
    """One message program for each reducer of ``message``, a function of the symbols of sender and edge."""

    def build(reduce: Any) -> Any:
        @message_program
        def conditioned(src: Any, edge: Any) -> Any:
            return reduce(message(src, edge))

        return conditioned

    return {name: build(getattr(agg, name)) for name in REDUCERS}


_outer = _reduced(lambda src, edge: edge.h[:, None] * src.x)
_weighed = _reduced(lambda src, edge: (edge.h[:, None] * src.by_channel).sum(axis=0))
_multiplied = _reduced(lambda src, edge: src.x @ edge.matrix)
