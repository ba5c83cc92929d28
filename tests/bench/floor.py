"""What this machine could do at best: bytes and floating-point operations per millisecond, and what an epoch needs."""

from __future__ import annotations

import numpy as np
from common import median_ms


def bandwidth() -> float:
    """Bytes per millisecond of a plain triad over arrays far larger than the caches, on all threads of gnnkit."""
    from gnnkit import kernels as K

    a, b, out = np.ones(1 << 24, np.float32), np.ones(1 << 24, np.float32), np.zeros(1 << 24, np.float32)

    def triad(start: int, stop: int) -> None:
        np.add(a[start:stop], b[start:stop], out=out[start:stop])

    return 4 * a.nbytes / median_ms(lambda: K.parallel_rows(triad, len(a)))  # a written line is read first


def product_rate() -> float:
    """Floating-point operations per millisecond of a large float32 product."""
    a = np.ones((2048, 2048), np.float32)
    return 2 * 2048**3 / median_ms(lambda: a @ a)


def epoch_floor(model: str, nodes: int, edges: int, channels: tuple[int, int, int]) -> dict[str, float] | None:
    """Least milliseconds of an epoch of the two-layer net of ``bench_epochs.py``, by kind of work; None for GAT.

    Dense float32 features without gradient, whose aggregation is known. Products: forward and weight gradient of both
    layers, input gradient of the second; SAGE has two weights in each. Sums: forward and backward, ``classes`` wide,
    every gathered row from memory. Passes: bias (in, out; gradient: in), ELU (in, out; gradient: 2 in, out) and dropout
    (twice in, out) over the hidden layer, bias and cross-entropy over the classes; nothing fused.
    """
    i, h, o = channels
    weights = {"gcn": 1, "sage": 2}.get(model)
    if weights is None:
        return None
    operations = 2 * weights * nodes * (2 * i * h + 3 * h * o)
    gathered = 2 * 4 * (2 * nodes * o + edges * o + edges)
    passed = 4 * nodes * (12 * h + 7 * o)
    speed = bandwidth()
    return {"products": operations / product_rate(), "sums": gathered / speed, "passes": passed / speed}
