"""RelationSAGE: aggregated senders and the receiver itself, each with weights of their own. Imports message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import Tensor
from gnnkit.errors import unknown_name
from gnnkit.graph import Relation, Topology
from gnnkit.message import MessageProgram, agg, message_program
from gnnkit.nn.conv.base import aggregates_first
from gnnkit.nn.init import glorot_uniform
from gnnkit.nn.inputs import require_dense
from gnnkit.nn.linear import check_count
from gnnkit.nn.parameter import Parameter
from gnnkit.nn.relations.base import RelationLayer, rows, widths


@message_program
def _sum(src: Any) -> Any:
    return agg.sum(src.h)


@message_program
def _mean(src: Any) -> Any:
    return agg.mean(src.h)


@message_program
def _max(src: Any) -> Any:
    return agg.max(src.h)


_PROGRAMS: dict[str, MessageProgram] = {"mean": _mean, "max": _max, "sum": _sum}


class RelationSAGE(RelationLayer):
    """GraphSAGE of one relation: the aggregated senders and the receiver itself, each with weights of their own.

    ``x_i' = W_senders^T reduce_{j -> i} x_j + W_receivers^T x_i + b``.

    Parameters
    ----------
    in_channels : int or (int, int)
        Channels of the senders and of the receivers.
    out_channels : int
        Channels of the result.
    reducer : {"mean", "max", "sum"}
        How the senders are aggregated.
    own : bool
        Whether the receiver's own features take part; without them the receivers need none.
    bias : bool
        Whether to add ``b``, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws ``sender_weight`` and ``receiver_weight`` [in_channels, out_channels], Glorot uniform.
    dtype
        Dtype of the parameters, in which it computes.

    Notes
    -----
    No array of one row per edge is made. A receiver without edges aggregates to 0. Parallel edges count each; a
    self-loop (within a type) makes a node its own neighbour. Sparse features stay sparse in the products.

    References
    ----------
    Hamilton, Ying and Leskovec, Inductive representation learning on large graphs, NeurIPS 2017, algorithm 1; with
    weights per relation as in Schlichtkrull et al., Modeling relational data with graph convolutional networks, ESWC
    2018.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> writes = ("author", "writes", "paper")
    >>> g = gk.typed_graph(
    ...     nodes={"author": {"x": np.ones((2, 3), "float32")}, "paper": {"x": np.ones((4, 5), "float32")}},
    ...     edges={writes: ([0, 1], [3, 3])},
    ... )
    >>> layer = gk.nn.RelationSAGE((3, 5), 2, rng=0)
    >>> layer(g[writes], g["author"].x, g["paper"].x).shape
    (4, 2)
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        out_channels: int,
        *,
        reducer: str = "mean",
        own: bool = True,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if reducer not in _PROGRAMS:
            raise unknown_name("reducer of RelationSAGE", reducer, _PROGRAMS)
        self.widths = widths(in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        self.reducer = reducer
        senders, receivers = self.widths
        self.sender_weight = Parameter(np.zeros((senders, out_channels)), dtype=dtype)
        self.receiver_weight = Parameter(np.zeros((receivers, out_channels)), dtype=dtype) if own else None
        self.bias = Parameter(np.zeros(out_channels), dtype=dtype, decay=0.0) if bias else None
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        for weight in (self.sender_weight, self.receiver_weight):
            if weight is not None:
                weight.assign(glorot_uniform(weight.shape, rng))
        if self.bias is not None:
            self.bias.assign(np.zeros(self.out_channels))

    def messages(self, relation: Relation, sender_x: Any, receiver_x: Any) -> Tensor:
        dtype = self.sender_weight.dtype
        x = rows(sender_x, self.widths[0], self, "senders", dtype)
        out = self._aggregated(relation.topology, x)
        if self.receiver_weight is not None:
            out = out + rows(receiver_x, self.widths[1], self, "receivers", dtype) @ self.receiver_weight
        return out if self.bias is None else out + self.bias

    def _aggregated(self, topology: Topology, x: Any) -> Tensor:
        program = _PROGRAMS[self.reducer]
        # The maximum is not linear: it has to come before the product.
        if self.reducer == "max":
            return program(topology, src={"h": require_dense(x, self)}) @ self.sender_weight
        if aggregates_first(x, self.out_channels):
            return program(topology, src={"h": x}) @ self.sender_weight
        return program(topology, src={"h": x @ self.sender_weight})
