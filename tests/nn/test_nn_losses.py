"""Losses: PyTorch's values, gradients to second order, masks, and everything they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import nn
from gnnkit.autodiff import assert_gradients
from gnnkit.errors import DTypeError, InvalidArgumentError, InvalidFeatureError, ShapeError

LOGITS = np.array([[1.0, 2.0, 3.0], [0.5, -1.0, 2.0], [0.0, 0.0, 0.0], [-3.0, 4.0, 1.0]])
LABELS = np.array([2, 0, 1, 1])
WEIGHT = np.array([1.0, 2.0, 0.5])
P, T = np.array([0.1, 2.0, -3.0, 0.5]), np.array([0.0, 0.0, 1.0, 0.5])

REGRESSIONS = [
    (nn.mse_loss, {}, 5.0025),
    (nn.mae_loss, {}, 1.525),
    (nn.huber_loss, {}, 1.25125),
    (nn.huber_loss, {"delta": 2.5}, 2.22),
    (nn.bce_with_logits, {}, 1.660997251717598),
    (nn.bce_with_logits, {"positive_weight": 3.0}, 3.3038101735494956),
]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 0.8242462898663233),
        ({"weight": WEIGHT}, 0.7711363773830652),
        ({"label_smoothing": 0.2}, 1.04091295653299),
        ({"weight": WEIGHT, "label_smoothing": 0.2}, 0.9355690783686161),
    ],
)
def test_cross_entropy_is_pytorchs(options, expected):
    assert nn.cross_entropy(LOGITS, LABELS, **options).item() == pytest.approx(expected, abs=1e-12)
    for order in (1, 2):
        assert_gradients(lambda x: nn.cross_entropy(x, LABELS, **options), LOGITS, order=order)


@pytest.mark.parametrize(("loss", "options", "expected"), REGRESSIONS)
def test_other_losses_are_pytorchs(loss, options, expected):
    assert loss(P, T, **options).item() == pytest.approx(expected, abs=1e-12)
    for order in (1, 2):
        assert_gradients(lambda p: loss(p, T, **options), P + 0.01, order=order)


@pytest.mark.parametrize("mask", [[True, False, True, False], np.array([0, 2]), np.array([2, 0], dtype=np.int32)])
def test_masks_select_nodes(mask):
    labels = np.array([2, -1, 1, 99])
    expected = nn.cross_entropy(LOGITS[[0, 2]], labels[[0, 2]]).item()
    x = gk.tensor(LOGITS, requires_grad=True)
    loss = nn.cross_entropy(x, labels, mask=mask)
    assert loss.item() == pytest.approx(expected)
    loss.backward()
    assert not x.grad.numpy()[[1, 3]].any()
    targets = np.array([0.0, np.nan, 1.0, np.nan])
    assert nn.mse_loss(P, targets, mask=mask).item() == pytest.approx(((P - targets)[[0, 2]] ** 2).mean())


def test_elementwise_masks_of_partly_known_targets():
    logits = gk.tensor(LOGITS[:, :2], requires_grad=True)
    targets = np.array([[1.0, np.nan], [0.0, 1.0], [np.nan, np.nan], [1.0, 0.0]])
    known = ~np.isnan(targets)
    loss = nn.bce_with_logits(logits, targets, mask=known)
    x, t = logits.numpy()[known], targets[known]
    assert loss.item() == pytest.approx((np.logaddexp(0, x) - x * t).mean())
    loss.backward()
    assert not logits.grad.numpy()[~known].any()


@pytest.mark.parametrize("loss", [nn.mse_loss, nn.mae_loss, nn.huber_loss, nn.bce_with_logits])
def test_unequal_shapes_are_refused(loss):
    with pytest.raises(ShapeError, match=r"one shape\. Got predictions \[4\] and targets \[4, 1\].*y\[:, None\]"):
        loss(P, T[:, None])


def test_labels_of_the_wrong_shape_or_kind_are_refused():
    with pytest.raises(ShapeError, match=r"labels of shape \[4, 1\]\. Use y\[:, 0\]"):
        nn.cross_entropy(LOGITS, LABELS[:, None])
    with pytest.raises(ShapeError, match=r"argmax\(axis=1\)"):
        nn.cross_entropy(LOGITS, np.eye(4, 3))
    with pytest.raises(ShapeError, match=r"labels of shape \[3\]"):
        nn.cross_entropy(LOGITS, LABELS[:3])
    with pytest.raises(DTypeError, match=r"integers\. Got dtype float64"):
        nn.cross_entropy(LOGITS, LABELS.astype(float))
    with pytest.raises(DTypeError, match="floating logits"):
        nn.cross_entropy(LOGITS.astype(int), LABELS)


def test_unknown_labels_under_the_mask_name_the_node():
    with pytest.raises(InvalidFeatureError, match=r"0 \.\. 2\. Node 2 has label -1 \(1 such nodes\)"):
        nn.cross_entropy(LOGITS, np.array([0, 1, -1, 1]), mask=[False, True, True, True])
    with pytest.raises(InvalidFeatureError, match="Node 3 has label 3"):
        nn.cross_entropy(LOGITS, np.array([0, 1, 2, 3]))
    with pytest.raises(InvalidFeatureError, match=r"target of node 3 is NaN .*mask="):
        nn.mse_loss(P, np.array([0.0, 1.0, 2.0, np.nan]), mask=np.array([0, 3]))
    with pytest.raises(InvalidFeatureError, match=r"\[0, 1\]\. The entry \[2\] under the mask is 2"):
        nn.bce_with_logits(P, np.array([0.0, 1.0, 2.0, 0.0]))


@pytest.mark.parametrize("mask", [[False] * 4, [], np.zeros(0, dtype=int)])
def test_an_empty_mask_is_an_error(mask):
    if len(mask) == 0 and isinstance(mask, list):
        mask = np.zeros(0, dtype=np.int64)
    with pytest.raises(InvalidArgumentError, match="needs at least one node"):
        nn.cross_entropy(LOGITS, LABELS, mask=mask)
    with pytest.raises(InvalidArgumentError, match="needs at least one node"):
        nn.mse_loss(P, T, mask=mask)


def test_no_nodes_are_an_error():
    with pytest.raises(InvalidArgumentError, match="needs at least one node"):
        nn.cross_entropy(np.zeros((0, 3)), np.zeros(0, dtype=int))
    with pytest.raises(InvalidArgumentError, match="needs at least one node"):
        nn.mse_loss(np.zeros((0, 3)), np.zeros((0, 3)))
    with pytest.raises(InvalidArgumentError, match="needs at least one node"):
        nn.mse_loss(np.zeros((3, 0)), np.zeros((3, 0)))


@pytest.mark.parametrize(
    ("mask", "error", "text"),
    [
        ([True, False], ShapeError, r"\[4\]\. Got shape \[2\]"),
        ([0, 4], InvalidArgumentError, r"0 \.\. 3\. Got 4 at position 1"),
        ([-1], InvalidArgumentError, "Got -1"),
        ([0.0, 1.0], DTypeError, r"mask\.astype\(bool\)"),
        ([[0, 1]], DTypeError, r"shape \[1, 2\]"),
    ],
)
def test_wrong_masks(mask, error, text):
    with pytest.raises(error, match=text):
        nn.cross_entropy(LOGITS, LABELS, mask=mask)


def test_weights_and_options_are_checked():
    with pytest.raises(ShapeError, match="3 numbers"):
        nn.cross_entropy(LOGITS, LABELS, weight=[1.0, 2.0])
    with pytest.raises(InvalidArgumentError, match="positive total weight"):
        nn.cross_entropy(LOGITS, LABELS, weight=[1.0, 0.0, 0.0], mask=[0])
    with pytest.raises(InvalidArgumentError, match="label_smoothing"):
        nn.cross_entropy(LOGITS, LABELS, label_smoothing=1.0)
    with pytest.raises(InvalidArgumentError, match="delta must be positive"):
        nn.huber_loss(P, T, delta=0.0)
    with pytest.raises(DTypeError, match="must be numbers"):
        nn.mse_loss(P, np.array(["a", "b", "c", "d"]))


def test_positive_weights_of_channels_follow_a_mask_of_entries():
    logits, targets = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, -1.0]]), np.array([[1, 0, 1], [1, 1, 0]])
    weight, mask = np.array([1.0, 10.0, 100.0]), np.array([[False, True, True], [True, False, False]])
    entries = np.log1p(np.exp(-logits)) * weight * targets + np.log1p(np.exp(logits)) * (1 - targets)
    loss = nn.bce_with_logits(logits, targets, mask=mask, positive_weight=weight)
    np.testing.assert_allclose(loss.item(), entries[mask].mean(), rtol=1e-12)
    rows = nn.bce_with_logits(logits, targets, mask=[1], positive_weight=weight)
    np.testing.assert_allclose(rows.item(), entries[1].mean(), rtol=1e-12)


def test_a_mask_of_zeros_and_ones_is_not_taken_for_indices():
    mask = np.array([0, 1, 1, 0])
    with pytest.raises(InvalidArgumentError, match=r"must hold booleans.*mask\.astype\(bool\)"):
        nn.cross_entropy(LOGITS, LABELS, mask=mask)
    with pytest.raises(InvalidArgumentError, match="only 0 and 1 for 4 nodes"):
        nn.mse_loss(P, T, mask=mask)
    assert nn.mse_loss(P[:2], T[:2], mask=[1, 0]).item() == nn.mse_loss(P[:2], T[:2]).item()


@pytest.mark.parametrize(
    ("shape", "weight"), [((4, 1), [1.0, 1.0, 1.0]), ((3,), [1.0, 2.0, 3.0]), ((2, 3), [1.0, 2.0]), ((2, 3), -1.0)]
)
def test_positive_weights_are_never_broadcast_over_nodes(shape, weight):
    with pytest.raises(ShapeError, match=r"one per channel of the targets\. Got shape .*Give one factor"):
        nn.bce_with_logits(np.zeros(shape), np.ones(shape), positive_weight=weight)


def test_large_logits_stay_finite_and_their_gradients_too():
    x = gk.tensor(np.array([[1e4, -1e4], [-1e4, 1e4]]), requires_grad=True)
    loss = nn.cross_entropy(x, [0, 0])
    assert loss.item() == pytest.approx(1e4)
    loss.backward()
    assert np.isfinite(x.grad.numpy()).all()
    z = gk.tensor(np.array([1e4, -1e4]), requires_grad=True)
    loss = nn.bce_with_logits(z, [0, 1])
    assert loss.item() == pytest.approx(1e4)
    loss.backward()
    assert z.grad.numpy().tolist() == [0.5, -0.5]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_of_the_predictions_stays(dtype):
    p = P.astype(dtype)
    for loss, options, _ in REGRESSIONS:
        assert loss(p, T, **options).dtype == dtype
    for options in ({}, {"weight": WEIGHT}, {"label_smoothing": 0.1}):
        assert nn.cross_entropy(LOGITS.astype(dtype), LABELS, **options).dtype == dtype
    assert nn.mse_loss(p, T.astype(int)).dtype == dtype
    assert nn.bce_with_logits(p, T > 0.6).dtype == dtype


def test_ridge_regression_by_gradient_descent_with_decay(rng):
    # x = (A'A + lambda I)^-1 A'b minimises |Ax - b|^2 + lambda |x|^2.
    a, b, ridge = rng.normal(size=(20, 3)), rng.normal(size=(20, 1)), 2.0
    layer = nn.Linear(3, 1, bias=False, rng=0, dtype="float64")
    optimizer = nn.SGD(layer, lr=0.2, weight_decay=2 * ridge / 20)
    for _ in range(500):
        optimizer.zero_grad()
        nn.mse_loss(layer(a), b).backward()
        optimizer.step()
    exact = np.linalg.solve(a.T @ a + ridge * np.eye(3), a.T @ b)
    assert np.allclose(layer.weight.numpy(), exact, atol=1e-10)


def test_one_hidden_layer_by_hand(rng):
    # y = C s(A x + b) + d with squared loss: the textbook's four derivatives.
    model = nn.Sequential(nn.Linear(1, 3, rng=0), nn.Tanh(), nn.Linear(3, 1, rng=1)).astype("float64")
    model[0].bias.assign(rng.normal(size=3))
    x, t = 0.7, 0.3
    y = model(np.array([[x]]))
    nn.mse_loss(y, np.array([[t]])).backward()
    c = model[2].weight.numpy().ravel()
    s = np.tanh(model[0].weight.numpy().ravel() * x + model[0].bias.numpy())
    error = 2 * (y.item() - t)
    assert np.allclose(model[2].bias.grad.numpy(), error)
    assert np.allclose(model[2].weight.grad.numpy().ravel(), error * s)
    assert np.allclose(model[0].bias.grad.numpy(), error * c * (1 - s**2))
    assert np.allclose(model[0].weight.grad.numpy().ravel(), error * c * (1 - s**2) * x)


def test_names_of_classes_are_to_be_numbered():
    with pytest.raises(DTypeError, match=r"np.unique\(y, return_inverse=True\)"):
        gk.nn.cross_entropy(np.zeros((2, 2)), np.array(["a", "b"]))
