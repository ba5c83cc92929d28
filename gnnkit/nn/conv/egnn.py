"""EGNNConv of Satorras et al.: messages that also move the nodes. Imports the geometric base and message programs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import Tensor, silu
from gnnkit.errors import ShapeError, unknown_name
from gnnkit.graph import Graph
from gnnkit.message import agg, message_program
from gnnkit.nn.activations import SiLU
from gnnkit.nn.containers import Sequential
from gnnkit.nn.conv.base import add_bias
from gnnkit.nn.conv.geometric import GeometricConvolution
from gnnkit.nn.conv.networks import linear_layers, network_work
from gnnkit.nn.declared import EQUIVARIANT, Symmetry
from gnnkit.nn.init import glorot_uniform
from gnnkit.nn.inputs import require_dense
from gnnkit.nn.linear import MLP, Linear, check_count


class EGNNConv(GeometricConvolution):
    """E(n)-equivariant layer: messages from features and squared distances, which also move the nodes.

    ``m_ij = mlp_e([x_i, x_j, |p_i - p_j|^2 (, e_ij)])``, ``x_i' = mlp_x([x_i, sum_{j in N(i)} m_ij])``,
    ``p_i' = p_i + C_i sum_{j in N(i)} (p_i - p_j) mlp_p(m_ij)``.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of ``x`` before and after.
    hidden : int, optional
        Channels of the messages and inside the networks; ``out_channels`` if not given.
    edge_channels : int, optional
        Channels of ``e``, which then takes part in the messages.
    positions : str
        Name of the node field [num_nodes, dimensions] that holds ``p``; any number of dimensions.
    update_positions : bool
        Whether the field is replaced by ``p'``; otherwise there is no ``mlp_p`` and it passes unchanged.
    position_reducer : {"mean", "sum"}
        Whether ``C_i`` is one over the number of incoming edges, or 1.
    residual : bool
        Whether ``x_i`` is added to ``x_i'``; needs ``in_channels == out_channels``.
    rng : None, int or numpy.random.Generator
        Draws the weights, Glorot uniform; the last of ``mlp_p`` a thousandth of it, so that nodes start to move slowly.
    dtype
        Dtype of the parameters, in which it computes; positions are converted to it.

    Attributes
    ----------
    edge_mlp, position_mlp, node_mlp : Module
        ``mlp_e`` (two linear layers, SiLU after each), ``mlp_p`` and ``mlp_x`` (two linear layers, SiLU between).

    Raises
    ------
    UnknownFieldError
        If the graph has no field of that name, or, with ``edge_channels``, no ``e``.
    ShapeError
        If positions, ``x`` or ``e`` have the wrong shape.
    InvalidFeatureError
        If the graph has state that this layer would ignore: ``u``, and ``e`` without ``edge_channels``.

    Notes
    -----
    One message program; the parts of the first product that belong to one node are taken per node (sparse ``x`` stays
    sparse, except with ``residual``), and no array of one row per edge is made. A node without incoming edges stays
    where it is and gets ``mlp_x([x_i, 0])``. Coincident nodes (a self-loop too) have distance 0 and do not move each
    other; derivatives are finite there. Messages follow the edges; a self-loop and parallel edges are messages like
    others, and count in ``C_i``.

    Differences from the paper: sums run over the edges of the graph, so ``C_i`` is 1 / in-degree, which on a complete
    graph is the paper's 1 / (M - 1); the residual of its appendix C is optional. No velocities and no attention gate.
    Bipartite topologies are refused.

    References
    ----------
    Satorras, Hoogeboom and Welling, E(n) equivariant graph neural networks, ICML 2021, equations 3 to 6.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.complete(4).replace(x=np.eye(4, dtype="float32"), nodes={"pos": np.eye(4, 3, dtype="float32")})
    >>> out = gk.nn.EGNNConv(4, 8, rng=0)(g)
    >>> out.x.shape, out.nodes["pos"].shape
    ((4, 8), (4, 3))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden: int | None = None,
        edge_channels: int | None = None,
        positions: str = "pos",
        update_positions: bool = True,
        position_reducer: str = "mean",
        residual: bool = False,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if position_reducer not in ("mean", "sum"):
            raise unknown_name("reducer of the positions of EGNNConv", position_reducer, ("mean", "sum"))
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        if residual and in_channels != out_channels:
            raise ShapeError(
                "A residual adds x to the result, so both need as many channels. Got "
                f"in_channels={in_channels}, out_channels={out_channels}. Use residual=False, or equal numbers."
            )
        self.hidden = self.out_channels if hidden is None else check_count("hidden", hidden)
        self.edge_channels = None if edge_channels is None else check_count("edge_channels", edge_channels)
        self.state = ("x",) if edge_channels is None else ("x", "e")
        self._name_positions(positions)
        self.position_reducer, self.residual = position_reducer, bool(residual)
        base: dict[str, Any] = {"rng": np.random.default_rng(rng), "dtype": dtype}
        pair, width = 2 * in_channels + 1 + (edge_channels or 0), self.hidden
        self.edge_mlp = MLP([pair, width, width], activation="silu", **base)
        self.node_mlp = MLP([in_channels + width, width, out_channels], activation="silu", **base)
        self.position_mlp: Sequential | None = None
        if update_positions:
            last = _SlowStart(width, 1, bias=False, **base)
            self.position_mlp = Sequential(Linear(width, width, **base), SiLU(), last)

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        """The positions move along; the features ``x``, and all of it without ``update_positions``, stay."""
        return EQUIVARIANT | {"euclidean": "invariant" if self.position_mlp is None else "equivariant"}

    def forward(self, graph: Graph) -> Graph:
        x = self.checked(graph)
        positions = self.positions_of(graph, x.dtype)
        received = self._messages(graph, x, positions)
        changed = {"x": self._node_update(x, received[:, : self.hidden])}
        if self.position_mlp is not None:
            step = received[:, self.hidden :]
            if self.position_reducer == "mean":
                step = step * (1.0 / np.maximum(graph.topology.in_degree(), 1)).astype(step.dtype)[:, None]
            changed[self.positions] = positions + step
        return graph.replace(nodes=changed)

    def _messages(self, graph: Graph, x: Any, positions: Tensor) -> Tensor:
        """Sum over the edges of each receiver: [num_nodes, hidden] of messages, then the steps of the positions."""
        first, second = linear_layers(self.edge_mlp)
        inside = x.shape[1]
        src = {"part": x @ first.weight[inside : 2 * inside], "position": positions}
        dst = {"part": x @ first.weight[:inside] + first.bias, "position": positions}
        params = {"distance": first.weight[2 * inside], "weight": second.weight, "bias": second.bias}
        if self.position_mlp is not None:
            turn, last = linear_layers(self.position_mlp)
            params |= {"turn": turn.weight, "turn_bias": turn.bias, "step": last.weight}
        if self.edge_channels is None:
            program = _messages if self.position_mlp is None else _messages_and_steps
            return program(graph.topology, src=src, dst=dst, params=params)
        edge = {"e": self.edge_features(graph, self.edge_channels, x.dtype)}
        params["edge"] = first.weight[2 * inside + 1 :]
        program = _edge_messages if self.position_mlp is None else _edge_messages_and_steps
        return program(graph.topology, src=src, dst=dst, edge=edge, params=params)

    def _node_update(self, x: Any, received: Tensor) -> Tensor:
        first, second = linear_layers(self.node_mlp)
        inside = x.shape[1]
        hidden = add_bias(x @ first.weight[:inside] + received @ first.weight[inside:], first.bias)
        out = second(silu(hidden))
        return out + require_dense(x, self) if self.residual else out

    def work(self, graph_in: Any, graph_out: Any) -> float:
        edges, nodes, inside = graph_in.num_edges, graph_in.num_nodes, graph_in.x.shape[1]
        by_node = 3 * self.product_work(graph_in, self.hidden)
        networks = network_work(self.edge_mlp, edges) - 4.0 * edges * inside * self.hidden
        networks += network_work(self.position_mlp, edges) + network_work(self.node_mlp, nodes)
        return by_node + networks - 2.0 * nodes * inside * self.hidden + edges * (8.0 * self.hidden + 10.0)


class _SlowStart(Linear):
    """A Linear that starts a thousandth as large, as in the authors' code."""

    def initialise(self, rng: np.random.Generator) -> None:
        self.weight.assign(glorot_uniform(self.weight.shape, rng, gain=0.001))


def _message(src: Any, dst: Any, params: Any, by_edge: Any = 0.0) -> tuple[Any, Any]:
    """The symbols of one edge's message [hidden] and of the difference of the positions [dimensions]."""
    apart = dst.position - src.position
    hidden = dst.part + src.part + (apart * apart).sum(axis=-1) * params.distance + by_edge
    return silu(silu(hidden) @ params.weight + params.bias), apart


def _with_step(message: Any, apart: Any, params: Any) -> Any:
    step = silu(message @ params.turn + params.turn_bias) @ params.step  # [1]
    return np.concatenate([message, apart * step], axis=-1)


@message_program
def _messages(src: Any, dst: Any, params: Any) -> Any:
    return agg.sum(_message(src, dst, params)[0])


@message_program
def _messages_and_steps(src: Any, dst: Any, params: Any) -> Any:
    return agg.sum(_with_step(*_message(src, dst, params), params))


@message_program
def _edge_messages(src: Any, dst: Any, edge: Any, params: Any) -> Any:
    return agg.sum(_message(src, dst, params, edge.e @ params.edge)[0])


@message_program
def _edge_messages_and_steps(src: Any, dst: Any, edge: Any, params: Any) -> Any:
    return agg.sum(_with_step(*_message(src, dst, params, edge.e @ params.edge), params))
