"""gnnkit's side of ``bench_lenet.py``: the training loop that the estimators use, one epoch a run."""

from __future__ import annotations

import sys

import numpy as np
from common import serve

import gnnkit as gk
from gnnkit.learn.image_batches import ImageBatches, PixelScale
from gnnkit.learn.image_stack import ImageStack


def main(path: str, activation: str, pool: str) -> None:
    with np.load(path, allow_pickle=False) as arrays:
        images, y = arrays["images"], arrays["y"].astype(np.int64)
    stack, everything = ImageStack.read(images), np.arange(len(images))
    model = gk.nn.LeNet(1, 10, activation=activation, pool=pool, rng=0)
    optimizer = gk.nn.AdamW(model, lr=1e-3, weight_decay=1e-2)
    batches = ImageBatches(
        stack, everything, y, level="graphs", batch_size=64, scale=PixelScale.learn(stack, everything),
        dtype=np.float32,
    )  # fmt: skip

    def epoch() -> float:
        history = gk.learn.fit(model, batches, optimizer=optimizer, epochs=1, reset=False, progress=False)
        return history["train_loss"][-1]

    serve(epoch, {"versions": f"gnnkit {gk.__version__}", "parameters": model.num_parameters})


if __name__ == "__main__":
    main(*sys.argv[1:])
