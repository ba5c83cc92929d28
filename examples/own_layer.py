"""A layer of your own in ten lines: gated messages, checked for right gradients and symmetry, then trained on Cora.

    python examples/own_layer.py                about ten seconds; saves own_layer.png
    python examples/own_layer.py --epochs 20    a quick look

A layer is a gk.nn.Module whose forward maps a graph to a graph; gk.message moves rows between nodes and edges. Nothing
has to be registered and no derivative written. Before such a layer is trusted, two numbers are worth printing: how far
its derivatives are from differences of values, and how far renumbering the nodes is from renumbering the output (it
must be rounding error only, or the layer reads the order of the nodes). Needs gnnkit[plot].
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gnnkit as gk


class GatedConv(gk.nn.Module):
    """``x_i' = V x_i + mean_j sigmoid(A x_i + B x_j) * C x_j``: each channel of an edge has a gate."""

    hops = 1  # how far one call carries information, for model.summary(graph)

    def __init__(self, in_channels: int, out_channels: int) -> None:
        self.own, self.here, self.there, self.value = (gk.nn.Linear(in_channels, out_channels) for _ in range(4))

    def forward(self, graph: gk.Graph) -> gk.Graph:
        topology, x = graph.topology, graph.x
        receivers = gk.message.gather_receivers(topology, self.here(x))  # [num_edges, out_channels]
        gate = gk.sigmoid(receivers + gk.message.gather_senders(topology, self.there(x)))
        messages = gate * gk.message.gather_senders(topology, self.value(x))
        return graph.replace(x=self.own(x) + gk.message.aggregate(topology, messages, "mean"))


def gradient_error(layer: gk.nn.Module, graph: gk.Graph) -> float:
    """Largest difference between derivatives (first and second, by the input) and differences of values."""
    layer.astype("float64")
    report = gk.gradcheck(lambda x: layer(graph.replace(x=x)).x, graph.x, order=2)
    return report.max_error


def equivariance_error(layer: gk.nn.Module, graph: gk.Graph, rng: np.random.Generator) -> float:
    """Largest difference between renumbering the nodes before the layer and renumbering its output."""
    order = rng.permutation(graph.num_nodes)  # node order[i] becomes node i
    number = np.argsort(order)
    shuffled = gk.from_edges(number[graph.senders], number[graph.receivers], x=graph.x[order])
    before, after = layer(shuffled).x.numpy(), layer(graph).x.numpy()[order]
    return float(np.abs(before - after).max())


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--hidden", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=".", help="folder for the picture")
    options = parser.parse_args(arguments)
    if min(options.epochs, options.hidden) < 1:
        parser.error("--epochs and --hidden must be at least 1")

    rng = np.random.default_rng(options.seed)
    small = gk.datasets.load("karate").replace(x=rng.normal(size=(34, 3)))
    layer = GatedConv(3, 4).reset_parameters(rng)
    results = {
        "gradient error": gradient_error(layer, small),
        "equivariance error": equivariance_error(layer, small, rng),
    }
    for name, error in results.items():
        print(f"{name:20s} {error:.1e}")

    cora = gk.transforms.normalize_features(gk.datasets.load("cora"))
    train, val, test = (
        gk.learn.Task(cora, cora.nodes["y"], mask=cora.nodes[f"{p}_mask"]) for p in ("train", "val", "test")
    )
    model = gk.nn.Sequential(
        gk.nn.Dropout(0.5),
        GatedConv(cora.x.shape[1], options.hidden),
        gk.nn.ReLU(),
        gk.nn.Dropout(0.5),
        GatedConv(options.hidden, 7),
    )
    history = gk.learn.fit(
        model,
        train,
        validation=val,
        test=test,
        epochs=options.epochs,
        lr=0.01,
        weight_decay=5e-3,
        random_state=options.seed,
        progress=False,
    )
    print(model.summary(cora))
    results["test accuracy"] = history.best["test_accuracy"]
    epoch = history.best_epoch + 1  # people count from 1
    print(f"Cora: test accuracy {results['test accuracy']:.1%} at the best validation epoch, {epoch}")

    Path(options.out).mkdir(parents=True, exist_ok=True)
    picture = Path(options.out) / "own_layer.png"
    gk.plot.training_curve(history, picture, title="A layer of one's own on Cora")
    print(f"The training curve is drawn in {picture}.")
    return results


if __name__ == "__main__":
    main()
