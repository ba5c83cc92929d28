"""`message_program` and `message_passing`: a Python function per edge, run over all edges at once. The public door.

Checks what it is given, has the function traced, and hands symbols and arrays on. Imports the other files of this
folder.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from gnnkit.errors import InvalidArgumentError
from gnnkit.graph import Graph, Topology
from gnnkit.message.program.apply import apply
from gnnkit.message.program.fields import Given, checked, converted, is_wide, topology_of, value_of
from gnnkit.message.program.setting import Setting
from gnnkit.message.program.surroundings import Surroundings
from gnnkit.message.program.symbols import running
from gnnkit.message.program.tracing import Trace, arguments_of, kind_of, not_tracing, trace

NAMESPACES = ("src", "dst", "edge", "globals", "params")
NARROW, WIDE = np.dtype(np.float32), np.dtype(np.float64)
FUNCTIONS_KEPT, TRACES_KEPT = 256, 64  # and of each function, for so many shapes of fields

_traces: dict[Any, dict[Any, Trace]] = {}  # by the key of the function, then by its fields
_traces_lock = threading.Lock()


class MessageProgram:
    """A message function, compiled for all edges: see :func:`message_program`.

    Attributes
    ----------
    function : callable
        What the user wrote.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._names = arguments_of(function)
        self._surroundings = Surroundings(function)
        functools.update_wrapper(self, function)

    def __repr__(self) -> str:
        return f"MessageProgram({getattr(self.function, '__name__', 'function')}({', '.join(self._names)}))"

    def __call__(
        self,
        graph: Graph | Topology,
        *,
        src: Given = None,
        dst: Given = None,
        edge: Given = None,
        globals: Given = None,
        params: Given = None,
    ) -> Any:
        """Run the program over the edges of a graph or topology.

        Parameters
        ----------
        graph : Graph or Topology
        src : {name: array or Tensor [num_senders, ...]}, optional
            Fields of the senders.
        dst : {name: array or Tensor [num_receivers, ...]}, optional
            Fields of the receivers.
        edge : {name: array or Tensor [num_edges, ...]}, optional
            Fields of the edges, in canonical order.
        globals : {name: array or Tensor [num_graphs, ...]}, optional
            Fields of the graphs; a topology counts as one graph.
        params : {name: array or Tensor [...]}, optional
            What is the same for every edge, without a leading axis for rows.

        Returns
        -------
        Tensor, or a tuple or dict of Tensors
            As the function returns: one row per receiver, sender, edge or graph.

        Raises
        ------
        ShapeError, DTypeError, InvalidArgumentError
            If a field does not fit the topology, holds no numbers, or belongs to an argument the function lacks.
        ProgramError
            If the function does something that cannot be traced; the text names the line.
        """
        if running.made is not None:
            with not_tracing():
                return self(graph, src=src, dst=dst, edge=edge, globals=globals, params=params)
        found, values, setting = self._prepare(graph, src, dst, edge, globals, params)
        results = apply(found.outputs, found.inputs, values, setting)
        for result, borrowed in zip(results, found.borrowed):
            if borrowed:  # the caller may write into what is returned
                result.data = np.array(result.data)
        return found.rebuild(results)

    # --- looking inside -----------------------------------------------------------------------------------------

    def explain(
        self,
        graph: Graph | Topology,
        *,
        src: Given = None,
        dst: Given = None,
        edge: Given = None,
        globals: Given = None,
        params: Given = None,
    ) -> Any:
        """The plan of the program on this graph: what runs per node and per edge, what it costs, what fell back.

        Takes the same arguments as a call. The result prints as a table; its parts are attributes.
        """
        from gnnkit.message.program.explain import explain

        found, _, setting = self._prepare(graph, src, dst, edge, globals, params)
        return explain(self, found, found.inputs, setting)

    def source(
        self,
        graph: Graph | Topology,
        *,
        src: Given = None,
        dst: Given = None,
        edge: Given = None,
        globals: Given = None,
        params: Given = None,
    ) -> str:
        """The numba code that is generated for the program and for its derivative, as text."""
        return self.explain(graph, src=src, dst=dst, edge=edge, globals=globals, params=params).source

    # --- preparation --------------------------------------------------------------------------------------------

    def _prepare(
        self, graph: Any, src: Given, dst: Given, edge: Given, globals_: Given, params: Given
    ) -> tuple[Trace, list[Any], Setting]:
        topology, bounds = topology_of(graph)
        setting = Setting(topology, bounds, NARROW)
        fields: dict[str, dict[str, Any]] = {}
        key = []
        for namespace, members in zip(NAMESPACES, (src, dst, edge, globals_, params)):
            if members is None:
                continue
            if namespace not in self._names:
                raise InvalidArgumentError(
                    f"Fields go to the arguments of the program: {', '.join(self._names)}. Got {namespace}="
                    f"{sorted(members)}. Add the argument {namespace} to the function, or leave the fields out."
                )
            fields[namespace] = given = checked(namespace, members, setting)
            skip = namespace != "params"
            key.append((namespace, *[(n, v.shape[skip:], kind_of(v.dtype)) for n, v in given.items()]))
        found = self._trace(tuple(key))
        if found.is_wide or is_wide(fields, params):
            setting = Setting(topology, bounds, WIDE)
        values = [converted(value_of(x, fields, found), x, setting.dtype) for x in found.inputs]
        return found, values, setting

    def _trace(self, fields: tuple[Any, ...]) -> Trace:
        """The trace for fields ``((namespace, (name, shape, kind), ...), ...)``, of an earlier call if there is one."""
        key = self._surroundings.key()
        known = {} if key is None else _traces.get(key, {})
        found = known.get(fields)
        if found is None:
            specs = {namespace: {name: (shape, kind) for name, shape, kind in specs} for namespace, *specs in fields}
            found = trace(self.function, self._names, specs)
            if key is not None:
                _keep(key, fields, found)
        return found


def _keep(key: Any, fields: Any, found: Trace) -> None:
    with _traces_lock:
        known = _traces.setdefault(key, {})
        known[fields] = found
        for kept, most in ((known, TRACES_KEPT), (_traces, FUNCTIONS_KEPT)):
            while len(kept) > most:
                del kept[next(iter(kept))]  # type: ignore[attr-defined]


def message_program(function: Callable[..., Any]) -> MessageProgram:
    """Make a message program of a function that says what happens at one edge.

    Parameters
    ----------
    function : callable
        Its arguments are some of ``src``, ``dst``, ``edge``, ``globals`` and ``params``, whose fields it reads as
        attributes. It computes with numpy functions, operators and the functions of gnnkit on the features of *one*
        edge (no axis for nodes or edges), reduces with ``gk.agg``, and returns one value, a tuple or a dict.

    Returns
    -------
    MessageProgram
        To be called with a graph or topology and the fields.

    Notes
    -----
    The function is called with symbols, not numbers: once per shapes of the fields and plain values (numbers, strings,
    tuples, functions) that it reads besides its arguments; at every call if it reads arrays, objects or lists, or draws
    random numbers. Arrays and Tensors that it reads count as params.

    What depends on one node is computed per node; a product of a shared matrix with features put together from both
    ends is taken apart; factors that the receiver knows leave the sum. The rest runs as sweeps over the edges, each
    receiver owning its row, in kernels generated for the program or in bounded chunks of edges (``explain`` says
    which); an array of one row per edge exists only if the program returns one. The derivative is a message program
    too, which computes messages again instead of storing them; so second derivatives work.

    Receivers without edges get the identity of the reducer. Parallel edges count each; a self-loop is an edge like
    others. All floating fields are computed in the widest floating dtype among them and the arrays that the
    function captures; Python numbers and captured scalars have no say. The bits of the result depend
    neither on the number of threads nor on the order in which the edges of the graph were given (parallel edges with
    different fields keep the order of the caller).

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> @gk.message_program
    ... def attention(src, dst):
    ...     score = gk.leaky_relu(src.left + dst.right, 0.2)              # [heads], for one edge
    ...     return gk.agg.sum(gk.agg.softmax(score)[:, None] * src.h)     # [heads, channels], for each receiver
    >>> g = gk.from_edges([0, 2], [1, 1], num_nodes=3)
    >>> h, left, right = np.ones((3, 2, 4)), np.zeros((3, 2)), np.zeros((3, 2))
    >>> attention(g, src={"h": h, "left": left}, dst={"right": right}).shape
    (3, 2, 4)
    """
    return MessageProgram(function)


def message_passing(
    graph: Graph | Topology,
    function: Callable[..., Any],
    *,
    src: Given = None,
    dst: Given = None,
    edge: Given = None,
    globals: Given = None,
    params: Given = None,
) -> Any:
    """Run a message function over the edges of a graph: :func:`message_program` without the decorator.

    Parameters
    ----------
    graph : Graph or Topology
    function : callable
        See :func:`message_program`.
    src, dst, edge, globals, params : mapping, optional
        Fields; see :meth:`MessageProgram.__call__`.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> x = np.array([1.0, 2.0, 4.0])
    >>> gk.message_passing(gk.path(3), lambda src, dst: gk.agg.max(abs(src.x - dst.x)), src={"x": x}, dst={"x": x})
    Tensor([1., 2., 2.])
    """
    return MessageProgram(function)(graph, src=src, dst=dst, edge=edge, globals=globals, params=params)
