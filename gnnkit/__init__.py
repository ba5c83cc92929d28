"""gnnkit: a graph-first message-passing framework for Python. This file is the public door.

``import gnnkit as gk`` is light: layers, training, data sets and plots load when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gnnkit import errors as errors
from gnnkit.graph import Graph as Graph
from gnnkit.graph import Topology as Topology
from gnnkit.graph import batch as batch
from gnnkit.graph import from_edges as from_edges
from gnnkit.graph import unbatch as unbatch

__version__ = "0.1.0"

_LAZY_PACKAGES = ("autodiff", "graph", "kernels", "message", "nn", "learn", "datasets", "plot", "cli")


def __getattr__(name: str) -> Any:
    if name in _LAZY_PACKAGES:
        return importlib.import_module(f"gnnkit.{name}")
    raise AttributeError(f"module 'gnnkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY_PACKAGES])
