"""Estimators of scikit-learn and of gnnkit, modules of torch, message programs, plain functions."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import DTypeError, InvalidArgumentError, MissingDependencyError

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


# --------------------------------------------------------------------------------------------------------- torch
@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="needs torch, which is no dependency of gnnkit and absent here")


def torch_sum(torch):
    class NeighbourSum(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(3, 2)

        def forward(self, x, edge_index):
            hidden = torch.tanh(self.linear(x))
            return torch.zeros_like(hidden).index_add(0, edge_index[1], hidden[edge_index[0]])

    torch.manual_seed(0)
    return NeighbourSum()


@pytest.mark.parametrize("group", ["nodes", "edges", "union"])
def test_a_module_of_torch(torch, group):
    module = torch_sum(torch)
    before = module.linear.weight.clone()
    report = check(from_torch(module), small(), group=group, output="nodes")
    assert report.passed, str(report)
    assert report.gradients == "gradients were compared too"
    assert {"gradient of nodes x", "gradient of parameter linear.weight"} <= set(report.errors)
    assert module.linear.weight.dtype == torch.float32 and torch.equal(module.linear.weight, before)


def test_a_wrong_module_of_torch(torch):
    class Numbered(torch.nn.Module):
        def forward(self, x, edge_index):
            return x * torch.arange(len(x), dtype=x.dtype)[:, None]

    report = check(from_torch(Numbered()), small(), output="nodes")
    assert not report.passed and report.counterexample.num_nodes == 2


def test_a_wrong_gradient_of_torch(torch):
    class FirstOnly(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 1.0 * x

        @staticmethod
        def backward(ctx, gradient):
            return gradient * (torch.arange(len(gradient)) == 0)[:, None]

    class Module(torch.nn.Module):
        def forward(self, x, edge_index):
            return FirstOnly.apply(x)

    report = check(from_torch(Module()), small(), output="nodes")
    assert report.counterexample.finding.kind == "gradient"


def test_fields_of_torch(torch):
    def call(module, fields):
        messages = fields["w"][:, None] * fields["x"][fields["edge_index"][0]]
        rows = torch.zeros_like(fields["x"]).index_add(0, fields["edge_index"][1], messages)
        return torch.zeros(fields["num_graphs"], 3, dtype=rows.dtype).index_add(0, fields["batch"], rows)

    g = small().replace(edges={"w": np.random.default_rng(0).normal(size=12)})
    for group in ("nodes", "edges", "union"):
        report = check(from_torch(torch.nn.Identity(), call), g, group=group, output="globals")
        assert report.passed and "gradient of edges w" in report.errors, str(report)

    def at_edges(module, fields):
        return fields["w"] * fields["x"][fields["edge_index"][0], 0]

    for group in ("nodes", "edges", "union"):
        assert check(from_torch(torch.nn.Identity(), at_edges), g, group=group, output="edges").passed


def test_dropout_of_torch_is_seeded_and_the_generator_put_back(torch):
    class Shared(torch.nn.Module):
        def forward(self, x, edge_index):
            return x * torch.rand(())

    state = torch.random.get_rng_state()
    assert check(from_torch(Shared()), small(), output="nodes").passed
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_from_torch_refuses(torch):
    with pytest.raises(InvalidArgumentError, match=r"from_torch adapts a torch\.nn\.Module\. Got ReLU"):
        from_torch(gk.nn.ReLU())
    with pytest.raises(DTypeError, match=r"A module of torch needs an adapter\. Got torch\.ReLU"):
        check(torch.nn.ReLU(), small(), output="nodes")
    with pytest.raises(InvalidArgumentError, match=r"'batch' names two"):
        check(from_torch(torch.nn.Identity()), small(batch=np.zeros(6)), output="nodes")


def test_without_torch(monkeypatch):
    real = builtins.__import__

    def absent(name, *arguments, **options):
        if name.partition(".")[0] == "torch":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingDependencyError, match=r"needs the package 'torch'\. It is not installed\. Install it"):
        from_torch(object())
