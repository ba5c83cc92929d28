"""Generated kernels: kept as files, compiled when first called, cached on disk, and run over chunks of rows.

Every kernel is a small Python file of its own in the cache folder (``GNNKIT_CACHE``, else the user's cache), named by
its content, so that numba's on-disk cache works for it as for a file of the library and a reader can open it. Imports
the generator and kernels.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.kernels import backend
from gnnkit.kernels.arrays import CACHE_LINE, PAST_BYTES
from gnnkit.message.program.codegen import BLOCK, Kernel, generate
from gnnkit.message.program.layout import Unfit
from gnnkit.message.program.plan import Sweep
from gnnkit.message.program.setting import Setting
from gnnkit.message.program.symbols import Symbol

# Numbers that a sweep handles (edges times features) from which a kernel pays: below, numpy is done in less time than
# the first call of a cached kernel takes to load, and compiling it takes a thousand times as long.
SMALL = 1 << 15
# Edges from which passes over the edges of a chunk are compiled: all of a program's or none, so that a message has the
# same bits wherever it is computed.
LARGE = 1 << 13
NOBODY = np.empty(0, np.int32)  # at the other end of edges that are rows
NOBODY.flags.writeable = False
# With features larger than this (a typical second-level cache) the rows to come are fetched ahead of their use.
PREFETCH_BYTES = 1 << 20
# So many cache lines ahead, about what the processor can wait for at once; of short rows more are not worth it.
PREFETCH_LINES, PREFETCH_LEAST = 72, 128
# A pass over rows fetches so far ahead in its widest array: processors alone do not keep enough lines under way.
AHEAD_BYTES = 1 << 11


def kernel_of(sweep: Sweep) -> Kernel | Unfit:
    """The generated kernel of a sweep, or why there is none; kept with the sweep."""
    if sweep.kernel is None:
        try:
            sweep.kernel = generate(sweep, "sweep")
        except Unfit as reason:  # it is kept: the frames of a traceback would keep the arrays of this run
            sweep.kernel = reason.with_traceback(None)
    return sweep.kernel


def uses_kernel(sweep: Sweep, setting: Setting) -> bool:
    """Whether a sweep runs as a kernel: on the numba backend, if there is one and enough work."""
    width = max((x.size for x in (*sweep.leaves, *sweep.inner)), default=1)
    if backend.current_backend() == "numpy":
        return False
    if setting.count(sweep.level) * width < SMALL and not K.is_batch_invariant():
        return False
    return isinstance(kernel_of(sweep), Kernel)


def pass_of_chunk(rows: Sweep, setting: Setting) -> Kernel | None:
    """The kernel of a pass over the edges of a chunk, where there is enough work in all chunks to compile it."""
    if backend.current_backend() == "numpy" or K.sums_are_exact() or K.is_batch_invariant():
        return None
    if setting.topology.num_edges < LARGE or not any(x.op in ("call", "feature_sum") for x in rows.inner):
        return None
    found = kernel_of(rows)
    return found if isinstance(found, Kernel) else None


def run_pass(
    rows: Sweep, kernel: Kernel, values: Mapping[Symbol, Any], count: int, dtype: np.dtype[Any]
) -> dict[Symbol, Any] | None:
    """Run a pass over ``count`` edges in this thread; None if numba cannot compile it, which it remembers."""
    out = {s: np.empty((count, *s.shape), dtype) for s in kernel.sinks}
    outs = [array.reshape(count, s.size) for s, array in out.items()]
    if count == 0 or all(array.size == 0 for array in outs):
        return out
    blocks = _blocks_of_rows(count)
    blocks.flags.writeable = False
    leaves = [_frozen(_rows(values[x], x, dtype)) for x in kernel.leaves]
    past = (False,) * len(outs)
    run = compiled(kernel.source, kernel.name)
    try:
        run(0, len(blocks) - 1, blocks, NOBODY, blocks, 0, past, *kernel.dimensions, *kernel.numbers, *leaves, *outs)
    except compiler_errors() as error:
        give_up(rows, error)
        return None
    return out


def give_up(sweep: Sweep, error: Exception) -> None:
    """Remember that numba could not compile the kernel of a sweep or pass, and say so."""
    sweep.kernel = Unfit(f"numba could not compile its kernel ({type(error).__name__})")
    text = f"gnnkit computes a part of a message program with numpy: {sweep.kernel}. Please report it."
    warnings.warn(text, RuntimeWarning, stacklevel=2)


def run_kernel(sweep: Sweep, values: Mapping[Symbol, Any], setting: Setting) -> dict[Symbol, Any]:
    """Compute the sinks of a sweep from the values of its leaves."""
    kernel = kernel_of(sweep)
    assert isinstance(kernel, Kernel)
    topology = setting.topology if sweep.side != "src" else setting.topology.transpose()
    indptr = topology.indptr if sweep.level == "edge" else _blocks_of_rows(setting.count(sweep.level))
    order = setting.topology.transpose_permutation if kernel.needs_order else indptr
    out = {s: K.empty((setting.count(s.level), *s.shape), setting.dtype) for s in kernel.sinks}
    outs = [array.reshape(len(array), s.size) for s, array in out.items()]
    if all(array.size == 0 for array in outs):
        return out
    leaves = _matrices(sweep, kernel, values, setting)
    level = sweep.other if sweep.level == "edge" else sweep.level  # whose rows are fetched ahead
    row = max((x.shape[-1] * x.itemsize for x, s in zip(leaves, kernel.leaves) if s.level == level), default=0)
    if sweep.level != "edge":
        ahead = max(AHEAD_BYTES // max(row, 1), 1)
    else:
        is_far = row * setting.count(sweep.other or "dst") > PREFETCH_BYTES
        ahead = max(PREFETCH_LINES * CACHE_LINE // max(row, PREFETCH_LEAST), 1) if is_far else 0
    work = sum(x.size for x in (*kernel.leaves, *kernel.packed, *kernel.sinks))
    past = tuple(map(_goes_past_caches, outs))
    run = compiled(kernel.source, kernel.name)
    args = (indptr, topology.indices, order, ahead, past, *kernel.dimensions, *kernel.numbers, *leaves, *outs)
    K.parallel_rows(run, len(indptr) - 1, args, indptr=indptr, width=work)
    return out


def _goes_past_caches(out: np.ndarray) -> bool:
    """Whether a large result is written in whole cache lines."""
    return out.nbytes >= PAST_BYTES and out.shape[1] * out.itemsize % CACHE_LINE == 0


def _matrices(sweep: Sweep, kernel: Kernel, values: Mapping[Symbol, Any], setting: Setting) -> list[np.ndarray]:
    """What a kernel reads, as matrices; the last is that of the narrow ones side by side."""
    leaves = [_frozen(_rows(values[x], x, setting.dtype)) for x in kernel.leaves]
    if kernel.packed:  # a power of two, so that rows take as few cache lines as they can
        columns = 1 << (sum(x.size for x in kernel.packed) - 1).bit_length()
        side_by_side = K.empty((setting.count(sweep.other), columns), setting.dtype)
        K.join_columns([_rows(values[x], x, setting.dtype) for x in kernel.packed], side_by_side)
        leaves.append(_frozen(side_by_side))
    return leaves


def _blocks_of_rows(count: int) -> np.ndarray:
    """Rows of nodes in blocks, which a kernel takes for the edges of as many rows."""
    return np.minimum(np.arange(0, count + BLOCK, BLOCK, dtype=np.int64), count)


def _rows(value: Any, x: Symbol, dtype: np.dtype[Any]) -> np.ndarray:
    """A leaf as a C-contiguous matrix of one row per node or edge (one row for a constant)."""
    array = np.asarray(value)
    if x.level == "const":
        array = array.reshape(1, x.size)
    return np.ascontiguousarray(array, dtype=dtype).reshape(len(array), x.size)


def _frozen(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False  # one numba type, whoever owns the array
    return view


def compiler_errors() -> type[Exception]:
    """What numba raises for code that it cannot compile."""
    from numba.core.errors import NumbaError

    return NumbaError


# --- files and compilation --------------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Where generated kernels are kept."""
    given = os.environ.get("GNNKIT_CACHE")
    if given:
        return Path(given) / "programs"
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(base) / "gnnkit" / "programs"


@functools.lru_cache(maxsize=1024)
def compiled(source: str, name: str) -> Callable[..., Any]:
    """The jitted function of a source; numba compiles it, or loads it from disk, at its first call."""
    digest = hashlib.sha256(source.encode()).hexdigest()[:24]
    module = f"gnnkit_program_{digest}"
    try:
        path = _written(source, module)
    except (
        OSError,
        RuntimeError,
    ):  # no folder to write to, or no home: this process compiles for itself
        namespace: dict[str, Any] = {"__name__": module}
        exec(compile(source, f"<{module}>", "exec"), namespace)
        return namespace[name]
    spec = importlib.util.spec_from_file_location(module, path)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded
    spec.loader.exec_module(loaded)
    return getattr(loaded, name)


def _written(source: str, module: str) -> Path:
    """Write the source where it is kept, whole or not at all."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{module}.py"
    if path.exists() and path.read_bytes() == source.encode():
        return path
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(source.encode())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
