"""Exercises of university courses on convolutions: by hand, as matrices, counted, and differentiated."""

from __future__ import annotations

import numpy as np
import pytest
from grid_cases import on_grid

import gnnkit as gk
from gnnkit.graph.grids import Grid


def sequence(*values):
    return on_grid((len(values),), np.array(values, float)[:, None])


# --- a kernel of three weights on nine values ----------------------------------------------------------------------


def test_one_dimension_by_hand():
    k1, k2, k3 = 2.0, 3.0, 5.0
    x = [1.0, -2.0, 4.0, 7.0, 1.0, 0.0, 3.0, 5.0, -1.0]
    results = {}
    for padding in ("valid", "same"):
        conv = gk.nn.Conv1d(1, 1, 3, padding=padding, bias=False, dtype="float64")
        conv.weight.assign(np.reshape([k1, k2, k3], (3, 1, 1)))
        results[padding] = conv(sequence(*x)).x.numpy().ravel()
    valid, same = results["valid"], results["same"]
    assert len(valid) == 7 and len(same) == 9
    assert valid[0] == k1 * x[0] + k2 * x[1] + k3 * x[2]
    assert valid[-1] == k1 * x[6] + k2 * x[7] + k3 * x[8]
    assert same[0] == k2 * x[0] + k3 * x[1]
    assert same[-1] == k1 * x[7] + k2 * x[8]
    np.testing.assert_array_equal(same[1:-1], valid)


@pytest.mark.parametrize(("padding", "shape"), [("valid", (7, 9)), ("same", (9, 9))])
def test_as_a_toeplitz_matrix(padding, shape):
    conv = gk.nn.Conv1d(1, 1, 3, padding=padding, bias=False, dtype="float64")
    conv.weight.assign(np.reshape([2.0, 3.0, 5.0], (3, 1, 1)))
    matrix = conv.to_matrix(Grid((9,)))
    dense = matrix.toarray()
    assert matrix.shape == shape and matrix.nnz == (21 if padding == "valid" else 25)
    for shift in range(-9, 9):  # constant along every diagonal
        assert len(set(np.diagonal(dense, shift))) <= 1
    first = 3 if padding == "valid" else 2
    np.testing.assert_array_equal(dense[3, first : first + 3], [2, 3, 5])


def test_without_sharing_the_same_pattern_holds_21_weights():
    local = gk.nn.LocallyConnected1d(1, 1, 3, size=9, padding="valid", bias=False)
    conv = gk.nn.Conv1d(1, 1, 3, padding="valid", bias=False, rng=0)
    assert local.num_parameters == 21 == 7 * 3 and conv.num_parameters == 3
    free, shared = local.to_matrix(), conv.to_matrix(Grid((9,)))
    np.testing.assert_array_equal(free.indices, shared.indices)
    np.testing.assert_array_equal(free.indptr, shared.indptr)
    assert len(set(free.data)) == 21 and len(set(shared.data)) == 3


# --- sizes and counts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "f", "p", "s"), [(4, 3, 1, 1), (7, 3, 0, 2), (8, 5, 2, 3), (9, 1, 0, 4), (5, 5, 0, 1)])
def test_the_size_of_the_output(n, f, p, s):
    conv = gk.nn.Conv2d(2, 6, f, padding=p, stride=s)
    side = (n + 2 * p - f) // s + 1
    assert conv.topology(Grid((n, n))).receiver_grid.size == (side, side)
    assert conv.weight.size == f * f * 2 * 6 and conv.bias.size == 6


def test_same_padding_is_half_the_kernel():
    for f in (1, 3, 5, 7):
        same, padded = gk.nn.Conv1d(1, 1, f), gk.nn.Conv1d(1, 1, f, padding=(f - 1) // 2)
        assert same.topology(Grid((9,))).receiver_grid.size == (9,)
        assert same.topology(Grid((9,))) == padded.topology(Grid((9,)))


def test_weights_of_a_volume():
    conv = gk.nn.Conv3d(3, 8, 5)
    assert conv.weight.size == 8 * 3 * 5 * 5 * 5 and conv.bias.size == 8


def test_the_same_connections_as_a_dense_layer():
    conv = gk.nn.Conv2d(3, 32, 5, stride=2, padding="valid", bias=False)
    topology = conv.topology(Grid((256, 256)))
    assert topology.receiver_grid.size == (126, 126) and conv.num_parameters == 2400
    inputs, outputs = 3 * topology.num_senders, 32 * topology.num_receivers
    assert (inputs, outputs) == (196_608, 508_032)
    assert inputs * outputs == 99_883_155_456
    assert conv.work(on_grid((256, 256), np.ones((65536, 3))), None) == 2 * 126 * 126 * 2400


# --- an image and a filter -----------------------------------------------------------------------------------------

IMAGE = np.array([[int(c) for c in row] for row in ["000000", "012030", "012010", "041120", "000210", "000000"]], float)
FILTER = np.array([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]])


def filtered(image):
    conv = gk.nn.Conv2d(1, 1, 3, padding="valid", bias=False, dtype="float64")
    conv.weight.assign(FILTER.reshape(9, 1, 1))
    return gk.to_image(conv(gk.from_image(image)))[..., 0]


def test_an_image_by_hand_and_moved():
    np.testing.assert_array_equal(filtered(IMAGE), [[3, 3, 5, 1], [7, 4, 4, 5], [2, 7, 5, 3], [4, 3, 2, 4]])
    moved = np.zeros_like(IMAGE)
    moved[:, :-1] = IMAGE[:, 1:]
    np.testing.assert_array_equal(filtered(moved), [[3, 5, 1, 3], [4, 4, 5, 1], [7, 5, 3, 2], [3, 2, 4, 1]])
    np.testing.assert_array_equal(filtered(moved)[:, :-1], filtered(IMAGE)[:, 1:])


# --- gradients -----------------------------------------------------------------------------------------------------


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_the_gradient_of_a_shared_weight_sums_over_all_positions(rng):
    """L = sum_p c_p s(sum_k w_k x_{p+k}): dL/dw_k has a term for every position p; without sharing each stays alone."""
    x, w, c = rng.normal(size=9), rng.normal(size=3), rng.normal(size=7)
    conv = gk.nn.Conv1d(1, 1, 3, padding="valid", bias=False, dtype="float64")
    conv.weight.assign(w.reshape(3, 1, 1))
    local = gk.nn.LocallyConnected1d(1, 1, 3, size=9, padding="valid", bias=False, dtype="float64")
    local.weight.assign(np.tile(w, 7).reshape(21, 1, 1))
    for layer in (conv, local):
        np.sum(gk.sigmoid(layer(sequence(*x)).x[:, 0]) * c).backward()
    s = np.array([sigmoid(w @ x[p : p + 3]) for p in range(7)])
    terms = np.array([[c[p] * s[p] * (1 - s[p]) * x[p + k] for k in range(3)] for p in range(7)])
    np.testing.assert_allclose(local.weight.grad.numpy().reshape(7, 3), terms, rtol=0, atol=1e-14)
    np.testing.assert_allclose(conv.weight.grad.numpy().ravel(), terms.sum(axis=0), rtol=0, atol=1e-14)


def test_only_winning_positions_count_behind_max_pooling(rng):
    """L = sum_q c_q max over the window q of s(sum_k w_k x_{p+k}): the winner of each window alone has a term."""
    x, w, c = rng.normal(size=8), rng.normal(size=3), rng.normal(size=3)
    conv = gk.nn.Conv1d(1, 1, 3, padding="valid", bias=False, dtype="float64")
    conv.weight.assign(w.reshape(3, 1, 1))
    net = gk.nn.Sequential(conv, gk.nn.Sigmoid(), gk.nn.MaxPool(2))
    np.sum(net(sequence(*x)).x[:, 0] * c).backward()
    s = np.array([sigmoid(w @ x[p : p + 3]) for p in range(6)])
    expected = np.zeros(3)
    for q in range(3):
        p = 2 * q + int(s[2 * q + 1] > s[2 * q])
        expected += c[q] * s[p] * (1 - s[p]) * x[p : p + 3]
    np.testing.assert_allclose(conv.weight.grad.numpy().ravel(), expected, rtol=0, atol=1e-14)


def test_the_weight_of_a_dense_layer_has_one_term(rng):
    head, x, t = gk.nn.Linear(3, 1, bias=False, rng=0, dtype="float64"), rng.normal(size=3), 0.3
    y = head(x[None])
    np.sum((y - t) ** 2).backward()
    np.testing.assert_allclose(head.weight.grad.numpy().ravel(), 2 * (y.numpy().item() - t) * x, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("shift", "same"), [(0, True), (1, False), (2, True)])
def test_max_pooling_is_invariant_to_some_shifts_only(shift, same):
    """One bright pixel: pooled by 4 it stays in its window when moved within it, and leaves it when moved across."""
    image = np.zeros((8, 8))
    image[2, 1] = 1.0
    pooled = gk.to_image(gk.nn.MaxPool(4)(gk.from_image(image)))
    within = gk.to_image(gk.nn.MaxPool(4)(gk.from_image(np.roll(image, shift, axis=1))))
    across = gk.to_image(gk.nn.MaxPool(4)(gk.from_image(np.roll(image, 3 + shift, axis=1))))
    np.testing.assert_array_equal(pooled, within)
    assert not np.array_equal(pooled, across)
    whole = gk.to_image(gk.nn.MaxPool(2)(gk.from_image(IMAGE)))
    moved = gk.to_image(gk.nn.MaxPool(2)(gk.from_image(np.roll(IMAGE, shift, axis=1))))
    assert np.array_equal(np.roll(whole, shift // 2, axis=1), moved) == same
