"""Layers of typed graphs: TypedConv joins layers of relations, TypedMap and TypedLinear work type by type.

Each maps a TypedGraph to a TypedGraph with other ``x``. Imports the layers of relations and the module base.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import Tensor
from gnnkit.errors import InvalidArgumentError, InvalidFeatureError, ShapeError, type_name, unknown_name
from gnnkit.graph import Graph, TypedGraph
from gnnkit.graph.typed.keys import RelationKey, as_relation, as_type, within
from gnnkit.message import MessageProgram
from gnnkit.nn.declared import MESSAGE_PASSING, Symmetry, around, declared_by, together
from gnnkit.nn.inputs import layer_name
from gnnkit.nn.linear import Linear, check_count
from gnnkit.nn.module import Module
from gnnkit.nn.relations import RelationLayer, RelationProgram

AGGREGATES = ("sum", "mean", "max", "min")


def _require_typed(g: Any, layer: Module) -> None:
    if not isinstance(g, TypedGraph):
        raise InvalidArgumentError(
            f"{layer_name(layer)} works on a gk.TypedGraph. Got {type_name(g)}. "
            "Make one with gk.typed_graph(...), gk.from_networkx_typed(G) or gk.from_homogeneous(...)."
        )


def _path(*parts: str) -> str:
    """A name for a child that no other has and that no attribute of a module can be: it holds a slash."""
    return "/".join(part.replace("~", "~0").replace("/", "~1") for part in parts)


class TypedConv(Module):
    """A layer for every relation of a typed graph; what arrives at one node type is joined.

    Parameters
    ----------
    layers : mapping of (sender type, name, receiver type) to layer
        A :class:`RelationLayer` such as :class:`RelationSAGE`, a message program (see :class:`RelationProgram`), or,
        for a relation within one type, any layer from Graph to Graph, such as :class:`GCNConv`. One layer may serve
        several relations: its weights are then shared.
    aggregate : {"sum", "mean", "max", "min"}
        How the results of several relations into one node type are joined, value by value.

    Raises
    ------
    UnknownNameError
        If the graph has not one of the relations.
    InvalidFeatureError
        If the graph has global state ``u``, or a relation edge state ``e`` that its layer would ignore.
    ShapeError
        If two relations give one node type different numbers of channels.

    Notes
    -----
    Node types that none of the layers enters keep their ``x``; relations that are not named are not read, and all other
    fields pass untouched. Relations are joined in the order in which they are given. A type without nodes and a
    relation without edges are like others: a receiver without edges gets what its layer gives it, usually its own
    features mapped, or zeros. For max and min equal values share the gradient evenly.

    References
    ----------
    Schlichtkrull et al., Modeling relational data with graph convolutional networks, ESWC 2018; ``HeteroConv`` of
    PyTorch Geometric.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> writes, cites = ("author", "writes", "paper"), ("paper", "cites", "paper")
    >>> g = gk.typed_graph(
    ...     nodes={"author": {"x": np.ones((2, 3), "float32")}, "paper": {"x": np.ones((4, 5), "float32")}},
    ...     edges={writes: ([0, 1], [3, 3]), cites: ([0], [1])},
    ... )
    >>> layer = gk.nn.TypedConv({writes: gk.nn.RelationSAGE((3, 5), 8), cites: gk.nn.GCNConv(5, 8)})
    >>> layer(g).schema
    author                     2 nodes  x float32[3]
    paper                      4 nodes  x float32[8]
    author -> writes -> paper  2 edges
    paper -> cites -> paper     1 edge
    """

    def __init__(
        self, layers: Mapping[RelationKey, Any] | Iterable[tuple[RelationKey, Any]], *, aggregate: str = "sum"
    ) -> None:
        if aggregate not in AGGREGATES:
            raise unknown_name("way to join relations", aggregate, AGGREGATES)
        self.aggregate = aggregate
        pairs = layers.items() if isinstance(layers, Mapping) else layers
        self.relations = tuple(self._add(key, layer) for key, layer in pairs)

    def _add(self, key: Any, layer: Any) -> RelationKey:
        key = as_relation(tuple(key) if isinstance(key, list) else key)
        if isinstance(layer, MessageProgram):
            layer = RelationProgram(layer)
        if not isinstance(layer, Module):
            raise InvalidArgumentError(
                f"TypedConv holds a layer for every relation. Got {type(layer).__name__} for {key!r}. "
                "Pass a RelationLayer such as gk.nn.RelationSAGE(in_channels, out_channels), or a message program."
            )
        if key[0] != key[2] and not isinstance(layer, RelationLayer):
            raise InvalidArgumentError(
                f"A relation between two node types needs a layer that takes both. {key!r} got {layer_name(layer)}. "
                "Use gk.nn.RelationSAGE, gk.nn.RelationGAT, a message program, or a RelationLayer of your own."
            )
        setattr(self, _path(*key), layer)
        return key

    def layer(self, key: RelationKey) -> Module:
        """The layer of one relation."""
        if key not in self.relations:
            raise unknown_name("relation", str(as_relation(key)), map(str, self.relations))
        return getattr(self, _path(*key))

    def arguments(self) -> dict[str, Any]:
        return {"layers": [(key, self.layer(key)) for key in self.relations], "aggregate": self.aggregate}

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        return together([MESSAGE_PASSING, *(declared_by(layer) for _, layer in self.children())])

    def forward(self, g: TypedGraph) -> TypedGraph:
        _require_typed(g, self)
        if "u" in g.globals:
            raise InvalidFeatureError(
                "A layer must use the whole state it is given, and TypedConv reads no global state. "
                f"Got u of shape {list(g.u.shape)}. Drop it with g.without('u')."
            )
        arrived: dict[str, list[tuple[RelationKey, Tensor]]] = {}
        for key in self.relations:
            if key not in g.relations:
                raise unknown_name("relation", str(key), map(str, g.relations))
            with within(key):
                arrived.setdefault(key[2], []).append((key, self._messages(g, key)))
        return g.replace(x={name: self._joined(name, parts) for name, parts in arrived.items()})

    def _messages(self, g: TypedGraph, key: RelationKey) -> Tensor:
        layer, relation = self.layer(key), g.relations[key]
        if isinstance(layer, RelationLayer):
            return layer(relation, g.nodes[key[0]].get("x"), g.nodes[key[2]].get("x"))
        node_ptr = None if g.num_graphs == 1 else g.node_ptr[key[0]]
        return layer(Graph.trusted(relation.topology, g.nodes[key[0]], relation.edges, node_ptr=node_ptr)).x

    def _joined(self, name: str, parts: list[tuple[RelationKey, Tensor]]) -> Tensor:
        (first, total), *others = parts
        for key, part in others:
            if part.shape != total.shape:
                raise ShapeError(
                    f"All relations into one node type must give the same channels. For {name!r}, {first!r} gave "
                    f"{list(total.shape)} and {key!r} gave {list(part.shape)}. Build their layers with the same "
                    "out_channels."
                )
        if not others:
            return total
        if self.aggregate in ("max", "min"):
            stacked = np.stack([part for _, part in parts])  # all at once: equal values share the gradient evenly
            return stacked.max(axis=0) if self.aggregate == "max" else stacked.min(axis=0)  # type: ignore[return-value]
        for _, part in others:
            total = total + part
        return total * (1.0 / len(parts)) if self.aggregate == "mean" else total


class TypedMap(Module):
    """Apply a module to the features of every node type: one for all, or one for each.

    Parameters
    ----------
    module : Module, or mapping of node type to Module
        From features to features: activations, dropout, norms, Linear, MLP. One module serves every type that has
        ``x`` with the same weights; a mapping serves the types that it names, others keep their ``x``.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.typed_graph(nodes={"a": {"x": np.array([[-1.0, 2.0]])}, "b": {"x": np.array([[-3.0]])}})
    >>> out = gk.nn.TypedMap(gk.nn.ReLU())(g)
    >>> out["a"].x.numpy(), out["b"].x.numpy()
    (array([[0., 2.]]), array([[0.]]))
    >>> gk.nn.TypedMap({"b": gk.nn.Tanh()})(g)["a"].x
    array([[-1.,  2.]])
    """

    def __init__(self, module: Module | Mapping[str, Module]) -> None:
        self.types = tuple(map(as_type, module)) if isinstance(module, Mapping) else None
        children: dict[str, Any] = {"module": module}
        if isinstance(module, Mapping):
            children = {_path("types", name): one for name, one in module.items()}
        for path, child in children.items():
            if not isinstance(child, Module):
                raise InvalidArgumentError(
                    f"TypedMap holds modules. Got {type(child).__name__}. Pass for example gk.nn.ReLU()."
                )
            setattr(self, path, child)

    def arguments(self) -> dict[str, Any]:
        if type(self).__init__ is not TypedMap.__init__:
            return super().arguments()
        return {"module": self.of("") if self.types is None else {name: self.of(name) for name in self.types}}

    def of(self, name: str) -> Module:
        """The module of one node type."""
        return getattr(self, "module" if self.types is None else _path("types", name))

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        return around(MESSAGE_PASSING, [module for _, module in self.children()])

    def forward(self, g: TypedGraph) -> TypedGraph:
        _require_typed(g, self)
        fresh = {}
        for name in g.x if self.types is None else self.types:
            x = g.x[name] if name in g.nodes else g.nodes[name]  # the latter raises, naming the types there are
            with within(name):
                fresh[name] = self.of(name)(x)
        return g.replace(x=fresh)


class TypedLinear(TypedMap):
    """Affine maps of the features, one per node type: brings types of different widths to one.

    Parameters
    ----------
    in_channels : mapping of node type to int
        Channels of every type to map; others keep their ``x``.
    out_channels : int or mapping of node type to int
        Channels afterwards, the same for all types or for each.
    bias : bool
        Whether to add biases, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws the weights, Glorot uniform, in the order of the types.
    dtype
        Dtype of the parameters, in which it computes.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.typed_graph(nodes={"a": {"x": np.ones((2, 3))}, "b": {"x": np.ones((1, 7))}})
    >>> gk.nn.TypedLinear({"a": 3, "b": 7}, 4, rng=0)(g).schema
    a  2 nodes  x float32[4]
    b   1 node  x float32[4]
    """

    def __init__(
        self,
        in_channels: Mapping[str, int],
        out_channels: int | Mapping[str, int],
        *,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if not isinstance(in_channels, Mapping):
            raise InvalidArgumentError(
                f"in_channels must map node types to widths. Got {in_channels!r}. Write {{'author': 16, 'paper': 100}}."
            )
        out = out_channels if isinstance(out_channels, Mapping) else dict.fromkeys(in_channels, out_channels)
        if out.keys() != in_channels.keys():
            raise InvalidArgumentError(
                f"in_channels and out_channels must name the same node types. Got {list(in_channels)} and {list(out)}. "
                "Name every type in both, or pass one number as out_channels."
            )
        rng = np.random.default_rng(rng)
        for name in in_channels:
            check_count("in_channels", in_channels[name])
            check_count("out_channels", out[name])
        super().__init__(
            {name: Linear(width, out[name], bias=bias, rng=rng, dtype=dtype) for name, width in in_channels.items()}
        )
