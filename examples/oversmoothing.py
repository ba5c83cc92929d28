"""Depth and distance: features that become alike over 64 layers, and nodes that are hardly felt from afar.

    python examples/oversmoothing.py               some seconds; saves oversmoothing.png
    python examples/oversmoothing.py --layers 16   fewer layers

Over-smoothing: the relative Dirichlet energy says how much neighbours differ, whatever the size of their features.
Over 64 layers of GCN with weights as they are drawn it falls by orders of magnitude; with skip connections it stays
higher, and GCN2, which returns to its first features in every layer, keeps it. Over-squashing: the derivative of a
node's output by the input of another says how strongly it is felt. On a long path the next few nodes are felt at least
as strongly as the node itself; beyond them the influence falls, faster and faster, by orders of magnitude. Across the
bridge of a barbell it falls from the start. A virtual node, joined to all, is a way of two steps between any two.
Needs gnnkit[plot].
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import gnnkit as gk


def stack(kind: str, channels: int, hidden: int, depth: int, rng: np.random.Generator) -> gk.nn.Sequential:
    """A linear map and ``depth`` layers, each one item of the stack, with weights as they are drawn."""
    layers: list[gk.nn.Module] = [gk.nn.Linear(channels, hidden)]
    if kind == "GCN2":
        layers[0] = gk.nn.Sequential(layers[0], gk.nn.ReLU(), gk.nn.KeepFeatures("x_0"))
    for number in range(1, depth + 1):
        conv = gk.nn.GCN2Conv(hidden, layer=number) if kind == "GCN2" else gk.nn.GCNConv(hidden, hidden)
        layer = gk.nn.Sequential(conv, gk.nn.ReLU())
        layers.append(gk.nn.Residual(layer) if kind == "residual GCN" else layer)
    return gk.nn.Sequential(*layers).reset_parameters(rng)


def barbell(clique: int, bridge: int) -> gk.Graph:
    """Two cliques with a path of ``bridge`` edges between them; nodes 0 and n - 1 are far ends."""
    first, second = np.triu_indices(clique, k=1)
    far = clique + bridge - 1  # first node of the other clique
    way = np.arange(clique - 1, far)
    senders, receivers = np.concatenate([first, way, first + far]), np.concatenate([second, way + 1, second + far])
    return gk.from_edges(senders, receivers, num_nodes=far + clique, undirected=True)


def felt(graph: gk.Graph, layers: int, *, virtual: bool, seed: int) -> gk.symmetry.Influence:
    """How every node is felt at node 0, over distances in ``graph``, with a virtual node or without."""
    distance = gk.kernels.khop(graph.topology.indptr, graph.topology.indices, np.array([0]), graph.num_nodes)
    rng = np.random.default_rng(seed)
    graph = graph.replace(x=rng.normal(size=(graph.num_nodes, 8)))
    if virtual:
        graph, distance = gk.transforms.add_virtual_node(graph), np.append(distance, -1)
    model = gk.nn.Sequential(*(gk.nn.SAGEConv(8, 8) if i % 2 else gk.nn.Tanh() for i in range(1, 2 * layers)))
    return gk.symmetry.influence(model.reset_parameters(rng), graph, 0, distance=distance)


def draw(energies: dict[str, Any], influences: dict[str, Any], graph: gk.Graph, out: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7.4), layout="constrained", dpi=110)
    axes = figure.subplots(2, 2, height_ratios=(1.6, 1))
    gk.plot.energies(energies, ax=axes[0, 0], title="Over-smoothing: relative energy of neighbours")
    gk.plot.influence(influences, ax=axes[0, 1], title="Over-squashing: what is felt at node 0")
    names, marked = ("barbell", "barbell, virtual node"), np.arange(graph.num_nodes) == 0
    strengths = [np.log10(np.maximum(influences[name].values[: graph.num_nodes], 1e-12)) for name in names]
    for axis, name, strength in zip(axes[1], names, strengths):
        gk.plot.draw_graph(graph, color=strength, ax=axis, highlight=marked, title=f"{name}: log10 of influence on 0")
        for points in axis.collections:
            points.set_clim(np.min(strengths), np.max(strengths))  # one scale for both, to compare them
    figure.savefig(out)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=64, help="layers of the stacks whose energy is measured")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=".", help="folder for the picture")
    options = parser.parse_args(arguments)
    if options.layers < 2:
        parser.error("--layers must be at least 2")

    rng = np.random.default_rng(options.seed)
    club = gk.datasets.load("karate")
    club = club.replace(x=rng.normal(size=(club.num_nodes, 16)))
    energies = {
        kind: gk.symmetry.energies(stack(kind, 16, 32, options.layers, rng), club, relative=True)
        for kind in ("GCN", "residual GCN", "GCN2")
    }
    print(f"Relative Dirichlet energy on the karate club: input, and after {options.layers} layers")
    for kind, curve in energies.items():
        print(f"  {kind:14s} {curve.values[0]:.2e} -> {curve.values[-1]:.2e}   times {curve.rate:.3f} per layer")

    graphs = {"path": gk.path(13), "barbell": barbell(5, 5)}
    influences, ratios = {}, {}
    print("Influence of the farthest node on node 0, relative to its own:")
    for name, graph in graphs.items():
        for virtual in (False, True):
            label = f"{name}, virtual node" if virtual else name
            influences[label] = felt(graph, 12, virtual=virtual, seed=options.seed)
            by_distance = influences[label].mean_by_distance
            ratios[label] = float(by_distance[-1] / by_distance[0])
            print(f"  {label:22s} {ratios[label]:.1e} at distance {len(by_distance) - 1}")
    Path(options.out).mkdir(parents=True, exist_ok=True)
    picture = Path(options.out) / "oversmoothing.png"
    draw(energies, influences, graphs["barbell"], picture)
    print(f"Energies over layers and influence over distance are drawn in {picture}.")
    return {**{kind: curve.values for kind, curve in energies.items()}, **ratios}


if __name__ == "__main__":
    main()
