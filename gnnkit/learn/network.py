"""What the node classifier and the node regressor share: parameters, training, prediction, saving.

May import nn, the training loop and the estimator base. A subclass only says how targets become numbers and how the
outputs of the network become answers.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit import nn
from gnnkit.autodiff import as_array, no_grad
from gnnkit.errors import (
    DTypeError,
    FileFormatError,
    InvalidArgumentError,
    InvalidFeatureError,
    NotFittedError,
    ShapeError,
    unknown_name,
)
from gnnkit.graph import Graph, transforms
from gnnkit.learn.base import suggests_names
from gnnkit.learn.checkpoint import Checkpoint
from gnnkit.learn.estimator import NodeEstimator
from gnnkit.learn.presets import set_decay
from gnnkit.learn.scaling import learn_columns, standardise
from gnnkit.learn.tasks import Task, first_broken_node
from gnnkit.learn.training import Callback, NetworkTrainer, Validation

NORMALISERS = ("l1", "l2", "max", "standard")


class NetworkEstimator(NetworkTrainer, NodeEstimator):
    """What the classifier and the regressor share: parameters, training, prediction, one file."""

    _pair = "(ids, labels)"
    feature_mean_: NDArray[np.float64]
    feature_scale_: NDArray[np.float64]

    @suggests_names
    def __init__(
        self,
        graph: Graph | None = None,
        *,
        model: str | nn.Module | Callable[[int, int], nn.Module] = "gcn",
        hidden: int | None = None,
        layers: int | None = None,
        dropout: float | None = None,
        model_options: dict[str, Any] | None = None,
        normalize: str | None = None,
        epochs: int = 200,
        lr: float = 0.01,
        weight_decay: float = 5e-4,
        decay_on: str | None = None,
        optimizer: str = "adam",
        schedule: Callable[[Any], Any] | None = None,
        clip_norm: float | None = None,
        validation: Validation = None,
        patience: int | None = None,
        monitor: str | None = None,
        random_state: int | np.random.Generator | None = None,
        progress: bool | None = False,
    ) -> None:
        self.graph = graph
        self.model = model
        self.hidden = hidden
        self.layers = layers
        self.dropout = dropout
        self.model_options = model_options
        self.normalize = normalize
        self.epochs = epochs
        self.lr = lr
        self.weight_decay = weight_decay
        self.decay_on = decay_on
        self.optimizer = optimizer
        self.schedule = schedule
        self.clip_norm = clip_norm
        self.validation = validation
        self.patience = patience
        self.monitor = monitor
        self.random_state = random_state
        self.progress = progress

    # -- learning ---------------------------------------------------------------------------------------------------

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        validation: Validation = None,
        test: tuple[ArrayLike, ArrayLike] | None = None,
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
        resume: bool = False,
        callback: Callback | None = None,
    ) -> Self:
        """Learn from the labelled nodes ``X``, with every node and edge of the graph taking part.

        Parameters
        ----------
        X : array_like [n] or [n, 1] of int
            Ids of the labelled nodes.
        y : array_like [n]
            Their labels (for regression also [n, num_targets]).
        validation : float or (ids, labels), optional
            Nodes that choose the best epoch; a number is a share of ``X``, by class. Default: the constructor's.
        test : (ids, labels), optional
            Evaluated along the way and written to ``history_``; never used for choices.
        checkpoint, resume, callback
            As in :func:`~gnnkit.learn.fit`.
        """
        graph = self._the_graph()
        self._check_features(graph)
        ids, labels = self._labelled(X, y, graph)
        validation = self.validation if validation is None else validation
        train_rows, val = self._split(ids, labels, validation, graph)
        self._forget()
        self._learn_features(graph)
        graph = self._features(graph)
        ids, codes = ids[train_rows], self._learn_targets(labels[train_rows])
        self.n_features_in_ = 1
        model = self._build(graph, self._out_channels())
        self._train(
            model,
            self._task(graph, ids, codes),
            validation=None if val is None else self._task(graph, *self._encoded(val, "validation")),
            test=None if test is None else self._task(graph, *self._encoded(self._labelled(*test, graph), "test")),
            checkpoint=checkpoint,
            resume=resume,
            callback=callback,
        )
        return self

    def _split(
        self, ids: NDArray[np.int64], labels: NDArray[Any], validation: Validation, graph: Graph
    ) -> tuple[NDArray[np.int64], tuple[NDArray[np.int64], NDArray[Any]] | None]:
        """Rows of ``ids`` to train on, and the validation nodes with their labels."""
        everything = np.arange(len(ids))
        if validation is None:
            return everything, None
        if isinstance(validation, tuple | list):
            self._check_pair(validation)
            return everything, self._labelled(*validation, graph)
        held = self._share(labels, len(ids), validation)
        if len(np.unique(ids)) < len(ids):  # a node given twice is trained on or validated on, never both
            held = np.flatnonzero(np.isin(ids, ids[held]))
        if not len(held) or len(held) == len(ids):
            raise InvalidArgumentError(
                f"Training and validation each need nodes. A share of {validation} of {len(ids)} nodes leaves "
                f"{len(ids) - len(held)} and {len(held)}. Label more nodes, or pass validation=(ids, labels)."
            )
        return np.setdiff1d(everything, held), (ids[held], labels[held])

    def _build(self, graph: Graph, out_channels: int) -> Any:
        in_channels = int(graph.x.shape[1])
        if isinstance(self.model, str):
            sizes = {"hidden": self.hidden, "layers": self.layers, "dropout": self.dropout}
            options = {name: value for name, value in sizes.items() if value is not None} | (self.model_options or {})
            model: nn.Module = nn.models.build(self.model, in_channels, out_channels, **options)
        elif isinstance(self.model, nn.Module):
            model = copy.deepcopy(self.model)  # what the caller gave must stay as it is: clones share it
        elif callable(self.model):
            model = self.model(in_channels, out_channels)
        else:
            raise DTypeError(
                "model is a name, a gk.nn.Module, or a function of (in_channels, out_channels). "
                f"Got {type(self.model).__name__}. Pass for example model='gcn'."
            )
        if self.decay_on is not None:
            set_decay(model, self.decay_on)
        return model

    # -- features and targets ---------------------------------------------------------------------------------------

    def _check_features(self, graph: Graph) -> None:
        """Refuse a graph without features [num_nodes, channels], or not finite ones unless the model is of the user.

        At the door, because dropout hides a broken value from the loss in some epochs.
        """
        if "x" not in graph.nodes:
            raise InvalidFeatureError(
                f"{type(self).__name__} learns from node features x. The graph has "
                f"{', '.join(sorted(graph.nodes)) or 'none'}. Add them with g.replace(x=features); np.eye(n) if there "
                "are none."
            )
        if len(graph.x.shape) != 2:
            raise ShapeError(
                f"Node features have shape [num_nodes, channels]. Got {tuple(graph.x.shape)}. "
                "Use x[:, None] for one channel."
            )
        node = None if isinstance(self.model, nn.Module) else first_broken_node(graph)
        if node is not None:
            raise InvalidFeatureError(
                f"The features of every node must be finite. The features x of node {node} are not all finite. "
                "Fill them in, leave that node out of the graph, or pass a model of your own that reads them."
            )

    def _learn_features(self, graph: Graph) -> None:
        for name in ("feature_mean_", "feature_scale_"):
            vars(self).pop(name, None)  # of an earlier fit
        if self.normalize == "standard":
            self.feature_mean_, self.feature_scale_ = learn_columns(graph)
        elif self.normalize is not None and self.normalize not in NORMALISERS:
            raise unknown_name("value of normalize", self.normalize, NORMALISERS)

    def _features(self, graph: Graph) -> Graph:
        """The graph with features a network can take: two axes, normalised if asked."""
        self._check_features(graph)
        if self.normalize is None:
            return graph
        if self.normalize != "standard":
            return transforms.normalize_features(graph, norm=self.normalize)
        if "feature_mean_" not in vars(self):
            raise NotFittedError(
                "Columns are standardised by what fit measured. normalize='standard' was set after it. Call fit again."
            )
        return standardise(graph, self.feature_mean_, self.feature_scale_)

    def _task(self, graph: Graph, ids: NDArray[np.int64], codes: NDArray[Any]) -> Task:
        target = np.zeros((graph.num_nodes, *codes.shape[1:]), dtype=codes.dtype)
        target[ids] = codes
        differs = (target[ids] != codes).reshape(len(ids), -1).any(axis=1)
        if differs.any():
            node = int(ids[np.flatnonzero(differs)[0]])
            raise InvalidFeatureError(
                f"A node has one label. Node {node} stands in X more than once with different labels. Remove one."
            )
        return Task(graph, target, mask=ids)

    def _learn_targets(self, labels: NDArray[Any]) -> NDArray[Any]:
        raise NotImplementedError

    def _out_channels(self) -> int:
        raise NotImplementedError

    def _encoded(self, labelled: tuple[NDArray[np.int64], NDArray[Any]], where: str) -> tuple[Any, NDArray[Any]]:
        raise NotImplementedError

    # -- answers ----------------------------------------------------------------------------------------------------

    def _outputs(self, X: ArrayLike | None, graph: Graph | None) -> NDArray[Any]:
        """Raw outputs of the network for the nodes ``X``."""
        self._check_fitted()
        chosen = self._the_graph(graph)
        ids = self._ids(X, chosen)
        features = self._features(chosen)
        self.model_.eval()
        with no_grad():
            output = self.model_(features)
            return np.asarray(as_array(output.x if isinstance(output, Graph) else output))[ids]

    def embed(self, X: ArrayLike | None = None, *, graph: Graph | None = None) -> NDArray[Any]:
        """What the network knows about the nodes ``X`` before its last layer, [n, channels]: for maps and other models.

        Raises
        ------
        InvalidArgumentError
            If the network is not a Sequential: then only you know which values to look at.
        """
        self._check_fitted()
        if not isinstance(self.model_, nn.Sequential):
            raise InvalidArgumentError(
                f"embed reads a gk.nn.Sequential up to its last layer. The model is a {type(self.model_).__name__}. "
                "Call its parts yourself: model_.part(graph)."
            )
        layers = list(self.model_)
        last = max((i for i, layer in enumerate(layers) if any(True for _ in layer.parameters())), default=0)
        chosen = self._the_graph(graph)
        ids, state = self._ids(X, chosen), self._features(chosen)
        self.model_.eval()
        with no_grad():
            for layer in layers[:last]:
                state = layer(state)
        x = state.x.toarray() if hasattr(state.x, "toarray") else as_array(state.x)
        return np.asarray(x)[ids]

    def with_graph(self, graph: Graph) -> Self:
        """The same fitted estimator, predicting on another graph with the same kind of features (inductive use)."""
        return self._with_graph(graph)

    # -- files ------------------------------------------------------------------------------------------------------

    def _learnt_inputs(self) -> dict[str, Any]:
        if self.normalize != "standard":
            return {}
        return {"features": {"mean": self.feature_mean_.tolist(), "scale": self.feature_scale_.tolist()}}

    def _restore_inputs(self, learnt: dict[str, Any]) -> None:
        if "features" in learnt:
            columns = learnt["features"]
            self.feature_mean_, self.feature_scale_ = np.array(columns["mean"]), np.array(columns["scale"])

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        graph: Graph | None = None,
        classes: Any = (),
        features_ready: bool = False,
    ) -> Self:
        """Read what :meth:`save` wrote; ``graph`` is the one to predict on. See :func:`load_estimator`.

        Raises
        ------
        FileFormatError
            If the file is damaged, or holds another estimator.
        InvalidFeatureError
            If ``gnnkit train`` made the features of the model from columns, and ``features_ready`` is not said.
        """
        from gnnkit.learn.files import load_estimator

        loaded = load_estimator(path, graph=graph, classes=classes, features_ready=features_ready)
        if not isinstance(loaded, cls):
            raise FileFormatError(
                f"{cls.__name__}.load reads a {cls.__name__}. '{path}' holds a {type(loaded).__name__}. "
                "Use gk.learn.load_estimator, which reads either."
            )
        return loaded
