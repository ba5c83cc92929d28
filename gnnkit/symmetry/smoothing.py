"""Over-smoothing, measured: how much neighbours differ, layer by layer. Imports autodiff, graph, kernels and errors."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit import kernels as K
from gnnkit.autodiff import as_array, no_grad
from gnnkit.errors import InvalidArgumentError, InvalidGraphError, ShapeError, graph_advice, type_name
from gnnkit.graph import Graph
from gnnkit.graph.fields import is_sparse
from gnnkit.symmetry.models import working_copy
from gnnkit.symmetry.subjects import as_given


def dirichlet_energy(
    graph: Graph,
    x: ArrayLike | None = None,
    *,
    normalised: bool = True,
    relative: bool = False,
    per_graph: bool = False,
) -> Any:
    """How much the features of neighbours differ, summed over the edges.

    ``1/2 sum_{j -> i} |x_i / sqrt(1 + d_i) - x_j / sqrt(1 + d_j)|^2``, d the number of incoming edges; with
    ``normalised=False`` the factors are left out. Every undirected edge, held in both directions, counts once.

    Parameters
    ----------
    graph : Graph
    x : array [num_nodes, ...], optional
        Features; default: ``graph.x``.
    normalised : bool
        Divide by the square root of 1 + degree, as GCN does: its repeated application ends in features proportional to
        these roots, whose energy is 0. With False, energy 0 means equal features in every connected part.
    relative : bool
        Divide by ``sum_i |x_i|^2`` (Rayleigh quotient): not lowered by weights that merely shrink all features. 0 if
        all features are 0.
    per_graph : bool
        Return one number for each graph of a batch instead of their sum.

    Returns
    -------
    float, or float64 [num_graphs]

    Raises
    ------
    InvalidGraphError
        If it is no graph.
    ShapeError
        If ``x`` has another number of rows than there are nodes.

    Notes
    -----
    Computed in double precision, in blocks of channels, so that few values per edge are held at once. Self-loops add
    nothing but to the degree; parallel edges count each. No nodes, edges or channels: 0. Not differentiable: it is a
    measure.

    References
    ----------
    Cai and Wang, A note on over-smoothing for graph neural networks, 2020 (normalised; they count a self-loop of every
    node, which is the 1 here). Rusch et al., A survey on oversmoothing in graph neural networks, 2023 (not normalised;
    they divide by the number of nodes and count each undirected edge twice).

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.symmetry.dirichlet_energy(gk.path(3), np.array([[0.0], [1.0], [3.0]]), normalised=False)
    5.0
    >>> path = gk.path(3)
    >>> smooth = np.sqrt(1.0 + path.topology.in_degree())
    >>> gk.symmetry.dirichlet_energy(path, smooth[:, None]) < 1e-30
    True
    """
    values = _features(graph, x)
    topology = graph.topology
    degree = np.asarray(topology.in_degree(), np.float64)
    if normalised:
        values = values / np.sqrt(1.0 + degree)[:, None]
    # Differences, not |a|^2 + |b|^2 - 2ab: no digits cancel where neighbours are almost equal, which is the point here.
    energy = np.zeros(graph.num_nodes)
    width = max(1, (1 << 22) // max(topology.num_edges, 1))
    for start in range(0, values.shape[1], width):
        block = values[:, start : start + width]
        difference = np.take(block, topology.senders, axis=0) - np.take(block, topology.receivers, axis=0)
        energy += K.segment_sum(np.einsum("ij,ij->i", difference, difference), topology.indptr) / 2
    total = _per_graph(energy, graph)
    if not per_graph:
        total = total.sum(keepdims=True)
    if relative:
        own = _features(graph, x)
        size = _per_graph(np.einsum("ij,ij->i", own, own), graph)
        size = size if per_graph else size.sum(keepdims=True)
        total = np.divide(total, size, out=np.zeros_like(total), where=size > 0)
    return total if per_graph else float(total[0])


def _per_graph(values: NDArray[Any], graph: Graph) -> NDArray[np.float64]:
    """Sum of one number per node over each graph of a batch."""
    return np.asarray(np.bincount(graph.node_graph, weights=values, minlength=graph.num_graphs), np.float64)


def mean_average_distance(graph: Graph, x: ArrayLike | None = None) -> float:
    """Mean cosine distance between each node and its neighbours: 0 where all neighbours point the same way.

    Parameters
    ----------
    graph : Graph
    x : array [num_nodes, ...], optional
        Features; default: ``graph.x``.

    Returns
    -------
    float
        In [0, 2]; 0 without edges.

    Raises
    ------
    InvalidGraphError, ShapeError
        As :func:`dirichlet_energy`.

    Notes
    -----
    The distance of a node with features 0 to another is 1. Averaged over the neighbours whose distance is not 0, then
    over the nodes that have such. It needs a row per edge.

    References
    ----------
    Chen et al., Measuring and relieving the over-smoothing problem for graph neural networks, AAAI 2020: their MAD with
    the edges as mask; the zeros that they leave out of the means are taken as those below 1e-12.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.symmetry.mean_average_distance(gk.path(3), np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 5.0]]))
    1.0
    """
    values = _features(graph, x)
    length = np.sqrt(np.einsum("ij,ij->i", values, values))
    values = values / np.where(length > 0, length, 1.0)[:, None]
    topology = graph.topology
    cosine = np.einsum("ij,ij->i", values[topology.senders], values[topology.receivers])
    distance = np.where(1.0 - cosine < 1e-12, 0.0, 1.0 - cosine)
    total = K.segment_sum(distance, topology.indptr)
    count = K.segment_sum((distance > 0).astype(np.float64), topology.indptr)
    return float(np.mean(total[count > 0] / count[count > 0])) if (count > 0).any() else 0.0


@dataclass(frozen=True, eq=False)
class Energies:
    """Dirichlet energy over the layers of a stack.

    Attributes
    ----------
    values : float64 [num_layers + 1]
        Of the input, then after every layer.
    names : tuple of str
        ``"input"``, then what each layer is called.
    normalised, relative : bool
        Which energy it is; see :func:`dirichlet_energy`.
    """

    values: NDArray[np.float64]
    names: tuple[str, ...]
    normalised: bool
    relative: bool

    def __len__(self) -> int:
        return len(self.values)

    @property
    def rate(self) -> float:
        """Mean factor by which a layer multiplies the energy: below 1, it vanishes exponentially. NaN for no layers."""
        if len(self.values) < 2 or self.values[0] <= 0:
            return math.nan
        return float((self.values[-1] / self.values[0]) ** (1 / (len(self.values) - 1)))

    def __str__(self) -> str:
        width = max(map(len, self.names))
        kind = "relative Dirichlet energy" if self.relative else "Dirichlet energy"
        lines = [f"{i:4d}  {name:{width}s}  {v:9.3e}" for i, (name, v) in enumerate(zip(self.names, self.values))]
        return "\n".join([f"{kind} (times {self.rate:.3g} per layer)", *lines])

    def __repr__(self) -> str:
        return f"Energies({len(self) - 1} layers, {self.values[0]:.2e} -> {self.values[-1]:.2e}, rate={self.rate:.3g})"


def energies(
    model: Any,
    graph: Graph | None = None,
    *,
    normalised: bool = True,
    relative: bool = False,
    dtype: str = "float64",
) -> Energies:
    """Dirichlet energy after every layer of a stack.

    Parameters
    ----------
    model : iterable of layers, or sequence of Graph
        A :class:`gnnkit.nn.Sequential`, or any iterable of callables Graph -> Graph, applied one after the other in
        evaluation mode (modules as copies in ``dtype``); or the intermediate graphs themselves, the input first.
    graph : Graph, optional
        The input; not with intermediate graphs.
    normalised, relative : bool
        As in :func:`dirichlet_energy`.
    dtype : str
        Precision of the layers: in float32 a vanishing energy ends near 1e-14 times the size of the features.

    Returns
    -------
    Energies
        Prints as a table; :func:`gnnkit.plot.energies` draws it.

    Raises
    ------
    InvalidArgumentError
        If the model is no stack, or a layer returns no graph.

    Notes
    -----
    Every item of the stack is a layer here, activations too; a residual block is one. Energies can only be compared
    over layers on the same nodes.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> def average(graph):
    ...     return graph.replace(x=gk.message.aggregate(graph.topology, graph.x[graph.senders], "mean"))
    >>> ring = gk.cycle(5).replace(x=np.eye(5))
    >>> gk.symmetry.energies([average] * 30, ring, normalised=False)
    Energies(30 layers, 1.00e+01 -> 2.17e-05, rate=0.647)
    """
    items = list(model) if isinstance(model, Iterable) else None
    if items is not None and items and all(isinstance(item, Graph) for item in items) and graph is None:
        graphs, names = items, [f"layer {i}" for i in range(1, len(items))]
    else:
        graphs, names = _run(model, items, graph, dtype)
    values = [dirichlet_energy(g, normalised=normalised, relative=relative) for g in graphs]
    return Energies(np.array(values), ("input", *names), normalised, relative)


def _run(model: Any, layers: list[Any] | None, graph: Graph | None, dtype: str) -> tuple[list[Graph], list[str]]:
    if layers is None or not all(callable(layer) for layer in layers):
        raise InvalidArgumentError(
            "Energies are measured between the layers of a stack. Got "
            f"{type_name(model)}, which is no sequence of layers. Pass a gk.nn.Sequential, a list of layers, or the "
            "list of the graphs in between."
        )
    if not isinstance(graph, Graph):
        raise InvalidGraphError(
            f"A stack of layers needs a gk.Graph as its input. Got {type_name(graph)}. "
            + graph_advice(graph, "Pass energies(model, graph).")
        )
    graphs, names, made = [as_given(graph, np.dtype(dtype))], [], {id(layer): layer for layer in layers}
    made = {key: working_copy(layer, dtype) for key, layer in made.items()}  # one that is used again is copied once
    with no_grad():
        for number, layer in enumerate(layers):
            result = made[id(layer)](graphs[-1])
            name = getattr(layer, "__name__", type(layer).__name__)
            if not isinstance(result, Graph):
                raise InvalidArgumentError(
                    f"Every layer of the stack must return a graph. Layer {number} ({name}) returned "
                    f"{type_name(result)}. Leave it out, or wrap it so that it returns graph.replace(x=...)."
                )
            graphs.append(result)
            names.append(name)
        if callable(model):
            _check_chain(working_copy(model, dtype)(graphs[0]), graphs[-1], model)
    return graphs, names


def _check_chain(whole: Any, last: Graph, model: Any) -> None:
    """A subclass of Sequential may do something else with its layers than to apply them in order."""
    got = as_array(whole.x) if isinstance(whole, Graph) else np.zeros(0)
    if got.shape != last.x.shape or not np.allclose(got, as_array(last.x), equal_nan=True):
        raise InvalidArgumentError(
            f"A stack must apply its layers one after the other. {type_name(model)} gives another result than its "
            "layers in a row. Pass the list of the graphs in between."
        )


def _features(graph: Graph, x: ArrayLike | None) -> NDArray[np.float64]:
    if not isinstance(graph, Graph):
        raise InvalidGraphError(
            f"Smoothness is measured on a gk.Graph. Got {type_name(graph)}. "
            + graph_advice(graph, "Pass the graph first.")
        )
    value: Any = graph.x if x is None else x
    array = value.to_scipy().toarray() if is_sparse(value) else as_array(value)
    array = np.asarray(array, np.float64)
    if not array.ndim or len(array) != graph.num_nodes:
        raise ShapeError(
            f"x must have one row for each of the {graph.num_nodes} nodes. Got shape {array.shape}. "
            "Pass features [num_nodes, channels]."
        )
    return array.reshape(len(array), int(np.prod(array.shape[1:])))
