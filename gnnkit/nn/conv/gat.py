"""GATConv of Velickovic et al. and GATv2Conv of Brody et al.: attention over neighbours.

Imports the convolution base and message programs.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import SparseMatrix, Tensor, dropout, leaky_relu, take_rows
from gnnkit.errors import InvalidArgumentError
from gnnkit.graph import Graph, Topology
from gnnkit.graph.transforms.normalise import with_remaining_loops
from gnnkit.message import agg, aggregate, message_program
from gnnkit.nn.conv.base import Convolution
from gnnkit.nn.conv.networks import edge_product
from gnnkit.nn.dropout import check_rate
from gnnkit.nn.init import glorot_uniform
from gnnkit.nn.linear import check_count
from gnnkit.nn.parameter import Parameter, shared


@cache
def _additive(slope: float, with_edges: bool, drops: bool, concat: bool, with_bias: bool) -> Any:
    """GATConv: the scores are parts of the sender, of the receiver and of the edge, [heads] each."""

    def attention(src: Any, dst: Any, edge: Any, params: Any) -> Any:
        score = src.score + dst.score
        score = score + edge.score if with_edges else score
        weight = agg.softmax(leaky_relu(score, slope))
        weight = weight * edge.keep if drops else weight
        summed = agg.sum(weight[:, None] * src.h)
        summed = summed if concat else summed.mean(0)
        return summed + params.bias if with_bias else summed

    return message_program(attention)


@cache
def _dynamic(slope: float, with_edges: bool, drops: bool, concat: bool, with_bias: bool) -> Any:
    """GATv2Conv: the non-linearity stands inside of the score, over the channels of each head."""

    def attention(src: Any, dst: Any, edge: Any, params: Any) -> Any:
        hidden = src.h + dst.h
        hidden = hidden + edge_product(edge.e, params.edge_map) if with_edges else hidden
        weight = agg.softmax((leaky_relu(hidden, slope) * params.score).sum(-1))
        weight = weight * edge.keep if drops else weight
        summed = agg.sum(weight[:, None] * src.h)
        summed = summed if concat else summed.mean(0)
        return summed + params.bias if with_bias else summed

    return message_program(attention)


class _Attention(Convolution):
    """Heads, self-loops, dropout and what follows the attention; a subclass runs its message program."""

    stochastic = True

    def _build(
        self,
        in_channels: int,
        out_channels: int,
        heads: int,
        concat: bool,
        slope: float,
        dropout: float,
        edge_channels: int | None,
        self_loops: bool,
        bias: bool,
        dtype: DTypeLike,
    ) -> None:
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        if check_count("heads", heads) == 0:
            raise InvalidArgumentError("Attention needs at least 1 head. Got heads=0. The paper uses 8.")
        self.heads = int(heads)
        self.concat, self.slope, self.self_loops = bool(concat), float(slope), bool(self_loops)
        self.dropout = check_rate(dropout, "dropout")
        self.edge_channels = None if edge_channels is None else check_count("edge_channels", edge_channels)
        self.state = ("x",) if edge_channels is None else ("x", "e")
        width = heads * out_channels if concat else out_channels
        self.bias = Parameter(np.zeros(width), dtype=dtype, decay=0.0) if bias else None

    def _per_head(self, rng: np.random.Generator, rows: int) -> np.ndarray:
        """[rows, heads * out_channels]: each head is a Glorot matrix of its own, as in the authors' code."""
        blocks = glorot_uniform((self.heads, rows, self.out_channels), rng)
        return blocks.transpose(1, 0, 2).reshape(rows, self.heads * self.out_channels)

    def _kept(self, topology: Topology, dtype: Any) -> dict[str, Any]:
        """While dropping attention weights the edge field ``keep`` [num_edges, heads]: 0 or 1 / (1 - rate)."""
        if not (self.training and self.dropout):
            return {}
        ones = np.ones((topology.num_edges, self.heads), dtype)
        return {"keep": dropout(ones, self.dropout, rng=self.generator)}

    def _by_head(self, rows: Tensor) -> Tensor:
        return rows.reshape(rows.shape[0], self.heads, self.out_channels)

    def _bias(self) -> dict[str, Any]:
        """The parameter ``bias`` of the program, [heads, out_channels] where heads are concatenated."""
        if self.bias is None:
            return {}
        return {"bias": self.bias.reshape(self.heads, self.out_channels) if self.concat else self.bias}

    def _joined(self, summed: Tensor) -> Tensor:
        """The concatenated heads of every node in one axis."""
        return summed.reshape(summed.shape[0], self.heads * self.out_channels) if self.concat else summed

    def _mean_for_loops(self, graph: Graph, per_edge: Tensor) -> Tensor:
        """Values for the topology with self-loops: an added loop gets the mean of what its node gets."""
        if not self.self_loops:
            return per_edge
        looped, source, _ = with_remaining_loops(graph.topology)
        nodes = looped.receivers[source >= graph.num_edges]  # loops are numbered in the order of their nodes
        means = aggregate(graph.topology, per_edge, "mean")
        return take_rows(np.concatenate([per_edge, take_rows(means, nodes)]), source)

    def _topology(self, graph: Graph) -> Topology:
        return with_remaining_loops(graph.topology)[0] if self.self_loops else graph.topology


class GATConv(_Attention):
    """Graph attention: each node averages its neighbours with weights computed from both ends of the edge.

    ``x_i' = sum_{j in N(i) + i} a_ij W^T x_j + b``,
    ``a_ij = softmax_j(leaky_relu(r . W^T x_i + s . W^T x_j [+ t . e_ij]))``,
    for each of the heads, which are then concatenated or averaged.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of ``x`` before, and after for each head.
    heads : int
        Number of attention heads.
    concat : bool
        Concatenate the heads to ``heads * out_channels`` channels, or average them (the paper's last layer).
    slope : float
        Negative slope of the leaky ReLU.
    dropout : float
        Rate at which attention weights are dropped while training.
    edge_channels : int, optional
        Channels of ``e``, which then takes part in the scores through ``t`` [edge_channels, heads].
    self_loops : bool
        Whether nodes without a self-loop get one; its ``e`` is the mean of what its node receives.
    bias : bool
        Whether to add ``b``, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws the parameters, Glorot uniform for each head.
    dtype
        Dtype of the parameters, in which it computes.

    Raises
    ------
    InvalidFeatureError
        If the graph has state ``e`` without ``edge_channels``, or ``u``: this layer would ignore it.

    Notes
    -----
    The scores split into a part of the receiver and a part of the sender, computed per node; arrays of one row per edge
    (the part of ``e``, what dropout keeps) have ``heads`` columns, never ``heads * out_channels``. Without self-loops
    an isolated node gets the bias. On a directed graph a node attends to its senders; parallel edges are attended to
    each. There is no edge weight: the attention takes its place.

    Differences from the paper: edge features in the scores (optional). Bipartite topologies are refused.

    References
    ----------
    Velickovic et al., Graph attention networks, ICLR 2018, equations 3 to 6.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(3).replace(x=np.eye(3, dtype=np.float32))
    >>> gk.nn.GATConv(3, 4, heads=2, rng=0)(g).x.shape
    (3, 8)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        heads: int = 1,
        concat: bool = True,
        slope: float = 0.2,
        dropout: float = 0.0,
        edge_channels: int | None = None,
        self_loops: bool = True,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self._build(in_channels, out_channels, heads, concat, slope, dropout, edge_channels, self_loops, bias, dtype)
        self.weight = Parameter(np.zeros((in_channels, heads * out_channels)), dtype=dtype)
        self.receiver_score = Parameter(np.zeros((heads, out_channels)), dtype=dtype)
        self.sender_score = Parameter(np.zeros((heads, out_channels)), dtype=dtype)
        self.edge_score = None if edge_channels is None else Parameter(np.zeros((edge_channels, heads)), dtype=dtype)
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        self.weight.assign(self._per_head(rng, self.in_channels or 0))
        for score in (self.receiver_score, self.sender_score):
            score.assign(glorot_uniform((self.heads, self.out_channels, 1), rng)[..., 0])
        if self.edge_score is not None:
            self.edge_score.assign(glorot_uniform(self.edge_score.shape, rng))
        if self.bias is not None:
            self.bias.assign(np.zeros(self.bias.shape))

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        topology = self._topology(graph)
        h = x @ self.weight
        scores: Any = np.concatenate([block_diagonal(self.receiver_score), block_diagonal(self.sender_score)], axis=1)
        if isinstance(x, SparseMatrix) or x.shape[1] <= h.shape[1]:
            # the product of the weights first: no pass over h, nor over its gradient
            scores = x @ shared(self.weight @ scores)
        else:
            scores = h @ shared(scores)
        dst, src = {"score": scores[:, : self.heads]}, {"score": scores[:, self.heads :], "h": self._by_head(h)}
        edge = self._kept(topology, h.dtype)
        program = _additive(self.slope, self.edge_score is not None, "keep" in edge, self.concat, self.bias is not None)
        if self.edge_score is not None:
            e = self.edge_features(graph, self.edge_score.shape[0], self.weight.dtype)
            edge["score"] = self._mean_for_loops(graph, e @ self.edge_score)
        return self._joined(program(topology, src=src, dst=dst, edge=edge, params=self._bias()))

    def work(self, graph_in: Any, graph_out: Any) -> float:
        width = self.heads * self.out_channels
        edges = self.summed_edges(graph_in)
        scores = 4.0 * graph_in.num_nodes * width + 6.0 * edges * self.heads
        return self.product_work(graph_in, width) + scores + 2.0 * edges * width


class GATv2Conv(_Attention):
    """Dynamic graph attention: the ranking of the neighbours may differ from node to node.

    ``x_i' = sum_{j in N(i) + i} a_ij W_s^T x_j + b``,
    ``a_ij = softmax_j(s . leaky_relu(W_r^T x_i + W_s^T x_j [+ W_e^T e_ij]))``,
    for each of the heads, which are then concatenated or averaged.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of ``x`` before, and after for each head.
    heads : int
        Number of attention heads.
    concat : bool
        Concatenate the heads to ``heads * out_channels`` channels, or average them.
    slope : float
        Negative slope of the leaky ReLU.
    dropout : float
        Rate at which attention weights are dropped while training.
    edge_channels : int, optional
        Channels of ``e``, which then takes part in the scores through ``W_e``.
    share_weights : bool
        Use one matrix for ``W_r`` and ``W_s``.
    self_loops : bool
        Whether nodes without a self-loop get one; its ``e`` is the mean of what its node receives.
    bias : bool
        Whether to add ``b``, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws the parameters, Glorot uniform for each head.
    dtype
        Dtype of the parameters, in which it computes.

    Raises
    ------
    InvalidFeatureError
        If the graph has state ``e`` without ``edge_channels``, or ``u``: this layer would ignore it.

    Notes
    -----
    The non-linearity stands inside the score, which is therefore computed edge by edge and not stored, nor is any array
    of ``heads * out_channels`` columns per edge. Otherwise like :class:`GATConv`.

    Differences from the paper: ``W [x_i, x_j]`` is written as ``W_r x_i + W_s x_j``, the same map without biases
    inside; edge features in the scores (optional). Bipartite topologies are refused.

    References
    ----------
    Brody, Alon and Yahav, How attentive are graph attention networks?, ICLR 2022, equation 7.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(3).replace(x=np.eye(3, dtype=np.float32))
    >>> gk.nn.GATv2Conv(3, 4, heads=2, concat=False, rng=0)(g).x.shape
    (3, 4)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        heads: int = 1,
        concat: bool = True,
        slope: float = 0.2,
        dropout: float = 0.0,
        edge_channels: int | None = None,
        share_weights: bool = False,
        self_loops: bool = True,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self._build(in_channels, out_channels, heads, concat, slope, dropout, edge_channels, self_loops, bias, dtype)
        width = heads * out_channels
        self.sender_weight = Parameter(np.zeros((in_channels, width)), dtype=dtype)
        self.receiver_weight = None if share_weights else Parameter(np.zeros((in_channels, width)), dtype=dtype)
        self.edge_map = None if edge_channels is None else Parameter(np.zeros((edge_channels, width)), dtype=dtype)
        self.score = Parameter(np.zeros((heads, out_channels)), dtype=dtype)
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        self.sender_weight.assign(self._per_head(rng, self.in_channels or 0))
        if self.receiver_weight is not None:
            self.receiver_weight.assign(self._per_head(rng, self.in_channels or 0))
        if self.edge_map is not None:
            self.edge_map.assign(self._per_head(rng, self.edge_channels or 0))
        self.score.assign(glorot_uniform((self.heads, self.out_channels, 1), rng)[..., 0])
        if self.bias is not None:
            self.bias.assign(np.zeros(self.bias.shape))

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        topology = self._topology(graph)
        h = x @ self.sender_weight
        own = h if self.receiver_weight is None else x @ self.receiver_weight
        src, dst, edge = {"h": self._by_head(h)}, {"h": self._by_head(own)}, self._kept(topology, h.dtype)
        params: dict[str, Any] = {"score": self.score} | self._bias()
        program = _dynamic(self.slope, self.edge_map is not None, "keep" in edge, self.concat, self.bias is not None)
        if self.edge_map is not None:
            e = self.edge_features(graph, self.edge_map.shape[0], self.sender_weight.dtype)
            edge["e"] = self._mean_for_loops(graph, e)
            params["edge_map"] = self._by_head(self.edge_map)
        return self._joined(program(topology, src=src, dst=dst, edge=edge, params=params))

    def work(self, graph_in: Any, graph_out: Any) -> float:
        width = self.heads * self.out_channels
        edges = self.summed_edges(graph_in)
        products = 1 if self.receiver_weight is None else 2
        return products * self.product_work(graph_in, width) + edges * (6.0 * width + 4.0 * self.heads)


def block_diagonal(score: Tensor) -> Tensor:
    """[heads, channels] -> [heads * channels, heads]: one product then takes all heads' dot products at once."""
    heads, channels = score.shape
    spread = score.reshape(heads, channels, 1) * np.eye(heads, dtype=score.dtype).reshape(heads, 1, heads)
    return spread.reshape(heads * channels, heads)
