"""`gk.agg`: what a message program does over the edges of a receiver, sender or graph. Imports symbols and table.

Sum, maximum and product are operations of their own; everything else is made of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gnnkit.errors import ProgramError, UnknownFieldError, unknown_name
from gnnkit.message.program import build as s
from gnnkit.message.program.build import as_symbol, call
from gnnkit.message.program.symbols import Symbol, caller_line, running
from gnnkit.message.program.table import where

TO = {"receivers": "dst", "senders": "src", "graphs": "graph"}


def _message(value: Any, to: str) -> tuple[Symbol, str]:
    if to not in TO:
        raise unknown_name("side to aggregate at", to, TO)
    if running.made is None:
        raise ProgramError(
            f"gk.agg stands inside of a message program. Got {type(value).__name__} outside of one{caller_line()}. "
            "Put it into a function decorated with @gk.message_program; outside, use gk.message.aggregate."
        )
    return s.as_float(as_symbol(value)), TO[to]


def sum(message: Any, to: str = "receivers") -> Symbol:
    """Sum over the edges of each receiver; 0 where there are none.

    Parameters
    ----------
    message : Symbol
        What every edge brings, of any feature shape.
    to : {"receivers", "senders", "graphs"}
        Who collects: the end that an edge enters, the end that it leaves, or the graph that it is in.

    Returns
    -------
    Symbol
        One value per receiver (sender, graph) of the same feature shape.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> @gk.message_program
    ... def total(src):
    ...     return gk.agg.sum(src.x)
    >>> g = gk.from_edges([0, 2], [1, 1], num_nodes=3)
    >>> total(g.topology, src={"x": np.array([1.0, 2.0, 4.0])}).numpy()
    array([0., 5., 0.])
    """
    x, level = _message(message, to)
    return s.aggregate(x, "sum", level)


def mean(message: Any, to: str = "receivers") -> Symbol:
    """Mean over the edges of each receiver; 0 where there are none.

    Parameters
    ----------
    message : Symbol
        What every edge brings, of any feature shape.
    to : {"receivers", "senders", "graphs"}
        Who collects.

    Returns
    -------
    Symbol
        One value per receiver (sender, graph) of the same feature shape.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g, x = gk.from_edges([0, 2], [1, 1], num_nodes=3), np.array([1.0, 2.0, 4.0])
    >>> gk.message_passing(g, lambda src: gk.agg.mean(src.x), src={"x": x})
    Tensor([0. , 2.5, 0. ])
    """
    x, level = _message(message, to)
    return s.aggregate(x, "sum", level) / call("maximum", s.degree(level), 1.0)


def max(message: Any, to: str = "receivers") -> Symbol:
    """Largest value over the edges of each receiver; 0 where there are none.

    Parameters
    ----------
    message : Symbol
        What every edge brings, of any feature shape.
    to : {"receivers", "senders", "graphs"}
        Who collects.

    Returns
    -------
    Symbol
        One value per receiver (sender, graph) of the same feature shape.

    Notes
    -----
    Ties share the gradient evenly. NaN is the largest of all.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g, x = gk.from_edges([0, 2], [1, 1], num_nodes=3), np.array([1.0, 2.0, 4.0])
    >>> gk.message_passing(g, lambda src: gk.agg.max(src.x), src={"x": x})
    Tensor([0., 4., 0.])
    """
    x, level = _message(message, to)
    return s.aggregate(x, "max", level)


def min(message: Any, to: str = "receivers") -> Symbol:
    """Smallest value over the edges of each receiver; 0 where there are none.

    Parameters
    ----------
    message : Symbol
        What every edge brings, of any feature shape.
    to : {"receivers", "senders", "graphs"}
        Who collects.

    Returns
    -------
    Symbol
        One value per receiver (sender, graph) of the same feature shape.

    Notes
    -----
    Ties share the gradient evenly. NaN is the smallest of all.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g, x = gk.from_edges([0, 2], [1, 1], num_nodes=3), np.array([1.0, 2.0, 4.0])
    >>> gk.message_passing(g, lambda src: gk.agg.min(src.x), src={"x": x})
    Tensor([0., 1., 0.])
    """
    x, level = _message(message, to)
    return 0.0 - s.aggregate(-x, "max", level)  # unlike a negation this makes no -0.0 where there are no edges


def prod(message: Any, to: str = "receivers") -> Symbol:
    """Product over the edges of each receiver; 1 where there are none.

    Parameters
    ----------
    message : Symbol
        What every edge brings, of any feature shape.
    to : {"receivers", "senders", "graphs"}
        Who collects.

    Returns
    -------
    Symbol
        One value per receiver (sender, graph) of the same feature shape.

    Notes
    -----
    Gradients are right at zeros too; third derivatives where several factors are zero are not.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g, x = gk.from_edges([0, 2], [1, 1], num_nodes=3), np.array([1.0, 2.0, 4.0])
    >>> gk.message_passing(g, lambda src: gk.agg.prod(src.x), src={"x": x})
    Tensor([1., 4., 1.])
    """
    x, level = _message(message, to)
    return s.aggregate(s.rows_of(x, "edge"), "prod", level)


def var(message: Any, to: str = "receivers") -> Symbol:
    """Population variance over the edges of each receiver; 0 where there are none.

    Parameters
    ----------
    message : Symbol
        What every edge brings, of any feature shape.
    to : {"receivers", "senders", "graphs"}
        Who collects.

    Returns
    -------
    Symbol
        One value per receiver (sender, graph) of the same feature shape.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g, x = gk.from_edges([0, 2], [1, 1], num_nodes=3), np.array([1.0, 2.0, 4.0])
    >>> gk.message_passing(g, lambda src: gk.agg.var(src.x), src={"x": x})
    Tensor([0.  , 2.25, 0.  ])
    """
    x, level = _message(message, to)
    return s.make("custom", (_variance(x, to), x), ("var", level), level, x.shape)


def std(message: Any, to: str = "receivers") -> Symbol:
    """Population standard deviation over the edges of each receiver; 0 where there are none.

    Parameters
    ----------
    message : Symbol
        What every edge brings, of any feature shape.
    to : {"receivers", "senders", "graphs"}
        Who collects.

    Returns
    -------
    Symbol
        One value per receiver (sender, graph) of the same feature shape.

    Notes
    -----
    Where all messages are equal the gradient is 0.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g, x = gk.from_edges([0, 2], [1, 1], num_nodes=3), np.array([1.0, 2.0, 4.0])
    >>> gk.message_passing(g, lambda src: gk.agg.std(src.x), src={"x": x})
    Tensor([0. , 1.5, 0. ])
    """
    x, level = _message(message, to)
    return s.make("custom", (call("sqrt", _variance(x, to)), x), ("std", level), level, x.shape)


def _variance(x: Symbol, to: str) -> Symbol:
    return mean(call("square", x - mean(x, to)), to)


def _safe_top(x: Symbol, level: str) -> Symbol:
    top = s.aggregate(x, "max", level)
    return s.stop_gradient(where(call("isfinite", top), top, 0.0))


def logsumexp(message: Any, to: str = "receivers") -> Symbol:
    """``log(sum(exp(message)))`` over the edges of each receiver without overflow; -inf where there are none.

    Parameters
    ----------
    message : Symbol
        What every edge brings, of any feature shape.
    to : {"receivers", "senders", "graphs"}
        Who collects.

    Returns
    -------
    Symbol
        One value per receiver (sender, graph) of the same feature shape.

    Notes
    -----
    A message of -inf counts as no edge.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g, x = gk.from_edges([0, 2], [1, 1], num_nodes=3), np.array([1.0, 2.0, 4.0])
    >>> gk.message_passing(g, lambda src: gk.agg.logsumexp(src.x), src={"x": x})
    Tensor([      -inf, 4.04858735,       -inf])
    """
    x, level = _message(message, to)
    top = _safe_top(x, level)
    total = s.aggregate(call("exp", x - top), "sum", level)
    return where(total == 0, -float("inf"), call("log", where(total == 0, 1.0, total))) + top


def softmax(score: Any, to: str = "receivers") -> Symbol:
    """Softmax of the scores of the edges of each receiver: still one value per edge.

    Parameters
    ----------
    score : Symbol
        -inf switches an edge off.
    to : {"receivers", "senders", "graphs"}
        Whose edges sum to 1.

    Notes
    -----
    In ``sum(softmax(score) * value)`` no weight is stored: the sums of ``exp`` with and without the value run together.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> @gk.message_program
    ... def attention(src, edge):
    ...     return gk.agg.sum(gk.agg.softmax(edge.score) * src.x)
    >>> g = gk.from_edges([0, 2], [1, 1], num_nodes=3)
    >>> attention(g.topology, src={"x": np.array([1.0, 2.0, 5.0])}, edge={"score": np.log([1.0, 3.0])}).numpy()
    array([0., 4., 0.])
    """
    x, level = _message(score, to)
    if s.join({x.level, level}) != "edge":
        x = s.rows_of(x, "edge")  # one value per edge, whatever the scores depend on
    weight = call("exp", x - _safe_top(x, level))
    total = s.aggregate(weight, "sum", level)
    return weight / where(total == 0, 1.0, total)


def degree(to: str = "receivers") -> Symbol:
    """Number of edges of each receiver (sender, graph), as a floating value.

    Parameters
    ----------
    to : {"receivers", "senders", "graphs"}
        Whose edges are counted.

    Returns
    -------
    Symbol
        One number per receiver (sender, graph), without feature axes.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> x = np.array([1.0, 2.0, 4.0])
    >>> gk.message_passing(gk.path(3), lambda src: gk.agg.sum(src.x) / gk.agg.degree(), src={"x": x})
    Tensor([2. , 2.5, 2. ])
    """
    _, level = _message(0.0, to)
    return s.degree(level)


REDUCERS: dict[str, Callable[..., Symbol]] = {
    "sum": sum, "mean": mean, "max": max, "min": min, "prod": prod, "var": var, "std": std, "logsumexp": logsumexp,
}  # fmt: skip


def reduce(message: Any, reducer: str, to: str = "receivers") -> Symbol:
    """The reducer of that name: ``reduce(x, "mean")`` is ``mean(x)``.

    Parameters
    ----------
    message : Symbol
        What every edge brings, of any feature shape.
    reducer : {"sum", "mean", "max", "min", "prod", "var", "std", "logsumexp"}
        Name of the reducer.
    to : {"receivers", "senders", "graphs"}
        Who collects.

    Raises
    ------
    UnknownNameError
        If there is no such reducer.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> x = np.array([1.0, 2.0, 4.0])
    >>> gk.message_passing(gk.path(3), lambda src: gk.agg.reduce(src.x, "max"), src={"x": x})
    Tensor([2., 4., 2.])
    """
    if reducer not in REDUCERS:
        raise unknown_name("reducer", reducer, REDUCERS)
    return REDUCERS[reducer](message, to)


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    raise UnknownFieldError(str(unknown_name("function of gk.agg", name, [*REDUCERS, "softmax", "degree", "reduce"])))
