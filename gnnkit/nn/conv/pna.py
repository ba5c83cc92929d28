"""PNAConv of Corso et al.: several aggregators at once, scaled by the degree. Imports the convolution base."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import SparseMatrix, Tensor, relu
from gnnkit.autodiff.rules.reductions import mean
from gnnkit.errors import InvalidArgumentError, unknown_name
from gnnkit.graph import Graph, Topology
from gnnkit.message import agg, message_program
from gnnkit.nn.conv.base import Convolution, add_bias, add_into
from gnnkit.nn.conv.networks import edge_product
from gnnkit.nn.init import glorot_uniform
from gnnkit.nn.linear import check_count
from gnnkit.nn.parameter import Parameter

AGGREGATORS = ("mean", "max", "min", "std", "var", "sum")
SCALERS = ("identity", "amplification", "attenuation", "linear")


@cache
def _program(aggregators: tuple[str, ...], depth: int, towers: int, with_edges: bool) -> Any:
    """The messages of all towers side by side, and the aggregations of them, [aggregators * towers * width]."""

    def aggregated(src: Any, dst: Any, edge: Any, params: Any) -> Any:
        message = src.x + dst.x
        if with_edges:
            message = message + edge_product(edge.e, params.edge)
        width = message.shape[0] // towers
        for layer in range(depth - 1):
            hidden = relu(message)
            columns = [hidden[t * width : (t + 1) * width] @ params.hidden[layer, t] for t in range(towers)]
            message = np.concatenate(columns) + params.bias[layer]
        return np.concatenate([agg.reduce(message, name) for name in aggregators])

    return message_program(aggregated)


class PNAConv(Convolution):
    """Principal neighbourhood aggregation: several statistics of the messages, each scaled by powers of the degree.

    ``x_i' = U([x_i, (S_1 .. S_s) x (A_1 .. A_a) m_ij])``  with  ``m_ij = M([x_i, x_j, e_ij])``: every aggregator A over
    the senders j is multiplied by every scaler S of the in-degree ``d_i``, which are
    identity 1, amplification ``log(d_i + 1) / delta``, attenuation ``delta / log(d_i + 1)``, linear
    ``d_i / mean_degree``.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of ``x`` before and after.
    delta : float
        Mean of ``log(d + 1)`` over the nodes of the training graphs: :meth:`mean_log_degree` computes it.
    mean_degree : float
        What the linear scaler divides by: 1, or :meth:`mean_in_degree` of the training graphs.
    aggregators : sequence of {"mean", "max", "min", "std", "var", "sum"}
        Statistics of the messages that a node receives.
    scalers : sequence of {"identity", "amplification", "attenuation", "linear"}
        Powers of the degree.
    towers : int
        Number of independent M and U, each of ``out_channels / towers`` channels; a linear map mixes their outputs.
    divide_input : bool
        Whether every tower gets ``in_channels / towers`` channels of ``x`` instead of all.
    edge_channels : int, optional
        Channels of ``e``, which M then reads.
    message_layers, update_layers : int
        Number of linear layers of M and U, with ReLU between them.
    rng : None, int or numpy.random.Generator
        Draws, Glorot uniform for each layer as a whole, ``message_weight`` [towers, 2 width + edge_channels, width],
        ``message_hidden`` [message_layers - 1, towers, width, width], ``update_weight`` [towers, (1 + scalers *
        aggregators) width, out], ``update_hidden`` [update_layers - 1, towers, out, out] and ``mix_weight``
        [out_channels, out_channels], where ``width`` are the channels of ``x`` and ``out`` those of the output that a
        tower has.
    dtype
        Dtype of the parameters, in which it computes.

    Raises
    ------
    InvalidArgumentError
        If the towers do not divide the channels, or ``delta`` or ``mean_degree`` is not positive.
    InvalidFeatureError
        If the graph has state ``e`` without ``edge_channels``, or ``u``: this layer would ignore it.

    Notes
    -----
    The first layer of M is linear, so its parts of the nodes are computed per node; what is left of M and all
    aggregators run over the edges together, without an array of one row per edge. A scaler is one number per node, so
    it is applied after the first product of U, and the aggregates are never repeated for every scaler. Sparse ``x`` is
    multiplied first. A node without incoming edges aggregates to 0 with every scaler. Messages follow the edges; a
    self-loop makes a node its own neighbour; parallel edges count each, also in the degree.

    Differences from the paper: the standard deviation is that of the messages, without a small number under the root,
    and its gradient is 0 where they are all equal; variance and sum are more aggregators, the linear scaler one more
    scaler; mixing is linear; dropout, normalisation and the residual connection around it are layers of their own.
    Bipartite topologies are refused.

    References
    ----------
    Corso et al., Principal neighbourhood aggregation for graph nets, NeurIPS 2020, equations 5 to 8.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.star(5).replace(x=np.eye(5, dtype=np.float32))
    >>> layer = gk.nn.PNAConv(5, 6, delta=gk.nn.PNAConv.mean_log_degree([g]), towers=2, rng=0)
    >>> layer(g).x.shape
    (5, 6)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        delta: float,
        mean_degree: float = 1.0,
        aggregators: Sequence[str] = ("mean", "max", "min", "std"),
        scalers: Sequence[str] = ("identity", "amplification", "attenuation"),
        towers: int = 1,
        divide_input: bool = False,
        edge_channels: int | None = None,
        message_layers: int = 1,
        update_layers: int = 1,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        self.aggregators = _names("aggregator", aggregators, AGGREGATORS)
        self.scalers = _names("scaler", scalers, SCALERS)
        self.delta, self.mean_degree = _positive("delta", delta), _positive("mean_degree", mean_degree)
        self.towers, self.divide_input = check_count("towers", towers), bool(divide_input)
        self.message_layers = check_count("message_layers", message_layers)
        self.update_layers = check_count("update_layers", update_layers)
        self._check_sizes()
        self.edge_channels = None if edge_channels is None else check_count("edge_channels", edge_channels)
        self.state = ("x",) if edge_channels is None else ("x", "e")
        width, out = in_channels // towers if divide_input else in_channels, out_channels // towers
        self.width, self.tower_channels = width, out
        rows = (1 + len(self.scalers) * len(self.aggregators)) * width

        def weight(*shape: int) -> Parameter:
            return Parameter(np.zeros(shape), dtype=dtype)

        def bias(*shape: int) -> Parameter:
            return Parameter(np.zeros(shape), dtype=dtype, decay=0.0)

        self.message_weight = weight(towers, 2 * width + (edge_channels or 0), width)
        self.message_hidden = weight(message_layers - 1, towers, width, width) if message_layers > 1 else None
        self.message_bias = bias(message_layers, towers * width)
        self.update_weight = weight(towers, rows, out)
        self.update_hidden = weight(update_layers - 1, towers, out, out) if update_layers > 1 else None
        self.update_bias = bias(update_layers, out_channels)
        self.mix_weight = weight(out_channels, out_channels) if towers > 1 else None
        self.mix_bias = bias(out_channels) if towers > 1 else None
        self.initialise(np.random.default_rng(rng))

    def _check_sizes(self) -> None:
        if min(self.towers, self.message_layers, self.update_layers) < 1:
            raise InvalidArgumentError(
                "towers, message_layers and update_layers must be at least 1. Got "
                f"towers={self.towers}, message_layers={self.message_layers}, update_layers={self.update_layers}. "
                "The paper uses 1 to 5 towers of 1 layer each."
            )
        if self.out_channels % self.towers or (self.divide_input and (self.in_channels or 0) % self.towers):
            raise InvalidArgumentError(
                "The number of towers must divide out_channels, and in_channels with divide_input. Got "
                f"towers={self.towers} for {self.in_channels} and {self.out_channels} channels. Use a common divisor."
            )

    def initialise(self, rng: np.random.Generator) -> None:
        weights = (self.message_weight, self.message_hidden, self.update_weight, self.update_hidden, self.mix_weight)
        for weight in weights:
            if weight is not None:
                weight.assign(glorot_uniform(weight.shape, rng))
        for bias in (self.message_bias, self.update_bias, self.mix_bias):
            if bias is not None:
                bias.assign(np.zeros(bias.shape))

    # -- training graphs ----------------------------------------------------------------------------------------

    @staticmethod
    def mean_log_degree(graphs: Graph | Iterable[Graph]) -> float:
        """Mean of ``log(d + 1)`` over all nodes, ``d`` their in-degree: the ``delta`` of the paper.

        Parameters
        ----------
        graphs : Graph or iterable of Graph
            Those that the model is trained on.

        Raises
        ------
        InvalidArgumentError
            If they have no node.

        Examples
        --------
        >>> import gnnkit as gk, numpy as np
        >>> bool(np.isclose(gk.nn.PNAConv.mean_log_degree(gk.cycle(5)), np.log(3)))
        True
        """
        return _mean(np.log1p(_degrees(graphs)))

    @staticmethod
    def mean_in_degree(graphs: Graph | Iterable[Graph]) -> float:
        """Mean in-degree of all nodes, for the linear scaler; see :meth:`mean_log_degree`."""
        return _mean(_degrees(graphs))

    # -- the layer ----------------------------------------------------------------------------------------------

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        width = self.width
        receiver, sender = self.message_weight[:, :width], self.message_weight[:, width : 2 * width]
        dst = {"x": add_bias(self._by_tower(x, receiver), self.message_bias[0])}
        params: dict[str, Any] = {}
        if self.message_hidden is not None:
            params |= {"hidden": self.message_hidden, "bias": self.message_bias[1:]}
        edge: dict[str, Any] = {}
        if self.edge_channels is not None:
            edge["e"] = self.edge_features(graph, self.edge_channels, self.message_weight.dtype)
            params["edge"] = _side_by_side(self.message_weight[:, 2 * width :])
        program = _program(self.aggregators, self.message_layers, self.towers, bool(edge))
        statistics = program(graph.topology, src={"x": self._by_tower(x, sender)}, dst=dst, edge=edge, params=params)
        out = add_into(self._by_tower(x, self.update_weight[:, :width]), self._scaled(graph.topology, statistics))
        return self._updated(add_bias(out, self.update_bias[0]))

    def _by_tower(self, x: Any, weight: Tensor) -> Tensor:
        """The products of every tower, side by side: [num_nodes, channels], [towers, width, m] -> [.., towers * m]."""
        if not self.divide_input or self.towers == 1:
            return x @ _side_by_side(weight)
        if isinstance(x, SparseMatrix):  # cutting its columns costs more than zeros in the dense factor
            towers, width, outside = weight.shape
            apart = np.eye(towers, dtype=weight.dtype).reshape(towers, 1, towers, 1)
            return x @ (weight.reshape(towers, width, 1, outside) * apart).reshape(towers * width, towers * outside)
        return _concatenated([self._columns(x, t, self.width) @ weight[t] for t in range(self.towers)])

    @staticmethod
    def _columns(x: Any, tower: int, width: int) -> Tensor:
        return x[:, tower * width : (tower + 1) * width]

    def _scaled(self, topology: Topology, statistics: Tensor) -> Tensor:
        """The product of U with every scaler times every aggregate: [num_nodes, aggregators * towers * width] in."""
        nodes, kinds = topology.num_nodes, len(self.aggregators)
        towers, width, out = self.towers, self.width, self.tower_channels
        statistics = statistics.reshape(nodes, kinds, towers, width)
        weight = self.update_weight[:, width:].reshape(towers, len(self.scalers), kinds * width, out)
        scale = self._scale(topology)
        parts = []
        for t in range(towers):
            rows = statistics[:, :, t].reshape(nodes, kinds * width)
            products = (rows @ _side_by_side(weight[t])).reshape(nodes, len(self.scalers), out)
            parts.append((products * scale).sum(axis=1))
        return _concatenated(parts)

    def _scale(self, topology: Topology) -> np.ndarray:
        """The scalers of every node, [num_nodes, scalers, 1]; 0 where there are no edges to scale. Cached."""

        def build() -> np.ndarray:
            degree = topology.in_degree().astype(np.float64)
            logarithm = np.log1p(degree)
            inverse = np.where(degree > 0, self.delta / np.where(degree > 0, logarithm, 1.0), 0.0)
            known = {
                "identity": np.ones_like(degree),
                "amplification": logarithm / self.delta,
                "attenuation": inverse,
                "linear": degree / self.mean_degree,
            }
            columns = [known[name] for name in self.scalers]
            return np.stack(columns, axis=1)[:, :, None].astype(self.update_weight.dtype)

        dtype = np.dtype(self.update_weight.dtype).str
        return topology.cached(("degree_scalers", self.scalers, self.delta, self.mean_degree, dtype), build)

    def _updated(self, out: Tensor) -> Tensor:
        """The later layers of U, and the mixing of the towers."""
        if self.update_hidden is not None:
            for layer in range(self.update_layers - 1):
                hidden, weight = relu(out), self.update_hidden[layer]
                columns = [self._columns(hidden, t, self.tower_channels) @ weight[t] for t in range(self.towers)]
                out = add_bias(_concatenated(columns), self.update_bias[layer + 1])
        if self.mix_weight is None or self.mix_bias is None:
            return out
        return add_bias(out @ self.mix_weight, self.mix_bias)

    def work(self, graph_in: Any, graph_out: Any) -> float:
        wide, nodes, edges = self.towers * self.width, graph_in.num_nodes, graph_in.num_edges
        share = 1.0 / self.towers if self.divide_input else 1.0
        kinds = len(self.aggregators)
        of_nodes = share * self.product_work(graph_in, 2 * wide + self.out_channels)
        of_edges = wide * (
            1.0 + 2.0 * (self.edge_channels or 0) + 2.0 * (self.message_layers - 1) * self.width + 2.0 * kinds
        )
        of_statistics = 2.0 * kinds * self.width * len(self.scalers) * self.out_channels
        later = 2.0 * (self.update_layers - 1) * self.tower_channels * self.out_channels
        mixing = 2.0 * self.out_channels**2 if self.towers > 1 else 0.0
        return of_nodes + edges * of_edges + nodes * (of_statistics + later + mixing)


def _side_by_side(weight: Tensor) -> Tensor:
    """[parts, in, out] -> [in, parts * out]: one product then maps for all parts."""
    parts, inside, outside = weight.shape
    weight = weight if parts == 1 else weight.transpose(1, 0, 2)
    return weight.reshape(inside, parts * outside)


def _concatenated(columns: list[Tensor]) -> Tensor:
    return columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)  # type: ignore[arg-type,return-value]


def _names(what: str, names: Sequence[str], known: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(names, str) or not names:
        raise InvalidArgumentError(
            f"The {what}s of PNAConv are a sequence of names. Got {names!r}. Pass for instance {known[:2]!r}."
        )
    for name in names:
        if name not in known:
            raise unknown_name(f"{what} of PNAConv", name, known)
    return tuple(names)


def _positive(name: str, value: float) -> float:
    if not isinstance(value, int | float) or not 0.0 < value < math.inf:
        raise InvalidArgumentError(
            f"{name} must be a positive number. Got {value!r}. "
            "Compute it from the training graphs with PNAConv.mean_log_degree or PNAConv.mean_in_degree."
        )
    return float(value)


def _degrees(graphs: Graph | Iterable[Graph]) -> np.ndarray:
    graphs = [graphs] if isinstance(graphs, Graph) else list(graphs)
    return np.concatenate([np.zeros(0), *(graph.topology.in_degree() for graph in graphs)])


def _mean(values: np.ndarray) -> float:
    if not values.size:
        raise InvalidArgumentError(
            "The mean over the nodes of the training graphs needs a node. Got none. Pass the graphs that you train on."
        )
    return float(mean(values))
