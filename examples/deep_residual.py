"""Depth and skip connections: plain and residual GCNs of 2, 8 and 32 layers on Cora.

    python examples/deep_residual.py                            under a minute; saves deep_residual.png
    python examples/deep_residual.py --depths 2 8 --epochs 20   a quick look

Plainly stacked, 8 GCN layers learn badly and 32 not at all, not even the labels they are trained on: values and
gradients get lost on the way. With x + relu(conv(norm(x))), a residual layer in pre-norm form, every layer only adds a
correction, input and gradient have a short way through, and 32 layers train. On a graph like Cora that is the point of
skip connections; deeper is not better here, 2 layers see enough. Printed: test accuracy at the best validation epoch,
and the lowest training loss. Needs gnnkit[plot].
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gnnkit as gk


def network(kind: str, in_channels: int, out_channels: int, *, depth: int, hidden: int) -> gk.nn.Sequential:
    """A GCN of ``depth`` convolutions; those between first and last are plain or residual."""
    layers: list[gk.nn.Module] = [gk.nn.Dropout(0.5), gk.nn.GCNConv(in_channels, hidden), gk.nn.ReLU()]
    for _ in range(depth - 2):
        if kind == "residual":
            branch = gk.nn.Sequential(gk.nn.LayerNorm(hidden), gk.nn.GCNConv(hidden, hidden), gk.nn.ReLU())
            layers.append(gk.nn.Residual(branch))
        else:
            layers += [gk.nn.GCNConv(hidden, hidden), gk.nn.ReLU()]
    return gk.nn.Sequential(*layers, gk.nn.Dropout(0.5), gk.nn.GCNConv(hidden, out_channels))


def main(arguments: list[str] | None = None) -> dict[tuple[str, int], float]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depths", type=int, nargs="+", default=[2, 8, 32])
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=".", help="folder for the picture")
    options = parser.parse_args(arguments)
    if min(*options.depths, options.epochs + 1) < 2 or options.hidden < 1:
        parser.error("--depths must be at least 2, --epochs and --hidden at least 1")

    cora = gk.transforms.normalize_features(gk.datasets.load("cora"))
    y, shape = cora.nodes["y"], (cora.x.shape[1], int(cora.nodes["y"].max()) + 1)
    parts = {part: gk.learn.Task(cora, y, mask=cora.nodes[f"{part}_mask"]) for part in ("train", "val", "test")}
    histories, accuracy = {}, {}
    print("layers  kind      test accuracy  training loss")
    for depth in options.depths:
        for kind in ("plain", "residual"):
            model = network(kind, *shape, depth=depth, hidden=options.hidden)
            history = gk.learn.fit(
                model,
                parts["train"],
                validation=parts["val"],
                test=parts["test"],
                epochs=options.epochs,
                lr=0.01,
                weight_decay=5e-4,
                random_state=options.seed,
                progress=False,
            )
            histories[kind, depth], accuracy[kind, depth] = history, history.best["test_accuracy"]
            lowest = min(history["train_loss"])
            print(f"{depth:6d}  {kind:8s}  {accuracy[kind, depth]:13.1%}  {lowest:13.3f}", flush=True)

    Path(options.out).mkdir(parents=True, exist_ok=True)
    picture = Path(options.out) / "deep_residual.png"
    draw(histories, options.depths, picture)
    print(f"Curves are drawn in {picture}.")
    return accuracy


def draw(histories: dict[tuple[str, int], gk.learn.History], depths: list[int], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4 * len(depths), 6.4), layout="constrained", dpi=110)
    axes = figure.subplots(2, len(depths), sharex=True, sharey="row", squeeze=False)
    for column, depth in enumerate(depths):
        for kind, colour, line in (("plain", "#D55E00", "--"), ("residual", "#0072B2", "-")):
            for row, name in enumerate(("train_loss", "test_accuracy")):
                axes[row, column].plot(histories[kind, depth][name], line, color=colour, label=kind)
        axes[0, column].set_title(f"{depth} layers" + (" (no layer to skip: the same)" if depth == 2 else ""))
        axes[1, column].set_xlabel("epoch")
    axes[0, 0].set_yscale("log")
    axes[0, 0].set_ylabel("training loss")
    axes[1, 0].set_ylabel("test accuracy")
    axes[0, 0].legend(frameon=False)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(color="#E6E6E6")
    figure.suptitle("GCN on Cora: residual layers keep deep networks trainable")
    figure.savefig(path)


if __name__ == "__main__":
    main()
