"""Fifty convolutions more: a residual network trains all the same, a plain one stalls.

    python examples/deep_residual_images.py                           about a minute; saves deep_residual_images.png
    python examples/deep_residual_images.py --deep 18 --epochs 2      a quick look

Networks of 8 and of 58 layers classify digits of 8 x 8 pixels, with x + f(x) around every two convolutions and without.
Each convolution is followed by batch norm, so that no signal dies on the way; still the deep plain network hardly
learns, not even what it is trained on, while the deep residual one fits it best of the four. That is what skips are
for; a thousand digits do not need 58 layers, and in the test the shallow residual network stays ahead. The same on a
citation graph: deep_residual.py. Needs gnnkit[plot].
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gnnkit as gk
from gnnkit import nn


def network(depth: int, skip: bool, rng: np.random.Generator) -> nn.Module:
    """A convolution, (depth - 2) / 2 blocks of two, and a linear map."""
    return nn.ResNet(1, 10, widths=(8,), blocks=(depth - 2) // 2, skip=skip, rng=rng)


def train(
    model: nn.Module, images: np.ndarray, labels: np.ndarray, epochs: int, rng: np.random.Generator
) -> list[float]:
    """Mean training loss of every epoch."""
    optimizer = nn.Adam(model, lr=0.003)
    curve = []
    for _ in range(epochs):
        losses = []
        for rows in np.array_split(rng.permutation(len(images)), max(len(images) // 64, 1)):
            optimizer.zero_grad()
            loss = nn.cross_entropy(model(gk.from_image(images[rows][..., None])).u, labels[rows])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        curve.append(float(np.mean(losses)))
    model.eval()
    return curve


def main(arguments: list[str] | None = None) -> dict[tuple[str, int], float]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deep", type=int, default=58, help="layers of the deep networks")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=".", help="folder for the picture")
    options = parser.parse_args(arguments)
    if options.deep < 4 or options.epochs < 1:
        parser.error("--deep must be at least 4, --epochs must be at least 1")

    images, labels = gk.datasets.load_images("digits")
    order = np.random.default_rng(options.seed).permutation(len(images))
    images, labels = images[order], labels[order]
    curves, accuracy = {}, {}
    print(f"1000 training digits, 797 test digits, {options.epochs} epochs, seed {options.seed}")
    print("layers  kind      test accuracy  training loss")
    for depth in (8, options.deep):
        for kind in ("plain", "residual"):
            rng = np.random.default_rng(options.seed)
            model = network(depth, kind == "residual", rng)
            curves[kind, depth] = train(model, images[:1000], labels[:1000], options.epochs, rng)
            with gk.no_grad():
                said = model(gk.from_image(images[1000:][..., None])).u.numpy().argmax(1)
            accuracy[kind, depth] = float(np.mean(said == labels[1000:]))
            print(f"{depth:6d}  {kind:8s}  {accuracy[kind, depth]:13.1%}  {curves[kind, depth][-1]:13.3f}", flush=True)

    Path(options.out).mkdir(parents=True, exist_ok=True)
    path = Path(options.out) / "deep_residual_images.png"
    draw(curves, path)
    print(f"Training losses are drawn in {path}.")
    return accuracy


def draw(curves: dict[tuple[str, int], list[float]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 4), layout="constrained", dpi=110)
    axes = figure.subplots(1, 2, sharey=True)
    for ax, depth in zip(axes, sorted({depth for _, depth in curves})):
        for kind, colour, line in (("plain", "#D55E00", "--"), ("residual", "#0072B2", "-")):
            losses = curves[kind, depth]
            ax.plot(range(1, len(losses) + 1), losses, line, marker="o", markersize=4, color=colour, label=kind)
        ax.axhline(np.log(10), color="#8A8A8A", linewidth=0.8)
        ax.text(len(losses), np.log(10), "guessing", ha="right", va="bottom", fontsize=8, color="#8A8A8A")
        ax.set_title(f"{depth} layers")
        ax.set_xlabel("epoch")
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(color="#E6E6E6")
    axes[0].set_ylabel("training loss")
    axes[0].legend(frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    main()
