"""Reading fitted estimators from the files that their ``save`` wrote. May import nn and the estimators."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from gnnkit import nn
from gnnkit.errors import FileFormatError, InvalidFeatureError
from gnnkit.graph import Graph
from gnnkit.learn.history import History
from gnnkit.learn.nodes import NodeClassifier, NodeRegressor

_ESTIMATORS: dict[str, type[NodeClassifier | NodeRegressor]] = {
    "NodeClassifier": NodeClassifier,
    "NodeRegressor": NodeRegressor,
}


def load_estimator(
    path: str | os.PathLike[str], *, graph: Graph | None = None, classes: Any = (), features_ready: bool = False
) -> NodeClassifier | NodeRegressor:
    """Read a fitted estimator from the file that ``save`` wrote.

    Parameters
    ----------
    path : str or path
    graph : Graph, optional
        The graph to predict on; it can also be given to ``predict`` later.
    classes : iterable of Module classes
        Your own classes that the model is made of.
    features_ready : bool
        Say True where the features of a model of ``gnnkit train FILE`` are made already, as its columns and scales.

    Raises
    ------
    FileMissingError, FileFormatError
        If the file is not there, damaged, or holds a model without an estimator.
    InvalidFeatureError
        If the model takes features that ``gnnkit train`` made from columns: the ``x`` of a graph is not those.
    """
    metadata = nn.read_model_file(path).metadata
    record = metadata.get("gnnkit.estimator")
    if not isinstance(record, dict) or record.get("estimator") not in _ESTIMATORS:
        raise FileFormatError(
            f"An estimator file is written by NodeClassifier.save or NodeRegressor.save. '{path}' holds a model only. "
            "Read it with gk.nn.load_model."
        )
    if "gnnkit.features" in metadata and not features_ready:
        raise InvalidFeatureError(
            "An estimator takes the x of a graph as it is, so x must be what the model learnt from. The model of "
            f"'{path}' learnt from features that gnnkit train made: {metadata['gnnkit.features']}. Let the command "
            f"line make them again: gnnkit predict {path} GRAPH --out predictions.csv; or, if your x has exactly these "
            "columns in this order and scale, pass features_ready=True."
        )
    estimator = _ESTIMATORS[record["estimator"]](graph, **record["params"])
    estimator.model_ = nn.load_model(path, classes)
    estimator.history_ = History.from_dict(record["learnt"]["history"])
    estimator.n_features_in_ = 1
    estimator._restore(record["learnt"])
    if "features" in record["learnt"]:
        columns = record["learnt"]["features"]
        estimator.feature_mean_, estimator.feature_scale_ = np.array(columns["mean"]), np.array(columns["scale"])
    return estimator
