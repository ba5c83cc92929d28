"""What a message program reads besides its arguments: when it is traced again, in which dtype, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import DTypeError, ProgramError, UnknownFieldError
from gnnkit.message.program import program as door
from gnnkit.message.program.surroundings import Surroundings

TOPOLOGY = gk.Topology.from_edges([0, 1, 2, 0], [1, 1, 0, 2], num_nodes=4)
X = np.arange(12.0).reshape(4, 3) + 1
SLOPE = 0.5
TABLE = {"slope": 0.5}


class Config:
    slope = 0.5


def shifted(value):
    return np.tanh(value) + SLOPE


def run(function):
    return gk.message_passing(TOPOLOGY, function, src={"x": X}).numpy()


@pytest.fixture
def traces(monkeypatch):
    """A list that grows at every trace; nothing is traced yet."""
    monkeypatch.setattr(door, "_traces", {})
    found = []
    original = door.trace
    monkeypatch.setattr(door, "trace", lambda *args: found.append(args) or original(*args))
    return found


def closing_over(*values):
    def program(src):
        parts = [gk.leaky_relu(src.x, values[0]) * k for k in values[1:]]
        return gk.agg.sum(np.concatenate(parts))

    return program


def test_equal_surroundings_are_traced_once(traces):
    for _ in range(3):
        run(closing_over(0.2, 1.0, 3.0))
    assert len(traces) == 1


@pytest.mark.parametrize("other", [(0.2, 1.0, 4.0), (0.2, 1, 3.0), (0.2, 1.0), (0.2, -1.0, 3.0)])
def test_other_values_are_traced_anew(traces, other):
    run(closing_over(0.2, 1.0, 3.0))
    run(closing_over(*other))
    assert len(traces) == 2


def test_a_global_is_read_at_every_call(monkeypatch):
    program = gk.message_program(lambda src: gk.agg.sum(src.x * SLOPE))
    before = program(TOPOLOGY, src={"x": X}).numpy()
    monkeypatch.setitem(globals(), "SLOPE", 2.0)
    np.testing.assert_allclose(program(TOPOLOGY, src={"x": X}).numpy(), 4 * before)


def test_a_global_that_comes_later(monkeypatch):
    program = gk.message_program(lambda src: gk.agg.sum(src.x * LATER))  # noqa: F821
    monkeypatch.setitem(globals(), "LATER", 1.0)
    before = program(TOPOLOGY, src={"x": X}).numpy()
    monkeypatch.setitem(globals(), "LATER", 3.0)
    np.testing.assert_allclose(program(TOPOLOGY, src={"x": X}).numpy(), 3 * before)


def test_the_surroundings_of_a_helper_count(monkeypatch, traces):
    program = gk.message_program(lambda src: gk.agg.sum(shifted(src.x)))
    before = program(TOPOLOGY, src={"x": X}).numpy()
    program(TOPOLOGY, src={"x": X})
    assert len(traces) == 1
    monkeypatch.setitem(globals(), "SLOPE", 1.5)
    after = program(TOPOLOGY, src={"x": X}).numpy()
    np.testing.assert_allclose(after - before, np.diff(TOPOLOGY.indptr)[:, None] * np.ones(3))


@pytest.mark.parametrize(
    "function",
    [
        lambda src: gk.agg.sum(src.x * Config.slope),
        lambda src: gk.agg.sum(src.x * TABLE["slope"]),
        lambda src: gk.agg.sum(src.x * X[0]),
        lambda src: gk.agg.sum(src.x * np.random.default_rng(0).normal()),
        lambda src, TABLE=TABLE: gk.agg.sum(src.x * TABLE["slope"]),
        lambda src: gk.agg.sum(src.x * eval("SLOPE")),
    ],
    ids=["class", "dict", "array", "random", "default", "eval"],
)
def test_what_may_change_has_no_key(function):
    assert Surroundings(function).key() is None


def test_nonlocal_changes_have_no_key():
    count = 0

    def program(src):
        nonlocal count
        count += 1
        return gk.agg.sum(src.x * count)

    assert Surroundings(program).key() is None


def test_a_function_that_calls_itself():
    def power(value, times):
        return value if times == 0 else value * power(value, times - 1)

    def program(src):
        return gk.agg.sum(power(src.x, 2))

    assert Surroundings(program).key() is not None
    np.testing.assert_allclose(run(program), run(lambda src: gk.agg.sum(src.x**3)))


def test_minus_zero_is_not_zero():
    def signed(zero):
        return lambda src: gk.agg.sum(np.arctan2(zero, -src.x))

    np.testing.assert_allclose(run(signed(0.0)), -run(signed(-0.0)))


# --- what is captured -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("captured", "dtype"),
    [
        (np.ones(3), np.float64),
        (gk.tensor(np.ones(3)), np.float64),
        (np.ones(3, np.float32), np.float32),
        (np.arange(3), np.float32),
        (2.0, np.float32),
        (np.float64(2.0), np.float32),
        (gk.tensor(2.0), np.float32),
    ],
    ids=["float64", "Tensor", "float32", "integers", "number", "scalar", "scalar Tensor"],
)
def test_captured_arrays_take_part_in_the_dtype(captured, dtype):
    y = gk.message_passing(TOPOLOGY, lambda src: gk.agg.sum(src.x * captured), src={"x": X.astype(np.float32)})
    assert y.dtype == dtype


@pytest.mark.parametrize("sign", ["+", "-", "*", "/", "**", "@"])
def test_a_tensor_on_the_left_keeps_its_gradient(sign):
    w = gk.tensor(np.full((3, 3), 2.0), requires_grad=True)
    compute = eval(f"lambda a, b: a {sign} b")
    y = gk.message_passing(TOPOLOGY, lambda src: gk.agg.sum(compute(w, src.x)), src={"x": X})
    y.sum().backward()
    assert w.grad is not None
    expected = np.zeros((4, *np.shape(compute(w.data, X[0]))))
    np.add.at(expected, TOPOLOGY.receivers, np.stack([compute(w.data, X[j]) for j in TOPOLOGY.senders]))
    np.testing.assert_allclose(y.numpy(), expected)


def test_values_of_another_program_are_refused():
    kept = []
    run(lambda src: kept.append(src.x * 2.0) or gk.agg.sum(kept[0]))
    for function in (lambda src: gk.agg.sum(src.x + kept[0]), lambda src: kept[0]):
        with pytest.raises(ProgramError, match=r"belongs to the one run .* line \d+ of .* compute them again"):
            run(function)
    with pytest.raises(ProgramError, match=r"gk\.agg stands inside of a message program\. Got Symbol outside"):
        gk.agg.sum(kept[0])


def test_a_program_called_with_numbers_inside_of_a_program():
    inner = gk.message_program(lambda src: gk.agg.sum(src.x))
    total = inner(TOPOLOGY, src={"x": X}).numpy().sum(0)
    y = run(lambda src: gk.agg.sum(src.x * inner(TOPOLOGY, src={"x": X}).numpy().sum(0)))
    np.testing.assert_allclose(y, run(lambda src: gk.agg.sum(src.x * total)))


# --- what is returned -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda dst: dst.x,
        lambda dst: dst.x[:2],
        lambda dst: dst.x.reshape(3, 1).T,
        lambda dst: 2.0,
        lambda dst: gk.agg.degree(),
        lambda dst: np.broadcast_to(dst.x[:1], (3,)),
    ],
)
def test_what_is_returned_may_be_written_into(function):
    x = X.copy()

    def program(dst):
        return function(dst), gk.agg.sum(dst.x)

    first = gk.message_passing(TOPOLOGY, program, dst={"x": x})[0]
    kept = first.numpy().copy()
    first.numpy()[...] += np.arange(kept.size).reshape(kept.shape) + 1.0
    assert np.unique(first.numpy() - kept).size == kept.size
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(gk.message_passing(TOPOLOGY, program, dst={"x": x})[0].numpy(), kept)


def test_factors_taken_out_of_a_sum_leave_the_sum_of_nothing_alone():
    x, infinite = np.ones((4, 3)), {"w": np.inf, "m": np.full((3, 2), np.inf)}
    for function in (
        lambda src, params: gk.agg.sum(src.x * params.w),
        lambda src, params: gk.agg.sum(src.x / (1 / params.w)),
        lambda src, params: gk.agg.sum(src.x * float("inf")),
        lambda src, params: gk.agg.sum(src.x @ params.m),
    ):
        y = gk.message_passing(TOPOLOGY, function, src={"x": x}, params=infinite).numpy()
        assert (y[3] == 0).all() and np.isinf(y[:3]).all()
    smallest = run(lambda src: gk.agg.min(src.x))
    assert not np.signbit(smallest[3]).any()


@pytest.mark.parametrize("function", [lambda src: gk.relu(src.x), lambda src: src.x.sum(axis=0), lambda src: 3.0])
def test_a_program_that_sends_nothing_is_refused(function):
    with pytest.raises(ProgramError, match=r"neither aggregates with gk.agg nor returns a value per edge"):
        gk.message_passing(TOPOLOGY, function, src={"x": X})


def test_names_that_are_nearly_right_are_told():
    with pytest.raises(UnknownFieldError, match=r"Did you mean src.position\?"):
        gk.message_passing(TOPOLOGY, lambda src: gk.agg.sum(src.positon), src={"position": X})
    with pytest.raises(AttributeError, match="Did you mean 'sum'"):
        gk.message_passing(TOPOLOGY, lambda src: gk.agg.summ(src.x), src={"x": X})


def test_what_would_mean_something_else_than_in_numpy_is_refused():
    kind = np.arange(len(X))
    with pytest.raises(ProgramError, match="join masks"):
        gk.message_passing(TOPOLOGY, lambda src: gk.agg.sum(np.where(src.k & 1, 1.0, 0.0)), src={"k": kind})
    with pytest.raises(ProgramError, match=r"up to 2\*\*24"):
        gk.message_passing(TOPOLOGY, lambda src: gk.agg.sum(np.where(src.k == 2**30 + 1, 1.0, 0.0)), src={"k": kind})
    with pytest.raises(ProgramError, match="Euclidean norm"):
        gk.message_passing(TOPOLOGY, lambda src: gk.agg.sum(np.linalg.norm(src.x, 1)), src={"x": X})
    with pytest.raises(DTypeError, match="masked array"):
        gk.message_passing(TOPOLOGY, lambda src: gk.agg.sum(src.x), src={"x": np.ma.masked_array(X, mask=X > 0)})


def test_two_outputs_of_one_value_are_two_arrays():
    first, second = gk.message_passing(TOPOLOGY, lambda src: (gk.agg.sum(src.x), gk.agg.sum(src.x) * 1.0), src={"x": X})
    assert not np.shares_memory(first.numpy(), second.numpy())
