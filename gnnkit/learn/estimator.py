"""The scikit-learn contract without scikit-learn: parameters, clones, fitted names, node ids and labels.

A small base class for every estimator; scikit-learn is imported only when scikit-learn itself asks for tags. May
import errors, graph and tasks.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.errors import (
    DTypeError,
    InvalidArgumentError,
    InvalidFeatureError,
    NotFittedError,
    ShapeError,
    UnknownNameError,
    graph_advice,
    type_name,
    unknown_name,
)
from gnnkit.graph import Graph
from gnnkit.learn.metrics import accuracy, r2
from gnnkit.learn.tasks import checked_ids

Constructor = TypeVar("Constructor", bound=Callable[..., None])


def suggests_names(constructor: Constructor) -> Constructor:
    """Let a constructor answer an unknown keyword with the closest known one, as ``set_params`` does."""
    known = [name for name in inspect.signature(constructor).parameters if name != "self"]

    @functools.wraps(constructor)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        for name in kwargs:
            if name not in known:
                raise unknown_name(f"{type(self).__name__} parameter", name, known)
        constructor(self, *args, **kwargs)

    return checked  # type: ignore[return-value]


class NodeEstimator:
    """Base of estimators whose samples are the nodes of one graph.

    The constructor of a subclass only stores its keyword arguments under their own names; ``fit(X, y)`` takes node ids
    and labels, checks everything, and stores what it learnt in names that end in ``_``.
    """

    _kind: str = ""  # "classifier" or "regressor", for scikit-learn
    _learnt_name: str = ""  # the attribute that fit stores last: with it the estimator is fitted
    graph: Graph | None

    # -- parameters -------------------------------------------------------------------------------------------------

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name. ``deep`` is there for scikit-learn and changes nothing."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Self:
        """Change constructor arguments; unknown names are refused. Takes effect at the next ``fit``."""
        known = self._parameter_names()
        for name in params:
            if name not in known:
                raise unknown_name(f"{type(self).__name__} parameter", name, known)
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __sklearn_clone__(self) -> Self:
        # The graph is immutable and may be large, so a clone shares it; a generator it must not share, or the clones of
        # a grid search would draw from one stream and compare luck.
        params = self.get_params()
        return type(self)(**{k: v if k == "graph" else copy.deepcopy(v) for k, v in params.items()})

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type=self._kind,
            target_tags=TargetTags(required=True),
            transformer_tags=None,
            classifier_tags=ClassifierTags() if self._kind == "classifier" else None,
            regressor_tags=RegressorTags() if self._kind == "regressor" else None,
        )

    def __sklearn_is_fitted__(self) -> bool:
        return self._is_fitted()

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        shown = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if name != "graph" and value is not defaults[name].default and repr(value) != repr(defaults[name].default)
        ]
        if self.graph is not None:
            shown.insert(0, f"graph=<{self.graph.num_nodes} nodes, {self.graph.num_edges} edges>")
        return f"{type(self).__name__}({', '.join(shown)})"

    # -- checks -----------------------------------------------------------------------------------------------------

    def _is_fitted(self) -> bool:
        return self._learnt_name in vars(self)

    def _forget(self) -> None:
        # A fit that fails half-way must not leave an old model with the classes of a new one.
        vars(self).pop(self._learnt_name, None)

    def _check_fitted(self) -> None:
        if not self._is_fitted():
            raise NotFittedError(
                f"{type(self).__name__} must be fitted before it predicts. It is not. "
                "Call fit(X, y) with node ids and labels first."
            )

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
        ids, labels = self._ids(X, graph), _plain_labels(np.asarray(y))
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


def _plain_labels(labels: NDArray[Any]) -> NDArray[Any]:
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
        """Accuracy on the nodes ``X`` with labels ``y``."""
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
                f"Got {bad!r}. Give fit at least one node of that class, or leave it out of {where}."
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
