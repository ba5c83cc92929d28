"""numpy functions without a derivative: on Tensors they read the values and return plain arrays. Imports the tape."""

from __future__ import annotations

import numpy as np

from gnnkit.autodiff.nodes import PLAIN

# comparisons and tests of values
PLAIN.update(
    {np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal, np.isnan, np.isinf, np.isfinite}
)
PLAIN.update({np.signbit, np.isneginf, np.isposinf, np.allclose, np.isclose, np.array_equal, np.array_equiv, np.any})
PLAIN.update({np.all, np.logical_and, np.logical_or, np.logical_not, np.logical_xor, np.isin, np.isrealobj})
PLAIN.update({np.iscomplexobj, np.invert, np.bitwise_and, np.bitwise_or, np.bitwise_xor})
# positions and counts
PLAIN.update({np.argmax, np.argmin, np.argsort, np.argpartition, np.argwhere, np.nonzero, np.flatnonzero})
PLAIN.update({np.searchsorted, np.count_nonzero, np.unique, np.bincount, np.digitize, np.histogram, np.lexsort})
# shapes, kinds and new arrays of the same shape
PLAIN.update({np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.min_scalar_type, np.common_type})
PLAIN.update({np.zeros_like, np.ones_like, np.empty_like, np.full_like, np.shares_memory, np.may_share_memory})
# text
PLAIN.update({np.array2string, np.array_repr, np.array_str, np.save, np.savetxt})
