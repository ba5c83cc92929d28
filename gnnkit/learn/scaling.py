"""Features of a graph as a network takes them: rows divided by a norm, or columns standardised as in training.

May import graph and the error tree.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.autodiff import as_array
from gnnkit.autodiff.rules.reductions import mean, std
from gnnkit.errors import DTypeError, InvalidFeatureError, ShapeError
from gnnkit.graph import Graph


def learn_columns(graph: Graph) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation [channels] of every column of ``x``; deviation 1 where a column is constant."""
    x = _dense(graph).astype(np.float64)
    if not np.isfinite(x).all():
        node, column = (int(place) for place in np.argwhere(~np.isfinite(x))[0])
        raise InvalidFeatureError(
            f"Columns are standardised by their mean, so every feature must be finite. Node {node} has "
            f"{x[node, column]} in column {column}. Fill it in first."
        )
    constant = x.max(axis=0) == x.min(axis=0)  # the deviation of equal numbers may round to a little more than zero
    scale = np.where(constant, 1.0, std(x, 0))
    return mean(x, 0), np.where(scale > 0, scale, 1.0)  # a spread too small for its square


def standardise(graph: Graph, mean: NDArray[np.float64], scale: NDArray[np.float64]) -> Graph:
    """The graph with ``(x - mean) / scale``, in the dtype of ``x`` if floating, else float32."""
    x = _dense(graph)
    if x.shape[1] != len(mean):
        raise ShapeError(
            f"The features of another graph have the columns of training, {len(mean)}. Got {x.shape[1]}. "
            "Give it the same columns in the same order."
        )
    return graph.replace(x=((x - mean) / scale).astype(x.dtype if x.dtype.kind == "f" else np.float32))


def _dense(graph: Graph) -> NDArray[Any]:
    if hasattr(graph.x, "toarray"):
        raise InvalidFeatureError(
            f"normalize='standard' moves zeros, so it needs dense features. Got a {type(graph.x).__name__} of shape "
            f"{list(graph.x.shape)}. Use 'l1', 'l2' or 'max', which keep zeros, or g.replace(x=g.x.toarray())."
        )
    x = np.asarray(as_array(graph.x))
    if x.dtype.kind not in "biuf":
        raise DTypeError(f"Features are numbers. Got x of dtype {x.dtype}. Use x.astype('float32').")
    return x
