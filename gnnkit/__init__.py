"""gnnkit: a graph-first message-passing framework for Python. This file is the public door.

``import gnnkit as gk`` is light: layers, training, data sets and plots load when first used.
"""

from __future__ import annotations

import importlib as _importlib
import typing as _typing

from gnnkit import errors as errors
from gnnkit.autodiff import SparseMatrix as SparseMatrix
from gnnkit.autodiff import Tensor as Tensor
from gnnkit.autodiff import assert_gradients as assert_gradients
from gnnkit.autodiff import cross_entropy_rows as cross_entropy_rows
from gnnkit.autodiff import defvjp as defvjp
from gnnkit.autodiff import dropout as dropout
from gnnkit.autodiff import elu as elu
from gnnkit.autodiff import gelu as gelu
from gnnkit.autodiff import grad as grad
from gnnkit.autodiff import gradcheck as gradcheck
from gnnkit.autodiff import is_grad_enabled as is_grad_enabled
from gnnkit.autodiff import leaky_relu as leaky_relu
from gnnkit.autodiff import log_softmax as log_softmax
from gnnkit.autodiff import logsumexp as logsumexp
from gnnkit.autodiff import no_grad as no_grad
from gnnkit.autodiff import primitive as primitive
from gnnkit.autodiff import relu as relu
from gnnkit.autodiff import scatter_add as scatter_add
from gnnkit.autodiff import sigmoid as sigmoid
from gnnkit.autodiff import silu as silu
from gnnkit.autodiff import softmax as softmax
from gnnkit.autodiff import softplus as softplus
from gnnkit.autodiff import sparse_matmul as sparse_matmul
from gnnkit.autodiff import take_rows as take_rows
from gnnkit.autodiff import tanh as tanh
from gnnkit.autodiff import tape as tape
from gnnkit.autodiff import tensor as tensor
from gnnkit.autodiff import value_and_grad as value_and_grad
from gnnkit.graph import Graph as Graph
from gnnkit.graph import Grid as Grid
from gnnkit.graph import GridTopology as GridTopology
from gnnkit.graph import Stencil as Stencil
from gnnkit.graph import Topology as Topology
from gnnkit.graph import TypedGraph as TypedGraph
from gnnkit.graph import batch as batch
from gnnkit.graph import complete as complete
from gnnkit.graph import cycle as cycle
from gnnkit.graph import empty as empty
from gnnkit.graph import from_edges as from_edges
from gnnkit.graph import from_grid_array as from_grid_array
from gnnkit.graph import from_homogeneous as from_homogeneous
from gnnkit.graph import from_image as from_image
from gnnkit.graph import from_networkx as from_networkx
from gnnkit.graph import from_networkx_typed as from_networkx_typed
from gnnkit.graph import from_pandas as from_pandas
from gnnkit.graph import from_scipy as from_scipy
from gnnkit.graph import from_sequence as from_sequence
from gnnkit.graph import from_superpixels as from_superpixels
from gnnkit.graph import from_volume as from_volume
from gnnkit.graph import grid as grid
from gnnkit.graph import path as path
from gnnkit.graph import star as star
from gnnkit.graph import to_image as to_image
from gnnkit.graph import to_networkx as to_networkx
from gnnkit.graph import to_pandas as to_pandas
from gnnkit.graph import to_scipy as to_scipy
from gnnkit.graph import transforms as transforms
from gnnkit.graph import typed_graph as typed_graph
from gnnkit.graph import unbatch as unbatch
from gnnkit.kernels import batch_invariant as batch_invariant
from gnnkit.kernels import exact_sums as exact_sums

__version__ = "0.1.0"

_LAZY_PACKAGES = ("autodiff", "graph", "kernels", "message", "symmetry", "nn", "learn", "datasets", "plot", "cli")

_LAZY_NAMES = {
    "agg": "message",
    "message_passing": "message",
    "message_program": "message",
    "fit": "learn",
    "ImageClassifier": "learn",
    "NodeClassifier": "learn",
    "NodeRegressor": "learn",
    "PixelClassifier": "learn",
}

if _typing.TYPE_CHECKING:
    from gnnkit.learn import ImageClassifier as ImageClassifier
    from gnnkit.learn import NodeClassifier as NodeClassifier
    from gnnkit.learn import NodeRegressor as NodeRegressor
    from gnnkit.learn import PixelClassifier as PixelClassifier
    from gnnkit.learn import fit as fit
    from gnnkit.message import agg as agg
    from gnnkit.message import message_passing as message_passing
    from gnnkit.message import message_program as message_program


def __getattr__(name: str) -> _typing.Any:
    if name in _LAZY_PACKAGES:
        return _importlib.import_module(f"gnnkit.{name}")
    if name in _LAZY_NAMES:
        return getattr(_importlib.import_module(f"gnnkit.{_LAZY_NAMES[name]}"), name)
    raise AttributeError(f"module 'gnnkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    hidden = ("annotations", "files")  # a future statement and a helper of ours
    own = [name for name in globals() if name not in hidden and (name[0] != "_" or name.startswith("__"))]
    return sorted({*own, *_LAZY_PACKAGES, *_LAZY_NAMES})
