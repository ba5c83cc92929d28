"""Transforms: a Graph in, a Graph out, nothing changed in place. ``gk.transforms.<name>(g)``.

Each file holds one idea; Tensors among the fields keep their gradient, batches keep their graphs, and doors out
still know the names of the nodes.
"""

from gnnkit.graph.transforms.augment import compose as compose
from gnnkit.graph.transforms.augment import random_flip as random_flip
from gnnkit.graph.transforms.augment import random_shift as random_shift
from gnnkit.graph.transforms.encodings import laplacian as laplacian
from gnnkit.graph.transforms.encodings import random_walk_encoding as random_walk_encoding
from gnnkit.graph.transforms.explicit import to_explicit as to_explicit
from gnnkit.graph.transforms.jitter import colour_jitter as colour_jitter
from gnnkit.graph.transforms.jitter import drop_pixels as drop_pixels
from gnnkit.graph.transforms.loops import add_remaining_self_loops as add_remaining_self_loops
from gnnkit.graph.transforms.loops import add_self_loops as add_self_loops
from gnnkit.graph.transforms.loops import remove_self_loops as remove_self_loops
from gnnkit.graph.transforms.merge import coalesce as coalesce
from gnnkit.graph.transforms.normalise import gcn_norm as gcn_norm
from gnnkit.graph.transforms.normalise import gcn_normalised as gcn_normalised
from gnnkit.graph.transforms.normalise import normalize_features as normalize_features
from gnnkit.graph.transforms.parts import largest_component as largest_component
from gnnkit.graph.transforms.parts import subgraph as subgraph
from gnnkit.graph.transforms.splits import per_class_split as per_class_split
from gnnkit.graph.transforms.splits import random_split as random_split
from gnnkit.graph.transforms.symmetry import reverse as reverse
from gnnkit.graph.transforms.symmetry import to_directed as to_directed
from gnnkit.graph.transforms.symmetry import to_undirected as to_undirected
from gnnkit.graph.transforms.virtual import add_virtual_node as add_virtual_node
