"""From the bytes of a file to plain arrays, for every layout in which a data set is stored. No Graph here, no network.

Layout ``"gnnkit"`` (bundled files): npz without pickle with ``edge_index`` [2, num_pairs] (undirected, each pair once);
``y``; sparse features ``x_indptr, x_indices, x_shape`` with ``x_data`` or, packed, ``x_codes, x_table`` and
``x_table_indptr``; ``train_idx`` and the like; further fields as ``node_NAME`` and ``edge_NAME``; ``graph_indptr`` for
a set of graphs.

Layout ``"gnn-benchmark"`` (Shchur et al. 2018): npz with the adjacency ``adj_*`` and the attributes ``attr_*`` as CSR
and ``labels``.

Sets of images: layout ``"images"``, npz with ``images`` [num_images, height, width] uint8 and ``y``; layout
``"mnist"``, npz with ``x_train``, ``y_train``, ``x_test``, ``y_test`` (as Keras publishes it); layout ``"mnist-idx"``,
a compressed tar archive with the four files of LeCun et al. 1998. Imports the error tree and the reader of such
archives.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from gnnkit.datasets.idx import mnist_arrays
from gnnkit.errors import FileFormatError, unknown_name

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class SparseRows:
    """Rows of a sparse matrix in CSR form: ``indptr`` int64, ``indices`` int32 (sorted in a row), ``data`` float32."""

    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray
    shape: tuple[int, int]


@dataclass(frozen=True)
class Content:
    """The arrays of a data set, whatever file they came from.

    ``pairs`` [2, num_pairs] int64 holds each undirected edge once, smaller node first, sorted; ``edges`` are fields
    with one entry per pair. ``graph_ptr`` [num_graphs + 1] int64 cuts the nodes of a set of graphs. A set of images has
    ``images`` [num_images, height, width] uint8 and no pairs: its edges follow from the grid.
    """

    num_nodes: int
    pairs: np.ndarray
    x: SparseRows | None = None
    y: np.ndarray | None = None
    nodes: Mapping[str, np.ndarray] = field(default_factory=dict)
    edges: Mapping[str, np.ndarray] = field(default_factory=dict)
    split: Mapping[str, np.ndarray] = field(default_factory=dict)
    graph_ptr: np.ndarray | None = None
    images: np.ndarray | None = None

    def counts(self) -> tuple[int, int, int]:
        """Nodes, edges in both directions, and features (0 where none are stored)."""
        if self.images is not None:
            _, height, width = self.images.shape
            per_image = (3 * height - 2) * (3 * width - 2)  # every pixel hears itself and its eight neighbours
            return self.num_nodes, len(self.images) * per_image, 1
        return self.num_nodes, 2 * self.pairs.shape[1], self.x.shape[1] if self.x else 0


def decode(data: bytes, *, layout: str, num_nodes: int, name: str) -> Content:
    """Return the arrays in ``data``, the bytes of a file laid out as ``layout``.

    Parameters
    ----------
    data
        The whole file.
    layout
        One of those described at the top.
    num_nodes
        How many nodes the card promises (a file with edges only does not say).
    name
        What to call the file in an error.

    Raises
    ------
    FileFormatError
        If the file is of another kind, is truncated, or lacks an array.
    """
    if layout not in _READERS:
        raise unknown_name("file layout", layout, _READERS)
    is_archive = layout == "mnist-idx"
    try:
        if is_archive:
            return _READERS[layout](mnist_arrays(data), num_nodes)
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return _READERS[layout](arrays, num_nodes)
    except Exception as error:  # numpy, zipfile and tarfile raise a type of their own for each kind of damage
        kind = "a tar archive" if is_archive else "an npz file"
        raise FileFormatError(
            f"'{name}' must be {kind} in the layout {layout!r}. It could not be read ({error}). "
            "Delete it and fetch it again."
        ) from error


def content_sha256(content: Content) -> str:
    """Return a digest of edges, features and labels that does not depend on how the file encodes them.

    Notes
    -----
    sha256 over, in this order: the number of nodes, ``pairs``, the features (row pointers, column numbers, values) and
    the labels; each as a line "name shape", then the values in row-major order as little-endian int64 (values of
    features: float32). For a set of images: over the images (as uint8) and the labels. Two files have the same digest
    exactly when they hold the same graph with the same numbering.
    """
    x = content.x or SparseRows(np.zeros(1), np.empty(0), np.empty(0), (0, 0))
    if content.images is not None:
        return _digest(("images", content.images, "u1"), ("y", _labels(content), "<i8"))
    return _digest(
        ("num_nodes", np.array([content.num_nodes]), "<i8"),
        ("pairs", content.pairs, "<i8"),
        ("x_shape", np.array(x.shape), "<i8"),
        ("x_indptr", x.indptr, "<i8"),
        ("x_indices", x.indices, "<i8"),
        ("x_data", x.data, "<f4"),
        ("y", _labels(content), "<i8"),
    )


def _labels(content: Content) -> np.ndarray:
    return np.empty(0) if content.y is None else content.y


def _digest(*parts: tuple[str, np.ndarray, str]) -> str:
    digest = hashlib.sha256()
    for name, values, dtype in parts:
        digest.update(f"{name} {values.shape}\n".encode())
        digest.update(np.ascontiguousarray(values, dtype=dtype).tobytes())
    return digest.hexdigest()


def _read_gnnkit(arrays: Arrays, num_nodes: int) -> Content:
    x = None
    if "x_indptr" in arrays:
        indptr, indices = arrays["x_indptr"].astype(np.int64), arrays["x_indices"].astype(np.int32)
        data = arrays["x_data"] if "x_data" in arrays else _unpack(arrays, indices)
        x = _sorted_rows(indptr, indices, data.astype(np.float32), arrays["x_shape"])
    nodes = {key.removeprefix("node_"): _field(arrays[key]) for key in arrays if key.startswith("node_")}
    edges = {key.removeprefix("edge_"): _field(arrays[key]) for key in arrays if key.startswith("edge_")}
    pairs = edges.pop("index")
    order = np.lexsort((pairs[1], pairs[0]))  # other writers of this layout may have another order
    return Content(
        num_nodes=num_nodes,
        pairs=pairs[:, order],
        x=x,
        y=arrays["y"].astype(np.int64) if "y" in arrays else None,
        nodes=nodes,
        edges={key: values[order] for key, values in edges.items()},
        split={key.removesuffix("_idx"): arrays[key].astype(np.int64) for key in _splits(arrays)},
        graph_ptr=arrays["graph_indptr"].astype(np.int64) if "graph_indptr" in arrays else None,
    )


def _read_gnn_benchmark(arrays: Arrays, num_nodes: int) -> Content:
    # The archive may hold names as pickled objects too. An npz opens each array by itself, so they are never touched.
    indptr, senders = arrays["adj_indptr"].astype(np.int64), arrays["adj_indices"].astype(np.int64)
    receivers = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    keep = (arrays["adj_data"] != 0) & (senders != receivers)
    low, high = np.minimum(senders, receivers)[keep], np.maximum(senders, receivers)[keep]
    num_nodes = len(indptr) - 1
    codes = np.unique(low * num_nodes + high)
    return Content(
        num_nodes=num_nodes,
        pairs=np.stack([codes // num_nodes, codes % num_nodes]),
        x=_sorted_rows(
            arrays["attr_indptr"].astype(np.int64),
            arrays["attr_indices"].astype(np.int32),
            arrays["attr_data"].astype(np.float32),
            arrays["attr_shape"],
        ),
        y=arrays["labels"].astype(np.int64),
    )


def _read_images(arrays: Arrays, num_nodes: int) -> Content:
    return _images(arrays["images"], arrays["y"], {})


def _read_mnist(arrays: Arrays, num_nodes: int) -> Content:
    train, test = arrays["x_train"], arrays["x_test"]
    order = np.arange(len(train) + len(test))
    split = {"train": order[: len(train)], "test": order[len(train) :]}
    return _images(np.concatenate([train, test]), np.concatenate([arrays["y_train"], arrays["y_test"]]), split)


def _images(images: np.ndarray, y: np.ndarray, split: dict[str, np.ndarray]) -> Content:
    if images.dtype != np.uint8 or images.ndim != 3 or y.shape != images.shape[:1]:
        raise ValueError(f"images must be uint8 [n, height, width] with n labels, not {images.dtype} {images.shape}")
    no_pairs = np.zeros((2, 0), np.int64)
    return Content(num_nodes=images.size, pairs=no_pairs, y=y.astype(np.int64), split=split, images=images)


_READERS: dict[str, Callable[[Arrays, int], Content]] = {
    "gnnkit": _read_gnnkit,
    "gnn-benchmark": _read_gnn_benchmark,
    "images": _read_images,
    "mnist": _read_mnist,
    "mnist-idx": _read_mnist,
}


def _unpack(arrays: Arrays, indices: np.ndarray) -> np.ndarray:
    """Return the values behind ``x_codes``: each is a place in the table of its column."""
    return arrays["x_table"][arrays["x_table_indptr"][indices] + arrays["x_codes"]]


def _sorted_rows(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, shape: np.ndarray) -> SparseRows:
    """Return the matrix in canonical form: columns ascending within a row, no stored zeros."""
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    if not data.all():
        stored = data != 0
        rows, indices, data = rows[stored], indices[stored], data[stored]
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(indptr) - 1))])
    ascending = (np.diff(indices) > 0) | (np.diff(rows) > 0)
    if not ascending.all():
        order = np.lexsort((indices, rows))
        indices, data = indices[order], data[order]
    return SparseRows(indptr, indices, data, (int(shape[0]), int(shape[1])))


def _splits(arrays: Arrays) -> list[str]:
    return [key for key in ("train_idx", "val_idx", "test_idx") if key in arrays]


def _field(values: np.ndarray) -> np.ndarray:
    return values.astype(np.int64) if values.dtype.kind in "iu" else values
