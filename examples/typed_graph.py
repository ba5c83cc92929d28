"""Two kinds of nodes, women and events: who belongs together follows from who went where.

    python examples/typed_graph.py              a few seconds; saves typed_graph.png
    python examples/typed_graph.py --out /tmp   saves it there

In the 1930s Davis, Gardner and Gardner wrote down which of 18 women of a town in the American South had been seen at
which of 14 social events. Twenty-one studies looked for groups among them; their consensus (Freeman, Finding social
groups: a meta-analysis of the southern women data, 2003) is two, the first nine women and the last nine. Here one woman
of each group is labelled. The networkx graph becomes a typed graph: woman and event are node types, each with features
of its own width, "attended" and its reverse are relations, each with weights of its own, and the network learns to tell
the women apart, through the events that they share. Needs gnnkit[plot].
"""

from __future__ import annotations

import argparse
from pathlib import Path

import networkx as nx
import numpy as np

import gnnkit as gk

ATTENDED, HOSTED = ("woman", "attended", "event"), ("event", "attended", "woman")


def read_graph() -> gk.TypedGraph:
    G = nx.davis_southern_women_graph()  # undirected, "bipartite" is 0 for a woman and 1 for an event
    g = gk.from_networkx_typed(
        G,
        node_type=lambda name, data: "event" if data["bipartite"] else "woman",
        edge_type=lambda u, v, data: "attended",  # u - v becomes woman -> event and event -> woman
    )
    # No features are given: every woman and every event is its own, which makes two widths.
    return g.replace(x={kind: np.eye(count, dtype="float32") for kind, count in g.num_nodes.items()})


def build_model(g: gk.TypedGraph, hidden: int, seed: int) -> gk.nn.Module:
    # own=False: a woman is known by her events and an event by who came, so that no name is learnt by heart.
    rng = np.random.default_rng(seed)

    return gk.nn.Sequential(
        gk.nn.TypedLinear(dict(g.num_nodes), hidden, rng=rng),
        gk.nn.TypedMap(gk.nn.Tanh()),
        gk.nn.TypedConv({key: gk.nn.RelationSAGE(hidden, hidden, own=False, rng=rng) for key in (ATTENDED, HOSTED)}),
        gk.nn.TypedMap(gk.nn.Tanh()),
        gk.nn.TypedConv({HOSTED: gk.nn.RelationSAGE(hidden, 2, own=False, rng=rng)}),
    )


def train(model: gk.nn.Module, g: gk.TypedGraph, labels: np.ndarray, known: np.ndarray, epochs: int) -> np.ndarray:
    """Fit the labels of the known women; return every woman's probability of the second group."""
    optimiser = gk.nn.Adam(model, lr=0.01, weight_decay=5e-3)
    for _ in range(epochs):
        optimiser.zero_grad()
        loss = gk.nn.cross_entropy(model(g)["woman"].x, labels, mask=known)
        loss.backward()
        optimiser.step()
    with gk.no_grad():
        return gk.softmax(model.eval()(g)["woman"].x).numpy()[:, 1]


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=10, help="initial weights to average over")
    parser.add_argument("--hidden", type=int, default=16)
    parser.add_argument("--out", default=".", help="folder for the picture")
    options = parser.parse_args(arguments)
    if min(options.epochs, options.seeds, options.hidden) < 1:
        parser.error("--epochs, --seeds and --hidden must be at least 1")

    g = read_graph()
    print(f"{g.schema}\n")
    women, events = g["woman"].names, g["event"].names
    group = (np.arange(len(women)) >= 9).astype(int)  # the consensus
    known = np.isin(women, ["Evelyn Jefferson", "Nora Fayette"])
    runs = [
        train(build_model(g, options.hidden, seed), g, group, known, options.epochs) for seed in range(options.seeds)
    ]
    right = [np.mean((run > 0.5)[~known] == group[~known]) for run in runs]
    second = np.mean(runs, axis=0)
    answer = (second > 0.5).astype(int)
    wrong = [name for name, said, true in zip(women, answer, group) if said != true]
    print(
        f"Known: Evelyn Jefferson is of the first group, Nora Fayette of the second. The other {(~known).sum()} women:"
    )
    print(f"  accuracy {np.mean(right):.1%} +- {np.std(right):.1%} over {len(right)} initial weights")
    print(f"  all together they are wrong about {', '.join(wrong) or 'nobody'}")
    # A message program on one relation: an event stands where, on average, the women who attended it stand.
    middle = gk.message_passing(g[ATTENDED].topology, lambda src: gk.agg.mean(src.second), src={"second": second})
    order = np.argsort(middle.numpy(), kind="stable")
    print(f"Events from the first group to the second: {' '.join(events[k] for k in order)}")

    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    labels = [*(name.split()[0] for name in women), *events]
    one = g.to_homogeneous(fields=[])  # one plain graph: the women first, then the events
    title = "Southern women and events: probability of the second group"
    highlight, color = np.append(known, [False] * len(events)), np.concatenate([second, middle.numpy()])
    gk.plot.draw_graph(one, folder / "typed_graph.png", color=color, labels=labels, highlight=highlight, title=title)
    print(f"Drawn in {folder / 'typed_graph.png'}.")
    return {"accuracy": float(np.mean(right)), "together": 1 - len(wrong) / len(women)}


if __name__ == "__main__":
    main()
