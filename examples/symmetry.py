"""Is my layer equivariant? Four layers that look alike are checked; three of them are wrong, and the checker shows why.

    python examples/symmetry.py                 a few seconds; saves symmetry.png
    python examples/symmetry.py --cases 1000    look longer

Each layer replaces x of a node by something of its neighbours. The first takes the mean. The second lets the last
message win, the third gives weights to neighbours by their place in the list, the fourth centres its output over all
nodes that it sees: three mistakes that train without an error message. gk.symmetry.check moves the graph, compares, and
hands back the smallest graph on which it goes wrong. Needs gnnkit[plot] and hypothesis.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gnnkit as gk


class Mean(gk.nn.Module):
    """The mean over the neighbours: what a layer should look like."""

    symmetry = gk.nn.EQUIVARIANT  # this is the promise that is checked

    def forward(self, graph: gk.Graph) -> gk.Graph:
        messages = gk.message.gather_senders(graph.topology, graph.x)  # [num_edges, channels]
        return graph.replace(x=gk.message.aggregate(graph.topology, messages, "mean"))


class LastWins(Mean):
    """``x[receivers] = messages`` keeps one message per node, and which one depends on the numbers of the nodes."""

    def forward(self, graph: gk.Graph) -> gk.Graph:
        x, messages = np.zeros(graph.x.shape), gk.autodiff.as_array(graph.x)[graph.senders]
        x[graph.receivers] = messages
        return graph.replace(x=x)


class Places(Mean):
    """A weight for the first neighbour in the list, one for the second, ...: a convolution where there is no grid."""

    def forward(self, graph: gk.Graph) -> gk.Graph:
        place = np.arange(graph.num_edges) - graph.topology.indptr[graph.receivers]  # within the list of a node
        messages = gk.message.gather_senders(graph.topology, graph.x) * (1.0 / (1.0 + place))[:, None]
        return graph.replace(x=gk.message.aggregate(graph.topology, messages, "sum"))


class Centred(Mean):
    """The mean over the neighbours, minus the mean over all nodes: also over those of other graphs of a batch."""

    def forward(self, graph: gk.Graph) -> gk.Graph:
        x = super().forward(graph).x
        return graph.replace(x=x - x.sum(axis=0) * (1.0 / max(graph.num_nodes, 1)))


def main(arguments: list[str] | None = None) -> dict[str, dict[str, gk.symmetry.Report]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100, help="graphs and moves to try for each group")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=".", help="folder for the picture")
    options = parser.parse_args(arguments)
    if options.cases < 1:
        parser.error("--cases must be at least 1")

    print(f"Promised by all four:\n{gk.nn.EQUIVARIANT}\n")
    results = {}
    for layer in (Mean(), LastWins(), Places(), Centred()):
        # small graphs with one channel: the counterexample is to be read by a person
        reports = gk.nn.check_declared(layer, channels=1, cases=options.cases, rng=options.seed)
        results[type(layer).__name__] = reports
        words = ", ".join(f"{group} {'passed' if report else 'FAILED'}" for group, report in reports.items())
        print(f"{type(layer).__name__:10s} {words}")

    for reports in results.values():
        for report in reports.values():
            if not report.passed:
                print(f"\n{report}")
    broken = results["LastWins"]["nodes"]
    if not broken.passed:
        Path(options.out).mkdir(parents=True, exist_ok=True)
        picture = Path(options.out) / "symmetry.png"
        gk.plot.counterexample(broken, picture)
        print(f"\nThe counterexample of LastWins is drawn in {picture}.")
    return results


if __name__ == "__main__":
    main()
