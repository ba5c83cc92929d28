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
from gnnkit.autodiff.tensors import as_array
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
        self.shape = (int(shape[0]), int(shape[1]))
        self.indptr = _frozen(np.asarray(indptr, np.int64))
        small = self.shape[1] < 2**31
        self.indices = _frozen(np.asarray(indices, np.int32 if small else np.int64))
        self.data = _frozen(np.asarray(data))
        self._transpose: SparseMatrix | None = None
        # indptr, indices and permutation of the transpose; one list for all matrices of the same pattern
        self._flipped: list[np.ndarray] = []
        if self.data.dtype.kind != "f":
            raise DTypeError(
                f"A SparseMatrix holds floating values. Got dtype {self.data.dtype}. "
                f"Convert them first, for example with .astype('float32')."
            )
        if self.indptr.shape != (self.shape[0] + 1,) or self.indices.shape != self.data.shape or self.data.ndim != 1:
            raise ShapeError(
                f"A SparseMatrix of shape {self.shape} has {self.shape[0] + 1} row pointers and one index per value. "
                f"Got {self.indptr.shape}, {self.indices.shape} and {self.data.shape}. Use SparseMatrix.from_scipy."
            )

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
        csr = matrix.tocsr(copy=True)
        csr.sum_duplicates()
        if dtype is None and csr.dtype.kind in "iub":
            dtype = np.float32
        return cls(csr.indptr, csr.indices, csr.data if dtype is None else csr.data.astype(dtype), csr.shape)

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
        new = SparseMatrix(self.indptr, self.indices, data, self.shape)
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
        return SparseMatrix(indptr, self.indices[picked], self.data[picked], (rows.size, self.shape[1]))

    @property
    def T(self) -> SparseMatrix:
        """The transpose, computed once."""
        if self._transpose is None:
            if not self._flipped:  # dropout makes new values at every step; the counting sort is done once
                transposed = K.transpose_csr(self.indptr, self.indices, num_senders=self.shape[1])
                self._flipped.extend(map(_frozen, transposed))
            indptr, indices, permutation = self._flipped
            self._transpose = SparseMatrix(indptr, indices, self.data[permutation], (self.shape[1], self.shape[0]))
        return self._transpose

    def sum(self, axis: int | None = None) -> Any:
        """Return the sum of all values, or of every column (axis 0) or row (axis 1) as an array."""
        if axis is None:
            return self.data.sum()
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
    if values.ndim not in (1, 2) or values.shape[0] != sparse.shape[1]:
        raise ShapeError(
            f"A matrix of shape {sparse.shape} multiplies a dense one of {sparse.shape[1]} rows. "
            f"Got shape {values.shape}. Transpose or select rows first."
        )
    return multiply_sparse(sparse, dense)


@primitive
def multiply_sparse(sparse: SparseMatrix, dense: Any) -> Any:
    dtype = np.result_type(sparse.dtype, dense.dtype)
    sparse = sparse.astype(dtype)
    columns = np.ascontiguousarray(dense if dense.ndim == 2 else dense[:, None], dtype=dtype)
    out = K.neighbour_sum(sparse.indptr, sparse.indices, columns, sparse.data)
    return out if dense.ndim == 2 else out[:, 0]


defvjp(multiply_sparse, None, lambda g, y, sparse, dense: multiply_sparse(sparse.T, g), keep="")
multiply_sparse.op.name = "sparse_matmul"  # type: ignore[attr-defined]
