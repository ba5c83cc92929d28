"""CGConv of Xie and Grossman: gated messages between the atoms of a crystal. Imports the base and message programs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import Tensor, sigmoid, softplus
from gnnkit.graph import Graph
from gnnkit.message import agg, message_program
from gnnkit.nn.conv.base import Convolution
from gnnkit.nn.init import glorot_uniform
from gnnkit.nn.inputs import require_dense
from gnnkit.nn.linear import check_count
from gnnkit.nn.parameter import Parameter


class CGConv(Convolution):
    """Crystal graph convolution: each neighbour adds a gated, non-linear message of both ends and the edge.

    ``x_i' = x_i + sum_{j in N(i)} sigmoid(W_g^T z_ij + b_g) * softplus(W_c^T z_ij + b_c)``,
    ``z_ij = [x_i, x_j (, e_ij)]``.

    Parameters
    ----------
    in_channels : int
        Channels of ``x``, before and after.
    edge_channels : int, optional
        Channels of ``e``; without it the layer reads the nodes only.
    bias : bool
        Whether there are ``b_g`` and ``b_c``, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws ``gate`` and ``core`` [2 in_channels + edge_channels, in_channels], Glorot uniform.
    dtype
        Dtype of the parameters, in which it computes.

    Raises
    ------
    UnknownFieldError
        With ``edge_channels``, if the graph has no ``e``.
    ShapeError
        If the channels of ``x`` or ``e`` do not fit.
    InvalidFeatureError
        If ``x`` is sparse (the result adds to it), or if the graph has state that this layer would ignore: ``u``, and
        ``e`` without ``edge_channels``.

    Notes
    -----
    ``W^T z`` is split into parts of receiver, sender and edge; those of the nodes are taken once per node, and no array
    of one row per edge is made. A node without incoming edges keeps its features. Messages follow the edges; a
    self-loop and parallel edges (several bonds to images of one atom, usual in crystals) are messages like others.

    Differences from the paper: no batch norm (the authors' code has one on ``W^T z`` and one on the sum); edge features
    are optional. Bipartite topologies are refused.

    References
    ----------
    Xie and Grossman, Crystal graph convolutional neural networks for an accurate and interpretable prediction of
    material properties, Physical Review Letters 2018, equation 5.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_edges([0, 1], [1, 2], x=np.eye(3, dtype="float32"), e=np.ones((2, 4), "float32"))
    >>> gk.nn.CGConv(3, edge_channels=4, rng=0)(g).x.shape
    (3, 3)
    """

    def __init__(
        self,
        in_channels: int,
        *,
        edge_channels: int | None = None,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.in_channels = check_count("in_channels", in_channels)
        self.edge_channels = None if edge_channels is None else check_count("edge_channels", edge_channels)
        self.state = ("x",) if edge_channels is None else ("x", "e")
        rows = 2 * in_channels + (edge_channels or 0)
        self.gate = Parameter(np.zeros((rows, in_channels)), dtype=dtype)
        self.core = Parameter(np.zeros((rows, in_channels)), dtype=dtype)
        self.gate_bias = Parameter(np.zeros(in_channels), dtype=dtype, decay=0.0) if bias else None
        self.core_bias = Parameter(np.zeros(in_channels), dtype=dtype, decay=0.0) if bias else None
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        for weight, bias in ((self.gate, self.gate_bias), (self.core, self.core_bias)):
            weight.assign(glorot_uniform(weight.shape, rng))
            if bias is not None:
                bias.assign(np.zeros(bias.shape))

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        x = require_dense(x, self)
        own, other, params = {}, {}, {}
        for name, weight, bias in (("gate", self.gate, self.gate_bias), ("core", self.core, self.core_bias)):
            width = x.shape[1]
            mine = x @ weight[:width]
            own[name] = mine if bias is None else mine + bias
            other[name] = x @ weight[width : 2 * width]
            params[name] = weight[2 * width :]
        if self.edge_channels is None:
            return x + _between_nodes(graph.topology, src=other, dst=own)
        e = self.edge_features(graph, self.edge_channels, self.gate.dtype)
        return x + _with_edges(graph.topology, src=other, dst=own, edge={"e": e}, params=params)

    def work(self, graph_in: Any, graph_out: Any) -> float:
        width = graph_in.x.shape[1]
        per_edge = width * (4.0 * (self.edge_channels or 0) + 12.0)
        return 4 * self.product_work(graph_in, width) + graph_in.num_edges * per_edge


@message_program
def _between_nodes(src: Any, dst: Any) -> Any:
    return agg.sum(sigmoid(dst.gate + src.gate) * softplus(dst.core + src.core))


@message_program
def _with_edges(src: Any, dst: Any, edge: Any, params: Any) -> Any:
    gate = dst.gate + src.gate + (edge.e[:, None] * params.gate).sum(axis=0)
    core = dst.core + src.core + (edge.e[:, None] * params.core).sum(axis=0)
    return agg.sum(sigmoid(gate) * softplus(core))
