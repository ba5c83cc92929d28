"""Rules of products and linear algebra: matmul, einsum, tensordot, solve, inv, det, norm. Imports the tape, numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.autodiff.nodes import defvjp, implements, op_of
from gnnkit.autodiff.primitives import primitive
from gnnkit.autodiff.protocols import array_like
from gnnkit.autodiff.rules.reductions import sum as axis_sum
from gnnkit.autodiff.tensors import as_array
from gnnkit.errors import InvalidArgumentError
from gnnkit.kernels import contract_rows as array_contract_rows
from gnnkit.kernels import matmul as array_matmul

# --- products ---------------------------------------------------------------------------------------------------
op_of(np.matmul).forward = array_matmul  # every row alone: the same bits in a batch, for every number of threads


def _product(a: Any, b: Any) -> Any:
    return array_matmul(a, b) if type(a) is type(b) is np.ndarray else np.matmul(a, b)


def _matmul_left(g: Any, y: Any, a: Any, b: Any) -> Any:
    if a.ndim == 1:
        return g * b if b.ndim == 1 else _product(b, g[..., None])[..., 0]
    if b.ndim == 1:
        return g[..., None] * b
    return _product(g, np.swapaxes(b, -1, -2))


def _matmul_right(g: Any, y: Any, a: Any, b: Any) -> Any:
    if b.ndim == 1:
        return g * a if a.ndim == 1 else _product(np.swapaxes(a, -1, -2), g[..., None])[..., 0]
    if a.ndim == 1:
        return a[:, None] * g[..., None, :]
    if b.ndim == 2:  # a sum over all rows, however many axes they have
        if a.ndim > 2:
            a, g = np.reshape(a, (-1, a.shape[-1])), np.reshape(g, (-1, g.shape[-1]))
        return _rows_contracted(a, g)
    return _product(np.swapaxes(a, -1, -2), g)


def _rows_contracted(a: Any, b: Any) -> Any:
    return array_contract_rows(a, b) if type(a) is type(b) is np.ndarray else contract_rows(a, b)


@primitive
def contract_rows(a: Any, b: Any) -> Any:
    """``a.T @ b``: the derivative of a product of rows by its right factor."""
    return array_contract_rows(a, b)


defvjp(np.matmul, _matmul_left, _matmul_right, keep="01")
defvjp(
    contract_rows,
    lambda g, y, a, b: _product(b, np.swapaxes(g, -1, -2)),
    lambda g, y, a, b: _product(a, g),
    keep="01",
)


@primitive
def rows_times(rows: Any, matrix: Any) -> Any:
    """``rows @ matrix`` where no axis of the matrix counts nodes: summed in its order, also where sums are exact."""
    return K.rows_times(rows, matrix)


defvjp(rows_times, lambda g, y, rows, matrix: rows_times(g, np.swapaxes(matrix, 0, 1)), _matmul_right, keep="01")
rows_times.op.name = "matmul"  # type: ignore[attr-defined]


@implements(np.dot)
def dot(a: Any, b: Any) -> Any:
    if as_array(a).ndim == 0 or as_array(b).ndim == 0:
        return np.multiply(a, b)
    if as_array(b).ndim <= 2:
        return np.matmul(a, b)
    return np.tensordot(a, b, axes=(-1, -2))


@implements(np.vdot)
def vdot(a: Any, b: Any) -> Any:
    return np.matmul(np.reshape(a, -1), np.reshape(b, -1))


@implements(np.inner)
def inner(a: Any, b: Any) -> Any:
    if as_array(a).ndim == 0 or as_array(b).ndim == 0:
        return np.multiply(a, b)
    return np.tensordot(a, b, axes=(-1, -1))


@implements(np.outer)
def outer(a: Any, b: Any) -> Any:
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


@implements(np.kron)
def kron(a: Any, b: Any) -> Any:
    """`np.kron` of two matrices."""
    a, b = array_like(a), array_like(b)
    (m, n), (p, q) = a.shape, b.shape
    return np.reshape(np.reshape(a, (m, 1, n, 1)) * np.reshape(b, (1, p, 1, q)), (m * p, n * q))


@implements(np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    a, b = array_like(a), array_like(b)
    if isinstance(axes, int | np.integer):
        left, right = list(range(a.ndim - axes, a.ndim)), list(range(axes))
    else:
        left, right = (np.atleast_1d(x).tolist() for x in axes)
    left, right = [i % a.ndim for i in left], [i % b.ndim for i in right]
    rest_a, rest_b = [i for i in range(a.ndim) if i not in left], [i for i in range(b.ndim) if i not in right]
    size = int(np.prod([a.shape[i] for i in left]))
    rows = np.reshape(np.transpose(a, rest_a + left), (int(np.prod([a.shape[i] for i in rest_a])), size))
    columns = np.reshape(np.transpose(b, right + rest_b), (size, int(np.prod([b.shape[i] for i in rest_b]))))
    return np.reshape(np.matmul(rows, columns), tuple(a.shape[i] for i in rest_a) + tuple(b.shape[i] for i in rest_b))


@implements(np.einsum)
def einsum(subscripts: str, *operands: Any, optimize: Any = False) -> Any:
    """`np.einsum` with subscripts as a string, without ellipsis and without a letter twice in one operand."""
    inputs, _, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if "->" not in subscripts:
        letters = sorted(set(inputs) - {","})
        output = "".join(c for c in letters if inputs.count(c) == 1)
    if "." in subscripts or any(len(set(t)) < len(t) for t in terms) or len(terms) != len(operands):
        raise InvalidArgumentError(
            f"np.einsum on Tensors takes one term of different letters per operand. Got {subscripts!r} with "
            f"{len(operands)} operands. Write every axis as its own letter; take diagonals with np.diagonal first."
        )
    return contract(*operands, terms=tuple(terms), output=output)


@primitive
def contract(*operands: Any, terms: tuple[str, ...], output: str) -> Any:
    if K.sums_are_exact() and np.result_type(*operands).kind == "f":
        return _exact_contract(operands, terms, output)
    return np.einsum(f"{','.join(terms)}->{output}", *operands, optimize=len(operands) > 2)


def _exact_contract(operands: Any, terms: tuple[str, ...], output: str) -> Any:
    """All products as one array with an axis for every letter, and one sum over the letters that the output lacks.

    Two factors that a matrix product multiplies go that way: no such array is made.
    """
    found = _as_matmul(operands, terms, output)
    if found is not None:
        return found
    letters = output + "".join(sorted(set("".join(terms)) - set(output)))
    product: Any = np.float64(1.0)
    for operand, term in zip(operands, terms):
        order = sorted(range(len(term)), key=lambda i: letters.index(term[i]))
        lengths = dict(zip(term, np.shape(operand)))
        aligned = np.transpose(operand, order).reshape([lengths.get(c, 1) for c in letters])
        product = product * aligned.astype(np.float64)
    total = K.axis_sum(product, tuple(range(len(output), len(letters))))
    return np.asarray(total).astype(np.result_type(*operands))


def _as_matmul(operands: Any, terms: tuple[str, ...], output: str) -> Any:
    """The contraction of two operands as one matrix product; None where it is none, or a sum of sums."""
    if len(operands) != 2:
        return None
    lengths = [dict(zip(term, np.shape(operand))) for operand, term in zip(operands, terms)]
    both = set(terms[0]) & set(terms[1])
    inner = "".join(c for c in terms[0] if c in both and c not in output)
    alone = [c for c in "".join(terms) if c not in both]
    if both & set(output) or not inner or not set(alone) <= set(output):
        return None
    if any(lengths[0][c] != lengths[1][c] for c in both):  # of length 1 in one of them
        return None
    size = math.prod(lengths[0][c] for c in inner)
    left, right = ("".join(c for c in term if c not in both) for term in terms)
    a, b = (
        np.transpose(operand, [term.index(c) for c in order])
        for operand, term, order in zip(operands, terms, (left + inner, inner + right))
    )
    shapes = [[lengths[i][c] for c in letters] for i, letters in enumerate((left, right))]
    rows, columns = map(math.prod, shapes)
    product = K.matmul(a.reshape(rows, size), b.reshape(size, columns)).reshape(shapes[0] + shapes[1])
    return np.transpose(product, [(left + right).index(c) for c in output])


def _contract_rule(i: int, g: Any, y: Any, *operands: Any, terms: tuple[str, ...], output: str) -> Any:
    """The adjoint of one operand is again a contraction: of ``g`` with the others, then spread over lost letters."""
    mine = terms[i]
    others = [o for k, o in enumerate(operands) if k != i]
    other_terms = tuple(t for k, t in enumerate(terms) if k != i)
    seen = set(output).union(*other_terms)
    found = "".join(c for c in mine if c in seen)
    part = contract(g, *others, terms=(output, *other_terms), output=found)
    # summed away in this operand alone, or of length 1 in all others
    lengths = dict(zip(found, part.shape))
    part = np.reshape(part, tuple(lengths.get(c, 1) for c in mine))
    return np.broadcast_to(part, np.broadcast_shapes(part.shape, operands[i].shape))


contract.op.name = "einsum"  # type: ignore[attr-defined]
defvjp(contract, each=_contract_rule, broadcasts=True)  # axes of length 1 broadcast


# --- linear systems ---------------------------------------------------------------------------------------------
@implements(np.linalg.inv)
@primitive
def inv(a: Any) -> Any:
    return np.linalg.inv(a)


def _t(m: Any) -> Any:
    return np.swapaxes(m, -1, -2)


defvjp(inv, lambda g, y, a: -np.matmul(np.matmul(_t(y), g), _t(y)), keep="y")


@implements(np.linalg.solve)
@primitive
def solve(a: Any, b: Any) -> Any:
    return np.linalg.solve(a, b)


def _solve_right(g: Any, y: Any, a: Any, b: Any) -> Any:
    return np.linalg.solve(_t(a), g)


def _solve_left(g: Any, y: Any, a: Any, b: Any) -> Any:
    h = np.linalg.solve(_t(a), g)
    return -h[..., None] * y[..., None, :] if b.ndim == 1 else -np.matmul(h, _t(y))


defvjp(solve, _solve_left, _solve_right, keep="0y", broadcasts=True)


@implements(np.linalg.det)
@primitive
def det(a: Any) -> Any:
    return np.linalg.det(a)


defvjp(det, lambda g, y, a: (g * y)[..., None, None] * _t(np.linalg.inv(a)), keep="0y")


@implements(np.linalg.cholesky)
@primitive
def cholesky(a: Any) -> Any:
    return np.linalg.cholesky(a)


def _cholesky_rule(g: Any, y: Any, a: Any) -> Any:
    """Murray (2016), Differentiation of the Cholesky decomposition, equation 9, symmetrised."""
    phi = np.tril(np.matmul(_t(y), g)) * (1.0 - 0.5 * np.eye(y.shape[-1], dtype=y.dtype))
    inner_part = np.linalg.solve(_t(y), _t(np.linalg.solve(_t(y), _t(phi))))
    return 0.5 * (inner_part + _t(inner_part))


defvjp(cholesky, _cholesky_rule, keep="y")


# --- norms ------------------------------------------------------------------------------------------------------
@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Euclidean (Frobenius), 1-, inf- and p-norm; the derivative of the Euclidean norm at 0 is 0."""
    matrix = (axis is None and x.ndim == 2) or isinstance(axis, tuple | list)
    if ord is None or (ord == "fro" and matrix) or (ord == 2 and not matrix):
        return euclidean(x, tuple(axis) if isinstance(axis, list) else axis, keepdims)
    if matrix or not isinstance(ord, int | float) or ord <= 0:
        raise InvalidArgumentError(
            f"np.linalg.norm on Tensors is the Frobenius norm of matrices or a vector norm of positive order. "
            f"Got ord={ord!r} for shape {x.shape}, axis={axis}. Choose one of these."
        )
    size = np.absolute(x)
    if ord == np.inf:
        return np.max(size, axis=axis, keepdims=keepdims)
    total = axis_sum(size if ord == 1 else np.power(size, ord), axis, keepdims)
    return total if ord == 1 else np.power(total, 1.0 / ord)


@primitive
def euclidean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.sqrt(axis_sum(x * x, axis, keepdims))


def _euclidean_rule(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    from gnnkit.autodiff.rules.reductions import spread

    zero = as_array(y) == 0
    return spread(np.where(zero, 0.0, g / np.where(zero, 1.0, y)), x, axis) * x


euclidean.op.name = "norm"  # type: ignore[attr-defined]
defvjp(euclidean, _euclidean_rule, keep="0y")
