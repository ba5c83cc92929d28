"""A grammar of message programs for hypothesis: graphs, fields and the Python text of a function. Uses the naive
interpreter to keep what it writes finite, and away from kinks where a finite difference would mean nothing.
"""

from __future__ import annotations

import re

import naive_programs as naive
import numpy as np
from hypothesis import strategies as st

import gnnkit as gk

MARGIN = 2e-2  # how far from a kink, or from one another, values keep
LARGEST = 20.0  # what grows beyond it goes through tanh
WIDEST = 30  # features

SMOOTH = [
    "np.tanh({a})", "gk.sigmoid({a})", "gk.softplus({a})", "np.sin({a})", "np.square({a})", "gk.gelu({a})", "-{a}",
    "np.sqrt(np.square({a}) + 0.5)", "np.log(gk.softplus({a}) + 0.1)", "np.exp(np.tanh({a}))", "{a} * {a} * 0.5",
    "1 / (1.5 + {a} ** 2)", "0.5 * {a} + 0.25", "gk.softmax({a}[..., None], axis=-1)[..., 0] + {a}",
    "(np.tanh({a}) + 2.0) ** 1.5", "2.0 ** np.tanh({a})", "np.cos({a}) - 0.3", "np.exp(-np.square({a}))",
]  # fmt: skip
KINKED = [
    ("gk.relu({a})", 0.0), ("gk.leaky_relu({a}, 0.2)", 0.0), ("np.abs({a})", 0.0), ("gk.elu({a})", 0.0),
    ("np.maximum({a}, 0.1)", 0.1), ("np.minimum(0.2, {a})", 0.2), ("np.clip({a}, -9.0, 0.3)", 0.3),
]  # fmt: skip
BINARY = ["{a} + {b}", "{a} - {b}", "{a} * {b}", "{a} / (1.5 + np.square({b}))", "np.arctan2({a}, 1.5 + {b} * {b})"]
CHOICES = [
    "np.maximum({a}, {b})", "np.minimum({a}, {b})", "np.where({a} > {b}, {a} * 0.5, {c})",
    "np.where(({a} < {b}) & (edge.kind != 1), {c}, 0.1)", "np.where(~({a} >= {b}) | edge.mask, {c}, -{c})",
]  # fmt: skip
SHAPES = [
    "{a}[..., None]", "{a}[None]", "{a}[0]", "{a}[..., -1]", "{a}[1:]", "{a}[..., ::-1]", "{a}.sum(-1)",
    "{a}.mean(axis=0, keepdims=True)", "np.sum({a})", "{a}.reshape(-1)", "{a}.T", "np.swapaxes({a}, 0, -1)",
    "np.concatenate([{a}, {b}], axis=-1)", "np.stack([{a}, {b}], axis=-1)", "np.concatenate([{a}, {a}])",
]  # fmt: skip
REDUCTIONS = ["sum", "mean", "max", "min", "prod", "var", "std", "logsumexp", "softmax"]
NOT_SMOOTH = {"max", "min", "std"}


class Example:
    """A program, where it runs, and on what."""

    def __init__(self, graph, given):
        self.graph, self.given = graph, given
        self.lines, self.outputs = [], []

    @property
    def text(self):
        body = "".join(f"    {line}\n" for line in self.lines)
        return f"def program(src, dst, edge, globals, params):\n{body}    return {', '.join(self.outputs)},\n"

    def __repr__(self):
        topology = getattr(self.graph, "topology", self.graph)
        shapes = {f"{n}.{f}": a.shape for n, members in self.given.items() for f, a in members.items()}
        edges = list(zip(topology.senders.tolist(), topology.receivers.tolist()))
        return f"{self.text}\n{self.graph!r} {edges}\n{shapes}"

    def make(self, gk):
        """The function, with that ``gk``."""
        names = {"np": np, "gk": gk, "agg": gk.agg}
        exec(self.text, names)
        return names["program"]

    def reads(self, name):
        """Whether some line reads the value of that name."""
        return any(re.search(rf"\b{name}\b", line.partition(" = ")[2]) for line in self.lines)

    def used(self):
        """(namespace, field) of the floating inputs that the program reads."""
        found = sorted(set(re.findall(r"\b(src|dst|edge|globals|params)\.(\w+)", self.text)))
        return [(n, f) for n, f in found if self.given[n][f].dtype.kind == "f"]


# --- graphs and fields ------------------------------------------------------------------------------------------------


KINDS = ["sparse", "dense", "hub", "loops", "bipartite", "batch", "edgeless", "none"]


def make_graph(kind, rng):
    """A small graph of an awkward kind."""
    n = int(rng.integers(2, 7))
    if kind == "none":
        return gk.Topology.from_edges([], [], num_nodes=0)
    if kind == "edgeless":
        return gk.empty(n)
    if kind == "bipartite":
        m, count = int(rng.integers(1, 5)), int(rng.integers(1, 9))
        pairs = rng.integers(0, n, count), rng.integers(0, m, count)
        return gk.Topology.from_edges(*pairs, num_senders=n + 1, num_receivers=m + 1)
    if kind == "batch":
        sizes = rng.integers(1, 4, 3)
        parts = [gk.from_edges(*rng.integers(0, k, (2, int(rng.integers(0, 2 * k)))), num_nodes=int(k)) for k in sizes]
        return gk.batch(parts)
    if kind == "crowd":  # more edges into one receiver than a kernel works through together
        receivers = np.where(rng.random(60) < 0.7, 1, rng.integers(0, 5, 60))
        return gk.Topology.from_edges(rng.integers(0, 6, 60), receivers, num_nodes=7)
    senders, receivers = rng.integers(0, n, (2, 2 * n if kind == "dense" else n))
    if kind == "hub":
        receivers[: n - 1] = 0
    if kind == "loops":
        receivers[:2] = senders[:2]
        senders[2:4], receivers[2:4] = 1, 0  # parallel, where there are so many
    return gk.Topology.from_edges(senders, receivers, num_nodes=n + 1)


def fields(rng, graph, heads, channels):
    """Fields of all shapes that layers use, at both ends, on the edges, the graphs, and shared by all."""
    edges = naive.edges_of(graph)
    shapes = {"s": (), "x": (channels,), "h": (heads, channels), "v": (heads, 1)}
    of = {
        "src": ("s", "x", "h"),
        "dst": ("s", "x", "h", "v"),
        "edge": ("s", "x", "v"),
        "globals": ("x",),
        "params": ("x", "h"),
    }
    given = {}
    for namespace, names in of.items():
        level = naive.LEVELS[namespace]
        rows = () if namespace == "params" else (edges.count(level),)
        given[namespace] = {f: rng.normal(0.1, 0.8, (*rows, *shapes[f])) for f in names}
    given["edge"]["mask"] = rng.random(edges.count("edge")) < 0.5
    given["edge"]["kind"] = rng.integers(0, 3, edges.count("edge"))
    return graph, given


# --- programs ---------------------------------------------------------------------------------------------------------


class Writer:
    """Writes a program line by line, and computes along with the naive interpreter."""

    def __init__(self, seed, example, smooth):
        self.random, self.example, self.smooth = np.random.default_rng([seed, 1]), example, smooth
        self.rng = np.random.default_rng(seed)
        self.edges = naive.edges_of(example.graph)
        self.gk = naive.gk_for(self.edges)
        self.values = {}
        self.refresh()
        for namespace, members in example.given.items():
            for name, array in members.items():
                if array.dtype.kind == "f":
                    self.values[f"{namespace}.{name}"] = getattr(self.fields[namespace], name)

    def choose(self, items):
        return items[int(self.random.integers(len(items)))]

    def some(self, items, count):
        return [items[i] for i in self.random.permutation(len(items))[:count]]

    def refresh(self):
        self.fields = naive.fields_for(self.edges, self.example.given)

    def compute(self, text):
        names = {"np": np, "gk": self.gk, "agg": self.gk.agg, **self.fields, **self.values}
        return eval(text, names)

    def pick(self, *, recent=False):
        names = list(self.values)
        made = [n for n in names if "." not in n]
        return self.choose(made[-3:] if made and (recent or self.random.integers(0, 3)) else names)

    def write(self, text):
        """Keep the value of ``text`` under a new name, if it is finite and small."""
        try:
            value = self.compute(text)
        except (ValueError, IndexError):  # shapes that do not go together, axes that are not there
            return None
        array = value.array()
        if array[:1].size > WIDEST or not np.isfinite(array).all() or value.like.size == 0:
            return None
        if array.size and np.abs(array).max() > LARGEST:
            text = f"np.tanh({text})"
            value = self.compute(text)
        name = f"a{len(self.example.lines)}"
        self.example.lines.append(f"{name} = {text}")
        self.values[name] = value
        return name

    def far(self, text, *, allow_zero=True):
        """Whether a value keeps away from 0; exact zeros may be those of receivers without edges."""
        array = np.abs(self.compute(text).array())
        return bool(((array > MARGIN) | ((array == 0) & allow_zero)).all())

    def statement(self):
        a, b, c = self.pick(recent=True), self.pick(), self.pick()
        names = {"a": a, "b": b, "c": c}
        kind = self.choose(["easy", "kinked", "binary", "binary", "choice", "shape", "linear", "agg", "agg"])
        if kind in ("kinked", "choice") and self.smooth:
            kind = "easy"
        return getattr(self, kind)(names)

    def easy(self, names):
        return self.write(self.choose(SMOOTH).format(**names))

    def kinked(self, names):
        text, at = self.choose(KINKED)
        return self.write(text.format(**names)) if self.far(f"{names['a']} - {at}") else None

    def binary(self, names):
        return self.write(self.choose(BINARY).format(**names))

    def choice(self, names):
        try:
            if not self.far("{a} - {b}".format(**names), allow_zero=False):
                return None
        except ValueError:
            return None
        return self.write(self.choose(CHOICES).format(**names))

    def shape(self, names):
        if not self.values[names["a"]].like.ndim:
            return None
        return self.write(self.choose(SHAPES).format(**names))

    def linear(self, names):
        """A product with a shared matrix, with a matrix of every edge, or with a vector."""
        value = self.values[names["a"]]
        if not value.like.ndim:
            return None
        width, out = value.like.shape[-1], self.random.integers(1, 4)
        namespace = self.choose(["params", "params", "params", "edge", "src"])
        shape = (width,) if self.random.integers(0, 5) == 0 else (width, out)
        rows = () if namespace == "params" else (self.edges.count(namespace),)
        name = f"w{len(self.example.lines)}"
        self.example.given[namespace][name] = self.rng.normal(0, 0.7, (*rows, *shape))
        self.refresh()
        left = names["a"]
        if value.like.ndim == 1 and self.random.integers(0, 3) == 0:
            left = f"np.concatenate([{names['a']}, {names['a']} * 0.5])[{width}:]"
        return self.write(f"{left} @ {namespace}.{name}")

    def agg(self, names):
        reducer = self.choose(REDUCTIONS)
        if self.smooth and reducer in NOT_SMOOTH:
            reducer = "sum"
        to = self.choose(["receivers", "receivers", "receivers", "senders", "graphs"])
        side = "" if to == "receivers" else f', to="{to}"'
        a = names["a"]
        if reducer in ("max", "min") and not self.apart(a, to):
            return None
        if reducer == "std" and not self.far(f"agg.std({a}{side})"):
            return None
        if reducer == "logsumexp":  # -inf without edges
            return self.write(f"np.where(agg.degree({side[2:]}) > 0, agg.logsumexp({a}{side}), 0.0)")
        if reducer == "mean" and self.random.integers(0, 4) == 0:
            return self.write(f"agg.sum({a}{side}) / (1.0 + agg.degree({side[2:]}))")
        return self.write(f"agg.{reducer}({a}{side})")

    def apart(self, a, to):
        """Whether the messages of everyone are either the same or far from each other."""
        for group in naive.messages_of(self.values[a], to)[1]:
            gaps = np.diff(np.sort(np.stack(group), axis=0), axis=0) if group else np.zeros(0)
            if not ((gaps == 0) | (gaps > MARGIN)).all():
                return False
        return True


def program(seed, kind, *, heads, channels, statements, smooth=False):
    """An `Example` that returns an aggregation, and some of what no line reads.

    The lines follow from the seed alone, so that fewer statements give the beginning of the same program.
    """
    rng = np.random.default_rng(seed)
    example = Example(*fields(rng, make_graph(kind, rng), heads, channels))
    writer = Writer(seed, example, smooth)
    writer.write("{} * {}".format(*writer.some(["src.x", "dst.x", "edge.s", "src.h", "dst.v"], 2)))
    for _ in range(4 * statements):
        if len(example.lines) < statements:
            writer.statement()
    last = writer.pick(recent=True)
    example.lines.append(f"out = agg.sum({last})")
    unread = [n for n in writer.values if "." not in n and n != last and not example.reads(n)]
    example.outputs += ["out", *writer.some(unread, min(len(unread), 3))]
    return example


@st.composite
def programs(draw, *, smooth=False, statements=12):
    """Programs for hypothesis: most of full length, on graphs of every kind."""
    return program(
        draw(st.integers(0, 2**32)),
        draw(st.sampled_from(KINDS)),
        heads=draw(st.integers(1, 3)),
        channels=draw(st.integers(1, 4)),
        statements=statements if draw(st.integers(0, 3)) else draw(st.integers(2, statements)),
        smooth=smooth,
    )


def numbered(number, *, smooth=False, statements=12):
    """The program of that number: for tests that can afford a few, which should not be the simplest."""
    kind = ["crowd", *KINDS[:6]][number % 7]  # all with edges
    heads, channels = (2, 11) if kind == "crowd" else (1 + number % 3, 1 + number % 4)
    return program(number, kind, heads=heads, channels=channels, statements=statements, smooth=smooth)
