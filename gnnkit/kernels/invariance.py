"""Whether small graphs take the same path as large ones, so that a graph alone has its bits in a batch. Floor 0 only.

Kernels of the ground floor give every row the same bits however many rows there are. Message programs have two engines:
generated kernels, and numpy for what is too small to be worth compiling. Their rounding differs: kernels fuse
multiplications with additions and have exponentials of their own. This switch makes the choice independent of sizes.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
from collections.abc import Iterator

from gnnkit.errors import InvalidArgumentError
from gnnkit.kernels.backend import current_backend
from gnnkit.kernels.exactness import sums_are_exact

VARIABLE = "GNNKIT_BATCH_INVARIANT"

_chosen: contextvars.ContextVar[bool | None] = contextvars.ContextVar("gnnkit_batch_invariant", default=None)


def is_batch_invariant() -> bool:
    """Whether a graph gives the same bits alone and in any batch, message programs included.

    Returns
    -------
    bool
        What the innermost :func:`batch_invariant` block says, else whether ``GNNKIT_BATCH_INVARIANT`` is 1.

    Raises
    ------
    InvalidArgumentError
        If the environment variable is neither 0 nor 1 (nor empty).

    Examples
    --------
    >>> from gnnkit import kernels as K
    >>> with K.batch_invariant():
    ...     K.is_batch_invariant()
    True
    """
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    text = os.environ.get(VARIABLE, "")
    if text not in ("", "0", "1"):
        raise InvalidArgumentError(
            f"The environment variable {VARIABLE} must be 0 or 1. Got {text!r}. Set it to 1 to have the same bits for "
            "a graph alone and in a batch, or unset it."
        )
    return text == "1"


@contextlib.contextmanager
def batch_invariant(wanted: bool = True) -> Iterator[None]:
    """Inside the ``with`` block a graph gives the same bits alone and in any batch, message programs included.

    Parameters
    ----------
    wanted : bool
        False restores the default inside of another block.

    Notes
    -----
    Message programs then run as generated kernels for graphs of every size. The price is compiling: a kernel takes
    about a second when it is first needed on a machine, and some hundredths of a second in every process after that,
    where numpy would have been done with a small graph at once. Everything else (dense products, sums over neighbours
    and segments, convolutions) has the same bits alone and in a batch anyway. ``GNNKIT_BATCH_INVARIANT=1`` does the
    same for a whole process. A backward pass counts too: call it inside of the block. The numpy backend has one engine
    for all sizes and needs no switch.

    Examples
    --------
    >>> from gnnkit import kernels as K
    >>> with K.batch_invariant():
    ...     with K.batch_invariant(False):
    ...         K.is_batch_invariant()
    False
    """
    token = _chosen.set(bool(wanted))
    try:
        yield
    finally:
        _chosen.reset(token)


def ways() -> tuple[str, bool, bool]:
    """What the bits of a result depend on besides its inputs: the backend, and which switches are on.

    Whoever keeps results for later keeps them apart by it.

    Examples
    --------
    >>> from gnnkit import kernels as K
    >>> with K.use_backend("numpy"), K.exact_sums(), K.batch_invariant():
    ...     K.ways()
    ('numpy', True, True)
    """
    return current_backend(), sums_are_exact(), is_batch_invariant()
