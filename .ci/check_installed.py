"""Run by the interpreter of a fresh environment: the wheel, not the checkout, loads its bundled graphs.

Usage: python -I check_installed.py CHECKOUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import gnnkit as gk


def main() -> None:
    checkout = Path(sys.argv[1]).resolve()
    package = Path(gk.__file__).resolve().parent
    if package.is_relative_to(checkout):
        sys.exit(f"gnnkit must come from the installed wheel. It came from the checkout: {package}.")
    if not (package / "py.typed").is_file():
        sys.exit(f"the wheel must carry py.typed. {package} has none.")
    graph = gk.datasets.load("cora")
    counts = (graph.num_nodes, graph.num_edges, graph.x.shape[1])
    if counts != (2708, 10556, 1433):
        sys.exit(f"Cora must have 2708 nodes, 10556 directed edges and 1433 features. The wheel's copy has {counts}.")
    print(f"gnnkit {gk.__version__} from {package.parent.name}: cora {counts}")


if __name__ == "__main__":
    main()
