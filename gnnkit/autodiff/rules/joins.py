"""Rules of functions that join or split arrays. Imports the tape, numpy, primitives."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from gnnkit.autodiff.nodes import defvjp, implements
from gnnkit.autodiff.primitives import primitive
from gnnkit.autodiff.tensors import as_array


@primitive
def join(*arrays: Any, axis: int = 0) -> Any:
    return np.concatenate(arrays, axis=axis)


def _join_rule(i: int, g: Any, y: Any, *arrays: Any, axis: int = 0) -> Any:
    start = 0
    for a in arrays[:i]:
        start += np.shape(a)[axis]
    part: list[Any] = [slice(None)] * g.ndim
    part[axis] = slice(start, start + arrays[i].shape[axis])
    return g[tuple(part)]


join.op.name = "concatenate"  # type: ignore[attr-defined]
defvjp(join, each=_join_rule, keep="")


@implements(np.concatenate, np.concat)
def concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    if axis is None:
        return join(*(np.reshape(a, -1) for a in arrays), axis=0)
    return join(*arrays, axis=axis)


@implements(np.stack)
def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    return pile(*arrays, axis=axis)


@primitive
def pile(*arrays: Any, axis: int = 0) -> Any:
    return np.stack(arrays, axis=axis)


pile.op.name = "stack"  # type: ignore[attr-defined]
defvjp(pile, each=lambda i, g, y, *arrays, axis=0: g[_at(axis, i, g.ndim)], keep="")


def _at(axis: int, i: int, ndim: int) -> tuple[Any, ...]:
    index: list[Any] = [slice(None)] * ndim
    index[axis] = i
    return tuple(index)


@implements(np.vstack)
def vstack(tup: Sequence[Any]) -> Any:
    return join(*(np.atleast_2d(a) for a in tup), axis=0)


@implements(np.hstack)
def hstack(tup: Sequence[Any]) -> Any:
    parts = [np.atleast_1d(a) for a in tup]
    return join(*parts, axis=0 if parts[0].ndim == 1 else 1)


@implements(np.column_stack)
def column_stack(tup: Sequence[Any]) -> Any:
    return join(*(np.reshape(a, (-1, 1)) if np.ndim(as_array(a)) < 2 else a for a in tup), axis=1)


@implements(np.append)
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    return concatenate([arr, values], axis=axis)


@implements(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    pieces = np.array_split(np.arange(ary.shape[axis]), indices_or_sections)
    ends = np.cumsum([0, *(len(p) for p in pieces)]).tolist()
    if isinstance(indices_or_sections, int | np.integer):
        bounds = list(itertools.pairwise(ends))
    else:  # cut points may lie in any order, as numpy allows
        cuts = [0, *(int(i) for i in indices_or_sections), ary.shape[axis]]
        bounds = list(itertools.pairwise(cuts))
    return [ary[_at(axis, slice(a, b), ary.ndim)] for a, b in bounds]  # type: ignore[arg-type]


@implements(np.split)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    np.split(np.empty(ary.shape[axis], np.int8), indices_or_sections)  # numpy's own check of the sections
    return array_split(ary, indices_or_sections, axis)


@implements(np.unstack)
def unstack(x: Any, /, *, axis: int = 0) -> Any:
    return tuple(x[_at(axis, i, x.ndim)] for i in range(x.shape[axis]))
