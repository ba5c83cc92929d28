"""One network on images of many sizes: one batch, no padding, no resizing.

    python examples/image_sizes.py                              about a minute; saves image_sizes.png
    python examples/image_sizes.py --images 200 --epochs 1      a quick look

A batch of images is one graph with many components, and nothing asks them to be alike. Digits are scaled to heights
and widths between 16 and 40 pixels, each by itself. A network that ends in a mean over the pixels takes them as they
are. It is trained once on 28 x 28 alone and once on all sizes, and tested by size. Padding to the largest image of the
batch would compute with all the pixels that are added. Needs gnnkit[plot].
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import zoom

import gnnkit as gk
from gnnkit import nn

SIZES = (16, 22, 28, 34, 40)
BANDS = {"16 to 22": (16, 22), "28": (28, 28), "34 to 40": (34, 40)}


def network(rng: np.random.Generator) -> nn.Module:
    return nn.SmallCNN(1, 10, widths=(8, 16, 32), rng=rng)


def scaled(image: np.ndarray, height: int, width: int) -> np.ndarray:
    if image.shape == (height, width):
        return image
    return np.clip(zoom(image, (height / image.shape[0], width / image.shape[1]), order=1), 0, 1)


def batch(images: list[np.ndarray]) -> gk.Graph:
    return gk.from_image([image[..., None] for image in images])


def train(model: nn.Module, images: list[np.ndarray], labels: np.ndarray, epochs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    optimizer = nn.Adam(model, lr=0.005)
    schedule = nn.CosineLR(optimizer, epochs=epochs)
    for _ in range(epochs):
        for rows in np.array_split(rng.permutation(len(images)), max(len(images) // 32, 1)):
            optimizer.zero_grad()
            nn.cross_entropy(model(batch([images[i] for i in rows])).u, labels[rows]).backward()
            optimizer.step()
        schedule.step()
    model.eval()


def predict(model: nn.Module, images: list[np.ndarray]) -> np.ndarray:
    with gk.no_grad():
        parts = [images[k : k + 100] for k in range(0, len(images), 100)]
        return np.concatenate([model(batch(part)).u.numpy().argmax(1) for part in parts])


def main(arguments: list[str] | None = None) -> dict[str, list[float]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000, help="training images, of 5000 digits")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=".", help="folder for the picture")
    options = parser.parse_args(arguments)
    if min(options.images, options.epochs) < 1 or options.images > 4000:
        parser.error("--images must be at least 1 and at most 4000, --epochs must be at least 1")

    digits, labels = gk.datasets.load_images("mnist_5k")
    rng = np.random.default_rng(options.seed)
    order = rng.permutation(len(digits))
    digits, labels = digits[order], labels[order]
    many = [scaled(digit, *rng.choice(SIZES, 2)) for digit in digits[: options.images]]
    tests = {}
    for name, (low, high) in BANDS.items():
        allowed = [size for size in SIZES if low <= size <= high]
        tests[name] = [scaled(digit, *rng.choice(allowed, 2)) for digit in digits[4000:]]

    results: dict[str, list[float]] = {}
    print(f"Test accuracy by height and width; {options.images} digits, {options.epochs} epochs, seed {options.seed}")
    print(f"{'trained on':18s}" + "".join(f"{name:>10s}" for name in BANDS))
    for name, images in {"28 x 28 only": list(digits[: options.images]), "all sizes": many}.items():
        model = network(np.random.default_rng(options.seed))
        train(model, images, labels[: options.images], options.epochs, options.seed)
        results[name] = [float(np.mean(predict(model, test) == labels[4000:])) for test in tests.values()]
        print(f"{name:18s}" + "".join(f"{score:10.1%}" for score in results[name]), flush=True)

    few = [image for trio in zip(*tests.values()) for image in trio][:32]  # a test digit in each of three sizes, ...
    with gk.no_grad():
        together = model(batch(few)).u.numpy()
        alone = np.concatenate([model(batch([image])).u.numpy() for image in few])
    padded = len(few) * max(image.shape[0] for image in few) * max(image.shape[1] for image in few)
    same = "has the same bits as" if np.array_equal(together, alone) else "differs from"
    print(f"The answer to an image in a batch {same} the answer to it alone.")
    print(f"A batch of {len(few)} has {batch(few).num_nodes:,} pixels; padded to the largest it would have {padded:,}.")

    Path(options.out).mkdir(parents=True, exist_ok=True)
    path = Path(options.out) / "image_sizes.png"
    said = together.argmax(1)
    captions = [f"{s}" if s == y else f"{s}, is {y}" for s, y in zip(said, np.repeat(labels[4000:], 3))]
    gk.plot.image(batch(few), path, captions=captions, title="One batch, and what the network says to each image")
    print(f"That batch is drawn in {path}.")
    return results


if __name__ == "__main__":
    main()
