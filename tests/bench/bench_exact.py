"""What exact sums keep and what they cost: random relabellings of Cora and of 100 molecules, and times of both modes.

    python tests/bench/bench_exact.py                     1,000 relabellings of each, then the times
    python tests/bench/bench_exact.py --relabellings 20 --models gcn gin

Every model is first trained for 20 epochs in the exact mode (weights that are learnt, not drawn). A relabelling
permutes the nodes of Cora, or the nodes of each molecule and the molecules of the batch, and gives all edges in
another order. Outputs and the gradients of the loss by all parameters and by the features of the nodes are compared
bit by bit, in the exact mode and, for the first 20 relabellings, in the usual one. Times: both modes in turns in one
process, median; forward without a tape; all gradients: forward, loss and backward by all parameters.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import interleaved_ms, machine, table

import gnnkit as gk

USUAL = 20  # relabellings that are tried in the usual mode too


@dataclass
class Task:
    """A graph, what its model is, and the loss; relabelling moves the targets along."""

    graph: gk.Graph
    model: gk.nn.Module
    loss: Callable[[gk.Graph, Any], Any]
    per_graph: bool  # whether the output is one row per graph of the batch

    def output(self, graph: gk.Graph) -> Any:
        out = self.model(graph)
        return out.u if self.per_graph else out.x


def gin(*channels: int) -> gk.nn.GINConv:
    return gk.nn.GINConv(gk.nn.MLP(list(channels)))


def cora_task(name: str) -> Task:
    graph = gk.transforms.normalize_features(gk.datasets.load("cora"))
    graph = graph.without(*(key for key in graph.nodes if key not in ("x", "y", "train_mask")))
    layers = {
        "gcn": lambda: (gk.nn.GCNConv(1433, 16), gk.nn.ReLU(), gk.nn.GCNConv(16, 7)),
        "sage": lambda: (gk.nn.SAGEConv(1433, 16), gk.nn.ReLU(), gk.nn.SAGEConv(16, 7)),
        "gat": lambda: (gk.nn.GATConv(1433, 8, heads=8), gk.nn.ELU(), gk.nn.GATConv(64, 7, concat=False)),
        "gin": lambda: (gk.nn.Linear(1433, 32), gin(32, 32, 32), gin(32, 32, 7)),
    }

    def loss(g: gk.Graph, out: Any) -> Any:
        return gk.nn.cross_entropy(out, g.nodes["y"], mask=g.nodes["train_mask"])

    return Task(graph, gk.nn.Sequential(*layers[name]()), loss, per_graph=False)


def molecules_task(name: str) -> Task:
    graph = gk.batch(gk.datasets.load("mutag")[:100])
    norm = gk.nn.BatchNorm(64)
    body = {
        "gin": lambda: (gk.nn.GINEConv(gk.nn.MLP([7, 64, 64]), in_channels=7, edge_channels=4), norm, gk.nn.ReLU()),
        "gat": lambda: (gk.nn.GATConv(7, 8, heads=8, edge_channels=4), norm, gk.nn.ELU()),
        "sage": lambda: (gk.nn.Lambda(lambda g: g.without("e")), gk.nn.SAGEConv(7, 64, reducer="max"), norm),
        "gcn": lambda: (gk.nn.Lambda(lambda g: g.without("e")), gk.nn.GCNConv(7, 64), norm, gk.nn.ReLU()),
    }[name]()
    drop = gk.nn.Lambda(lambda g: g.without("e") if "e" in g.edges else g)
    tail = (drop, gin(64, 64, 64), gk.nn.GlobalPool("mean", head=gk.nn.Linear(64, 2)))

    def loss(g: gk.Graph, out: Any) -> Any:
        return gk.nn.cross_entropy(out, g.globals["y"])

    return Task(graph, gk.nn.Sequential(*body, *tail), loss, per_graph=True)


def relabelled(graph: gk.Graph, rng: np.random.Generator) -> tuple[gk.Graph, np.ndarray, np.ndarray]:
    """The graph with other numbers for its nodes and graphs, and the new number of each old node and graph."""
    graphs = rng.permutation(graph.num_graphs)  # the graph that comes at each place
    nodes = [graph.node_ptr[g] + rng.permutation(int(graph.node_ptr[g + 1] - graph.node_ptr[g])) for g in graphs]
    came_from = np.concatenate(nodes)
    order = np.argsort(came_from)
    senders, receivers, fields = graph.to_edges()
    shuffle = rng.permutation(graph.num_edges)
    moved = gk.from_edges(
        order[senders][shuffle], order[receivers][shuffle], num_nodes=graph.num_nodes,
        nodes={key: taken(value, came_from) for key, value in graph.nodes.items()},
        edges={key: value[shuffle] for key, value in fields.items()},
    )  # fmt: skip
    if graph.num_graphs > 1:
        sizes = np.diff(graph.node_ptr)[graphs]
        pieces = np.concatenate([[0], np.cumsum(sizes)])
        moved = rebatched(moved, pieces, {key: value[graphs] for key, value in graph.globals.items()})
    return moved, order, np.argsort(graphs)


def rebatched(graph: gk.Graph, node_ptr: np.ndarray, globals_: dict[str, np.ndarray]) -> gk.Graph:
    """One graph as a batch whose graphs own consecutive nodes."""
    fields = {"nodes": dict(graph.nodes), "edges": dict(graph.edges), "globals": globals_}
    return gk.Graph(graph.topology, **fields, node_ptr=node_ptr, edge_ptr=graph.topology.indptr[node_ptr])


def taken(value: Any, rows: np.ndarray) -> Any:
    return value.take_rows(rows) if isinstance(value, gk.SparseMatrix) else value[rows]


def passed(task: Task, graph: gk.Graph) -> tuple[np.ndarray, np.ndarray | None, dict[str, np.ndarray]]:
    """Output, gradient of the features (dense ones), gradients of the parameters."""
    x = graph.x
    if not isinstance(x, gk.SparseMatrix):
        x = gk.tensor(x, requires_grad=True)
        graph = graph.replace(x=x)
    task.model.zero_grad()
    out = task.output(graph)
    task.loss(graph, out).backward()
    gradients = {name: p.grad.numpy() for name, p in task.model.named_parameters() if p.grad is not None}
    return out.numpy(), None if isinstance(x, gk.SparseMatrix) else x.grad.numpy(), gradients


def differing(left: np.ndarray, right: np.ndarray) -> int:
    """Numbers whose bits differ."""
    kind = f"u{left.itemsize}"
    return int((np.ascontiguousarray(left).view(kind) != np.ascontiguousarray(right).view(kind)).sum())


def count_differences(task: Task, relabellings: int, seed: int) -> tuple[int, int]:
    """Differing numbers over all relabellings, and how many were compared."""
    rng = np.random.default_rng(seed)
    out, x_gradient, gradients = passed(task, task.graph)
    wrong = compared = 0
    for _ in range(relabellings):
        moved, order, graph_order = relabelled(task.graph, rng)
        moved_out, moved_x, moved_gradients = passed(task, moved)
        pairs = [(moved_out[graph_order if task.per_graph else order], out)]
        pairs += [(moved_gradients[name], value) for name, value in gradients.items()]
        if x_gradient is not None and moved_x is not None:
            pairs.append((moved_x[order], x_gradient))
        wrong += sum(differing(a, b) for a, b in pairs)
        compared += sum(b.size for _, b in pairs)
    return wrong, compared


def train(task: Task, epochs: int) -> None:
    task.model.reset_parameters(0)
    optimizer = gk.nn.Adam(task.model, lr=0.01)
    for _ in range(epochs):
        optimizer.zero_grad()
        task.loss(task.graph, task.output(task.graph)).backward()
        optimizer.step()
    task.model.eval()


def times(task: Task, repeats: int) -> dict[str, float]:
    """Median milliseconds of both modes, in turns."""

    def forward() -> None:
        with gk.no_grad():
            task.output(task.graph)

    def everything() -> None:
        task.model.zero_grad()
        task.loss(task.graph, task.output(task.graph)).backward()

    def exactly(function: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            with gk.exact_sums():
                function()

        return run

    sides = {"forward": forward, "all": everything}
    both = {**sides, **{f"{name}, exact": exactly(side) for name, side in sides.items()}}
    return interleaved_ms(both, repeats=repeats, warmup=3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--relabellings", type=int, default=1000)
    parser.add_argument("--models", nargs="+", default=["gcn", "sage", "gat", "gin"])
    parser.add_argument("--repeats", type=int, default=31)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    args = parser.parse_args()
    print(machine(), flush=True)
    rows, numbers = [], {}
    for data, make in (("Cora", cora_task), ("100 molecules", molecules_task)):
        for name in args.models:
            task = make(name)
            with gk.exact_sums():
                train(task, 20)
                exact, compared = count_differences(task, args.relabellings, seed=1)
            usual, of = count_differences(task, min(USUAL, args.relabellings), seed=1)
            t = times(task, args.repeats)
            forward, everything = t["forward, exact"] / t["forward"], t["all, exact"] / t["all"]
            bits = [f"{exact} of {compared:,}", f"{100 * usual / of:.1f} %"]
            rows.append(
                [data, name, *bits, f"{t['forward']:.2f}", f"{forward:.2f}x", f"{t['all']:.2f}", f"{everything:.2f}x"]
            )
            numbers[f"{data} {name}"] = {"differing": exact, "compared": compared, "usual": usual / of, **t}
            print(*rows[-1], sep=" | ", flush=True)
    print(f"{args.relabellings} relabellings each; eval mode, float32; numbers that differ in their bits; milliseconds")
    heads = ["data", "model", "differ, exact", "differ, usual", "forward, ms", "exact", "all gradients, ms", "exact"]
    print(table(heads, rows))
    if args.json:
        args.json.write_text(json.dumps({"machine": machine(), "tasks": numbers}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
