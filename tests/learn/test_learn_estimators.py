"""One generator of small named checks runs over every estimator; then what only networks or only propagation can do."""

from __future__ import annotations

import copy
import inspect

import networkx as nx
import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import (
    DTypeError,
    FileFormatError,
    InvalidArgumentError,
    InvalidFeatureError,
    NotFittedError,
    ShapeError,
    UnknownNameError,
)
from gnnkit.learn import LabelPropagation, NodeClassifier, NodeRegressor, load_estimator


def two_cliques(size: int = 6, *, seed: int = 0) -> gk.Graph:
    """Two complete graphs joined by one edge; features carry a weak signal."""
    joined = nx.disjoint_union(nx.complete_graph(size), nx.complete_graph(size))
    joined.add_edge(0, size)
    a, b = np.array(joined.edges).T
    side = np.repeat([0.0, 1.0], size)
    rng = np.random.default_rng(seed)
    x = np.column_stack([side + 0.3 * rng.normal(size=2 * size), 1 - side, np.ones(2 * size)]).astype("float32")
    return gk.from_edges(a, b, num_nodes=2 * size, x=x, undirected=True)


GRAPH = two_cliques()
IDS = np.array([1, 2, 3, 7, 8, 9])
SIDE = (np.arange(12) >= 6).astype(int)
FAST = {"epochs": 40, "random_state": 0, "lr": 0.05}

ESTIMATORS = {
    "gcn classifier": lambda: NodeClassifier(GRAPH, model="gcn", hidden=8, **FAST),
    "sgc classifier": lambda: NodeClassifier(GRAPH, model="sgc", **FAST),
    "gat classifier": lambda: NodeClassifier(GRAPH, model="gat", hidden=4, model_options={"heads": 2}, **FAST),
    "mlp classifier": lambda: NodeClassifier(GRAPH, model="mlp", hidden=8, **FAST),
    "gcn regressor": lambda: NodeRegressor(GRAPH, model="gcn", hidden=8, dropout=0.0, **FAST),
    "label spreading": lambda: LabelPropagation(GRAPH),
    "label propagation": lambda: LabelPropagation(GRAPH, method="propagation"),
}


def labels_for(estimator, ids=IDS):
    return SIDE[ids].astype(float) if isinstance(estimator, NodeRegressor) else SIDE[ids]


# -- the checks: each takes a fresh estimator -------------------------------------------------------------------------


def check_constructor_only_stores(estimator):
    for name, value in estimator.get_params().items():
        assert getattr(estimator, name) is value
    assert set(vars(estimator)) == set(estimator.get_params())
    for parameter in list(inspect.signature(type(estimator).__init__).parameters.values())[2:]:
        assert parameter.kind is parameter.KEYWORD_ONLY and parameter.default is not parameter.empty


def check_fit_returns_self_and_learns_underscored_names(estimator):
    before = dict(estimator.get_params())
    assert estimator.fit(IDS, labels_for(estimator)) is estimator
    assert all(estimator.get_params()[k] is v for k, v in before.items())
    learnt = set(vars(estimator)) - set(before)
    assert learnt and all(name.endswith("_") or name.startswith("_") for name in learnt)
    assert estimator.n_features_in_ == 1


def check_predictions_have_one_row_per_id(estimator):
    estimator.fit(IDS, labels_for(estimator))
    assert estimator.predict([0, 5, 5]).shape == (3,)
    assert estimator.predict(np.array([[0], [5]])).shape == (2,)
    assert estimator.predict().shape == (12,)
    assert estimator.predict(np.zeros(0, int)).shape == (0,)
    assert np.array_equal(estimator.predict(np.array([3, 4])), estimator.predict()[[3, 4]])


def check_it_learns_the_two_cliques(estimator):
    rest = np.setdiff1d(np.arange(12), IDS)
    estimator.fit(IDS, labels_for(estimator))
    assert estimator.score(rest, labels_for(estimator, rest)) >= 0.6


def check_probabilities_sum_to_one(estimator):
    if isinstance(estimator, NodeRegressor):
        return
    p = estimator.fit(IDS, labels_for(estimator)).predict_proba()
    assert p.shape == (12, 2) and np.allclose(p.sum(axis=1), 1, atol=1e-6) and (p >= 0).all()
    assert np.array_equal(estimator.predict(), estimator.classes_[p.argmax(axis=1)])


def check_labels_may_be_texts_and_objects(estimator):
    if isinstance(estimator, NodeRegressor):
        return
    names = np.array(["left", "right"])[SIDE[IDS]]
    first = estimator.fit(IDS, names).predict()
    assert set(first) == {"left", "right"} and estimator.classes_.tolist() == ["left", "right"]
    assert np.array_equal(estimator.fit(IDS, names.astype(object)).predict(), first)
    assert np.array_equal(estimator.fit(IDS, names[:, None]).predict(), first)


def check_fit_twice_gives_the_same_bits(estimator):
    first = estimator.fit(IDS, labels_for(estimator)).predict()
    assert np.array_equal(first, estimator.fit(IDS, labels_for(estimator)).predict())


def check_prediction_does_not_change_anything(estimator):
    estimator.fit(IDS, labels_for(estimator))
    assert np.array_equal(estimator.predict(), estimator.predict())


def check_set_params_and_unknown_names(estimator):
    assert estimator.set_params() is estimator
    name = "alpha" if isinstance(estimator, LabelPropagation) else "lr"
    assert estimator.set_params(**{name: 0.5}).get_params()[name] == 0.5
    with pytest.raises(UnknownNameError, match=rf"parameter must be one of.*Did you mean '{name}'"):
        estimator.set_params(**{name + "x": 1})


def check_clone_shares_the_graph_and_forgets(estimator):
    base = pytest.importorskip("sklearn.base")
    estimator.fit(IDS, labels_for(estimator))
    other = base.clone(estimator)
    assert other is not estimator and other.graph is estimator.graph
    assert not any(name.endswith("_") for name in vars(other))
    assert base.is_classifier(estimator) != base.is_regressor(estimator)
    assert base.is_regressor(estimator) == isinstance(estimator, NodeRegressor)


def check_cross_validation(estimator):
    selection = pytest.importorskip("sklearn.model_selection")
    scores = selection.cross_val_score(estimator, IDS, labels_for(estimator), cv=3)
    assert scores.shape == (3,)
    scores = selection.cross_val_score(estimator, IDS[:, None], labels_for(estimator), cv=3)
    assert scores.shape == (3,)


def check_not_fitted(estimator):
    with pytest.raises(NotFittedError, match="must be fitted before it predicts"):
        estimator.predict([0])


def check_repr_is_short_and_names_what_was_set(estimator):
    text = repr(estimator)
    assert text.startswith(type(estimator).__name__) and "12 nodes" in text and len(text) < 200
    copy.copy(estimator)


def check_bad_ids(estimator):
    y = labels_for(estimator)
    with pytest.raises(InvalidArgumentError, match=r"Ids of nodes lie in \[0, 12\). Got 12 at position 1"):
        estimator.fit([0, 12], y[:2])
    with pytest.raises(InvalidArgumentError, match="Got -1 at position 0"):
        estimator.fit([-1, 2], y[:2])
    with pytest.raises(DTypeError, match=r"Node ids are integers. Got dtype bool. Pass np.flatnonzero"):
        estimator.fit(np.ones(12, bool), SIDE)
    with pytest.raises(DTypeError, match="Got dtype float64"):
        estimator.fit([0.5, 1.5], y[:2])
    with pytest.raises(ShapeError, match=r"X holds node ids, shape \[n\] or \[n, 1\]. Got shape \(12, 3\)"):
        estimator.fit(GRAPH.x, SIDE)
    with pytest.raises(InvalidArgumentError, match="at least one labelled node"):
        estimator.fit([], [])


def check_bad_labels(estimator):
    y = labels_for(estimator)
    with pytest.raises(ShapeError, match=r"one label for each of the 6 ids in X.*Got shape \(5,\)"):
        estimator.fit(IDS, y[:5])
    with pytest.raises(ShapeError, match=r"Got shape \(12,\).*y\[X\]"):
        estimator.fit(IDS, SIDE)
    with pytest.raises(InvalidFeatureError, match=r"Got nan at position 1 .node 2."):
        estimator.fit(IDS, [0, np.nan, 0, 1, 1, 1])
    with pytest.raises(DTypeError, match=r"Labels are all of one kind. Got a mixture of NoneType, str"):
        estimator.fit(IDS[:2], np.array(["a", None], dtype=object))


def check_graph_is_required(estimator):
    estimator.set_params(graph=None)
    with pytest.raises(DTypeError, match=r"works on the nodes of a gk.Graph. Got graph=NoneType"):
        estimator.fit(IDS, labels_for(estimator))


CHECKS = [value for name, value in sorted(globals().items()) if name.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__[6:])
@pytest.mark.parametrize("make", ESTIMATORS.values(), ids=ESTIMATORS.keys())
def test_contract(make, check):
    check(make())


# -- exercise 8: one network, half of the labels ----------------------------------------------------------------------


def test_half_labelled_network_trains_selects_and_predicts_the_rest():
    """Two groups of people; half of them are labelled, some of these only select, the rest is asked."""
    society = nx.planted_partition_graph(2, 40, 0.25, 0.02, seed=1)
    a, b = np.array(society.edges).T
    group = np.repeat([0, 1], 40)
    g = gk.from_edges(a, b, num_nodes=80, x=np.eye(80, dtype="float32"), undirected=True)
    order = np.random.default_rng(0).permutation(80)
    labelled, asked = order[:40], order[40:]
    train, validation = labelled[:25], labelled[25:]
    model = NodeClassifier(g, model="gcn", epochs=100, patience=30, random_state=0)
    model.fit(train, group[train], validation=(validation, group[validation]))
    assert model.history_.best_epoch == int(np.argmin(model.history_["val_loss"]))
    assert model.score(asked, group[asked]) >= 0.9
    # No label outside the two labelled sets has been looked at: others leave every bit unchanged.
    again = NodeClassifier(g, model="gcn", epochs=100, patience=30, random_state=0)
    again.fit(train, group[train], validation=(validation, group[validation]), test=(asked, 1 - group[asked]))
    assert np.array_equal(model.predict_proba(), again.predict_proba())


# -- networks only ----------------------------------------------------------------------------------------------------


def test_grid_search():
    selection = pytest.importorskip("sklearn.model_selection")
    search = selection.GridSearchCV(
        NodeClassifier(GRAPH, epochs=20, random_state=0), {"model": ["gcn", "mlp"], "hidden": [4, 8]}, cv=2
    )
    search.fit(IDS, np.array(["l", "r"])[SIDE[IDS]])
    assert set(search.best_params_) == {"model", "hidden"}
    assert search.best_estimator_.predict([0]).tolist()[0] in ("l", "r")


def test_share_of_x_for_validation_is_stratified_and_not_trained_on():
    ids = np.arange(12)
    model = NodeClassifier(GRAPH, epochs=5, validation=1 / 3, random_state=0).fit(ids, SIDE)
    assert "val_accuracy" in model.history_
    with pytest.raises(InvalidArgumentError, match="Training and validation each need nodes"):
        NodeClassifier(GRAPH, validation=0.1).fit(IDS, SIDE[IDS])
    with pytest.raises(InvalidArgumentError, match="share between 0 and 1"):
        NodeClassifier(GRAPH, validation=1.5).fit(IDS, SIDE[IDS])


def test_prediction_on_another_graph():
    model = NodeClassifier(GRAPH, model="sage", hidden=8, **FAST).fit(IDS, SIDE[IDS])
    other = two_cliques(9, seed=5)
    side = (np.arange(18) >= 9).astype(int)
    assert np.mean(model.predict(graph=other) == side) > 0.9
    moved = model.with_graph(other)
    assert moved.graph is other and model.graph is GRAPH
    assert np.array_equal(moved.predict([0, 17]), model.predict([0, 17], graph=other))
    assert moved.score(np.arange(18), side) > 0.9


@pytest.mark.parametrize("kind", [NodeClassifier, NodeRegressor])
def test_save_and_load_in_one_file(tmp_path, kind):
    y = np.array(["l", "r"])[SIDE[IDS]] if kind is NodeClassifier else SIDE[IDS] * 7.0
    model = kind(GRAPH, model="gcn", hidden=4, normalize="l1", **FAST).fit(IDS, y)
    path = model.save(tmp_path / "model.safetensors", metadata={"note": "cliques"})
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]
    read = kind.load(path, graph=GRAPH)
    assert np.array_equal(read.predict(), model.predict())
    assert read.history_ == model.history_ and read.hidden == 4 and read.normalize == "l1"
    assert gk.nn.read_model_file(path).metadata["note"] == "cliques"
    assert np.array_equal(load_estimator(path).predict([3], graph=GRAPH), model.predict([3]))
    wrong = NodeRegressor if kind is NodeClassifier else NodeClassifier
    with pytest.raises(FileFormatError, match=rf"holds a {kind.__name__}"):
        wrong.load(path)
    gk.nn.save_model(model.model_, path)
    with pytest.raises(FileFormatError, match="holds a model only"):
        load_estimator(path)
    with pytest.raises(NotFittedError):
        kind(GRAPH).save(path)


def test_own_models_are_copied_and_functions_are_called():
    own = gk.nn.Sequential(gk.nn.Linear(3, 2))
    start = own.state_dict()
    model = NodeClassifier(GRAPH, model=own, **FAST).fit(IDS, SIDE[IDS])
    assert all(np.array_equal(v, start[k]) for k, v in own.state_dict().items())
    assert model.model_ is not own
    built = NodeClassifier(GRAPH, model=lambda i, o: gk.nn.Linear(i, o), **FAST).fit(IDS, SIDE[IDS])
    assert built.model_.num_parameters == 8
    with pytest.raises(DTypeError, match=r"model is a name, a gk.nn.Module, or a function"):
        NodeClassifier(GRAPH, model=3).fit(IDS, SIDE[IDS])


def test_bad_settings_are_refused_with_advice():
    with pytest.raises(UnknownNameError, match=r"Did you mean .*'gcn'"):
        NodeClassifier(GRAPH, model="gnc").fit(IDS, SIDE[IDS])
    with pytest.raises(InvalidArgumentError, match="hidden"):
        NodeClassifier(GRAPH, model="sgc", hidden=8).fit(IDS, SIDE[IDS])
    with pytest.raises(InvalidArgumentError, match="at least two classes"):
        NodeClassifier(GRAPH).fit([1, 2], [0, 0])
    with pytest.raises(UnknownNameError, match=r"labels of validation must be among the classes.*Got 5"):
        NodeClassifier(GRAPH).fit(IDS, SIDE[IDS], validation=([0], [5]))
    with pytest.raises(InvalidFeatureError, match="learns from node features x"):
        NodeClassifier(gk.cycle(12)).fit(IDS, SIDE[IDS])
    with pytest.raises(InvalidFeatureError, match="Node 1 stands in X more than once"):
        NodeClassifier(GRAPH).fit([1, 1, 7], [0, 1, 1])
    with pytest.raises(UnknownNameError, match="decay_on"):
        NodeClassifier(GRAPH, decay_on="last").fit(IDS, SIDE[IDS])
    with pytest.raises(DTypeError, match="A regressor learns numbers"):
        NodeRegressor(GRAPH).fit(IDS, ["a"] * 6)


def test_embedding_is_the_state_before_the_last_layer():
    model = NodeClassifier(GRAPH, model="gcn", hidden=5, **FAST).fit(IDS, SIDE[IDS])
    z = model.embed([0, 7])
    assert z.shape == (2, 5) and (z >= 0).all()  # after the ReLU
    assert np.array_equal(model.embed()[[0, 7]], z)
    last = model.model_[4]
    assert np.allclose(last(GRAPH.replace(x=model.embed())).x.data, model.decision_function(), atol=1e-6)
    assert np.array_equal(model.decision_function().argmax(axis=1), model.predict())
    assert NodeClassifier(GRAPH, model="sgc", **FAST).fit(IDS, SIDE[IDS]).embed().shape == (12, 3)
    other = NodeClassifier(GRAPH, model=lambda i, o: gk.nn.Linear(i, o), **FAST).fit(IDS, SIDE[IDS])
    with pytest.raises(InvalidArgumentError, match="The model is a Linear"):
        other.embed()


def test_regression_of_several_targets_keeps_their_unit():
    x = GRAPH.x[:, :1].astype(float)
    y = np.column_stack([1000 + 100 * x[:, 0], -x[:, 0]])
    model = NodeRegressor(GRAPH, model="mlp", dropout=0.0, epochs=300, lr=0.05, random_state=0).fit(np.arange(12), y)
    assert model.predict().shape == (12, 2)
    assert model.score(np.arange(12), y) > 0.95


def test_everything_works_without_scikit_learn(monkeypatch):
    import sys

    for name in [name for name in sys.modules if name == "sklearn" or name.startswith("sklearn.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    model = NodeClassifier(GRAPH, **FAST).fit(IDS, SIDE[IDS])
    assert model.score(IDS, SIDE[IDS]) >= 0.5 and model.get_params()["lr"] == 0.05


def test_a_fit_that_fails_leaves_no_half_fitted_estimator():
    for estimator in (
        NodeClassifier(GRAPH, optimizer="adamm", epochs=2),
        LabelPropagation(GRAPH, method="spreadin"),
    ):
        with pytest.raises(UnknownNameError):
            estimator.fit(IDS, SIDE[IDS])
        with pytest.raises(NotFittedError, match="It is not"):
            estimator.predict(IDS)
    again = NodeClassifier(GRAPH, hidden=4, epochs=2, random_state=0).fit(IDS, SIDE[IDS])
    with pytest.raises(InvalidArgumentError, match="lr must be"):
        again.set_params(lr=-1.0).fit(IDS, np.array(["left", "right"])[SIDE[IDS]])
    with pytest.raises(NotFittedError):  # not: the old model in the words of the new labels
        again.predict(IDS)


def test_clones_do_not_share_a_generator():
    base = pytest.importorskip("sklearn.base")
    model = NodeClassifier(GRAPH, hidden=4, epochs=3, random_state=np.random.default_rng(0))
    one, two = (base.clone(model).fit(IDS, SIDE[IDS]) for _ in range(2))
    assert one.history_["train_loss"] == two.history_["train_loss"]
    assert base.clone(model).graph is GRAPH


def test_a_node_given_twice_is_not_both_trained_and_validated():
    twice, seen = np.concatenate([np.arange(12), np.arange(12)]), {}

    class Spy(NodeClassifier):
        def _task(self, graph, ids, codes):
            seen[len(seen)] = set(ids.tolist())
            return super()._task(graph, ids, codes)

    Spy(GRAPH, hidden=4, epochs=1, validation=0.3, random_state=0).fit(twice, SIDE[twice])
    assert len(seen) == 2 and not seen[0] & seen[1]


def test_numbers_of_numpy_are_kept_in_the_file(tmp_path):
    model = NodeClassifier(GRAPH, hidden=np.int64(4), lr=np.float32(0.5), epochs=2, random_state=np.int64(3))
    read = load_estimator(model.fit(IDS, SIDE[IDS]).save(tmp_path / "m.safetensors"))
    assert (read.hidden, read.lr, read.random_state) == (4, 0.5, 3)


def test_validation_of_another_kind_is_refused_and_a_list_is_a_pair():
    names = np.array(["l", "r"])[SIDE[IDS]]
    NodeClassifier(GRAPH, hidden=4, epochs=2, validation=[[0, 11], ["l", "r"]]).fit(IDS, names)
    texts = np.array([np.str_(name) for name in names], dtype=object)
    assert NodeClassifier(GRAPH, hidden=4, epochs=2).fit(IDS, texts).classes_.tolist() == ["l", "r"]
    for wrong in ("half", True, 1, np.array([1, 2])):
        with pytest.raises(InvalidArgumentError, match="validation is a share between 0 and 1"):
            NodeClassifier(GRAPH, epochs=2, validation=wrong).fit(IDS, names)
