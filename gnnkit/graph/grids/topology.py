"""GridTopology: who sends to whom on a regular grid, by rule instead of by list. Knows kernels' plans and Topology."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from gnnkit.errors import DTypeError, InvalidArgumentError, InvalidGraphError, ShapeError, type_name
from gnnkit.graph.grids.explicit import degrees, image_num_edges, list_edges
from gnnkit.graph.grids.grid import Grid
from gnnkit.graph.grids.hexagonal import check_hexagonal
from gnnkit.graph.grids.masks import receiver_mask
from gnnkit.graph.grids.parts import Plan, build_plan
from gnnkit.graph.grids.recent import Recent
from gnnkit.graph.grids.stencil import Stencil
from gnnkit.graph.topology import Topology, frozen


class GridTopology(Topology):
    """The edges of a stencil on a grid, computed when they are asked for and never stored before.

    Parameters
    ----------
    sender_grid : Grid
    stencil : Stencil
    receiver_grid : Grid, optional
        The sizes must be those that the stencil gives. Default: every cell of these whose window holds a
        sender, or no cell even without a mask; the sender grid itself where sizes stay the same at stride 1, so that a
        mask stays as it is.

    Attributes
    ----------
    sender_grid, receiver_grid : Grid
    stencil : Stencil
    is_transposed : bool
        Whether the stencil leads from the receivers to the senders: this is the transpose of a topology.
    num_offsets : int
        Number of weights K of the stencil.
    parts : tuple of gnnkit.kernels.StencilPart
        The plan that the stencil kernels run. Of images of one size it is as large as for one of them; with a mask, and
        of small images of many sizes, it has an entry per edge.

    Raises
    ------
    InvalidArgumentError, ShapeError, DTypeError
        When grid and stencil do not fit together.

    Notes
    -----
    Everything that holds for a :class:`Topology` holds here: ``indptr``, ``indices``, ``receivers`` and what is
    built on them are computed at the first use and kept. The canonical order is by receiver, sender and, where a
    border folds several offsets onto one sender (parallel edges), by offset. Prefer :func:`grid_topology`, which
    gives the same object for equal arguments, so that plans are shared.

    Examples
    --------
    >>> import gnnkit as gk
    >>> from gnnkit.graph import Grid, GridTopology, Stencil
    >>> topology = GridTopology(Grid((28, 28), num_graphs=64), Stencil(3, ndim=2))
    >>> topology
    GridTopology(28 x 28, 64 images, kernel 3 x 3, num_edges=430336)
    >>> small = GridTopology(Grid((3,)), Stencil(3, ndim=1))
    >>> small.senders, small.receivers, small.offset
    (array([0, 1, 0, 1, 2, 1, 2], dtype=int32), array([0, 0, 1, 1, 1, 2, 2], dtype=int32),
     array([1, 2, 0, 1, 2, 0, 1], dtype=int32))
    """

    __slots__ = ("_bipartite", "_num_receivers", "is_transposed", "receiver_grid", "sender_grid", "stencil")

    sender_grid: Grid
    receiver_grid: Grid
    stencil: Stencil
    is_transposed: bool
    _bipartite: bool
    _num_receivers: int

    def __init__(self, sender_grid: Grid, stencil: Stencil, receiver_grid: Grid | None = None) -> None:
        _check_kinds(sender_grid, stencil, receiver_grid)
        derived = receiving_grid(sender_grid, stencil)
        if receiver_grid is None:
            receiver_grid = derived
        elif receiver_grid.sizes != derived.sizes or receiver_grid.lattice != derived.lattice:
            raise ShapeError(
                f"The receiver grid must have the sizes that the stencil gives, {derived!r}. Got {receiver_grid!r}. "
                "Leave receiver_grid out, or correct stride and padding."
            )
        self._place(sender_grid, stencil, receiver_grid, transposed=False)

    def _place(self, senders: Grid, stencil: Stencil, receivers: Grid, *, transposed: bool) -> None:
        put = object.__setattr__
        put(self, "sender_grid", senders)
        put(self, "receiver_grid", receivers)
        put(self, "stencil", stencil)
        put(self, "is_transposed", transposed)
        put(self, "num_senders", senders.num_nodes)
        put(self, "_num_receivers", receivers.num_nodes)
        put(self, "_bipartite", senders != receivers)
        put(self, "_edge_order", None)
        put(self, "_cache", {})
        put(self, "_parent", None)

    @classmethod
    def trusted(
        cls, indptr: np.ndarray, indices: np.ndarray, num_senders: int, edge_order: np.ndarray | None = None
    ) -> Topology:
        """Listed edges are a plain Topology."""
        return Topology.trusted(indptr, indices, num_senders, edge_order)

    # ------------------------------------------------------------------ the rule
    @property
    def num_offsets(self) -> int:
        """Number of weights K of the stencil."""
        return self.stencil.num_offsets

    @property
    def parts(self) -> Plan:
        """The plan for the stencil kernels."""
        return self.cached("parts", self._build_parts)

    def _build_parts(self) -> Plan:
        return build_plan(self.sender_grid, self.receiver_grid, self.stencil, reverse=self.is_transposed)

    @property
    def grid(self) -> Grid:
        """The one grid of senders and receivers; an error if they differ."""
        if self._bipartite:
            raise InvalidGraphError(
                "Senders and receivers must lie on one grid to speak of it. This topology leads from "
                f"{self.sender_grid!r} to {self.receiver_grid!r}. Use sender_grid or receiver_grid."
            )
        return self.sender_grid

    # ------------------------------------------------------------------ counts
    @property
    def num_receivers(self) -> int:
        """Number of receiving nodes."""
        return self._num_receivers

    @property
    def is_bipartite(self) -> bool:
        """Whether senders and receivers are different grids."""
        return self._bipartite

    @property
    def num_edges(self) -> int:
        """Number of directed edges; no edge is listed for it."""
        return self.cached("num_edges", self._count_edges)

    def _count_edges(self) -> int:
        if self.sender_grid.mask is None and self.receiver_grid.mask is None:
            return int(self._edges_of_images().sum())
        return sum(int((part.table >= 0).sum()) * len(part.sender_base) for part in self.parts)

    def _edges_of_images(self) -> np.ndarray:
        """Number of edges of every image, where there is no mask."""
        grid = self.receiver_grid if self.is_transposed else self.sender_grid
        if grid.is_uniform:
            return np.full(grid.num_graphs, image_num_edges(grid.size, self.stencil))
        return np.array([image_num_edges(size, self.stencil) for size in grid.sizes])

    @property
    def graph_ptr(self) -> np.ndarray | None:
        """First node of every image and at the end num_nodes; None if senders and receivers differ."""
        return None if self._bipartite else self.sender_grid.node_ptr

    def edges_before(self, nodes: np.ndarray) -> np.ndarray:
        """Number of edges received by the nodes before each of ``nodes``; no edge is listed for it."""
        whole = self.sender_grid.mask is None and self.receiver_grid.mask is None
        if whole and np.array_equal(nodes, self.receiver_grid.node_ptr):
            return np.concatenate([[0], np.cumsum(self._edges_of_images())])
        return self.indptr[nodes]

    def signature(self) -> tuple[np.ndarray, ...]:
        """Arrays that tell this topology from any other, for checksums; no edge is listed for it."""
        rule = f"{self.stencil!r} {self.is_transposed}".encode()
        grids = (self.sender_grid, self.receiver_grid)
        masks = [np.zeros(0, bool) if grid.mask is None else grid.mask for grid in grids]
        sizes = [np.array(grid.sizes, np.int64) for grid in grids]
        return np.frombuffer(rule, np.uint8), *sizes, *masks

    def in_degree(self) -> np.ndarray:
        """Number of incoming edges of every receiver, int64 [num_receivers]."""
        return self.cached("in_degree", lambda: frozen(degrees(self.parts, self.num_receivers)))

    def out_degree(self) -> np.ndarray:
        """Number of outgoing edges of every sender, int64 [num_senders]."""
        return self.transpose().in_degree()

    # ------------------------------------------------------------------ the edges, when asked for
    @property
    def indptr(self) -> np.ndarray:  # type: ignore[override]
        """int64 [num_receivers + 1]: the edges of receiver i are indptr[i] <= k < indptr[i + 1]."""
        return self.cached("indptr", self._build_indptr)

    def _build_indptr(self) -> np.ndarray:
        indptr = np.zeros(self.num_receivers + 1, np.int64)
        np.cumsum(self.in_degree(), out=indptr[1:])
        return frozen(indptr)

    @property
    def indices(self) -> np.ndarray:  # type: ignore[override]
        """Sender of every edge, int32/int64 [num_edges], canonical order."""
        return self._edges()[0]

    @property
    def offset(self) -> np.ndarray:
        """int32 [num_edges]: which weight every edge uses, canonical order."""
        return self._edges()[1]

    def _edges(self) -> tuple[np.ndarray, np.ndarray]:
        return self.cached("edges", self._build_edges)

    def _build_edges(self) -> tuple[np.ndarray, np.ndarray]:
        senders, offset = list_edges(self.parts, self.indptr, self.num_senders)
        return frozen(senders), frozen(offset)

    def to_explicit(self) -> tuple[Topology, np.ndarray]:
        """The same edges as a plain topology, and the offset id of each.

        Returns
        -------
        topology : Topology
        offset : int32 [num_edges]
            Canonical order: by receiver, sender and offset.
        """
        plain = self.cached("explicit", lambda: Topology.trusted(self.indptr, self.indices, self.num_senders))
        return plain, self.offset

    # ------------------------------------------------------------------ the transpose
    def transpose(self) -> GridTopology:
        """The same edges reversed: a view in which senders and receivers change places; cached."""
        parent = self._parent() if self._parent is not None else None
        return parent if parent is not None else self.cached("transpose", self._turned)  # type: ignore[return-value]

    def _turned(self) -> GridTopology:
        other = object.__new__(GridTopology)
        other._place(self.receiver_grid, self.stencil, self.sender_grid, transposed=not self.is_transposed)
        object.__setattr__(other, "_parent", weakref.ref(self))
        return other

    @property
    def transpose_permutation(self) -> np.ndarray:
        """int64 [num_edges]: edge ``k`` of the transpose is edge ``transpose_permutation[k]`` here."""
        return self.cached("transpose_permutation", self._build_permutation)

    def _build_permutation(self) -> np.ndarray:
        # Sorted by sender, receiver and offset: the canonical order of the transpose.
        order = np.lexsort((self.offset, self.receivers, self.indices))
        return frozen(order.astype(np.int64))

    # ------------------------------------------------------------------ batches
    def part(self, i: int) -> GridTopology:
        """The topology of image ``i`` alone."""
        senders, receivers = self.sender_grid.image(i), self.receiver_grid.image(i)
        return make_topology(senders, self.stencil, receivers, self.is_transposed)

    # ------------------------------------------------------------------ protocol
    def __eq__(self, other: object) -> bool:
        if isinstance(other, GridTopology) and self._key() == other._key():
            return True
        return super().__eq__(other)

    __hash__ = Topology.__hash__

    def _key(self) -> tuple[Any, ...]:
        return self.sender_grid, self.receiver_grid, self.stencil, self.is_transposed

    def __reduce__(self) -> tuple[Any, ...]:
        return make_topology, (self.sender_grid, self.stencil, self.receiver_grid, self.is_transposed)

    def __repr__(self) -> str:
        image_grid = self.receiver_grid if self.is_transposed else self.sender_grid
        parts = [image_grid._sizes_text()]
        if image_grid.mask is not None:
            parts.append(f"num_nodes={image_grid.num_nodes}")
        parts.append(self.stencil.describe())
        if self.is_transposed:
            parts.append("transposed")
        return f"GridTopology({', '.join(parts)}, num_edges={self.num_edges})"


def receiving_grid(grid: Grid, stencil: Stencil) -> Grid:
    """The grid of receivers of a stencil on ``grid``."""
    if grid.is_uniform:
        size = stencil.output_size(grid.size)
        same = size == grid.size
    else:
        sizes = tuple(stencil.output_size(size) for size in grid.sizes)
        same = sizes == grid.sizes
    if same and all(step == 1 for step in stencil.stride):
        return grid
    if grid.is_uniform:
        mask = None if grid.mask is None else receiver_mask(grid, stencil, (size,) * grid.num_graphs)
        return Grid.uniform(size, grid.num_graphs, mask=mask, lattice=grid.lattice)
    mask = None if grid.mask is None else receiver_mask(grid, stencil, sizes)
    return Grid.trusted(sizes, mask=mask, lattice=grid.lattice)


def grid_topology(sender_grid: Grid, stencil: Stencil, receiver_grid: Grid | None = None) -> GridTopology:
    """The topology of a stencil on a grid; the same object for equal arguments, so that plans are shared.

    Parameters and errors are those of :class:`GridTopology`.

    Examples
    --------
    >>> from gnnkit.graph import Grid, Stencil, grid_topology
    >>> grid_topology(Grid((8, 8)), Stencil(3, ndim=2)) is grid_topology(Grid((8, 8)), Stencil(3, ndim=2))
    True
    """
    _check_kinds(sender_grid, stencil, receiver_grid)
    key = sender_grid, stencil, receiver_grid
    return _recent.get(key, lambda: GridTopology(*key), _plan_bytes)


# Training on masks or sizes that never come again must not fill the memory with their plans.
_recent: Recent[GridTopology] = Recent(most=256, most_bytes=1 << 29)


def _plan_bytes(topology: GridTopology) -> int:
    """About how many bytes the plans of a topology and of its transpose weigh: as much as a table of every edge.

    Images of one size without a mask share the small plan of one image.
    """
    grid = topology.sender_grid
    if grid.is_uniform and grid.mask is None and topology.receiver_grid.mask is None:
        return 0
    return 8 * topology.num_offsets * max(topology.num_senders, topology.num_receivers)


def make_topology(senders: Grid, stencil: Stencil, receivers: Grid, transposed: bool) -> GridTopology:
    """The interned topology between two grids that are known to fit the stencil, or its transpose."""
    if transposed:
        return make_topology(receivers, stencil, senders, False).transpose()
    if receivers == receiving_grid(senders, stencil):
        return grid_topology(senders, stencil)
    return grid_topology(senders, stencil, receivers)


def _check_kinds(grid: Any, stencil: Any, receivers: Any) -> None:
    if type(grid) is Grid and type(stencil) is Stencil and (receivers is None or type(receivers) is Grid):
        if grid.ndim == len(stencil.kernel_size) and grid.lattice == stencil.lattice == "square":
            return  # the usual case, on the way of every layer
    else:
        odd = grid if type(grid) is not Grid else stencil if type(stencil) is not Stencil else receivers
        raise DTypeError(
            "A GridTopology must be built from a Grid, a Stencil and, if need be, a receiver Grid. "
            f"Got {type_name(odd)}. Write for instance GridTopology(Grid((28, 28)), Stencil(3, ndim=2))."
        )
    if grid.lattice != stencil.lattice:
        raise InvalidArgumentError(
            f"Grid and stencil must have the same lattice. The grid is {grid.lattice}, the stencil {stencil.lattice}. "
            f"Build the stencil with lattice={grid.lattice!r}."
        )
    if grid.ndim != stencil.ndim:
        raise ShapeError(
            f"Grid and stencil must have the same number of axes. The grid has {grid.ndim}, the stencil "
            f"{stencil.ndim}. Build the stencil with ndim={grid.ndim}."
        )
    for size in {grid.size} if grid.is_uniform else set(grid.sizes):
        if grid.lattice == "hexagonal":
            check_hexagonal(size, stencil.border)
