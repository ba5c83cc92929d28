"""Floor 2: topologies, graphs, the doors in and out, transforms. Features are opaque rows here.

May import kernels and autodiff; never message, nn or anything above.
"""

from gnnkit.graph.batching import batch as batch
from gnnkit.graph.batching import unbatch as unbatch
from gnnkit.graph.edges import from_edges as from_edges
from gnnkit.graph.graph import Graph as Graph
from gnnkit.graph.topology import Topology as Topology
