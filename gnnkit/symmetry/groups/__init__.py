"""The groups that act on graphs, by name."""

from gnnkit.symmetry.groups.base import Element as Element
from gnnkit.symmetry.groups.base import Group as Group
from gnnkit.symmetry.groups.base import as_group as as_group
from gnnkit.symmetry.groups.relabelling import EdgeReordering as EdgeReordering
from gnnkit.symmetry.groups.relabelling import NodeRelabelling as NodeRelabelling
from gnnkit.symmetry.groups.relabelling import Reversal as Reversal
from gnnkit.symmetry.groups.union import DisjointUnion as DisjointUnion

GROUPS: dict[str, Group] = {
    group.name: group for group in (NodeRelabelling(), EdgeReordering(), DisjointUnion(), Reversal())
}
