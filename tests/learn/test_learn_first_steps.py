"""What somebody new to the estimators stumbles over: raw columns, names for ids, foreign graphs, saving."""

from __future__ import annotations

import pickle

import networkx as nx
import numpy as np
import pytest
import scipy.sparse

import gnnkit as gk
from gnnkit.errors import (
    DTypeError,
    InvalidArgumentError,
    InvalidFeatureError,
    NotFittedError,
    ShapeError,
    TrainingError,
    UnknownNameError,
)
from gnnkit.learn import NodeClassifier

GRAPH = gk.path(12).replace(x=np.eye(12, dtype="float32"))
IDS = np.array([1, 2, 3, 7, 8, 9])
SIDE = (np.arange(12) >= 6).astype(int)
FAST = {"epochs": 40, "random_state": 0, "lr": 0.05}


def test_standard_columns_are_learnt_in_fit_and_kept(tmp_path):
    x = np.array([[0.0, 5.0], [2.0, 5.0], [4.0, 5.0], [6.0, 5.0]], dtype="float32")
    g = gk.path(4).replace(x=x)
    model = NodeClassifier(g, model="mlp", normalize="standard", **FAST).fit([0, 3], ["low", "high"])
    assert model.feature_mean_.tolist() == [3.0, 5.0] and model.feature_scale_.tolist() == [np.sqrt(5.0), 1.0]
    scaled = ((x - [3.0, 5.0]) / [np.sqrt(5.0), 1.0]).astype("float32")
    plain = NodeClassifier(g.replace(x=scaled), model="mlp", **FAST).fit([0, 3], ["low", "high"])
    assert np.array_equal(model.predict_proba(), plain.predict_proba()) and not hasattr(plain, "feature_mean_")
    other = gk.path(1).replace(x=np.array([[10.0, 5.0]], dtype="float32"))  # by the mean of training, not its own
    assert model.predict(graph=other).tolist() == ["high"]
    read = NodeClassifier.load(model.save(tmp_path / "m.safetensors"), graph=g)
    assert np.array_equal(read.predict_proba(), model.predict_proba())
    with pytest.raises(ShapeError, match=r"columns of training, 2. Got 1"):
        model.predict(graph=gk.path(1).replace(x=np.ones((1, 1), dtype="float32")))
    assert not hasattr(model.set_params(normalize="l1").fit([0, 3], [0, 1]), "feature_mean_")


def test_standard_refuses_what_it_would_spoil():
    sparse = gk.path(4).replace(x=gk.SparseMatrix.from_scipy(scipy.sparse.eye_array(4, dtype="float32", format="csr")))
    with pytest.raises(InvalidFeatureError, match=r"moves zeros.*Use 'l1', 'l2' or 'max'"):
        NodeClassifier(sparse, normalize="standard").fit([0, 3], [0, 1])
    with pytest.raises(UnknownNameError, match="Did you mean 'standard'"):
        NodeClassifier(GRAPH, normalize="standart").fit(IDS, SIDE[IDS])
    fitted = NodeClassifier(GRAPH, **FAST).fit(IDS, SIDE[IDS]).set_params(normalize="standard")
    with pytest.raises(NotFittedError, match="Call fit again"):
        fitted.predict()


def test_a_fitted_estimator_says_how_it_is_kept():
    with pytest.raises(gk.errors.GnnkitError, match=r"clf.save\(path\), which NodeClassifier.load\(path\)"):
        pickle.dumps(NodeClassifier(GRAPH, **FAST).fit(IDS, SIDE[IDS]))


def test_a_graph_of_networkx_is_told_apart_by_its_module():
    G = nx.path_graph(3)
    advice = r"Got (graph=)?networkx.Graph. Convert it with gk.from_networkx\(G\)"
    with pytest.raises(DTypeError, match=advice):
        NodeClassifier(G).fit([0, 2], [0, 1])
    with pytest.raises(DTypeError, match=advice):
        gk.learn.Task(G, [0, 1, 1])
    with pytest.raises(InvalidArgumentError, match=advice):
        gk.nn.GCNConv(2, 2)(G)
    with pytest.raises(InvalidArgumentError, match=advice):
        gk.nn.Linear(2, 2)(G)


def test_what_a_first_try_gets_wrong_is_answered_with_the_fix():
    with pytest.raises(DTypeError, match=r"g.origin.node_names.index\(name\).*np.flatnonzero"):
        NodeClassifier(GRAPH).fit(["p0"], ["a"])
    with pytest.raises(UnknownNameError, match="Did you mean 'epochs'"):
        NodeClassifier(GRAPH, epoch=3)
    with pytest.raises(DTypeError, match=r"features x must be floating.*g.replace\(x=g.x.astype\('float32'\)\)"):
        NodeClassifier(GRAPH.replace(x=np.ones((12, 2), dtype=int))).fit(IDS, SIDE[IDS])


@pytest.mark.parametrize("convert", [np.asarray, scipy.sparse.csr_array])
def test_nan_in_features_is_not_blamed_on_the_rate(convert):
    x = np.ones((3, 2), dtype="float32")
    x[1, 1] = np.nan
    g = gk.from_edges([0, 1], [1, 2], num_nodes=3, x=convert(x), allow_nan=True)
    for seed in range(20):  # dropout may hide the value from every loss
        with pytest.raises(InvalidFeatureError, match=r"features x of node 1 are not all finite. Fill them in"):
            NodeClassifier(g, epochs=3, random_state=seed).fit([1, 2], [0, 1])
    model = gk.nn.GCNConv(2, 2, rng=0)
    with pytest.raises(TrainingError, match=r"features x of node 1 are not all finite. Fill them in"):
        gk.learn.fit(model, gk.learn.Task(g, [0, 0, 1]), epochs=3, progress=False)
    with pytest.raises(TrainingError, match=r"features x of node 1 are not all finite"):
        NodeClassifier(g, model=model, epochs=3).fit([1, 2], [0, 1])


def test_a_history_is_printed_counting_from_one():
    history = gk.learn.History()
    for loss in (0.7, 0.4):
        history.append({"train_loss": loss})
    history.best_epoch = 1
    lines = repr(history).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["1", "2"] and lines[3].endswith("<- best")
