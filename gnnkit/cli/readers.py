"""A person's own graph from its files: GraphML, GML, GEXF, or an edge list with a node table.

Imports graph and the tables beside it; networkx only to read its formats. No column is guessed: the caller names them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from gnnkit.cli.tables import NO_NODES, NodeTable, fill_numbers, read_csv, unknown_column
from gnnkit.errors import FileFormatError, InvalidArgumentError, InvalidFeatureError, InvalidGraphError
from gnnkit.files import read_bytes
from gnnkit.graph import Graph, from_edges, from_networkx, transforms

GRAPH_SUFFIXES = (".graphml", ".gml", ".gexf")


@dataclass(frozen=True)
class Files:
    """What a person typed about their own graph: files, and the names of the columns in them."""

    graph: str | None = None
    edges: Path | None = None
    nodes: Path | None = None
    source: str | None = None
    target: str | None = None
    id: str | None = None
    weight: str | None = None
    directed: bool = False

    def names(self) -> dict[str, Any]:
        """The column names and the direction, as kept in a model file for the next graph of the same kind."""
        return {key: getattr(self, key) for key in ("source", "target", "id", "weight", "directed")}


def is_graph_file(text: str) -> bool:
    """Whether ``text`` names a graph file rather than a data set."""
    return Path(text).suffix.lower() in GRAPH_SUFFIXES


def refuse_edge_list(text: str, command: str) -> None:
    """Refuse a table where a data set or a graph file is named, and say how it is given."""
    path = Path(text)
    if path.suffix.lower() in (".csv", ".tsv"):
        columns = f" (it has the columns: {', '.join(read_csv(path))})" if path.is_file() else ""
        raise InvalidArgumentError(
            f"A table of edges is given with --edges, and its two ends by their columns. Got '{text}' as GRAPH"
            f"{columns}. Write: gnnkit {command} --edges {quote(text)} --source COLUMN --target COLUMN"
        )


def read(files: Files) -> tuple[Graph, NodeTable]:
    """Return the graph (no features; edge field "weight" if one is named) and its table of nodes."""
    if files.graph is not None and files.edges is not None:
        raise InvalidArgumentError(
            f"A graph comes from one place. Got '{files.graph}' and --edges '{files.edges}'. Drop one of them."
        )
    if files.edges is not None:
        return _read_edge_list(files)
    for option in ("nodes", "source", "target", "id", "directed"):
        if getattr(files, option) not in (None, False):
            raise InvalidArgumentError(
                f"--{option} belongs to an edge list. Got --{option} without --edges. "
                "Add --edges FILE, or drop it: a graph file names its own nodes and directions."
            )
    assert files.graph is not None
    return _read_graph_file(Path(files.graph), files.weight)


def _read_graph_file(path: Path, weight: str | None) -> tuple[Graph, NodeTable]:
    import networkx as nx

    readers: dict[str, Callable[..., Any]] = {".graphml": nx.read_graphml, ".gml": nx.read_gml, ".gexf": nx.read_gexf}
    read_bytes(path, purpose="graph file")  # a missing file has one error text everywhere
    try:
        source = readers[path.suffix.lower()](path)
    except Exception as error:  # each format has errors of its own for each kind of damage
        raise FileFormatError(
            f"A {path.suffix} file must be whole and of that format. '{path}' could not be read ({error}). "
            "Write it again from the program it came from."
        ) from error
    if weight is not None:
        present = dict.fromkeys(name for *_, data in source.edges(data=True) for name in data)
        if weight not in present:
            raise unknown_column(weight, present, f"the edges of {path.name}")
    edge_attrs = {} if weight is None else {"weight": weight}
    graph = from_networkx(source, node_attrs=[], edge_attrs=edge_attrs, graph_attrs=[])
    names = dict.fromkeys(name for _, data in source.nodes(data=True) for name in data)
    columns = {name: [data.get(name) for _, data in source.nodes(data=True)] for name in names}
    return graph, NodeTable(list(source), columns, path.name)


def _read_edge_list(files: Files) -> tuple[Graph, NodeTable]:
    assert files.edges is not None
    for option, value in (("source", files.source), ("target", files.target)):
        if value is None:
            raise InvalidArgumentError(
                f"The columns of an edge list must be named. Got --edges '{files.edges}' without --{option}. "
                f"Add --{option} COLUMN; the file has: {', '.join(read_csv(files.edges))}."
            )
    table = read_csv(files.edges)
    senders, receivers = _column(table, files.source, files.edges), _column(table, files.target, files.edges)
    nodes = _node_table(files, senders, receivers)
    fields = {} if files.weight is None else {"weight": _weights(table, files.weight, files.edges)}
    graph = from_edges(
        _places(senders, nodes, files.edges, files.source),
        _places(receivers, nodes, files.edges, files.target),
        num_nodes=len(nodes.names),
        edges=fields,
    )
    # Only the reverses that are missing: many lists hold both directions already, and an edge must not count twice.
    try:
        return (graph if files.directed else transforms.to_undirected(graph)), nodes
    except InvalidFeatureError as error:
        raise InvalidFeatureError(
            f"An undirected edge has one weight. '{files.edges}' gives the two directions of an edge different values "
            f"in the column {files.weight!r}. Add --directed, or make them equal."
        ) from error


def _node_table(files: Files, senders: list[Any], receivers: list[Any]) -> NodeTable:
    if files.nodes is None:
        names = dict.fromkeys(name for pair in zip(senders, receivers) for name in pair if name is not None)
        assert files.edges is not None
        if files.id is not None:
            raise InvalidArgumentError(
                f"--id names a column of a table of nodes. Got --id {files.id} without --nodes. Add --nodes FILE, or "
                "drop it: without a table the nodes are the ends of the edges."
            )
        return NodeTable(list(names), {}, f"{files.edges.name} {NO_NODES}")
    table = read_csv(files.nodes)
    if files.id is None:
        raise InvalidArgumentError(
            f"The column that names the nodes must be named. Got --nodes '{files.nodes}' without --id. "
            f"Add --id COLUMN; the file has: {', '.join(table)}."
        )
    names_column = _column(table, files.id, files.nodes)
    seen: dict[Any, int] = {}
    for k, name in enumerate(names_column):
        if name is None or name in seen:
            came = "an empty name" if name is None else f"{name!r}, as row {seen[name] + 1} does"
            raise InvalidGraphError(
                f"Every node must have a name of its own. Row {k + 1} of '{files.nodes}' has {came} in the column "
                f"{files.id!r}. Name another column with --id, or correct the file."
            )
        seen[name] = k
    columns = {name: values for name, values in table.items() if name != files.id}
    return NodeTable(names_column, columns, files.nodes.name)


def _column(table: dict[str, list[Any]], name: str | None, path: Path) -> list[Any]:
    if name not in table:
        raise unknown_column(str(name), table, path.name)
    return table[name]


def _places(ends: list[Any], nodes: NodeTable, path: Path, column: str | None) -> np.ndarray:
    for k, name in enumerate(ends):
        if name not in nodes.index:
            came = "nothing" if name is None else repr(name)
            raise InvalidGraphError(
                f"Every end of an edge must be a node of {nodes.where}. Row {k + 1} of '{path}' has {came} in the "
                f"column {column!r}. Add that node, or drop the edge."
            )
    return np.array([nodes.index[name] for name in ends], dtype=np.int64)


def _weights(table: dict[str, list[Any]], name: str, path: Path) -> np.ndarray:
    column = _column(table, name, path)
    values = np.empty(len(column), np.float32)
    bad = fill_numbers(values, column)
    if bad is not None:
        raise InvalidFeatureError(
            f"A weight must be a number for every edge. Row {bad + 1} of '{path}' has {column[bad]!r} in the column "
            f"{name!r}. Fill it in, or train without --weight."
        )
    return values
