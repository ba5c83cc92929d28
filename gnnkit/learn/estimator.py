"""Estimators of nodes: node ids and labels checked; and what all classifiers, or all regressors, have in common.

May import errors, graph, metrics, tasks and the base of estimators.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.errors import (
    DTypeError,
    InvalidArgumentError,
    InvalidFeatureError,
    ShapeError,
    UnknownNameError,
    graph_advice,
    type_name,
)
from gnnkit.graph import Graph
from gnnkit.learn.base import Estimator
from gnnkit.learn.metrics import accuracy, r2
from gnnkit.learn.tasks import checked_ids


class NodeEstimator(Estimator):
    """Base of estimators whose samples are the nodes of one graph: ``fit(X, y)`` takes node ids and labels."""

    _samples = "node ids"
    graph: Graph | None

    def _changed(self) -> list[str]:
        shown = super()._changed()
        if self.graph is not None:
            shown.insert(0, f"graph=<{self.graph.num_nodes} nodes, {self.graph.num_edges} edges>")
        return shown

    # -- checks -----------------------------------------------------------------------------------------------------

    def _the_graph(self, graph: Graph | None = None) -> Graph:
        chosen = self.graph if graph is None else graph
        if not isinstance(chosen, Graph):
            raise DTypeError(
                f"{type(self).__name__} works on the nodes of a gk.Graph. Got graph={type_name(chosen)}. "
                + graph_advice(chosen, f"Pass it: gk.{type(self).__name__}(graph=g).")
            )
        return chosen

    def _ids(self, X: ArrayLike | None, graph: Graph) -> NDArray[np.int64]:
        """Node ids [n] or [n, 1] as int64 [n]; None means all nodes."""
        if X is None:
            return np.arange(graph.num_nodes)
        ids = np.asarray(X)
        if ids.ndim == 2 and ids.shape[1] == 1:
            ids = ids[:, 0]
        if ids.ndim != 1:
            raise ShapeError(
                f"X holds node ids, shape [n] or [n, 1]. Got shape {ids.shape}. "
                "Put the features on the graph (g.replace(x=...)) and pass the ids of the nodes here."
            )
        if ids.dtype.kind == "f" and ids.size and np.array_equal(ids, np.floor(ids)):
            ids = ids.astype(np.int64)  # a column of whole numbers that went through a float table
        if ids.dtype.kind not in "iu" and ids.size:
            hint = "np.flatnonzero(mask)" if ids.dtype == bool else "whole numbers"
            if ids.dtype.kind in "USTO":
                hint = (
                    "the places of the names, [g.origin.node_names.index(name) for name in names], or those where a "
                    "column has a value, np.flatnonzero(column == value)"
                )
            raise DTypeError(f"Node ids are integers. Got dtype {ids.dtype}. Pass {hint}.")
        return checked_ids(ids, graph.num_nodes, "nodes")

    def _labelled(self, X: ArrayLike, y: ArrayLike, graph: Graph) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Ids and labels of one length, at least one of them, no label missing."""
        ids, labels = self._ids(X, graph), plain_labels(np.asarray(y))
        if labels.ndim == 2 and labels.shape[1] == 1 and self._kind == "classifier":
            labels = labels[:, 0]
        if labels.ndim == 0 or len(labels) != len(ids) or (self._kind == "classifier" and labels.ndim != 1):
            want = f"[{len(ids)}]" if self._kind == "classifier" else f"[{len(ids)}] or [{len(ids)}, num_targets]"
            raise ShapeError(
                f"y holds one label for each of the {len(ids)} ids in X, shape {want}. Got shape {labels.shape}. "
                "Pass the labels of exactly those nodes: y[X]."
            )
        if not len(ids):
            raise InvalidArgumentError("fit needs at least one labelled node. Got none. Check the mask or the split.")
        if labels.dtype.kind == "f" and np.isnan(labels).any():
            bad = int(np.argwhere(np.isnan(labels))[0, 0])
            raise InvalidFeatureError(
                f"Every label must be known. Got nan at position {bad} (node {ids[bad]}). Leave that node out of X."
            )
        return ids, labels

    def _with_graph(self, graph: Graph) -> Self:
        other = type(self).__new__(type(self))
        vars(other).update(vars(self))
        other.graph = self._the_graph(graph)
        return other


def plain_labels(labels: NDArray[Any]) -> NDArray[Any]:
    """Object arrays (a pandas column of texts) as what they hold; mixed kinds and missing entries are refused."""
    if labels.dtype != object:
        return labels
    plain = [label.item() if isinstance(label, np.generic) else label for label in labels.ravel()]
    kinds = {type(label) for label in plain}
    if len(kinds) == 1 and kinds <= {str, int, float, bool}:
        return np.array(plain).reshape(labels.shape)
    raise DTypeError(
        f"Labels are all of one kind. Got a mixture of {', '.join(sorted(kind.__name__ for kind in kinds))}. "
        "Drop the missing ones, or convert them: y.astype(str)."
    )


class ClassifierMixin:
    """Classes, predictions from probabilities, and accuracy."""

    _kind = "classifier"
    classes_: NDArray[Any]

    def predict_proba(self, X: ArrayLike | None = None) -> NDArray[Any]:
        """Probabilities [n, num_classes]; defined by the estimator."""
        raise NotImplementedError(f"{type(self).__name__} must define predict_proba. It does not. Define it.")

    def predict(self, X: ArrayLike | None = None) -> NDArray[Any]:
        """The most likely class of every node in ``X`` (default: all nodes), in the words of ``fit``'s ``y``."""
        return self._decide(self.predict_proba(X))

    def _decide(self, probabilities: NDArray[Any]) -> NDArray[Any]:
        return self.classes_[probabilities.argmax(axis=1)]

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Accuracy on ``X`` with labels ``y``."""
        y = np.asarray(y)
        return accuracy(y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y, self.predict(X))

    def _encode(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        """Learn ``classes_`` and return the code of every label."""
        self.classes_, codes = np.unique(labels, return_inverse=True)
        return codes.astype(np.int64)

    def _codes(self, labels: NDArray[Any], where: str) -> NDArray[np.int64]:
        """Codes of labels that must all be among ``classes_``."""
        codes = np.searchsorted(self.classes_, labels)
        known = self.classes_[np.minimum(codes, len(self.classes_) - 1)] == labels
        if not known.all():
            bad = labels[~known].tolist()[0]
            raise UnknownNameError(
                f"The labels of {where} must be among the classes of y: {self.classes_.tolist()}. "
                f"Got {bad!r}. Give fit at least one of that class, or leave it out of {where}."
            )
        return codes


class RegressorMixin:
    """R squared as the score."""

    _kind = "regressor"

    def predict(self, X: ArrayLike | None = None) -> NDArray[Any]:
        """Values [n]; defined by the estimator."""
        raise NotImplementedError(f"{type(self).__name__} must define predict. It does not. Define it.")

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Coefficient of determination (R squared) on the nodes ``X`` with values ``y``."""
        return r2(y, self.predict(X))
