"""What a GCN learns about papers: a map of its hidden layer beside a map of the words the papers came with (Cora).

    python examples/embedding.py                  under a minute; saves embedding.png
    python examples/embedding.py --points 600     maps of fewer papers, quicker

Cora is 2708 papers with 0/1 marks of 1433 words, citations between them, and 7 topics; 140 papers have a known label.
t-SNE puts papers next to each other whose numbers are alike. From words alone the topics overlap; in the 16 numbers
per paper that the GCN computes before its last layer they come apart, also for papers it never saw a label of. A
number says the same: how many of a test paper's 10 nearest papers share its topic. Needs gnnkit[plot,sklearn].
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gnnkit as gk


def purity(z: np.ndarray, y: np.ndarray, nodes: np.ndarray, *, k: int = 10) -> float:
    """Share of the k nearest rows (by angle) of the given nodes that have the node's own label."""
    unit = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    likeness = unit[nodes] @ unit.T
    likeness[np.arange(len(nodes)), nodes] = -np.inf  # a paper is not its own neighbour
    nearest = np.argpartition(-likeness, k, axis=1)[:, :k]
    return float(np.mean(y[nearest] == y[nodes][:, None]))


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--points", type=int, default=1200, help="papers on each map")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=".", help="folder for the picture")
    options = parser.parse_args(arguments)
    if options.epochs < 1 or options.points < 10:
        parser.error("--epochs must be at least 1 and --points at least 10")

    cora = gk.datasets.load("cora")
    y = cora.nodes["y"]
    train, val, test = (np.flatnonzero(cora.nodes[f"{part}_mask"]) for part in ("train", "val", "test"))
    model = gk.NodeClassifier(
        cora, model="gcn", hidden=16, dropout=0.5, normalize="l1", epochs=options.epochs, random_state=options.seed
    )
    model.fit(train, y[train], validation=(val, y[val]))

    words, learnt = cora.x.toarray(), model.embed()
    results = {
        "test accuracy": model.score(test, y[test]),
        "same topic among 10 nearest, words": purity(words, y, test),
        "same topic among 10 nearest, hidden layer": purity(learnt, y, test),
    }
    print(f"Cora, GCN, {len(train)} labelled papers of {len(y)}, best epoch {model.history_.best_epoch + 1}")
    for name, value in results.items():
        print(f"  {name:42s} {value:6.1%}")

    Path(options.out).mkdir(parents=True, exist_ok=True)
    path = Path(options.out) / "embedding.png"
    draw({f"{words.shape[1]} words": words, f"{learnt.shape[1]} hidden units of the GCN": learnt}, y, options, path)
    print(f"Two maps of {min(options.points, len(y))} papers are drawn in {path}.")
    return results


def draw(spaces: dict[str, np.ndarray], y: np.ndarray, options: argparse.Namespace, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 6.4), layout="constrained", dpi=110)
    names = [name.replace("_", " ") for name in gk.datasets.card("cora").class_names]
    for ax, (name, z) in zip(figure.subplots(1, 2), spaces.items()):
        last = "hidden" in name  # one legend serves both
        gk.plot.embedding_map(
            z, y, class_names=names, max_points=options.points, rng=options.seed, title=name, legend=last, ax=ax
        )
    figure.suptitle("Papers of Cora, coloured by topic: what the GCN was given, and what it made of it")
    figure.savefig(path)


if __name__ == "__main__":
    main()
