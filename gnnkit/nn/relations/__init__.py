"""Layers of one relation of a typed graph, written as message programs; TypedConv joins them."""

from gnnkit.nn.relations.attention import RelationGAT as RelationGAT
from gnnkit.nn.relations.base import RelationLayer as RelationLayer
from gnnkit.nn.relations.program import RelationProgram as RelationProgram
from gnnkit.nn.relations.sage import RelationSAGE as RelationSAGE
