"""Between graphs and grids: a graph on a grid, the grid of a graph, and its fields as images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gnnkit.errors import DTypeError, type_name
from gnnkit.graph.fields import is_sparse, raw
from gnnkit.graph.graph import Graph
from gnnkit.graph.grids.grid import Grid
from gnnkit.graph.grids.stencil import Stencil
from gnnkit.graph.grids.topology import GridTopology, grid_topology
from gnnkit.graph.topology import Topology


def grid_graph(
    grid: Grid | GridTopology,
    *,
    x: Any = None,
    stencil: Stencil | None = None,
    nodes: Mapping[str, Any] | None = None,
    u: Any = None,
    globals: Mapping[str, Any] | None = None,
) -> Graph:
    """A graph on a grid from values per node; quick, for code that has checked its values.

    Parameters
    ----------
    grid : Grid, or GridTopology of one grid
    x : array or Tensor [num_nodes, channels], optional
    stencil : Stencil, optional
        The graph's own edges; default: kernel size 3, border "zero".
    nodes, globals : mapping of name to array, optional
    u : array [num_graphs, ...], optional

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.graph.grid_graph(gk.graph.Grid((2, 2), num_graphs=3), x=np.zeros((12, 5)))
    Graph(num_graphs=3, num_nodes=12, num_edges=48, x=float64[12, 5])
    """
    if isinstance(grid, GridTopology):
        topology = grid
        if stencil is not None and stencil != topology.stencil:
            topology = grid_topology(grid.grid, stencil)
    else:
        topology = grid_topology(grid, stencil or Stencil(3, ndim=grid.ndim, lattice=grid.lattice))
    node_fields = dict(nodes or {})
    if x is not None:
        node_fields["x"] = x
    global_fields = dict(globals or {})
    if u is not None:
        global_fields["u"] = u
    return Graph.trusted(topology, node_fields, None, global_fields)


def as_grid(value: Grid | Graph | Topology) -> Grid:
    """The grid of a graph or a topology; an error with advice if it has none.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.graph.as_grid(gk.from_image(np.zeros((4, 6))))
    Grid(4 x 6, num_nodes=24)
    """
    if isinstance(value, Grid):
        return value
    topology = value.topology if isinstance(value, Graph) else value
    if isinstance(topology, GridTopology):
        return topology.grid
    raise DTypeError(
        f"This needs a graph on a grid, such as an image. Got {type_name(value)} with listed edges. "
        "Make one with gk.from_image, gk.from_sequence or gk.from_volume."
        if isinstance(value, (Graph, Topology))
        else f"A grid must come from a Graph, a GridTopology or a Grid. Got {type_name(value)}. "
        "Make a graph with gk.from_image, gk.from_sequence or gk.from_volume."
    )


def to_image(graph: Graph, field: str = "x", *, fill: Any = 0.0, batched: bool | None = None) -> Any:
    """Return a node field as arrays in the shape of the images, the way back of :func:`from_image`.

    Parameters
    ----------
    graph : Graph
        On a grid of any number of axes.
    field : str
        A node field.
    fill : number
        Value of the pixels that do not exist; one that the dtype of the field holds.
    batched : bool, optional
        Whether there is an axis of images in front. Default: if there is not exactly one image.

    Returns
    -------
    array [height, width, channels] or [num_images, height, width, channels], or a list of arrays
        A list if the images differ in size. No axis of channels for a field with one value per node. Arrays of
        grids without a mask are views, read-only.

    Raises
    ------
    DTypeError
        When the graph is no grid, or ``fill`` does not fit into the field.
    UnknownFieldError
        When there is no such field.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> g = gk.from_image(np.ones((2, 3, 3, 1)), mask=np.eye(3, dtype=bool))
    >>> gk.to_image(g, fill=-1)[1, :, :, 0]
    array([[ 1., -1., -1.],
           [-1.,  1., -1.],
           [-1., -1.,  1.]])
    """
    grid, value = as_grid(graph), graph.nodes[field]
    if is_sparse(value):
        raise DTypeError(
            f"A field must be dense to become an image. The node field {field!r} is a SparseMatrix. "
            "Make it dense with .toarray()."
        )
    rows = raw(value)
    if grid.mask is not None:
        cells = np.full((grid.num_cells, *rows.shape[1:]), _checked_fill(fill, field, rows.dtype), rows.dtype)
        cells[grid.cell_of_node] = rows
        rows = cells
    if grid.is_uniform:
        images = rows.reshape(grid.num_graphs, *grid.size, *rows.shape[1:])
        return images[0] if grid.num_graphs == 1 and not batched else images
    ends = grid.cell_ptr
    return [rows[ends[i] : ends[i + 1]].reshape(*size, *rows.shape[1:]) for i, size in enumerate(grid.sizes)]


def _checked_fill(fill: Any, field: str, dtype: np.dtype[Any]) -> Any:
    """``fill``, if whole numbers and booleans hold it as it is."""
    if dtype.kind not in "iub":
        return fill
    value = np.asarray(fill)
    least, most = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if value.dtype.kind in "iubf" and (np.isfinite(value) & (value >= least) & (value <= most)).all():
        whole = value == np.floor(value)
        if whole.all():
            return fill
    raise DTypeError(
        f"fill must be a value of the field. Got fill={fill!r} for the node field {field!r} of dtype {dtype}. "
        "Pass a whole number that it holds, or convert the field with .astype."
    )
