"""Which molecules are mutagenic? A graph isomorphism network (GIN) on MUTAG, 10-fold cross-validation, three protocols.

    python examples/molecules.py                       all ten folds, under a minute
    python examples/molecules.py --folds 2 --epochs 5  a quick look

Published accuracies on MUTAG cannot be compared without their protocol, so three are printed: the test accuracy of the
last epoch; of the epoch with the lowest loss on a validation fold (the honest choice, Errica et al. 2020); and of the
one epoch that is best on average over the *test* folds (as in the GIN paper, 89.4 +- 5.6: optimistic, since it peeks).
Each fold trains on 8 parts of 10 (the GIN paper on 9, as it has no validation fold). Needs the extra gnnkit[plot].
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import gnnkit as gk


class GIN(gk.nn.Module):
    """GIN-0 of Xu et al. 2019: at every depth the nodes of a molecule are summed and scored, and the scores added."""

    def __init__(self, in_channels: int, hidden: int, num_classes: int, depth: int = 4, dropout: float = 0.5) -> None:
        widths = [in_channels] + [hidden] * depth
        self.blocks = gk.nn.ModuleList(
            gk.nn.Sequential(
                gk.nn.GINConv(gk.nn.MLP([width, hidden, hidden], norm="batch")), gk.nn.BatchNorm(hidden), gk.nn.ReLU()
            )
            for width in widths[:-1]
        )
        self.read_outs = gk.nn.ModuleList(
            gk.nn.GlobalPool("sum", head=gk.nn.Linear(width, num_classes)) for width in widths
        )
        self.dropout = gk.nn.Dropout(dropout)

    def forward(self, molecules: gk.Graph) -> Any:
        graph = molecules.without("e")  # GIN has no use for the kind of a bond; GINEConv has
        scores = self.dropout(self.read_outs[0](graph).u)
        for block, read_out in zip(self.blocks, self.read_outs[1:]):
            graph = block(graph)
            scores = scores + self.dropout(read_out(graph).u)
        return scores  # [num_graphs, num_classes]


def stratified_folds(labels: np.ndarray, num_folds: int, rng: np.random.Generator) -> np.ndarray:
    """Return the fold of every molecule: equal shares of every class, and sizes that differ by one at most."""
    order = np.concatenate([rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)])
    fold = np.empty(len(labels), int)
    fold[order] = np.arange(len(labels)) % num_folds
    return fold


def train_fold(
    molecules: list[gk.Graph], labels: np.ndarray, fold: np.ndarray, held_out: int, options: argparse.Namespace
) -> tuple[GIN, gk.learn.History]:
    def members(keep: np.ndarray) -> gk.learn.GraphBatches:
        return gk.learn.GraphBatches([molecules[i] for i in np.flatnonzero(keep)], labels[keep], batch_size=64)

    test, validation = fold == held_out, fold == (held_out + 1) % 10
    model = GIN(molecules[0].x.shape[1], options.hidden, num_classes=2)
    history = gk.learn.fit(
        model,
        members(~test & ~validation),
        validation=members(validation),
        test=members(test),
        epochs=options.epochs,
        lr=0.01,
        schedule=lambda optimizer: gk.nn.StepLR(optimizer, every=50, gamma=0.5),
        random_state=options.seed + held_out,
        progress=False,
    )
    return model, history


def draw(model: GIN, molecules: list[gk.Graph], labels: np.ndarray, path: str) -> None:
    """Save a picture: atoms coloured by element, bonds as thick as they are strong, and what the model thinks."""
    import networkx as nx
    from matplotlib.figure import Figure

    card = gk.datasets.card("mutag")
    palette = dict(zip(card.node_labels, ("#4a4a4a", "#3555d1", "#d13535", "#4fae54", "#7b3fa0", "#9ccc3c", "#a05a2c")))
    scores = gk.softmax(model(gk.batch(molecules)), axis=1).numpy()[:, 1]
    figure = Figure(figsize=(14, 7), layout="constrained")
    for axis, molecule, label, score in zip(figure.subplots(2, 4).flat, molecules, labels, scores):
        atoms = [card.node_labels[kind] for kind in molecule.x.argmax(axis=1)]
        bonds = {"aromatic": 2.5, "single": 1.5, "double": 3.5, "triple": 5.5}
        skeleton = nx.Graph()
        for sender, receiver, kind in zip(molecule.senders, molecule.receivers, molecule.e.argmax(axis=1)):
            skeleton.add_edge(int(sender), int(receiver), width=bonds[card.edge_labels[kind]])
        places = nx.kamada_kawai_layout(skeleton)
        widths = [width for _, _, width in skeleton.edges.data("width")]
        nx.draw_networkx_edges(skeleton, places, ax=axis, width=widths, edge_color="#b0b0b0")
        colours = [palette[atoms[node]] for node in skeleton]
        nx.draw_networkx_nodes(skeleton, places, ax=axis, node_size=190, node_color=colours)
        nx.draw_networkx_labels(skeleton, places, dict(enumerate(atoms)), ax=axis, font_color="white", font_size=8)
        is_right = label == (score > 0.5)
        axis.set_title(f"{card.class_names[label]}; P(mutagenic) = {score:.2f}", color="black" if is_right else "red")
        axis.set_axis_off()
        axis.margins(0.15)
        axis.set_aspect("equal", adjustable="datalim")
    figure.suptitle("MUTAG: molecules the model has not trained on (red title: it is wrong)")
    figure.savefig(path, dpi=110)


def main(arguments: list[str] | None = None) -> dict[str, tuple[float, float]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--folds", type=int, default=10, choices=range(1, 11), metavar="1..10", help="how many of the ten folds to run"
    )
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", default="molecules.png", help="where to save the picture")
    options = parser.parse_args(arguments)
    if options.epochs < 1:
        parser.error(f"--epochs must be at least 1, got {options.epochs}")

    molecules = gk.datasets.load("mutag")
    labels = np.array([molecule.globals["y"][0] for molecule in molecules])
    fold = stratified_folds(labels, 10, np.random.default_rng(options.seed))
    runs = [train_fold(molecules, labels, fold, held_out, options) for held_out in range(options.folds)]

    accuracy = 100 * np.array([history["test_accuracy"] for _, history in runs])  # [folds, epochs]
    chosen = np.array([history.best_epoch for _, history in runs])
    results = {
        "last epoch": accuracy[:, -1],
        "epoch chosen on a validation fold": accuracy[np.arange(len(runs)), chosen],
        "one epoch for all folds, chosen on the test folds": accuracy[:, accuracy.mean(axis=0).argmax()],
    }
    print(f"MUTAG, GIN, {len(runs)} of 10 stratified folds, {options.epochs} epochs, seed {options.seed}")
    print("test accuracy in %, mean +- standard deviation over the folds:")
    for protocol, values in results.items():
        print(f"  {protocol:51s} {values.mean():5.1f} +- {values.std():4.1f}")
    print(f"  {'always answering mutagenic':51s} {100 * labels.mean():5.1f}")

    unseen = np.flatnonzero(fold == 0)[:8]
    draw(runs[0][0], [molecules[i] for i in unseen], labels[unseen], options.plot)
    print(f"Eight molecules of the first test fold are drawn in {options.plot}.")
    return {protocol: (float(values.mean()), float(values.std())) for protocol, values in results.items()}


if __name__ == "__main__":
    main()
