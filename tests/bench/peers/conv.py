"""torch's side of ``bench_conv.py``: its convolutions on CPU, in the default layout or channels-last.

Run by ``bench_conv.py`` with the Python of an environment that has torch; it needs no gnnkit.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import serve
from conv_cases import Case, runner

warnings.filterwarnings("ignore")


def build_for(layout: str) -> Callable[[Case], dict[str, Callable[[], Any]]]:
    def build(case: Case) -> dict[str, Callable[[], Any]]:
        images, weights = case.arrays()
        last = {2: torch.channels_last, 3: torch.channels_last_3d}[case.ndim]
        memory = last if layout == "channels_last" else torch.contiguous_format
        kernel = weights.transpose(2, 1, 0).reshape(case.filters, -1, *[case.kernel] * case.ndim)
        x, w = (
            torch.from_numpy(np.ascontiguousarray(a)).contiguous(memory_format=memory).requires_grad_()
            for a in (np.moveaxis(images, -1, 1), kernel)
        )
        function = {2: F.conv2d, 3: F.conv3d}[case.ndim]
        options = {"stride": case.stride, "padding": case.kernel // 2, "groups": case.groups}

        def forward() -> None:
            with torch.no_grad():
                function(x, w, **options)

        def both() -> None:
            x.grad = w.grad = None
            y = function(x, w, **options)
            y.backward(y.detach())

        return {"forward": forward, "both": both}

    return build


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("layout", choices=["default", "channels_last"])
    args = parser.parse_args()
    serve(runner(build_for(args.layout)), {"versions": f"torch {torch.__version__}"})


if __name__ == "__main__":
    main()
