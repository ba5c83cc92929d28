"""The groups that act on graphs, by name.

| name | what it does to a graph | needs | options |
|---|---|---|---|
| nodes | relabels nodes; in a batch graphs change places too | | |
| edges | gives the edges in another order | two edges | |
| union | graphs alone against one batch of them, empty ones among them and at the end | | |
| reversal | exchanges senders and receivers | | |
| torus | shifts images around a torus | a grid | step |
| translation | shifts images, compared away from the border | a grid | step, margin |
| flip, rot90 | mirror images, turn them by quarters | a grid | |
| euclidean, rotation, reflection, shift | move positions and turn vectors | positions | positions, vectors |
| channels | permutes feature channels | two channels | field, results |

Options are given as ``GROUPS["torus"].on(step=2)`` or ``group=("torus", {"step": 2})``. A group of your own is
a subclass of :class:`Group` whose ``sample`` returns an :class:`Element`.
"""

from gnnkit.symmetry.groups.base import Element as Element
from gnnkit.symmetry.groups.base import Group as Group
from gnnkit.symmetry.groups.base import as_group as as_group
from gnnkit.symmetry.groups.channels import Channels as Channels
from gnnkit.symmetry.groups.motions import Motions as Motions
from gnnkit.symmetry.groups.relabelling import EdgeReordering as EdgeReordering
from gnnkit.symmetry.groups.relabelling import NodeRelabelling as NodeRelabelling
from gnnkit.symmetry.groups.relabelling import Reversal as Reversal
from gnnkit.symmetry.groups.shifts import Torus as Torus
from gnnkit.symmetry.groups.shifts import Translation as Translation
from gnnkit.symmetry.groups.turns import Flip as Flip
from gnnkit.symmetry.groups.turns import QuarterTurn as QuarterTurn
from gnnkit.symmetry.groups.union import DisjointUnion as DisjointUnion

GROUPS: dict[str, Group] = {
    group.name: group
    for group in (
        NodeRelabelling(),
        EdgeReordering(),
        DisjointUnion(),
        Reversal(),
        Torus(),
        Translation(),
        Flip(),
        QuarterTurn(),
        Motions(),
        Motions("rotation", reflect=False, move=False),
        Motions("reflection", rotate=False, move=False),
        Motions("shift", rotate=False, reflect=False),
        Channels(),
    )
}
