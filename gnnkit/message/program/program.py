"""`message_program` and `message_passing`: a Python function per edge, run over all edges at once. The public door.

Checks what it is given, has the function traced, and hands symbols and arrays on. Imports the other files of this
folder.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gnnkit.autodiff import SparseMatrix, as_array, is_tensor
from gnnkit.errors import DTypeError, InvalidArgumentError, ShapeError
from gnnkit.graph import Graph, Topology
from gnnkit.message.program.apply import apply
from gnnkit.message.program.build import rows_of
from gnnkit.message.program.derive import topological
from gnnkit.message.program.setting import Setting
from gnnkit.message.program.symbols import Symbol
from gnnkit.message.program.tracing import Trace, arguments_of, is_closed, kind_of, trace

Given = Mapping[str, Any] | None
UNITS = {"src": ("src", "sender"), "dst": ("dst", "receiver"), "edge": ("edge", "edge"), "globals": ("graph", "graph")}
TRACES_KEPT = 64


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
        self._closed = is_closed(function)
        self._traces: dict[Any, Trace] = {}
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
        found, inputs, values, setting = self._prepare(graph, src, dst, edge, globals, params)
        return found.rebuild(apply(tuple(found.outputs), inputs, values, setting))

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

        found, inputs, values, setting = self._prepare(graph, src, dst, edge, globals, params)
        return explain(self, found, inputs, values, setting)

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
    ) -> tuple[Trace, tuple[Symbol, ...], list[Any], Setting]:
        topology, bounds = _topology_of(graph)
        setting = Setting(topology, bounds, np.dtype(np.float32))
        given = {"src": src, "dst": dst, "edge": edge, "globals": globals_, "params": params}
        fields: dict[str, dict[str, Any]] = {}
        for namespace, members in given.items():
            if members is None:
                continue
            if namespace not in self._names:
                raise InvalidArgumentError(
                    f"Fields go to the arguments of the program: {', '.join(self._names)}. Got {namespace}="
                    f"{sorted(members)}. Add the argument {namespace} to the function, or leave the fields out."
                )
            fields[namespace] = _checked(namespace, members, setting)
        setting = Setting(topology, bounds, _dtype_of(fields))
        found = self._trace(fields)
        inputs = tuple(x for x in topological(found.outputs) if x.op == "input")
        values = [_converted(_value_of(x, fields, found), x, setting.dtype) for x in inputs]
        return found, inputs, values, setting

    def _trace(self, fields: Mapping[str, Mapping[str, Any]]) -> Trace:
        specs = {
            namespace: {
                name: (tuple(v.shape[namespace != "params" :]), kind_of(v.dtype)) for name, v in members.items()
            }
            for namespace, members in fields.items()
        }
        if not self._closed:
            return _with_rows(trace(self.function, self._names, specs))
        key = tuple((namespace, *members.items()) for namespace, members in specs.items())
        found = self._traces.get(key)
        if found is None:
            found = _with_rows(trace(self.function, self._names, specs))
            while len(self._traces) >= TRACES_KEPT:
                self._traces.pop(next(iter(self._traces)))
            self._traces[key] = found
        return found


def _with_rows(found: Trace) -> Trace:
    """Outputs that depend on no node at all have one row per receiver."""
    found.outputs = [rows_of(o, "dst") if o.level == "const" else o for o in found.outputs]
    return found


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
    The function is called once with symbols, not numbers, per shapes and dtypes (at every call if it reads anything
    but its arguments). What depends on one node is computed per node; a product of a shared matrix with features
    put together from both ends is taken apart; factors that the receiver knows leave the sum. The rest runs as sweeps
    over the edges, each receiver owning its row, in kernels generated for the program or in bounded chunks of edges
    (``explain`` says which); an array of one row per edge exists only if the program returns one. The derivative is
    a message program too, which computes messages again instead of storing them; so second derivatives work.

    Receivers without edges get the identity of the reducer. Parallel edges count each; a self-loop is an edge like
    others. All floating fields are computed in the widest floating dtype among them. The bits of the result depend
    neither on the number of threads nor on the order in which the edges of the graph were given.

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


# --- checks ---------------------------------------------------------------------------------------------------------


def _topology_of(graph: Any) -> tuple[Topology, Graph | None]:
    if isinstance(graph, Graph):
        return graph.topology, graph
    if isinstance(graph, Topology):
        return graph, None
    raise InvalidArgumentError(
        f"A message program runs on a Graph or a Topology. Got {type(graph).__name__}. Convert it, for instance with "
        "gk.from_networkx or gk.from_edges."
    )


def _checked(namespace: str, members: Any, setting: Setting) -> dict[str, Any]:
    if not isinstance(members, Mapping):
        raise InvalidArgumentError(
            f"{namespace} maps names to arrays. Got {type(members).__name__}. Pass {namespace}={{'x': array}}."
        )
    found: dict[str, Any] = {}
    for name, value in members.items():
        if isinstance(value, SparseMatrix):
            raise DTypeError(
                f"Fields of a message program are dense. {namespace}.{name} is {value!r}. Multiply it by a weight "
                "matrix first and pass the product, or use .toarray()."
            )
        array = value if is_tensor(value) else np.asarray(value)
        if array.dtype.kind not in "fbiu" or array.dtype == np.float16:
            raise DTypeError(
                f"Fields of a message program hold numbers. {namespace}.{name} has dtype {array.dtype}. "
                "Convert it, for instance with .astype('float32')."
            )
        if namespace in UNITS:
            level, unit = UNITS[namespace]
            if array.ndim == 0 or array.shape[0] != setting.count(level):
                raise ShapeError(
                    f"Fields in {namespace} have one row per {unit}: {setting.count(level)} rows. {namespace}.{name} "
                    f"has shape {tuple(array.shape)}. Pass what is the same for every edge as params."
                )
        found[str(name)] = array
    return found


def _dtype_of(fields: Mapping[str, Mapping[str, Any]]) -> np.dtype[Any]:
    """The widest floating dtype among the fields; float32 without any."""
    wide = any(v.dtype.itemsize > 4 and v.dtype.kind == "f" for members in fields.values() for v in members.values())
    return np.dtype(np.float64 if wide else np.float32)


def _value_of(x: Symbol, fields: Mapping[str, Mapping[str, Any]], found: Trace) -> Any:
    namespace, name = x.info
    return found.captured[name] if namespace == "captured" else fields[namespace][name]


def _converted(value: Any, x: Symbol, dtype: np.dtype[Any]) -> Any:
    if x.kind != "f":
        return as_array(value)
    if not is_tensor(value):
        value = np.asarray(value)
    if value.dtype != dtype:
        value = value.astype(dtype)
    return value if is_tensor(value) else np.ascontiguousarray(value)
