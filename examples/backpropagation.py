"""Backpropagation as in a textbook: the tape of a computation, its reverse schedule, every adjoint, and the picture.

    python examples/backpropagation.py     a few seconds; saves tape_function.png and tape_network.png

While a result is computed, every step is written down on a tape. Backpropagation walks the tape backwards: a step is
visited once all steps that used its value have been, and hands its adjoint (the derivative of the result by its value)
on to its arguments. Two computations are shown, each beside the derivatives that one finds with pen and paper:
f = sin(t x1 + x2) + t x2^2, and the squared loss of a network with one hidden layer. Needs gnnkit[plot].
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import gnnkit as gk


def variable(name: str, value: object) -> gk.Tensor:
    """A named Tensor that gets a gradient; the name stands in tables and pictures."""
    return gk.Tensor(np.asarray(value, dtype=float), requires_grad=True, name=name)


def show(title: str, tape: Any, expected: dict[str, tuple[str, Any]]) -> float:
    """Print the tape and every derivative beside its formula; return the largest difference."""
    print(f"{title}\n\n{tape}\n")
    adjoints = {node.name: adjoint for node, adjoint in tape.adjoints()}
    worst = 0.0
    for name, (formula, value) in expected.items():
        error = float(np.abs(adjoints[name] - value).max())
        found = np.array2string(adjoints[name], precision=4, separator=", ").replace("\n", "")
        print(f"  d/d{name:3s} = {formula:28s} = {found}   (pen and paper: differs by {error:.0e})")
        worst = max(worst, error)
    return worst


def textbook_function() -> tuple[Any, float]:
    t, x1, x2 = variable("t", 2.0), variable("x1", 1.5), variable("x2", -1.0)
    f = np.sin(t * x1 + x2) + t * x2**2  # numpy's functions record on the tape
    cosine = np.cos(2.0 * 1.5 - 1.0)
    expected = {
        "t": ("x1 cos(t x1 + x2) + x2^2", 1.5 * cosine + 1.0),
        "x1": ("t cos(t x1 + x2)", 2.0 * cosine),
        "x2": ("cos(t x1 + x2) + 2 t x2", cosine - 4.0),
    }
    tape = gk.tape(f)
    return tape, show("f = sin(t x1 + x2) + t x2^2 at t = 2, x1 = 1.5, x2 = -1", tape, expected)


def network(hidden: int) -> tuple[Any, float]:
    rng = np.random.default_rng(0)
    x, target = np.array([1.0, -2.0]), 0.5
    A, b = variable("A", rng.normal(size=(hidden, 2))), variable("b", rng.normal(size=hidden))
    C, d = variable("C", rng.normal(size=hidden)), variable("d", 0.1)
    s = gk.sigmoid(A @ x + b)
    y = C @ s + d
    loss = (y - target) ** 2

    slope = 2 * (y.item() - target)
    s = s.numpy()
    through = slope * C.numpy() * s * (1 - s)  # s' = s (1 - s)
    expected = {
        "d": ("2 (y - t)", np.array(slope)),
        "C": ("2 s (y - t)", slope * s),
        "b": ("2 (y - t) C s'", through),
        "A": ("2 (y - t) C s' x^T", np.outer(through, x)),
    }
    tape = gk.tape(loss)
    return tape, show(f"\nloss = (C s(A x + b) + d - t)^2, {hidden} hidden units, s the sigmoid", tape, expected)


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=3, help="hidden units of the network")
    parser.add_argument("--out", default=".", help="folder for the pictures")
    options = parser.parse_args(arguments)
    if options.hidden < 1:
        parser.error("--hidden must be at least 1")
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)

    f, function_error = textbook_function()
    loss, network_error = network(options.hidden)
    gk.plot.draw_tape(f, folder / "tape_function.png", title="f = sin(t x1 + x2) + t x2^2: values down, adjoints up")
    gk.plot.draw_tape(loss, folder / "tape_network.png", title="Squared loss of a network with one hidden layer")
    print(f"\nBoth computations are drawn: {folder / 'tape_function.png'}, {folder / 'tape_network.png'}.")
    return {"function": function_error, "network": network_error}


if __name__ == "__main__":
    main()
