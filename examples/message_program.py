"""A message program from first line to gradient: gated attention with edge features, its plan, its code, its errors.

    python examples/message_program.py                          a few seconds on Cora; prints only
    python examples/message_program.py --heads 2 --channels 4   another width: the same compiled kernels

You write what happens at one edge and gnnkit makes loops over all of them, forward and backward. This file runs a
program that no library has ready-made, and looks at it from four sides: against a naive loop over the edges, against
differences of values (first and second derivatives), at the plan (what is computed per node and per edge, which arrays
exist), and at what happens when the function does something that cannot be traced.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import gnnkit as gk


@gk.message_program
def gated_attention(src: Any, dst: Any, edge: Any) -> Any:
    score = gk.leaky_relu(src.score + dst.score + edge.score, 0.2)  # [heads]
    gate = gk.sigmoid(src.gate + dst.gate)  # [heads, channels]
    return gk.agg.sum(gk.agg.softmax(score)[:, None] * gate * src.h)  # [heads, channels], per receiver


def branches(src: Any, dst: Any) -> Any:
    difference = src.h - dst.h
    if difference.sum() > 0:  # of which edge?
        return gk.agg.sum(difference)
    return gk.agg.max(difference)


def draw_fields(graph: gk.Graph, heads: int, channels: int, rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    """Random fields. No score is near 0, where leaky_relu has a kink and differences of values mean nothing."""
    nodes, edges = graph.num_nodes, graph.num_edges

    def of_nodes() -> dict[str, Any]:
        score = rng.integers(-2, 3, (nodes, heads)).astype(float)
        return {"score": score, "gate": rng.normal(size=(nodes, heads, channels))}

    src = {**of_nodes(), "h": rng.normal(size=(nodes, heads, channels))}
    return {"src": src, "dst": of_nodes(), "edge": {"score": rng.uniform(0.2, 0.8, (edges, heads))}}


def naive(graph: gk.Graph, fields: dict[str, dict[str, Any]]) -> np.ndarray:
    """The same, receiver by receiver, as the equations stand on paper."""
    src, dst, edge = fields["src"], fields["dst"], fields["edge"]
    out = np.zeros_like(src["h"])
    for i in range(graph.num_nodes):
        k = np.flatnonzero(graph.receivers == i)
        j = graph.senders[k]
        score = src["score"][j] + dst["score"][i] + edge["score"][k]
        weight = np.exp(np.where(score > 0, score, 0.2 * score))
        weight = weight / weight.sum(axis=0)
        gate = 1 / (1 + np.exp(-(src["gate"][j] + dst["gate"][i])))
        out[i] = (weight[:, :, None] * gate * src["h"][j]).sum(axis=0)
    return out


def gradient_error(graph: gk.Graph, fields: dict[str, dict[str, Any]], order: int) -> float:
    """Largest difference between derivatives by all fields and differences of values."""
    places = [(namespace, name) for namespace, members in fields.items() for name in members]

    def run(*arrays: Any) -> Any:
        given: dict[str, dict[str, Any]] = {namespace: {} for namespace in fields}
        for (namespace, name), array in zip(places, arrays):
            given[namespace][name] = array
        return gated_attention(graph, **given)

    return gk.gradcheck(run, *(fields[namespace][name] for namespace, name in places), order=order).max_error


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="cora", help="a bundled graph to run and to plan on")
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--source", action="store_true", help="also print the generated code")
    options = parser.parse_args(arguments)
    if min(options.heads, options.channels) < 1:
        parser.error("--heads and --channels must be at least 1")
    rng = np.random.default_rng(options.seed)

    graph = gk.datasets.load(options.data)
    fields = draw_fields(graph, options.heads, options.channels, rng)
    results = {"difference from a loop": float(np.abs(gated_attention(graph, **fields) - naive(graph, fields)).max())}
    karate = gk.datasets.load("karate")
    small = draw_fields(karate, 2, 3, rng)
    results["gradient error"] = gradient_error(karate, small, order=1)
    results["second gradient error"] = gradient_error(karate, small, order=2)
    for name, error in results.items():
        print(f"{name:24s} {error:.1e}")

    plan = gated_attention.explain(graph, **fields)
    print(f"\n{plan}\n")
    print(f"Arrays of one row per edge: {', '.join(plan.edge_arrays)} (asked for, as edge.score has a gradient).")
    if options.source:
        print(f"\n{gated_attention.source(graph, **fields)}")

    try:
        gk.message_passing(graph, branches, src={"h": fields["src"]["h"]}, dst={"h": fields["src"]["h"]})
    except gk.errors.ProgramError as error:
        print(f"\nAn if on a value of an edge is refused:\n  {error}")
    return results


if __name__ == "__main__":
    main()
