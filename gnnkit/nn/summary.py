"""The table of a model on a given graph: layers, parameters, sizes, receptive field, work. Imports the module base.

One forward pass in evaluation mode is watched: what each layer took and gave, which says how far information went and
how much was computed and moved.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gnnkit.autodiff import no_grad
from gnnkit.errors import InvalidArgumentError
from gnnkit.graph import Graph
from gnnkit.nn import module as module_base
from gnnkit.nn.inputs import features_of
from gnnkit.nn.module import Module
from gnnkit.nn.receptive import ReceptiveField, grid_size, on_grid

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class SummaryRow:
    """One call of one layer.

    Attributes
    ----------
    name : str
        Dotted name inside the model.
    layer : str
        Class name.
    parameters : int
        Learnt values, counted at the first call only.
    output : str
        Size of the node features that came out; on a grid ``rows x columns x channels`` of one image, with the number
        of images in front if there are several.
    hops : float
        Receptive field so far: from how many edges away a node has heard; infinite after a global state.
    flops : float or None
        Floating-point operations; None where the layer does not say.
    bytes : int
        Features read and written, and edges read; those of a grid are computed, not read.
    receptive_field : tuple of float, optional
        On grids: how many pixels of the input, along each axis, one pixel of the output depends on.
    """

    name: str
    layer: str
    parameters: int
    output: str
    hops: float
    flops: float | None
    bytes: int
    receptive_field: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Summary:
    """What :func:`summary` returns; printing it gives the table.

    Attributes
    ----------
    rows : tuple of SummaryRow
        In the order of the calls.
    num_parameters, num_bytes, flops, hops, receptive_field
        Totals; ``flops`` adds up what the layers say.
    """

    model: str
    rows: tuple[SummaryRow, ...]
    num_parameters: int
    hops: float
    receptive_field: tuple[float, ...] | None = None

    @property
    def flops(self) -> float:
        """Floating-point operations of one forward pass."""
        return float(sum(row.flops or 0.0 for row in self.rows))

    @property
    def num_bytes(self) -> int:
        """Bytes of features and edges that the layers read and wrote."""
        return sum(row.bytes for row in self.rows)

    def __str__(self) -> str:
        reach = "hops" if self.receptive_field is None else "receptive field"
        head = ("layer", "kind", "parameters", "output", reach, "FLOPs", "bytes")
        body = [
            (r.name, r.layer, f"{r.parameters:,}", r.output, _reach(r), _count(r.flops), _count(r.bytes))
            for r in self.rows
        ]
        total = ("total", self.model, f"{self.num_parameters:,}", "", _reach(self))
        total_row = (*total, _count(self.flops), _count(self.num_bytes))
        widths = [max(len(line[i]) for line in (head, *body, total_row)) for i in range(len(head))]
        left = (0, 1, 3)
        lines = [
            "  ".join(cell.ljust(w) if i in left else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths)))
            for line in (head, *body, total_row)
        ]
        rule = "-" * max(len(line) for line in lines)
        return "\n".join(line.rstrip() for line in (lines[0], rule, *lines[1:-1], rule, lines[-1]))

    __repr__ = __str__


def summary(model: Module, *inputs: Any) -> Summary:
    """Run ``model`` once on ``inputs`` and tell what each layer is, gives and costs.

    Parameters
    ----------
    model : Module
        Left as it was: it runs in evaluation mode, without a tape.
    *inputs
        What the model is called with, usually one graph.

    Returns
    -------
    Summary
        Printable.

    Raises
    ------
    InvalidArgumentError
        If there are no inputs.

    Notes
    -----
    Sizes are those of this input: twice the nodes at equal degree cost twice the work, with the same parameters, and a
    complete graph of twice the nodes four times. FLOPs count additions and multiplications of the forward pass (a
    training step costs about three times as much); bytes count what the layers read and write once, as if nothing
    stayed in a cache. ``hops`` is the largest number of edges along which a node's output depends on others. For graphs
    on grids the receptive field is shown instead, in pixels of the input along each axis (3 x 3 after one 3 x 3
    convolution), and sizes as rows x columns x channels; images of different sizes are "mixed".

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> model = gk.nn.Sequential(gk.nn.Linear(3, 8, rng=0), gk.nn.ReLU(), gk.nn.Linear(8, 2, rng=0))
    >>> print(gk.nn.summary(model, np.ones((10, 3), dtype="float32")))
    layer  kind        parameters  output   hops  FLOPs  bytes
    ----------------------------------------------------------
    0      Linear              32  [10, 8]     0    560    440
    1      ReLU                 0  [10, 8]     0     80    640
    2      Linear              18  [10, 2]     0    340    400
    ----------------------------------------------------------
    total  Sequential          50              0    980  1,480
    """
    if not inputs:
        raise InvalidArgumentError(
            f"A summary needs what the model is called with. {type(model).__name__} got nothing. Pass a graph: "
            "model.summary(graph)."
        )
    watcher = _Watcher(names={id(module): name for name, module in model.named_modules()})
    for value in inputs:
        watcher.set_depth(value, 0, ReceptiveField.of_input(value))
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad(), _watched(watcher):
            model(*inputs)
    finally:
        for module, training in modes:
            module.training = training
    reach = None if watcher.widest is None else watcher.widest.pixels
    return Summary(type(model).__name__, tuple(watcher.rows), model.num_parameters, watcher.farthest, reach)


@dataclass
class _Call:
    module: Module
    graph: Any  # the graph on a grid that it was called with, or None
    start: float  # hops when it began
    field: ReceptiveField | None  # when it began
    first_row: int
    first_field: int
    counted: set[int]  # whose parameters had a row when it began
    children: int = 0


@dataclass
class _Watcher:
    names: dict[int, str]
    rows: list[SummaryRow] = field(default_factory=list)
    stack: list[_Call] = field(default_factory=list)
    depth: dict[int, float] = field(default_factory=dict)
    fields: dict[int, ReceptiveField | None] = field(default_factory=dict)  # of features, by their id
    seen: list[ReceptiveField] = field(default_factory=list)  # in the order of the calls
    widest: ReceptiveField | None = None
    kept: list[Any] = field(default_factory=list)  # keeps outputs alive, so that an id stays one object's
    counted: set[int] = field(default_factory=set)
    farthest: float = 0

    def before(self, module: Module, inputs: tuple[Any, ...]) -> None:
        if self.stack:
            self.stack[-1].children += 1
        start, reach = self._depth_of(inputs), self._field_of(inputs)
        graph = inputs[0] if inputs and on_grid(inputs[0]) else None
        self.stack.append(_Call(module, graph, start, reach, len(self.rows), len(self.seen), set(self.counted)))

    def after(self, module: Module, inputs: tuple[Any, ...], output: Any) -> None:
        call = self.stack.pop()
        flops = module.work(inputs[0], output) if inputs else None
        inside = self.rows[call.first_row :]
        hops = call.start + module.hops
        if inside:
            hops = max(hops, *(row.hops for row in inside))
        reach = call.field
        if reach is not None:
            reach = reach.after(module, inputs[0], output, self.seen[call.first_field :])
        if call.children and flops is not None:
            del self.rows[call.first_row :]  # it speaks for what is inside, so that nothing counts twice
            self.counted = call.counted
            self._add(module, list(module.parameters()), inputs, output, hops, reach, flops)
        elif not call.children:
            self._add(module, list(module.parameters()), inputs, output, hops, reach, flops)
        else:  # its sub-modules have rows; what it does itself gets another, with those whose parameters it reads
            own = [parameter for parameter in module.parameters() if id(parameter) not in self.counted]
            flops = module.own_work(inputs[0], output) if inputs else None
            if own or flops:
                self._add(module, own, inputs, output, hops, reach, flops)
        self.set_depth(output, hops, reach)

    def _add(
        self,
        module: Module,
        parameters: list[Any],
        inputs: tuple[Any, ...],
        output: Any,
        hops: float,
        reach: ReceptiveField | None,
        flops: Any,
    ) -> None:
        fresh = [parameter for parameter in parameters if id(parameter) not in self.counted]
        self.counted.update(id(parameter) for parameter in fresh)
        size = sum(parameter.size for parameter in fresh)
        moved = sum(_bytes(value) for value in (*inputs, output)) + _edge_bytes(module, inputs)
        name = self.names.get(id(module), "") or "."
        came = inputs[0] if inputs else None
        pixels = None if reach is None else reach.pixels
        around = next((call.graph for call in reversed(self.stack) if call.graph is not None), None)
        shown = grid_size(output, came, around) or _size(output)
        self.rows.append(SummaryRow(name, type(module).__name__, size, shown, hops, flops, moved, pixels))

    def _depth_of(self, inputs: tuple[Any, ...]) -> float:
        # A value that no layer returned was computed in between, from anything so far: assume the farthest.
        known = [self.depth.get(id(features_of(value)), self.farthest) for value in inputs if _has_features(value)]
        return max(known, default=0)

    def _field_of(self, inputs: tuple[Any, ...]) -> ReceptiveField | None:
        if not inputs or not _has_features(inputs[0]):
            return None
        return self.fields.get(id(features_of(inputs[0])), self.widest)

    def set_depth(self, output: Any, hops: float, reach: ReceptiveField | None) -> None:
        if _has_features(output):
            features = features_of(output)
            self.kept.append(features)
            self.depth[id(features)] = hops
            self.fields[id(features)] = reach
        self.farthest = max(self.farthest, hops)
        if reach is not None:
            self.seen.append(reach)
            self.widest = reach.joined(self.widest)


@contextmanager
def _watched(watcher: _Watcher) -> Iterator[None]:
    entry = (watcher.before, watcher.after)
    module_base._observers.append(entry)
    try:
        yield
    finally:
        module_base._observers.remove(entry)


def _has_features(value: Any) -> bool:
    return "x" in value.nodes if isinstance(value, Graph) else hasattr(value, "shape")


def _bytes(value: Any) -> int:
    features = features_of(value) if _has_features(value) else None
    return int(getattr(features, "nbytes", 0))


def _edge_bytes(module: Module, inputs: tuple[Any, ...]) -> int:
    if not module.hops:
        return 0
    graphs = [value for value in inputs if isinstance(value, Graph) and not on_grid(value)]
    return sum(graph.topology.num_edges * graph.topology.indices.itemsize for graph in graphs)


def _size(value: Any) -> str:
    return str(list(features_of(value).shape)) if _has_features(value) else type(value).__name__


def _reach(row: SummaryRow | Summary) -> str:
    reach = (row.hops,) if row.receptive_field is None else row.receptive_field
    if any(map(math.isinf, reach)):
        return "all"
    return " x ".join(f"{pixels:g}" for pixels in reach)


def _count(number: float | None) -> str:
    return "?" if number is None else f"{int(number):,}"
