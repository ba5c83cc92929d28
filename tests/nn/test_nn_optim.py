"""Optimisers against PyTorch's numbers and a written-out reference; schedules; clipping; exact resume."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from gnnkit import nn
from gnnkit.errors import GradientError, InvalidArgumentError, ShapeError, UnknownNameError


def objective(w, t):
    return np.sum(w * w * np.array([1.0, 2.0, 3.0])) + np.sum(np.sin(w * (t + 1.0)))


def gradient(w, t):
    return 2 * w * np.array([1.0, 2.0, 3.0]) + (t + 1.0) * np.cos(w * (t + 1.0))


def run(make, steps=5, dtype="float64"):
    w = nn.Parameter([1.0, -2.0, 0.5], dtype=dtype)
    optimizer = make([w])
    for t in range(steps):
        optimizer.zero_grad()
        objective(w, t).backward()
        optimizer.step()
    return w.numpy()


# Five steps of torch.optim in float64 on the objective above.
PYTORCH = [
    (lambda p: nn.SGD(p, lr=0.05), [0.846614182631, -0.206723221091, -0.263735746061]),
    (
        lambda p: nn.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.1),
        [0.261378949785, 1.393886878115, -0.374911217087],
    ),
    (
        lambda p: nn.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
        [-0.520726522115, 0.502559471563, -0.254692575097],
    ),
    (lambda p: nn.Adam(p, lr=0.1), [0.781739239133, -1.519858155154, -0.000367315566]),
    (
        lambda p: nn.Adam(p, lr=0.1, weight_decay=0.1, betas=(0.8, 0.9)),
        [0.801477343255, -1.520798906224, -0.000476824024],
    ),
    (lambda p: nn.AdamW(p, lr=0.1, weight_decay=0.1), [0.739197808717, -1.435956829816, -0.015067107526]),
]
MAKERS = [make for make, _ in PYTORCH]
IDS = ["sgd", "momentum", "nesterov", "adam", "adam l2", "adamw"]


@pytest.mark.parametrize(("make", "expected"), PYTORCH, ids=IDS)
def test_same_steps_as_pytorch(make, expected):
    assert np.allclose(run(make), expected, atol=1e-9)
    assert np.allclose(run(make, dtype="float32"), expected, atol=1e-4)
    assert np.array_equal(run(make), run(make))


def test_adam_written_out():
    lr, beta1, beta2, eps, l2 = 0.05, 0.9, 0.99, 1e-6, 0.01
    w, m, v = np.array([1.0, -2.0, 0.5]), np.zeros(3), np.zeros(3)
    for t in range(8):
        g = gradient(w, t) + l2 * w
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        w = w - lr * (m / (1 - beta1 ** (t + 1))) / (np.sqrt(v / (1 - beta2 ** (t + 1))) + eps)
    found = run(lambda p: nn.Adam(p, lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=l2), steps=8)
    assert np.allclose(found, w, atol=1e-12)


@pytest.mark.parametrize("make", [nn.SGD, nn.Adam, nn.AdamW])
def test_biases_and_norms_do_not_decay(make):
    model = nn.Sequential(nn.Linear(2, 2, rng=0), nn.BatchNorm(2))
    model[0].bias.assign([1.0, 1.0])
    before = model.state_dict()
    optimizer = make(model, lr=0.1, weight_decay=0.5)
    for parameter in model.parameters():
        parameter.grad = type(parameter)(np.zeros(parameter.shape))
    optimizer.step()
    after = model.state_dict()
    assert (abs(after["0.weight"]) < abs(before["0.weight"])).all()
    for name in ("0.bias", "1.scale", "1.shift"):
        assert np.array_equal(after[name], before[name])


def test_decay_multiplier_of_one_layer():
    model = nn.Sequential(nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=1))
    model[1].weight.decay = 0.0
    before = model.state_dict()
    optimizer = nn.SGD(model, lr=1.0, weight_decay=0.25)
    for parameter in model.parameters():
        parameter.grad = type(parameter)(np.zeros(parameter.shape))
    optimizer.step()
    assert np.allclose(model[0].weight.numpy(), 0.75 * before["0.weight"])
    assert np.array_equal(model[1].weight.numpy(), before["1.weight"])


def test_parameters_without_gradient_are_left_alone():
    one, two = nn.Parameter([1.0]), nn.Parameter([1.0])
    optimizer = nn.Adam([one, two], lr=0.1, weight_decay=1.0)
    (one * 2.0).sum().backward()
    optimizer.step()
    assert two.numpy()[0] == 1.0
    assert optimizer.state_dict()["steps"] == {"0": 1, "1": 0}


@pytest.mark.parametrize("make", MAKERS, ids=IDS)
def test_exact_resume(make):
    def steps(w, optimizer, times):
        for t in times:
            optimizer.zero_grad()
            objective(w, t).backward()
            optimizer.step()

    w = nn.Parameter([1.0, -2.0, 0.5])
    optimizer = make([w])
    steps(w, optimizer, range(4))
    state = optimizer.state_dict()
    numbers = json.loads(json.dumps({k: v for k, v in state.items() if k != "arrays"}))
    middle = w.numpy().copy()
    steps(w, optimizer, range(4, 9))
    again = nn.Parameter(middle)
    resumed = make([again])
    resumed.lr = 99.0
    resumed.load_state_dict({**numbers, "arrays": state["arrays"]})
    steps(again, resumed, range(4, 9))
    assert np.array_equal(again.numpy(), w.numpy())


def test_state_follows_the_dtype_of_the_model():
    model = nn.Linear(2, 1, rng=0)
    optimizer = nn.Adam(model)
    for dtype in ("float32", "float64"):
        model.astype(dtype)
        model(np.ones((3, 2))).sum().backward()
        optimizer.step()
    assert all(a.dtype == np.float64 for a in optimizer.state_dict()["arrays"].values())


def test_wrong_states_and_arguments():
    model = nn.Linear(2, 1)
    adam = nn.Adam(model)
    with pytest.raises(InvalidArgumentError, match=r"same method and the same parameters\. Got one of SGD"):
        adam.load_state_dict(nn.SGD(model).state_dict())
    with pytest.raises(InvalidArgumentError, match="same parameters"):
        adam.load_state_dict(nn.Adam(nn.Linear(2, 1, bias=False)).state_dict())
    for part in ("class", "steps", "settings", "arrays"):
        partial = {name: value for name, value in adam.state_dict().items() if name != part}
        with pytest.raises(InvalidArgumentError, match="Make the optimiser as it was"):
            adam.load_state_dict(partial)
    wrong = {**adam.state_dict(), "arrays": {"weight/m": np.zeros((3, 3))}}
    with pytest.raises(ShapeError, match=r"'weight/m' .*\[3, 3\]"):
        adam.load_state_dict(wrong)
    with pytest.raises(InvalidArgumentError, match="no parameters at all"):
        nn.SGD(nn.ReLU())
    with pytest.raises(InvalidArgumentError, match="a ndarray"):
        nn.SGD([np.zeros(2)])
    with pytest.raises(InvalidArgumentError, match="twice"):
        nn.SGD([model.weight, model.weight])
    for bad in (-0.1, float("nan"), float("inf")):
        with pytest.raises(InvalidArgumentError, match="lr must be"):
            nn.SGD(model, lr=bad)
    with pytest.raises(InvalidArgumentError, match=r"momentum must lie in \[0, 1\)"):
        nn.SGD(model, momentum=1.0)
    with pytest.raises(InvalidArgumentError, match="needs momentum"):
        nn.SGD(model, nesterov=True)
    model.weight.grad = nn.Parameter([1.0])
    with pytest.raises(ShapeError, match=r"shape of its parameter\. 'weight' has shape \[2, 1\]"):
        adam.step()


def test_repr():
    assert repr(nn.SGD(nn.Linear(1, 1), lr=0.5)) == (
        "SGD(2 parameters, lr=0.5, momentum=0.0, nesterov=False, weight_decay=0.0)"
    )


# -- schedules ----------------------------------------------------------------------------------------------------


def rates(schedule, epochs):
    found = []
    for _ in range(epochs):
        found.append(schedule.optimizer.lr)
        schedule.step()
    return found


def optimizer(lr=2.0):
    return nn.SGD(nn.Linear(1, 1), lr=lr)


def test_schedules_by_hand():
    assert rates(nn.StepLR(optimizer(), every=3, gamma=0.1), 7) == pytest.approx([2.0] * 3 + [0.2] * 3 + [0.02])
    assert rates(nn.ExponentialLR(optimizer(), gamma=0.5), 4) == [2.0, 1.0, 0.5, 0.25]
    assert rates(nn.WarmupLR(optimizer(), warmup=1), 3) == [1.0, 2.0, 2.0]
    cosine = nn.CosineLR(optimizer(), epochs=10, warmup=2, minimum=0.1)
    expected = [2 / 3, 4 / 3] + [2 * (0.1 + 0.45 * (1 + math.cos(math.pi * k / 8))) for k in range(9)] + [0.2]
    assert rates(cosine, 12) == pytest.approx(expected)


def test_plateau():
    schedule = nn.ReduceOnPlateau(optimizer(), mode="max", patience=1, gamma=0.5, threshold=0.1, minimum=0.25)
    found = []
    for value in [0.5, 0.55, 0.9, 0.9, 0.95, 0.9, 0.9, 0.9, 0.9, float("nan")]:
        schedule.step(value)
        found.append(schedule.optimizer.lr)
    assert found == [2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5]
    with pytest.raises(InvalidArgumentError, match="plateau of something"):
        schedule.step()


def test_schedules_resume_exactly():
    first = nn.ReduceOnPlateau(optimizer(), patience=0, gamma=0.5)
    for value in (1.0, 2.0):
        first.step(value)
    state = json.loads(json.dumps(first.state_dict()))
    second = nn.ReduceOnPlateau(optimizer(), patience=0, gamma=0.5)
    second.load_state_dict(state)
    for schedule in (first, second):
        schedule.step(3.0)
    assert first.optimizer.lr == second.optimizer.lr == 0.5
    assert repr(second) == "ReduceOnPlateau(epoch=3, lr=0.5)"
    with pytest.raises(InvalidArgumentError, match="Got one of ReduceOnPlateau for StepLR"):
        nn.StepLR(optimizer(), every=1).load_state_dict(state)
    with pytest.raises(InvalidArgumentError, match="Make the schedule as it was"):
        first.load_state_dict({**state, "optimizer": None})


def test_schedule_arguments():
    with pytest.raises(InvalidArgumentError, match="every must be"):
        nn.StepLR(optimizer(), every=0)
    with pytest.raises(InvalidArgumentError, match=r"gamma must lie in \(0, 1\]"):
        nn.ExponentialLR(optimizer(), gamma=1.5)
    with pytest.raises(InvalidArgumentError, match="warmup must lie in"):
        nn.CosineLR(optimizer(), epochs=5, warmup=5)
    with pytest.raises(UnknownNameError, match="mode"):
        nn.ReduceOnPlateau(optimizer(), mode="mean")


# -- clipping -----------------------------------------------------------------------------------------------------


def test_clip_grad_norm_is_joint():
    one, two, none = nn.Parameter([0.0]), nn.Parameter([0.0, 0.0]), nn.Parameter([0.0])
    (one.sum() * 3.0 + (two * np.array([0.0, 4.0])).sum()).backward()
    assert nn.clip_grad_norm([one, two, none], 10.0) == 5.0
    assert one.grad.numpy()[0] == 3.0
    assert nn.clip_grad_norm([one, two, none], 1.0) == 5.0
    assert np.allclose([one.grad.numpy()[0], *two.grad.numpy()], [0.6, 0.0, 0.8])
    assert none.grad is None
    assert nn.clip_grad_norm([none], 1.0) == 0.0


def test_clipping_refuses_what_is_not_finite():
    model = nn.Linear(1, 1)
    model.bias.grad = nn.Parameter([np.inf])
    with pytest.raises(GradientError, match=r"finite gradients\. That of parameter 'bias'"):
        nn.clip_grad_norm(model, 1.0)
    with pytest.raises(InvalidArgumentError, match="max_norm must be positive"):
        nn.clip_grad_norm(model, 0.0)
    nn.clip_grad_value(model, 1.0)
    assert model.bias.grad.numpy()[0] == 1.0
