"""The message functions of ``bench_programs.py``, as a user would write them, and the fields that they get.

    python user_programs.py compile NAME NODES PAIRS    seconds of the first call, forward and backward, of this process
    python user_programs.py memory NODES PAIRS          bytes that a GAT-like program's forward and backward add at most

The two commands are the workers of the script: each is timed in a process of its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from common import peak_megabytes, power_law_graph, seconds, with_self_loops

import gnnkit as gk

HEADS, CHANNELS = 8, 16
WIDTH = HEADS * CHANNELS


@gk.message_program
def gated_attention(src: Any, dst: Any, edge: Any) -> Any:
    score = gk.leaky_relu(src.score + dst.score + edge.score, 0.2)  # [heads]
    gate = gk.sigmoid(src.gate + dst.gate)  # [heads, channels]
    return gk.agg.sum(gk.agg.softmax(score)[:, None] * gate * src.h)


@gk.message_program
def gated_sum(src: Any, dst: Any) -> Any:
    return gk.agg.sum(gk.sigmoid(src.a + dst.b) * src.v)


@gk.message_program
def weighted_sum(src: Any, edge: Any) -> Any:
    return gk.agg.sum(edge.w * src.x)


@gk.message_program
def attention(src: Any, dst: Any) -> Any:
    score = gk.leaky_relu(src.score + dst.score, 0.2)
    return gk.agg.sum(gk.agg.softmax(score)[:, None] * src.h)


Fields = dict[str, tuple[str, tuple[int, ...]]]  # "src.h": (rows, feature shape)
PROGRAMS: dict[str, tuple[Any, Fields]] = {
    "gated attention": (
        gated_attention,
        {
            "src.score": ("nodes", (HEADS,)),
            "src.gate": ("nodes", (HEADS, CHANNELS)),
            "src.h": ("nodes", (HEADS, CHANNELS)),
            "dst.score": ("nodes", (HEADS,)),
            "dst.gate": ("nodes", (HEADS, CHANNELS)),
            "edge.score": ("edges", (HEADS,)),
        },
    ),
    "gated sum": (
        gated_sum,
        {"src.a": ("nodes", (WIDTH,)), "src.v": ("nodes", (WIDTH,)), "dst.b": ("nodes", (WIDTH,))},
    ),
    "weighted sum": (weighted_sum, {"src.x": ("nodes", (WIDTH,)), "edge.w": ("edges", ())}),
    "attention": (
        attention,
        {"src.score": ("nodes", (HEADS,)), "src.h": ("nodes", (HEADS, CHANNELS)), "dst.score": ("nodes", (HEADS,))},
    ),
}


def topology(nodes: int, pairs: int) -> gk.Topology:
    a = with_self_loops(power_law_graph(nodes, pairs))
    return gk.Topology(a.indptr.astype(np.int64), a.indices.astype(np.int32), num_senders=nodes)


def arrays(name: str, t: gk.Topology) -> dict[str, np.ndarray]:
    """Random fields; those of the receivers and senders have as many rows as there are nodes."""
    rng = np.random.default_rng(0)
    rows = {"nodes": t.num_nodes, "edges": t.num_edges}
    return {
        field: rng.standard_normal((rows[at], *shape), dtype=np.float32)
        for field, (at, shape) in PROGRAMS[name][1].items()
    }


def given(fields: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """``{"src.x": array}`` as the arguments of a program, ``src={"x": array}``."""
    found: dict[str, dict[str, Any]] = {}
    for field, array in fields.items():
        namespace, name = field.split(".")
        found.setdefault(namespace, {})[name] = array
    return found


def tensors(fields: dict[str, np.ndarray]) -> dict[str, Any]:
    return {field: gk.tensor(array, requires_grad=True) for field, array in fields.items()}


def step(name: str, t: gk.Topology, fields: dict[str, Any], g: np.ndarray) -> list[np.ndarray]:
    """Forward and backward: the output and the gradients of all fields."""
    y = PROGRAMS[name][0](t, **given(fields))
    for x in fields.values():
        x.grad = None
    y.backward(g.reshape(y.shape))
    return [y.numpy(), *(x.grad.numpy() for x in fields.values())]


def compile_once(name: str, nodes: int, pairs: int) -> dict[str, float]:
    t = topology(nodes, pairs)
    t.transpose()
    gk.message.neighbour_sum(t, np.ones((nodes, 4), np.float32))  # numba itself is imported
    fields, g = arrays(name, t), np.ones((nodes, WIDTH), np.float32)
    program, learnt = PROGRAMS[name][0], tensors(fields)
    return {
        "forward": seconds(lambda: program(t, **given(fields))),
        "forward and backward": seconds(lambda: step(name, t, learnt, g)),
        "again": seconds(lambda: step(name, t, learnt, g)),
    }


def memory(nodes: int, pairs: int) -> dict[str, float]:
    t = topology(nodes, pairs)
    t.transpose()
    small = topology(6000, 60000)
    compiled = tensors(arrays("attention", small))
    step("attention", small, compiled, np.ones((6000, WIDTH), np.float32))  # compiling takes memory of its own
    learnt, g = tensors(arrays("attention", t)), np.ones((nodes, WIDTH), np.float32)
    _forget_peak()
    before = _resident_megabytes()
    step("attention", t, learnt, g)
    return {"added": peak_megabytes_of_interval() - before, "one array": t.num_edges * WIDTH * 4 / 2**20}


def _resident_megabytes() -> float:
    return _status("VmRSS")


def peak_megabytes_of_interval() -> float:
    """The peak since :func:`_forget_peak`; on systems that cannot forget, that of the process."""
    return _status("VmHWM") or float(peak_megabytes())


def _status(field: str) -> float:
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:")), 0.0)


def _forget_peak() -> None:
    path = Path("/proc/self/clear_refs")
    if path.exists():
        path.write_text("5")  # Linux: the peak resident size begins anew


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "compile":
        print(json.dumps(compile_once(arguments[0], *map(int, arguments[1:]))))
    else:
        print(json.dumps(memory(*map(int, arguments))))
