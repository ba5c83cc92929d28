"""Speed of convolutions where arrays cannot go, per existing pixel, beside the dense grid of the same layer.

    python tests/bench/bench_grids.py                    all layers
    python tests/bench/bench_grids.py --rounds 9

For batches with masks, of mixed sizes, on hexagons and with other borders: median milliseconds of one 3 x 3
convolution, forward and forward + backward (gradients of the pixels and of the weight), and the speed relative to the
dense grid (zero border): time of an existing pixel there divided by time of one here, above 1 is faster. A hexagon of
radius 1 has 7 offsets where the square has 9, so its pixels count 7/9. All kinds take turns in one process.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from common import machine, table

import gnnkit as gk

# images, side, channels in and out
LAYERS = [(64, 28, 1, 10), (64, 28, 10, 10), (32, 28, 32, 64), (8, 56, 64, 64)]


def cases(images: int, side: int, channels: int, filters: int) -> dict[str, tuple[gk.Graph, gk.nn.Module]]:
    rng = np.random.default_rng(0)
    x = rng.random((images, side, side, channels), dtype=np.float32)
    square = gk.nn.Conv2d(channels, filters, 3, bias=False, rng=0)
    hexagonal = gk.nn.HexConv(channels, filters, 3, bias=False, rng=0)
    sizes = rng.integers(side // 2, side + side // 2, (images, 2))
    disc = np.hypot(*(np.indices((side, side)) - (side - 1) / 2)) < side / 2
    return {
        "dense": (gk.from_image(x), square),
        "60 % of the pixels, each image its own": (
            gk.from_image(x, mask=rng.random((images, side, side)) < 0.6),
            square,
        ),
        "40 % of the pixels, the same in all": (gk.from_image(x, mask=rng.random((side, side)) < 0.4), square),
        "a disc": (gk.from_image(x, mask=disc), square),
        "mixed sizes": (gk.from_image([rng.random((*size, channels), dtype=np.float32) for size in sizes]), square),
        "torus (wrap)": (gk.from_image(x, border="wrap"), square),
        "reflect": (gk.from_image(x, border="reflect"), square),
        "hexagons": (gk.from_image(x, lattice="hexagonal"), hexagonal),
    }


def jobs(graph: gk.Graph, layer: gk.nn.Module) -> tuple[Callable[[], object], Callable[[], object]]:
    leaf = gk.Tensor(np.asarray(graph.x), requires_grad=True)
    watched = graph.replace(x=leaf)

    def forward() -> object:
        with gk.no_grad():
            return layer(graph).x

    def both() -> None:
        leaf.grad = layer.weight.grad = None
        y = layer(watched).x
        y.backward(y.data)

    return forward, both


def in_turns(work: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each, every round one call of all after another; the first two rounds do not count."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds + 2):
        for name, call in work.items():
            start = time.perf_counter()
            call()
            if turn > 1:
                times[name].append((time.perf_counter() - start) * 1e3)
    return {name: median(each) for name, each in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="rounds that count")
    args = parser.parse_args()
    print(machine(), flush=True)
    with gk.kernels.keep_freed_memory():  # as gk.learn.fit does while it trains
        for images, side, channels, filters in LAYERS:
            found = cases(images, side, channels, filters)
            pairs = {name: jobs(graph, layer) for name, (graph, layer) in found.items()}
            forward = in_turns({name: pair[0] for name, pair in pairs.items()}, args.rounds)
            both = in_turns({name: pair[1] for name, pair in pairs.items()}, args.rounds)
            rows = []
            for name, (graph, _) in found.items():
                share = graph.num_nodes / found["dense"][0].num_nodes * (7 / 9 if name == "hexagons" else 1)
                speeds = [each["dense"] * share / each[name] for each in (forward, both)]
                rows.append(
                    [name, graph.num_nodes, f"{forward[name]:.2f}", f"{both[name]:.2f}", *map("{:.2f}".format, speeds)]
                )
            head = ["batch", "pixels", "forward ms", "+ backward ms", "speed", "+ backward"]
            print(f"\n{images} images of {side} x {side} x {channels} -> {filters}\n{table(head, rows)}", flush=True)


if __name__ == "__main__":
    main()
