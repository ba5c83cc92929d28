"""Typed (heterogeneous) graphs: several types of nodes and of edges, each with features of its own.

Each file holds one idea: keys and views, the schema, the graph and its checks, the doors, and what turns one graph
into another.
"""

from gnnkit.graph.typed.directions import add_reverse as add_reverse
from gnnkit.graph.typed.directions import to_undirected as to_undirected
from gnnkit.graph.typed.door import typed_graph as typed_graph
from gnnkit.graph.typed.graph import TypedGraph as TypedGraph
from gnnkit.graph.typed.homogeneous import from_homogeneous as from_homogeneous
from gnnkit.graph.typed.homogeneous import to_homogeneous as to_homogeneous
from gnnkit.graph.typed.networkx_door import from_networkx_typed as from_networkx_typed
from gnnkit.graph.typed.report import TypedReport as TypedReport
from gnnkit.graph.typed.schema import FieldSpec as FieldSpec
from gnnkit.graph.typed.schema import Schema as Schema
from gnnkit.graph.typed.views import NodeSet as NodeSet
from gnnkit.graph.typed.views import Relation as Relation
