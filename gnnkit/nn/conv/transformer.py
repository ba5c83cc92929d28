"""TransformerConv of Shi et al.: dot-product attention over neighbours. Imports the base and message programs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import Tensor, dropout, sigmoid
from gnnkit.errors import InvalidArgumentError
from gnnkit.graph import Graph
from gnnkit.message import agg, message_program
from gnnkit.nn.conv.base import Convolution
from gnnkit.nn.dropout import check_rate
from gnnkit.nn.init import glorot_uniform
from gnnkit.nn.linear import check_count
from gnnkit.nn.parameter import Parameter


class TransformerConv(Convolution):
    """Graph transformer: multi-head dot-product attention over the neighbours, with a gate to the own features.

    ``h_i = sum_{j in N(i)} a_ij (v_j [+ W_e^T e_ij])``, ``a_ij = softmax_j(q_i . (k_j [+ W_e^T e_ij]) / sqrt(c))``
    with ``q, k, v = W^T x + b`` of each of the heads, ``c = out_channels``; the heads are concatenated or averaged;
    ``x_i' = (1 - beta_i) h_i + beta_i r_i``, ``r = W_r^T x + b_r``, ``beta = sigmoid(w_b . [h, r, h - r])``.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of ``x`` before, and after for each head.
    heads : int
        Number of attention heads.
    concat : bool
        Concatenate the heads to ``heads * out_channels`` channels, or average them.
    beta : bool
        Whether the gate mixes ``h`` and ``r``; without it ``x' = h + r``.
    dropout : float
        Rate at which attention weights are dropped while training.
    edge_channels : int, optional
        Channels of ``e``, which then adds to keys and values through ``W_e`` [edge_channels, heads * out_channels].
    bias : bool
        Whether queries, keys, values and ``r`` have one, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws the weights, Glorot uniform for each head.
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
    The four products are taken per node (sparse ``x`` stays sparse) and the rest is one message program without an
    array of one row per edge. Edge features are never multiplied edge by edge either: ``q . W_e^T e = (W_e q) . e`` is
    per receiver, and so is ``W_e^T sum_j a_ij e_ij``. No self-loops are added; the own features come through ``r``,
    which is all that a node without incoming edges gets (``h = 0``). Messages follow the edges; a self-loop and
    parallel edges are attended to each.

    Differences from the paper: the ReLU of a layer norm around the result is left to the layers that follow; the map of
    the edges has no bias (in the score it cancels; in the sum it is a constant that ``b_v`` can take); label
    propagation through the input features is not part of the layer. Bipartite topologies are refused.

    References
    ----------
    Shi et al., Masked label prediction: unified message passing model for semi-supervised classification, IJCAI 2021,
    equations 3 to 5.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(3).replace(x=np.eye(3, dtype=np.float32))
    >>> gk.nn.TransformerConv(3, 4, heads=2, rng=0)(g).x.shape
    (3, 8)
    """

    stochastic = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        heads: int = 1,
        concat: bool = True,
        beta: bool = True,
        dropout: float = 0.0,
        edge_channels: int | None = None,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        if check_count("heads", heads) == 0:
            raise InvalidArgumentError("Attention needs at least 1 head. Got heads=0. The paper uses 2 or 3.")
        self.heads, self.concat = int(heads), bool(concat)
        self.dropout = check_rate(dropout, "dropout")
        self.edge_channels = None if edge_channels is None else check_count("edge_channels", edge_channels)
        self.state = ("x",) if edge_channels is None else ("x", "e")
        width = heads * out_channels
        own = width if concat else out_channels
        for name, columns in (("query", width), ("key", width), ("value", width), ("own", own)):
            setattr(self, f"{name}_weight", Parameter(np.zeros((in_channels, columns)), dtype=dtype))
            shift = Parameter(np.zeros(columns), dtype=dtype, decay=0.0) if bias else None
            setattr(self, f"{name}_bias", shift)
        self.edge_map = None if edge_channels is None else Parameter(np.zeros((edge_channels, width)), dtype=dtype)
        self.gate = Parameter(np.zeros((3 * own, 1)), dtype=dtype) if beta else None
        self.initialise(np.random.default_rng(rng))

    query_weight: Parameter
    key_weight: Parameter
    value_weight: Parameter
    own_weight: Parameter

    def initialise(self, rng: np.random.Generator) -> None:
        for name, parameter in self.own_parameters():
            if name.endswith("_bias"):
                parameter.assign(np.zeros(parameter.shape))
            elif name in ("own_weight", "gate"):
                parameter.assign(glorot_uniform(parameter.shape, rng))
            else:
                blocks = glorot_uniform((self.heads, parameter.shape[0], self.out_channels), rng)
                parameter.assign(blocks.transpose(1, 0, 2).reshape(parameter.shape))

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        src = {"key": self._heads(x, "key"), "value": self._heads(x, "value")}
        query = self._heads(x, "query") * max(self.out_channels, 1) ** -0.5
        dst, edge = {"query": query}, {}
        if self.training and self.dropout:
            ones = np.ones((graph.num_edges, self.heads), self.own_weight.dtype)
            edge["keep"] = dropout(ones, self.dropout, rng=self.generator)
        if self.edge_map is not None:
            h = self._with_edges(graph, src, dst, edge)
        elif edge:
            h = _between_nodes_dropped(graph.topology, src=src, dst=dst, edge=edge)
        else:
            h = _between_nodes(graph.topology, src=src, dst=dst)
        if self.concat:
            h = h.reshape(graph.num_nodes, self.heads * self.out_channels)
        else:
            h = h.mean(axis=1)
        return self._gated(h, self._linear(x, "own"))

    def _with_edges(self, graph: Graph, src: dict[str, Any], dst: dict[str, Any], edge: dict[str, Any]) -> Tensor:
        assert self.edge_map is not None
        channels = self.edge_map.shape[0]
        program = _with_edges_dropped if edge else _with_edges
        edge["e"] = self.edge_features(graph, channels, self.edge_map.dtype)
        by_head = self.edge_map.reshape(channels, self.heads, self.out_channels).transpose(1, 2, 0)  # [heads, c, edge]
        dst["edge_query"] = np.matmul(dst["query"].transpose(1, 0, 2), by_head).transpose(1, 0, 2)
        both = program(graph.topology, src=src, dst=dst, edge=edge)
        values, of_edges = both[:, :, : self.out_channels], both[:, :, self.out_channels :]
        return values + np.matmul(of_edges.transpose(1, 0, 2), by_head.transpose(0, 2, 1)).transpose(1, 0, 2)

    def _linear(self, x: Any, name: str) -> Tensor:
        out, bias = x @ getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")
        return out if bias is None else out + bias

    def _heads(self, x: Any, name: str) -> Tensor:
        return self._linear(x, name).reshape(x.shape[0], self.heads, self.out_channels)

    def _gated(self, h: Tensor, own: Tensor) -> Tensor:
        if self.gate is None:
            return h + own
        # w . [h, r, h - r] without the concatenation.
        width = h.shape[1]
        first, second, third = self.gate[:width], self.gate[width : 2 * width], self.gate[2 * width :]
        beta = sigmoid(h @ (first + third) + own @ (second - third))
        return h + beta * (own - h)

    def work(self, graph_in: Any, graph_out: Any) -> float:
        width, nodes = self.heads * self.out_channels, graph_in.num_nodes
        products = 3 * self.product_work(graph_in, width) + self.product_work(graph_in, self.own_weight.shape[1])
        extra = 0 if self.edge_channels is None else self.edge_channels
        mapped = 4.0 * nodes * width * extra
        return products + mapped + graph_in.num_edges * (4.0 * (width + self.heads * extra) + 6.0 * self.heads)


def _attend(src: Any, dst: Any, e: Any = None, keep: Any = None) -> Any:
    """Symbols -> [heads, channels (+ edge_channels)] of each receiver: the weighted mean of the values (and of e)."""
    score = (dst.query * src.key).sum(axis=-1)
    if e is not None:
        score = score + (dst.edge_query * e).sum(axis=-1)
    share = agg.softmax(score)
    share = share if keep is None else share * keep
    values = agg.sum(share[:, None] * src.value)
    return values if e is None else np.concatenate([values, agg.sum(share[:, None] * e)], axis=-1)


@message_program
def _between_nodes(src: Any, dst: Any) -> Any:
    return _attend(src, dst)


@message_program
def _between_nodes_dropped(src: Any, dst: Any, edge: Any) -> Any:
    return _attend(src, dst, keep=edge.keep)


@message_program
def _with_edges(src: Any, dst: Any, edge: Any) -> Any:
    return _attend(src, dst, edge.e)


@message_program
def _with_edges_dropped(src: Any, dst: Any, edge: Any) -> Any:
    return _attend(src, dst, edge.e, edge.keep)
