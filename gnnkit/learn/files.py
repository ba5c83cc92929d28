"""Reading fitted estimators from the files that their ``save`` wrote. May import nn and the estimators."""

from __future__ import annotations

import os
from typing import Any

from gnnkit import nn
from gnnkit.errors import FileFormatError
from gnnkit.graph import Graph
from gnnkit.learn.history import History
from gnnkit.learn.nodes import NodeClassifier, NodeRegressor

_ESTIMATORS: dict[str, type[NodeClassifier | NodeRegressor]] = {
    "NodeClassifier": NodeClassifier,
    "NodeRegressor": NodeRegressor,
}


def load_estimator(
    path: str | os.PathLike[str], *, graph: Graph | None = None, classes: Any = ()
) -> NodeClassifier | NodeRegressor:
    """Read a fitted estimator from the file that ``save`` wrote.

    Parameters
    ----------
    path : str or path
    graph : Graph, optional
        The graph to predict on; it can also be given to ``predict`` later.
    classes : iterable of Module classes
        Your own classes that the model is made of.

    Raises
    ------
    FileMissingError, FileFormatError
        If the file is not there, damaged, or holds a model without an estimator.
    """
    record = nn.read_model_file(path).metadata.get("gnnkit.estimator")
    if not isinstance(record, dict) or record.get("estimator") not in _ESTIMATORS:
        raise FileFormatError(
            f"An estimator file is written by NodeClassifier.save or NodeRegressor.save. '{path}' holds a model only. "
            "Read it with gk.nn.load_model."
        )
    estimator = _ESTIMATORS[record["estimator"]](graph, **record["params"])
    estimator.model_ = nn.load_model(path, classes)
    estimator.history_ = History.from_dict(record["learnt"]["history"])
    estimator.n_features_in_ = 1
    estimator._restore(record["learnt"])
    return estimator
