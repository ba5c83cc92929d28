"""Which engine runs the kernels (numba or plain numpy), and the one numba preset. Imports only gnnkit.errors.

Every kernel exists twice: as numba loops in ``kernels/jit`` and as an obvious numpy twin of the same signature in
``kernels/twins``. The doors ask :func:`current_backend` which one to call. numba itself is imported here, inside
:func:`jit`, so that ``import gnnkit`` stays light; the loops are imported at the first kernel call.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import hashlib
import importlib
import importlib.util
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from gnnkit.errors import require_package, unknown_name

BACKENDS = ("numba", "numpy")
PAUSE = 5.0  # seconds without compiling after which it is worth telling again

_chosen: contextvars.ContextVar[str | None] = contextvars.ContextVar("gnnkit_backend", default=None)


def _print_notice(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


_notice: Callable[[str], None] = _print_notice


def set_notice(hook: Callable[[str], None] | None) -> None:
    """Send the engine's rare notices (first compilation, numba absent) to ``hook``; None restores stderr.

    Parameters
    ----------
    hook : callable taking one str, or None
        Called once per process and kind of notice; of compilations again when the last one ended some time ago.
    """
    global _notice
    _notice = hook or _print_notice


@functools.cache
def _say_once(text: str) -> None:
    _notice(text)


def numba_is_usable() -> bool:
    """Whether numba can be imported and its compiler is on (``NUMBA_DISABLE_JIT`` unset).

    Examples
    --------
    >>> from gnnkit import kernels as K
    >>> isinstance(K.numba_is_usable(), bool)
    True
    """
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return False  # the SIMD intrinsics have no pure-Python form
    return importlib.util.find_spec("numba") is not None


def _checked(name: str) -> str:
    if name not in BACKENDS:
        raise unknown_name("backend", name, BACKENDS)
    if name == "numba" and not numba_is_usable():
        raise require_package("numba", "all", "The numba backend")
    return name


@functools.cache
def _default_backend() -> str:
    """The backend of this process: GNNKIT_BACKEND if set, else numba, else numpy with a note."""
    wanted = os.environ.get("GNNKIT_BACKEND", "")
    if wanted:
        return _checked(wanted)
    if numba_is_usable():
        return "numba"
    _say_once("gnnkit: numba is not usable here, so the slower numpy backend runs. Install numba to speed it up.")
    return "numpy"


def current_backend() -> str:
    """Name of the backend that the next kernel call uses: ``"numba"`` or ``"numpy"``.

    Raises
    ------
    UnknownNameError
        If the environment variable ``GNNKIT_BACKEND`` names no backend.

    Examples
    --------
    >>> from gnnkit import kernels as K
    >>> with K.use_backend("numpy"):
    ...     K.current_backend()
    'numpy'
    """
    return _chosen.get() or _default_backend()


@contextlib.contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Run the kernels inside the ``with`` block on the backend ``name``.

    Parameters
    ----------
    name : {"numba", "numpy"}

    Raises
    ------
    UnknownNameError
        If ``name`` is not a backend.
    MissingDependencyError
        If ``name`` is ``"numba"`` and numba is not installed.

    Notes
    -----
    The choice belongs to the current thread (a context variable). Both backends give the same integers and the
    same dropout bits; floating sums agree up to the rounding of fused multiply-adds.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> with K.use_backend("numpy"):
    ...     K.segment_sum(np.array([1.0, 2.0, 4.0]), np.array([0, 2, 2, 3]))
    array([3., 0., 4.])
    """
    token = _chosen.set(_checked(name))
    try:
        yield
    finally:
        _chosen.reset(token)


@functools.cache
def loops(name: str) -> ModuleType:
    """The module ``gnnkit.kernels.jit.<name>``, imported (and with it numba) at its first use."""
    return importlib.import_module(f"gnnkit.kernels.jit.{name}")


@functools.cache
def _sources_digest() -> str:
    """Hash of every file that compiled code is made of.

    numba's cache only looks at the file of the kernel itself, so an upgrade that changes simd.py alone would keep
    stale machine code. The digest is part of our cache key.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted([here / "arrays.py", here / "simd.py", *here.glob("vector*.py"), *(here / "jit").glob("*.py")]):
        with contextlib.suppress(OSError):  # a zipped package has no such files; then numba's own key must do
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _announce_compilation() -> None:
    """Tell the user when numba really compiles kernels of ours, not when it loads one; those in a row are told once."""
    from numba.core import event

    class Listener(event.Listener):
        ended = -math.inf

        def on_start(self, ev: Any) -> None:
            module = getattr(getattr(ev.data.get("dispatcher"), "py_func", None), "__module__", "") or ""
            if module.startswith("gnnkit"):
                if time.monotonic() - self.ended > PAUSE:
                    _notice("gnnkit: compiling kernels for this machine; they are cached for the next run.")
                self.ended = math.inf

        def on_end(self, ev: Any) -> None:
            if self.ended == math.inf:
                self.ended = time.monotonic()

    event.register("numba:compile", Listener())


@functools.cache
def _cache_class() -> type:
    """numba's on-disk function cache, forgiving: a cache that cannot be read or written costs time, never a crash."""
    from numba.core.caching import FunctionCache

    class ForgivingCache(FunctionCache):
        def _index_key(self, sig: Any, codegen: Any) -> Any:
            return (*super()._index_key(sig, codegen), _sources_digest(), os.environ.get("GNNKIT_SIMD", ""))

        def load_overload(self, sig: Any, target_context: Any) -> Any:
            try:
                return super().load_overload(sig, target_context)
            except Exception:  # truncated or foreign file: compile instead
                return None

        def save_overload(self, sig: Any, data: Any) -> None:
            with contextlib.suppress(Exception):  # disk full, folder gone, read-only: keep the compiled function
                super().save_overload(sig, data)

    return ForgivingCache


@functools.cache
def _listen() -> None:
    with contextlib.suppress(ImportError, AttributeError):  # the event interface is a courtesy, not a need
        _announce_compilation()


def jit(function: Callable[..., Any], *, contract: bool = True) -> Callable[..., Any]:
    """Compile ``function`` with the one preset of gnnkit: lazy, cached on disk, without the GIL, IEEE arithmetic.

    Parameters
    ----------
    function : callable
        Loops over plain arrays, written for numba. Inputs arrive read-only, only ``out`` arrays are writeable.
    contract : bool
        Whether a product may be added without being rounded first. The loops of exact sums say no: their results
        follow from single roundings.

    Returns
    -------
    callable
        The numba dispatcher.

    Notes
    -----
    No ``parallel=True`` (rows are shared out by :func:`gnnkit.kernels.parallel_rows`), no fastmath (NaN and
    infinity keep their meaning), division by zero as in numpy.
    """
    import numba

    _listen()
    dispatcher = numba.njit(nogil=True, error_model="numpy", fastmath={"contract"} if contract else False)(function)
    # numba raises where no cache folder can be written; such a machine compiles in every process instead.
    with contextlib.suppress(RuntimeError, OSError):
        dispatcher._cache = _cache_class()(function)  # type: ignore[attr-defined]
    return dispatcher
