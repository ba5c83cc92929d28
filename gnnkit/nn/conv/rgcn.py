"""RGCNConv of Schlichtkrull et al.: a matrix for every type of edge, shared through bases or blocks.

Imports the convolution base and the typed products.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit import kernels as K
from gnnkit.autodiff import Tensor, is_tensor, take_rows
from gnnkit.errors import (
    DTypeError,
    InvalidArgumentError,
    InvalidFeatureError,
    ShapeError,
    UnknownFieldError,
    unknown_name,
)
from gnnkit.graph import Graph
from gnnkit.message import neighbour_sum
from gnnkit.nn.conv.base import Convolution, add_bias, add_into
from gnnkit.nn.conv.typed import TypedEdges, project
from gnnkit.nn.init import glorot_uniform
from gnnkit.nn.inputs import layer_name
from gnnkit.nn.linear import check_count
from gnnkit.nn.parameter import Parameter

REDUCERS = ("mean", "sum")
MOST_REMEMBERED = 4  # sets of edge types per topology; the oldest goes first


class RGCNConv(Convolution):
    """Relational graph convolution: every type of edge has a matrix of its own.

    ``x_i' = W_0^T x_i + sum_r 1 / |N_r(i)| sum_{j in N_r(i)} W_r^T x_j + b``, where ``N_r(i)`` are the senders of the
    edges of type r that enter i.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of ``x`` before and after.
    num_relations : int
        Number of types.
    relation : str
        Name of the edge field [num_edges] that holds the type of every edge, integers in ``[0, num_relations)``.
    num_bases : int, optional
        Basis decomposition: ``W_r = sum_b a_rb V_b`` with this many matrices ``V_b``, shared by all types.
    num_blocks : int, optional
        Block-diagonal decomposition: ``W_r`` has this many blocks [in_channels / num_blocks, out_channels / num_blocks]
        on its diagonal and is 0 elsewhere.
    reducer : {"mean", "sum"}
        Divide by ``|N_r(i)|`` or not.
    root_weight : bool
        Whether a node keeps its own features, through ``W_0``.
    bias : bool
        Whether to add ``b``, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws, Glorot uniform, ``weight`` [num_relations, in_channels, out_channels]; with bases ``bases`` [num_bases,
        in_channels, out_channels] and ``coefficients`` [num_relations, num_bases]; with blocks ``weight``
        [num_relations, num_blocks, in_channels / num_blocks, out_channels / num_blocks]; then ``root_weight``
        [in_channels, out_channels].
    dtype
        Dtype of the parameters, in which it computes.

    Raises
    ------
    InvalidArgumentError
        If both decompositions are asked for, or the number of blocks does not divide the channels.
    UnknownFieldError
        If the graph has no edge field ``relation``.
    DTypeError, ShapeError, InvalidFeatureError
        If that field does not hold one integer in ``[0, num_relations)`` per edge; the text names the first that is
        none. InvalidFeatureError also if the graph has state ``e`` or ``u``, which this layer would ignore.

    Notes
    -----
    ``W_r^T x_j`` is computed once for every pair of a type and a sender that occurs, in an array of at most
    ``min(num_edges, num_relations * num_nodes)`` rows that is not kept for the gradient; then one neighbour sum takes
    all types together. A few bases are multiplied at the nodes instead, ``V_b^T x_j`` for each, and weighted by
    ``a_rb`` along every edge, where that is cheaper. How the edges fall into types is worked out once for each topology
    and field. Sparse features stay sparse.

    A node that receives no edge of a type gets nothing from it. Messages follow the edges: the paper adds the inverse
    of every relation as a type of its own, which is up to the graph. A self-loop makes a node its own neighbour;
    parallel edges count each, also in ``|N_r(i)|``. There is no edge weight.

    Differences from the paper: a bias; the normalisation is ``|N_r(i)|`` or none, not learnt; the non-linearity is a
    layer of its own. Bipartite topologies are refused.

    References
    ----------
    Schlichtkrull et al., Modeling relational data with graph convolutional networks, ESWC 2018, equations 2 to 4.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> x = np.array([[1.0], [2.0], [0.0]], dtype=np.float32)
    >>> g = gk.from_edges([0, 1], [2, 2], x=x, edges={"kind": np.array([0, 1])})
    >>> layer = gk.nn.RGCNConv(1, 1, num_relations=2, relation="kind", root_weight=False)
    >>> layer.weight.assign([[[1.0]], [[10.0]]])
    >>> layer(g).x.numpy().ravel()
    array([ 0.,  0., 21.], dtype=float32)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        num_relations: int,
        relation: str,
        num_bases: int | None = None,
        num_blocks: int | None = None,
        reducer: str = "mean",
        root_weight: bool = True,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        self.num_relations = check_count("num_relations", num_relations)
        if reducer not in REDUCERS:
            raise unknown_name("reducer of RGCNConv", reducer, REDUCERS)
        self.reducer, self.relation = reducer, relation
        self.state = ("x", "e") if relation == "e" else ("x",)
        self.num_bases, self.num_blocks = num_bases, num_blocks
        self._check_decomposition()
        if num_bases is None:
            blocks = num_blocks or 1
            shape = (num_relations, blocks, in_channels // blocks, out_channels // blocks)
            self.weight = Parameter(np.zeros(shape if num_blocks else (shape[0], *shape[2:])), dtype=dtype)
        else:
            self.bases = Parameter(np.zeros((num_bases, in_channels, out_channels)), dtype=dtype)
            self.coefficients = Parameter(np.zeros((num_relations, num_bases)), dtype=dtype)
        self.root_weight = Parameter(np.zeros((in_channels, out_channels)), dtype=dtype) if root_weight else None
        self.bias = Parameter(np.zeros(out_channels), dtype=dtype, decay=0.0) if bias else None
        self.initialise(np.random.default_rng(rng))

    def _check_decomposition(self) -> None:
        bases, blocks = self.num_bases, self.num_blocks
        if bases is not None and blocks is not None:
            raise InvalidArgumentError(
                "The matrices of the types are decomposed into bases or into blocks, not both. "
                f"Got num_bases={bases} and num_blocks={blocks}. Leave one of them out."
            )
        if bases is not None and check_count("num_bases", bases) < 1:
            raise InvalidArgumentError(
                f"There must be at least 1 basis. Got num_bases={bases}. The paper uses 2 to 40."
            )
        if blocks is None:
            return
        if check_count("num_blocks", blocks) < 1 or self.in_channels % blocks or self.out_channels % blocks:  # type: ignore[operator]
            raise InvalidArgumentError(
                f"The number of blocks must divide in_channels and out_channels. Got num_blocks={blocks} for "
                f"{self.in_channels} and {self.out_channels} channels. Choose a common divisor of them."
            )

    def initialise(self, rng: np.random.Generator) -> None:
        names = ("weight",) if self.num_bases is None else ("bases", "coefficients")
        for weight in (*(getattr(self, name) for name in names), self.root_weight):
            if weight is not None:
                weight.assign(glorot_uniform(weight.shape, rng))
        if self.bias is not None:
            self.bias.assign(np.zeros(self.out_channels))

    def convolve(self, graph: Graph, x: Any) -> Tensor:
        edges = self._typed_edges(graph)
        total = self._by_bases(graph, edges, x) if self._bases_first(graph, edges) else self._by_pairs(edges, x)
        if self.root_weight is not None:
            total = add_into(total, x @ self.root_weight)
        return add_bias(total, self.bias)

    def _by_pairs(self, edges: TypedEdges, x: Any) -> Tensor:
        """A product for each pair of a type and a sender, then one sum over all edges."""
        weight = self._blocks()
        scale = edges.scale(weight.dtype) if self.reducer == "mean" else None
        return neighbour_sum(edges.topology, project(x, weight, edges=edges), scale)

    def _by_bases(self, graph: Graph, edges: TypedEdges, x: Any) -> Tensor:
        """A product for each basis and node, summed over the edges with the coefficients of their types."""
        num_bases, inside, outside = self.bases.shape
        flat = self.bases.transpose(1, 0, 2).reshape(inside, num_bases * outside)
        mix = take_rows(self.coefficients, self._types(graph))
        if self.reducer == "mean":
            mix = mix * edges.share.astype(mix.dtype)[:, None]
        h = (x @ flat).reshape(graph.num_nodes, num_bases, outside)
        return neighbour_sum(graph.topology, h, mix).sum(axis=1)

    def _bases_first(self, graph: Graph, edges: TypedEdges) -> bool:
        if self.num_bases is None:
            return False
        if K.is_batch_invariant():  # which of them is quicker depends on the graph, and with it the rounding
            return self.num_bases < self.num_relations
        inside = self.in_channels or 0
        return self.num_bases * (graph.num_nodes * inside + graph.num_edges) < edges.num_pairs * inside

    def _blocks(self) -> Tensor:
        """The matrices of all types, [num_relations, blocks, in_channels / blocks, out_channels / blocks]."""
        if self.num_blocks is not None:
            return self.weight
        shape = (self.num_relations, 1, self.in_channels or 0, self.out_channels)
        if self.num_bases is None:
            return self.weight.reshape(shape)
        flat = self.bases.reshape(self.num_bases, shape[2] * shape[3])
        return (self.coefficients @ flat).reshape(shape)

    def _typed_edges(self, graph: Graph) -> TypedEdges:
        types = self._types(graph)
        content = np.ascontiguousarray(types)
        key = (self.num_relations, str(content.dtype), blake2b(content.data, digest_size=16).digest())
        store: dict[Any, TypedEdges] = graph.topology.cached("typed_edges", dict)
        found = store.get(key)
        if found is None:
            self._check_range(graph, types)
            while len(store) >= MOST_REMEMBERED:
                store.pop(next(iter(store)), None)
            found = store[key] = TypedEdges.build(graph.topology, types, self.num_relations)
        return found

    def _types(self, graph: Graph) -> np.ndarray:
        if self.relation not in graph.edges:
            raise UnknownFieldError(
                f"{layer_name(self)} reads the type of every edge in the edge field {self.relation!r}. The graph has "
                f"edge fields {sorted(graph.edges)}. Add it with graph.replace(edges={{{self.relation!r}: ...}})."
            )
        types = graph.edges[self.relation]
        if is_tensor(types) or types.dtype.kind not in "iu":
            raise DTypeError(
                f"Types of edges are integers. Got {self.relation!r} of dtype {types.dtype}. "
                "Number the types from 0, for instance with np.unique(names, return_inverse=True)."
            )
        if types.shape != (graph.num_edges,):
            raise ShapeError(
                f"Types of edges have shape [num_edges] = [{graph.num_edges}]. Got {self.relation!r} of shape "
                f"{list(types.shape)}. Give one integer per edge."
            )
        return types

    def _check_range(self, graph: Graph, types: np.ndarray) -> None:
        outside = np.flatnonzero((types < 0) | (types >= self.num_relations))
        if outside.size:
            edge = int(outside[0])
            raise InvalidFeatureError(
                f"Types of edges must lie in [0, num_relations) = [0, {self.num_relations}). Got type {types[edge]} at "
                f"the edge {graph.senders[edge]} -> {graph.receivers[edge]}, and {outside.size} such edges in all. "
                "Number the types from 0, or build the layer with more of them."
            )

    def work(self, graph_in: Any, graph_out: Any) -> float:
        edges = self._typed_edges(graph_in)
        root = 0.0 if self.root_weight is None else self.product_work(graph_in, self.out_channels)
        if self._bases_first(graph_in, edges):
            width = (self.num_bases or 0) * self.out_channels
            return root + self.product_work(graph_in, width) + self.sum_work(graph_in, width)
        width = self.out_channels // (self.num_blocks or 1)
        share = edges.num_pairs / max(graph_in.num_nodes, 1)
        bases = 0.0 if self.num_bases is None else 2.0 * self.num_relations * self.bases.size
        return root + bases + share * self.product_work(graph_in, width) + self.sum_work(graph_in, self.out_channels)
