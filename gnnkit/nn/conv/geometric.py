"""What layers of nodes with positions in space share: the field of the positions.

Positions enter through differences and distances only, which is what makes such a layer equivariant to motions of
space. Imports the convolution base.
"""

from __future__ import annotations

from typing import Any

from gnnkit.autodiff import SparseMatrix, Tensor
from gnnkit.errors import InvalidArgumentError, ShapeError, UnknownFieldError
from gnnkit.graph import Graph
from gnnkit.nn.conv.base import Convolution
from gnnkit.nn.declared import EQUIVARIANT
from gnnkit.nn.inputs import input_features, layer_name


class GeometricConvolution(Convolution):
    """A convolution that reads the positions of the nodes, a node field of the name ``positions``.

    A subclass adds to its ``symmetry`` what a rotation, reflection or shift of the positions does: "euclidean" ->
    "invariant" if its output stays as it is, "equivariant" if it has positions that move along.
    """

    positions: str
    symmetry = EQUIVARIANT

    def _name_positions(self, positions: str) -> None:
        if positions == "x":
            raise InvalidArgumentError(
                "Positions are a node field beside the features x. Got positions='x'. Keep them under another name, "
                "for instance nodes={'pos': ...}."
            )
        self.positions = positions

    def positions_of(self, graph: Graph, dtype: Any) -> Tensor:
        """The positions [num_nodes, dimensions] in ``dtype``."""
        name = self.positions
        if name not in graph.nodes:
            raise UnknownFieldError(
                f"{layer_name(self)} reads the positions of the nodes from the field {name!r}. The graph has node "
                f"fields {sorted(graph.nodes)}. Add it with graph.replace(nodes={{{name!r}: ...}}), or name another "
                "with positions=."
            )
        found = input_features(graph.nodes[name], None, dtype, self, field=name)
        if isinstance(found, SparseMatrix) or found.ndim != 2:
            raise ShapeError(
                f"Positions must be dense, of shape [num_nodes, dimensions]. Got {name!r} of shape "
                f"{list(found.shape)}. Use one column for each axis of space."
            )
        return found
