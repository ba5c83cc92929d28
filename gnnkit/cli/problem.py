"""From what was typed to what is learnt: a graph with features, classes, and who is trained and tested on.

Imports graph, datasets and the files beside it. Data sets bring their published split; a person's own graph is split
by a column of theirs, or at random with every class in every part.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np

from gnnkit.cli.readers import Files, is_graph_file, read, refuse_edge_list
from gnnkit.cli.recipe import Recipe, write_recipe
from gnnkit.cli.tables import NodeTable
from gnnkit.errors import InvalidArgumentError, InvalidFeatureError, UnknownNameError
from gnnkit.graph import Graph

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Columns:
    """The columns of an own graph that a person named."""

    label: str | None = None
    features: list[str] = field(default_factory=list)
    one_hot: list[str] = field(default_factory=list)
    split: str | None = None
    scale: str = "standard"

    def is_named(self) -> bool:
        return bool(self.label or self.features or self.one_hot or self.split or self.scale != "standard")


@dataclass(frozen=True)
class Shares:
    """How to split at random: shares of the labelled nodes, drawn by ``seed``."""

    val: float = 0.2
    test: float = 0.2
    seed: int = 0


@dataclass(frozen=True)
class Problem:
    """A graph with features ``x``, labels as codes (-1: none), and the nodes of each part.

    ``dataset`` is None for an own graph; ``recipe`` and ``columns`` are None for a data set.
    """

    name: str
    graph: Graph
    y: np.ndarray
    classes: list[str]
    masks: dict[str, np.ndarray]
    protocol: str
    dataset: str | None = None
    files: Files | None = None
    recipe: Recipe | None = None
    label: str | None = None
    node_names: Sequence[Hashable] | None = None

    def counts(self) -> dict[str, int]:
        return {part: int(self.masks[part].sum()) for part in PARTS}


def load_problem(files: Files, columns: Columns, shares: Shares) -> Problem:
    """Load what ``gnnkit train`` was asked to learn."""
    if files.graph is None and files.edges is None:
        raise InvalidArgumentError(
            "Something to train on must be named. Got neither a GRAPH nor --edges. "
            "Try: gnnkit train cora, or see the examples of: gnnkit train --help"
        )
    if files.graph is not None:
        refuse_edge_list(files.graph, "train")
    if files.edges is None and files.graph is not None and not is_graph_file(files.graph):
        return dataset_problem(files, columns, shares)
    return own_problem(files, columns, shares)


def dataset_problem(files: Files, columns: Columns, shares: Shares) -> Problem:
    assert files.graph is not None
    if columns.is_named() or files != Files(graph=files.graph):
        raise InvalidArgumentError(
            f"A data set has its own features, labels and edges. Got {files.graph!r} together with options for your "
            "own graph (--label, --features, --nodes ...). Drop them, or name a file instead of the data set."
        )
    name, graph = load_dataset(files.graph)
    from gnnkit import datasets

    card = datasets.card(name)
    missing = [field for field in ("x", "y") if field not in graph.nodes]
    if missing:
        raise InvalidArgumentError(
            f"Training needs features and labels of nodes. The data set {name!r} has no {' and no '.join(missing)}. "
            "Choose one with the task 'node classification': gnnkit data list"
        )
    y = np.asarray(graph.nodes["y"])
    classes = list(card.class_names) or [str(k) for k in range(int(y.max()) + 1)]
    if "train_mask" in graph.nodes:
        no_shares(shares, f"The data set {name!r} has a published split")
        masks = {part: np.asarray(graph.nodes.get(f"{part}_mask", np.zeros(len(y), bool))) for part in PARTS}
        protocol = "public split"
    else:
        masks, protocol = random_masks(y, classes, shares)
    return Problem(name, graph, y, classes, masks, protocol, dataset=name)


def load_dataset(text: str) -> tuple[str, Graph]:
    """Return the proper name and the graph of a data set; the error for an unknown one also explains files."""
    from gnnkit import datasets

    try:
        card = datasets.card(text)
    except UnknownNameError as error:
        raise UnknownNameError(
            f"{error} (A file must end in .graphml, .gml or .gexf, or be given with --edges.)"
        ) from None
    if card.num_graphs > 1:
        what, advice = "graphs", "See examples/molecules.py for whole graphs."
        if card.holds_images:
            what, advice = "images", f"Use gk.ImageClassifier with gk.datasets.load_images({card.name!r})."
        raise InvalidArgumentError(
            f"This command classifies the nodes of one graph. {card.name!r} is a set of {card.num_graphs} {what} "
            f"({card.task}). {advice}"
        )
    graph = datasets.load(card.name)
    assert isinstance(graph, Graph)
    return card.name, graph


def own_problem(files: Files, columns: Columns, shares: Shares) -> Problem:
    graph, table = read(files)
    if columns.label is None:
        have = f"{table.where} has the columns: {', '.join(table.columns)}" if table.columns else (
            f"{table.where} has no columns; labels come from a table of nodes (--nodes FILE --id COLUMN)"
        )  # fmt: skip
        raise InvalidArgumentError(
            f"The column with the classes must be named. Got no --label; {have}. Add --label COLUMN."
        )
    y, classes = table.labels(columns.label)
    for column in (columns.label, columns.split):
        if column is not None and column in (*columns.features, *columns.one_hot):
            raise InvalidArgumentError(
                f"What is to be predicted cannot be a feature. Got {column!r} as label or split and as a feature. "
                "Name it once."
            )
    # A pattern such as '*' must not reach the answer either.
    hidden = (columns.label, columns.split)
    visible = NodeTable(table.names, {k: v for k, v in table.columns.items() if k not in hidden}, table.where)
    recipe = write_recipe(graph, visible, features=columns.features, one_hot=columns.one_hot, scale=columns.scale)
    if columns.split is not None:
        no_shares(shares, f"The column {columns.split!r} of --split says who is in which part")
        masks, protocol = column_masks(table, columns.split, y), f"split by column {columns.split!r}"
    else:
        masks, protocol = random_masks(y, classes, shares)
    return Problem(
        name=table.where if files.graph is None else str(files.graph),
        graph=graph.replace(x=recipe.features(graph, visible)),
        y=y,
        classes=classes,
        masks=masks,
        protocol=protocol,
        files=files,
        recipe=recipe,
        label=columns.label,
        node_names=table.names,
    )


def no_shares(shares: Shares, why: str) -> None:
    """Refuse shares where nothing is split at random."""
    if shares != Shares():
        raise InvalidArgumentError(
            f"{why}. Got --val-share {shares.val}, --test-share {shares.test}, --split-seed {shares.seed}, which are "
            "for a random split. Leave them out."
        )


def column_masks(table: NodeTable, column: str, y: np.ndarray) -> dict[str, np.ndarray]:
    """Return the parts that a column says: train, val or test; empty for none."""
    codes = table.codes(column, PARTS, "part", "Write train, val, test, or nothing.")
    masks = {part: codes == k for k, part in enumerate(PARTS)}
    for part in ("train", "test"):
        if not masks[part].any():
            raise InvalidFeatureError(
                f"Some nodes must be in the part {part!r}. The column {column!r} of {table.where} has none. "
                "Write it there."
            )
    unlabelled = np.flatnonzero((codes >= 0) & (y < 0))
    if len(unlabelled):
        raise InvalidFeatureError(
            f"A node in train, val or test must have a label. Node {table.names[unlabelled[0]]!r} of {table.where} has "
            f"none and is in {PARTS[codes[unlabelled[0]]]!r}. Fill in its label, or leave its {column!r} empty."
        )
    return masks


def random_masks(y: np.ndarray, classes: list[str], shares: Shares) -> tuple[dict[str, np.ndarray], str]:
    """Split the labelled nodes at random, class by class; every class keeps at least one node for training."""
    if not (0 <= shares.val < 1 and 0 < shares.test < 1 and shares.val + shares.test < 1):
        raise InvalidArgumentError(
            f"The shares of validation and test must leave something to train on. Got --val-share {shares.val} and "
            f"--test-share {shares.test}. Choose two numbers whose sum is below 1, the second above 0."
        )
    rng = np.random.default_rng(shares.seed)
    masks = {part: np.zeros(len(y), bool) for part in PARTS}
    for code in range(len(classes)):
        members = rng.permutation(np.flatnonzero(y == code))
        if not len(members):
            continue
        num_test, num_val = round(shares.test * len(members)), round(shares.val * len(members))
        num_val = min(num_val, max(len(members) - num_test - 1, 0))
        num_test = min(num_test, len(members) - num_val - 1)
        masks["test"][members[:num_test]] = True
        masks["val"][members[num_test : num_test + num_val]] = True
        masks["train"][members[num_test + num_val :]] = True
    if not masks["test"].any():
        raise InvalidFeatureError(
            f"Some nodes must be left for the test, and one of every class for training. Got {int((y >= 0).sum())} "
            f"labelled nodes of {len(classes)} classes, which leaves none for --test-share {shares.test}. Check that "
            "the labels are classes, label more nodes, or name the parts yourself with --split."
        )
    kept = 1 - shares.val - shares.test
    protocol = f"random split by class, {kept:.0%} / {shares.val:.0%} / {shares.test:.0%}, split seed {shares.seed}"
    return masks, protocol
