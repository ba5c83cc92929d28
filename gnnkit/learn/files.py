"""Reading fitted estimators from the files that their ``save`` wrote. May import nn and the estimators."""

from __future__ import annotations

import os
from typing import Any

from gnnkit import nn
from gnnkit.errors import FileFormatError, InvalidArgumentError, InvalidFeatureError
from gnnkit.graph import Graph
from gnnkit.learn.history import History
from gnnkit.learn.images import ImageClassifier
from gnnkit.learn.nodes import NodeClassifier, NodeRegressor
from gnnkit.learn.pixels import PixelClassifier

_OF_NODES: dict[str, Any] = {"NodeClassifier": NodeClassifier, "NodeRegressor": NodeRegressor}
_OF_IMAGES: dict[str, Any] = {"ImageClassifier": ImageClassifier, "PixelClassifier": PixelClassifier}


def load_estimator(
    path: str | os.PathLike[str], *, graph: Graph | None = None, classes: Any = (), features_ready: bool = False
) -> Any:
    """Read a fitted estimator from the file that ``save`` wrote.

    Parameters
    ----------
    path : str or path
    graph : Graph, optional
        For estimators of nodes: the graph to predict on; it can also be given to ``predict`` later.
    classes : iterable of Module classes
        Your own classes that the model is made of.
    features_ready : bool
        Say True where the features of a model of ``gnnkit train FILE`` are made already, as its columns and scales.

    Returns
    -------
    NodeClassifier, NodeRegressor, ImageClassifier or PixelClassifier

    Raises
    ------
    FileMissingError, FileFormatError
        If the file is not there, damaged, or holds a model without an estimator.
    InvalidArgumentError
        If a graph is given and the file holds an estimator of images.
    InvalidFeatureError
        If the model takes features that ``gnnkit train`` made from columns: the ``x`` of a graph is not those.
    """
    metadata = nn.read_model_file(path).metadata
    record = metadata.get("gnnkit.estimator")
    kind = record.get("estimator") if isinstance(record, dict) else None
    if kind not in _OF_NODES and kind not in _OF_IMAGES:
        raise FileFormatError(
            f"An estimator file is written by NodeClassifier.save or another save of an estimator. '{path}' holds a "
            "model only. Read it with gk.nn.load_model."
        )
    assert isinstance(record, dict)
    if "gnnkit.features" in metadata and not features_ready:
        raise InvalidFeatureError(
            "An estimator takes the x of a graph as it is, so x must be what the model learnt from. The model of "
            f"'{path}' learnt from features that gnnkit train made: {metadata['gnnkit.features']}. Let the command "
            f"line make them again: gnnkit predict {path} GRAPH --out predictions.csv; or, if your x has exactly these "
            "columns in this order and scale, pass features_ready=True."
        )
    if kind in _OF_IMAGES and graph is not None:
        raise InvalidArgumentError(
            f"graph= is for estimators of nodes. '{path}' holds the images' {kind}. Pass images to its predict."
        )
    estimator = (
        _OF_IMAGES[kind](**record["params"]) if kind in _OF_IMAGES else _OF_NODES[kind](graph, **record["params"])
    )
    estimator.model_ = nn.load_model(path, classes)
    estimator.history_ = History.from_dict(record["learnt"]["history"])
    if kind in _OF_NODES:
        estimator.n_features_in_ = 1
    estimator._restore(record["learnt"])
    estimator._restore_inputs(record["learnt"])
    return estimator
