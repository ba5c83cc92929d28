"""Parameter: a tensor that belongs to a module and is learnt. May import the autodiff floor."""

from __future__ import annotations

from types import EllipsisType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from gnnkit.autodiff import Tensor
from gnnkit.autodiff.rules.linalg import rows_times
from gnnkit.errors import ShapeError
from gnnkit.kernels import sums_are_exact


class SharedTensor(Tensor):
    """A tensor that all nodes share: none of its axes counts them. ``x @ shared`` is a sum over channels.

    Channels have an order of their own, whatever the numbers of the nodes, so in :func:`gnnkit.exact_sums` that sum
    keeps to it, each row alone. Its derivative by the shared factor runs over the nodes, and has no order.
    """

    is_shared: ClassVar[bool] = True

    def __rmatmul__(self, rows: Any) -> Any:
        if sums_are_exact() and self.ndim == 2 and np.ndim(rows) > 0:
            return rows_times(rows, self)
        return super().__rmatmul__(rows)

    # Parts and other shapes of what is shared are shared; an index that is an array may count nodes or edges.

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        places = index if isinstance(index, tuple) else (index,)
        return shared(part) if all(isinstance(p, int | slice | EllipsisType | None) for p in places) else part

    def reshape(self, *shape: Any) -> Any:
        return shared(super().reshape(*shape))

    def transpose(self, *axes: Any) -> Any:
        return shared(super().transpose(*axes))

    @property
    def T(self) -> Any:
        return self.transpose()


def shared(value: Tensor) -> Tensor:
    """The same value on the same place of the tape, known to be shared by all nodes: computed from parameters alone."""
    found: Tensor = SharedTensor.__new__(SharedTensor)
    found.data, found._node, found.grad, found._name = value.data, value._node, None, None
    return found


class Parameter(SharedTensor):
    """A tensor that is learnt: a leaf of the tape with ``requires_grad=True``.

    Parameters
    ----------
    data
        Initial values, any shape, floating. The array is copied.
    decay : float
        Multiplier on an optimiser's ``weight_decay`` for this parameter: 1 for weights, 0 for biases and for the
        scales and shifts of norms, which the layers of gnnkit set themselves. Change it to decay one layer only, as
        the GCN paper does: ``model[3].weight.decay = 0.0``.
    dtype
        Floating dtype of the values, default float32.

    Examples
    --------
    >>> import gnnkit as gk
    >>> weight = gk.nn.Parameter([[1.0, 2.0]])
    >>> weight.shape, str(weight.dtype), weight.decay
    ((1, 2), 'float32', 1.0)
    """

    decay: float

    def __init__(self, data: ArrayLike, *, decay: float = 1.0, dtype: DTypeLike = np.float32) -> None:
        super().__init__(np.array(data, dtype=dtype), requires_grad=True)
        self.decay = float(decay)

    def assign(self, values: Any) -> None:
        """Overwrite the values in place, keeping shape and dtype (so every holder of this parameter sees them).

        Parameters
        ----------
        values
            Array of this parameter's shape; converted to its dtype.

        Raises
        ------
        ShapeError
            If the shape differs.
        """
        values = np.asarray(values)
        if values.shape != self.data.shape:
            raise ShapeError(
                f"A parameter keeps its shape. Assigned values of shape {list(values.shape)} to a parameter of shape "
                f"{list(self.data.shape)}. Build the layer with the sizes you need, or reshape the values."
            )
        self.data[...] = values

    def convert(self, dtype: DTypeLike) -> None:
        """Change the dtype of the values, and forget the gradient, which was of the old one."""
        learnt = self.requires_grad
        self.requires_grad = False  # the leaf on the tape knows its dtype: make a new one
        self.data = self.data.astype(dtype)
        self.grad = None
        self.requires_grad = learnt

    def __repr__(self) -> str:
        return f"Parameter(shape={list(self.shape)}, dtype={self.dtype}, decay={self.decay:g})"
