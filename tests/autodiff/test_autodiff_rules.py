"""Every rule of the table against differences of values, to second order: a rule without a case here fails."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.autodiff import columns, functions, fused, nodes, sparse, transform
from gnnkit.autodiff.rules import elementwise, indexing, joins, linalg, reductions, shapes

_draw = np.random.default_rng(7)


def normal(*shape: int) -> np.ndarray:
    return _draw.standard_normal(shape)


def positive(*shape: int) -> np.ndarray:
    return _draw.uniform(0.5, 2.0, shape)


def inside(*shape: int) -> np.ndarray:
    return _draw.uniform(-0.8, 0.8, shape)


def apart(*shape: int) -> np.ndarray:
    """Values at least 0.3 from each other and from 0, in random order: no ties and no kinks nearby."""
    size = int(np.prod(shape))
    return ((_draw.permutation(size) + 0.5 - size // 2) * 0.3).reshape(shape)


def definite(n: int) -> np.ndarray:
    a = normal(n, n)
    return a @ a.T + n * np.eye(n)


MATRIX = gk.SparseMatrix(np.array([0, 2, 2, 4]), np.array([0, 3, 1, 3]), np.array([1.0, -2.0, 0.5, 3.0]), (3, 4))
LABELS = np.array([2, 0, 1, 1])
ROWS = np.array([2, 0, 2])

# function or primitive -> cases, each a callable and its inputs; every case runs to second order
CASES: dict = {}


def case(function, call=None, *inputs):
    CASES.setdefault(function, []).append((call or function, inputs))


for f in (np.negative, np.positive, np.square, np.exp, np.exp2, np.expm1, np.sin, np.cos, np.sinh, np.cosh):
    case(f, f, normal(2, 3))
for f in (np.tanh, np.arctan, np.arcsinh, np.deg2rad, np.radians, np.rad2deg, np.degrees):
    case(f, f, normal(3))
for f in (np.sqrt, np.cbrt, np.log, np.log2, np.log10, np.log1p, np.reciprocal):
    case(f, f, positive(4))
for f in (np.tan, np.arcsin, np.arccos, np.arctanh):
    case(f, f, inside(4))
for f in (np.absolute, np.fabs):
    case(f, f, apart(5))
case(np.arccosh, np.arccosh, positive(3) + 1.0)
for f in (np.add, np.subtract, np.multiply, np.logaddexp, np.logaddexp2, np.hypot, np.arctan2):
    case(f, f, normal(2, 3), normal(2, 3))
    case(f, f, normal(3), normal(2, 1))  # both are broadcast
    case(f, lambda a, f=f: f(a, 0.5), normal(3))
    case(f, lambda b, f=f: f(0.5, b), normal(3))
    case(f, lambda a, f=f: f(a, a + 1), normal(3))  # the same value twice
case(np.divide, np.divide, normal(2, 3), positive(3))
case(np.divide, lambda b: 1.5 / b, positive(3))
case(np.remainder, np.remainder, np.array([1.3, -2.2, 3.4]), np.array([1.0, 0.7, -1.5]))
case(np.power, np.power, positive(2, 3), normal(3))
case(np.power, lambda a: a**3, normal(3))
case(np.power, lambda a: a**0.5, positive(3))
case(np.power, lambda a: a**0, normal(3))
case(np.power, lambda a: a ** np.array([0, 2, 3]), normal(3))
case(np.power, lambda b: 2.0**b, normal(3))
case(np.float_power, np.float_power, positive(3), normal(3))
for f in (np.maximum, np.minimum):
    case(f, f, apart(6)[:3], apart(6)[3:] + 0.1)
    case(f, lambda a, f=f: f(a, 0.0), apart(4))
case(elementwise.choose, lambda a, b: np.where([True, False, True], a, b), normal(3), normal(2, 1))
case(elementwise.choose, lambda a: np.where(a > 0, a * a, 0.0), apart(4))

AXES = [None, 0, -1, (0, 2)]
for f in (np.sum, np.mean, np.max, np.min, np.prod, np.var, np.std):
    for axis in AXES:
        for keep in (False, True):
            case(nodes.HANDLERS[f], lambda a, f=f, axis=axis, k=keep: f(a, axis=axis, keepdims=k), apart(2, 3, 2))
    case(nodes.HANDLERS[f], f, np.array(0.7)) if f not in (np.var, np.std) else None
for f in (np.var, np.std):
    case(nodes.HANDLERS[f], lambda a, f=f: f(a, axis=0, ddof=1), normal(4, 2))
case(reductions.prod, np.prod, np.array([2.0, 0.0, 3.0]))
case(reductions.prod, lambda a: np.prod(a, axis=1), np.array([[0.0, 0.0, 3.0], [1.0, 0.0, -1.0]]))
for axis in (None, 0, -1):
    case(reductions.cumsum, lambda a, axis=axis: np.cumsum(a, axis=axis), normal(2, 3))

case(shapes.reshape, lambda a: np.reshape(a, (3, -1)), normal(2, 3))
case(shapes.transpose, np.transpose, normal(2, 3))
case(shapes.transpose, lambda a: np.transpose(a, (2, 0, -2)), normal(2, 3, 4))
case(shapes.swapaxes, lambda a: np.swapaxes(a, 0, -1), normal(2, 3, 4))
case(shapes.moveaxis, lambda a: np.moveaxis(a, (0, 1), (-1, 0)), normal(2, 3, 4))
case(shapes.broadcast_to, lambda a: np.broadcast_to(a, (4, 2, 3)), normal(2, 1))
for axis in (None, 0, (0, 1)):
    case(shapes.flip, lambda a, axis=axis: np.flip(a, axis), normal(2, 3))
for shift, axis in ((1, None), (-2, 1), ((1, 2), (0, 1)), ((1, 2), 0)):
    case(shapes.roll, lambda a, s=shift, axis=axis: np.roll(a, s, axis), normal(2, 3))
for width in (1, (1, 2), ((1, 0), (0, 2))):
    case(shapes.pad_constant, lambda a, w=width: np.pad(a, w, constant_values=3.0), normal(2, 3))
case(shapes.astype, lambda a: a.astype(np.longdouble).astype(np.float64) ** 2, normal(3))
case(shapes.copy, np.copy, normal(3))

for index in (1, -1, slice(1, None, 2), (slice(None), 1), (..., 0), None, (slice(None), None), ROWS, [0, 0, 1]):
    case(indexing.pick, lambda a, i=index: a[i], normal(3, 4))
for index in (
    (slice(None), slice(1, 3)),
    (..., slice(-2, None)),
    (slice(None), slice(3, 1)),
    (slice(1), slice(0, 3, 2)),
):
    case(indexing.pick, lambda a, i=index: a[i], normal(3, 4))
for other in (slice(1, 3), slice(None), 2, ROWS, [True, False, True, True]):
    case(indexing.pick, lambda a, o=other: a[:, :2].sum() + (a[:, o] ** 2).sum() + (a[1:] * a[:2]).sum(), normal(3, 4))
for index in ((ROWS, ROWS), (slice(1, 3), [1, 1]), np.array([[0, -1], [2, 2]]), (ROWS[:, None], [0, 0, 3])):
    case(indexing.pick, lambda a, i=index: a[i], normal(3, 4))
case(indexing.pick, lambda a: a[np.array([True, False, True])], normal(3, 4))
case(indexing.pick, lambda a: a[a > 0], apart(3, 4))
case(indexing.put_add, lambda v: indexing.put_add(v, ROWS, (4, 2)), normal(3, 2))
case(indexing.put_add, lambda v: indexing.put_add(v, (ROWS, ROWS), (4, 3)), normal(3))

for axis in (0, 1, -1):
    case(joins.join, lambda a, b, axis=axis: np.concatenate([a, b, a], axis=axis), normal(2, 2), normal(2, 2))
    case(joins.pile, lambda a, b, axis=axis: np.stack([a, b], axis=axis), normal(2, 2), normal(2, 2))
case(joins.join, lambda a: np.concatenate([np.ones((1, 2)), a]), normal(2, 2))

for left, right in (((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4))):
    case(np.matmul, np.matmul, normal(*left), normal(*right))
case(linalg.rows_times, linalg.rows_times, normal(4, 3), normal(3, 2))
case(linalg.rows_times, linalg.rows_times, normal(2, 4, 3), normal(3, 2))
for left, right in (
    ((4, 2, 3), (3, 2)),
    ((2, 3), (4, 3, 2)),
    ((4, 2, 3), (1, 3, 2)),
    ((4, 2, 3), (3,)),
    ((3,), (4, 3, 2)),
):
    case(np.matmul, np.matmul, normal(*left), normal(*right))
case(linalg.contract_rows, linalg.contract_rows, normal(3, 2), normal(3, 4))
case(linalg.contract, lambda a, b: np.einsum("ij,jk->ik", a, b), normal(2, 3), normal(3, 4))
case(linalg.contract, lambda a, b: np.einsum("nhc,hc->nh", a, b), normal(2, 3, 4), normal(3, 4))
case(linalg.contract, lambda a: np.einsum("ij->j", a), normal(2, 3))
case(linalg.contract, lambda a: np.einsum("ij->ji", a), normal(2, 3))
case(linalg.contract, lambda a, b: np.einsum("ij,k->k", a, b), normal(2, 3), normal(2))
case(linalg.contract, lambda a, b, c: np.einsum("ij,jk,kl", a, b, c), normal(2, 2), normal(2, 3), normal(3, 2))
case(linalg.inv, np.linalg.inv, definite(3))
case(linalg.inv, np.linalg.inv, np.stack([definite(2), definite(2)]))
case(linalg.solve, np.linalg.solve, definite(3), normal(3))
case(linalg.solve, np.linalg.solve, definite(3), normal(3, 2))
case(linalg.det, np.linalg.det, definite(3))
case(linalg.cholesky, lambda a: np.linalg.cholesky(0.5 * (a + a.T)), definite(3))
for axis in (None, 0, 1, (0, 1)):
    case(linalg.euclidean, lambda a, axis=axis: np.linalg.norm(a, axis=axis, keepdims=True), normal(2, 3))

for f in (functions.sigmoid, functions.softplus, functions.tanh, functions.erf, functions.gelu):
    case(f, f, normal(2, 3))
case(functions.relu, functions.relu, apart(6))
for slope in (0.0, 0.2, 1.5):
    case(functions._leaky_relu, lambda x, s=slope: gk.leaky_relu(x, s), apart(6))
for alpha in (1.0, 0.5, 2.0):
    case(functions._elu, lambda x, a=alpha: gk.elu(x, a), apart(6))
for f in (functions.softmax, functions.log_softmax, functions.logsumexp):
    for axis in (0, -1, (0, 1)):
        case(f, lambda x, f=f, axis=axis: f(x, axis=axis), normal(3, 4))
case(functions.logsumexp, lambda x: gk.logsumexp(x, keepdims=True), normal(3, 4))

case(fused.keyed_dropout, lambda x: gk.dropout(x, 0.4, rng=3) ** 2, normal(4, 3))
for alpha, rate in ((1.0, 0.5), (0.5, 0.4), (0.0, 0.2)):
    case(
        fused.keyed_elu_dropout,
        lambda x, alpha=alpha, rate=rate: gk.autodiff.elu_dropout(x, alpha, rate, rng=3) ** 2,
        apart(12),
    )
case(fused.contiguous, lambda x: fused.contiguous(x.T) ** 2, normal(4, 3))
case(fused.row_losses, lambda x: gk.cross_entropy_rows(x, LABELS), normal(4, 3))
case(
    columns.standardise_columns,
    lambda *values: columns.standardise_columns(*values, eps=0.1, memo={}),
    *(normal(5, 3), normal(3), normal(3)),
)
case(fused.pick_rows, lambda x: gk.take_rows(x, ROWS) ** 2, normal(3, 2))
case(fused.add_rows, lambda x: gk.scatter_add(x, ROWS, 4) ** 2, normal(3, 2))
case(sparse.multiply_sparse, lambda x: (MATRIX @ x) ** 2, normal(4, 2))
case(sparse.multiply_sparse, lambda x: (MATRIX.T @ x) ** 2, normal(3))
case(sparse.multiply_sparse, lambda x: (x @ MATRIX) ** 2, normal(2, 3))
case(transform.variable, lambda x: transform.variable(x) ** 2, normal(2))

# functions made of the operations above, by the numpy function they stand for
COMPOSED: list = [
    (np.average, lambda a, w: np.average(a, axis=1, weights=w), normal(2, 3), positive(3)),
    (np.average, lambda a: np.average(a, axis=0), normal(2, 3)),
    (np.cumprod, lambda a: np.cumprod(a, axis=1), np.array([[1.0, 0.0, 2.0], [0.5, -1.0, 0.0]])),
    (np.cumprod, np.cumprod, normal(5)),
    (np.ptp, lambda a: np.ptp(a, axis=0), apart(3, 2)),
    (np.median, lambda a: np.median(a, axis=0), apart(4, 2)),
    (np.median, lambda a: np.median(a, keepdims=True), apart(5, 1)),
    (np.diff, lambda a: np.diff(a, 2, axis=0) ** 2, normal(4, 2)),
    (np.clip, lambda a: np.clip(a, -0.5, 0.5) ** 2, apart(6)),
    (np.clip, lambda a: np.clip(a, None, 0.5), apart(6)),
    (np.nan_to_num, lambda a: np.nan_to_num(a / np.array([1.0, 2.0]), nan=3.0), normal(2)),
    (np.ravel, np.ravel, normal(2, 2)),
    (np.expand_dims, lambda a: np.expand_dims(a, (0, 2)), normal(2)),
    (np.squeeze, np.squeeze, normal(1, 2, 1)),
    (np.squeeze, lambda a: np.squeeze(a, 2), normal(1, 2, 1)),
    (np.atleast_1d, np.atleast_1d, np.array(2.0)),
    (np.atleast_2d, np.atleast_2d, normal(2)),
    (np.matrix_transpose, np.matrix_transpose, normal(2, 3, 2)),
    (np.broadcast_arrays, lambda a, b: np.broadcast_arrays(a, b)[0] * b, normal(2, 1), normal(3)),
    (np.tile, lambda a: np.tile(a, (2, 1, 3)), normal(2, 2)),
    (np.tile, lambda a: np.tile(a, 2), normal(2, 2)),
    (np.repeat, lambda a: np.repeat(a, 3), normal(2, 2)),
    (np.repeat, lambda a: np.repeat(a, [0, 2], axis=1), normal(2, 2)),
    (np.astype, lambda a: np.astype(a, np.float64), normal(2)),
    (np.diagonal, lambda a: np.diagonal(a, 1), normal(3, 3)),
    (np.diagonal, lambda a: np.diagonal(a, -1, 0, 2), normal(3, 2, 4)),
    (np.trace, np.trace, normal(3, 3)),
    (np.flipud, np.flipud, normal(3, 2)),
    (np.fliplr, np.fliplr, normal(3, 2)),
    (np.diag, np.diag, normal(3)),
    (np.diag, lambda a: np.diag(a, -1), normal(3)),
    (np.diag, np.diag, normal(3, 3)),
    (np.tril, np.tril, normal(3, 3)),
    (np.triu, lambda a: np.triu(a, 1), normal(3, 3)),
    (np.take, lambda a: np.take(a, ROWS, axis=1), normal(2, 3)),
    (np.take, lambda a: np.take(a, [0, 5, 5]), normal(2, 3)),
    (np.take_along_axis, lambda a: np.take_along_axis(a, np.array([[0], [2]]), 1), normal(2, 3)),
    (np.sort, lambda a: np.sort(a, axis=0) ** 2, apart(3, 2)),
    (np.sort, lambda a: np.sort(a, axis=None) * np.arange(6), apart(3, 2)),
    (np.compress, lambda a: np.compress([True, False, True], a, axis=1), normal(2, 3)),
    (np.concatenate, lambda a, b: np.concatenate([a, b], axis=None), normal(2, 2), normal(3)),
    (np.vstack, lambda a, b: np.vstack([a, b]), normal(2), normal(3, 2)),
    (np.hstack, lambda a, b: np.hstack([a, b]), normal(2), normal(3)),
    (np.hstack, lambda a, b: np.hstack([a, b]), normal(2, 2), normal(2, 1)),
    (np.column_stack, lambda a, b: np.column_stack([a, b]), normal(2), normal(2, 3)),
    (np.append, lambda a, b: np.append(a, b), normal(2), normal(3)),
    (np.array_split, lambda a: np.array_split(a, 3)[1] ** 2, normal(5, 2)),
    (np.split, lambda a: np.split(a, [1, 3], axis=1)[1] ** 2, normal(2, 4)),
    (np.unstack, lambda a: np.unstack(a, axis=1)[0] ** 2, normal(2, 4)),
    (np.dot, np.dot, normal(2, 3), normal(3, 2)),
    (np.dot, np.dot, normal(2, 3), normal(2, 3, 2)),
    (np.dot, lambda a: np.dot(a, a[0]), normal(2)),
    (np.vdot, np.vdot, normal(2, 3), normal(2, 3)),
    (np.inner, np.inner, normal(2, 3), normal(4, 3)),
    (np.inner, lambda a: np.inner(a, a[0]), normal(2)),
    (np.outer, np.outer, normal(2), normal(2, 2)),
    (np.kron, np.kron, normal(2, 2), normal(1, 3)),
    (np.tensordot, lambda a, b: np.tensordot(a, b, 1), normal(2, 3), normal(3, 2)),
    (np.tensordot, lambda a, b: np.tensordot(a, b, ([0, 1], [2, 0])), normal(2, 3, 2), normal(3, 2, 2)),
    (np.linalg.norm, lambda a: np.linalg.norm(a, 1, axis=1), apart(2, 3)),
    (np.linalg.norm, lambda a: np.linalg.norm(a, 3, axis=1), apart(2, 3)),
    (np.linalg.norm, lambda a: np.linalg.norm(a, np.inf, axis=0), apart(2, 3) + 0.05),
    (operator.getitem, lambda a: a[1:][0], normal(3)),
    (gk.silu, gk.silu, normal(3)),
]


def _own_operations() -> list:
    def ours(function: object) -> bool:
        return isinstance(function, np.ufunc) or getattr(function, "__module__", "").startswith("gnnkit.autodiff")

    return [function for function in nodes.OPS if ours(function)]


def test_every_rule_has_a_case() -> None:
    missing = [nodes.OPS[f].name for f in _own_operations() if f not in CASES]
    assert not missing, f"add a case for {missing}"


def test_every_numpy_function_has_a_case() -> None:
    composed = {f for f, *_ in COMPOSED}
    by_their_core = {np.where, np.stack, np.pad, np.einsum, np.concatenate}
    known = composed | by_their_core
    missing = [f.__name__ for f, handler in nodes.HANDLERS.items() if handler not in CASES and f not in known]
    assert not missing, f"add a case for {missing}"


def _flat() -> list:
    found = []
    for function, cases in CASES.items():
        name = nodes.op_of(function).name
        found += [pytest.param(call, inputs, id=f"{name}-{i}") for i, (call, inputs) in enumerate(cases)]
    return found + [
        pytest.param(call, inputs, id=f"{getattr(f, '__name__', 'f')}-composed-{i}")
        for i, (f, call, *inputs) in enumerate(COMPOSED)
    ]


@pytest.mark.parametrize(("call", "inputs"), _flat())
def test_rule_agrees_with_differences_to_second_order(call, inputs, monkeypatch) -> None:
    monkeypatch.setattr(nodes, "SMALL", 0)  # so that a rule that reads what it has not declared fails
    report = gk.gradcheck(call, *inputs, order=2, tolerance=2e-6)
    assert report.passed, str(report)


@pytest.mark.parametrize(("call", "inputs"), _flat())
def test_sums_that_do_not_depend_on_their_order_have_the_same_derivatives(call, inputs) -> None:
    tensors = [gk.tensor(a, requires_grad=True) for a in inputs]
    again = [gk.tensor(a, requires_grad=True) for a in inputs]
    usual = call(*tensors)
    np.sum(np.sin(usual)).backward()
    with gk.exact_sums():
        exact = call(*again)
        np.sum(np.sin(exact)).backward()
    np.testing.assert_allclose(exact.numpy(), usual.numpy(), rtol=1e-12, atol=1e-13)
    for t, s in zip(tensors, again):
        assert (t.grad is None) == (s.grad is None)
        if t.grad is not None:
            np.testing.assert_allclose(s.grad.numpy(), t.grad.numpy(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("call", "inputs"), _flat())
def test_value_and_dtype_are_those_of_numpy(call, inputs) -> None:
    for dtype, tolerance in ((np.float64, 1e-14), (np.float32, 1e-5)):
        arrays = [np.asarray(i, dtype) for i in inputs]
        tensors = [gk.tensor(a, requires_grad=True) for a in arrays]
        plain, traced = call(*arrays), call(*tensors)
        np.testing.assert_allclose(traced.numpy(), plain, rtol=tolerance, atol=tolerance)
        assert traced.dtype == plain.dtype
        np.sum(traced).backward()
        assert all(t.grad is None or t.grad.dtype == dtype for t in tensors)
