"""Two labelled people decide how a karate club splits: a GCN beside label propagation, on a networkx graph.

    python examples/karate.py              a few seconds; saves karate.png
    python examples/karate.py --out /tmp   saves it there

In 1977 Zachary wrote down who met whom in a club of 34 people, which then split between its instructor ("Mr. Hi") and
its president ("Officer"). Only these two are labelled here; who joined whom has to follow from the meetings. One sees
how a networkx graph with names and texts becomes a gnnkit graph, two classifiers with the interface of scikit-learn
(node ids in, labels out), and that two labels go a long way if labels agree along the edges. Needs gnnkit[plot].
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

import gnnkit as gk


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=10, help="initial weights to try")
    parser.add_argument("--out", default=".", help="folder for the picture")
    options = parser.parse_args(arguments)
    if min(options.epochs, options.seeds) < 1:
        parser.error("--epochs and --seeds must be at least 1")

    club = gk.from_networkx(nx.karate_club_graph())  # node attribute "club" (text), edge attribute "weight"
    side = club.nodes["club"]
    graph = club.replace(x=np.eye(club.num_nodes, dtype="float32"))  # no features: every person is its own
    leaders = [0, 33]
    others = np.setdiff1d(np.arange(graph.num_nodes), leaders)

    spread = gk.learn.LabelPropagation(graph).fit(leaders, side[leaders])
    networks = [
        gk.NodeClassifier(graph, model="gcn", hidden=16, epochs=options.epochs, random_state=seed)
        for seed in range(options.seeds)
    ]
    for network in networks:
        network.fit(leaders, side[leaders])

    scores = [network.score(others, side[others]) for network in networks]
    answers = {"label propagation": spread.predict(), "GCN, seed 0": networks[0].predict()}
    print(f"Known: person 0 is {side[0]}, person 33 is {side[33]}. Accuracy on the other {len(others)}:")
    for name, answer in answers.items():
        wrong = np.flatnonzero(answer != side).tolist()
        print(f"  {name:18s} {np.mean(answer[others] == side[others]):6.1%}   wrong about {wrong or 'nobody'}")
    print(f"  GCN, mean of seeds {np.mean(scores):6.1%}   +- {np.std(scores):.1%} over {len(scores)} initial weights")

    Path(options.out).mkdir(parents=True, exist_ok=True)
    path = Path(options.out) / "karate.png"
    draw(graph, side, spread, networks[0], np.isin(np.arange(graph.num_nodes), leaders), path)
    print(f"Drawn in {path}.")
    return {"label propagation": spread.score(others, side[others]), "gcn": float(np.mean(scores))}


def draw(graph: gk.Graph, side: np.ndarray, spread: Any, network: Any, known: np.ndarray, path: Path) -> None:
    from matplotlib.figure import Figure

    def panel(ax: Any, name: str, answer: np.ndarray, color: np.ndarray) -> None:
        wrong = answer != side
        title = f"{name}: {wrong.sum()} of {(~known).sum()} wrong" if answer is not side else name
        labels = [f"{i} !" if bad else str(i) for i, bad in enumerate(wrong)]
        gk.plot.draw_graph(graph, color=color, highlight=known, labels=labels, title=title, ax=ax)

    figure = Figure(figsize=(13, 8), layout="constrained", dpi=110)
    axes = figure.subplots(2, 2)
    panel(axes[0, 0], "The true split", side, side)
    panel(axes[0, 1], "Label propagation", spread.predict(), spread.predict())
    panel(axes[1, 0], "GCN", network.predict(), network.predict())
    panel(axes[1, 1], f"GCN, probability of {network.classes_[1]!s}", network.predict(), network.predict_proba()[:, 1])
    figure.suptitle("Zachary's karate club. Two labels are known (dark outline); ! marks a wrong prediction.")
    figure.savefig(path)


if __name__ == "__main__":
    main()
