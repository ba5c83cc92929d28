"""Sharing rows among threads: a small persistent pool, chunks balanced by work. Imports only gnnkit.errors.

A kernel is a serial loop over rows ``start..stop`` that releases the GIL and writes nothing outside its rows. That
is why results never depend on the number of threads or on how rows are cut into chunks.
"""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import functools
import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from gnnkit.errors import InvalidArgumentError

# Waking the pool costs some 70 microseconds on an idle machine and milliseconds on a busy one; a million elements
# (rows + entries, times width) take one thread about 200 microseconds. Below that per thread it does not pay.
DEFAULT_GRAIN = 1 << 20
# More chunks than threads, so that a thread which got the hubs does not keep the others waiting.
CHUNKS_PER_THREAD = 8
CUT_AT = 64  # rows of one number that are whole cache lines, for any number

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_pool_size = 0
_helpers: list[int] = []  # the system's numbers of the threads of the pool
_kept_off: tuple[int, int] | None = None  # the core that so many helpers are kept off
_num_threads: int | None = None
_inside: contextvars.ContextVar[bool] = contextvars.ContextVar("inside", default=False)  # of a chunk


def _threads_from_environment() -> int:
    text = os.environ.get("GNNKIT_NUM_THREADS", "")
    if not text:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    if not text.isdecimal() or int(text) < 1:
        raise InvalidArgumentError(
            f"The environment variable GNNKIT_NUM_THREADS must be a whole number of at least 1. "
            f"Got {text!r}. Set it to the number of cores to use, or unset it."
        )
    return int(text)


def get_num_threads() -> int:
    """Number of threads that large kernels use.

    Returns
    -------
    int
        The last :func:`set_num_threads`, else ``GNNKIT_NUM_THREADS``, else the cores this process may run on.

    Examples
    --------
    >>> from gnnkit import kernels as K
    >>> K.get_num_threads() >= 1
    True
    """
    global _num_threads
    if _num_threads is None:
        _num_threads = _threads_from_environment()
    return _num_threads


def set_num_threads(num_threads: int) -> None:
    """Set the number of threads of large kernels; results have the same bits for every number.

    Parameters
    ----------
    num_threads : int
        At least 1; 1 means no pool at all.

    Raises
    ------
    InvalidArgumentError
        If ``num_threads`` is not a whole number of at least 1.

    Examples
    --------
    >>> from gnnkit import kernels as K
    >>> before = K.get_num_threads()
    >>> K.set_num_threads(1)
    >>> K.get_num_threads()
    1
    >>> K.set_num_threads(before)
    """
    global _num_threads
    if isinstance(num_threads, bool) or not isinstance(num_threads, int | np.integer) or num_threads < 1:
        raise InvalidArgumentError(
            f"num_threads must be a whole number of at least 1. Got {num_threads!r}. Pass the number of cores to use."
        )
    _num_threads = int(num_threads)


def _forget_pool() -> None:
    """In a forked child the threads of the pool do not exist: start anew."""
    global _lock, _pool, _pool_size, _kept_off
    _lock = threading.Lock()
    _pool, _pool_size, _kept_off = None, 0, None
    _helpers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


@functools.cache
def _current_core() -> Callable[[], int] | None:
    """A function that tells on which core the calling thread runs; None where a thread cannot be kept off a core."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    return getattr(ctypes.CDLL(None), "sched_getcpu", None)


def _keep_helpers_off_this_core() -> None:
    """Let the helpers run on every core that this thread may use, but the one it is on.

    Linux likes to wake a helper on the core of the caller, which does not give way before milliseconds have passed,
    while another core stands idle: on two cores that doubles the time of a kernel.
    """
    global _kept_off
    current = _current_core()
    if current is None or _kept_off == (state := (current(), len(_helpers))):
        return
    if threading.get_native_id() in _helpers:  # a helper that calls for help itself has no say in this
        return
    with contextlib.suppress(OSError):  # a helper has ended, or a sandbox forbids it: then they run where they will
        others = os.sched_getaffinity(0) - {state[0]}
        for helper in _helpers if others else ():
            os.sched_setaffinity(helper, others)
    _kept_off = state


def _submit(task: Callable[[], None], copies: int) -> list[Future[None]]:
    """Start ``copies`` of ``task`` on the pool; fewer (even none) when the interpreter is shutting down."""
    global _pool, _pool_size
    with _lock:
        if _pool is None or _pool_size < copies:
            if _pool is not None:
                _pool.shutdown(wait=False)
                _helpers.clear()
            _pool_size = copies
            _pool = ThreadPoolExecutor(
                copies, thread_name_prefix="gnnkit", initializer=lambda: _helpers.append(threading.get_native_id())
            )
        _keep_helpers_off_this_core()
        futures: list[Future[None]] = []
        # "cannot schedule new futures after interpreter shutdown": then the caller does it all
        with contextlib.suppress(RuntimeError):
            # in the caller's context: np.errstate and use_backend hold in the helpers too
            futures.extend(_pool.submit(contextvars.copy_context().run, task) for _ in range(copies))
        return futures


def run_chunks(fn: Callable[[int, int], Any], bounds: Sequence[int]) -> None:
    """Call ``fn(bounds[c], bounds[c + 1])`` for every chunk, on this thread and on the pool.

    Parameters
    ----------
    fn : callable of two ints
        Must release the GIL to gain anything, and must touch nothing that another chunk touches.
    bounds : sequence of int
        Chunk boundaries, ascending.

    Notes
    -----
    Helpers run in the context of the caller: its ``np.errstate`` and ``use_backend`` hold there too.
    Within a chunk everything runs in its thread: threads are shared out once.
    The calling thread takes chunks too, so a busy pool (nested or concurrent callers) cannot deadlock. An exception,
    KeyboardInterrupt included, stops the handing out of chunks, waits for those running, and is raised here.
    """
    num_chunks = len(bounds) - 1
    helpers = 0 if _inside.get() else min(get_num_threads(), num_chunks) - 1
    if helpers < 1:
        for c in range(num_chunks):
            fn(bounds[c], bounds[c + 1])
        return

    ticket = itertools.count()  # next() on it is atomic under the GIL
    stopped = False

    def work() -> None:
        nonlocal stopped
        _inside.set(True)
        try:
            while not stopped and (c := next(ticket)) < num_chunks:
                fn(bounds[c], bounds[c + 1])
        except BaseException:
            stopped = True
            raise

    futures: list[Future[None]] = []
    try:
        futures = _submit(work, helpers)
        contextvars.copy_context().run(work)
    finally:
        # A helper that never started has nothing left to do; one that runs must finish before `out` is handed on.
        failures = [future.exception() for future in futures if not future.cancel()]
    for failure in failures:
        if failure is not None:
            raise failure


def balanced_bounds(
    num_rows: int, num_chunks: int, indptr: np.ndarray | None = None, *, shrinking: bool = False
) -> list[int]:
    """Cut ``num_rows`` rows into at most ``num_chunks`` chunks of equal work.

    Parameters
    ----------
    num_rows, num_chunks : int
    indptr : int64 [num_rows + 1] or None
        Row pointers; the work of a row is its number of entries plus one. None: all rows are equal, and long chunks
        are cut at multiples of 64 rows, so that numbers in them begin a cache line.
    shrinking : bool
        Let every chunk be shorter than the one before by the same work, so that threads that take one after the other
        end at about the same time.

    Returns
    -------
    list of int
        Ascending boundaries from 0 to ``num_rows``, without empty chunks.

    Examples
    --------
    >>> import numpy as np
    >>> balanced_bounds(4, 2)
    [0, 2, 4]
    >>> balanced_bounds(4, 2, np.array([0, 90, 91, 92, 93]))
    [0, 1, 4]
    """
    if num_rows == 0:
        return [0]
    total = num_rows if indptr is None else int(indptr[-1]) - int(indptr[0]) + num_rows
    ends = range(1, num_chunks)
    if shrinking:  # (2 n - 1) + ... + 3 + 1 = n**2
        shares = [total - total * (num_chunks - c) ** 2 // num_chunks**2 for c in ends]
    else:
        shares = [total * c // num_chunks for c in ends]
    if indptr is None:
        cuts = [share - share % CUT_AT if total >= num_chunks * CUT_AT else share for share in shares]
    else:
        # rows + entries before row i is indptr[i] - indptr[0] + i, which grows strictly: bisect it at the shares
        cuts = [_bisect(indptr, share) for share in shares]
    return sorted({0, *cuts, num_rows})


def _bisect(indptr: np.ndarray, share: int) -> int:
    """First row with at least ``share`` rows and entries before it (no array of the rows is made)."""
    low, high, first = 0, len(indptr) - 1, int(indptr[0])
    while low < high:
        middle = (low + high) // 2
        if int(indptr[middle]) - first + middle < share:
            low = middle + 1
        else:
            high = middle
    return low


def parallel_rows(
    fn: Callable[..., Any],
    num_rows: int,
    args: tuple[Any, ...] = (),
    *,
    indptr: np.ndarray | None = None,
    width: int = 1,
    grain: int | None = None,
) -> None:
    """Run ``fn(start, stop, *args)`` over all rows, in parallel when there is enough work.

    Parameters
    ----------
    fn : callable
        A serial kernel that releases the GIL, owns rows ``start..stop`` and writes only to them.
    num_rows : int
    args : tuple
        What follows start and stop, usually inputs and then ``out``.
    indptr : int64 [num_rows + 1], optional
        Row pointers by which chunks are balanced.
    width : int
        Elements handled per row or entry; with rows and entries it estimates the work.
    grain : int, optional
        Least work per thread (default: DEFAULT_GRAIN); below it everything runs inline.

    Notes
    -----
    The result has the same bits for every number of threads, because a row never is shared.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> out = np.zeros(5)
    >>> def fill(start, stop, value, out):
    ...     out[start:stop] = value
    >>> K.parallel_rows(fill, 5, (7.0, out))
    >>> out
    array([7., 7., 7., 7., 7.])
    """
    if num_rows == 0:
        return
    entries = 0 if indptr is None else int(indptr[-1]) - int(indptr[0])
    threads = min(get_num_threads(), (num_rows + entries) * max(width, 1) // (grain or DEFAULT_GRAIN))
    if threads <= 1:
        fn(0, num_rows, *args)
        return
    bounds = balanced_bounds(num_rows, threads * CHUNKS_PER_THREAD, indptr, shrinking=True)
    run_chunks(lambda start, stop: fn(start, stop, *args), bounds)
