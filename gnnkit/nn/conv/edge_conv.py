"""EdgeConv of Wang et al.: a network of each pair of neighbours. Imports the convolution base and message programs."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnkit.autodiff import Tensor
from gnnkit.errors import ShapeError, unknown_name
from gnnkit.graph import Graph
from gnnkit.message import agg, aggregate, gather_receivers, gather_senders, message_program
from gnnkit.nn.conv.base import Convolution
from gnnkit.nn.conv.networks import Step, flat, in_channels, network_work, run, steps, traceable, weights
from gnnkit.nn.declared import MESSAGE_PASSING, Symmetry, around
from gnnkit.nn.inputs import require_dense
from gnnkit.nn.linear import Linear
from gnnkit.nn.module import Module

REDUCERS = ("max", "mean", "sum", "min")


class EdgeConv(Convolution):
    """Edge convolution: a network of each node and its difference to a neighbour, reduced over the neighbours.

    ``x_i' = max_{j in N(i)} mlp([x_i, x_j - x_i])``.

    Parameters
    ----------
    mlp : Module
        Maps pairs [num_edges, 2 in_channels] to features, for instance ``gk.nn.MLP([6, 32, 32])`` for 3 channels.
    reducer : {"max", "mean", "sum", "min"}
        How the neighbours are aggregated.

    Raises
    ------
    ShapeError
        If the network takes an odd number of channels, or not twice those of ``x``.
    InvalidFeatureError
        If the graph has state ``e`` or ``u``, which this layer would ignore; if ``x`` is sparse and the network does
        not start with a Linear.

    Notes
    -----
    A network that starts with a Linear and holds only Linear layers and activations becomes one message program: its
    first product is taken per node (``W [x_i, x_j - x_i] = (W_1 - W_2) x_i + W_2 x_j``; sparse ``x`` stays sparse), the
    rest per edge, and no array of one row per edge is made. Any other network (with a norm, with active dropout, of
    your own) is applied to the array of all pairs ``[num_edges, 2 in_channels]``. Features with a common offset much
    larger than their differences (raw coordinates on a map) lose digits in the split product: centre them first. A node
    without incoming edges gets 0. Messages follow the edges; a self-loop is the pair ``[x_i, 0]``; a maximum does not
    see parallel edges, a mean or sum counts each.

    Differences from the paper: the neighbours are the edges of the graph, not recomputed from the features in every
    layer. Bipartite topologies are refused.

    References
    ----------
    Wang et al., Dynamic graph CNN for learning on point clouds, ACM Transactions on Graphics 2019, equations 7 and 8.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(3).replace(x=np.array([[1.0], [2.0], [4.0]], dtype=np.float32))
    >>> mlp = gk.nn.Linear(2, 1, bias=False)
    >>> mlp.weight.assign([[0.0], [1.0]])  # the difference itself
    >>> gk.nn.EdgeConv(mlp)(g).x.numpy().ravel()
    array([ 1.,  2., -2.], dtype=float32)
    """

    def __init__(self, mlp: Module, *, reducer: str = "max") -> None:
        if reducer not in REDUCERS:
            raise unknown_name("reducer of EdgeConv", reducer, REDUCERS)
        taken = in_channels(mlp)
        if taken is not None and taken % 2:
            raise ShapeError(
                "The network of EdgeConv takes a node and a difference, so twice the channels of x. Got one that takes "
                f"{taken} channels. Build it with in_channels = 2 * x.shape[1]."
            )
        self.mlp = mlp
        self.reducer = reducer
        self.in_channels = None if taken is None else taken // 2

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        return around(MESSAGE_PASSING, [self.mlp])

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        topology = graph.topology
        layers = list(flat(self.mlp))
        if not (layers and type(layers[0]) is Linear and traceable(layers)):
            x = require_dense(x, self)
            own = gather_receivers(topology, x)
            pairs = np.concatenate([own, gather_senders(topology, x) - own], axis=1)  # type: ignore[arg-type]
            return aggregate(topology, self.mlp(pairs), self.reducer)
        first, rest = layers[0], layers[1:]
        own_weight, difference = first.weight[: x.shape[1]], first.weight[x.shape[1] :]
        own = x @ (own_weight - difference)
        own = own if first.bias is None else own + first.bias
        program = _program(steps(rest), self.reducer)
        return program(topology, src={"part": x @ difference}, dst={"part": own}, params=weights(rest))

    def work(self, graph_in: Any, graph_out: Any) -> float:
        layers = list(flat(self.mlp))
        width = graph_out.x.shape[1]
        per_edge = network_work(self.mlp, graph_in.num_edges) + 2.0 * graph_in.num_edges * width
        if not (layers and type(layers[0]) is Linear and traceable(layers)):
            return per_edge
        first = layers[0].out_channels
        saved = 2.0 * graph_in.num_edges * layers[0].in_channels * first
        return per_edge - saved + graph_in.num_edges * first + 2 * self.product_work(graph_in, first)


_programs: dict[Any, Any] = {}


def _program(rest: tuple[Step, ...], reducer: str) -> Any:
    """The message program after the first product; one for all networks of the same kinds of layers."""
    if (rest, reducer) not in _programs:
        reduce = getattr(agg, reducer)

        @message_program
        def edge_conv(src: Any, dst: Any, params: Any) -> Any:
            return reduce(run(rest, dst.part + src.part, params))

        _programs[rest, reducer] = edge_conv
    return _programs[rest, reducer]
