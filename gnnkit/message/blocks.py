"""The GraphNetwork block: edges, then nodes, then globals, each update and each aggregation optional.

One algorithm, of which DeepSets, interaction networks and message-passing neural networks are configurations. The
update functions are plain functions; the module with parameters is ``gnnkit.nn.GraphNetwork``. Imports the other
files of this floor and Graph.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from gnnkit.autodiff import Tensor
from gnnkit.errors import InvalidArgumentError, UnknownFieldError
from gnnkit.graph import Graph
from gnnkit.message.ops import aggregate, gather_receivers, gather_senders
from gnnkit.message.segments import Reducer, as_tensor, resolve_reducer, segment_reduce, segment_repeat

Update = Callable[..., Any]

EDGE_INPUTS = ("e", "sender_x", "receiver_x", "u")
NODE_INPUTS = ("x", "received", "sent", "u")
GLOBAL_INPUTS = ("u", "nodes", "edges")


def graph_network(
    graph: Graph,
    *,
    update_edge: Update | None = None,
    update_node: Update | None = None,
    update_global: Update | None = None,
    aggregate_edges_to_nodes: Reducer | None = "sum",
    aggregate_sent: Reducer | None = None,
    aggregate_nodes_to_globals: Reducer | None = "sum",
    aggregate_edges_to_globals: Reducer | None = "sum",
) -> Graph:
    """Apply one full GraphNetwork block: update the edges, then the nodes, then the globals.

    An update function says what it reads by the names of its parameters, and nothing else is computed::

        update_edge(e, sender_x, receiver_x, u)   -> new e    [num_edges, ...]    u: that of the edge's graph
        update_node(x, received, sent, u)         -> new x    [num_nodes, ...]    received, sent: aggregated new e
        update_global(u, nodes, edges)            -> new u    [num_graphs, ...]   nodes, edges: aggregated new x, e

    Any subset of these names, in any order; ``**inputs`` asks for everything the graph has. A callable may list the
    names in an attribute ``reads`` instead.

    Parameters
    ----------
    graph : Graph
        One graph or a batch; each graph of a batch has its own row of ``u``.
    update_edge, update_node, update_global : callable, optional
        None leaves that part as it is.
    aggregate_edges_to_nodes, aggregate_sent : reducer, optional
        How the edges that a node receives, and those that it sends, become ``received`` and ``sent``; None switches
        that input off.
    aggregate_nodes_to_globals, aggregate_edges_to_globals : reducer, optional
        How the nodes and edges of each graph become ``nodes`` and ``edges``; None switches that input off.

    Returns
    -------
    Graph
        With the updated fields, the same topology and every other field untouched.

    Raises
    ------
    UnknownFieldError
        If an update function reads a field that the graph does not have.
    InvalidArgumentError
        If an update function has a parameter of another name, or reads an aggregation that is switched off.
    ShapeError
        If an update function returns another number of rows.

    Notes
    -----
    Empty neighbourhoods, and graphs without nodes or edges, aggregate to the identity of the reducer. A self-loop is
    both received and sent by its node; parallel edges count each. Differences from the paper: sent edges may be
    aggregated too (as in graph_nets and jraph), every aggregation may differ, and every part may be absent.

    References
    ----------
    Battaglia et al., Relational inductive biases, deep learning, and graph networks, 2018, algorithm 1.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(3).replace(x=np.array([[1.0], [2.0], [4.0]]))
    >>> out = gk.message.graph_network(
    ...     g, update_edge=lambda sender_x: sender_x, update_node=lambda x, received: x + received)
    >>> out.x.numpy().ravel()
    array([3., 7., 6.])
    """
    if update_edge is not None:
        wanted = _wanted(update_edge, "update_edge", EDGE_INPUTS)
        offers: dict[str, Callable[[], Any]] = {
            "e": lambda: _field(graph, "edges", "e"),
            "sender_x": lambda: gather_senders(graph.topology, _field(graph, "nodes", "x")),
            "receiver_x": lambda: gather_receivers(graph.topology, _field(graph, "nodes", "x")),
            "u": lambda: broadcast_to_edges(graph, _field(graph, "globals", "u")),
        }
        graph = graph.replace(e=update_edge(**_collect(wanted, offers)))

    if update_node is not None:
        wanted = _wanted(update_node, "update_node", NODE_INPUTS)
        offers = {
            "x": lambda: _field(graph, "nodes", "x"),
            "received": lambda: _ends(graph, aggregate_edges_to_nodes, "aggregate_edges_to_nodes", "receivers"),
            "sent": lambda: _ends(graph, aggregate_sent, "aggregate_sent", "senders"),
            "u": lambda: broadcast_to_nodes(graph, _field(graph, "globals", "u")),
        }
        graph = graph.replace(x=update_node(**_collect(wanted, offers)))

    if update_global is not None:
        wanted = _wanted(update_global, "update_global", GLOBAL_INPUTS)
        offers = {
            "u": lambda: _field(graph, "globals", "u"),
            "nodes": lambda: pool_nodes(
                graph, _chosen(aggregate_nodes_to_globals, "nodes", "aggregate_nodes_to_globals")
            ),
            "edges": lambda: pool_edges(
                graph, _chosen(aggregate_edges_to_globals, "edges", "aggregate_edges_to_globals")
            ),
        }
        graph = graph.replace(u=update_global(**_collect(wanted, offers)))
    return graph


def pool_nodes(graph: Graph, reducer: Reducer = "sum") -> Tensor:
    """Reduce the node field ``x`` to one row per graph of the batch.

    Parameters
    ----------
    graph : Graph
    reducer : str or callable
        See :func:`segment_reduce`.

    Returns
    -------
    Tensor [num_graphs, ...]
        A graph without nodes holds the identity of the reducer.

    Raises
    ------
    UnknownFieldError
        If the graph has no ``x``.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(3).replace(x=np.array([[1.0], [2.0], [4.0]]))
    >>> gk.message.pool_nodes(gk.batch([g, g]), "mean").numpy().round(2)
    array([[2.33],
           [2.33]])
    """
    return segment_reduce(_field(graph, "nodes", "x"), graph.node_ptr, reducer)


def pool_edges(graph: Graph, reducer: Reducer = "sum") -> Tensor:
    """Reduce the edge field ``e`` to one row per graph of the batch.

    Parameters
    ----------
    graph : Graph
    reducer : str or callable
        See :func:`segment_reduce`.

    Returns
    -------
    Tensor [num_graphs, ...]
        A graph without edges holds the identity of the reducer.

    Raises
    ------
    UnknownFieldError
        If the graph has no ``e``.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_edges([0, 1], [1, 2], num_nodes=3, e=np.array([[5.0], [7.0]]))
    >>> gk.message.pool_edges(g).numpy()
    array([[12.]])
    """
    return segment_reduce(_field(graph, "edges", "e"), graph.edge_ptr, reducer)


def broadcast_to_nodes(graph: Graph, values: Any) -> Tensor:
    """The row of its graph for every node: [num_graphs, ...] -> [num_nodes, ...].

    Parameters
    ----------
    graph : Graph
    values : array or Tensor [num_graphs, ...]

    Returns
    -------
    Tensor [num_nodes, ...]

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> gk.message.broadcast_to_nodes(gk.batch([gk.path(2), gk.path(1)]), np.array([5.0, 7.0])).numpy()
    array([5., 5., 7.])
    """
    return as_tensor(segment_repeat(values, indptr=graph.node_ptr))


def broadcast_to_edges(graph: Graph, values: Any) -> Tensor:
    """The row of its graph for every edge: [num_graphs, ...] -> [num_edges, ...].

    Parameters
    ----------
    graph : Graph
    values : array or Tensor [num_graphs, ...]

    Returns
    -------
    Tensor [num_edges, ...]

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> gk.message.broadcast_to_edges(gk.batch([gk.path(2), gk.path(1)]), np.array([5.0, 7.0])).numpy()
    array([5., 5.])
    """
    return as_tensor(segment_repeat(values, indptr=graph.edge_ptr))


# --- what an update function reads ---------------------------------------------------------------------------------


def _wanted(update: Update, role: str, allowed: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """The names that ``update`` reads, and whether it takes all the others as well (``**inputs``)."""
    reads = getattr(update, "reads", None)
    if reads is not None:
        unknown = [name for name in reads if name not in allowed]
        if unknown:
            raise _unknown_input(role, allowed, unknown[0])
        return tuple(reads), False
    try:
        parameters = inspect.signature(update).parameters.values()
    except (TypeError, ValueError):
        raise InvalidArgumentError(
            f"{role} must be a function whose parameters are named after what it reads: {', '.join(allowed)}. Got "
            f"{update!r}, whose parameters cannot be read. Wrap it, for instance lambda {allowed[0]}: f({allowed[0]})."
        ) from None
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
    names = tuple(
        p.name
        for p in parameters
        if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and (p.name in allowed or p.default is p.empty)
    )
    unknown = [name for name in names if name not in allowed]
    positional_only = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY and p.default is p.empty]
    if unknown or positional_only:
        raise _unknown_input(role, allowed, (unknown or positional_only)[0])
    return names, takes_all


def _unknown_input(role: str, allowed: tuple[str, ...], name: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{role} must name its parameters after what it reads: {', '.join(allowed)}. Got the parameter {name!r}. "
        "Rename it, or bind it beforehand with functools.partial."
    )


def _collect(wanted: tuple[tuple[str, ...], bool], offers: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    names, takes_all = wanted
    inputs = {name: offers[name]() for name in names}
    if takes_all:
        for name, offer in offers.items():
            if name not in inputs:
                try:
                    inputs[name] = offer()
                except (UnknownFieldError, InvalidArgumentError):
                    continue  # **inputs takes what there is
    return inputs


def _field(graph: Graph, level: str, name: str) -> Any:
    fields = getattr(graph, level)
    if name not in fields:
        unit = {"nodes": "node", "edges": "edge", "globals": "global"}[level]
        raise UnknownFieldError(
            f"This GraphNetwork block reads the {unit} field {name!r}. The graph has {unit} fields "
            f"{sorted(fields)}. Add it with graph.replace({name}=...), or leave {name!r} out of the update function."
        )
    return fields[name]


def _ends(graph: Graph, reducer: Reducer | None, option: str, to: str) -> Tensor:
    name = "received" if to == "receivers" else "sent"
    chosen = _chosen(reducer, name, option)
    return aggregate(graph.topology, _field(graph, "edges", "e"), chosen, to=to)


def _chosen(reducer: Reducer | None, name: str, option: str) -> Reducer:
    if reducer is None:
        raise InvalidArgumentError(
            f"The input {name!r} needs a reducer. Got {option}=None, which switches it off. "
            f"Pass for instance {option}='sum', or leave {name!r} out of the update function."
        )
    resolve_reducer(reducer)
    return reducer
