"""Digits with 40 % of their pixels missing: a convolution over the pixels that exist, against arrays filled with zeros.

    python examples/holes.py                               about a minute; saves holes.png
    python examples/holes.py --images 200 --epochs 1       a quick look

An array must hold something where nothing was measured, and a convolution cannot tell a filled-in zero from a black
pixel. In a graph a missing pixel is no node: it sends nothing, and no norm, pooling or gradient counts it. Four
networks of the same layers see the same digits, in dark ink on light paper of many greys, every image with holes of its
own: filled with zeros; filled with zeros, the mask as a second channel; as a graph; as a graph whose sums are scaled to
a whole window (a partial convolution, Liu et al. 2018), which makes little difference here. They are trained with 40 %
missing, and tested with more and fewer. Needs gnnkit[plot].
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gnnkit as gk
from gnnkit import nn


class PartialConv(nn.Module):
    """A convolution that makes up for neighbours that are missing: what arrives is scaled to a whole window."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, rng: np.random.Generator) -> None:
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, bias=False, rng=rng)
        self.bias = nn.Parameter(np.zeros(out_channels, "float32"), decay=0.0)

    def forward(self, graph: gk.Graph) -> gk.Graph:
        topology = self.conv.topology(graph)
        share = topology.in_degree()[:, None] / np.float32(topology.num_offsets)  # a pixel hears itself: never 0
        return graph.replace(x=self.conv(graph).x / share.astype("float32") + self.bias)


def network(in_channels: int, conv: type[nn.Module], rng: np.random.Generator) -> nn.Sequential:
    layers: list[nn.Module] = [nn.InstanceNorm(in_channels)]  # over the pixels of an image
    for inside, out, size in ((in_channels, 16, 5), (16, 32, 3)):
        layers += [conv(inside, out, size, rng=rng), nn.ReLU(), nn.MaxPool(2)]  # type: ignore[call-arg]
    return nn.Sequential(*layers, nn.Flatten(head=nn.Linear(7 * 7 * 32, 10, rng=rng)))


def written(digits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dark ink on light paper, every digit with greys of its own: nothing about the value 0 is special."""
    paper, ink = rng.uniform(0.6, 1.0, (len(digits), 1, 1)), rng.uniform(0.0, 0.3, (len(digits), 1, 1))
    return (paper + (ink - paper) * digits).astype("float32")


def as_array(images: np.ndarray, there: np.ndarray) -> gk.Graph:
    return gk.from_image(np.where(there, images, 0)[..., None])


def with_mask(images: np.ndarray, there: np.ndarray) -> gk.Graph:
    return gk.from_image(np.stack([np.where(there, images, 0), there.astype("float32")], axis=-1))


def as_graph(images: np.ndarray, there: np.ndarray) -> gk.Graph:
    return gk.from_image(images[..., None], mask=there)


KINDS = {
    "array, holes are 0": (as_array, 1, nn.Conv2d),
    "array and mask": (with_mask, 2, nn.Conv2d),
    "graph": (as_graph, 1, nn.Conv2d),
    "graph, partial conv": (as_graph, 1, PartialConv),
}


def main(arguments: list[str] | None = None) -> dict[str, list[float]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000, help="training images, of 5000 digits")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--missing", type=float, default=0.4, help="share of pixels missing while training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=".", help="folder for the picture")
    options = parser.parse_args(arguments)
    if min(options.images, options.epochs) < 1 or options.images > 4000 or not 0 <= options.missing < 1:
        parser.error("--images must be at least 1 and at most 4000, --epochs at least 1, --missing in [0, 1)")

    images, labels = gk.datasets.load_images("mnist_5k")
    rng = np.random.default_rng(options.seed)
    order = rng.permutation(len(images))
    images, labels = written(images[order], rng), labels[order]
    test, test_labels = images[4000:], labels[4000:]
    rates = sorted({0.0, 0.2, options.missing, 0.6, 0.8})
    there = {rate: rng.random(test.shape) >= rate for rate in rates}

    results: dict[str, list[float]] = {}
    print(f"Test accuracy by the share of missing pixels; trained with {options.missing:.0%} missing,")
    print(f"{options.images} digits, {options.epochs} epochs, seed {options.seed}")
    print(f"{'network':22s}" + "".join(f"{rate:>8.0%}" for rate in rates))
    for name, (door, channels, conv) in KINDS.items():
        start = np.random.default_rng(options.seed)  # the same batches and holes for all
        model = network(channels, conv, start)
        optimizer = nn.Adam(model, lr=0.003)
        schedule = nn.CosineLR(optimizer, epochs=options.epochs)
        for _ in range(options.epochs):
            for rows in np.array_split(start.permutation(options.images), max(options.images // 32, 1)):
                batch = door(images[rows], start.random((len(rows), 28, 28)) >= options.missing)
                optimizer.zero_grad()
                nn.cross_entropy(model(batch).u, labels[rows]).backward()
                optimizer.step()
            schedule.step()
        model.eval()
        results[name] = []
        with gk.no_grad():
            for rate in rates:
                said = [
                    model(door(test[k : k + 250], there[rate][k : k + 250])).u.numpy().argmax(1)
                    for k in range(0, len(test), 250)
                ]
                results[name].append(float(np.mean(np.concatenate(said) == test_labels)))
        print(f"{name:22s}" + "".join(f"{score:8.1%}" for score in results[name]), flush=True)

    Path(options.out).mkdir(parents=True, exist_ok=True)
    path = Path(options.out) / "holes.png"
    draw(test[:3], {rate: there[rate][:3] for rate in rates[1:]}, rates, results, path)
    print(f"Some of the digits and these curves are drawn in {path}.")
    return results


def draw(
    digits: np.ndarray, there: dict[float, np.ndarray], rates: list[float], results: dict[str, list[float]], path: Path
) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.6), layout="constrained", dpi=110)
    left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
    masks = np.concatenate([mask for k in range(len(digits)) for mask in (m[k : k + 1] for m in there.values())])
    shown = np.repeat(digits, len(there), axis=0)
    captions = [f"{rate:.0%} missing" for rate in there] + [""] * (len(shown) - len(there))
    graph = as_graph(shown, masks)
    title = "Three test digits; hatched pixels are no nodes"
    gk.plot.image(graph, ax=left, columns=len(there), captions=captions, title=title)
    styles = (("#D55E00", "--"), ("#E69F00", "--"), ("#0072B2", "-"), ("#56B4E9", "-"))
    for (name, scores), (colour, line) in zip(results.items(), styles):
        right.plot([100 * rate for rate in rates], scores, line, marker="o", color=colour, label=name)
    right.set_xlabel("missing pixels in the test, %")
    right.set_ylabel("test accuracy")
    right.legend(frameon=False)
    right.grid(color="#E6E6E6")
    right.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


if __name__ == "__main__":
    main()
