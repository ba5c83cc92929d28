"""Estimators of scikit-learn and of gnnkit, modules of torch, message programs, plain functions."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import InvalidArgumentError, MissingDependencyError

check, from_estimator, from_torch = gk.symmetry.check, gk.symmetry.from_estimator, gk.symmetry.from_torch


def small(seed=0, nodes=6, edges=12, **fields):
    rng = np.random.default_rng(seed)
    return gk.from_edges(
        rng.integers(0, nodes, edges),
        rng.integers(0, nodes, edges),
        num_nodes=nodes,
        x=rng.normal(size=(nodes, 3)),
        nodes=fields or None,
    )


# --------------------------------------------------------------------------------------------------- estimators
def test_an_estimator_of_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    model = linear.LogisticRegression().fit(rng.normal(size=(40, 3)), rng.integers(0, 2, 40))
    for method in ("predict", "predict_proba", "decision_function"):
        report = check(from_estimator(model, method=method), small(), output="nodes")
        assert report.passed and f"LogisticRegression.{method} is an estimator, which has none" in report.gradients
    neighbours = from_estimator(model, inputs=lambda g: g.x + np.arange(g.num_nodes)[:, None], method="predict_proba")
    assert not check(neighbours, small(), output="nodes").passed


def test_fitting_and_predicting_together():
    class MeanOfClass:
        def fit(self, X, y):
            self.means = np.array([X[y == c].mean(axis=0) if (y == c).any() else 0 * X[0] for c in (0, 1)])
            return self

        def predict_proba(self, X):
            return -np.square(X[:, None] - self.means).sum(axis=2)

    class FirstOfClass(MeanOfClass):
        def fit(self, X, y):
            self.means = np.array([X[np.argmax(y == c)] for c in (0, 1)])
            return self

    g = small(y=np.array([0, 1, 0, 1, 0, 1]))
    report = check(from_estimator(MeanOfClass(), method="predict_proba", target="y"), g, output="nodes")
    assert report.passed and "fitted anew on every graph, labels 'y'" in str(report)
    assert not check(from_estimator(FirstOfClass(), method="predict_proba", target="y"), g, output="nodes").passed


def test_an_estimator_of_gnnkit_reads_the_graph():
    g = small(nodes=8, edges=24)
    y = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    fitted = gk.NodeClassifier(epochs=3, random_state=0, graph=g.replace(x=g.x.astype("float32")))
    fitted.fit(np.arange(8), y)
    report = check(from_estimator(fitted, method="predict_proba"), g, output="nodes", cases=5)
    assert report.passed, str(report)


def test_an_estimator_of_gnnkit_is_fitted_on_the_moved_graph():
    g = small(nodes=8, edges=24, y=np.array(["a", "b"] * 4))
    options = {"output": "nodes", "cases": 4, "tolerance": 1e-3, "shrink": False}
    sound = gk.NodeClassifier(epochs=5, dropout=0.0, validation=None, random_state=0)
    for group in ("nodes", "edges"):
        report = check(from_estimator(sound, method="predict_proba", target="y"), g, group=group, **options)
        assert report.passed and "fitted anew on every graph, labels 'y'" in report.notes
    assert sound.graph is None  # the user's own is left alone
    numbers = g.replace(nodes={"y": np.arange(8.0)})
    regressor = gk.NodeRegressor(epochs=5, dropout=0.0, validation=None, random_state=0)
    assert check(from_estimator(regressor, target="y"), numbers, **options).passed
    by_number = gk.NodeClassifier(epochs=5, dropout=0.5, validation=None, random_state=0)
    assert not check(from_estimator(by_number, method="predict_proba", target="y"), g, **options).passed
    with pytest.raises(InvalidArgumentError, match=r"Got 'z' beside the node fields 'x', 'y'\. Give the graphs"):
        check(from_estimator(sound, target="z"), g, **options)


def test_estimators_that_do_not_fit():
    class Empty:
        pass

    class Predicting:
        def predict(self, X):
            return X

    with pytest.raises(InvalidArgumentError, match=r"Empty has no 'predict'; it has none of predict, "):
        from_estimator(Empty())
    with pytest.raises(InvalidArgumentError, match=r"Predicting has no 'transform'; it has predict"):
        from_estimator(Predicting(), method="transform")
    with pytest.raises(InvalidArgumentError, match=r"Predicting has no 'fit'\. Leave target out"):
        from_estimator(Predicting(), target="y")


# ------------------------------------------------------------------------------------------------------ programs
def test_message_programs():
    @gk.message_program
    def weighted(src, dst, edge):
        return gk.agg.sum(edge.w * (src.x - dst.x))

    g = small().replace(edges={"w": np.random.default_rng(0).normal(size=(12, 1))})
    for group in ("nodes", "edges", "union"):
        report = check(weighted, g, group=group, output="nodes")
        assert report.passed and "gradient of edges w" in report.errors
        assert "weighted is equivariant" in str(report)


def test_a_message_program_says_what_its_rows_are():
    @gk.message_program
    def summed(src):
        return gk.agg.sum(src.x)

    @gk.message_program
    def per_edge(src, dst):
        return src.x - 2 * dst.x

    @gk.message_program
    def both(src, dst):
        return src.x - 2 * dst.x, gk.agg.sum(src.x)

    g = small()
    assert list(check(summed, g).errors) == ["nodes output", "gradient of nodes x"]
    for group in ("nodes", "edges", "union"):
        report = check(per_edge, g, group=group)
        assert report.passed and list(report.errors) == ["edges output", "gradient of nodes x"]
    assert "nodes output" in check(summed, g, output="nodes").errors
    with pytest.raises(InvalidArgumentError, match="must say what their rows are"):
        check(both, g)


# --------------------------------------------------------------------------------------------------------- torch
def test_without_torch(monkeypatch):
    real = builtins.__import__

    def absent(name, *arguments, **options):
        if name.partition(".")[0] == "torch":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingDependencyError, match=r"needs the package 'torch'\. It is not installed\. Install it"):
        from_torch(object())
