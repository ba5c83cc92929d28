"""The GraphNetwork block as a module, and its configurations DeepSets, InteractionNetwork and MPNN.

Imports message (where the algorithm is), the edge models and the module base.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gnnkit.autodiff import Tensor
from gnnkit.errors import InvalidArgumentError, ShapeError, UnknownFieldError
from gnnkit.graph import Graph
from gnnkit.message import graph_network
from gnnkit.message.blocks import EDGE_INPUTS, GLOBAL_INPUTS, NODE_INPUTS
from gnnkit.nn.declared import INVARIANT, MESSAGE_PASSING, Symmetry, around
from gnnkit.nn.edge_models import edge_values
from gnnkit.nn.inputs import check_state, input_features, layer_name, require_dense
from gnnkit.nn.linear import check_count
from gnnkit.nn.module import Module


class _Part:
    """An update function for ``graph_network``: concatenates what it reads and applies a module."""

    def __init__(self, model: Module, reads: Sequence[str]) -> None:
        self.model, self.reads = model, tuple(reads)

    def __call__(self, **inputs: Any) -> Tensor:
        dtype = self.model.dtype if self.model.num_parameters else None
        columns = [input_features(inputs[name], None, dtype, self.model, field=name) for name in self.reads]
        for name, column in zip(self.reads, columns):
            if column.ndim != 2:
                raise ShapeError(
                    f"A GraphNetwork concatenates features of shape [n, channels]. Got {name!r} of shape "
                    f"{list(column.shape)}. Give it one axis of channels, for instance value[:, None] for one number."
                )
        return self.model(columns[0] if len(columns) == 1 else np.concatenate(columns, axis=-1))


class GraphNetwork(Module):
    """The full GraphNetwork block: learnt updates of edges, then nodes, then globals, each optional.

    ``e' = edge_model([e, x_sender, x_receiver, u])``, ``x' = node_model([x, received e', sent e', u])``,
    ``u' = global_model([u, pooled x', pooled e'])``: brackets concatenate channels.

    Parameters
    ----------
    edge_model, node_model, global_model : Module, optional
        Map features ``[n, channels]`` to features (an MLP, say). None leaves that part of the graph as it is.
    edge_inputs : sequence of str
        What the edge model reads, among "e", "sender_x", "receiver_x", "u", concatenated in this order.
    node_inputs : sequence of str
        What the node model reads, among "x", "received", "sent", "u".
    global_inputs : sequence of str
        What the global model reads, among "u", "nodes", "edges".
    aggregate_edges_to_nodes, aggregate_sent : str, optional
        Reducers of the edges that a node receives and sends.
    aggregate_nodes_to_globals, aggregate_edges_to_globals : str, optional
        Reducers of the nodes and the edges of each graph.

    Raises
    ------
    UnknownFieldError
        If the graph lacks a field that is read.
    InvalidFeatureError
        If the graph has state that nothing reads: it would be ignored or overwritten.
    InvalidArgumentError
        If an input does not exist, or its aggregation is switched off.

    Notes
    -----
    Unlike the functional form :func:`gnnkit.message.graph_network`, in which updates are any functions and features of
    any rank, parts are concatenated here, so features are ``[n, channels]``. Empty neighbourhoods aggregate to 0.
    Directed edges, self-loops and parallel edges are taken as they are. An edge model of linear layers and activations
    runs as a message program, which makes no array of one row per edge but the new ``e``; any other module is called
    with the gathered features of all edges.

    References
    ----------
    Battaglia et al., Relational inductive biases, deep learning, and graph networks, 2018, algorithm 1.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> block = gk.nn.GraphNetwork(
    ...     edge_model=gk.nn.Linear(4, 5, rng=0), edge_inputs=("sender_x", "receiver_x"),
    ...     node_model=gk.nn.Linear(7, 3, rng=1), node_inputs=("x", "received"))
    >>> out = block(gk.path(3).replace(x=np.ones((3, 2), "float32")))
    >>> out.x.shape, out.e.shape
    ((3, 3), (4, 5))
    """

    def __init__(
        self,
        *,
        edge_model: Module | None = None,
        node_model: Module | None = None,
        global_model: Module | None = None,
        edge_inputs: Sequence[str] = ("e", "sender_x", "receiver_x", "u"),
        node_inputs: Sequence[str] = ("x", "received", "u"),
        global_inputs: Sequence[str] = ("u", "nodes", "edges"),
        aggregate_edges_to_nodes: str | None = "sum",
        aggregate_sent: str | None = None,
        aggregate_nodes_to_globals: str | None = "sum",
        aggregate_edges_to_globals: str | None = "sum",
    ) -> None:
        if edge_model is None and node_model is None and global_model is None:
            raise InvalidArgumentError(
                "A GraphNetwork needs at least one part. Got no edge_model, node_model or global_model. Pass one."
            )
        self.edge_model, self.node_model, self.global_model = edge_model, node_model, global_model
        self.edge_inputs = _inputs(edge_model, "edge_inputs", edge_inputs, EDGE_INPUTS)
        self.node_inputs = _inputs(node_model, "node_inputs", node_inputs, NODE_INPUTS)
        self.global_inputs = _inputs(global_model, "global_inputs", global_inputs, GLOBAL_INPUTS)
        self.aggregate_edges_to_nodes = aggregate_edges_to_nodes
        self.aggregate_sent = aggregate_sent
        self.aggregate_nodes_to_globals = aggregate_nodes_to_globals
        self.aggregate_edges_to_globals = aggregate_edges_to_globals

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        return around(MESSAGE_PASSING, [model for _, model in self.children()])

    @property
    def hops(self) -> float:  # type: ignore[override]
        if "u" in (*self.edge_inputs, *self.node_inputs):
            return float("inf")
        return 1.0 if {"received", "sent"} & set(self.node_inputs) else 0.0

    def _used_state(self) -> tuple[str, ...]:
        """The state of the incoming graph that is read before anything overwrites it."""
        read = {*self.edge_inputs, *self.node_inputs, *self.global_inputs}
        used = ["x"] if read & {"x", "sender_x", "receiver_x", "nodes"} else []
        if "e" in read or (self.edge_model is None and read & {"received", "sent", "edges"}):
            used.append("e")
        if "u" in read:
            used.append("u")
        return tuple(used)

    def forward(self, graph: Graph) -> Graph:
        used = self._used_state()
        check_state(graph, used, layer=self)
        if "x" in used:
            require_dense(graph.nodes["x"], self)
        return self._apply(graph)

    def _apply(self, graph: Graph) -> Graph:
        update_edge = None if self.edge_model is None else _Part(self.edge_model, self.edge_inputs)
        if self.edge_model is not None:
            e = edge_values(self.edge_model, self.edge_inputs, graph)
            if e is not None:
                graph, update_edge = graph.replace(e=e), None
        return graph_network(
            graph,
            update_edge=update_edge,
            update_node=None if self.node_model is None else _Part(self.node_model, self.node_inputs),
            update_global=None if self.global_model is None else _Part(self.global_model, self.global_inputs),
            aggregate_edges_to_nodes=self.aggregate_edges_to_nodes,
            aggregate_sent=self.aggregate_sent,
            aggregate_nodes_to_globals=self.aggregate_nodes_to_globals,
            aggregate_edges_to_globals=self.aggregate_edges_to_globals,
        )


class DeepSets(GraphNetwork):
    """A function of a set: ``x' = phi(x)`` for every element, ``u' = rho(reduce x')`` for the set. Edges play no part.

    Parameters
    ----------
    phi : Module
        Applied to every node.
    rho : Module
        Applied to the pooled nodes of each graph.
    reducer : str
        How the nodes are pooled; the paper sums.

    Raises
    ------
    InvalidFeatureError
        If the graph has state ``e`` or ``u``, which this module would ignore or overwrite.

    Notes
    -----
    It is :class:`GraphNetwork` with ``node_inputs=("x",)`` and ``global_inputs=("nodes",)``. Read the result as
    ``graph.u``.

    References
    ----------
    Zaheer et al., Deep sets, NeurIPS 2017, theorem 2.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> model = gk.nn.DeepSets(gk.nn.MLP([2, 8, 8], rng=0), gk.nn.Linear(8, 1, rng=1))
    >>> model(gk.empty(5).replace(x=np.ones((5, 2), "float32"))).u.shape
    (1, 1)
    """

    def __init__(self, phi: Module, rho: Module, *, reducer: str = "sum") -> None:
        super().__init__(
            node_model=phi,
            node_inputs=("x",),
            global_model=rho,
            global_inputs=("nodes",),
            aggregate_nodes_to_globals=reducer,
        )

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        whole = INVARIANT | {"reversal": "invariant", "euclidean": "invariant"}  # edges play no part
        return around(whole, [model for _, model in self.children()])


class InteractionNetwork(GraphNetwork):
    """Effects of relations on objects: ``e' = relation([e, x_sender, x_receiver])``, ``x' = object([x, received e'])``.

    Parameters
    ----------
    relation_model : Module
        Computes the effect of each edge.
    object_model : Module
        Updates each node from its features and the effects that it receives.
    edge_features : bool
        Whether the relation model reads ``e``.
    reducer : str
        How the received effects are aggregated; the paper sums.

    Raises
    ------
    UnknownFieldError
        If the graph lacks a field that is read.
    InvalidFeatureError
        If the graph has state that nothing reads.

    Notes
    -----
    It is :class:`GraphNetwork` without a global state; the effects come out as ``e``. Differences from the paper:
    external effects are part of ``x``; a global readout is a :class:`GlobalPool` after it.

    References
    ----------
    Battaglia et al., Interaction networks for learning about objects, relations and physics, NeurIPS 2016.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> model = gk.nn.InteractionNetwork(gk.nn.Linear(4, 6, rng=0), gk.nn.Linear(8, 2, rng=1))
    >>> model(gk.cycle(3).replace(x=np.ones((3, 2), "float32"))).x.shape
    (3, 2)
    """

    def __init__(
        self, relation_model: Module, object_model: Module, *, edge_features: bool = False, reducer: str = "sum"
    ) -> None:
        ends = ("sender_x", "receiver_x")
        super().__init__(
            edge_model=relation_model,
            edge_inputs=("e", *ends) if edge_features else ends,
            node_model=object_model,
            node_inputs=("x", "received"),
            aggregate_edges_to_nodes=reducer,
        )


class MPNN(GraphNetwork):
    """Message passing neural network: ``steps`` rounds of messages and updates with shared weights, then a readout.

    ``m_i = reduce_j message([e_ij, x_j, x_i])``, ``x_i <- update([x_i, m_i])``; at the end
    ``u = readout(reduce_i x_i)``.

    Parameters
    ----------
    message_model : Module
        Computes the message of each edge.
    update_model : Module
        Computes the new node features from the old ones and the aggregated messages; for ``steps > 1`` it must return
        the channels it was given.
    readout_model : Module, optional
        Computes ``u`` from the pooled nodes.
    steps : int
        Rounds with the same weights (the recurrent form); use several MPNN for weights of their own.
    edge_features : bool
        Whether the message model reads ``e``, which stays the same in all rounds.
    reducer, readout_reducer : str
        How messages, and nodes at the end, are aggregated.

    Raises
    ------
    UnknownFieldError
        If the graph lacks a field that is read.
    InvalidFeatureError
        If the graph has state that nothing reads.

    Notes
    -----
    It is :class:`GraphNetwork` whose edges carry messages that are dropped after each round: a message model of linear
    layers and activations runs as a message program, which reduces them without storing them. Differences from the
    paper: any module may stand for the message, update and readout functions, on concatenated inputs; the edge network
    with a matrix per edge, the GRU and set2set are not built in.

    References
    ----------
    Gilmer et al., Neural message passing for quantum chemistry, ICML 2017, equations 1 to 3.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.cycle(4).replace(x=np.ones((4, 2), "float32"), e=np.ones((8, 1), "float32"))
    >>> model = gk.nn.MPNN(gk.nn.Linear(5, 3, rng=0), gk.nn.Linear(5, 2, rng=1), gk.nn.Linear(2, 1, rng=2), steps=3)
    >>> out = model(g)
    >>> out.x.shape, out.u.shape, out.e is g.e
    ((4, 2), (1, 1), True)
    """

    def __init__(
        self,
        message_model: Module,
        update_model: Module,
        readout_model: Module | None = None,
        *,
        steps: int = 1,
        edge_features: bool = True,
        reducer: str = "sum",
        readout_reducer: str = "sum",
    ) -> None:
        ends = ("sender_x", "receiver_x")
        super().__init__(
            edge_model=message_model,
            edge_inputs=("e", *ends) if edge_features else ends,
            node_model=update_model,
            node_inputs=("x", "received"),
            global_model=readout_model,
            global_inputs=("nodes",),
            aggregate_edges_to_nodes=reducer,
            aggregate_nodes_to_globals=readout_reducer,
        )
        self.steps = check_count("steps", steps)

    @property
    def hops(self) -> float:  # type: ignore[override]
        return float(self.steps)

    def _apply(self, graph: Graph) -> Graph:
        assert self.edge_model is not None and self.node_model is not None
        if "e" in self.edge_inputs and "e" not in graph.edges:
            raise UnknownFieldError(
                f"{layer_name(self)} reads the edge field 'e'. The graph has edge fields {sorted(graph.edges)}. "
                "Add it with graph.replace(e=...), or build the layer with edge_features=False."
            )
        message, update = _Part(self.edge_model, self.edge_inputs), _Part(self.node_model, self.node_inputs)
        for _ in range(self.steps):
            received = edge_values(self.edge_model, self.edge_inputs, graph, self.aggregate_edges_to_nodes)
            if received is not None:
                graph = graph.replace(x=update(x=graph.x, received=received))
                continue
            told = graph_network(
                graph,
                update_edge=message,
                update_node=update,
                aggregate_edges_to_nodes=self.aggregate_edges_to_nodes,
            )
            graph = graph.replace(x=told.x)  # the messages are not state
        if self.global_model is None:
            return graph
        return graph_network(
            graph,
            update_global=_Part(self.global_model, self.global_inputs),
            aggregate_nodes_to_globals=self.aggregate_nodes_to_globals,
        )


def _inputs(model: Module | None, option: str, names: Sequence[str], allowed: tuple[str, ...]) -> tuple[str, ...]:
    if model is None:
        return ()
    unknown = [name for name in names if name not in allowed]
    if unknown or not names or isinstance(names, str):
        raise InvalidArgumentError(
            f"{option} must be a sequence of names among {', '.join(allowed)}. Got {names!r}. "
            f"Pass for instance {option}={allowed[:2]!r}."
        )
    return tuple(names)
