"""Label propagation: the baseline that uses the graph and no features.

May import graph, kernels and the estimator base.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit import kernels
from gnnkit.autodiff import as_array
from gnnkit.autodiff.rules.reductions import sum as axis_sum
from gnnkit.errors import DTypeError, InvalidArgumentError, ShapeError, unknown_name
from gnnkit.graph import Graph
from gnnkit.learn.base import suggests_names
from gnnkit.learn.estimator import ClassifierMixin, NodeEstimator
from gnnkit.learn.tasks import masked_rows

METHODS = ("spreading", "propagation")


def label_propagation(
    graph: Graph,
    y: ArrayLike,
    *,
    mask: ArrayLike,
    method: str = "spreading",
    alpha: float = 0.9,
    edge_weight: str | None = None,
    max_iter: int = 1000,
    tol: float = 1e-6,
) -> NDArray[np.float64]:
    """Spread known labels along the edges until nothing changes.

    Parameters
    ----------
    graph : Graph
        Usually undirected (both directions of every edge); information flows from senders to receivers.
    y : array_like [num_nodes], integer classes 0..C-1 where ``mask`` holds
    mask : array_like [num_nodes] bool, or integer node ids
        The nodes whose label is known.
    method : "spreading" or "propagation"
        "spreading": ``F <- alpha S F + (1 - alpha) Y`` with ``S = D^-1/2 W D^-1/2``; known labels may be overruled.
        "propagation": ``F <- D^-1 W F``, known labels put back after every step.
    alpha : float in (0, 1)
        How much of a node's score comes from its neighbours ("spreading" only).
    edge_weight : str, optional
        Edge field with weights at least 0.
    max_iter, tol
        Stop when no score changes by more than ``tol``, or after ``max_iter`` steps.

    Returns
    -------
    array [num_nodes, num_classes] float64
        Rows sum to 1. A node that no known label reaches gets the class shares of the known labels.

    Notes
    -----
    Self-loops are left out, as in the papers; parallel edges add up.

    References
    ----------
    Zhou, Bousquet, Lal, Weston and Schölkopf 2004, "Learning with local and global consistency".
    Zhu and Ghahramani 2002, "Learning from labeled and unlabeled data with label propagation".

    Examples
    --------
    >>> import gnnkit as gk
    >>> p = gk.learn.label_propagation(gk.path(5), [0, -1, -1, -1, 1], mask=[0, 4], method="propagation")
    >>> p[:, 0].round(2).tolist()
    [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    labels = np.asarray(y)
    if labels.shape != (graph.num_nodes,):
        raise ShapeError(
            f"y has one class per node, shape ({graph.num_nodes},). Got shape {labels.shape}. "
            "Put any number where the label is unknown; mask says which are known."
        )
    if labels.dtype.kind not in "iu":
        raise DTypeError(
            f"y holds integer classes 0..C-1. Got dtype {labels.dtype}. Use gk.learn.LabelPropagation for names; put "
            "-1 instead of nan where the label is unknown."
        )
    known = masked_rows(mask, graph.num_nodes, "nodes")
    if not len(known) or labels[known].min() < 0:
        raise InvalidArgumentError(
            f"Known labels are classes 0..C-1 and there is at least one. Got {len(known)} known labels"
            f"{f', the smallest {labels[known].min()}' if len(known) else ''}. Check the mask."
        )
    start = np.zeros((graph.num_nodes, int(labels[known].max()) + 1))
    start[known, labels[known]] = 1.0
    return _spread(graph, start, known, method, alpha, edge_weight, max_iter, tol)


def _spread(
    graph: Graph,
    start: NDArray[np.float64],
    known: NDArray[np.int64],
    method: str,
    alpha: float,
    edge_weight: str | None,
    max_iter: int,
    tol: float,
) -> NDArray[np.float64]:
    if method not in METHODS:
        raise unknown_name("label propagation method", method, METHODS)
    if not 0 < alpha < 1:
        raise InvalidArgumentError(f"alpha lies between 0 and 1. Got {alpha}. Pass for example alpha=0.9.")
    topology = graph.topology
    weights = _weights(graph, edge_weight, symmetric=method == "spreading")
    scores = start
    for _ in range(max_iter):
        spread = kernels.neighbour_sum(topology.indptr, topology.indices, scores, weights)
        if method == "spreading":
            spread = alpha * spread + (1 - alpha) * start
        else:
            spread[known] = start[known]
        change = np.abs(spread - scores).max(initial=0.0)
        scores = spread
        if change <= tol:
            break
    total = scores.sum(axis=1, keepdims=True)
    prior = axis_sum(start, 0) / axis_sum(start)
    return np.where(total > 0, scores / np.where(total > 0, total, 1.0), prior)


def _weights(graph: Graph, edge_weight: str | None, *, symmetric: bool) -> NDArray[np.float64]:
    """Normalised weight of every edge, 0 on self-loops."""
    topology = graph.topology
    weights = np.ones(graph.num_edges)
    if edge_weight is not None:
        weights = np.array(as_array(graph.edges[edge_weight]), dtype=np.float64).reshape(-1)
        if len(weights) != graph.num_edges or (weights < 0).any():
            raise InvalidArgumentError(
                f"Edge weights are one number at least 0 per edge. Field {edge_weight!r} has {len(weights)} numbers "
                f"for {graph.num_edges} edges, the smallest {weights.min(initial=0.0)}. Choose another field."
            )
    senders, receivers = topology.senders, topology.receivers
    weights[senders == receivers] = 0.0
    received = kernels.scatter_add(weights, receivers, graph.num_nodes)
    if not symmetric:
        return weights / _or_one(received[receivers])
    sent = kernels.scatter_add(weights, senders, graph.num_nodes)
    return weights / np.sqrt(_or_one(received[receivers]) * _or_one(sent[senders]))


def _or_one(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values > 0, values, 1.0)


class LabelPropagation(ClassifierMixin, NodeEstimator):
    """Label propagation as an estimator: node ids in, classes out; no features, nothing learnt but the spread labels.

    Parameters
    ----------
    graph : Graph
    method, alpha, edge_weight, max_iter, tol
        See :func:`label_propagation`.

    Attributes
    ----------
    classes_ : array [num_classes]
    label_distributions_ : array [num_nodes, num_classes] float64

    Examples
    --------
    >>> import gnnkit as gk
    >>> model = gk.learn.LabelPropagation(gk.path(5)).fit([0, 4], ["left", "right"])
    >>> model.predict([1, 3]).tolist()
    ['left', 'right']
    """

    _learnt_name = "label_distributions_"

    @suggests_names
    def __init__(
        self,
        graph: Graph | None = None,
        *,
        method: str = "spreading",
        alpha: float = 0.9,
        edge_weight: str | None = None,
        max_iter: int = 1000,
        tol: float = 1e-6,
    ) -> None:
        self.graph = graph
        self.method = method
        self.alpha = alpha
        self.edge_weight = edge_weight
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Spread the labels ``y`` of the nodes ``X`` over the whole graph."""
        graph = self._the_graph()
        ids, labels = self._labelled(X, y, graph)
        self._forget()
        codes = self._encode(labels)
        start = np.zeros((graph.num_nodes, len(self.classes_)))
        np.add.at(start, (ids, codes), 1.0)
        start[ids] /= start[ids].sum(axis=1, keepdims=True)  # a node given twice still holds one unit of label
        self.label_distributions_ = _spread(
            graph, start, ids, self.method, self.alpha, self.edge_weight, self.max_iter, self.tol
        )
        self.n_features_in_ = 1
        return self

    def predict_proba(self, X: ArrayLike | None = None) -> NDArray[Any]:
        """Share of every class at every node of ``X`` (default: all), columns in the order of ``classes_``."""
        self._check_fitted()
        return self.label_distributions_[self._ids(X, self._the_graph())]
