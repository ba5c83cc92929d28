"""The catalogue of all public layers: an example of each, and the graphs on which its declared symmetry is checked.

A new layer needs a line in EXAMPLES. A layer that passes messages has it in ``layer_cases.LAYERS`` already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from layer_cases import LAYERS

import gnnkit as gk
from gnnkit import nn
from gnnkit.nn.check_graphs import group_for
from gnnkit.nn.declared import composed

WHERE = "tests/nn/layer_catalogue.py"
# Classes that only their subclasses complete, and a list that nobody can call.
NOT_CALLABLE = {"Module", "FeatureModule", "Convolution", "GridLayer", "RelationLayer", "ModuleList"}


class Within(nn.Module):
    """A layer that needs company to take a graph: ``call(layer, graph)``, and what they promise together."""

    def __init__(self, layer: nn.Module, call: Callable[[Any, gk.Graph], gk.Graph], *before: nn.Module) -> None:
        self.layer, self.call = layer, call
        self.before = nn.Sequential(*before)

    @property
    def symmetry(self):
        return composed([*self.before, self.layer])

    def forward(self, graph: gk.Graph) -> gk.Graph:
        return self.call(self.layer, graph)


@dataclass(frozen=True)
class Example:
    """A layer, the kind of graphs that it takes, and the module in which it takes them if it cannot alone."""

    make: Callable[[np.random.Generator], nn.Module]
    graphs: str = "graphs"
    within: Callable[[Any], nn.Module] = lambda layer: layer


# --- graphs -------------------------------------------------------------------------------------------------------
# A self-loop at 1, an isolated node 5, node 4 sends only; a hub; an edge given twice; no edges; no nodes.
SHAPES = (
    ([0, 1, 2, 1, 3, 4, 2, 0], [1, 0, 1, 1, 2, 2, 3, 3], 6),
    ([1, 2, 3, 4, 0, 0], [0, 0, 0, 0, 2, 4], 5),
    ([0, 0, 1, 2], [1, 1, 2, 2], 3),
    ([], [], 2),
    ([], [], 0),
)


def plain(shape: int, state: str = "x", seed: int = 0) -> gk.Graph:
    rng = np.random.default_rng(seed + shape)
    senders, receivers, count = SHAPES[shape]
    kinds = rng.integers(0, 2, count)
    of_edges = {
        "w": rng.uniform(0.5, 2.0, len(senders)),
        "kind": rng.integers(0, 3, len(senders)),
        "relation": np.array([2 * kinds[s] + kinds[r] for s, r in zip(senders, receivers)], int),
    }
    return gk.from_edges(
        np.array(senders, int),
        np.array(receivers, int),
        x=rng.normal(size=(count, 3)),
        e=rng.normal(size=(len(senders), 2)) if "e" in state else None,
        u=rng.normal(size=(1, 2)) if "u" in state else None,
        nodes={"pos": rng.normal(size=(count, 3)), "x_0": rng.normal(size=(count, 3)), "type": kinds},
        edges=of_edges,
    )


def images(*sizes: tuple[int, ...], border: str = "wrap", lattice: str = "square") -> list[gk.Graph]:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(*size, 3)) for size in sizes]
    if lattice != "square":
        return [gk.from_image(array, border=border, lattice=lattice) for array in arrays]
    return [gk.from_grid_array(array, ndim=array.ndim - 1, border=border) for array in arrays]


WIDE = {1: (32,), 2: (24, 28), 3: (12, 12, 12)}  # away from the border there is something left to compare
ON_GRIDS = ("torus", "translation", "flip", "rot90")


def graphs_of(name: str, group: str) -> list[gk.Graph]:
    """The graphs of an example on which a group can act."""
    found = GRAPHS[EXAMPLES[name].graphs]()
    grids = [graph for graph in found if isinstance(graph.topology, gk.GridTopology)]
    if group in ON_GRIDS and EXAMPLES[name].graphs == "hexagons":
        return []  # which no group moves
    if group not in ON_GRIDS:
        return found if len(grids) == len(found) else [graph for graph in found if graph not in grids]
    if group != "translation" or "one size" in EXAMPLES[name].graphs:
        return grids
    wide = {graph.topology.grid.ndim: graph for graph in grids}
    return [like(given, graph) for ndim, given in wide.items() for graph in images(WIDE[ndim], border="zero")]


def like(given: gk.Graph, graph: gk.Graph) -> gk.Graph:
    """``graph`` with the kinds of features that ``given`` has."""
    if given.x.dtype.kind == "i":
        graph = graph.replace(x=np.arange(graph.num_nodes) % 4)
    return graph.replace(u=given.u) if "u" in given.globals else graph


def group_of(whole: nn.Module, name: str, group: str) -> Any:
    """The group with the options that the example needs."""
    size = (0,) if "one size" in EXAMPLES[name].graphs else None
    return group_for(whole, group, size=size)


GRAPHS: dict[str, Callable[[], list[gk.Graph]]] = {
    "graphs": lambda: [plain(shape) for shape in range(len(SHAPES))],
    "with e": lambda: [plain(shape, "xe") for shape in range(len(SHAPES))],
    "with e and u": lambda: [plain(shape, "xeu") for shape in range(len(SHAPES))],
    "with u": lambda: [
        *[plain(shape, "xu") for shape in range(len(SHAPES))],
        *[like(plain(0, "xu"), graph) for graph in images((8, 8))],
    ],
    "categories": lambda: [g.replace(x=np.arange(g.num_nodes) % 4) for g in GRAPHS["graphs and images"]()],
    "sequences": lambda: images((8,), (12,)),
    "sequences of one size": lambda: images((8,)),
    "images": lambda: images((8, 8), (12, 8)),
    "images of one size": lambda: images((8, 8)),
    "images of LeNet, of one size": lambda: images((16, 12)),
    "volumes": lambda: images((4, 4, 6), (4, 4, 4)),
    "volumes of one size": lambda: images((4, 4, 6)),
    "hexagons": lambda: images((6, 5), lattice="hexagonal"),
    # Pixels of images, looked at as nodes of any graph: layers that do not ask for a grid work on one as well.
    "graphs and images": lambda: [*GRAPHS["graphs"](), *images((8, 8), (5, 7))],
}


# --- layers that need company -------------------------------------------------------------------------------------
RELATIONS = [(s, f"{s}{r}", r) for s in "ab" for r in "ab"]


def typed(layer: nn.Module) -> nn.Module:
    """A layer of typed graphs on plain graphs whose nodes have a type and whose edges a relation."""

    def call(layer: nn.Module, graph: gk.Graph) -> gk.Graph:
        g = gk.from_homogeneous(graph, ["a", "b"], RELATIONS, node_type="type", edge_type="relation")
        out = layer(g)
        order = np.argsort(np.argsort(graph.nodes["type"], kind="stable"), kind="stable")
        rows = np.concatenate([gk.tensor(out["a"].x), gk.tensor(out["b"].x)])
        return graph.replace(x=gk.take_rows(rows, order))

    return Within(layer, call)


def relation(layer: nn.Module) -> nn.Module:
    return typed(nn.TypedConv(dict.fromkeys(RELATIONS, layer)))


def unpooled(layer: nn.Module) -> nn.Module:
    pool = nn.MaxPool(2, positions=True)
    return Within(layer, lambda layer, graph: layer(pool(graph), onto=graph), pool)


@gk.message_program
def difference(src, dst, params):
    return gk.agg.max(gk.tanh(src.x @ params.weight - dst.x @ params.weight)) + params.shift


# --- every public layer -------------------------------------------------------------------------------------------
KINDS = {"x": "graphs", "xe": "with e", "xeu": "with e and u"}
MESSAGES = {name: Example(make, KINDS[state]) for name, (make, state) in LAYERS.items()}
ACTIVATIONS = ("ReLU", "LeakyReLU", "ELU", "GELU", "SiLU", "Sigmoid", "Tanh", "Softplus", "Softmax", "LogSoftmax")
BOTH = "graphs and images"

ROWS = {
    **{name.lower(): Example(lambda rng, name=name: getattr(nn, name)(), BOTH) for name in ACTIVATIONS},
    "gcn2 alone": Example(lambda rng: nn.GCN2Conv(3, layer=1, rng=rng)),
    "linear": Example(lambda rng: nn.Linear(3, 2, rng=rng), BOTH),
    "mlp": Example(lambda rng: nn.MLP([3, 4, 2], activation="tanh", dropout=0.5, rng=rng), BOTH),
    "embedding": Example(lambda rng: nn.Embedding(4, 3, rng=rng), "categories"),
    "identity": Example(lambda rng: nn.Identity(), BOTH),
    "lambda": Example(lambda rng: nn.Lambda(lambda g: g.replace(x=g.x[::-1].copy()))),
    "dropout": Example(lambda rng: nn.Dropout(0.5), BOTH),
    "keep features": Example(lambda rng: nn.KeepFeatures("first"), BOTH),
    "batch norm": Example(lambda rng: nn.BatchNorm(3), BOTH),
    "batch norm, all channels alike": Example(lambda rng: nn.BatchNorm(3, affine=False), BOTH),
    "batch norm, center only": Example(lambda rng: nn.BatchNorm(3, center_only=True), BOTH),
    "layer norm": Example(lambda rng: nn.LayerNorm(3), BOTH),
    "layer norm, all channels alike": Example(lambda rng: nn.LayerNorm(3, affine=False), BOTH),
    "layer norm over graphs": Example(lambda rng: nn.LayerNorm(3, over="graph", affine=False), BOTH),
    "rms norm": Example(lambda rng: nn.RMSNorm(3), BOTH),
    "instance norm": Example(lambda rng: nn.InstanceNorm(3), BOTH),
    "graph norm": Example(lambda rng: nn.GraphNorm(3, affine=False), BOTH),
}
WHOLE = {
    "sequential": Example(lambda rng: nn.Sequential(nn.GCNConv(3, 4, rng=rng), nn.Tanh(), nn.GlobalPool("max"))),
    "residual": Example(lambda rng: nn.Residual(nn.Linear(3, 3, rng=rng), norm=nn.LayerNorm(3)), BOTH),
    "dense block": Example(lambda rng: nn.DenseBlock(nn.Linear(3, 2, rng=rng), nn.Tanh()), BOTH),
    "global pool, all channels alike": Example(lambda rng: nn.GlobalPool("sum")),
    "global pool with a shared norm": Example(lambda rng: nn.GlobalPool("sum", head=nn.BatchNorm(3))),
    "on globals": Example(lambda rng: nn.OnGlobals(nn.MLP([2, 3, 2], activation="tanh", rng=rng)), "with u"),
    "egnn": Example(lambda rng: nn.EGNNConv(3, 4, hidden=3, rng=rng)),
    "egnn with edges, still": Example(
        lambda rng: nn.EGNNConv(3, 4, hidden=3, edge_channels=2, update_positions=False, rng=rng), "with e"
    ),
    "schnet": Example(lambda rng: nn.SchNetConv(3, 4, gaussians=5, cutoff=4.0, rng=rng)),
    "molecule model": Example(
        lambda rng: nn.Sequential(
            nn.EGNNConv(3, 4, hidden=3, rng=rng), nn.SchNetConv(4, 3, gaussians=4, rng=rng), nn.GlobalPool("mean")
        )
    ),
    "gin with a shared norm": Example(lambda rng: nn.GINConv(nn.MLP([3, 4, 2], norm="batch", rng=rng))),
    "typed conv": Example(
        lambda rng: nn.TypedConv({key: nn.RelationSAGE((3, 3), 2, rng=rng) for key in RELATIONS}, aggregate="max"),
        within=typed,
    ),
    "typed map": Example(lambda rng: nn.TypedMap({"a": nn.Tanh(), "b": nn.BatchNorm(3)}), within=typed),
    "typed linear": Example(lambda rng: nn.TypedLinear({"a": 3, "b": 3}, 2, rng=rng), within=typed),
    "relation sage": Example(lambda rng: nn.RelationSAGE((3, 3), 2, reducer="max", rng=rng), within=relation),
    "relation gat": Example(lambda rng: nn.RelationGAT((3, 3), 2, heads=2, rng=rng), within=relation),
    "relation program": Example(
        lambda rng: nn.RelationProgram(difference, params={"weight": (3, 2), "shift": (2,)}, rng=rng), within=relation
    ),
}
LINES = {"sequences": "1d", "images": "2d", "volumes": "3d"}
PIXELS = {
    **{
        f"{name.lower()} on {kind}": Example(
            lambda rng, name=name, end=end, options=options: getattr(nn, name + end)(*options, rng=rng), kind
        )
        for kind, end in LINES.items()
        for name, options in (("Conv", (3, 2, 3)), ("DepthwiseConv", (3, 3)), ("ConvTranspose", (3, 2, 3)))
    },
    **{
        f"locallyconnected on {kind}": Example(
            lambda rng, end=end, size=size: getattr(nn, f"LocallyConnected{end}")(3, 2, 3, size=size, rng=rng),
            f"{kind} of one size",
        )
        for (kind, end), size in zip(LINES.items(), [(8,), (8, 8), (4, 4, 6)])
    },
    "conv with a stride": Example(lambda rng: nn.Conv2d(3, 2, 3, stride=2, rng=rng), "images"),
    "conv with a stride per axis": Example(lambda rng: nn.Conv2d(3, 2, 3, stride=(1, 2), rng=rng), "images"),
    "conv, valid": Example(lambda rng: nn.Conv2d(3, 2, 3, padding="valid", rng=rng), "images"),
    "conv, zero border": Example(lambda rng: nn.Conv2d(3, 2, 3, border="zero", rng=rng), "images"),
    "transposed conv with a stride": Example(lambda rng: nn.ConvTranspose2d(3, 2, 3, stride=2, rng=rng), "images"),
    "hex conv": Example(lambda rng: nn.HexConv(3, 2, rng=rng), "hexagons"),
    "isotropic conv": Example(lambda rng: nn.IsotropicConv(3, 2, rng=rng), BOTH),
    "isotropic conv, zero border": Example(lambda rng: nn.IsotropicConv(3, 2, border="zero", rng=rng), "images"),
    "isotropic conv, longer than high": Example(lambda rng: nn.IsotropicConv(3, 2, (3, 5), rng=rng), "images"),
    "max pool": Example(lambda rng: nn.MaxPool(2), "images"),
    "max pool, overlapping": Example(lambda rng: nn.MaxPool(3, stride=1, padding="same"), "images"),
    "max pool with positions": Example(lambda rng: nn.MaxPool(2, positions=True), "images"),
    "mean pool": Example(lambda rng: nn.MeanPool(2), "images"),
    "mean pool, overlapping": Example(lambda rng: nn.MeanPool((3, 5), stride=1, padding="same"), "images"),
    "stride pool": Example(lambda rng: nn.StridePool(2), "images"),
    "max unpool": Example(lambda rng: nn.MaxUnpool(2), "images", unpooled),
    "upsample, nearest": Example(lambda rng: nn.Upsample(2), "images"),
    "upsample, zero": Example(lambda rng: nn.Upsample(2, mode="zero"), "images"),
    "upsample, bilinear": Example(lambda rng: nn.Upsample(2, mode="bilinear"), "images"),
    "upsample, random": Example(lambda rng: nn.Upsample(2, mode="random"), "images"),
    "flatten": Example(lambda rng: nn.Flatten(head=nn.Linear(192, 2, rng=rng)), "images of one size"),
    "lenet": Example(lambda rng: nn.LeNet(3, 2, size=(16, 12), rng=rng), "images of LeNet, of one size"),
    "small cnn": Example(lambda rng: nn.SmallCNN(3, 2, widths=(3, 4), rng=rng), "images"),
    "small cnn, tanh": Example(
        lambda rng: nn.SmallCNN(3, 2, widths=(3, 4), norm="layer", activation="tanh", rng=rng), "images"
    ),
    "resnet": Example(lambda rng: nn.ResNet(3, 2, widths=(3, 4), blocks=1, activation="tanh", rng=rng), "images"),
    "unet": Example(lambda rng: nn.UNet(3, 2, widths=(2, 3), activation="tanh", rng=rng), "images"),
    "unet, bilinear": Example(lambda rng: nn.UNet(3, 2, widths=(2, 3), up="bilinear", norm=None, rng=rng), "images"),
    "convnext block": Example(lambda rng: nn.ConvNeXtBlock(3, 3, rng=rng), "images"),
    "pixels to an image": Example(
        lambda rng: nn.Sequential(nn.Conv2d(3, 3, 3, stride=2, rng=rng), nn.Upsample(2), nn.InstanceNorm(3)), "images"
    ),
}
EXAMPLES: dict[str, Example] = MESSAGES | ROWS | WHOLE | PIXELS


def built(name: str, training: bool = True, seed: int = 0) -> tuple[nn.Module, nn.Module]:
    """The layer of an example, and the module that takes its graphs; every parameter and statistic drawn."""
    rng = np.random.default_rng(seed)
    layer = EXAMPLES[name].make(rng)
    for parameter in layer.parameters():
        parameter.assign(parameter.data + rng.normal(scale=0.4, size=parameter.shape))
    for _, buffer in layer.named_buffers():  # running means and variances
        buffer += rng.uniform(0.0, 0.5, buffer.shape)
    whole = EXAMPLES[name].within(layer)
    return layer, whole.train(training)


def public_layers() -> dict[str, type[nn.Module]]:
    """Every Module class that gnnkit.nn exports."""
    return {name: value for name, value in vars(nn).items() if isinstance(value, type) and issubclass(value, nn.Module)}
