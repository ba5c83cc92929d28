"""torch's side of ``bench_lenet.py``: the same net, steps and batches, one epoch a run; imports no gnnkit."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import serve

ACTIVATIONS = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}
POOLS = {"mean": torch.nn.AvgPool2d, "max": torch.nn.MaxPool2d}


def lenet(activation: str, pool: str) -> torch.nn.Sequential:
    act, down = ACTIVATIONS[activation], POOLS[pool]
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 6, 5, padding=2), act(), down(2),
        torch.nn.Conv2d(6, 16, 5), act(), down(2),
        torch.nn.Flatten(),
        torch.nn.Linear(400, 120), act(), torch.nn.Linear(120, 84), act(), torch.nn.Linear(84, 10),
    )  # fmt: skip


def main(layout: str, path: str, activation: str, pool: str) -> None:
    torch.manual_seed(0)
    with np.load(path, allow_pickle=False) as arrays:
        images, y = torch.from_numpy(arrays["images"][:, None]), torch.from_numpy(arrays["y"].astype(np.int64))
    form = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    model = lenet(activation, pool).to(memory_format=form)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2)
    loss_function = torch.nn.CrossEntropyLoss()
    pixels = images.float() / 255
    mean, scale = pixels.mean(), pixels.std()
    del pixels

    def epoch() -> float:
        model.train()
        order = torch.randperm(len(images))
        total = 0.0
        for chosen in order.split(64):
            x = ((images[chosen].float() / 255 - mean) / scale).to(memory_format=form)
            optimizer.zero_grad()
            loss = loss_function(model(x), y[chosen])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
        return total / len(images)

    parameters = sum(p.numel() for p in model.parameters())
    serve(epoch, {"versions": f"torch {torch.__version__}", "parameters": parameters})


if __name__ == "__main__":
    main(*sys.argv[1:])
