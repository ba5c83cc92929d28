"""What a layer does with what it is given: which state it can use, which dtype, how many channels.

FeatureModule is the base of everything that works on the features of each node (Linear, activations, norms);
``check_state`` and ``input_features`` are the door of the convolutions. May import autodiff and graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gnnkit.autodiff import SparseMatrix, Tensor
from gnnkit.errors import (
    DTypeError,
    InvalidArgumentError,
    InvalidFeatureError,
    ShapeError,
    graph_advice,
    type_name,
)
from gnnkit.graph import Graph
from gnnkit.nn.declared import NODEWISE
from gnnkit.nn.module import Module

_ADVICE = {
    "e": "Name an edge weight with edge_weight='...' (any edge field but 'e'), or drop it with g.without('e')",
    "u": "Use a layer that reads globals (GraphNetwork), or drop them with g.without('u')",
}


class FeatureModule(Module):
    """Base of the layers that map node features to node features without looking at the edges.

    Calling one with a :class:`~gnnkit.Graph` returns the graph with ``x`` replaced; calling it with an array or a
    tensor ``[num_nodes, channels]`` returns a tensor. A subclass defines ``features(x, graph)``, where ``graph`` is
    None for a bare array. Every other field of the graph passes untouched. One that looks at each node by itself
    declares ``symmetry = gk.nn.POINTWISE``. A class may also define ``then_dropout(value, dropout)``: what it and the
    Dropout behind it do, in one pass; a Sequential calls it in place of the two while training.
    """

    symmetry = NODEWISE

    def features(self, x: Any, graph: Graph | None) -> Any:
        """Return the new features of ``x``; ``graph`` is where they came from, or None."""
        raise NotImplementedError(
            f"A feature module must define features. {type(self).__name__} does not. "
            "Add 'def features(self, x, graph): ...' to it."
        )

    def forward(self, value: Any) -> Any:
        return self._with_features(value, self.features)

    @staticmethod
    def _with_features(value: Any, function: Callable[[Any, Graph | None], Any]) -> Any:
        """``function`` of the features: in their place in a Graph, else by themselves."""
        if isinstance(value, Graph):
            return value.replace(x=function(value.x, value))
        return function(value, None)

    def work(self, graph_in: Any, graph_out: Any) -> float | None:
        return float(np.prod(features_of(graph_out).shape))


def check_state(graph: Any, used: tuple[str, ...] = ("x",), *, layer: Module | str = "This layer") -> None:
    """Refuse a graph whose state a layer would silently ignore.

    Parameters
    ----------
    graph
        What the layer was called with.
    used
        The state fields among ``x``, ``e``, ``u`` that the layer reads. Other fields (labels, masks, named edge
        weights) are no state and always pass.
    layer
        The layer, or its name, for the error text.

    Raises
    ------
    InvalidArgumentError
        If ``graph`` is not a Graph.
    InvalidFeatureError
        If the graph has state ``e`` or ``u`` that is not in ``used``.
    """
    if not isinstance(graph, Graph):
        raise InvalidArgumentError(
            f"{layer_name(layer)} passes messages, so it needs a gk.Graph. Got {type_name(graph)}. "
            + graph_advice(
                graph, "Make one with gk.from_edges(senders, receivers, x=...), gk.from_networkx or gk.from_scipy."
            )
        )
    for field, holder in (("e", graph.edges), ("u", graph.globals)):
        if field in holder and field not in used:
            value = holder[field]
            raise InvalidFeatureError(
                f"A layer must use the whole state it is given, and {layer_name(layer)} reads only {', '.join(used)}. "
                f"Got a graph with {field} of shape {list(value.shape)} ({value.dtype}). {_ADVICE[field]}."
            )


def input_features(
    x: Any, in_channels: int | None, dtype: Any = None, layer: Module | str = "This layer", *, field: str = "x"
) -> Any:
    """Return node features as a layer computes with them: floating, in its dtype, of the right width.

    Parameters
    ----------
    x
        A Graph (its ``x`` is taken), a Tensor, an array ``[num_nodes, ..., channels]``, a
        :class:`~gnnkit.SparseMatrix` or a scipy sparse matrix ``[num_nodes, channels]``.
    in_channels
        The channels the layer was built for; None accepts any number.
    dtype
        The dtype of the layer's parameters; None keeps the dtype of ``x``.
    layer
        The layer, or its name, for the error text.
    field
        What ``x`` is called there.

    Returns
    -------
    Tensor or SparseMatrix
        Sparse stays sparse. Conversion of the width of floats is differentiable.

    Raises
    ------
    DTypeError
        If ``x`` is of an integer, boolean or other non-floating kind.
    ShapeError
        If ``x`` has not ``in_channels`` channels.
    """
    x = as_features(x)
    if x.dtype.kind != "f":
        raise DTypeError(
            f"The features {field} must be floating, as {layer_name(layer)} computes with them. Got {field} of dtype "
            f"{x.dtype} and shape {list(x.shape)}. Convert measurements with {field}.astype('float32'), on a "
            f"graph g.replace({field}=g.{field}.astype('float32')); turn categories into one-hot rows or use "
            "gk.nn.Embedding."
        )
    if in_channels is not None and (x.ndim < 2 or x.shape[-1] != in_channels):
        _refuse_channels(x, in_channels, layer_name(layer))
    return x if dtype is None or x.dtype == dtype else x.astype(dtype)


def _refuse_channels(x: Any, in_channels: int, name: str) -> None:
    advice = (
        "Give one row per node: x[:, None] makes a column of a single feature."
        if x.ndim < 2
        else f"Build the layer with in_channels={x.shape[-1]}, or check what comes before it."
    )
    raise ShapeError(
        f"{name} needs features of shape [num_nodes, {in_channels}]. Got x of shape {list(x.shape)} ({x.dtype}). "
        f"{advice}"
    )


def as_features(x: Any) -> Any:
    """Return the ``x`` of a graph, or ``x`` itself, as a Tensor or SparseMatrix, whatever its dtype."""
    if isinstance(x, Graph):
        x = x.x
    if isinstance(x, Tensor | SparseMatrix):
        return x
    if hasattr(x, "number_of_nodes"):  # a graph of networkx, which numpy would turn into an array of anything
        raise InvalidArgumentError(
            f"Features are an array, or those of a gk.Graph. Got {type_name(x)}. "
            + graph_advice(x, "Make a gk.Graph with gk.from_edges(senders, receivers, x=...).")
        )
    if hasattr(x, "tocsr"):  # a scipy sparse matrix, without importing scipy
        return SparseMatrix.from_scipy(x)
    return Tensor(x)  # no copy, unlike gk.tensor


def require_dense(x: Any, layer: Module | str) -> Tensor:
    """Return ``x`` as a floating Tensor; refuse a sparse matrix, whose zeros the layer would change."""
    x = input_features(x, None, None, layer)
    if isinstance(x, SparseMatrix):
        raise InvalidFeatureError(
            f"{layer_name(layer)} changes zeros, so it needs dense features. "
            f"Got a SparseMatrix of shape {list(x.shape)}. "
            "Put a Linear or a convolution first, or use x.toarray()."
        )
    return x


def features_of(value: Any) -> Any:
    """Return the node features of a Graph, or the value itself."""
    return value.x if isinstance(value, Graph) else value


def layer_name(layer: Module | str) -> str:
    """Return how errors call a layer: its representation, or its class where that would run over lines.

    Only for texts: a representation costs more than a small layer.
    """
    if isinstance(layer, str):
        return layer
    return type(layer).__name__ if any(True for _ in layer.children()) else repr(layer)
