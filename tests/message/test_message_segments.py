"""Segment reductions: known answers, empty segments, ties, gradients of first and second order."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import DTypeError, InvalidArgumentError, ShapeError, UnknownNameError
from gnnkit.message import REDUCERS, segment_reduce

INDPTR = np.array([0, 2, 2, 5, 6])


def gradient(values, indptr, reducer):
    leaf = gk.tensor(values, requires_grad=True)
    segment_reduce(leaf, indptr, reducer).sum().backward()
    return leaf.grad.numpy()


@pytest.mark.parametrize(
    ("reducer", "expected"),
    [
        ("sum", [3, 12, 0, 6]),
        ("mean", [1.5, 4, 0, 6]),
        ("max", [2, 5, 0, 6]),
        ("min", [1, 3, 0, 6]),
        ("prod", [2, 60, 1, 6]),
        ("std", [0.5, np.sqrt(2 / 3), 0, 0]),
        ("logsumexp", [np.log(np.e + np.e**2), np.log(np.e**3 + np.e**4 + np.e**5), -np.inf, 6]),
    ],
)
def test_known_answers(reducer, expected):
    values = segment_reduce(np.arange(1.0, 7.0), np.array([0, 2, 5, 5, 6]), reducer).numpy()
    np.testing.assert_allclose(values, expected, rtol=1e-14)


def test_softmax_reducer_weights_the_values_by_their_softmax():
    values = np.array([0.0, np.log(3.0)])
    assert segment_reduce(values, np.array([0, 2]), "softmax").numpy() == pytest.approx([0.75 * np.log(3.0)])


@pytest.mark.parametrize("reducer", sorted(REDUCERS))
@pytest.mark.parametrize("shape", [(6,), (6, 2), (6, 2, 3)])
def test_gradients_of_first_and_second_order(reducer, shape, rng):
    values = rng.normal(size=shape)
    filled = [0, 2, 3]  # the logsumexp of nothing is -inf, which has no differences
    for order in (1, 2):
        gk.assert_gradients(lambda v: segment_reduce(v, INDPTR, reducer)[filled], values, order=order)


@pytest.mark.parametrize("reducer", sorted(REDUCERS))
def test_gradients_of_zeros_ties_and_constants_are_finite(reducer):
    values = np.array([[0.0, 1.0], [0.0, 1.0], [2.0, 1.0], [2.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    assert np.isfinite(gradient(values, INDPTR, reducer)).all()


def test_ties_share_the_gradient_evenly():
    values = np.array([5.0, 5.0, 1.0, 4.0, 4.0, 7.0])
    np.testing.assert_array_equal(gradient(values, INDPTR, "max"), [0.5, 0.5, 0, 0.5, 0.5, 1])
    np.testing.assert_array_equal(gradient(values, INDPTR, "min"), [0.5, 0.5, 1, 0, 0, 1])


def test_product_gradient_where_factors_are_zero():
    values = np.array([0.0, 3.0, 0.0, 0.0, 2.0, 5.0])
    np.testing.assert_array_equal(gradient(values, INDPTR, "prod"), [3, 0, 0, 0, 0, 1])
    values = np.array([2.0, 3.0, 0.0, 4.0, 2.0, 0.0])
    np.testing.assert_array_equal(gradient(values, INDPTR, "prod"), [3, 2, 8, 0, 0, 1])


def test_product_gradient_of_a_large_segment_with_zeros_takes_no_pairs():
    values = np.full((20_000, 2), 2.0)
    values[5] = 0.0  # one zero in the first column, two in the second
    values[7, 1] = 0.0
    values[8:] = 1.0
    expected = np.zeros_like(values)
    expected[5, 0] = 2.0**7
    tensor = gk.tensor(values, requires_grad=True)
    segment_reduce(tensor, np.array([0, 20_000]), "prod").sum().backward()
    np.testing.assert_array_equal(tensor.grad.numpy(), expected)


@pytest.mark.parametrize("reducer", ["sum", "mean", "std"])
def test_long_segments_of_float32_keep_their_digits_and_the_bits_of_a_batch(reducer, rng):
    long = (rng.normal(size=(300_000, 2)) + 100).astype(np.float32)
    short = (rng.normal(size=(700, 2)) + 100).astype(np.float32)
    values, indptr = np.concatenate([short, long, short]), np.array([0, 700, 700, 300_700, 301_400, 301_400])
    found = segment_reduce(values, indptr, reducer).numpy()
    by_numpy = {"sum": np.sum, "mean": np.mean, "std": np.std}[reducer](long.astype(np.float64), axis=0)
    np.testing.assert_allclose(found[2], by_numpy, rtol=2e-6)
    np.testing.assert_allclose(found[[1, 4]], 0)
    if reducer != "std":
        alone = segment_reduce(short, np.array([0, 700]), reducer).numpy()
        np.testing.assert_array_equal(found[[0, 3]], np.concatenate([alone, alone]))


@pytest.mark.parametrize("shape", [(6,), (6, 2)])
def test_second_derivative_of_the_product_where_factors_are_zero(shape):
    values = np.array([0.0, 3.0, 0.0, 4.0, 0.0, 5.0])
    values = np.broadcast_to(values.reshape((6,) + (1,) * (len(shape) - 1)), shape).copy()
    gk.assert_gradients(lambda v: segment_reduce(v, INDPTR, "prod"), values, order=2)


def test_constant_segment_has_no_spread_and_the_gradient_zero():
    np.testing.assert_array_equal(gradient(np.full(6, 0.1), INDPTR, "std"), np.zeros(6))
    np.testing.assert_allclose(segment_reduce(np.full(6, 0.1), INDPTR, "std").numpy(), np.zeros(4), atol=1e-16)


def test_softmax_with_minus_infinity():
    values = np.array([0.2, 0.2, 7.0, 0.0, -2.1, 3.2, -1.0, -np.inf])
    indptr = np.array([0, 2, 3, 6, 8])
    leaf = gk.tensor(values, requires_grad=True)
    topology = gk.Topology(indptr, np.zeros(8, int), num_senders=1)
    weights = gk.message.edge_softmax(topology, leaf)
    np.testing.assert_array_equal(weights.numpy()[-2:], [1, 0])
    (weights * np.arange(8.0)).sum().backward()
    assert np.isfinite(leaf.grad.numpy()).all()


def test_nan_stays_in_its_segment():
    values = np.array([np.nan, 1.0, 2.0, 3.0])
    for reducer in REDUCERS:
        result = segment_reduce(values, np.array([0, 2, 4]), reducer).numpy()
        assert np.isnan(result[0]) and not np.isnan(result[1]), reducer


@pytest.mark.parametrize("reducer", sorted(REDUCERS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_empty_inputs_and_dtypes(reducer, dtype):
    for shape in [(0,), (0, 3), (0, 0)]:
        result = segment_reduce(np.zeros(shape, dtype), np.array([0, 0]), reducer)
        assert result.shape == (1, *shape[1:]) and result.dtype == dtype
    assert segment_reduce(np.zeros((0, 2), dtype), np.array([0]), reducer).shape == (0, 2)
    leaf = gk.tensor(np.arange(6, dtype=dtype), requires_grad=True)
    out = segment_reduce(leaf, INDPTR, reducer)
    out.sum().backward()
    assert out.dtype == dtype and leaf.grad.dtype == dtype


def test_integers_where_they_are_exact():
    assert segment_reduce(np.arange(6), INDPTR, "sum").numpy().tolist() == [1, 0, 9, 5]
    assert segment_reduce(np.arange(6), INDPTR, "max").numpy().tolist() == [1, 0, 4, 5]
    with pytest.raises(DTypeError, match="reducer 'mean' takes floating values"):
        segment_reduce(np.arange(6), INDPTR, "mean")


def test_a_reducer_may_be_a_function():
    result = segment_reduce(np.arange(6.0), INDPTR, lambda values, indptr: segment_reduce(values * 2, indptr, "sum"))
    assert result.numpy().tolist() == [2, 0, 18, 10]


def test_errors():
    with pytest.raises(UnknownNameError, match="Did you mean 'mean'"):
        segment_reduce(np.arange(6.0), INDPTR, "maen")
    with pytest.raises(ShapeError, match="end at the number of rows"):
        segment_reduce(np.arange(5.0), INDPTR)
    with pytest.raises(ShapeError, match="never decrease"):
        segment_reduce(np.arange(6.0), np.array([0, 4, 2, 6]))
    with pytest.raises(InvalidArgumentError, match="1-D integer array"):
        segment_reduce(np.arange(6.0), np.array([0.0, 6.0]))
