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


def epoch_floor(model: str, nodes: int, edges: int, channels: tuple[int, int, int], heads: int = 8) -> dict[str, float]:
    """Least milliseconds of an epoch of the two-layer net of ``bench_epochs.py``, by kind of work.

    Dense float32 features without gradient. Products: forward and weight gradient of both layers, input gradient of the
    second. Sums: every gathered row and index from memory. Passes: bias (in, out; gradient: in), ELU (in, out;
    gradient: 2 in, out) and dropout (twice in, out) over the hidden layer, bias and cross-entropy over the classes;
    nothing fused. GCN and SAGE: the first layer's aggregation is known, the second sums forward and backward,
    ``classes`` wide; SAGE has two weights in each layer. GAT: see :func:`attention_floor`, without exponentials.
    """
    i, h, o = channels
    if model == "gat":
        operations, gathered, passed = attention_floor(nodes, edges, channels, heads)
    else:
        operations = 2 * {"gcn": 1, "sage": 2}[model] * nodes * (2 * i * h + 3 * h * o)
        gathered = 2 * 4 * (2 * nodes * o + edges * o + edges)
        passed = 4 * nodes * (12 * h + 7 * o)
    speed = bandwidth()
    return {"products": operations / product_rate(), "sums": gathered / speed, "passes": passed / speed}


def attention_floor(nodes: int, edges: int, channels: tuple[int, int, int], heads: int) -> tuple[int, int, int]:
    """Operations, bytes of the sums and bytes of the passes of two attention layers: ``heads`` heads, then one.

    Products: as above, and the scores of both ends for each head, from whichever of input and output is narrower.
    Sums, for each layer: a sweep for the maximum (score of the sender, for each head), one forward (that score and a
    row of features) and one backward on the transpose (a row of the adjoint; score, normaliser and dot product of the
    receiver, for each head), and what they write. Passes: the bias is added where rows are normalised; the adjoint
    times the output is one pass more.
    """
    i, h, o = channels
    operations = gathered = 0
    for count, wide, out, products in ((heads, i, h, 2), (1, h, o, 3)):
        scores = 2 * count * min(wide, out) * (products if wide <= out else 3)  # 3: h itself has a gradient then
        operations += 2 * nodes * (products * wide * out + scores)
        gathered += 4 * edges * ((count + 1) + (out + count + 1) + (out + 3 * count + 1))
        gathered += 4 * nodes * (3 * out + 6 * count)  # out, own features, their gradient; maximum, total, dot, scores
    return operations, gathered, 4 * nodes * (12 * h + 7 * o)
