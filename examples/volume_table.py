"""Sizes, weights and receptive fields of convolutional networks as tables, and what a layer reads as a picture.

    python examples/volume_table.py              a few seconds; saves volume_table.png
    python examples/volume_table.py --size 32    the same network on other images

The table of an exercise sheet: convolution 3 x 3 with 10 filters, pooling, again, then a dense layer, on 28 x 28 x 1.
`model.summary(graph)` prints it for any model: parameters, output size, receptive field in pixels of the input, work.
Then what weight sharing saves, and the edges of some layers on a sequence of nine pixels: one colour is one weight,
wherever it is used. Needs gnnkit[plot].
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gnnkit as gk
from gnnkit import nn
from gnnkit.graph import Grid, Stencil, grid_topology


def network(size: int) -> nn.Sequential:
    last = size // 2 // 2
    return nn.Sequential(
        nn.Conv2d(1, 10, 3, rng=0),
        nn.MaxPool(2),
        nn.Conv2d(10, 10, 3, rng=0),
        nn.MaxPool(2),
        nn.Flatten(),
        nn.OnGlobals(nn.Linear(last * last * 10, 3, rng=0)),
    )


def sharing() -> dict[str, int]:
    """A convolution with stride on 3 x 256 x 256, and the same map as a dense layer."""
    conv = nn.Conv2d(3, 32, 5, stride=2, padding="valid", bias=False, rng=0)
    reads, gives = Grid((256, 256)), conv.topology(Grid((256, 256))).receiver_grid
    height, width = gives.size
    return {
        "output height": height,
        "output width": width,
        "convolution": conv.num_parameters,
        "dense": reads.num_nodes * 3 * gives.num_nodes * 32,
    }


def main(arguments: list[str] | None = None) -> dict[str, int]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=28, help="height and width of the images")
    parser.add_argument("--out", default=".", help="folder for the picture")
    options = parser.parse_args(arguments)
    if options.size < 4:
        parser.error("--size must be at least 4")

    image = gk.from_image(np.zeros((options.size, options.size, 1), "float32"))
    table = network(options.size).summary(image)
    print(table, end="\n\n")
    counts = sharing()
    print(f"A 5 x 5 convolution from 3 to 32 channels, stride 2, no padding, on 256 x 256 pixels gives "
          f"{counts['output height']} x {counts['output width']}.")  # fmt: skip
    print(f"It has {counts['convolution']:,} weights; a dense layer for the same sizes has {counts['dense']:,}.")
    conv = nn.Conv1d(1, 1, 3, bias=False, rng=0)
    conv.weight.assign(np.array([1.0, 2.0, 3.0]).reshape(3, 1, 1))
    print("\nA kernel (1, 2, 3) on five pixels as a matrix, one row for each output:")
    print(conv.to_matrix(Grid((5,))).toarray().astype(int))

    Path(options.out).mkdir(parents=True, exist_ok=True)
    path = Path(options.out) / "volume_table.png"
    draw(path)
    print(f"\nThe edges of eight layers are drawn in {path}.")
    return {"parameters": table.num_parameters, **counts}


def draw(path: Path) -> None:
    from matplotlib.figure import Figure

    def line(**options: object) -> Stencil:
        return Stencil(**{"kernel_size": 3, "ndim": 1, **options})  # type: ignore[arg-type]

    nine = Grid((9,))
    layers = {
        'kernel 3, padding "same"': grid_topology(nine, line()),
        'kernel 3, padding "valid"': grid_topology(nine, line(padding="valid")),
        "stride 2": grid_topology(nine, line(stride=2)),
        "dilation 2": grid_topology(nine, line(dilation=2)),
        'border "wrap": a ring': grid_topology(nine, line(border="wrap")),
        'border "reflect"': grid_topology(nine, line(border="reflect")),
        "pooling 2": grid_topology(nine, line(kernel_size=2, stride=2, padding="valid")),
        "transposed, stride 2": grid_topology(nine, line(stride=2)).transpose(),
    }
    figure = Figure(figsize=(13, 9), layout="constrained", dpi=110)
    for ax, (title, topology) in zip(figure.subplots(4, 2).flat, layers.items()):
        gk.plot.draw_stencil(topology, ax=ax, title=title)
    figure.suptitle("What each pixel of the upper row reads; one colour is one weight")
    figure.savefig(path)


if __name__ == "__main__":
    main()
