"""What the graph convolutions share: the door, the order of the products, edge weights, and self-loops.

A convolution is a few lines of mathematics; everything that would be repeated in each of them is here. Imports
autodiff, graph, message and the module base.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.autodiff import SparseMatrix, Tensor, defvjp, is_tensor, primitive
from gnnkit.errors import DTypeError, InvalidGraphError, ShapeError, UnknownFieldError
from gnnkit.graph import Graph, Topology
from gnnkit.graph.transforms.normalise import with_remaining_loops
from gnnkit.message import agg, message_program, remember_constant
from gnnkit.nn.declared import MESSAGE_PASSING
from gnnkit.nn.inputs import check_state, input_features, layer_name
from gnnkit.nn.module import Module


class Convolution(Module):
    """Base of the graph convolutions: a graph in, the same graph with another ``x`` out.

    A subclass defines ``convolve(graph, x)`` on features that are checked and in the dtype of the parameters, and may
    name the state that it reads in ``state`` and an edge weight in ``self.edge_weight``.
    """

    symmetry = MESSAGE_PASSING
    hops = 1
    state: tuple[str, ...] = ("x",)
    edge_weight: str | None = None
    self_loops: bool = False
    in_channels: int | None = None

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        """Return the new node features."""
        raise NotImplementedError(
            f"A convolution must define convolve. {type(self).__name__} does not. "
            "Add 'def convolve(self, graph, x): ...' to it."
        )

    def forward(self, graph: Graph) -> Graph:
        x = self.checked(graph)
        return graph.replace(x=self.convolve(graph, x))

    def checked(self, graph: Graph) -> Any:
        """``x`` of a graph that this layer can use, in the dtype of its parameters; others are refused."""
        used = self.state + ("e",) if self.edge_weight == "e" else self.state
        check_state(graph, used, layer=self)
        if graph.topology.is_bipartite:
            raise InvalidGraphError(
                f"{layer_name(self)} needs senders and receivers to be the same nodes. Got {graph.topology!r}. "
                "Use the functions of gk.message on a bipartite topology."
            )
        x = input_features(graph, self.in_channels, self.parameter_dtype(graph), self)
        if x.ndim != 2:
            raise ShapeError(
                f"{layer_name(self)} needs features of shape [num_nodes, channels]. Got x of shape {list(x.shape)}. "
                "Flatten the trailing axes with x.reshape(num_nodes, -1)."
            )
        return x

    def parameter_dtype(self, graph: Graph) -> Any:
        """The dtype to compute in: that of the parameters, or that of ``x`` for a layer without any."""
        for parameter in self.parameters():
            return parameter.dtype
        return None

    def edge_features(self, graph: Graph, channels: int, dtype: Any, *, argument: str = "edge_channels") -> Tensor:
        """The edge state ``e`` [num_edges, channels] in ``dtype``; errors advise to change ``argument``."""
        e = input_features(graph.e, None, dtype, self, field="e")
        if e.shape != (graph.num_edges, channels):
            advice = (
                "Use e[:, None] for one number per edge."
                if e.ndim == 1
                else f"Build the layer with {argument}={e.shape[-1]}, or change the channels of e."
            )
            raise ShapeError(
                f"{layer_name(self)} needs edge features of shape [num_edges, {channels}]. Got e of shape "
                f"{list(e.shape)}. {advice}"
            )
        return e

    def weights(self, graph: Graph, dtype: Any) -> Any:
        """The named edge weights [num_edges] in ``dtype``, array or Tensor; None without a name."""
        if self.edge_weight is None:
            return None
        if self.edge_weight not in graph.edges:
            raise UnknownFieldError(
                f"{layer_name(self)} reads the edge field {self.edge_weight!r}. The graph has edge fields "
                f"{sorted(graph.edges)}. Add it with graph.replace(edges={{{self.edge_weight!r}: ...}})."
            )
        weights = graph.edges[self.edge_weight]
        if weights.dtype.kind not in "fiu":
            raise DTypeError(
                f"Edge weights must be numbers. Got {self.edge_weight!r} of dtype {weights.dtype}. "
                "Convert it first, for instance .astype('float32')."
            )
        if weights.shape not in ((graph.num_edges,), (graph.num_edges, 1)):
            raise ShapeError(
                f"Edge weights must have shape [num_edges] = [{graph.num_edges}]. Got {self.edge_weight!r} of shape "
                f"{list(weights.shape)}. A layer for edge features is GINEConv, GATConv(edge_channels=...) or MPNN."
            )
        weights = weights if weights.ndim == 1 else weights.reshape(graph.num_edges)
        return weights if weights.dtype == dtype else weights.astype(dtype)

    def summed_edges(self, graph: Graph) -> int:
        """Number of edges that the layer sums over: those of the graph, and the self-loops that it adds."""
        return with_remaining_loops(graph.topology)[0].num_edges if self.self_loops else graph.num_edges

    def sum_work(self, graph: Graph, width: int) -> float:
        """Operations of one neighbour sum of rows of ``width`` channels."""
        return 2.0 * self.summed_edges(graph) * width

    def product_work(self, graph: Graph, out_channels: int) -> float:
        """Operations of one product of ``x`` with ``out_channels`` columns; sparse ``x`` counts what it stores."""
        x = graph.x
        return 2.0 * out_channels * (x.nnz if isinstance(x, SparseMatrix) else int(np.prod(x.shape)))


@message_program
def _sum(src: Any) -> Any:
    return agg.sum(src.x)


@message_program
def _weighted_sum(src: Any, edge: Any) -> Any:
    return agg.sum(edge.weight * src.x)


def weighted_sum(topology: Topology, x: Any, weights: Any = None) -> Tensor:
    """``sum_j w_ij x_j``: the message program behind GCN, SGC, APPNP, Cheb, TAG and their like.

    Parameters
    ----------
    topology : Topology
    x : array or Tensor [num_senders, ...]
    weights : None, array or Tensor [num_edges]
        In the dtype of ``x``; None means 1.
    """
    if weights is None:
        return _sum(topology, src={"x": x})
    return _weighted_sum(topology, src={"x": x}, edge={"weight": weights})


def aggregates_first(x: Any, out_channels: int) -> bool:
    """Whether it is cheaper to sum rows of ``in_channels`` before the product than of ``out_channels`` after it.

    Training needs the transposed sum for the gradient of whatever is summed: of the product always, of the input only
    if it is not constant. A sparse input is multiplied first, as its sum would be dense.
    """
    if isinstance(x, SparseMatrix):
        return False
    sums = 2 if x.requires_grad else 1
    return x.shape[1] * sums < out_channels * 2


def aggregate_input(graph: Graph, what: Hashable, x: Any, build: Callable[[], Tensor]) -> Tensor:
    """``build()``, which reads only ``graph.topology`` and ``graph.x``, remembered while that input is constant.

    A full-batch epoch calls the first layer with the same features every time; their aggregation never changes.
    """
    source = graph.nodes["x"]
    if not isinstance(source, np.ndarray) or is_tensor(source):
        return build()
    return remember_constant(graph.topology, (what, str(x.dtype)), source, build)


def mean_weights(topology: Topology, dtype: Any) -> np.ndarray:
    """1 / in-degree of the receiver for every edge: a neighbour sum with them is the mean over neighbours. Cached."""

    def build() -> np.ndarray:
        weights = (1.0 / np.maximum(topology.in_degree(), 1))[topology.receivers].astype(dtype)
        weights.flags.writeable = False
        return weights

    return topology.cached(("mean_weights", np.dtype(dtype).str), build)


# --- sums without spare copies -------------------------------------------------------------------------------------

SMALL = 4096  # the tape keeps results up to this size to show them, so these are not written into


@primitive
def _add_bias(fresh: Any, bias: Any) -> Any:
    if fresh.size <= SMALL or not fresh.flags.writeable:
        return fresh + bias
    K.add_in_place(fresh, bias)
    return fresh


@primitive
def _add_into(fresh: Any, other: Any) -> Any:
    if fresh.size <= SMALL or fresh is other or not fresh.flags.writeable:
        return fresh + other
    K.add_in_place(fresh, other)
    return fresh


def _bias_rule(g: Any, y: Any, fresh: Any, bias: Any) -> Any:
    return np.sum(g, axis=0) if is_tensor(g) else K.column_sums(g)


defvjp(_add_bias, lambda g, y, fresh, bias: g, _bias_rule, keep="")
defvjp(_add_into, lambda g, y, fresh, other: g, lambda g, y, fresh, other: g, keep="")


def add_bias(fresh: Tensor, bias: Tensor | None) -> Tensor:
    """``fresh + bias``, written into ``fresh``: the result of a product or a neighbour sum that nobody else holds.

    One pass over the rows instead of two and no second array; the rules of both operations never read their result.
    """
    return fresh if bias is None else _add_bias(fresh, bias)


def add_into(fresh: Tensor, other: Tensor) -> Tensor:
    """``fresh + other`` of the same shape, written into ``fresh`` under the same condition as in :func:`add_bias`."""
    return _add_into(fresh, other)
