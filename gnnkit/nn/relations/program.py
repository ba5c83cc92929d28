"""RelationProgram: a message program as the layer of a relation. Imports message."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import Tensor
from gnnkit.errors import InvalidArgumentError, ShapeError
from gnnkit.graph import Relation
from gnnkit.message import MessageProgram, message_program
from gnnkit.nn.init import glorot_uniform
from gnnkit.nn.inputs import input_features
from gnnkit.nn.parameter import Parameter
from gnnkit.nn.relations.base import RelationLayer


class RelationProgram(RelationLayer):
    """A message program of your own as the layer of a relation, with parameters that are trained.

    Parameters
    ----------
    program : message program or function
        Its arguments are some of ``src``, ``dst``, ``edge`` and ``params``: ``src.x`` and ``dst.x`` are the features of
        the two ends, ``edge`` has the fields of the relation, ``params`` the parameters. It returns one value per
        receiver, [channels].
    params : mapping of name to shape, optional
        Parameters to make; one-dimensional ones start at 0 and are not decayed, others are drawn Glorot uniform.
    rng : None, int or numpy.random.Generator
        Draws the parameters.
    dtype
        Dtype of the parameters.

    Notes
    -----
    A model that holds one cannot be saved, as a model file holds no code: write a :class:`RelationLayer` instead and
    pass it to ``load_model(..., classes=[...])``.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> @gk.message_program
    ... def gated(src, edge, params):
    ...     return gk.agg.sum(gk.sigmoid(edge.e) * (src.x @ params.weight))
    >>> layer = gk.nn.RelationProgram(gated, params={"weight": (3, 2)}, rng=0)
    >>> cites = ("paper", "cites", "paper")
    >>> edges = {"senders": [0], "receivers": [1], "e": np.ones((1, 1), "float32")}
    >>> g = gk.typed_graph({"paper": 2}, edges={cites: edges})
    >>> layer(g[cites], np.ones((2, 3), "float32")).shape
    (2, 2)
    """

    def __init__(
        self,
        program: Any,
        *,
        params: Mapping[str, Sequence[int]] | None = None,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.program = program if isinstance(program, MessageProgram) else message_program(program)
        self.param_names = tuple(params or ())
        for name in self.param_names:
            if not name.isidentifier() or hasattr(self, name):
                raise InvalidArgumentError(
                    f"A parameter needs a name that is free. Got {name!r} for a {type(self).__name__}. Choose another."
                )
            shape = tuple((params or {})[name])
            decay = 0.0 if len(shape) < 2 else 1.0
            setattr(self, name, Parameter(np.zeros(shape), dtype=dtype, decay=decay))
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        for name in self.param_names:
            parameter = getattr(self, name)
            drawn = glorot_uniform(parameter.shape, rng) if parameter.ndim > 1 else np.zeros(parameter.shape)
            parameter.assign(drawn)

    @property
    def reads(self) -> tuple[str, ...]:
        """The arguments of the program."""
        return tuple(inspect.signature(self.program.function).parameters)

    @property
    def state(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("x", "e") if "edge" in self.reads else ("x",)

    def messages(self, relation: Relation, sender_x: Any, receiver_x: Any) -> Tensor:
        dtype = next((parameter.dtype for parameter in self.parameters()), None)
        given: dict[str, dict[str, Any]] = {}
        for name, x in (("src", sender_x), ("dst", receiver_x)):
            if name in self.reads:
                given[name] = {} if x is None else {"x": input_features(x, None, dtype, self)}
        if "edge" in self.reads:
            fields = {name: value for name, value in relation.edges.items() if value.dtype.kind in "fbiu"}
            given["edge"] = {name: _converted(value, dtype) for name, value in fields.items()}
        if "params" in self.reads:
            given["params"] = {name: getattr(self, name) for name in self.param_names}
        out = self.program(relation.topology, **given)
        if not isinstance(out, Tensor) or len(out) != relation.topology.num_receivers:
            raise ShapeError(
                "The program of a relation must return one value per receiver, aggregated with gk.agg. "
                f"{self.program!r} returned {getattr(out, 'shape', type(out).__name__)} where there are "
                f"{relation.topology.num_receivers} receivers. Aggregate its result."
            )
        return out

    def extra_repr(self) -> str:
        return getattr(self.program.function, "__name__", "function")


def _converted(value: Any, dtype: np.dtype | None) -> Any:
    """Floating fields in the dtype of the parameters, as every layer takes its input."""
    return value if dtype is None or value.dtype.kind != "f" or value.dtype == dtype else value.astype(dtype)
