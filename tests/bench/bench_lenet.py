"""Training-epoch time of LeNet on MNIST: gnnkit beside torch (default and channels-last), in one run.

    python tests/bench/bench_lenet.py --peers-python PATH                     all 60,000 training images
    python tests/bench/bench_lenet.py --peers-python PATH --images 12000      a fifth of them, in a minute

Every side is a process of its own that gets the same uint8 images from one file; the processes take turns, an epoch
each, round after round, the first round not counted. An epoch draws an order, and for every 64 images slices, converts
and standardises them, forward, cross-entropy, backward, AdamW. Printed: median seconds, scaled to 60,000 images, and
how many times as long as torch's better layout ours takes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import machine, table, take_turns, workers

HERE = Path(__file__).resolve().parent
OURS, LAYOUTS = "gnnkit", {"torch": "default", "torch channels-last": "channels_last"}
WHOLE = 60_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers-python", help="Python of an environment with torch")
    parser.add_argument("--images", type=int, default=WHOLE, help="training images of MNIST that take part")
    parser.add_argument("--rounds", type=int, default=5, help="turns that count")
    parser.add_argument("--activation", choices=["tanh", "relu"], default="tanh")
    parser.add_argument("--pool", choices=["mean", "max"], default="mean")
    parser.add_argument("--root", help="folder that holds mnist.npz (default: downloaded once, see gk.datasets)")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    args = parser.parse_args()

    import gnnkit as gk

    images, y = gk.datasets.load_images("mnist", part="train", raw=True, root=args.root)
    print(machine(), flush=True)
    print(f"LeNet, {args.activation}, {args.pool} pooling; {args.images} images in batches of 64", flush=True)
    with tempfile.TemporaryDirectory(prefix="gnnkit-bench-") as folder:
        path = str(Path(folder) / "images.npz")
        np.savez(path, images=images[: args.images], y=y[: args.images])
        tail = [path, args.activation, args.pool]
        sides = {OURS: (sys.executable, [str(HERE / "ours_lenet.py"), *tail])}
        if args.peers_python:
            peer = str(HERE / "peers" / "lenet.py")
            sides |= {name: (args.peers_python, [peer, layout, *tail]) for name, layout in LAYOUTS.items()}
        with workers(sides) as running:
            take_turns(running, args.rounds, 1, rest=0.3)
            found = {w.name: w.median_ms / 1e3 * WHOLE / args.images for w in running}
            memory = {w.name: w.peak_mb for w in running}
            about = {w.name: w.about["parameters"] for w in running}
    rows = [[name, about[name], f"{seconds:.2f}", memory[name]] for name, seconds in found.items()]
    print(table(["side", "parameters", "s per epoch of 60,000", "peak MB"], rows))
    if len(found) > 1:
        best = min(seconds for name, seconds in found.items() if name != OURS)
        print(f"gnnkit / torch (its better layout): {found[OURS] / best:.2f}")
    if args.json:
        args.json.write_text(json.dumps({"machine": machine(), "seconds": found}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
