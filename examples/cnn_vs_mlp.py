"""A convolutional network beside a perceptron on the same images: accuracy, weights, shifted inputs, random features.

    python examples/cnn_vs_mlp.py                             under a minute; saves cnn_vs_mlp.png
    python examples/cnn_vs_mlp.py --images 400 --epochs 2     a quick look

Both see 28 x 28 digits. The perceptron has a weight for every pixel; the convolution has one for every neighbour, the
same at all pixels, so moving the image moves its feature maps and nothing else. That knowledge is worth something
before anything is learnt: with all weights left random but those of a linear classifier on top (ridge regression), the
convolutional features are the better ones. Test digits are also shown moved by up to three pixels, which no network
has seen in training. Needs gnnkit[plot].
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gnnkit as gk
from gnnkit import nn


def convolutional(rng: np.random.Generator) -> nn.Sequential:
    """Two convolutions, each followed by pooling: 784 features of 7 x 7 places and 16 channels."""
    first = nn.Sequential(nn.Conv2d(1, 16, 5, rng=rng), nn.ReLU(), nn.MaxPool(2))
    second = nn.Sequential(nn.Conv2d(16, 16, 3, rng=rng), nn.ReLU(), nn.MaxPool(2))
    return nn.Sequential(first, second, nn.Flatten())


def perceptron(rng: np.random.Generator) -> nn.Sequential:
    """Pixels in a row, then one hidden layer: 784 features as well."""
    hidden = nn.Sequential(nn.Linear(784, 784, rng=rng), nn.ReLU())
    return nn.Sequential(nn.Flatten(), nn.OnGlobals(hidden))


BODIES = {"CNN": convolutional, "MLP": perceptron}


def moved(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """The images [num_images, height, width] moved, with zeros coming in."""
    height, width = images.shape[1:]
    wide = np.pad(images, ((0, 0), (3, 3), (3, 3)))
    return wide[:, 3 - down : 3 - down + height, 3 - right : 3 - right + width]


def train(model: nn.Module, images: np.ndarray, labels: np.ndarray, epochs: int, rng: np.random.Generator) -> None:
    optimizer = nn.Adam(model, lr=0.003)
    for _ in range(epochs):
        for rows in np.array_split(rng.permutation(len(images)), max(len(images) // 64, 1)):
            optimizer.zero_grad()
            loss = nn.cross_entropy(model(gk.from_image(images[rows][..., None])).u, labels[rows])
            loss.backward()
            optimizer.step()
    model.eval()


def features(model: nn.Module, images: np.ndarray) -> np.ndarray:
    """The global state that the network makes of every image."""
    with gk.no_grad():
        parts = np.array_split(images, max(len(images) // 250, 1))
        return np.concatenate([model(gk.from_image(part[..., None])).u.numpy() for part in parts])


def ridge(x: np.ndarray, labels: np.ndarray, strength: float) -> np.ndarray:
    """Weights of the linear classifier on fixed features, in closed form: the last row is the bias."""
    x = np.column_stack([x, np.ones(len(x))]).astype(np.float64)
    return np.linalg.solve(x.T @ x + strength * np.eye(x.shape[1]), x.T @ np.eye(10)[labels])


def main(arguments: list[str] | None = None) -> dict[str, tuple[float, float]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=4000, help="training images, of 5000 digits")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=".", help="folder for the picture")
    options = parser.parse_args(arguments)
    if min(options.images, options.epochs) < 1 or options.images > 4000:
        parser.error("--images must be at least 1 and at most 4000, --epochs must be at least 1")

    images, labels = gk.datasets.load_images("mnist_5k")
    rng = np.random.default_rng(options.seed)
    order = rng.permutation(len(images))  # they are sorted by digit
    images, labels = images[order], labels[order]
    known, known_labels = images[: options.images], labels[: options.images]
    test, test_labels = images[4000:], labels[4000:]
    away = np.stack([moved(image[None], *rng.integers(-3, 4, 2))[0] for image in test])

    results, networks = {}, {}
    print(f"{len(known)} training digits, {len(test)} test digits, {options.epochs} epochs, seed {options.seed}")
    print(f"{'network':33s}  weights  test accuracy  moved by up to 3 pixels")
    for name, body in BODIES.items():
        model = nn.Sequential(body(rng), nn.OnGlobals(nn.Linear(784, 10, rng=rng)))
        train(model, known, known_labels, options.epochs, rng)
        networks[name] = model
        scores = [float(np.mean(features(model, x).argmax(1) == test_labels)) for x in (test, away)]
        results[f"{name}, trained"] = (scores[0], scores[1])
        print(f"{name + ', trained':33s}  {model.num_parameters:7,d}  {scores[0]:13.1%}  {scores[1]:.1%}", flush=True)
    for name, body in BODIES.items():
        model = body(rng).eval()
        found = [features(model, x) for x in (known, test, away)]
        scale = found[0].std()
        weights = ridge(found[0] / scale, known_labels, 3.0)
        scores = [
            float(np.mean((np.column_stack([x / scale, np.ones(len(x))]) @ weights).argmax(1) == test_labels))
            for x in found[1:]
        ]
        results[f"{name}, untrained"] = (scores[0], scores[1])
        print(f"{name + ', untrained, linear classifier':33s}  {weights.size:7,d}  {scores[0]:13.1%}  {scores[1]:.1%}")

    pair = np.concatenate([test[:1], moved(test[:1], 0, 3)])
    maps = networks["CNN"][0][0][0](gk.from_image(pair[..., None])).x.numpy()  # type: ignore[index]
    grid = maps.reshape(2, 28, 28, -1)
    difference = np.abs(grid[1, 2:-2, 5:-2] - grid[0, 2:-2, 2:-5]).max()
    units = networks["MLP"][0](gk.from_image(pair[..., None])).u.numpy()  # type: ignore[index]
    overlap = float((units[0] * units[1]).sum() / np.sqrt((units[0] ** 2).sum() * (units[1] ** 2).sum()))
    print(
        f"A digit moved by 3 pixels: its feature maps, moved back, differ by {difference:.0e} (away from the border);"
    )
    print(f"the hidden units of the perceptron have a cosine of {overlap:.2f} to what they were.")

    Path(options.out).mkdir(parents=True, exist_ok=True)
    path = Path(options.out) / "cnn_vs_mlp.png"
    draw(pair, maps, units, path)
    print(f"Feature maps and hidden units of that digit are drawn in {path}.")
    return results


def draw(pair: np.ndarray, maps: np.ndarray, units: np.ndarray, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.6), layout="constrained", dpi=110)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1, 4.4, 1])
    graph = gk.from_image(pair[..., None])
    gk.plot.image(graph, ax=left, title="A digit, then moved", columns=1)
    gk.plot.feature_maps(
        graph, field=maps, channels=range(4), captions=["", ""], ax=middle, bar=False,
        title="CNN: the maps of its first convolution move with it",
    )  # fmt: skip
    hidden = gk.from_image(units.reshape(2, 28, 28, 1))
    gk.plot.image(hidden, ax=right, scale="viridis", columns=1, title="MLP: hidden units do not")
    figure.savefig(path)


if __name__ == "__main__":
    main()
