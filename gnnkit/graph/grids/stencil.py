"""Stencil: which cells a receiver hears, and the number of the weight for each. Knows the errors and borders."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from gnnkit.errors import InvalidArgumentError, ShapeError, unknown_name
from gnnkit.graph.grids.arguments import as_padding, common_ndim, per_axis, size_text
from gnnkit.graph.topology import frozen

BORDERS = ("zero", "wrap", "reflect", "edge")
LATTICES = ("square", "hexagonal")


@dataclass(frozen=True, init=False, repr=False)
class Stencil:
    """The neighbourhood of a grid topology: kernel size, stride, dilation, padding, border. Hashable.

    Parameters
    ----------
    kernel_size : int or one int per axis
        Number of cells the kernel covers. On a hexagonal lattice an odd number 2 r + 1: all cells within r steps.
    ndim : int, optional
        Number of axes, 1 to 3; needed unless an argument lists one entry per axis.
    stride, dilation : int or one int per axis
        Step between receivers, and between the cells of the kernel.
    padding : "same", "valid", int, one int per axis, or a pair (before, after) per axis
        How far receivers may reach over the edge of the image. "same" gives ceil(size / stride) receivers; where
        the padding is odd there is one more cell behind (as in TensorFlow and in torch's "same").
    border : {"zero", "wrap", "reflect", "edge"}
        What is found beyond the edge: nothing, or the cell that ``numpy.pad`` with mode "wrap" (a torus), "reflect"
        (the cell at the edge not repeated; "mirror" in scipy.ndimage) or "edge" ("nearest" in scipy) would copy.
    lattice : {"square", "hexagonal"}
        Hexagonal: two axes, stride and dilation 1, padding "same", border "zero" or "wrap".

    Attributes
    ----------
    num_offsets : int
        Number of weights K.
    offsets : int64 [K, ndim]
        Cell of the kernel in steps of ``dilation`` from its first corner, in C order: receiver ``r`` hears cell
        ``r * stride + offsets[k] * dilation - pad_before``. On a hexagonal lattice the axial steps (row, diagonal)
        from the centre.

    Raises
    ------
    InvalidArgumentError, ShapeError, DTypeError, UnknownNameError
        When an argument is out of range, or lists another number of axes than the others.

    Examples
    --------
    >>> import gnnkit as gk
    >>> stencil = gk.graph.Stencil(3, ndim=2, stride=2)
    >>> stencil
    Stencil(kernel 3 x 3, stride 2 x 2)
    >>> stencil.num_offsets, stencil.output_size((28, 27))
    (9, (14, 14))
    """

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: str | tuple[tuple[int, int], ...]
    border: str
    lattice: str

    def __init__(
        self,
        kernel_size: Any,
        *,
        ndim: int | None = None,
        stride: Any = 1,
        dilation: Any = 1,
        padding: Any = "same",
        border: str = "zero",
        lattice: str = "square",
    ) -> None:
        listed = {"kernel_size": kernel_size, "stride": stride, "dilation": dilation, "padding": padding}
        if lattice == "hexagonal" and ndim is None:
            ndim = 2
        ndim = common_ndim(ndim, listed)
        if border not in BORDERS:
            raise unknown_name("border", border, BORDERS)
        if lattice not in LATTICES:
            raise unknown_name("lattice", lattice, LATTICES)
        put = object.__setattr__
        put(self, "kernel_size", per_axis(kernel_size, "kernel_size", ndim))
        put(self, "stride", per_axis(stride, "stride", ndim))
        put(self, "dilation", per_axis(dilation, "dilation", ndim))
        put(self, "padding", as_padding(padding, ndim))
        put(self, "border", border)
        put(self, "lattice", lattice)
        put(self, "_hash", hash((self.kernel_size, self.stride, self.dilation, self.padding, border, lattice)))
        if lattice == "hexagonal":
            _check_hexagonal(self)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.kernel_size)

    @property
    def radius(self) -> int:
        """Number of steps from the centre; for a hexagonal lattice."""
        return self.kernel_size[0] // 2

    @property
    def num_offsets(self) -> int:
        """Number of weights K."""
        if self.lattice == "hexagonal":
            return 1 + 3 * self.radius * (self.radius + 1)
        return math.prod(self.kernel_size)

    @property
    def offsets(self) -> np.ndarray:
        """int64 [num_offsets, ndim]: the cells of the kernel, in C order."""
        return _offsets(self)

    def output_size(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """Number of receivers along every axis of an image of this size.

        Raises
        ------
        ShapeError
            When the kernel does not fit into the padded image; an axis of size 0 stays empty instead.
        """
        if len(size) != self.ndim:
            raise ShapeError(
                f"A stencil must have as many axes as the image. The stencil has {self.ndim} (kernel "
                f"{size_text(self.kernel_size)}), the image {len(size)} ({size_text(size)}). "
                f"Use a stencil of ndim={len(size)}."
            )
        if self.padding == "same":
            return tuple(-(-n // s) for n, s in zip(size, self.stride))
        return tuple(self._output_length(axis, n, size) for axis, n in enumerate(size))

    def _output_length(self, axis: int, length: int, size: tuple[int, ...]) -> int:
        reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
        room = length + sum(self.padding[axis])  # type: ignore[arg-type]
        if room >= reach:
            return (room - reach) // self.stride[axis] + 1
        if length == 0:
            return 0
        raise ShapeError(
            f"The kernel must fit into the padded image. Along axis {axis} the kernel covers {reach} cells, the image "
            f"of size {size_text(size)} has {room} with its padding. "
            "Use a smaller kernel or dilation, more padding, or padding='same'."
        )

    def pads(self, size: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """(before, after) of every axis for an image of this size; what "same" means depends on the size."""
        if not isinstance(self.padding, str):
            return self.padding
        pads = []
        for n, k, s, d in zip(size, self.kernel_size, self.stride, self.dilation):
            total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            pads.append((total // 2, total - total // 2))
        return tuple(pads)

    def __hash__(self) -> int:
        return self._hash  # type: ignore[attr-defined, no-any-return]

    def __reduce__(self) -> tuple[Any, ...]:
        fields = self.kernel_size, self.stride, self.dilation, self.padding, self.border, self.lattice
        return _rebuild, fields

    def describe(self) -> str:
        """What differs from the defaults, as a person would say it."""
        parts = [f"kernel {size_text(self.kernel_size)}"]
        for name, values in (("stride", self.stride), ("dilation", self.dilation)):
            if any(value != 1 for value in values):
                parts.append(f"{name} {size_text(values)}")
        if not isinstance(self.padding, str):
            pairs = [str(b) if a == b else f"{a}+{b}" for a, b in self.padding]
            parts.append(f"padding {' x '.join(pairs)}")
        if self.border != "zero":
            parts.append(f"border {self.border}")
        if self.lattice != "square":
            parts.append(self.lattice)
        return ", ".join(parts)

    def __repr__(self) -> str:
        return f"Stencil({self.describe()})"


def _rebuild(kernel_size: Any, stride: Any, dilation: Any, padding: Any, border: str, lattice: str) -> Stencil:
    return Stencil(kernel_size, stride=stride, dilation=dilation, padding=padding, border=border, lattice=lattice)


@lru_cache(maxsize=256)
def _offsets(stencil: Stencil) -> np.ndarray:
    if stencil.lattice == "square":
        return frozen(np.indices(stencil.kernel_size).reshape(stencil.ndim, -1).T.astype(np.int64).copy())
    r = stencil.radius
    steps = [(row, q) for row in range(-r, r + 1) for q in range(-r, r + 1) if abs(row + q) <= r]
    return frozen(np.array(steps, np.int64).reshape(-1, 2))


def _check_hexagonal(stencil: Stencil) -> None:
    kernel = stencil.kernel_size
    if len(kernel) != 2 or kernel[0] != kernel[1] or kernel[0] % 2 == 0:
        raise InvalidArgumentError(
            "On a hexagonal lattice kernel_size must be one odd number 2 r + 1 (all cells within r steps) for 2 axes. "
            f"Got {size_text(kernel)}. Give for instance kernel_size=3, the six neighbours and the cell itself."
        )
    if stencil.padding != "same" or set(stencil.stride + stencil.dilation) != {1}:
        raise InvalidArgumentError(
            "On a hexagonal lattice stride and dilation must be 1 and padding 'same'. Got "
            f"{stencil.describe()}. Leave them out, and reach further with a larger kernel_size."
        )
    if stencil.border not in ("zero", "wrap"):
        raise InvalidArgumentError(
            f"On a hexagonal lattice the border must be 'zero' or 'wrap'. Got {stencil.border!r}. Choose one of them."
        )
