"""Topology: who sends to whom, without features. Knows kernels and errors; nothing above floor 2.

The edges are stored once, in the canonical order (by receiver, then by sender; parallel edges by their fields
where the door had some, else in the caller's order), and never change. Everything derived from them is computed on
first use and kept.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any, NoReturn, TypeVar

import numpy as np

from gnnkit import kernels as K
from gnnkit.errors import ImmutableError, InvalidArgumentError, InvalidGraphError
from gnnkit.graph.checks import (
    as_count,
    as_index,
    check_endpoints,
    check_indptr,
    check_lengths,
    check_permutation,
    check_rows,
)

T = TypeVar("T")


def frozen(array: np.ndarray) -> np.ndarray:
    """Return a read-only view; the flags of the array that was passed stay as they are."""
    if not array.flags.writeable:
        return array
    view = array.view()
    view.flags.writeable = False
    return view


def _owned(array: np.ndarray) -> np.ndarray:
    # Kernels trust these arrays without bounds checks, so nobody else may hold a writeable reference.
    return frozen(np.array(array, copy=True))


class Topology:
    """Directed edges ``sender -> receiver`` in compressed rows by receiver; immutable.

    Parameters
    ----------
    indptr : integers [num_receivers + 1]
        The edges of receiver ``i`` are ``indptr[i] <= k < indptr[i + 1]``.
    indices : integers [num_edges]
        The sender of every edge, ascending within each row.
    num_senders : int, optional
        Number of sending nodes; equal to the number of receivers unless the topology is bipartite.
    edge_order : integers [num_edges], optional
        ``edge_order[k]`` is the caller's position of canonical edge ``k``; a permutation. Default: the identity.

    Raises
    ------
    InvalidGraphError
        When the arrays are not such rows; the text names the first offending row or edge.

    Notes
    -----
    Zero nodes and zero edges are legal. Self-loops and parallel edges are kept as they are. The arrays are
    copied and read-only; two topologies are equal if all their arrays are. Edges usually come through
    :meth:`from_edges`, which sorts them in O(num_edges + num_nodes).

    Examples
    --------
    >>> import gnnkit as gk
    >>> topology = gk.Topology.from_edges([2, 0, 1], [0, 1, 0], num_nodes=3)
    >>> topology
    Topology(num_nodes=3, num_edges=3)
    >>> topology.senders, topology.receivers
    (array([1, 2, 0], dtype=int32), array([0, 0, 1], dtype=int32))
    >>> topology.edge_order
    array([2, 0, 1])
    """

    __slots__ = ("__weakref__", "_cache", "_edge_order", "_parent", "indices", "indptr", "num_senders")

    indptr: np.ndarray
    indices: np.ndarray
    num_senders: int
    _edge_order: np.ndarray | None
    _cache: dict[Hashable, Any]
    _parent: weakref.ref[Topology] | None

    def __init__(self, indptr: Any, indices: Any, *, num_senders: int | None = None, edge_order: Any = None) -> None:
        indptr = as_index(indptr, "indptr", entry="row")
        indices = as_index(indices, "indices")
        num_receivers = check_indptr(indptr, len(indices))
        num_senders = num_receivers if num_senders is None else as_count(num_senders, "num_senders")
        check_rows(indptr, indices, num_senders)
        if edge_order is not None:
            edge_order = check_permutation(as_index(edge_order, "edge_order"), len(indices))
        index_type = np.int32 if num_senders < 2**31 else np.int64
        self._fill(
            _owned(indptr.astype(np.int64)),
            _owned(indices.astype(index_type)),
            num_senders,
            None if edge_order is None else _owned(edge_order.astype(np.int64)),
        )

    def _fill(self, indptr: np.ndarray, indices: np.ndarray, num_senders: int, edge_order: np.ndarray | None) -> None:
        put = object.__setattr__
        put(self, "indptr", frozen(indptr))
        put(self, "indices", frozen(indices))
        put(self, "num_senders", num_senders)
        put(self, "_edge_order", None if edge_order is None else frozen(edge_order))
        put(self, "_cache", {})
        put(self, "_parent", None)

    @classmethod
    def trusted(
        cls, indptr: np.ndarray, indices: np.ndarray, num_senders: int, edge_order: np.ndarray | None = None
    ) -> Topology:
        """Wrap canonical arrays without checking or copying them; for callers that computed them."""
        self = object.__new__(cls)
        self._fill(indptr, indices, num_senders, edge_order)
        return self

    @classmethod
    def from_edges(
        cls,
        senders: Any,
        receivers: Any,
        *,
        num_nodes: int | None = None,
        num_senders: int | None = None,
        num_receivers: int | None = None,
    ) -> Topology:
        """Sort the edges ``senders[k] -> receivers[k]`` into a topology.

        Parameters
        ----------
        senders, receivers : integers [num_edges]
            Node indices, in any order; the order is remembered in ``edge_order``.
        num_nodes : int, optional
            Number of nodes; or give ``num_senders`` and ``num_receivers`` for a bipartite topology.

        Raises
        ------
        DTypeError, ShapeError, InvalidGraphError
            When indices are not integers, the lengths disagree, or an index is out of range; the text names the
            first offending edge.
        """
        if num_nodes is not None:
            if num_senders is not None or num_receivers is not None:
                raise InvalidArgumentError(
                    "Give either num_nodes, or num_senders and num_receivers. Got both. Drop one of them."
                )
            num_senders = num_receivers = as_count(num_nodes, "num_nodes")
        if num_senders is None or num_receivers is None:
            raise InvalidArgumentError(
                "The number of nodes must be given, it is never guessed from the largest index. "
                f"Got num_nodes=None, num_senders={num_senders}, num_receivers={num_receivers}. Pass num_nodes=."
            )
        num_senders, num_receivers = as_count(num_senders, "num_senders"), as_count(num_receivers, "num_receivers")
        senders, receivers = as_index(senders, "senders"), as_index(receivers, "receivers")
        check_lengths(senders, receivers)
        check_endpoints(senders, receivers, num_senders=num_senders, num_receivers=num_receivers)
        return cls.sort(senders, receivers, num_senders=num_senders, num_receivers=num_receivers)

    @classmethod
    def sort(cls, senders: np.ndarray, receivers: np.ndarray, *, num_senders: int, num_receivers: int) -> Topology:
        """Like :meth:`from_edges` for arrays that are known to be valid."""
        if _is_canonical(senders, receivers):  # as saved graphs are: no sort, nothing to compile
            indptr = np.zeros(num_receivers + 1, np.int64)
            np.cumsum(np.bincount(receivers, minlength=num_receivers), out=indptr[1:])
            return cls.trusted(indptr, senders.astype(np.int32 if num_senders < 2**31 else np.int64), num_senders)
        indptr, indices, order = K.build_csr(senders, receivers, num_receivers=num_receivers, num_senders=num_senders)
        return cls.trusted(indptr, indices, num_senders, None if _is_identity(order) else order)

    # ------------------------------------------------------------------ counts and edges
    @property
    def num_receivers(self) -> int:
        """Number of receiving nodes."""
        return len(self.indptr) - 1

    @property
    def num_edges(self) -> int:
        """Number of directed edges, parallel ones counted each."""
        return len(self.indices)

    @property
    def is_bipartite(self) -> bool:
        """Whether senders and receivers are different numbers of nodes."""
        return self.num_senders != len(self.indptr) - 1

    @property
    def num_nodes(self) -> int:
        """Number of nodes; an error if senders and receivers are different sets."""
        if self.is_bipartite:
            raise InvalidGraphError(
                "num_nodes must be one number, so senders and receivers must be the same nodes. This topology is "
                f"bipartite: {self.num_senders} senders, {self.num_receivers} receivers. "
                "Use num_senders or num_receivers."
            )
        return self.num_senders

    @property
    def senders(self) -> np.ndarray:
        """Sender of every edge, int32/int64 [num_edges], canonical order."""
        return self.indices

    @property
    def receivers(self) -> np.ndarray:
        """Receiver of every edge, int32/int64 [num_edges], canonical order (ascending)."""
        return self.cached("receivers", lambda: frozen(K.expand_indptr(self.indptr)))

    @property
    def edge_order(self) -> np.ndarray:
        """int64 [num_edges]: ``edge_order[k]`` is the caller's position of canonical edge ``k``."""
        if self._edge_order is not None:
            return self._edge_order
        return self.cached("edge_order", lambda: frozen(np.arange(self.num_edges, dtype=np.int64)))

    @property
    def is_caller_ordered(self) -> bool:
        """Whether the caller's order is already the canonical one."""
        return self._edge_order is None

    @property
    def caller_order(self) -> np.ndarray:
        """int64 [num_edges], the inverse of ``edge_order``: canonical position of the caller's edge."""
        if self._edge_order is None:
            return self.edge_order
        return self.cached("caller_order", lambda: frozen(inverse_permutation(self.edge_order)))

    @property
    def graph_ptr(self) -> np.ndarray | None:
        """First node of every graph where the edges themselves tell; a list of edges does not, None."""
        return None

    def edges_before(self, nodes: np.ndarray) -> np.ndarray:
        """Number of edges received by the nodes before each of ``nodes``."""
        return self.indptr[nodes]

    def signature(self) -> tuple[np.ndarray, ...]:
        """Arrays that tell this topology from any other, for checksums."""
        return self.indptr, self.indices

    # ------------------------------------------------------------------ what follows from the edges
    def in_degree(self) -> np.ndarray:
        """Number of incoming edges of every receiver, int64 [num_receivers]."""
        return self.cached("in_degree", lambda: frozen(np.diff(self.indptr)))

    def out_degree(self) -> np.ndarray:
        """Number of outgoing edges of every sender, int64 [num_senders]."""
        return self.cached(
            "out_degree", lambda: frozen(np.bincount(self.indices, minlength=self.num_senders).astype(np.int64))
        )

    def transpose(self) -> Topology:
        """The same edges reversed, canonical for itself, in the same order of the caller; cached.

        ``t.transpose().transpose()`` is ``t`` while ``t`` lives.
        """
        parent = self._parent() if self._parent is not None else None
        return self._transposed()[0] if parent is None else parent

    @property
    def transpose_permutation(self) -> np.ndarray:
        """int64 [num_edges]: edge ``k`` of the transpose is edge ``transpose_permutation[k]`` here."""
        parent = self._parent() if self._parent is not None else None
        if parent is None:
            return self._transposed()[1]
        return self.cached("transpose_permutation", lambda: frozen(inverse_permutation(parent.transpose_permutation)))

    def _transposed(self) -> tuple[Topology, np.ndarray]:
        return self.cached("transpose", self._build_transpose)

    def _build_transpose(self) -> tuple[Topology, np.ndarray]:
        indptr, indices, permutation = K.transpose_csr(self.indptr, self.indices, num_senders=self.num_senders)
        order = permutation if self._edge_order is None else self._edge_order[permutation]
        other = Topology.trusted(indptr, indices, self.num_receivers, order)
        object.__setattr__(other, "_parent", weakref.ref(self))  # weak: no reference cycle keeps big arrays alive
        return other, frozen(permutation)

    def is_symmetric(self) -> bool:
        """Whether every edge ``a -> b`` has as many partners ``b -> a``; False for a bipartite topology."""
        return self.cached("is_symmetric", self._check_symmetric)

    def _check_symmetric(self) -> bool:
        if self.is_bipartite or not np.array_equal(self.in_degree(), self.out_degree()):
            return False
        return np.array_equal(self.transpose().indices, self.indices)

    def self_loops(self) -> np.ndarray:
        """Boolean [num_edges], canonical order: which edges go from a node to itself."""
        _ = self.num_nodes  # refuses a bipartite topology, where equal indices are different nodes
        return self.cached("self_loops", lambda: frozen(self.indices == self.receivers))

    def has_self_loops(self) -> bool:
        """Whether any edge goes from a node to itself."""
        return bool(self.self_loops().any())

    def cached(self, key: Hashable, build: Callable[[], T]) -> T:
        """Return the value kept under ``key``, calling ``build()`` the first time.

        For what depends on the edges alone: degrees, normalisation, kernel plans.
        """
        try:
            return self._cache[key]
        except KeyError:
            return self._cache.setdefault(key, build())

    # ------------------------------------------------------------------ protocol
    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise ImmutableError(f"A Topology never changes. Got an assignment to {name!r}. Build another Topology.")

    def __delattr__(self, name: str) -> NoReturn:
        raise ImmutableError(f"A Topology never changes. Got a deletion of {name!r}. Build another Topology.")

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Topology):
            return NotImplemented
        return (
            self.num_senders == other.num_senders
            and np.array_equal(self.indptr, other.indptr)
            and np.array_equal(self.indices, other.indices)
            and (self._edge_order is other._edge_order or np.array_equal(self.edge_order, other.edge_order))
        )

    def __hash__(self) -> int:
        return hash((self.num_senders, self.num_receivers, self.num_edges))

    def __copy__(self) -> Topology:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Topology:
        return self

    def __reduce__(self) -> tuple[Any, ...]:  # worker processes receive graphs; caches stay behind
        return Topology.trusted, (self.indptr, self.indices, self.num_senders, self._edge_order)

    def __repr__(self) -> str:
        nodes = (
            f"num_senders={self.num_senders}, num_receivers={self.num_receivers}"
            if self.is_bipartite
            else f"num_nodes={self.num_senders}"
        )
        return f"Topology({nodes}, num_edges={self.num_edges})"


def inverse_permutation(order: np.ndarray) -> np.ndarray:
    """Return ``inverse`` with ``inverse[order[k]] == k``, int64."""
    inverse = np.empty(len(order), np.int64)
    inverse[order] = np.arange(len(order), dtype=np.int64)
    return inverse


def _is_canonical(senders: np.ndarray, receivers: np.ndarray) -> bool:
    step = receivers[1:] > receivers[:-1]
    same = receivers[1:] == receivers[:-1]
    return bool((step | (same & (senders[1:] >= senders[:-1]))).all())


def _is_identity(order: np.ndarray) -> bool:
    if len(order) and order[0] != 0:
        return False
    return bool((order[1:] > order[:-1]).all())  # an ascending permutation is the identity
