"""The product of rows in plain numpy: the specification of kernels/row_products.py. Imports only numpy.

BLAS rounds a row by the number of rows it is given and by its place among them. So it is given ``ROWS`` of them at
every call, zeros among them if need be, which numpy's own loop over a stack does without a line of Python for each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Few enough for one tile of the kernels of usual libraries: then all rows are treated alike. (From 16 on, OpenBLAS
# gives a row of float64 other bits at other places of a block, if it is multiplied by more than 192 columns.)
ROWS = 8


def row_product(x: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    rows, inner = x.shape
    blocks = -(-rows // ROWS)
    if blocks * ROWS > rows:
        x = np.concatenate([x, np.zeros((blocks * ROWS - rows, inner), x.dtype)])
    x, b = np.ascontiguousarray(x), np.ascontiguousarray(b)  # BLAS rounds a transposed factor in another way
    return np.matmul(x.reshape(blocks, ROWS, inner), b).reshape(blocks * ROWS, b.shape[1])[:rows]
