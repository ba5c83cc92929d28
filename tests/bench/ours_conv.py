"""gnnkit's side of ``bench_conv.py``: convolution layers on image graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from common import serve
from conv_cases import Case, runner

import gnnkit as gk

LAYERS = {2: gk.nn.Conv2d, 3: gk.nn.Conv3d}


def build(case: Case) -> dict[str, Callable[[], Any]]:
    x, weight = case.arrays()
    layer = LAYERS[case.ndim](
        case.channels, case.filters, case.kernel, stride=case.stride, padding=case.kernel // 2, groups=case.groups,
        bias=False, rng=0,
    )  # fmt: skip
    layer.weight.assign(weight)
    graph = gk.from_grid_array(x, ndim=case.ndim)
    leaf = gk.Tensor(np.asarray(graph.x), requires_grad=True)
    watched = graph.replace(x=leaf)

    def forward() -> float:
        with gk.no_grad():
            return float(layer(graph).x.data[0, 0])

    def both() -> float:
        leaf.grad = layer.weight.grad = None
        y = layer(watched).x
        y.backward(y.data)
        return float(y.data[0, 0])

    return {"forward": forward, "both": both}


if __name__ == "__main__":
    with gk.kernels.keep_freed_memory():  # as gk.learn.fit does while it trains
        serve(runner(build), {"versions": f"gnnkit {gk.__version__}"})
