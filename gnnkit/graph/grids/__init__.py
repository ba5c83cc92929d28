"""Grids: images, volumes and sequences as graphs whose edges follow from a stencil and are never stored.

May import kernels and the rest of graph; never message, nn or anything above.
"""

from gnnkit.graph.grids.access import as_grid as as_grid
from gnnkit.graph.grids.access import grid_graph as grid_graph
from gnnkit.graph.grids.access import to_image as to_image
from gnnkit.graph.grids.grid import Grid as Grid
from gnnkit.graph.grids.images import from_grid_array as from_grid_array
from gnnkit.graph.grids.images import from_image as from_image
from gnnkit.graph.grids.images import from_sequence as from_sequence
from gnnkit.graph.grids.images import from_volume as from_volume
from gnnkit.graph.grids.joining import join_grids as join_grids
from gnnkit.graph.grids.stencil import Stencil as Stencil
from gnnkit.graph.grids.superpixels import assignment_topology as assignment_topology
from gnnkit.graph.grids.superpixels import from_superpixels as from_superpixels
from gnnkit.graph.grids.superpixels import superpixel_labels as superpixel_labels
from gnnkit.graph.grids.topology import GridTopology as GridTopology
from gnnkit.graph.grids.topology import grid_topology as grid_topology
from gnnkit.graph.grids.topology import receiving_grid as receiving_grid
