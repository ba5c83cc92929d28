"""Blurring is a mean over neighbours, and filling in missing pixels is predicting nodes: image work as graph work.

    python examples/blur_inpaint.py                               about a minute; saves blur_inpaint.png
    python examples/blur_inpaint.py --images 100 --epochs 1       a quick look

First a blur: every pixel becomes the mean of its neighbourhood, once and eight times, as one line of message passing.
With the border "edge" that is scipy's uniform filter; with holes it goes on working, over what is there. Then digits
with half of their pixels missing and a square hole besides: the values are filled in by the mean of the image, by
blurring again and again while what is known stays fixed (a harmonic function, label propagation on pixels), and by a
U-Net trained to predict the missing nodes. Needs gnnkit[plot].
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter

import gnnkit as gk
from gnnkit import nn


def blur(graph: gk.Graph, times: int = 1) -> gk.Graph:
    """Every pixel becomes the mean of those that its edges bring: itself and its neighbours."""
    x = graph.x
    for _ in range(times):
        x = gk.message_passing(graph, lambda src: gk.agg.mean(src.x), src={"x": x}).numpy()
    return graph.replace(x=x)


def holes(num_images: int, rng: np.random.Generator) -> np.ndarray:
    """Which pixels are known: half of them, and none in a square of 10 x 10 near the middle."""
    known = rng.random((num_images, 28, 28)) < 0.5
    for image, (row, column) in zip(known, rng.integers(5, 14, (num_images, 2))):
        image[row : row + 10, column : column + 10] = False
    return known


def harmonic(graph: gk.Graph, known: np.ndarray, rounds: int = 60) -> np.ndarray:
    """Missing pixels become the mean of their neighbours, again and again; known ones stay."""
    given = graph.x
    now = graph.replace(x=np.where(known, given, given[known].mean()))
    for _ in range(rounds):
        now = now.replace(x=np.where(known, given, blur(now).x))
    return now.x


def seen(images: np.ndarray, known: np.ndarray) -> gk.Graph:
    """What the network is given: values where they are known, and whether they are."""
    return gk.from_image(np.stack([np.where(known, images, 0), known.astype("float32")], axis=-1))


def train(images: np.ndarray, epochs: int, seed: int) -> nn.Module:
    rng = np.random.default_rng(seed)
    model = nn.Sequential(nn.UNet(2, 1, widths=(16, 32, 64), rng=rng), nn.Sigmoid())
    optimizer = nn.Adam(model, lr=0.005)
    schedule = nn.CosineLR(optimizer, epochs=epochs)
    for _ in range(epochs):
        for rows in np.array_split(rng.permutation(len(images)), max(len(images) // 16, 1)):
            known = holes(len(rows), rng)
            optimizer.zero_grad()
            missing = np.flatnonzero(~known)  # the nodes to predict
            nn.mse_loss(model(seen(images[rows], known)).x[missing, 0], images[rows].ravel()[missing]).backward()
            optimizer.step()
        schedule.step()
    return model.eval()


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1500, help="training images, of 5000 digits")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=".", help="folder for the picture")
    options = parser.parse_args(arguments)
    if min(options.images, options.epochs) < 1 or options.images > 4000:
        parser.error("--images must be at least 1 and at most 4000, --epochs must be at least 1")

    images, _ = gk.datasets.load_images("mnist_5k")
    rng = np.random.default_rng(options.seed)
    images = images[rng.permutation(len(images))]
    digit = images[0]
    classic = uniform_filter(digit, 3, mode="nearest")
    ours = blur(gk.from_image(digit, border="edge")).x.reshape(28, 28)
    results = {"blur": float(np.abs(ours - classic).max())}
    print(f"A blur by message passing differs from scipy's uniform filter by {results['blur']:.0e}.")

    test, known = images[4000:4200], holes(200, rng)
    model = train(images[: options.images], options.epochs, options.seed)
    graph, there = gk.from_image(test[..., None]), known.reshape(-1, 1)
    given = graph.replace(x=np.where(there, graph.x, 0))
    means = (given.x.reshape(200, -1).sum(axis=1) / known.reshape(200, -1).sum(axis=1)).repeat(784)[:, None]
    with gk.no_grad():
        answers = {
            "Mean of known pixels": np.where(there, graph.x, means),
            "Repeated blurring": harmonic(given, there),
            "U-Net": np.where(there, graph.x, model(seen(test, known)).x.numpy()),
        }
    print(f"Root mean square error on the missing pixels of 200 test digits ({1 - known.mean():.0%} are missing):")
    for name, x in answers.items():
        results[name] = float(np.sqrt(np.mean((x - graph.x)[~there] ** 2)))
        print(f"  {name:22s} {results[name]:.3f}")

    Path(options.out).mkdir(parents=True, exist_ok=True)
    path = Path(options.out) / "blur_inpaint.png"
    draw(digit, test[:4], known[:4], answers, path)
    print(f"Both are drawn in {path}.")
    return results


def draw(digit: np.ndarray, test: np.ndarray, known: np.ndarray, answers: dict[str, np.ndarray], path: Path) -> None:
    from matplotlib.figure import Figure

    whole = gk.from_image(digit, border="edge")
    holed = gk.from_image(digit, mask=np.random.default_rng(0).random((28, 28)) < 0.6)
    panels = {
        "A digit": whole,
        "Blurred once": blur(whole),
        "Blurred 8 times": blur(whole, 8),
        "With holes": holed,
        "Blurred around them": blur(holed),
        "What is known": gk.from_image(test[..., None], mask=known),
        "The truth": gk.from_image(test[..., None]),
    }
    for name, x in answers.items():
        panels[name] = gk.from_image(x[: test.size].reshape(*test.shape, 1))
    figure = Figure(figsize=(13, 6.2), layout="constrained", dpi=110)
    for ax, (title, graph) in zip(figure.subplots(2, 5).flat, panels.items()):
        gk.plot.image(graph, ax=ax, title=title, columns=2)
    figure.savefig(path)


if __name__ == "__main__":
    main()
