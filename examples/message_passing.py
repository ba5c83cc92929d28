"""Message passing by hand: two steps on four nodes as a table, how far information gets, and two ways to get further.

    python examples/message_passing.py              a few seconds; saves message_passing.png
    python examples/message_passing.py --length 9   reach on a longer path

First the textbook sum: states A, B, C, D on the path A-B-C-D and v' = f(v) + the f(v) of all neighbours, with
f(v) = [[3, 5], [4, 1]] v. Then reach: node 0 reads node K of a path after exactly K layers, but after 2 once a dummy
node is joined to all, or once a global state u collects and tells. Reach is not assumed but measured: the derivative
of the output of a node by the input of another is nonzero. The picture shows both as graphs and as unrolled
computations. Needs gnnkit[plot].
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import gnnkit as gk

F = np.array([[3.0, 5.0], [4.0, 1.0]])
STATES = np.array([[1.0, 2.0], [-1.0, 2.0], [2.0, 2.0], [-3.0, 2.0]])

Layer = Callable[[gk.Graph], gk.Graph]


def alone(graph: gk.Graph) -> gk.Graph:
    """v' = f(v): no messages, every node on its own."""
    return graph.replace(x=graph.x @ F.T)


def with_messages(graph: gk.Graph) -> gk.Graph:
    """v' = f(v) + sum of f(v_j) over the neighbours j."""
    own = graph.x @ F.T
    return graph.replace(x=own + gk.message.neighbour_sum(graph.topology, own))


def with_global(graph: gk.Graph) -> gk.Graph:
    """The same, then u' = sum of all v', which every node reads in the next step."""
    return gk.message.graph_network(
        graph,
        update_edge=lambda sender_x: sender_x @ F.T,
        update_node=lambda x, received, u: x @ F.T + received + u,
        update_global=lambda nodes: nodes,
    )


def layers_needed(graph: gk.Graph, layer: Layer, source: int, target: int) -> int:
    """After how many layers the output of ``target`` first changes with the input of ``source``."""
    for count in range(1, graph.num_nodes + 1):

        def output(x: Any, count: int = count) -> Any:
            state = graph.replace(x=x)
            for _ in range(count):
                state = layer(state)
            return state.x[target].sum()

        if np.any(gk.grad(output)(graph.x)[source]):
            return count
    raise ValueError(f"No information gets from node {source} to node {target}.")


def print_states(title: str, graph: gk.Graph, layer: Layer, steps: int = 2) -> list[np.ndarray]:
    """Print the states of all nodes after 0 .. ``steps`` layers, a row per layer."""
    rows = [graph.x]
    for _ in range(steps):
        graph = layer(graph)
        rows.append(gk.autodiff.as_array(graph.x))
    print(f"{title}\n  layer " + "".join(f"{name:>12s}" for name in "ABCD"))
    for step, row in enumerate(rows):
        print(f"  {step:5d} " + "".join(f"{f'({a:g}, {b:g})':>12s}" for a, b in row))
    return rows


def draw(path: gk.Graph, dummy: gk.Graph, out: Path) -> None:
    from matplotlib.figure import Figure

    n = path.num_nodes
    places = np.array([[i, 0.15 * (-1) ** i] for i in range(n)], dtype=float)
    above = np.vstack([places, [[(n - 1) / 2, n / 3]]])
    names = [*map(str, range(n)), "D"]
    figure = Figure(figsize=(13, 8), layout="constrained", dpi=110)
    axes = figure.subplots(2, 2)
    for row, graph, layout, what in ((0, path, places, ""), (1, dummy, above, ", dummy node D joined to all")):
        options: dict[str, Any] = {"layers": 2, "labels": names[: graph.num_nodes]}
        own = gk.transforms.add_self_loops(graph)  # a node reads its own state as well
        gk.plot.draw_receptive_field(
            graph, 0, layout=layout, title=f"What 2 layers see at node 0{what}", ax=axes[row, 0], **options
        )
        gk.plot.draw_computation(own, 0, title=f"The computation, unrolled{what}", ax=axes[row, 1], **options)
    figure.savefig(out)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--length", type=int, default=7, help="nodes of the path on which reach is measured")
    parser.add_argument("--out", default=".", help="folder for the picture")
    options = parser.parse_args(arguments)
    if options.length < 3:
        parser.error("--length must be at least 3")

    abcd = gk.path(4).replace(x=STATES)
    tables = {
        "alone": print_states("No messages, v' = f(v):", abcd, alone),
        "messages": print_states("With messages, v' = f(v) + sum of the neighbours' f(v):", abcd, with_messages),
    }
    path = gk.path(options.length).replace(x=np.random.default_rng(0).normal(size=(options.length, 2)))
    dummy, last = gk.transforms.add_virtual_node(path), options.length - 1
    needed = {
        "the path alone": layers_needed(path, with_messages, last, 0),
        "with a dummy node joined to all": layers_needed(dummy, with_messages, last, 0),
        "with a global state u": layers_needed(path.replace(u=np.zeros((1, 2))), with_global, last, 0),
    }
    print(f"Layers until node 0 depends on node {last} of a path of {options.length} (measured by derivatives):")
    for name, count in needed.items():
        print(f"  {name:32s} {count}")
    Path(options.out).mkdir(parents=True, exist_ok=True)
    picture = Path(options.out) / "message_passing.png"
    draw(path, dummy, picture)
    print(f"Receptive fields and unrolled computations are drawn in {picture}.")
    return {**tables, **needed}


if __name__ == "__main__":
    main()
