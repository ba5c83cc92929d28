"""Grid: the cells of one image or of a batch of images, which of them exist, and their order as nodes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import numpy as np

from gnnkit.errors import ImmutableError, InvalidArgumentError, ShapeError, unknown_name
from gnnkit.graph.checks import as_count
from gnnkit.graph.grids.arguments import as_size, is_integer, items_of, size_text
from gnnkit.graph.grids.masks import as_mask
from gnnkit.graph.grids.stencil import LATTICES
from gnnkit.graph.topology import frozen

T = TypeVar("T")
Size = tuple[int, ...]


class Grid:
    """Regular cells along 1, 2 or 3 axes, of one image or of several; frozen, hashable by value.

    Parameters
    ----------
    sizes : one size, or a list of sizes
        ``(height, width)`` for one image, ``[(h, w), (h, w), ...]`` for a batch of any sizes. Zeros are legal.
    mask : bool array, optional
        Which cells exist (True). Of the shape of one image (then for every image of the batch), of the whole batch
        ``[num_graphs, *size]``, flat ``[num_cells]``, or a list with one array per image.
    lattice : {"square", "hexagonal"}
        Hexagonal: 2 axes, odd rows shifted to the right by half a cell.
    num_graphs : int, optional
        Number of images of the one size given; 0 is legal.

    Attributes
    ----------
    sizes : tuple of sizes, one per image
    ndim, num_graphs, num_cells, num_nodes : int
    mask : None or bool [num_cells]
        None where every cell exists.
    node_ptr, cell_ptr : int64 [num_graphs + 1]
        First node and first cell of every image, and at the end their number.

    Raises
    ------
    ShapeError, DTypeError, InvalidArgumentError
        When sizes have different numbers of axes, or the mask another shape.

    Notes
    -----
    Nodes are the cells that exist, in C order, one image after another: a batch of images of one size without a
    mask is a reshape of ``[num_graphs, *size, channels]``. A mask without any cell is legal and gives no nodes.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.graph.Grid((28, 28), num_graphs=64)
    Grid(28 x 28, 64 images, num_nodes=50176)
    >>> gk.graph.Grid((2, 2), mask=[[True, False], [True, True]]).coordinates()
    array([[0, 0],
           [1, 0],
           [1, 1]])
    """

    __slots__ = ("__weakref__", "_cache", "_hash", "_size", "_sizes", "lattice", "mask", "ndim", "num_graphs")

    lattice: str
    mask: np.ndarray | None
    ndim: int
    num_graphs: int
    _cache: dict[str, Any]
    _hash: int
    _size: Size | None
    _sizes: tuple[Size, ...] | None

    def __init__(self, sizes: Any, *, mask: Any = None, lattice: str = "square", num_graphs: int | None = None) -> None:
        if lattice not in LATTICES:
            raise unknown_name("lattice", lattice, LATTICES)
        self._fill(*_read_sizes(sizes, num_graphs), lattice)
        if lattice == "hexagonal" and self.ndim != 2:
            raise InvalidArgumentError(
                f"A hexagonal grid must have 2 axes. Got {self.ndim}. Give (rows, columns), or lattice='square'."
            )
        if mask is not None:
            self._set_mask(as_mask(mask, self))

    def _fill(self, size: Size | None, sizes: tuple[Size, ...] | None, num_graphs: int, lattice: str) -> None:
        put = object.__setattr__
        put(self, "_size", size)
        put(self, "_sizes", sizes)
        put(self, "num_graphs", num_graphs)
        put(self, "ndim", len(size if size is not None else sizes[0]))  # type: ignore[index]
        put(self, "lattice", lattice)
        put(self, "mask", None)
        put(self, "_cache", {})
        put(self, "_hash", hash((size if size is not None else sizes, num_graphs, lattice)))

    def _set_mask(self, mask: np.ndarray) -> None:
        if mask.all():  # the same grid as without a mask, and equal to it
            return
        object.__setattr__(self, "mask", frozen(mask))
        object.__setattr__(self, "_hash", hash((self._hash, mask.tobytes())))

    @classmethod
    def trusted(cls, sizes: tuple[Size, ...], *, mask: np.ndarray | None, lattice: str) -> Grid:
        """Build from at least one size and a flat mask, without checks."""
        self = object.__new__(cls)
        first = sizes[0]
        uniform = all(size == first for size in sizes)
        self._fill(first if uniform else None, None if uniform else sizes, len(sizes), lattice)
        if mask is not None:
            self._set_mask(mask)
        return self

    @classmethod
    def uniform(cls, size: Size, num_graphs: int, *, mask: np.ndarray | None = None, lattice: str = "square") -> Grid:
        """Build from one size and a flat mask, without checks."""
        self = object.__new__(cls)
        self._fill(size, None, num_graphs, lattice)
        if mask is not None:
            self._set_mask(mask)
        return self

    # ------------------------------------------------------------------ sizes and counts
    @property
    def is_uniform(self) -> bool:
        """Whether all images have the same size."""
        return self._size is not None

    @property
    def size(self) -> Size:
        """The size of every image; an error if they differ."""
        if self._size is None:
            raise ShapeError(
                f"The images must have one size to speak of it. This grid has {self._sizes_text()}. "
                "Use grid.sizes, one per image."
            )
        return self._size

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The size of every image."""
        if self._sizes is not None:
            return self._sizes
        return (self.size,) * self.num_graphs

    @property
    def num_cells(self) -> int:
        """Number of cells of all images, whether they exist or not."""
        if self._size is not None:
            return self.num_graphs * math.prod(self._size)
        return int(self.cell_ptr[-1])

    @property
    def num_nodes(self) -> int:
        """Number of cells that exist."""
        return self.num_cells if self.mask is None else int(self.node_ptr[-1])

    @property
    def cell_ptr(self) -> np.ndarray:
        """int64 [num_graphs + 1]: first cell of every image, and at the end num_cells."""
        return self._cached("cell_ptr", self._build_cell_ptr)

    def _build_cell_ptr(self) -> np.ndarray:
        if self._size is not None:
            return frozen(np.arange(self.num_graphs + 1, dtype=np.int64) * math.prod(self._size))
        counts = [math.prod(size) for size in self.sizes]
        return frozen(np.cumsum([0, *counts], dtype=np.int64))

    @property
    def node_ptr(self) -> np.ndarray:
        """int64 [num_graphs + 1]: first node of every image, and at the end num_nodes."""
        if self.mask is None:
            return self.cell_ptr
        return self._cached("node_ptr", self._build_node_ptr)

    def _build_node_ptr(self) -> np.ndarray:
        assert self.mask is not None
        before = np.zeros(self.num_cells + 1, np.int64)
        np.cumsum(self.mask, out=before[1:])
        return frozen(before[self.cell_ptr])

    @property
    def node_of_cell(self) -> np.ndarray | None:
        """int64 [num_cells]: the node of every cell, -1 where none exists; None if there is no mask."""
        if self.mask is None:
            return None
        return self._cached("node_of_cell", self._build_node_of_cell)

    def _build_node_of_cell(self) -> np.ndarray:
        assert self.mask is not None
        return frozen(np.where(self.mask, np.cumsum(self.mask) - 1, -1))

    @property
    def cell_of_node(self) -> np.ndarray:
        """int64 [num_nodes]: the cell of every node, counted over all images."""
        return self._cached("cell_of_node", self._build_cell_of_node)

    def _build_cell_of_node(self) -> np.ndarray:
        return frozen(np.arange(self.num_cells) if self.mask is None else np.flatnonzero(self.mask))

    def coordinates(self) -> np.ndarray:
        """int64 [num_nodes, ndim]: position of every node in its image, such as (row, column)."""
        parts = [np.indices(size).reshape(self.ndim, -1).T for size in self._distinct_sizes()]
        known = dict(zip(self._distinct_sizes(), parts))
        if self._size is not None:
            cells = np.tile(known[self._size], (self.num_graphs, 1))
        else:
            cells = np.concatenate([known[size] for size in self.sizes])
        return (cells if self.mask is None else cells[self.mask]).astype(np.int64)

    def _distinct_sizes(self) -> list[Size]:
        return [self._size] if self._size is not None else list(dict.fromkeys(self.sizes))

    def image(self, i: int) -> Grid:
        """The grid of image ``i`` alone; negative numbers count from the end."""
        if not -self.num_graphs <= i < self.num_graphs:
            raise InvalidArgumentError(
                f"An image must be one of the {self.num_graphs} of the grid. Got number {i}. Count from 0."
            )
        i %= self.num_graphs
        if self.mask is None and self._size is not None:
            return Grid.uniform(self._size, 1, lattice=self.lattice)
        mask = None if self.mask is None else self.mask[self.cell_ptr[i] : self.cell_ptr[i + 1]]
        size = self.sizes[i] if self._size is None else self._size
        return Grid.uniform(size, 1, mask=mask, lattice=self.lattice)

    def without_mask(self) -> Grid:
        """The same grid with every cell."""
        if self.mask is None:
            return self
        if self._size is not None:
            return Grid.uniform(self._size, self.num_graphs, lattice=self.lattice)
        return Grid.trusted(self.sizes, mask=None, lattice=self.lattice)

    # ------------------------------------------------------------------ protocol
    def _cached(self, key: str, build: Callable[[], T]) -> T:
        try:
            return self._cache[key]
        except KeyError:
            return self._cache.setdefault(key, build())

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Grid):
            return NotImplemented
        return (
            self._hash == other._hash
            and self._size == other._size
            and self.num_graphs == other.num_graphs
            and self.lattice == other.lattice
            and self._sizes == other._sizes
            and (self.mask is other.mask or (_same(self.mask, other.mask)))
        )

    def __hash__(self) -> int:
        return self._hash

    def __copy__(self) -> Grid:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Grid:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._size, self._sizes, self.num_graphs, self.mask, self.lattice)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise ImmutableError(f"A Grid never changes. Got an assignment to {name!r}. Build another Grid.")

    def _sizes_text(self) -> str:
        if self._size is None:
            return f"{self.num_graphs} images of {len(set(self.sizes))} sizes"
        images = "" if self.num_graphs == 1 else f", {self.num_graphs} images"
        return size_text(self._size) + images

    def __repr__(self) -> str:
        lattice = "" if self.lattice == "square" else f", {self.lattice}"
        return f"Grid({self._sizes_text()}{lattice}, num_nodes={self.num_nodes})"


def _rebuild(size: Any, sizes: Any, num_graphs: int, mask: Any, lattice: str) -> Grid:
    if sizes is not None:
        return Grid.trusted(sizes, mask=mask, lattice=lattice)
    return Grid.uniform(size, num_graphs, mask=mask, lattice=lattice)


def _same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is not None and other is not None and np.array_equal(one, other)


def _read_sizes(sizes: Any, num_graphs: Any) -> tuple[Size | None, tuple[Size, ...] | None, int]:
    """The common size, or else every size; and the number of images."""
    if is_integer(sizes):
        sizes = (sizes,)
    values = items_of(sizes, "sizes")
    if values and all(is_integer(item) for item in values):
        return as_size(values), None, 1 if num_graphs is None else as_count(num_graphs, "num_graphs")
    if num_graphs is not None:
        raise InvalidArgumentError(
            f"num_graphs must come with one size for all images. Got num_graphs={num_graphs} with {len(values)} sizes. "
            "Leave num_graphs out, or give one size."
        )
    if not values:
        raise InvalidArgumentError(
            "A grid must know its number of axes. Got an empty list of sizes. "
            "Give the size the images would have, as in Grid((28, 28), num_graphs=0)."
        )
    many = tuple(as_size(item) for item in values)
    odd = next((i for i, size in enumerate(many) if len(size) != len(many[0])), None)
    if odd is not None:
        raise ShapeError(
            f"All images of a grid must have the same number of axes. Image 0 has {len(many[0])}, image {odd} has "
            f"{len(many[odd])}. Give sizes of equal length."
        )
    if all(size == many[0] for size in many):
        return many[0], None, len(many)
    return None, many, len(many)
