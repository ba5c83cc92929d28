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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.kernels import backend
from gnnkit.message.program.codegen import BLOCK, Kernel, generate
from gnnkit.message.program.layout import Unfit
from gnnkit.message.program.plan import Sweep
from gnnkit.message.program.setting import Setting
from gnnkit.message.program.symbols import Symbol

# Numbers that a sweep handles (edges times features) from which a kernel pays: below, numpy is done in less time than
# the first call of a cached kernel takes to load, and compiling it takes a thousand times as long.
SMALL = 1 << 15
# With features larger than this (a typical second-level cache) the rows to come are fetched ahead of their use.
PREFETCH_BYTES = 1 << 20
PREFETCH_EDGES = 24


def kernel_of(sweep: Sweep) -> Kernel | Unfit:
    """The generated kernel of a sweep, or why there is none; kept with the sweep."""
    found = sweep.kernel
    if found is None:
        try:
            found = generate(sweep, "sweep")
        except Unfit as reason:
            found = reason
        sweep.kernel = found
    return found


def uses_kernel(sweep: Sweep, setting: Setting) -> bool:
    """Whether a sweep runs as a kernel: on the numba backend, if there is one and enough work."""
    width = max((x.size for x in (*sweep.leaves, *sweep.inner)), default=1)
    if setting.count(sweep.level) * width < SMALL or backend.current_backend() == "numpy":
        return False
    return isinstance(kernel_of(sweep), Kernel)


def run_kernel(sweep: Sweep, values: Mapping[Symbol, Any], setting: Setting) -> dict[Symbol, Any]:
    """Compute the sinks of a sweep from the values of its leaves."""
    kernel = kernel_of(sweep)
    assert isinstance(kernel, Kernel)
    topology = setting.topology if sweep.side != "src" else setting.topology.transpose()
    indptr = topology.indptr if sweep.level == "edge" else _blocks_of_rows(setting.count(sweep.level))
    order = setting.topology.transpose_permutation if kernel.needs_order else indptr
    leaves = [_rows(values[x], x, setting) for x in kernel.leaves]
    out = {s: K.empty((setting.count(s.level), *s.shape), setting.dtype) for s in kernel.sinks}
    outs = [array.reshape(len(array), s.size) for s, array in out.items()]
    if all(array.size == 0 for array in outs):
        return out
    if kernel.packed:
        leaves.append(_side_by_side([_rows(values[x], x, setting) for x in kernel.packed], setting))
    gathered = max((x.nbytes for x, s in zip(leaves, kernel.leaves) if s.level in ("src", "dst")), default=0)
    ahead = PREFETCH_EDGES if gathered > PREFETCH_BYTES else 0
    args = (indptr, topology.indices, order, ahead, *kernel.dimensions, *kernel.numbers, *leaves, *outs)
    width = sum(x.size for x in (*kernel.leaves, *kernel.packed, *kernel.sinks))
    K.parallel_rows(compiled(kernel.source, kernel.name), len(indptr) - 1, args, indptr=indptr, width=width)
    return out


def _side_by_side(parts: list[np.ndarray], setting: Setting) -> np.ndarray:
    """Narrow matrices as one, whose rows take as few cache lines as they can."""
    width = sum(part.shape[1] for part in parts)
    stride = 1 << max(width - 1, 0).bit_length()
    matrix = K.empty((len(parts[0]), stride), setting.dtype)
    start = 0
    for part in parts:
        matrix[:, start : start + part.shape[1]] = part
        start += part.shape[1]
    matrix.flags.writeable = False
    return matrix


def _blocks_of_rows(count: int) -> np.ndarray:
    """Rows of nodes in blocks, which a kernel takes for the edges of as many rows."""
    return np.minimum(np.arange(0, count + BLOCK, BLOCK, dtype=np.int64), count)


def _rows(value: Any, x: Symbol, setting: Setting) -> np.ndarray:
    """A leaf as a C-contiguous matrix of one row per node or edge (one row for a constant)."""
    array = np.asarray(value)
    if x.level == "const":
        array = array.reshape(1, x.size)
    array = np.ascontiguousarray(array, dtype=setting.dtype).reshape(len(array), x.size)
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
