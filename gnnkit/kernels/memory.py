"""Keeping freed memory for the next array of the same size. Imports only the standard library.

glibc returns a large block to the system as soon as it is freed, and the system hands it back zeroed, page by page:
for arrays above 32 MB that doubles the time of every element-wise pass. A training loop frees and allocates the same
sizes over and over, so it asks glibc to keep them meanwhile.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import platform
import threading
from collections.abc import Iterator
from typing import Any

# <malloc.h>
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEEP_BELOW = 1 << 30  # larger blocks go back to the system as ever
KEEP_FREE = (1 << 31) - 1  # mallopt takes a C int
# where glibc's own moving thresholds end up after the first large blocks
USUAL_MMAP, USUAL_TRIM = 1 << 25, 1 << 26

_lock = threading.Lock()
_depth = 0


def _forget_blocks() -> None:
    """A forked child has one thread: a lock that another thread held would never open again."""
    global _lock, _depth
    _lock, _depth = threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_blocks)


@functools.cache
def _glibc() -> Any:
    """The C library if it is glibc, else None: only there do the settings below mean something."""
    if platform.libc_ver()[0] != "glibc":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


@contextlib.contextmanager
def keep_freed_memory() -> Iterator[bool]:
    """Inside the ``with`` block, let the process keep the memory of freed arrays for the next ones.

    Yields
    ------
    bool
        Whether it has an effect here (only with glibc: Linux).

    Notes
    -----
    Changes no result. The resident memory stays at its peak until the block ends; then unused memory goes back to
    the system. Blocks may nest and overlap between threads; the last one to end restores.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> with K.keep_freed_memory():
    ...     total = sum(float(np.ones(1000).sum()) for _ in range(3))
    >>> total
    3000.0
    """
    global _depth
    library = _glibc()
    with _lock:
        _depth += 1
        if library is not None and _depth == 1:
            library.mallopt(M_MMAP_THRESHOLD, KEEP_BELOW)
            library.mallopt(M_TRIM_THRESHOLD, KEEP_FREE)
    try:
        yield library is not None
    finally:
        with _lock:
            _depth = max(_depth - 1, 0)
            if library is not None and _depth == 0:
                library.mallopt(M_MMAP_THRESHOLD, USUAL_MMAP)
                library.mallopt(M_TRIM_THRESHOLD, USUAL_TRIM)
                library.malloc_trim(0)
