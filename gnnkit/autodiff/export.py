"""The tape as a graph: its nodes, its reverse schedule and every adjoint, as a textbook writes them down.

Imports the reverse pass; networkx only when the graph is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gnnkit.autodiff.backward import reverse, seed_of
from gnnkit.autodiff.nodes import Leaf, Node, Stub, recording
from gnnkit.autodiff.tensors import Tensor
from gnnkit.errors import GradientError


@dataclass(frozen=True, eq=False)
class TapeNode:
    """One value of a computation.

    Attributes
    ----------
    name : str
        Its name: that of the Tensor, else ``v1``, ``v2``, ... in order of computation.
    operation : str
        Name of the operation that made it; ``"input"`` for a leaf.
    formula : str
        The operation with the names of its arguments.
    shape : tuple of int
    value : numpy.ndarray or None
        None where the tape has not kept a large value that no rule needs.
    arguments : tuple of (int, TapeNode)
        Argument number and node, for every argument that is on the tape.
    """

    name: str
    operation: str
    formula: str
    shape: tuple[int, ...]
    value: np.ndarray | None
    arguments: tuple[tuple[int, TapeNode], ...]

    def __repr__(self) -> str:
        return self.name if self.operation == "input" else f"{self.name} = {self.formula}"


class Tape:
    """The recorded computation of one result; see :func:`tape`."""

    def __init__(self, result: Tensor) -> None:
        if result._node is None:
            raise GradientError(
                "Only a result that depends on a Tensor with requires_grad=True has a tape. Got a constant. "
                "Set requires_grad on its inputs, and compute it outside of no_grad()."
            )
        self._result = result
        self._raw = _collect(result._node)
        self._shown = _describe(self._raw)
        self.nodes: list[TapeNode] = [self._shown[node] for node in self._raw]

    def schedule(self) -> list[TapeNode]:
        """Return the nodes in the order of the reverse pass: each after everything that uses it."""
        order: list[TapeNode] = []
        self._reverse(None, lambda node, g: order.append(self._shown[node]))
        return order

    def adjoints(self, gradient: ArrayLike | Tensor | None = None) -> list[tuple[TapeNode, np.ndarray]]:
        """Return every node with the derivative of the result by it, in the order of the reverse pass.

        Parameters
        ----------
        gradient : array_like, optional
            Adjoint of the result, where it has more than one value.
        """
        found: list[tuple[TapeNode, np.ndarray]] = []
        self._reverse(gradient, lambda node, g: found.append((self._shown[node], np.array(g))))
        return found

    def _reverse(self, gradient: Any, visit: Any) -> None:
        if gradient is None and self._result.size != 1:
            gradient = np.ones(self._result.shape)
        with recording(False):
            reverse(self._raw[-1], seed_of(self._result, gradient), visit=visit)

    def to_networkx(self) -> Any:
        """Return the computation as a ``networkx.DiGraph`` whose edges run from argument to result.

        Returns
        -------
        networkx.DiGraph
            Nodes are names, with attributes ``operation``, ``formula``, ``shape``, ``value`` and ``adjoint``
            (None for a value that the result does not depend on); edges have ``arguments``, the list of argument
            numbers (two for ``x * x``).
        """
        import networkx as nx

        graph = nx.DiGraph()
        adjoints = {node.name: g for node, g in self.adjoints()}
        for node in self.nodes:
            graph.add_node(
                node.name,
                operation=node.operation,
                formula=node.formula,
                shape=node.shape,
                value=node.value,
                adjoint=adjoints.get(node.name),
            )
            for number, argument in node.arguments:
                if graph.has_edge(argument.name, node.name):
                    graph.edges[argument.name, node.name]["arguments"].append(number)
                else:
                    graph.add_edge(argument.name, node.name, arguments=[number])
        return graph

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        names = {node.name: _short(g) for node, g in self.adjoints()}
        rows = [("node", "formula", "shape", "value", "adjoint")]
        rows += [(n.name, n.formula, str(n.shape), _short(n.value), names.get(n.name, "0")) for n in self.nodes]
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        table = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in rows]
        schedule = " -> ".join(n.name for n in self.schedule())
        return "\n".join([*table, f"reverse schedule: {schedule}"])


def tape(result: Tensor) -> Tape:
    """Return the recorded computation of a result.

    Parameters
    ----------
    result : Tensor
        Must depend on a Tensor that requires a gradient.

    Returns
    -------
    Tape
        ``.nodes``, ``.schedule()``, ``.adjoints()``, ``.to_networkx()``; printing it shows the table.

    Raises
    ------
    GradientError
        If the result is a constant.

    Notes
    -----
    Large values that no derivative rule needs are not kept on the tape and have value None. A result of several
    values is differentiated as its sum unless ``adjoints`` is given an adjoint.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> x = gk.Tensor(2.0, requires_grad=True, name="x")
    >>> y = gk.Tensor(3.0, requires_grad=True, name="y")
    >>> gk.tape(x * y + np.square(x))
    node  formula         shape  value  adjoint
    x     input           ()     2      7
    y     input           ()     3      2
    v1    multiply(x, y)  ()     6      1
    v2    square(x)       ()     4      1
    v3    add(v1, v2)     ()     10     1
    reverse schedule: v3 -> v2 -> v1 -> y -> x
    """
    return Tape(result)


def _collect(root: Node) -> list[Node]:
    """Return every node that the root depends on, in order of creation."""
    seen, stack = {root}, [root]
    while stack:
        for _, parent, _, _ in stack.pop().parents:
            if parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(seen, key=lambda node: node.order)


def _describe(nodes: list[Node]) -> dict[Node, TapeNode]:
    shown: dict[Node, TapeNode] = {}
    used: set[str] = set()
    inner, leaves = 0, 0
    for node in nodes:
        name = node.name
        if name is None or name in used:
            if node.op is None:
                leaves += 1
                name = f"x{leaves}" if name is None else f"{name}.{leaves}"
            else:
                inner += 1
                name = f"v{inner}"
        used.add(name)
        arguments = tuple((i, shown[parent]) for i, parent, _, _ in node.parents)
        parts = dict(arguments)
        texts = [parts[i].name if i in parts else _constant(a) for i, a in enumerate(node.args)]
        texts += [f"{k}={v!r}" for k, v in node.kwargs.items() if not isinstance(v, np.ndarray)]
        operation = node.op.name if node.op else "input"
        formula = f"{operation}({', '.join(texts)})" if node.op else operation
        shown[node] = TapeNode(name, operation, formula, node.shape, _value(node), arguments)
    return shown


def _value(node: Node) -> np.ndarray | None:
    if isinstance(node, Leaf):
        owner = node.owner()
        return None if owner is None else owner.data
    return None if isinstance(node.output, Stub) else node.output


def _constant(value: Any) -> str:
    if isinstance(value, Stub) or (isinstance(value, np.ndarray) and value.size > 3):
        return f"constant{list(value.shape)}"
    if isinstance(value, np.ndarray):
        return _short(value)
    text = repr(value)
    return text if len(text) <= 40 else type(value).__name__


def _short(value: Any) -> str:
    if value is None:
        return "..."
    array = np.asarray(value)
    if array.size > 6:
        return f"array{list(array.shape)}"
    return np.array2string(
        array, separator=", ", formatter={"float_kind": lambda v: f"{v:.6g}"}, max_line_width=10_000
    ).replace("\n", "")
