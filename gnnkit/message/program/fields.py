"""The arguments of a call of a message program: checked against the topology, brought to one dtype.

Imports autodiff's Tensor, the graph and symbols.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gnnkit.autodiff import SparseMatrix, Tensor, as_array, is_tensor
from gnnkit.errors import DTypeError, InvalidArgumentError, ProgramError, ShapeError
from gnnkit.graph import Graph, Topology
from gnnkit.message.program.setting import Setting
from gnnkit.message.program.symbols import Symbol
from gnnkit.message.program.tracing import Trace

Given = Mapping[str, Any] | None
UNITS = {"src": ("src", "sender"), "dst": ("dst", "receiver"), "edge": ("edge", "edge"), "globals": ("graph", "graph")}


def topology_of(graph: Any) -> tuple[Topology, Graph | None]:
    if isinstance(graph, Graph):
        return graph.topology, graph
    if isinstance(graph, Topology):
        return graph, None
    raise InvalidArgumentError(
        f"A message program runs on a Graph or a Topology. Got {type(graph).__module__}.{type(graph).__name__}. "
        "Convert it, for instance with "
        "gk.from_networkx or gk.from_edges."
    )


def checked(namespace: str, members: Any, setting: Setting) -> dict[str, Any]:
    if not isinstance(members, Mapping):
        raise InvalidArgumentError(
            f"{namespace} maps names to arrays. Got {type(members).__name__}. Pass {namespace}={{'x': array}}."
        )
    level, unit = UNITS.get(namespace, ("const", ""))
    rows = setting.count(level)
    found: dict[str, Any] = {}
    for name, value in members.items():
        if not isinstance(name, str):
            raise InvalidArgumentError(
                f"Fields have names. {namespace} has {name!r} of type {type(name).__name__}. Use a string."
            )
        kind = type(value)
        if kind is not Tensor and kind is not np.ndarray:
            value = _array(namespace, name, value)
        dtype = value.dtype
        if dtype.kind not in "fbiu" or (dtype.kind == "f" and dtype.itemsize not in (4, 8)):
            raise DTypeError(
                f"Fields of a message program hold numbers. {namespace}.{name} has dtype {dtype}. "
                "Convert it, for instance with .astype('float32')."
            )
        if unit and (not value.ndim or value.shape[0] != rows):
            raise ShapeError(
                f"Fields in {namespace} have one row per {unit}: {rows} rows. {namespace}.{name} "
                f"has shape {tuple(value.shape)}. Pass what is the same for every edge as params."
            )
        found[name] = value
    return found


def _array(namespace: str, name: Any, value: Any) -> Any:
    if isinstance(value, SparseMatrix) or hasattr(value, "tocsr"):
        raise DTypeError(
            f"Fields of a message program are dense. {namespace}.{name} is {value!r}. Multiply it by a weight "
            "matrix first and pass the product, or use .toarray()."
        )
    if isinstance(value, Symbol):
        raise ProgramError(
            f"A message program is called with numbers. {namespace}.{name} is {value!r} of another program. "
            "Call the functions themselves from one function, and make one program of that."
        )
    if is_tensor(value):
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise DTypeError(
            f"A field has a value everywhere. {namespace}.{name} is a masked array, whose mask would be lost. "
            "Fill it with .filled(value), and pass the mask as a field of its own."
        )
    try:
        return np.asarray(value)
    except ValueError as error:
        raise DTypeError(
            f"A field is one array of numbers. {namespace}.{name} cannot be made one: {error}. Pass rows of one length."
        ) from error


def is_wide(fields: Mapping[str, Mapping[str, Any]], params: Given) -> bool:
    """Whether a field is of float64; plain Python numbers among the params have no width."""
    for namespace, members in fields.items():
        for name, value in members.items():
            wide = value.dtype.kind == "f" and value.dtype.itemsize > 4
            if wide and not (namespace == "params" and params is not None and type(params.get(name)) is float):
                return True
    return False


def value_of(x: Symbol, fields: Mapping[str, Mapping[str, Any]], found: Trace) -> Any:
    namespace, name = x.info
    return found.captured[name] if namespace == "captured" else fields[namespace][name]


def converted(value: Any, x: Symbol, dtype: np.dtype[Any]) -> Any:
    if x.kind != "f":
        return as_array(value)
    if not is_tensor(value):
        value = np.asarray(value)
    if value.dtype != dtype:
        value = value.astype(dtype)
    return value if is_tensor(value) else np.ascontiguousarray(value)
