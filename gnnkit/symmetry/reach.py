"""Who reaches whom: exact receptive fields of any model on any graph, and how strongly each input is felt.

Imports autodiff, graph, kernels, the error tree and what this floor knows of models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit import kernels as K
from gnnkit.autodiff import Tensor, as_array, no_grad
from gnnkit.errors import DTypeError, InvalidArgumentError, InvalidGraphError, ShapeError, graph_advice, type_name
from gnnkit.graph import Graph
from gnnkit.graph.fields import is_sparse
from gnnkit.symmetry.models import answer, working_copy
from gnnkit.symmetry.subjects import as_given


@dataclass(frozen=True, eq=False)
class Influence:
    """How strongly the output of one node depends on the input of every node.

    Attributes
    ----------
    node : int
        The node whose output it is.
    values : float64 [num_nodes]
        ``sum_{c, k} |d out[node, c] / d x[u, k]|`` of every node u.
    distance : int32 [num_nodes]
        Steps from u to the node along the edges; -1 where there is no way.
    """

    node: int
    values: NDArray[np.float64]
    distance: NDArray[np.int32]

    @property
    def shares(self) -> NDArray[np.float64]:
        """The values divided by their sum; zeros if that is 0."""
        total = self.values.sum()
        return self.values / total if total > 0 else np.zeros_like(self.values)

    @property
    def by_distance(self) -> NDArray[np.float64]:
        """Share of all nodes at distance 0, 1, 2, ... together; nodes without a way to the node are left out."""
        seen = self.distance >= 0
        return np.asarray(np.bincount(self.distance[seen], weights=self.shares[seen]), np.float64)

    @property
    def mean_by_distance(self) -> NDArray[np.float64]:
        """Mean of the values over the nodes at distance 0, 1, 2, ...: how much one node there is felt."""
        seen = self.distance >= 0
        count = np.bincount(self.distance[seen])
        total = np.bincount(self.distance[seen], weights=self.values[seen])
        return np.asarray(total / np.maximum(count, 1), np.float64)

    def __str__(self) -> str:
        lines = [
            f"{d:8d}  {v:10.3e}  {s:7.2%}" for d, (v, s) in enumerate(zip(self.mean_by_distance, self.by_distance))
        ]
        return "\n".join([f"Influence on node {self.node}", "distance    per node    share", *lines])

    def __repr__(self) -> str:
        return f"Influence(node={self.node}, {np.count_nonzero(self.values)} of {len(self.values)} nodes felt)"


def influence(
    model: Any,
    graph: Graph,
    node: int,
    *,
    output: str = "nodes",
    distance: ArrayLike | None = None,
    dtype: str = "float64",
) -> Influence:
    """How strongly each node's input ``x`` is felt in the output of one node: the Jacobian, summed by reverse mode.

    Parameters
    ----------
    model : callable
        A :class:`gnnkit.nn.Module` (used as a copy in ``dtype``, in evaluation mode) or any differentiable function of
        a Graph; it returns a Graph, whose ``x`` is the output, or rows for the nodes.
    graph : Graph
        With dense floating ``x``.
    node : int
    output : str
        "nodes"; with "globals" the output is row ``node`` of the graphs' ``u``.
    distance : int [num_nodes], optional
        What counts as the distance of every node, -1 for none; default: steps to the node along the edges. To compare a
        graph with another of the same nodes, such as one with a virtual node.
    dtype : str

    Returns
    -------
    Influence
        Prints as a table over distances; :func:`gnnkit.plot.influence` draws it.

    Raises
    ------
    InvalidGraphError, DTypeError, ShapeError
        If it is no graph, its ``x`` cannot be differentiated by (sparse, integers), or ``distance`` is no such array.
    InvalidArgumentError
        If there is no such node.

    Notes
    -----
    One forward pass and one backward pass for every output channel. Measured at the given features: a ReLU that is off,
    or a maximum won by another neighbour, passes nothing; :func:`receptive_field` says what could pass.

    References
    ----------
    Xu et al., Representation learning on graphs with jumping knowledge networks, ICML 2018, definition 3.1 (influence
    score and distribution; the absolute values of the entries are summed here). Topping et al., Understanding
    over-squashing and bottlenecks on graphs via curvature, ICLR 2022.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> def average(graph):
    ...     return graph.replace(x=(graph.x + gk.message.neighbour_sum(graph.topology, graph.x)) / 3)
    >>> path = gk.path(5).replace(x=np.ones((5, 1)))
    >>> print(gk.symmetry.influence(lambda g: average(average(g)), path, 0))
    Influence on node 0
    distance    per node    share
           0   2.222e-01   40.00%
           1   2.222e-01   40.00%
           2   1.111e-01   20.00%
           3   0.000e+00    0.00%
           4   0.000e+00    0.00%
    """
    graph = _checked(graph, dtype)
    ready = working_copy(model, dtype)
    x = Tensor(as_array(graph.x), requires_grad=True)
    result = answer(ready, graph.replace(x=x), output)
    _check_node(node, len(result))
    target = result[int(node)]
    values = np.zeros(graph.num_nodes)
    if isinstance(target, Tensor) and target.requires_grad:
        for channel in np.ndindex(target.shape):
            x.grad = None
            seed = np.zeros(target.shape, target.dtype)
            seed[channel] = 1
            target.backward(seed)
            if x.grad is not None:
                values += np.abs(as_array(x.grad)).reshape(len(values), -1).sum(axis=1) if x.size else 0.0
    steps = _distance(graph, node, output) if distance is None else np.asarray(distance)
    if steps.shape != (graph.num_nodes,) or steps.dtype.kind not in "iu":
        raise ShapeError(
            f"distance must be a whole number for each of the {graph.num_nodes} nodes. Got {steps.dtype}"
            f"{list(steps.shape)}. Leave it out to count steps along the edges."
        )
    return Influence(int(node), values, steps.astype(np.int32))


def receptive_field(
    model: Any, graph: Graph, node: int, *, output: str = "nodes", dtype: str = "float64"
) -> NDArray[np.bool_]:
    """Which inputs can reach the output of one node: exactly those that the model reads for it.

    Parameters
    ----------
    model, graph, node, output, dtype
        As for :func:`influence`; the model need not be differentiable.

    Returns
    -------
    bool [num_nodes]
        True where the input ``x`` of a node takes part in the computation of the output.

    Raises
    ------
    InvalidGraphError, DTypeError, InvalidArgumentError
        As for :func:`influence`.

    Notes
    -----
    Found by poisoning: a NaN in the input of a node comes out wherever that input is read, whatever the values and
    weights are (also through a zero weight, a maximum that another wins, a ReLU that is off). Sets of nodes are halved
    until single ones are left: about 2 r log2(n) forward passes for r of n nodes. For L layers of message passing that
    each read their own state it is the set of nodes within L steps, ``gnnkit.kernels.khop``; what else shows up is
    shared beyond edges: a global state, a virtual node, statistics of the batch. A model that throws NaN away
    (``np.nan_to_num``) hides what it reads.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> def largest(graph):
    ...     return graph.replace(x=gk.message.neighbour_max(graph.topology, graph.x))
    >>> path = gk.path(5).replace(x=np.ones((5, 1)))
    >>> np.flatnonzero(gk.symmetry.receptive_field(lambda g: largest(largest(g)), path, 0))
    array([0, 2])
    """
    graph = _checked(graph, dtype)
    ready = working_copy(model, dtype)
    clean = np.array(as_array(graph.x))
    with no_grad():
        _check_node(node, len(answer(ready, graph, output)))

    def reached(poisoned: NDArray[np.int64]) -> bool:
        x = clean.copy()
        x[poisoned] = np.nan
        with no_grad(), np.errstate(all="ignore"):
            row = as_array(answer(ready, graph.replace(x=x), output))[int(node)]
        return bool(np.isnan(row).any())

    if reached(np.zeros(0, np.int64)):
        raise InvalidArgumentError(
            f"The output must be a number before an input is poisoned. Node {node} already has NaN. "
            "Find out where the model produces it."
        )
    found = np.zeros(graph.num_nodes, bool)
    found[_bisect(np.arange(graph.num_nodes), reached)] = True
    return found


def _bisect(nodes: NDArray[np.int64], reached: Callable[[NDArray[np.int64]], bool]) -> NDArray[np.int64]:
    """The nodes that reach, found by halving the sets of which some do."""
    hits, stack = [], [nodes]
    while stack:
        part = stack.pop()
        if len(part) and reached(part):
            if len(part) == 1:
                hits.append(part)
            else:
                stack += [part[: len(part) // 2], part[len(part) // 2 :]]
    return np.concatenate(hits) if hits else np.zeros(0, np.int64)


def _checked(graph: Graph, dtype: str) -> Graph:
    if not isinstance(graph, Graph):
        raise InvalidGraphError(
            f"Influence is measured on a gk.Graph. Got {type_name(graph)}. " + graph_advice(graph, "Pass a graph.")
        )
    if is_sparse(graph.x) or graph.x.dtype.kind != "f":
        kind = "sparse" if is_sparse(graph.x) else str(graph.x.dtype)
        raise DTypeError(
            f"The input x must be dense and floating to be varied. Got {kind} features. "
            "Use .toarray() or .astype('float64') first."
        )
    return as_given(graph, np.dtype(dtype))


def _check_node(node: int, count: int) -> None:
    if isinstance(node, bool) or not isinstance(node, int | np.integer) or not 0 <= node < count:
        raise InvalidArgumentError(
            f"node must be the number of a row of the output, in [0, {count}). Got {node!r}. Choose one of these."
        )


def _distance(graph: Graph, node: int, output: str) -> NDArray[np.int32]:
    if output == "globals":  # one step from every node of that graph
        return np.where(graph.node_graph == node, 1, -1).astype(np.int32)
    return K.khop(graph.topology.indptr, graph.topology.indices, np.array([node]), graph.num_nodes)
