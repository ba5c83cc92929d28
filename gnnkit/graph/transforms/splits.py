"""Who trains, who validates, who tests: boolean masks drawn from a generator, ready for ``g.replace(nodes=...)``."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnkit.errors import DTypeError, InvalidArgumentError, ShapeError
from gnnkit.graph.checks import as_count

Masks = dict[str, np.ndarray]
Rng = None | int | np.random.Generator


def random_split(
    num_nodes: int,
    *,
    train: float | int = 0.8,
    val: float | int = 0.1,
    test: float | int | None = None,
    rng: Rng = None,
) -> Masks:
    """Draw disjoint sets of nodes at random.

    Parameters
    ----------
    num_nodes : int
    train, val, test : int or float
        Counts (int), or shares of the nodes (float from 0 to 1, rounded to the nearest count). ``test=None``: the rest.
    rng : None, int or numpy.random.Generator

    Returns
    -------
    dict
        "train_mask", "val_mask", "test_mask": boolean [num_nodes].

    Raises
    ------
    InvalidArgumentError
        When the sets together are more than the nodes.

    Examples
    --------
    >>> import gnnkit as gk
    >>> masks = gk.transforms.random_split(10, train=6, val=0.2, rng=0)
    >>> {name: int(mask.sum()) for name, mask in masks.items()}
    {'train_mask': 6, 'val_mask': 2, 'test_mask': 2}
    """
    num_nodes = as_count(num_nodes, "num_nodes")
    sizes = [_size(share, num_nodes, name) for name, share in (("train", train), ("val", val))]
    rest = num_nodes - sum(sizes)
    sizes.append(max(rest, 0) if test is None else _size(test, num_nodes, "test"))
    # Shares that add up to 1 may round up to one node too many: the last one gives it back.
    last, share = (1, val) if test is None else (2, test)
    if isinstance(share, (float, np.floating)) and sum(sizes) == num_nodes + 1:
        sizes[last] -= 1
    if sum(sizes) > num_nodes:
        raise InvalidArgumentError(
            f"train, val and test together must be at most num_nodes={num_nodes}. "
            f"Got {sizes[0]} + {sizes[1]} + {sizes[2]} = {sum(sizes)}. Make one smaller."
        )
    return _masks(np.random.default_rng(rng).permutation(num_nodes), sizes, num_nodes)


def per_class_split(y: Any, *, per_class: int = 20, val: int = 500, test: int = 1000, rng: Rng = None) -> Masks:
    """Draw ``per_class`` training nodes of every class, then validation and test nodes from the others.

    Parameters
    ----------
    y : integers [num_nodes]
        Class of every node; negative: unlabelled, in none of the sets.
    per_class, val, test : int
    rng : None, int or numpy.random.Generator

    Returns
    -------
    dict
        "train_mask", "val_mask", "test_mask": boolean [num_nodes].

    Raises
    ------
    InvalidArgumentError
        When a class has too few nodes (the text names it), or too few nodes are left.

    Notes
    -----
    The protocol of the citation benchmarks (20 per class, 500, 1000), with nodes of your own draw.

    Examples
    --------
    >>> import gnnkit as gk
    >>> masks = gk.transforms.per_class_split([0, 0, 1, 1, 1, 0], per_class=1, val=2, test=2, rng=0)
    >>> {name: int(mask.sum()) for name, mask in masks.items()}
    {'train_mask': 2, 'val_mask': 2, 'test_mask': 2}
    """
    labels = _labels(y)
    per_class, val, test = as_count(per_class, "per_class"), as_count(val, "val"), as_count(test, "test")
    classes, counts = np.unique(labels[labels >= 0], return_counts=True)
    if (counts < per_class).any():
        first = int(np.argmax(counts < per_class))
        raise InvalidArgumentError(
            f"Every class must have at least per_class={per_class} nodes. Class {classes[first]} has {counts[first]}. "
            "Lower per_class."
        )
    generator = np.random.default_rng(rng)
    shuffled = generator.permutation(np.flatnonzero(labels >= 0))
    by_class = [shuffled[labels[shuffled] == each] for each in classes]
    none = np.zeros(0, np.int64)
    train = np.concatenate([none, *(nodes[:per_class] for nodes in by_class)])
    rest = generator.permutation(np.concatenate([none, *(nodes[per_class:] for nodes in by_class)]))
    if val + test > len(rest):
        raise InvalidArgumentError(
            f"val and test must fit in the {len(rest)} labelled nodes that are left. Got {val} + {test}. Lower one."
        )
    return _masks(np.concatenate([train, rest]), [len(train), val, test], len(labels))


def _size(share: float | int, num_nodes: int, name: str) -> int:
    if isinstance(share, (float, np.floating)):
        if not 0 <= share <= 1:
            raise InvalidArgumentError(
                f"A share must lie between 0.0 and 1.0. Got {name}={share!r}. Give a share, or an integer count."
            )
        return int(np.floor(share * num_nodes + 0.5))
    return as_count(share, name)


def _labels(y: Any) -> np.ndarray:
    labels = np.asarray(y)
    if labels.ndim != 1:
        raise ShapeError(
            f"Labels must be one class per node, shape [num_nodes]. Got shape {labels.shape}. "
            "Use y.argmax(1) for one-hot labels."
        )
    if labels.dtype.kind not in "iu" and labels.size:
        raise DTypeError(
            f"Labels must be integers, one per class. Got dtype {labels.dtype}. "
            "Use np.unique(y, return_inverse=True)[1] for names."
        )
    return labels


def _masks(order: np.ndarray, sizes: list[int], num_nodes: int) -> Masks:
    masks, start = {}, 0
    for name, size in zip(("train_mask", "val_mask", "test_mask"), sizes):
        mask = np.zeros(num_nodes, bool)
        mask[order[start : start + size]] = True
        masks[name], start = mask, start + size
    return masks
