"""GlobalPool: from nodes to graphs. Imports message and the module base."""

from __future__ import annotations

from typing import Any

from gnnkit.errors import InvalidArgumentError, InvalidFeatureError, graph_advice, type_name, unknown_name
from gnnkit.graph import Graph
from gnnkit.message import REDUCERS, pool_nodes
from gnnkit.nn.declared import INVARIANT, Symmetry, around, declared_by
from gnnkit.nn.inputs import layer_name, require_dense
from gnnkit.nn.module import Module


class GlobalPool(Module):
    """Reduce the nodes of each graph to its global state ``u``.

    ``u_g = head(reduce_{i in graph g} x_i)``.

    Parameters
    ----------
    reducer : str
        "sum", "mean", "max", "min", "std", ...; see :func:`gnnkit.message.segment_reduce`.
    head : Module, optional
        Applied to the pooled rows [num_graphs, channels], for instance the classifier of a graph-level prediction.

    Raises
    ------
    InvalidFeatureError
        If the graph has ``u`` already, which would be overwritten, or if ``x`` is sparse.

    Notes
    -----
    A graph without nodes pools to the identity of the reducer (0; 1 for prod). ``x`` and all other fields pass
    untouched. Read the result as ``graph.u``.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(2).replace(x=np.array([[1.0], [3.0]]))
    >>> gk.nn.GlobalPool("mean")(gk.batch([g, g])).u.numpy().ravel()
    array([2., 2.])
    """

    hops = float("inf")

    def __init__(self, reducer: str = "sum", *, head: Module | None = None) -> None:
        if reducer not in REDUCERS:
            raise unknown_name("reducer", reducer, REDUCERS)
        self.reducer = reducer
        self.head = head

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        pooled = INVARIANT | {"reversal": "invariant", "euclidean": "invariant", "channels": "equivariant"}
        if self.head is None:
            return pooled
        pooled = around(pooled, [self.head])
        return pooled if "channels" in declared_by(self.head) else pooled.without("channels")

    def forward(self, graph: Graph) -> Graph:
        if not isinstance(graph, Graph):
            raise InvalidArgumentError(
                f"GlobalPool needs to know which node belongs to which graph. Got {type_name(graph)}. "
                + graph_advice(graph, "Pass a gk.Graph.")
            )
        if "u" in graph.globals:
            raise InvalidFeatureError(
                f"{layer_name(self)} writes u. Got a graph that has u of shape {list(graph.u.shape)} already. "
                "Drop it with g.without('u'), or use GraphNetwork(global_model=...) to combine both."
            )
        pooled = pool_nodes(graph.replace(x=require_dense(graph.x, self)), self.reducer)
        return graph.replace(u=pooled if self.head is None else self.head(pooled))

    def work(self, graph_in: Any, graph_out: Any) -> float | None:
        return self.own_work(graph_in, graph_out) if self.head is None else None

    def own_work(self, graph_in: Any, graph_out: Any) -> float:
        return float(graph_in.x.size)
