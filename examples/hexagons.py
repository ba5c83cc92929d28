"""Pixels that are hexagons, images that close upon themselves: convolutions on other grids.

    python examples/hexagons.py                               about a minute; saves hexagons.png
    python examples/hexagons.py --images 100 --epochs 1       a quick look

A grid is nothing but who is whose neighbour. On a hexagonal lattice all six neighbours are equally far, and a
convolution that weighs them alike commutes with turns by 60 degrees (up to rounding); it is shown on a hexagonal image,
cut out of its rectangle with a mask. On a torus no pixel is at a border, and a convolution commutes with every shift,
to the last bit. Last, digits are sampled on squares and on hexagons and classified by networks of equal layers: windows
of 19 hexagons in place of 25 squares do about as well. Needs gnnkit[plot].
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import map_coordinates

import gnnkit as gk
from gnnkit import nn
from gnnkit.graph import as_grid


def hexagon(radius: int) -> np.ndarray:
    """The mask of all cells within ``radius`` steps of the middle."""
    rows, diagonal = axial(np.argwhere(np.ones((2 * radius + 1, 2 * radius + 1), bool)), radius)
    inside = np.maximum(np.abs(rows), np.maximum(np.abs(diagonal), np.abs(rows + diagonal))) <= radius
    return inside.reshape(2 * radius + 1, -1)


def axial(cells: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps down and along the diagonal from the middle: odd rows lie half a cell to the right."""
    diagonal = cells[:, 1] - cells[:, 0] // 2
    return cells[:, 0] - radius, diagonal - (radius - radius // 2)


def turn(graph: gk.Graph, radius: int) -> np.ndarray:
    """For every pixel the one that comes to its place when the image is turned by 60 degrees."""
    rows, diagonal = axial(as_grid(graph).coordinates(), radius)
    number = {place: k for k, place in enumerate(zip(rows.tolist(), diagonal.tolist()))}
    return np.array([number[-q, r + q] for r, q in zip(rows.tolist(), diagonal.tolist())])


def sample(images: np.ndarray, lattice: str) -> np.ndarray:
    """The images on 28 x 28 squares, or on 32 rows of 27 hexagons."""
    if lattice == "square":
        return images
    row, column = np.mgrid[0:32, 0:27]
    places = [row * np.sqrt(3) / 2, column + 0.5 * (row % 2)]
    return np.stack([map_coordinates(image, places, order=1) for image in images]).astype("float32")


def network(lattice: str, rng: np.random.Generator) -> nn.Sequential:
    conv = nn.HexConv if lattice == "hexagonal" else nn.Conv2d
    layers: list[nn.Module] = []
    for inside in (1, 8):
        layers += [conv(inside, 8, 5, rng=rng), nn.ReLU()]
    cells = 32 * 27 if lattice == "hexagonal" else 28 * 28
    return nn.Sequential(*layers, nn.Flatten(head=nn.Linear(cells * 8, 10, rng=rng)))


def score(lattice: str, images: np.ndarray, labels: np.ndarray, options: argparse.Namespace) -> tuple[int, float]:
    """Weights of the convolutions, and the test accuracy of the network."""
    rng = np.random.default_rng(options.seed)
    model = network(lattice, rng)
    optimizer = nn.Adam(model, lr=0.005)
    schedule = nn.CosineLR(optimizer, epochs=options.epochs)
    for _ in range(options.epochs):
        for rows in np.array_split(rng.permutation(options.images), max(options.images // 32, 1)):
            optimizer.zero_grad()
            batch = gk.from_image(images[rows][..., None], lattice=lattice)
            nn.cross_entropy(model(batch).u, labels[rows]).backward()
            optimizer.step()
        schedule.step()
    model.eval()
    with gk.no_grad():
        parts = np.array_split(images[4000:], 10)
        said = [model(gk.from_image(part[..., None], lattice=lattice)).u.numpy().argmax(1) for part in parts]
    return sum(layer.num_parameters for layer in list(model)[:-1]), float(
        np.mean(np.concatenate(said) == labels[4000:])
    )


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1500, help="training images, of 5000 digits")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=".", help="folder for the picture")
    options = parser.parse_args(arguments)
    if min(options.images, options.epochs) < 1 or options.images > 4000:
        parser.error("--images must be at least 1 and at most 4000, --epochs must be at least 1")
    rng, results = np.random.default_rng(options.seed), {}

    mask, radius = hexagon(8), 8
    face = sum(map(np.asarray, np.meshgrid(np.sin(np.arange(17) / 2), np.arange(17) / 17))) + rng.random((17, 17))
    image = gk.from_image(face, mask=mask, lattice="hexagonal")
    turned = image.replace(x=image.x[turn(image, radius)])
    isotropic = nn.IsotropicConv(1, 3, rng=rng, dtype="float64")
    free = nn.HexConv(1, 3, 3, rng=rng, dtype="float64")
    for name, layer in (("isotropic", isotropic), ("any weights", free)):
        apart = layer(turned).x.numpy() - layer(image).x.numpy()[turn(image, radius)]
        results[f"60 degrees, {name}"] = float(np.abs(apart).max())
        print(f"Turned by 60 degrees, then convolved, or the other way round ({name}): {np.abs(apart).max():.0e} apart")

    picture = rng.random((12, 14, 1))
    conv = nn.Conv2d(1, 4, 5, rng=rng, dtype="float64")
    for border in ("wrap", "zero"):
        straight, moved = (conv(gk.from_image(x, border=border)).x.numpy() for x in (picture, np.roll(picture, 3, 1)))
        apart = np.roll(straight.reshape(12, 14, 4), 3, 1) - moved.reshape(12, 14, 4)
        results[f"shift, border {border}"] = float(np.abs(apart).max())
        print(f'Shifted all around, then convolved, or the other way round (border "{border}"): '
              f"{np.abs(apart).max():.0e} apart")  # fmt: skip

    digits, labels = gk.datasets.load_images("mnist_5k")
    order = rng.permutation(len(digits))
    digits, labels = digits[order], labels[order]
    print(f"Digits, {options.images} to train on, {options.epochs} epochs, seed {options.seed}:")
    for lattice in ("square", "hexagonal"):
        weights, accuracy = score(lattice, sample(digits, lattice), labels, options)
        results[lattice] = accuracy
        print(f"  {lattice:10s} {weights:5,d} weights in its convolutions, test accuracy {accuracy:.1%}", flush=True)

    Path(options.out).mkdir(parents=True, exist_ok=True)
    path = Path(options.out) / "hexagons.png"
    draw(digits[:1], image, turned, isotropic, path)
    print(f"Lattices and convolutions are drawn in {path}.")
    return results


def draw(digit: np.ndarray, image: gk.Graph, turned: gk.Graph, conv: nn.Module, path: Path) -> None:
    from matplotlib.figure import Figure

    point = np.zeros((11, 15), "float32")
    point[1, 1] = 1
    torus = gk.from_image(point, border="wrap", kernel_size=5)
    spread = torus.x
    for _ in range(3):
        spread = gk.message_passing(torus, lambda src: gk.agg.mean(src.x), src={"x": spread}).numpy()
    figure = Figure(figsize=(14, 7.4), layout="constrained", dpi=110)
    axes = figure.subplots(2, 4)
    gk.plot.image(gk.from_image(digit[0]), ax=axes[0, 0], title="28 x 28 squares")
    hexagonal = gk.from_image(sample(digit, "hexagonal")[0], lattice="hexagonal")
    gk.plot.image(hexagonal, ax=axes[0, 1], title="32 x 27 hexagons")
    small = gk.from_image(np.zeros((5, 5)), lattice="hexagonal")
    gk.plot.draw_stencil(small, ax=axes[0, 2], title="Seven weights", legend=False)
    shades = {"scale": "viridis", "value_range": (0.0, spread.max())}
    gk.plot.image(torus, ax=axes[0, 3], field=spread, title="A point on a torus, spread", **shades)
    for ax, (title, graph) in zip(axes[1], {"An image": image, "Turned by 60 degrees": turned}.items()):
        gk.plot.image(graph, ax=ax, scale="viridis", title=title)
    for ax, (title, graph) in zip(axes[1, 2:], {"An image": image, "Turned by 60 degrees": turned}.items()):
        gk.plot.image(conv(graph), ax=ax, channel=0, scale="viridis", title=f"{title}, convolved")
    figure.savefig(path)


if __name__ == "__main__":
    main()
