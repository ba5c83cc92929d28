"""From the arrays of a data set to Graphs: ``load``. Imports graph and autodiff below, and the files beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from gnnkit.datasets.cards import Card, card
from gnnkit.datasets.fetch import obtain
from gnnkit.datasets.images import as_image_batch
from gnnkit.datasets.layouts import Content, SparseRows
from gnnkit.graph import Graph, from_edges


def load(name: str, *, root: str | os.PathLike[str] | None = None, download: bool = True) -> Graph | list[Graph]:
    """Load a data set by name: a graph, or a list of graphs where the set has many.

    Parameters
    ----------
    name
        As listed by ``gk.datasets.list()``; ``gk.datasets.describe(name)`` tells what it holds.
    root
        The only folder to look in, and to download into: ``root/FILE`` or ``root/NAME/FILE``. Default: bundled sets
        come with gnnkit; for the others the folder in the environment variable ``GNNKIT_DATA``, then
        ``gk.datasets.cache_folder()`` (``GNNKIT_CACHE`` chooses another).
    download
        Whether a set that is not there may be fetched from its publisher.

    Returns
    -------
    Graph
        Undirected (every edge in both directions), without self-loops and repeats. Node fields, as far as the set
        has them: ``x`` [num_nodes, num_features] float32, sparse for bags of words, as published (see
        ``gk.transforms.normalize_features``); ``y`` [num_nodes] int64, -1 where a node has no label; ``train_mask``,
        ``val_mask``, ``test_mask`` [num_nodes] bool, the published split. The card names further fields.
    list of Graph
        For a set of graphs: each with ``x`` [num_nodes, num_kinds] and ``e`` [num_edges, num_kinds], one-hot float32,
        and ``globals["y"]`` [1] int64. ``gk.batch`` joins them.
    Graph on a grid
        For a set of images: one batch of all of them, ``x`` [num_nodes, 1] float32 in [0, 1], one pixel a node, edges
        computed when asked for; ``globals["y"]`` [num_graphs] int64, and ``globals["train_mask"]`` and the like where
        a split is published. As arrays: :func:`~gnnkit.datasets.load_images`.

    Raises
    ------
    UnknownNameError
        If there is no such data set; the message names the closest ones.
    DownloadError
        If the file is nowhere to be found and cannot be downloaded.
    ChecksumError
        If the file is not the published one.

    Notes
    -----
    The content is checked against the sha256 on the card at every load. The arrays are read-only.

    Examples
    --------
    >>> import gnnkit as gk
    >>> g = gk.datasets.load("cora")
    >>> g.num_nodes, g.num_edges, g.x.shape, int(g.nodes["train_mask"].sum())
    (2708, 10556, (2708, 1433), 140)
    >>> molecules = gk.datasets.load("mutag")
    >>> len(molecules), gk.batch(molecules).num_nodes
    (188, 3371)
    >>> gk.datasets.load("digits")
    Graph(num_graphs=1797, num_nodes=115008, num_edges=869748, x=float32[115008, 1], y=int64[1797])
    """
    found = card(name)
    content = obtain(found, root=root, download=download)
    if content.images is not None:
        return as_image_batch(found, content)
    return _as_graphs(found, content) if content.graph_ptr is not None else _as_graph(found, content)


def _as_graph(card: Card, content: Content) -> Graph:
    nodes: dict[str, Any] = {}
    if content.x is not None:
        nodes["x"] = _as_sparse(content.x)
    elif card.features == "identity":
        nodes["x"] = _identity(content.num_nodes)
    if content.y is not None:
        nodes["y"] = content.y
    for part, members in content.split.items():
        nodes[f"{part}_mask"] = np.isin(np.arange(content.num_nodes), members)
    nodes.update(content.nodes)
    return _undirected(content.pairs, content.num_nodes, nodes, content.edges, {})


def _as_graphs(card: Card, content: Content) -> list[Graph]:
    assert content.graph_ptr is not None and content.y is not None
    starts = content.graph_ptr
    # A pair lies within one graph and pairs are sorted, so the graphs cut the pairs as well.
    cuts = np.searchsorted(content.pairs[0], starts)
    graphs = []
    for graph, label in enumerate(content.y):
        first, last = starts[graph], starts[graph + 1]
        within = slice(cuts[graph], cuts[graph + 1])
        x = _one_hot(content.nodes["label"][first:last], len(card.node_labels))
        e = _one_hot(content.edges["label"][within], len(card.edge_labels))
        pairs = content.pairs[:, within] - first
        graphs.append(_undirected(pairs, int(last - first), {"x": x}, {"e": e}, {"y": np.array([label])}))
    return graphs


def _undirected(
    pairs: np.ndarray,
    num_nodes: int,
    nodes: Mapping[str, Any],
    edges: Mapping[str, np.ndarray],
    globals: Mapping[str, np.ndarray],
) -> Graph:
    for values in (*nodes.values(), *globals.values()):
        if isinstance(values, np.ndarray):
            values.flags.writeable = False
    return from_edges(
        pairs[0], pairs[1], num_nodes=num_nodes, nodes=nodes, edges=edges, globals=globals, undirected=True
    )


def _as_sparse(rows: SparseRows) -> Any:
    from scipy import sparse

    return sparse.csr_array((rows.data, rows.indices, rows.indptr), shape=rows.shape)


def _identity(size: int) -> Any:
    from scipy import sparse

    return sparse.eye_array(size, dtype=np.float32, format="csr")


def _one_hot(labels: np.ndarray, kinds: int) -> np.ndarray:
    return (labels[:, None] == np.arange(kinds)).astype(np.float32)
