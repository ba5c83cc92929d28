"""Floor 2: topologies, graphs, the doors in and out, transforms. Features are opaque rows here.

May import kernels and autodiff; never message, nn or anything above.
"""

from gnnkit.graph import transforms as transforms
from gnnkit.graph.batching import batch as batch
from gnnkit.graph.batching import unbatch as unbatch
from gnnkit.graph.edges import from_edges as from_edges
from gnnkit.graph.generators import complete as complete
from gnnkit.graph.generators import cycle as cycle
from gnnkit.graph.generators import empty as empty
from gnnkit.graph.generators import grid as grid
from gnnkit.graph.generators import path as path
from gnnkit.graph.generators import star as star
from gnnkit.graph.graph import Graph as Graph
from gnnkit.graph.grids import Grid as Grid
from gnnkit.graph.grids import GridTopology as GridTopology
from gnnkit.graph.grids import Stencil as Stencil
from gnnkit.graph.grids import as_grid as as_grid
from gnnkit.graph.grids import assignment_topology as assignment_topology
from gnnkit.graph.grids import from_grid_array as from_grid_array
from gnnkit.graph.grids import from_image as from_image
from gnnkit.graph.grids import from_sequence as from_sequence
from gnnkit.graph.grids import from_superpixels as from_superpixels
from gnnkit.graph.grids import from_volume as from_volume
from gnnkit.graph.grids import grid_graph as grid_graph
from gnnkit.graph.grids import grid_topology as grid_topology
from gnnkit.graph.grids import join_grids as join_grids
from gnnkit.graph.grids import receiving_grid as receiving_grid
from gnnkit.graph.grids import superpixel_labels as superpixel_labels
from gnnkit.graph.grids import to_image as to_image
from gnnkit.graph.networkx_door import from_networkx as from_networkx
from gnnkit.graph.networkx_door import to_networkx as to_networkx
from gnnkit.graph.pandas_door import from_pandas as from_pandas
from gnnkit.graph.pandas_door import to_pandas as to_pandas
from gnnkit.graph.report import GraphReport as GraphReport
from gnnkit.graph.scipy_door import from_scipy as from_scipy
from gnnkit.graph.scipy_door import to_scipy as to_scipy
from gnnkit.graph.topology import Topology as Topology
from gnnkit.graph.transforms import gcn_normalised as gcn_normalised
from gnnkit.graph.transforms.normalise import with_remaining_loops as with_remaining_loops
from gnnkit.graph.typed import FieldSpec as FieldSpec
from gnnkit.graph.typed import NodeSet as NodeSet
from gnnkit.graph.typed import Relation as Relation
from gnnkit.graph.typed import Schema as Schema
from gnnkit.graph.typed import TypedGraph as TypedGraph
from gnnkit.graph.typed import TypedReport as TypedReport
from gnnkit.graph.typed import from_homogeneous as from_homogeneous
from gnnkit.graph.typed import from_networkx_typed as from_networkx_typed
from gnnkit.graph.typed import typed_graph as typed_graph
