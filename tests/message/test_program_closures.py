"""What a program captures from its surroundings is what stands there when it is called, and is differentiated."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.message import agg, message_passing, message_program

TOPOLOGY = gk.Topology.from_edges([0, 1, 2, 0], [1, 1, 0, 2], num_nodes=4)
X = np.arange(12.0).reshape(4, 3)
TOTAL = np.array([X[2], X[0] + X[1], X[0], 0 * X[0]])
pytestmark = pytest.mark.usefixtures("backend")


def call(program):
    return program(TOPOLOGY, src={"x": X}).numpy()


def test_a_captured_tensor_gets_its_gradient():
    weight, scale, bias = (gk.Tensor(np.full(s, 2.0), requires_grad=True) for s in ((3, 2), (), (2,)))
    y = message_passing(TOPOLOGY, lambda src: scale * agg.sum(src.x @ weight + bias), src={"x": X})
    y.sum().backward()
    np.testing.assert_allclose(weight.grad.numpy(), 2 * np.repeat(TOTAL.sum(0)[:, None], 2, axis=1))
    np.testing.assert_allclose(bias.grad.numpy(), [8, 8])
    np.testing.assert_allclose(scale.grad.numpy(), (TOTAL @ np.full((3, 2), 2.0)).sum() + 4 * 4)


def test_second_derivatives_by_what_is_captured(rng):
    def loss(weight):
        return message_passing(TOPOLOGY, lambda src: agg.sum(np.tanh(src.x @ weight)), src={"x": X / 12}).sum()

    assert gk.gradcheck(loss, rng.normal(size=(3, 2)), order=2).passed


@pytest.mark.parametrize("wrap", [float, np.float64, np.array, lambda v: np.array([v] * 3), gk.Tensor])
def test_rebinding_is_seen(wrap):
    factor = wrap(1.0)

    @message_program
    def program(src):
        return agg.sum(src.x * factor)

    np.testing.assert_array_equal(call(program), TOTAL)
    factor = wrap(3.0)
    np.testing.assert_array_equal(call(program), 3 * TOTAL)


def test_changes_in_place_are_seen():
    array, values, settings = np.ones(3), [1.0], {"on": True}

    @message_program
    def program(src):
        return agg.sum(src.x * array * values[0]) if settings["on"] else agg.max(src.x)

    np.testing.assert_array_equal(call(program), TOTAL)
    array *= 2
    np.testing.assert_array_equal(call(program), 2 * TOTAL)
    values[0] = 5.0
    np.testing.assert_array_equal(call(program), 10 * TOTAL)
    settings["on"] = False
    np.testing.assert_array_equal(call(program)[1], X[1])


def test_attributes_are_read_at_every_call():
    class Layer:
        def __init__(self):
            self.weight = gk.Tensor(np.eye(3), requires_grad=True)

        def __call__(self):
            return message_passing(TOPOLOGY, self.message, src={"x": X})

        def message(self, src):
            return agg.sum(src.x @ self.weight)

    layer = Layer()
    for factor in (1.0, 2.0):
        layer.weight = gk.Tensor(factor * np.eye(3), requires_grad=True)
        y = layer()
        np.testing.assert_array_equal(y.numpy(), factor * TOTAL)
        y.sum().backward()
        np.testing.assert_array_equal(layer.weight.grad.numpy(), np.repeat(TOTAL.sum(0)[:, None], 3, axis=1))


def test_two_instances_do_not_share_what_they_capture():
    def scaled(factor):
        return message_program(lambda src: agg.sum(src.x * factor))

    programs = [(f, scaled(f)) for f in (2.0, 3.0, np.full(3, 4.0), np.full(3, 5.0), gk.Tensor([6.0] * 3))]
    for factor, program in programs * 2:
        np.testing.assert_array_equal(call(program), TOTAL * np.asarray(getattr(factor, "data", factor)))


def test_a_tensor_that_requires_a_gradient_later():
    weight = gk.Tensor(np.ones(3))
    program = message_program(lambda src: agg.sum(src.x * weight))
    assert not program(TOPOLOGY, src={"x": X}).requires_grad
    weight = gk.Tensor(np.ones(3), requires_grad=True)
    program(TOPOLOGY, src={"x": X}).sum().backward()
    np.testing.assert_array_equal(weight.grad.numpy(), TOTAL.sum(0))


def test_what_is_captured_is_not_kept_alive():
    def once():
        array = np.ones(3)
        np.testing.assert_array_equal(call(message_program(lambda src: agg.sum(src.x * array))), TOTAL)
        return weakref.ref(array)

    gone = once()
    gc.collect()
    assert gone() is None


def test_the_same_array_twice_and_as_a_field():
    array = gk.Tensor(np.full(3, 2.0), requires_grad=True)
    y = message_passing(
        TOPOLOGY, lambda src, params: agg.sum(src.x * array * params.a + array), src={"x": X}, params={"a": array}
    )
    np.testing.assert_array_equal(y.numpy(), 4 * TOTAL + 2 * np.array([[1], [2], [1], [0]]))
    y.sum().backward()
    np.testing.assert_array_equal(array.grad.numpy(), 4 * TOTAL.sum(0) + 4)


def test_programs_inside_of_programs():
    inner = message_program(lambda src: agg.sum(src.x))

    def outer(src):
        return agg.sum(src.x * call(inner)[1])

    np.testing.assert_array_equal(message_passing(TOPOLOGY, outer, src={"x": X}).numpy(), TOTAL * TOTAL[1])
