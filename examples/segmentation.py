"""Which pixels belong to a whole digit? A U-Net against networks that see less, on canvases full of clutter.

    python examples/segmentation.py                               about a minute; saves segmentation.png
    python examples/segmentation.py --images 20 --epochs 1        a quick look

Semantic segmentation is node prediction: one class for every pixel. Pieces cut from other digits lie around, of the
same strokes and greys, so that a pixel alone says little; one has to see the shape it belongs to. Three networks: a
perceptron on every pixel; a U-Net without skips, which remembers the image only in coarse pixels; a U-Net. All take
images of any size: they are also tested on wider canvases than they were trained on. Needs gnnkit[plot].
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gnnkit as gk
from gnnkit import nn


def networks(rng: np.random.Generator) -> dict[str, nn.Module]:
    return {
        "perceptron per pixel": nn.MLP([1, 64, 64, 2], rng=rng),
        "U-Net without skips": nn.UNet(1, 2, widths=(8, 16, 32), skip=False, rng=rng),
        "U-Net": nn.UNet(1, 2, widths=(8, 16, 32), rng=rng),
    }


def train(model: nn.Module, images: np.ndarray, masks: np.ndarray, epochs: int, rng: np.random.Generator) -> None:
    optimizer = nn.Adam(model, lr=0.01)
    schedule = nn.CosineLR(optimizer, epochs=epochs)
    for _ in range(epochs):
        for rows in np.array_split(rng.permutation(len(images)), max(len(images) // 8, 1)):
            optimizer.zero_grad()
            nn.cross_entropy(model(gk.from_image(images[rows])).x, masks[rows].ravel()).backward()
            optimizer.step()
        schedule.step()
    model.eval()


def overlap(said: np.ndarray, truth: np.ndarray) -> list[float]:
    """Intersection over union of background and of digits."""
    return [float(np.sum((said == k) & (truth == k)) / np.sum((said == k) | (truth == k))) for k in (0, 1)]


def main(arguments: list[str] | None = None) -> dict[str, tuple[float, float]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=240, help="training canvases")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=".", help="folder for the picture")
    options = parser.parse_args(arguments)
    if min(options.images, options.epochs) < 1:
        parser.error("--images and --epochs must be at least 1")

    rng = np.random.default_rng(options.seed)
    images, masks = gk.datasets.cluttered_digits(options.images, size=48, rng=rng)
    tests = {
        "48 x 48": gk.datasets.cluttered_digits(60, size=48, rng=rng),
        "40 x 90": gk.datasets.cluttered_digits(60, size=(40, 90), num_digits=2, num_pieces=12, rng=rng),
    }
    results, answers = {}, {}
    print(f"{options.images} canvases of 48 x 48, {options.epochs} epochs, seed {options.seed}; {masks.mean():.1%} of "
          "their pixels belong to a digit")  # fmt: skip
    print("Intersection over union of the pixels of digits, and its mean with that of the background:")
    print(f"{'network':22s}  weights  48 x 48  both, mean  on 40 x 90")
    for name, model in networks(rng).items():
        train(model, images, masks, options.epochs, rng)
        with gk.no_grad():
            said = {key: model(gk.from_image(x)).x.numpy().argmax(1) for key, (x, _) in tests.items()}
        found = {key: overlap(said[key], truth.ravel()) for key, (_, truth) in tests.items()}
        results[name] = (found["48 x 48"][1], found["40 x 90"][1])
        answers[name] = said["48 x 48"]
        small, wide = found["48 x 48"], found["40 x 90"]
        print(
            f"{name:22s}  {model.num_parameters:7,d}  {small[1]:7.3f}  {np.mean(small):10.3f}  {wide[1]:10.3f}",
            flush=True,
        )

    Path(options.out).mkdir(parents=True, exist_ok=True)
    path = Path(options.out) / "segmentation.png"
    draw(tests["48 x 48"], answers, path)
    print(f"Three test canvases are drawn in {path}.")
    return results


def draw(test: tuple[np.ndarray, np.ndarray], answers: dict[str, np.ndarray], path: Path) -> None:
    from matplotlib.figure import Figure

    images, masks = test[0][:3], test[1][:3].ravel()
    graph = gk.from_image(images)
    figure = Figure(figsize=(14, 4.6), layout="constrained", dpi=110)
    axes = figure.subplots(1, 3, width_ratios=[2, 2, 4])
    for ax, (name, said) in zip(axes, answers.items()):
        last = ax is axes[-1]
        gk.plot.segmentation(
            graph,
            said[: graph.num_nodes],
            truth=masks if last else None,
            background=0,
            legend=False,
            ax=ax,
            title=name,
        )
    figure.savefig(path)


if __name__ == "__main__":
    main()
