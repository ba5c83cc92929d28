"""Which update rules are legal: the textbook's three, and everything else that goes wrong in practice."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import InvalidArgumentError
from gnnkit.symmetry import check_rule

W = np.array([1.0, 2.0, 3.0, 5.0, 7.0])


def mean_of_neighbours(own, neighbours):
    """(i) w1 s_i + w2 mean_j m_ij, where the mean of nobody is 0."""
    return W[0] * own + W[1] * neighbours.sum(axis=0) / max(1, len(neighbours))


def a_weight_for_each(own, neighbours):
    """(ii) max(w1 s_i, w2 m_i1, w3 m_i2, ...)."""
    weighted = W[1 : 1 + len(neighbours), None] * neighbours
    return np.max(np.concatenate([W[0] * own[None], weighted]), axis=0)


def shared_weight(own, neighbours):
    """(iii) max(w1 s_i, w2 m_i1, w2 m_i2, ...)."""
    return np.max(np.concatenate([W[0] * own[None], W[1] * neighbours]), axis=0)


def softmax_weighted(own, neighbours):
    return own + (gk.softmax(neighbours, axis=0) * neighbours).sum(axis=0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("rule", [mean_of_neighbours, shared_weight, softmax_weighted])
def test_legal_rules(rule, channels):
    report = check_rule(rule, channels=channels)
    assert report and report.gradients and report.counterexample is None and report.cases > 500
    assert str(report).startswith(f"{rule.__name__} is a legal message function: ")


@pytest.mark.parametrize("channels", [1, 2])
def test_one_weight_for_each_neighbour_is_refuted_by_two_of_them(channels):
    report = check_rule(a_weight_for_each, channels=channels)
    assert not report.legal
    found = report.counterexample
    assert found.problem == "order" and len(found.neighbours) == 2 and found.permutation == (1, 0)
    # the counterexample is one: put in by hand
    left = a_weight_for_each(found.own, found.neighbours)
    right = a_weight_for_each(found.own, found.neighbours[::-1])
    np.testing.assert_array_equal(left, found.left)
    np.testing.assert_array_equal(right, found.right)
    assert (left != right).any()
    text = str(report)
    assert text.startswith("a_weight_for_each is NO legal message function.\n1. the value depends on the order")
    assert "neighbours  [[" in text and "same weights for every neighbour" in text


def test_the_smallest_counterexample_in_small_whole_numbers():
    found = check_rule(a_weight_for_each).counterexample
    assert (found.own.tolist(), found.neighbours.tolist()) == ([0.0], [[0.0], [1.0]])
    assert (found.left.tolist(), found.right.tolist()) == ([3.0], [2.0])
    assert found.text == "2 neighbours, exchanged, give 2 in place of 3."


def test_a_mean_of_nobody_must_be_defined():
    report = check_rule(lambda own, neighbours: W[0] * own + W[1] * np.mean(neighbours, axis=0))
    assert [finding.problem for finding in report.findings] == ["number"]
    assert report.counterexample.text == "the result for no neighbours is NaN."
    assert "neighbours  [] (none)" in str(report) and "a mean of nobody is 0" in report.counterexample.advice


def test_the_gradient_to_the_first_maximum_only_has_an_order():
    def first_maximum(own, neighbours):
        if not len(neighbours):
            return own
        return own + neighbours[int(np.argmax(gk.autodiff.as_array(neighbours)[:, 0]))]

    report = check_rule(first_maximum)
    assert [finding.problem for finding in report.findings] == ["gradient"]
    found = report.counterexample
    assert found.neighbours.tolist() == [[0.0], [0.0]]  # equal ones: their order is nobody's business
    assert (found.left.tolist(), found.right.tolist()) == ([[1.0], [0.0]], [[0.0], [1.0]])
    assert "Share the gradient among neighbours that tie" in str(report)


def test_an_order_that_shows_only_among_three():
    def middle(own, neighbours):
        return own + (neighbours[1] if len(neighbours) == 3 else 0.0 * own)

    found = check_rule(middle).counterexample
    assert found.problem == "order" and len(found.neighbours) == 3


def test_an_order_that_shows_only_among_many():
    def many(own, neighbours):
        return own + (neighbours[0] if len(neighbours) > 5 else neighbours.sum(axis=0))

    assert check_rule(many).counterexample.problem == "order"
    assert check_rule(many, trials=0).legal  # what was not tried is not known


def test_a_number_of_neighbours_that_is_not_taken():
    report = check_rule(lambda own, neighbours: own + neighbours.reshape(2, -1).max())
    assert [finding.problem for finding in report.findings] == ["number"]
    assert report.counterexample.text.startswith("no neighbours: ")
    some = check_rule(lambda own, neighbours: own + neighbours.sum(axis=0) / (len(neighbours) < 4))
    assert some.counterexample.problem == "finite" and len(some.counterexample.neighbours) == 4
    grows = check_rule(lambda own, neighbours: np.concatenate([own, neighbours[:, 0]]))
    assert grows.counterexample.text == "the result for 1 neighbour has shape [2], before [1]."


def test_results_that_are_not_finite():
    report = check_rule(lambda own, neighbours: own + 1.0 / (1.0 + neighbours.sum(axis=0)))
    assert [finding.problem for finding in report.findings] == ["finite"]
    assert report.counterexample.text.endswith("is infinity.")
    root = check_rule(lambda own, neighbours: np.sqrt((neighbours**2).sum(axis=0)))
    assert root.counterexample.problem == "finite" and "the gradient for" in root.counterexample.text


def test_a_rule_with_a_memory_or_dice():
    rng = np.random.default_rng(0)
    report = check_rule(lambda own, neighbours: own + rng.normal())
    assert [finding.problem for finding in report.findings] == ["repeat"]
    assert "no state" in report.counterexample.advice


def test_rules_in_plain_numpy_are_checked_by_value():
    def median(own, neighbours):
        array = np.asarray(neighbours, dtype=float)  # a Tensor would lose its tape here
        return np.median(array, axis=0) if len(array) else np.zeros(1)

    report = check_rule(median)
    assert report and not report.gradients and "values; gradients not" in str(report)
    assert check_rule(lambda own, neighbours: 1.0).legal  # a number is a result too


def test_rounding_is_not_an_order(rng):
    weights = rng.normal(size=(4, 4))
    assert check_rule(lambda own, neighbours: own + np.tanh(neighbours @ weights).sum(axis=0), channels=4)
    tiny = check_rule(lambda own, neighbours: own + 1e-6 * (neighbours[0] if len(neighbours) else own))
    assert tiny.counterexample.problem == "order"


def test_representation_and_refusals():
    assert repr(check_rule(a_weight_for_each)).startswith("RuleReport(legal=False, problems: order, number, cases=")
    with pytest.raises(InvalidArgumentError, match=r"callable as rule\(own, neighbours\)\. Got str"):
        check_rule("mean")
    with pytest.raises(InvalidArgumentError, match=r"max_neighbours must be .* at least 2, at most 5\. Got 9"):
        check_rule(mean_of_neighbours, max_neighbours=9)
    with pytest.raises(InvalidArgumentError, match=r"channels must be .* at least 1\. Got 0"):
        check_rule(mean_of_neighbours, channels=0)


def one(own):
    return own


def three(own, neighbours, edges):
    return own


def test_what_takes_no_two_arguments_is_refused_before_anything_is_said():
    with pytest.raises(InvalidArgumentError, match=r"with two arguments\. Got one\(own\): too many positional"):
        check_rule(one)
    with pytest.raises(InvalidArgumentError, match=r"Got three\(own, neighbours, edges\): missing.*'edges'"):
        check_rule(three)
    with pytest.raises(InvalidArgumentError, match=r"Got the layer GCNConv.*gk\.symmetry\.check\(layer, graphs\)"):
        check_rule(gk.nn.GCNConv(1, 1, rng=0))
    assert check_rule(lambda own, neighbours, scale=2.0: own + scale * neighbours.sum(axis=0))
