"""`SparseMatrix`: an immutable sparse constant (bags of words, fixed operators), and its product with dense Tensors.

Imports kernels (CSR sums and transposes), primitives and the error tree; scipy only inside the doors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit import kernels as K
from gnnkit.autodiff.nodes import defvjp
from gnnkit.autodiff.primitives import primitive
from gnnkit.autodiff.rules.reductions import sum as total
from gnnkit.autodiff.tensors import as_array, is_tensor
from gnnkit.errors import DTypeError, InvalidArgumentError, ShapeError


class SparseMatrix:
    """An immutable matrix in compressed rows (CSR) that is not differentiated.

    Parameters
    ----------
    indptr : int64 array [num_rows + 1]
        Row ``i`` holds entries ``indptr[i]`` to ``indptr[i + 1]`` (half-open).
    indices : integer array [num_entries]
        Columns, sorted and without repetition in each row.
    data : floating array [num_entries]
        The stored values; explicit zeros are kept.
    shape : (int, int)
        Rows and columns.

    Raises
    ------
    DTypeError, ShapeError, InvalidArgumentError
        If the values are not floating, or the arrays are not such rows (kernels trust them).

    Notes
    -----
    ``matrix @ dense`` gives an array for an array and a Tensor for a Tensor, differentiable in ``dense``. The
    transpose is computed at first use and kept.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> m = gk.SparseMatrix.from_scipy(sp.csr_array(np.array([[0.0, 2.0], [1.0, 0.0]])))
    >>> m
    SparseMatrix(2 x 2, 2 stored values (50.00 %), float64)
    >>> m @ np.array([[1.0], [10.0]])
    array([[20.],
           [ 1.]])
    """

    __slots__ = ("__weakref__", "_flipped", "_transpose", "data", "indices", "indptr", "shape")
    __array_ufunc__ = None  # numpy arrays leave `array @ matrix` to __rmatmul__
    ndim = 2

    def __init__(self, indptr: Any, indices: Any, data: Any, shape: tuple[int, int]) -> None:
        # the pattern is copied: kernels trust it, so nobody else may write into it
        indptr, indices, data = np.array(indptr), np.array(indices), np.asarray(data)
        rows, columns = int(shape[0]), int(shape[1])
        if indptr.shape != (rows + 1,) or indices.shape != data.shape or data.ndim != 1:
            raise ShapeError(
                f"A SparseMatrix of shape {(rows, columns)} has {rows + 1} row pointers and one index per value. "
                f"Got {indptr.shape}, {indices.shape} and {data.shape}. Use SparseMatrix.from_scipy."
            )
        _check_pattern(indptr, indices, columns)
        self._fill(indptr, indices, data, (rows, columns))

    def _fill(self, indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, shape: tuple[int, int]) -> None:
        if data.dtype.kind != "f":
            raise DTypeError(
                f"A SparseMatrix holds floating values. Got dtype {data.dtype}. "
                f"Convert them first, for example with .astype('float32')."
            )
        self.shape = shape
        self.indptr = _frozen(indptr.astype(np.int64, copy=False))
        self.indices = _frozen(indices.astype(np.int32 if shape[1] < 2**31 else np.int64, copy=False))
        self.data = _frozen(data)
        self._transpose: SparseMatrix | None = None
        # (indptr, indices, permutation) of the transpose, once known; one list for all matrices of the same pattern
        self._flipped: list[tuple[np.ndarray, ...]] = []

    @classmethod
    def trusted(cls, indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, shape: tuple[int, int]) -> SparseMatrix:
        """Wrap rows that are known to be right, without looking at them."""
        self = object.__new__(cls)
        self._fill(indptr, indices, data, shape)
        return self

    # --- doors ------------------------------------------------------------------------------------------------

    @classmethod
    def from_scipy(cls, matrix: Any, *, dtype: DTypeLike | None = None) -> SparseMatrix:
        """Return the matrix of a ``scipy.sparse`` array or matrix of any format.

        Parameters
        ----------
        matrix : scipy.sparse array or matrix
            Repeated entries are added up; explicit zeros are kept.
        dtype : dtype, optional
            Default: its own if floating, else float32 (integer counts, booleans).
        """
        import scipy.sparse

        if isinstance(matrix, SparseMatrix):
            return matrix if dtype is None else matrix.astype(dtype)
        if not scipy.sparse.issparse(matrix):
            raise InvalidArgumentError(
                f"SparseMatrix.from_scipy takes a scipy.sparse array or matrix. Got {type(matrix).__name__}. "
                f"Convert it with scipy.sparse.csr_array(...)."
            )
        if matrix.ndim != 2:
            raise ShapeError(
                f"A SparseMatrix has two axes. Got a sparse array of shape {matrix.shape}. "
                f"Make it a row or a column with .reshape."
            )
        csr = matrix.tocsr(copy=True)
        csr.sum_duplicates()
        if dtype is None and csr.dtype.kind in "iub":
            dtype = np.float32
        _check_pattern(csr.indptr, csr.indices, csr.shape[1])  # scipy itself takes columns beyond the shape
        data = csr.data if dtype is None else csr.data.astype(dtype)
        return cls.trusted(csr.indptr, csr.indices, data, csr.shape)

    def to_scipy(self) -> Any:
        """Return a ``scipy.sparse.csr_array`` that shares the arrays."""
        import scipy.sparse

        return scipy.sparse.csr_array((self.data, self.indices, self.indptr), shape=self.shape)

    def toarray(self) -> np.ndarray:
        """Return the dense matrix."""
        out = np.zeros(self.shape, self.dtype)
        out[K.expand_indptr(self.indptr), self.indices] = self.data
        return out

    # --- what it is -------------------------------------------------------------------------------------------

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def nnz(self) -> int:
        """Number of stored values."""
        return self.data.size

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        return self.data.nbytes + self.indices.nbytes + self.indptr.nbytes

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        share = f" ({100 * self.nnz / self.size:.2f} %)" if self.size else ""
        return f"SparseMatrix({self.shape[0]} x {self.shape[1]}, {self.nnz} stored values{share}, {self.dtype})"

    def __deepcopy__(self, memo: Any) -> SparseMatrix:
        return self

    # --- new matrices -----------------------------------------------------------------------------------------

    def with_data(self, data: np.ndarray) -> SparseMatrix:
        """Return a matrix of the same pattern with other values [nnz]; both share the pattern of the transpose."""
        if np.shape(data) != self.data.shape:
            raise ShapeError(
                f"Other values of a SparseMatrix must be one per stored value, shape {self.data.shape}. "
                f"Got shape {np.shape(data)}. Build a new SparseMatrix for another pattern."
            )
        new = SparseMatrix.trusted(self.indptr, self.indices, np.asarray(data), self.shape)
        new._flipped = self._flipped
        return new

    def astype(self, dtype: DTypeLike) -> SparseMatrix:
        """Return the matrix in another floating dtype; itself if it has that already."""
        return self if np.dtype(dtype) == self.dtype else self.with_data(self.data.astype(dtype))

    def take_rows(self, index: Any) -> SparseMatrix:
        """Return the matrix of the rows ``index`` (integers, a slice or a boolean mask), in that order."""
        rows = np.arange(self.shape[0])[index]
        lengths = np.diff(self.indptr)[rows]
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        picked = np.arange(indptr[-1]) + np.repeat(self.indptr[rows] - indptr[:-1], lengths)
        return SparseMatrix.trusted(indptr, self.indices[picked], self.data[picked], (rows.size, self.shape[1]))

    @property
    def T(self) -> SparseMatrix:
        """The transpose, computed once."""
        if self._transpose is None:
            if not self._flipped:  # dropout makes new values at every step; the counting sort is done once
                transposed = K.transpose_csr(self.indptr, self.indices, num_senders=self.shape[1])
                self._flipped.append(tuple(map(_frozen, transposed)))  # whole: another thread may be doing the same
            indptr, indices, permutation = self._flipped[0]
            shape = (self.shape[1], self.shape[0])
            self._transpose = SparseMatrix.trusted(indptr, indices, self.data[permutation], shape)
        return self._transpose

    def sum(self, axis: int | None = None) -> Any:
        """Return the sum of all values, or of every column (axis 0) or row (axis 1) as an array."""
        if axis is None:
            return total(self.data)
        if axis not in (0, 1, -1, -2):
            raise InvalidArgumentError(f"A SparseMatrix has axes 0 and 1. Got axis={axis!r}. Choose one of them.")
        return self.T.sum(1) if axis in (0, -2) else K.segment_sum(self.data, self.indptr)

    def __mul__(self, factor: Any) -> Any:
        """Return the matrix with every stored value times a number."""
        return self.with_data(self.data * factor) if isinstance(factor, int | float | np.number) else NotImplemented

    __rmul__ = __mul__

    def __matmul__(self, dense: Any) -> Any:
        return sparse_matmul(self, dense)

    def __rmatmul__(self, dense: Any) -> Any:
        return np.transpose(sparse_matmul(self.T, np.transpose(dense)))


def _check_pattern(indptr: np.ndarray, indices: np.ndarray, columns: int) -> None:
    for name, array in (("indptr", indptr), ("indices", indices)):
        if array.size and array.dtype.kind not in "iu":
            raise DTypeError(
                f"Row pointers and columns of a SparseMatrix are integers. Got {name} of dtype {array.dtype}. "
                f"Use SparseMatrix.from_scipy."
            )
    if indptr[0] != 0 or indptr[-1] != len(indices) or (indptr[1:] < indptr[:-1]).any():
        raise InvalidArgumentError(
            f"Row pointers of a SparseMatrix rise from 0 to the number of values, {len(indices)}. "
            f"They run from {indptr[0]} to {indptr[-1]}, or fall. Use SparseMatrix.from_scipy."
        )
    if indices.size and not (indices.min() >= 0 and indices.max() < columns):
        k = int(np.argmax((indices < 0) | (indices >= columns)))
        raise InvalidArgumentError(
            f"Columns of a SparseMatrix lie in [0, {columns}). Column {indices[k]} of value {k} does not. "
            f"Correct it, or give the true shape."
        )


def _frozen(array: np.ndarray) -> np.ndarray:
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def sparse_matmul(sparse: SparseMatrix, dense: Any) -> Any:
    """Multiply a sparse matrix with a dense one.

    Parameters
    ----------
    sparse : SparseMatrix [num_rows, num_columns]
        A constant.
    dense : array or Tensor, floating [num_columns] or [num_columns, channels]

    Returns
    -------
    array or Tensor [num_rows] or [num_rows, channels]
        In the wider dtype of the two.

    Raises
    ------
    ShapeError
        If the number of columns of one is not the number of rows of the other.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> m = gk.SparseMatrix.from_scipy(sp.eye_array(2, format="csr"))
    >>> gk.sparse_matmul(m, gk.tensor([[1.0], [2.0]]))
    Tensor([[1.],
            [2.]])
    """
    if not isinstance(sparse, SparseMatrix):
        raise InvalidArgumentError(
            f"sparse_matmul multiplies a SparseMatrix from the left. Got {type(sparse).__name__}. "
            f"Use SparseMatrix.from_scipy, or @ for dense matrices."
        )
    values = as_array(dense)
    dense = dense if is_tensor(dense) else values
    if values.ndim not in (1, 2) or values.shape[0] != sparse.shape[1]:
        raise ShapeError(
            f"A matrix of shape {sparse.shape} multiplies a dense one of {sparse.shape[1]} rows. "
            f"Got shape {values.shape}. Transpose or select rows first."
        )
    return multiply_sparse(sparse, dense, channels=bool(getattr(dense, "is_shared", False)))


@primitive
def multiply_sparse(sparse: SparseMatrix, dense: Any, *, channels: bool = False) -> Any:
    """``sparse @ dense``; the sum is one over ``channels``, which have an order, or over anything else."""
    dtype = np.result_type(sparse.dtype, dense.dtype)
    sparse = sparse.astype(dtype)
    columns = np.ascontiguousarray(dense if dense.ndim == 2 else dense[:, None], dtype=dtype)
    with K.exact_sums(K.sums_are_exact() and not channels):
        out = K.neighbour_sum(sparse.indptr, sparse.indices, columns, sparse.data)
    return out if dense.ndim == 2 else out[:, 0]


defvjp(multiply_sparse, None, lambda g, y, sparse, dense, channels=False: multiply_sparse(sparse.T, g), keep="")
multiply_sparse.op.name = "sparse_matmul"  # type: ignore[attr-defined]
