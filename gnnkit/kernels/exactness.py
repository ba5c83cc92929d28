"""The switch of the exact mode, in which no sum depends on the order of its terms. Imports nothing of gnnkit.

The switch belongs to a context, like the choice of the backend: it holds in the threads that help a kernel, and not in
other threads of the program. Doors of kernels that add ask :func:`sums_are_exact`.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

_exact: contextvars.ContextVar[bool] = contextvars.ContextVar("gnnkit_exact_sums", default=False)


def sums_are_exact() -> bool:
    """Whether sums are computed without regard to the order of their terms.

    Examples
    --------
    >>> import gnnkit as gk
    >>> with gk.exact_sums():
    ...     gk.kernels.sums_are_exact()
    True
    """
    return _exact.get()


@contextlib.contextmanager
def exact_sums(enabled: bool = True) -> Iterator[None]:
    """Compute everything inside so that no sum depends on the order of its terms, to the last bit.

    Relabelling the nodes of a graph then relabels the rows of a layer's result and changes nothing else:
    ``f(P x) == P f(x)`` bit for bit, forward and backward, for whole networks and their training.

    Parameters
    ----------
    enabled : bool
        False switches back to the usual sums inside of a block.

    Notes
    -----
    How: the terms of a sum are rounded to multiples of one power of two, which follows from the largest of them and
    from their number; multiples of one number add without any rounding, in float64, in whatever order. What the
    rounding leaves is at most ``num_terms ** 2 * 2 ** -52`` of the largest term for float32 (beside the rounding of
    the result); for float64 the remainders are added in the same way once more. Products over the edges of a receiver
    and those of ``np.prod`` multiply in sorted order.

    What holds: sums, means, variances, norms of axes, products of matrices, einsum, everything over the edges of a
    receiver or the nodes of a graph, in every order, on both backends, for any number of threads; gradients of any
    order. ``x @ parameter`` adds over channels in their own order, each row by itself. What does not hold:
    dropout draws by position, so use ``model.eval()`` or no dropout; ``np.cumsum``, the gradient of ``np.prod`` and
    linear solvers keep the order they are given; of equal values, ``np.sort`` and ``np.median`` give the gradient to
    the one that comes first; a parameter with a row for each node (an embedding of their numbers) must not stand
    right of ``@``, where it counts channels: write ``matrix @ (parameter * 1.0)``; plain numpy on arrays of your own
    knows nothing of this mode; convolutions on grids add the pixels of a window in the order of the
    stencil (their weight gradients do not depend on the order of the pixels).

    Run the backward pass inside as well: a tape does not remember the mode. Messages that are no number times the
    sender's features are held as one row per edge. Results differ from those of the usual mode by roundings; what is
    remembered with a topology is kept apart. Costs: ``tests/bench/bench_exact.py``.

    References
    ----------
    Demmel and Nguyen, Fast reproducible floating-point summation, ARITH 2013: pre-rounded sums. Here the largest term
    is found in a sweep of its own, for each sum apart, and one fold (float64: two) is kept.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> terms = np.array([1e8, 1.0, -1e8, 1.0], "float32")
    >>> forward, backward = gk.tensor(terms).sum(), gk.tensor(terms[[0, 2, 1, 3]]).sum()
    >>> float(forward), float(backward)
    (1.0, 2.0)
    >>> with gk.exact_sums():
    ...     float(gk.tensor(terms).sum()), float(gk.tensor(terms[[0, 2, 1, 3]]).sum())
    (2.0, 2.0)
    """
    token = _exact.set(bool(enabled))
    try:
        yield
    finally:
        _exact.reset(token)
