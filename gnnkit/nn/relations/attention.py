"""RelationGAT: every receiver weighs its senders. Imports message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit import autodiff
from gnnkit.autodiff import Tensor
from gnnkit.graph import Relation
from gnnkit.message import agg, message_program
from gnnkit.nn.init import glorot_uniform
from gnnkit.nn.linear import check_count
from gnnkit.nn.parameter import Parameter
from gnnkit.nn.relations.base import RelationLayer, rows, widths


@message_program
def _attend(src: Any, dst: Any, params: Any) -> Any:
    score = autodiff.leaky_relu(src.left + dst.right, 0.2)
    return agg.sum(agg.softmax(score)[:, None] * src.h)


class RelationGAT(RelationLayer):
    """Graph attention of one relation: every receiver weighs its senders by what both of them are.

    ``x_i' = sum_{j -> i} a_ij W_senders^T x_j + b`` with ``a_ij = softmax_j(leaky_relu(l . W_senders^T x_j +
    r . W_receivers^T x_i))``, for each of the heads.

    Parameters
    ----------
    in_channels : int or (int, int)
        Channels of the senders and of the receivers.
    out_channels : int
        Channels of each head; the result has ``heads * out_channels``.
    heads : int
        Number of attentions side by side.
    bias : bool
        Whether to add ``b``, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws the weights, Glorot uniform.
    dtype
        Dtype of the parameters, in which it computes.

    Notes
    -----
    No array of one row per edge is kept. A receiver without edges gets ``b``. Parallel edges count each. No self-loops
    are added: sender and receiver may be of different types.

    References
    ----------
    Velickovic et al., Graph attention networks, ICLR 2018; per relation as in Wang et al., Heterogeneous graph
    attention network, WWW 2019.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> writes = ("author", "writes", "paper")
    >>> g = gk.typed_graph({"author": 2, "paper": 4}, edges={writes: ([0, 1], [3, 3])})
    >>> layer = gk.nn.RelationGAT((3, 5), 2, heads=4, rng=0)
    >>> layer(g[writes], np.ones((2, 3), "float32"), np.ones((4, 5), "float32")).shape
    (4, 8)
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        out_channels: int,
        *,
        heads: int = 1,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.widths = widths(in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        self.heads = check_count("heads", heads)
        senders, receivers = self.widths
        width = heads * out_channels
        self.sender_weight = Parameter(np.zeros((senders, width)), dtype=dtype)
        self.receiver_weight = Parameter(np.zeros((receivers, width)), dtype=dtype)
        self.sender_score = Parameter(np.zeros((heads, out_channels)), dtype=dtype)
        self.receiver_score = Parameter(np.zeros((heads, out_channels)), dtype=dtype)
        self.bias = Parameter(np.zeros(width), dtype=dtype, decay=0.0) if bias else None
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        for weight in (self.sender_weight, self.receiver_weight, self.sender_score, self.receiver_score):
            weight.assign(glorot_uniform(weight.shape, rng))
        if self.bias is not None:
            self.bias.assign(np.zeros(self.heads * self.out_channels))

    def messages(self, relation: Relation, sender_x: Any, receiver_x: Any) -> Tensor:
        dtype, shape = self.sender_weight.dtype, (self.heads, self.out_channels)
        senders = rows(sender_x, self.widths[0], self, "senders", dtype) @ self.sender_weight
        receivers = rows(receiver_x, self.widths[1], self, "receivers", dtype) @ self.receiver_weight
        h = senders.reshape(len(senders), *shape)
        left = (h * self.sender_score).sum(axis=-1)
        right = (receivers.reshape(len(receivers), *shape) * self.receiver_score).sum(axis=-1)
        out = _attend(relation.topology, src={"h": h, "left": left}, dst={"right": right})
        out = out.reshape(len(receivers), self.heads * self.out_channels)
        return out if self.bias is None else out + self.bias
