"""Doors of the kernels that move columns of matrices: copied, joined, added, beside zeros. Imports only floor 0.

numpy does this row by row in one thread, which for narrow columns costs several times their bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from gnnkit.kernels import backend
from gnnkit.kernels.arrays import FAST_FLOATS, empty, read_only
from gnnkit.kernels.parallel import parallel_rows

SHORT = 1 << 15  # numbers that numpy has moved before a kernel is loaded
AT_ONCE = 4  # matrices that are joined in one pass
ROW = 8  # a row takes as long as so many numbers, however narrow it is


def copy_columns(source: NDArray[Any], begin: int, width: int, out: NDArray[Any], place: int) -> None:
    """Write columns ``begin .. begin + width`` of ``source`` into columns ``place ..`` of ``out``, on several threads.

    Parameters
    ----------
    source, out : float [num_rows, ...columns]
        C-contiguous matrices of one dtype.
    begin, width, place : int

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> out = np.zeros((1, 3))
    >>> K.copy_columns(np.array([[1.0, 2.0, 3.0, 4.0]]), 2, 2, out, 1)
    >>> out
    array([[0., 3., 4.]])
    """
    if not _is_fast(out):
        out[:, place : place + width] = source[:, begin : begin + width]
        return
    args = (read_only(source), begin, width, out, place)
    parallel_rows(_loops().copy_columns, len(out), args, width=width + ROW)


def join_columns(parts: Sequence[NDArray[Any]], out: NDArray[Any]) -> None:
    """Write matrices side by side into the first columns of ``out``, all in one pass over its rows.

    Parameters
    ----------
    parts : sequence of float [num_rows, ...columns]
        C-contiguous matrices of one dtype, that of ``out``.
    out : float [num_rows, ...columns]
        C-contiguous. What is right of the parts keeps its values.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> out = np.zeros((1, 4))
    >>> K.join_columns([np.array([[1.0, 2.0]]), np.array([[3.0]])], out)
    >>> out
    array([[1., 2., 3., 0.]])
    """
    place = 0
    for first in range(0, len(parts), AT_ONCE):
        some = parts[first : first + AT_ONCE]
        width = sum(part.shape[1] for part in some)
        if _is_fast(out):
            nothing = np.empty((len(out), 0), out.dtype)
            sources = map(read_only, [*some, *[nothing] * (AT_ONCE - len(some))])
            args = (*sources, out, place)
            parallel_rows(_loops().join_columns, len(out), args, width=2 * width + ROW * len(some))
        else:
            np.concatenate(some, axis=1, out=out[:, place : place + width])
        place += width


def add_columns(source: NDArray[Any], out: NDArray[Any], place: int) -> None:
    """Add ``source`` to the columns ``place ..`` of ``out``.

    Parameters
    ----------
    source, out : float [num_rows, ...columns]
        Matrices of one dtype.
    place : int

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> out = np.ones((1, 3))
    >>> K.add_columns(np.array([[4.0, 8.0]]), out, 1)
    >>> out
    array([[1., 5., 9.]])
    """
    width = source.shape[1]
    if not _is_fast(out):
        out[:, place : place + width] += source
        return
    parallel_rows(_loops().add_columns, len(out), (read_only(source), out, place), width=2 * width + ROW)


def pad_columns(source: NDArray[Any], width: int, place: int) -> NDArray[Any]:
    """A matrix of ``width`` columns with ``source`` [num_rows, columns] from column ``place`` on, and zeros elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.pad_columns(np.array([[1.0, 2.0]]), 4, 1)
    array([[0., 1., 2., 0.]])
    """
    shape = (len(source), width)
    if len(source) * width < SHORT or not _is_fast(source):
        out = np.zeros(shape, source.dtype)
        out[:, place : place + source.shape[1]] = source
        return out
    out = empty(shape, source.dtype)
    parallel_rows(_loops().pad_columns, len(out), (read_only(source), out, place), width=width + ROW)
    return out


def contiguous(array: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in C order: ``array`` itself where they are; columns of a matrix are copied on several threads.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.contiguous(np.arange(6.0).reshape(2, 3)[:, 1:]).flags.c_contiguous
    True
    """
    array = np.asarray(array)
    if array.flags.c_contiguous or array.ndim != 2 or array.size < SHORT or not _is_fast(array):
        return np.asarray(array, order="C")
    step, rest = divmod(array.strides[0], array.itemsize)
    if rest or step < array.shape[1] or array.strides[1] != array.itemsize or not array.flags.aligned:
        return np.asarray(array, order="C")
    # the matrix of these columns and of what lies between them; its last row may seem to end behind the memory
    rows = as_strided(array, (len(array), step), writeable=False)
    out = empty(array.shape, array.dtype)
    copy_columns(rows, 0, array.shape[1], out, 0)
    return out


def _is_fast(array: NDArray[Any]) -> bool:
    return array.dtype in FAST_FLOATS and backend.current_backend() != "numpy"


def _loops() -> Any:
    return backend.loops("column_parts")
