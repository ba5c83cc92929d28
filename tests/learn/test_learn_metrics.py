"""Metrics against scikit-learn, against literal numbers, and on bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnkit.errors import DTypeError, InvalidArgumentError, InvalidFeatureError, ShapeError, UnknownNameError
from gnnkit.learn import metrics as M

sk = pytest.importorskip("sklearn.metrics")


@st.composite
def binary_with_ties(draw):
    n = draw(st.integers(2, 40))
    y = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n).filter(lambda v: 0 < sum(v) < len(v)))
    scores = draw(st.lists(st.integers(-3, 3), min_size=n, max_size=n))  # few values: many ties
    return np.array(y), np.array(scores, dtype=float)


@given(binary_with_ties())
@settings(max_examples=60, deadline=None)
def test_ranking_metrics_equal_scikit_learn_with_ties(case):
    y, s = case
    assert M.roc_auc(y, s) == pytest.approx(sk.roc_auc_score(y, s), abs=1e-12)
    assert M.average_precision(y, s) == pytest.approx(sk.average_precision_score(y, s), abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=50))
@settings(max_examples=60, deadline=None)
def test_class_metrics_equal_scikit_learn(pairs):
    y, p = np.array(pairs).T
    assert M.accuracy(y, p) == pytest.approx(sk.accuracy_score(y, p))
    for average in ("macro", "micro"):
        assert M.f1(y, p, average=average) == pytest.approx(sk.f1_score(y, p, average=average, zero_division=0.0))


def test_multi_label_and_multi_class_equal_scikit_learn(rng):
    y = rng.integers(0, 2, (60, 4))
    p = rng.integers(0, 2, (60, 4))
    s = rng.normal(size=(60, 4)).round(1)
    for average in ("macro", "micro"):
        assert M.f1(y, p, average=average) == pytest.approx(sk.f1_score(y, p, average=average))
    assert M.roc_auc(y, s) == pytest.approx(sk.roc_auc_score(y, s, average="macro"))
    assert M.average_precision(y, s) == pytest.approx(sk.average_precision_score(y, s, average="macro"))
    classes = rng.integers(0, 4, 60)
    probability = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
    assert M.roc_auc(classes, probability) == pytest.approx(
        sk.roc_auc_score(classes, probability, multi_class="ovr", average="macro")
    )


def test_regression_metrics_equal_scikit_learn(rng):
    y, p = rng.normal(size=(2, 30, 3))
    assert M.rmse(y, p) == pytest.approx(np.sqrt(sk.mean_squared_error(y, p)))
    assert M.mae(y, p) == pytest.approx(sk.mean_absolute_error(y, p))
    assert M.r2(y, p) == pytest.approx(sk.r2_score(y, p))
    constant = np.ones(4)
    assert M.r2(constant, constant) == sk.r2_score(constant, constant) == 1.0
    assert M.r2(constant, np.arange(4.0)) == sk.r2_score(constant, np.arange(4.0)) == 0.0
    assert M.r2([0.1] * 3, [0.1, 0.1, 0.2]) == 0.0  # whose mean is not exactly 0.1


def test_literal_numbers():
    assert M.roc_auc([0, 1], [0.5, 0.5]) == 0.5
    assert M.roc_auc([0, 1], [0.1, 0.9]) == 1.0
    assert M.accuracy(["a", "b"], ["a", "a"]) == 0.5
    assert M.f1(["a", "b"], ["a", "a"]) == pytest.approx(1 / 3)


@pytest.mark.parametrize("name", ["accuracy", "f1", "mean_iou", "roc_auc", "average_precision", "rmse", "mae", "r2"])
def test_unequal_shapes_and_empty_input_are_refused(name):
    metric = getattr(M, name)
    with pytest.raises(ShapeError, match=r"same shape.*\(3,\).*\(3, 1\)"):
        metric(np.zeros(3), np.zeros((3, 1)))
    with pytest.raises(InvalidArgumentError, match="at least one row"):
        metric(np.zeros(0), np.zeros(0))


@pytest.mark.parametrize("name", ["accuracy", "f1", "mean_iou"])
def test_texts_are_not_compared_with_numbers(name):
    with pytest.raises(DTypeError, match="texts with texts or numbers with numbers"):
        getattr(M, name)([0, 1], ["0", "1"])
    assert getattr(M, name)(np.array(["a", "b"], dtype=object), ["a", "b"]) == 1.0


def test_undefined_ranking_metrics_say_so():
    with pytest.raises(InvalidArgumentError, match="only negative rows"):
        M.roc_auc([0, 0], [0.1, 0.2])
    assert M.average_precision([1, 1], [0.1, 0.2]) == 1.0
    with pytest.raises(InvalidArgumentError, match="needs positive rows"):
        M.average_precision([0, 0], [0.1, 0.2])
    with pytest.raises(InvalidFeatureError, match=r"finite scores. Got nan at flat position 1"):
        M.roc_auc([0, 1], [0.1, np.nan])
    with pytest.raises(InvalidArgumentError, match="labels 0 and 1"):
        M.average_precision([1, 2], [0.1, 0.2])
    with pytest.raises(UnknownNameError, match="Did you mean 'macro'"):
        M.f1([0], [0], average="macor")
    with pytest.raises(UnknownNameError, match="Did you mean 'accuracy'"):
        M.resolve_metric("acuracy")


def test_table_reads_model_outputs():
    logits = np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    y = np.array([0, 1, 1])
    assert M.METRICS["accuracy"](y, logits) == pytest.approx(2 / 3)
    assert M.METRICS["roc_auc"](y, logits) == pytest.approx(0.5)
    assert M.METRICS["accuracy"](y, logits[:, 1:] - logits[:, :1]) == pytest.approx(2 / 3)  # one logit per row
    labels = np.array([[1, 0], [0, 1]])
    assert M.METRICS["f1_micro"](labels, np.array([[1.0, -1.0], [-2.0, 3.0]])) == 1.0
    three = np.array([[2.0, 0, 0], [0, 2.0, 0], [0, 0, 2.0]])
    assert M.METRICS["roc_auc"](np.arange(3), three) == 1.0


def test_mean_iou_known_answers():
    true = np.array([[[0, 0, 1], [1, 1, 2]]])
    assert M.mean_iou(true, true) == 1.0
    pred = np.array([[[0, 1, 1], [1, 2, 2]]])
    # class 0: 1 of 2; class 1: 2 of 4 (three true, three predicted); class 2: 1 of 2
    assert M.mean_iou(true, pred) == pytest.approx((1 / 2 + 2 / 4 + 1 / 2) / 3)
    assert M.mean_iou([0, 0], [1, 1]) == 0.0
    assert M.mean_iou([5, 5], [5, 5]) == 1.0  # absent classes do not count
    # One class predicted that is not there: 3/4 for class 0 and 0/1 for class 7.
    assert M.mean_iou([0, 0, 0, 0], [0, 0, 0, 7]) == pytest.approx(0.375)
    assert M.mean_iou([0, 1, 9], [0, 1, 1], ignore=9) == 1.0
    assert M.mean_iou(["sky", "road"], ["sky", "sky"]) == pytest.approx(0.25)
    assert M.mean_iou([-(2**40), 2**40], [-(2**40), 2**40]) == 1.0
    assert M.mean_iou([True, False], [True, True]) == pytest.approx(0.25)
    with pytest.raises(InvalidArgumentError, match="all of them ignore=9"):
        M.mean_iou([9, 9], [0, 1], ignore=9)


def test_mean_iou_equals_scikit_learn(rng):
    y, p = rng.integers(0, 5, size=(2, 200))
    assert M.mean_iou(y, p) == pytest.approx(sk.jaccard_score(y, p, average="macro"))
    assert M.mean_iou(y.astype(np.uint8), p) == M.mean_iou(y.astype(str), p.astype(str)) == M.mean_iou(y, p)
    logits = np.eye(5)[p]
    assert M.METRICS["mean_iou"](y, logits) == M.mean_iou(y, p)
