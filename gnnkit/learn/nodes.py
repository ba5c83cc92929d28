"""Graph networks as scikit-learn estimators: ``fit(node ids, labels)`` on one graph, ``predict`` there or elsewhere.

May import the estimator bases of this folder.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.autodiff.rules.reductions import mean, std
from gnnkit.errors import DTypeError, InvalidArgumentError, InvalidFeatureError, ShapeError
from gnnkit.graph import Graph
from gnnkit.learn.estimator import ClassifierMixin, RegressorMixin
from gnnkit.learn.network import NetworkEstimator
from gnnkit.learn.training import held_out_by_class


class NodeClassifier(ClassifierMixin, NetworkEstimator):
    """A graph network that classifies the nodes of a graph, as a scikit-learn estimator.

    Samples are node ids: ``fit(X, y)`` takes the ids of labelled nodes and their labels, of any kind. While it learns,
    every node and edge of ``graph`` takes part (semi-supervised learning).

    Parameters
    ----------
    graph : Graph
        With features ``x`` [num_nodes, channels], dense or sparse.
    model : str, Module, or function of (in_channels, out_channels)
        "gcn", "sage", "gat", "gatv2", "gin", "sgc", "appnp", "cheb", "graphconv", or "mlp", which ignores the edges.
        A Module is copied, and learning starts from the weights it has.
    hidden, layers, dropout : optional
        Sizes of a named model; None leaves the model's own default. A model that has no such size refuses it.
    model_options : dict, optional
        More arguments of the named model, for example ``{"heads": 8}``; see :func:`gnnkit.nn.models.hyperparameters`.
    normalize : "standard", "l1", "l2", "max" or None
        How features are scaled, at ``fit`` and at ``predict``. "standard": from every column its mean is taken and the
        rest divided by its standard deviation, both over all nodes of the graph of ``fit`` and used for any other graph
        (a constant column becomes zero; dense features only). "l1", "l2", "max": every row is divided by its sum of
        magnitudes, Euclidean length or largest magnitude, as for counts of words. None: taken as they are. Raw columns
        of different units (age, income) need "standard".
    epochs, lr, weight_decay, optimizer, schedule, clip_norm, patience, monitor, random_state, progress
        As in :func:`~gnnkit.learn.fit`.
    decay_on : "all", "first" or None
        Which layers' weights decay: all, the first only, or as the model sets it (None: GCN, Cheb and APPNP decay the
        first layer only, as in their papers).
    validation : float or (ids, labels), optional
        Nodes that choose the best epoch: a share of X (the same of every class), or nodes of their own.

    Attributes
    ----------
    classes_ : array [num_classes]
        The labels in sorted order; in the file of ``gnnkit train`` the names of the classes, in its order.
    model_ : Module
        The trained network.
    history_ : History
    n_features_in_ : int
        Always 1: a sample is a node id.
    feature_mean_, feature_scale_ : array [channels]
        With ``normalize="standard"`` only: mean and deviation of every column (1 where constant).

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(6).replace(x=np.eye(6, dtype="float32"))
    >>> model = gk.NodeClassifier(g, hidden=8, epochs=60, random_state=0)
    >>> model.fit([0, 5], ["left", "right"]).predict([1, 4]).tolist()
    ['left', 'right']
    """

    _loss = "cross_entropy"

    def predict_proba(self, X: ArrayLike | None = None, *, graph: Graph | None = None) -> NDArray[Any]:
        """Probability of every class [n, num_classes] for the nodes ``X`` (default: all nodes).

        Parameters
        ----------
        X : array_like [n] or [n, 1] of int, optional
        graph : Graph, optional
            Another graph to predict on.
        """
        logits = self._outputs(X, graph)
        scaled = np.exp(logits - logits.max(axis=1, keepdims=True)) if logits.size else logits
        return scaled / scaled.sum(axis=1, keepdims=True)

    def decision_function(self, X: ArrayLike | None = None, *, graph: Graph | None = None) -> NDArray[Any]:
        """Scores before the softmax [n, num_classes]; arguments as in :meth:`predict_proba`."""
        return self._outputs(X, graph)

    def predict(self, X: ArrayLike | None = None, *, graph: Graph | None = None) -> NDArray[Any]:
        """The most likely class of the nodes ``X`` (default: all nodes); ``graph`` as in :meth:`predict_proba`."""
        return self._decide(self.predict_proba(X, graph=graph))

    def _learn_targets(self, labels: NDArray[Any]) -> NDArray[Any]:
        codes = self._encode(labels)
        if len(self.classes_) < 2:
            raise InvalidArgumentError(
                f"A classifier learns to tell at least two classes apart. Got only {self.classes_.tolist()}. "
                "Add nodes of another class."
            )
        return codes

    def _out_channels(self) -> int:
        return len(self.classes_)

    def _encoded(self, labelled: tuple[NDArray[np.int64], NDArray[Any]], where: str) -> tuple[Any, NDArray[Any]]:
        return labelled[0], self._codes(labelled[1], where)

    def _held_out(self, labels: Any, count: int, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
        return held_out_by_class(labels, share, rng)

    def _learnt(self) -> dict[str, Any]:
        return {"classes": self.classes_.tolist(), "dtype": self.classes_.dtype.str}

    def _restore(self, learnt: dict[str, Any]) -> None:
        self.classes_ = np.array(learnt["classes"], dtype=np.dtype(learnt["dtype"]))


class NodeRegressor(RegressorMixin, NetworkEstimator):
    """A graph network that predicts numbers for the nodes of a graph, as a scikit-learn estimator.

    Parameters and use as :class:`NodeClassifier`; ``y`` is [n] or [n, num_targets]. Targets are standardised while
    learning, so the learning rate does not depend on their unit.

    Attributes
    ----------
    target_mean_, target_scale_ : array [num_targets]
    model_, history_, n_features_in_
        As in :class:`NodeClassifier`; losses in ``history_`` are of standardised targets.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> x = np.linspace(-1, 1, 8, dtype="float32")[:, None]
    >>> model = gk.NodeRegressor(gk.path(8).replace(x=x), model="mlp", dropout=0.0, lr=0.05, random_state=0)
    >>> model.fit(np.arange(8), 100 + 10 * x[:, 0]).score(np.arange(8), 100 + 10 * x[:, 0]) > 0.95
    True
    """

    _loss = "mse"

    def predict(self, X: ArrayLike | None = None, *, graph: Graph | None = None) -> NDArray[Any]:
        """Values for the nodes ``X`` (default: all nodes), [n] or [n, num_targets] as ``y`` was."""
        values = self._outputs(X, graph) * self.target_scale_ + self.target_mean_
        return values[:, 0] if self._flat else values

    def _learn_targets(self, labels: NDArray[Any]) -> NDArray[Any]:
        self._flat = labels.ndim == 1
        values = self._values(labels)
        self.target_mean_ = mean(values, 0)
        spread = std(values, 0)
        self.target_scale_ = np.where(spread > 0, spread, 1.0)
        return (values - self.target_mean_) / self.target_scale_

    def _values(self, labels: NDArray[Any]) -> NDArray[np.float64]:
        if labels.dtype.kind not in "biuf" or labels.ndim > 2:
            raise DTypeError(
                f"A regressor learns numbers, [n] or [n, num_targets]. Got dtype {labels.dtype}, shape {labels.shape}. "
                "Use gk.NodeClassifier for classes."
            )
        values = labels.astype(np.float64)
        if not np.isfinite(values).all():
            raise InvalidFeatureError("Targets must be finite. Got an infinite one. Clip or drop it.")
        return values[:, None] if values.ndim == 1 else values

    def _out_channels(self) -> int:
        return len(self.target_mean_)

    def _encoded(self, labelled: tuple[NDArray[np.int64], NDArray[Any]], where: str) -> tuple[Any, NDArray[Any]]:
        values = self._values(labelled[1])
        if values.shape[1] != len(self.target_mean_):
            raise ShapeError(
                f"{where} has as many targets as y, {len(self.target_mean_)}. Got {values.shape[1]}. "
                "Pass the same columns."
            )
        return labelled[0], (values - self.target_mean_) / self.target_scale_

    def _learnt(self) -> dict[str, Any]:
        return {"mean": self.target_mean_.tolist(), "scale": self.target_scale_.tolist(), "flat": self._flat}

    def _restore(self, learnt: dict[str, Any]) -> None:
        self.target_mean_, self.target_scale_ = np.array(learnt["mean"]), np.array(learnt["scale"])
        self._flat = bool(learnt["flat"])
