"""Linear maps of features: Linear, MLP, Embedding. May import autodiff, graph and the module base."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit import autodiff
from gnnkit.autodiff import SparseMatrix, Tensor
from gnnkit.errors import DTypeError, InvalidArgumentError, InvalidFeatureError
from gnnkit.graph import Graph
from gnnkit.nn.activations import activation_named
from gnnkit.nn.containers import Sequential
from gnnkit.nn.declared import POINTWISE
from gnnkit.nn.dropout import Dropout
from gnnkit.nn.init import glorot_uniform, normal
from gnnkit.nn.inputs import FeatureModule, as_features, features_of, input_features, layer_name
from gnnkit.nn.module import Module
from gnnkit.nn.parameter import Parameter


class Linear(FeatureModule):
    """Affine map of the features of each node: ``x @ weight + bias``.

    Parameters
    ----------
    in_channels, out_channels : int
        Sizes of the last axis before and after; 0 is legal.
    bias : bool
        Whether to add a bias, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws ``weight`` [in_channels, out_channels], Glorot uniform.
    dtype
        Dtype of the parameters, in which it computes.

    Raises
    ------
    DTypeError
        If the features are integers or booleans.
    ShapeError
        If they have not ``in_channels`` channels.

    Notes
    -----
    ``x`` may be a graph, an array or tensor ``[..., in_channels]``, or a sparse matrix, which stays sparse: only its
    stored values are multiplied.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> layer = gk.nn.Linear(2, 1, rng=0)
    >>> layer.weight.assign([[1.0], [10.0]])
    >>> layer(np.array([[1.0, 2.0]])).numpy()
    array([[21.]], dtype=float32)
    """

    symmetry = POINTWISE

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        self.weight = Parameter(np.zeros((in_channels, out_channels)), dtype=dtype)
        self.bias = Parameter(np.zeros(out_channels), dtype=dtype, decay=0.0) if bias else None
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        self.weight.assign(glorot_uniform(self.weight.shape, rng))
        if self.bias is not None:
            self.bias.assign(np.zeros(self.out_channels))

    def features(self, x: Any, graph: Graph | None) -> Tensor:
        x = input_features(x, self.in_channels, self.weight.dtype, self)
        y = x @ self.weight
        return y if self.bias is None else y + self.bias

    def work(self, graph_in: Any, graph_out: Any) -> float:
        x = as_features(features_of(graph_in))
        stored = x.nnz if isinstance(x, SparseMatrix) else x.size
        rows = np.prod(x.shape[:-1])
        return float(2 * stored * self.out_channels + (rows * self.out_channels if self.bias is not None else 0))


class MLP(Sequential):
    """Multi-layer perceptron on the features of each node: Linear, norm, activation, dropout, ..., Linear.

    Parameters
    ----------
    channels : sequence of int
        ``[in, hidden, ..., out]``, at least two.
    activation : str or Module
        Name ("relu", "elu", "gelu", "tanh", ...) or a module; between the linear layers.
    norm : None, "batch", "layer" or "rms"
        Norm before each activation.
    dropout : float
        Rate after each activation.
    bias : bool
        Whether the linear layers have one.
    rng : None, int or numpy.random.Generator
        Draws the weights.

    Notes
    -----
    It ignores the edges: the baseline that any graph network has to beat.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.nn.MLP([8, 16, 3], activation="elu", dropout=0.5)
    MLP(
      (0): Linear(8, 16)
      (1): ELU()
      (2): Dropout(0.5)
      (3): Linear(16, 3)
    )
    """

    def __init__(
        self,
        channels: Sequence[int],
        *,
        activation: str | Module = "relu",
        norm: str | None = None,
        dropout: float = 0.0,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        from gnnkit.nn.norms import norm_named

        if len(channels) < 2:
            raise InvalidArgumentError(
                f"An MLP needs at least [in, out] channels. Got {list(channels)}. Pass for example [16, 32, 3]."
            )
        rng = np.random.default_rng(rng)
        for position, (fan_in, fan_out) in enumerate(pairwise(channels)):
            self.append(Linear(fan_in, fan_out, bias=bias, rng=rng, dtype=dtype))
            if position == len(channels) - 2:
                break
            if norm is not None:
                self.append(norm_named(norm, fan_out, dtype=dtype))
            self.append(activation_named(activation))
            if dropout:
                self.append(Dropout(dropout))


class Embedding(FeatureModule):
    """A learnt vector for each of ``num_embeddings`` categories: row ``x`` of a table.

    Parameters
    ----------
    num_embeddings : int
        Number of categories; valid values are ``0 .. num_embeddings - 1``.
    channels : int
        Length of each vector.
    rng : None, int or numpy.random.Generator
        Draws ``weight`` [num_embeddings, channels], standard normal.

    Raises
    ------
    DTypeError
        If the categories are not integers.
    InvalidFeatureError
        If one lies outside the range; the first such node is named.

    Notes
    -----
    Categories of any shape ``[...]`` give ``[..., channels]``. The gradient of a row adds up over its occurrences.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> elements = gk.nn.Embedding(10, 4, rng=0)
    >>> elements(np.array([6, 8, 6])).shape
    (3, 4)
    """

    symmetry = POINTWISE

    def __init__(
        self,
        num_embeddings: int,
        channels: int,
        *,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.num_embeddings = check_count("num_embeddings", num_embeddings)
        self.channels = check_count("channels", channels)
        self.weight = Parameter(np.zeros((num_embeddings, channels)), dtype=dtype)
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        self.weight.assign(normal(self.weight.shape, rng))

    def features(self, x: Any, graph: Graph | None) -> Tensor:
        x = as_features(x)
        if isinstance(x, SparseMatrix) or x.dtype.kind not in "iu":
            raise DTypeError(
                f"{layer_name(self)} looks up integer categories. Got x of dtype {x.dtype} and shape {list(x.shape)}. "
                "Pass codes such as np.array([6, 8, 1]), or use gk.nn.Linear for measurements."
            )
        codes = x.data
        bad = np.argwhere((codes < 0) | (codes >= self.num_embeddings))
        if len(bad):
            first = tuple(int(i) for i in bad[0])
            raise InvalidFeatureError(
                f"Categories must lie in 0 .. {self.num_embeddings - 1}. Node {first[0] if first else 0} has "
                f"{codes[first]} ({len(bad)} such values). Recode them, or build the Embedding with more rows."
            )
        rows = autodiff.take_rows(self.weight, codes.reshape(-1))
        return rows.reshape((*codes.shape, self.channels))

    def work(self, graph_in: Any, graph_out: Any) -> float:
        return 0.0  # a look-up moves bytes and computes nothing


def check_count(name: str, value: Any) -> int:
    """Return ``value`` if it is an integer of at least 0; a size that is not would fail far from its cause."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise InvalidArgumentError(
            f"{name} must be an integer of at least 0. Got {value!r}. Pass the number of columns."
        )
    return int(value)
