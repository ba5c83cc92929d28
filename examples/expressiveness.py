"""What can a network tell apart? Models against classic pairs of graphs that look alike, and why: stable colours.

    python examples/expressiveness.py            some seconds; saves expressiveness.png
    python examples/expressiveness.py --draws 2  fewer random parameters per model

A model tells two graphs apart if the multisets of its outputs differ by more than rounding, for some of several random
parameters. A maximum and a mean see sets and proportions of what is around a node; a sum, as in GIN, and PNA's scaling
by degree see how many. None sees more than colour refinement (1-WL), whose stable colours are drawn. Features that
count what it cannot see help: the returns of random walks, or cliques. Numbers of the nodes as a feature help nobody:
the answer then depends on how the nodes were numbered, which is found out. Needs gnnkit[plot].
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import gnnkit as gk

PAIRS = {
    "coloured cubes": gk.symmetry.pairs.coloured_cubes,
    "hexagon, prism": gk.symmetry.pairs.hexagon_and_prism,
    "triangles, hexagon": gk.symmetry.pairs.two_triangles_and_hexagon,
    "decalin, bicyclopentyl": gk.symmetry.pairs.decalin_and_bicyclopentyl,
    "Shrikhande, rook": gk.symmetry.pairs.shrikhande_and_rook,
}
LAYERS: dict[str, Callable[[int, int], gk.nn.Module]] = {
    "SAGE max": lambda a, b: gk.nn.SAGEConv(a, b, reducer="max"),
    "SAGE mean": gk.nn.SAGEConv,
    "GAT": gk.nn.GATConv,
    "GCN": gk.nn.GCNConv,
    "PNA": lambda a, b: gk.nn.PNAConv(a, b, delta=1.0),
    "GIN (sum)": lambda a, b: gk.nn.GINConv(gk.nn.MLP([a, b, b])),
}


def network(layer: Callable[[int, int], gk.nn.Module], channels: int) -> gk.nn.Sequential:
    """Three layers with a smooth activation."""
    return gk.nn.Sequential(*(part for a in (channels, 8, 8) for part in (layer(a, 8), gk.nn.Tanh())))


def with_features(count: Callable[[gk.Graph], np.ndarray], model: gk.nn.Module) -> gk.nn.Sequential:
    """The model on graphs with more features beside those of the nodes."""
    return gk.nn.Sequential(gk.nn.Lambda(lambda g: g.replace(x=np.hstack([g.x, count(g).astype(g.x.dtype)]))), model)


def returns(graph: gk.Graph) -> np.ndarray:
    """Probabilities that a random walk is back after 1 to 6 steps."""
    return gk.transforms.random_walk_encoding(graph, 6).nodes["random_walk"]


def cliques(graph: gk.Graph) -> np.ndarray:
    """How many triangles, and how many cliques of four, a node is in."""
    a = gk.to_scipy(graph).toarray()
    fours = np.einsum("ij,ik,il,jk,jl,kl->i", a, a, a, a, a, a, optimize=True) / 6
    return np.stack([np.diag(a @ a @ a) / 2, fours], axis=1)


def numbers(graph: gk.Graph) -> np.ndarray:
    """The number of every node: no property of the graph."""
    return np.arange(graph.num_nodes)[:, None] / graph.num_nodes


def verdicts(first: gk.Graph, second: gk.Graph, draws: int) -> dict[str, gk.symmetry.Distinction]:
    """What every model says about a pair."""
    channels = first.x.shape[1]
    models = {name: network(layer, channels) for name, layer in LAYERS.items()}
    for name, count, width in (("returns", returns, 6), ("cliques", cliques, 2), ("node numbers", numbers, 1)):
        models[f"GIN + {name}"] = with_features(count, network(LAYERS["GIN (sum)"], channels + width))
    return {name: gk.symmetry.distinguishes(m, first, second, draws=draws) for name, m in models.items()}


def places(graph: gk.Graph) -> Any:
    """Cube and prism as one ring inside another, the graphs of 16 nodes on a ring, others as they lie best."""
    rings = {(8, 3): [0, 1, 3, 2], (6, 3): [0, 1, 2]}.get((graph.num_nodes, int(graph.topology.in_degree().max())))
    if rings is None:
        return "circular" if graph.num_nodes == 16 else "auto"
    angle = 2 * np.pi * (np.argsort(rings) + 0.5) / len(rings)
    ring = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return np.concatenate([ring, 2.2 * ring])


def draw(out: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 6.4), layout="constrained", dpi=110)
    for column, (name, pair) in zip(figure.subplots(2, len(PAIRS)).T, PAIRS.items()):
        graphs = pair()
        colours = gk.symmetry.colour_refinement(graphs)
        names = [*map(str, range(colours.num_colours))]  # of both graphs: a colour means the same in either
        for axis, graph, colour in zip(column, graphs, colours.per_graph()):
            how: dict[str, Any] = {"layout": places(graph), "labels": False, "legend": False}
            gk.plot.draw_graph(graph, color=colour, class_names=names, ax=axis, **how)
        level = gk.symmetry.wl_level(*graphs)
        column[0].set_title(f"{name}\ntold apart by {level}-WL" + (" (folklore)" if level != 1 else ""), fontsize=11)
    figure.suptitle("Stable colours of 1-WL: with the same colours above and below, message passing is blind")
    figure.savefig(out)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=5, help="random parameters that every model gets a try with")
    parser.add_argument("--out", default=".", help="folder for the picture")
    options = parser.parse_args(arguments)
    if options.draws < 1:
        parser.error("--draws must be at least 1")
    table: dict[str, dict[str, str]] = {}
    for name, pair in PAIRS.items():
        found = verdicts(*pair(), options.draws)
        table[name] = {m: ("yes" if d else "no") if d.invariant else "invalid" for m, d in found.items()}
    width = max(map(len, PAIRS))
    print("told apart by".ljust(20) + "".join(name.rjust(width + 2) for name in PAIRS))
    for model in next(iter(table.values())):
        print(model.ljust(20) + "".join(table[name][model].rjust(width + 2) for name in PAIRS))
    levels = [str(gk.symmetry.wl_level(*pair())).rjust(width + 2) for pair in PAIRS.values()]
    print("smallest k of k-WL".ljust(20) + "".join(levels))
    print("(k-WL in its folklore form; invalid: the output changes when the nodes are numbered differently)")
    Path(options.out).mkdir(parents=True, exist_ok=True)
    picture = Path(options.out) / "expressiveness.png"
    draw(picture)
    print(f"The pairs in their stable colours are drawn in {picture}.")
    return table


if __name__ == "__main__":
    main()
