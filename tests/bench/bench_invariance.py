"""What ``GNNKIT_BATCH_INVARIANT=1`` costs where graphs are small: every layer of the tests, forward and backward.

Each row is a process of its own that runs all layers of ``tests/nn/test_nn_bits.py`` in float32 and float64 on eight
small graphs, one after the other, and says how long that took without the imports. A cold run begins with an empty
cache of kernels; the warm run of the same kind follows it.

    python tests/bench/bench_invariance.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common import machine

NN = Path(__file__).resolve().parents[1] / "nn"
WORK = """
import sys, time
sys.path.insert(0, sys.argv[1])
import numpy as np
import test_nn_bits as bits

start = time.perf_counter()
for dtype in ("float32", "float64"):
    for name in bits.LAYERS:
        rng = np.random.default_rng(0)
        layer = bits.make(name, dtype)
        for size in bits.SIZES:
            bits.results(layer, bits.random_graph(name, *size, rng, dtype))
print(f"{len(bits.LAYERS)} layers in {time.perf_counter() - start:8.1f} s")
"""


def main() -> None:
    print(machine(), flush=True)
    for switch in ("0", "1"):
        with tempfile.TemporaryDirectory(prefix="gnnkit-bench-") as folder:
            env = {**os.environ, "NUMBA_CACHE_DIR": folder, "GNNKIT_CACHE": folder, "GNNKIT_BATCH_INVARIANT": switch}
            for cache in ("cold", "warm"):
                done = subprocess.run(
                    [sys.executable, "-c", WORK, str(NN)], env=env, check=True, capture_output=True, text=True
                )
                print(f"GNNKIT_BATCH_INVARIANT={switch}, {cache}: {done.stdout.strip()}", flush=True)


if __name__ == "__main__":
    main()
