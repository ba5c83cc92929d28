"""Modules made of modules: Sequential, ModuleList, Residual, DenseBlock, Lambda, Identity. Imports autodiff, graph."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, overload

import numpy as np

from gnnkit.errors import InvalidArgumentError, ShapeError
from gnnkit.graph import Graph
from gnnkit.nn.declared import POINTWISE, UNKNOWN, Symmetry, composed, declared_by, together
from gnnkit.nn.dropout import joins
from gnnkit.nn.inputs import as_features, layer_name, require_dense
from gnnkit.nn.module import Module


class _Numbered(Module):
    # Children are attributes named "0", "1", ...: they give state names such as "0.weight".

    _argument: ClassVar[str]  # of the constructor, which takes the items

    def append(self, module: Module) -> None:
        """Add ``module`` at the end."""
        self._check(module, len(self))
        setattr(self, str(len(self)), module)

    def _check(self, module: Any, position: int) -> None:
        if not isinstance(module, Module):
            raise InvalidArgumentError(
                f"{type(self).__name__} holds modules. Got {type(module).__name__} at position {position}. "
                "Wrap a function in gk.nn.Lambda(function), and a class in a call: gk.nn.ReLU()."
            )

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Module]:
        # A subclass may hold other modules beside its items, under names of their own.
        return (module for name, module in self.children() if name.isdigit())

    def arguments(self) -> dict[str, Any]:
        if type(self).__init__ in (Sequential.__init__, ModuleList.__init__):
            return {self._argument: tuple(self)}  # what it holds now, which append or assignment may have changed
        return super().arguments()

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> _Numbered: ...
    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            return self._again(list(self)[index])
        return getattr(self, str(range(len(self))[index]))

    def __setitem__(self, index: int, module: Module) -> None:
        self._check(module, index)
        setattr(self, str(range(len(self))[index]), module)

    def _again(self, modules: list[Module]) -> _Numbered:
        raise NotImplementedError


class Sequential(_Numbered):
    """Apply modules one after the other.

    Parameters
    ----------
    *layers : Module
        Each maps a graph to a graph, or features to features.

    Notes
    -----
    Without layers it returns what it is given. The same module may appear twice: its weights are then shared, also
    after saving and loading. While training, an ELU and the Dropout behind it are one pass over the values.

    Examples
    --------
    >>> import gnnkit as gk
    >>> model = gk.nn.Sequential(gk.nn.Linear(4, 8), gk.nn.ReLU(), gk.nn.Linear(8, 2, bias=False))
    >>> model
    Sequential(
      (0): Linear(4, 8)
      (1): ReLU()
      (2): Linear(8, 2, bias=False)
    )
    >>> len(model), model[-1], model[:2].num_parameters
    (3, Linear(8, 2, bias=False), 40)
    """

    _argument = "layers"

    def __init__(self, *layers: Module) -> None:
        for layer in layers:
            self.append(layer)

    def forward(self, value: Any) -> Any:
        layers = deque[Any](self)
        while layers:
            layer = layers.popleft()
            if layers and joins(layer, layers[0]):
                value = layer.then_dropout(value, layers.popleft())
            else:
                value = layer(value)
        return value

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        return composed(self)

    def _again(self, modules: list[Module]) -> Sequential:
        return Sequential(*modules)


class ModuleList(_Numbered):
    """A list of modules that is seen by ``parameters()``, ``state_dict()`` and saving. It is not callable.

    Parameters
    ----------
    modules : iterable of Module
        Its items.

    Examples
    --------
    >>> import gnnkit as gk
    >>> heads = gk.nn.ModuleList([gk.nn.Linear(4, 1) for _ in range(3)])
    >>> [name for name, _ in heads.named_parameters()][:3]
    ['0.weight', '0.bias', '1.weight']
    """

    _argument = "modules"
    symmetry = UNKNOWN  # whoever calls its items knows how they act together

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        modules = tuple(modules)
        if type(self).__init__ is ModuleList.__init__:
            vars(self)["_arguments"] = ((modules,), {})  # a generator would be spent, and could not be copied
        for module in modules:
            self.append(module)

    def forward(self, *inputs: Any) -> Any:
        raise InvalidArgumentError(
            "A ModuleList only holds modules. It was called as if it were a layer. "
            "Loop over it in your forward, or use gk.nn.Sequential to apply its items in order."
        )

    def _again(self, modules: list[Module]) -> ModuleList:
        return ModuleList(modules)


class Identity(Module):
    """Return what it is given.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.nn.Identity()("anything")
    'anything'
    """

    symmetry = POINTWISE | {"channels": "equivariant"}

    def forward(self, value: Any) -> Any:
        return value

    def work(self, graph_in: Any, graph_out: Any) -> float:
        return 0.0


class Lambda(Module):
    """Apply a function to whatever comes: a graph, an array or a tensor.

    Parameters
    ----------
    function : callable
        Takes and returns one value.

    Notes
    -----
    It promises no symmetry. A model that holds one cannot be saved, as a model file holds no code: write a Module
    subclass instead and pass it to ``load_model(..., classes=[...])``.

    Examples
    --------
    >>> import gnnkit as gk
    >>> drop_edge_state = gk.nn.Lambda(lambda g: g.without("e"))
    """

    symmetry = UNKNOWN

    def __init__(self, function: Callable[[Any], Any]) -> None:
        if not callable(function):
            raise InvalidArgumentError(
                f"Lambda needs a function of one value. Got {type(function).__name__}. Pass lambda value: ..."
            )
        self.function = function

    def forward(self, value: Any) -> Any:
        return self.function(value)

    def extra_repr(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)


class Residual(Module):
    """Add the input to the output of a module: ``x + inner(x)``, on the node features.

    Parameters
    ----------
    inner : Module
        The branch.
    projection : Module, optional
        Applied to the input before the addition, for a branch that changes the channels (a Linear) or the pixels (a
        pooling or convolution over the same windows).
    norm : Module, optional
        Where it stands says ``norm_first``.
    norm_first : bool
        True, the pre-norm form: ``projection(x) + inner(norm(x))``; the sum itself is never normalised, so that deep
        nets start close to the identity. False, the post-norm form: ``norm(projection(x) + inner(x))``.

    Raises
    ------
    ShapeError
        If the two summands differ in shape.

    References
    ----------
    He et al., Deep residual learning for image recognition, CVPR 2016; Identity mappings in deep residual networks,
    ECCV 2016.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.nn.Residual(gk.nn.ReLU())(np.array([[-1.0, 2.0]])).numpy()
    array([[-1.,  4.]])
    >>> before = gk.nn.Residual(gk.nn.Linear(8, 8), norm=gk.nn.LayerNorm(8))
    >>> after = gk.nn.Residual(gk.nn.Linear(8, 8), norm=gk.nn.LayerNorm(8), norm_first=False)
    """

    def __init__(
        self,
        inner: Module,
        projection: Module | None = None,
        *,
        norm: Module | None = None,
        norm_first: bool = True,
    ) -> None:
        self.inner = inner
        self.projection = projection
        self.norm = norm
        self.norm_first = bool(norm_first)

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        norm = [] if self.norm is None else [self.norm]
        branch = composed([*norm, self.inner] if self.norm_first else [self.inner])
        skip = declared_by(Identity if self.projection is None else self.projection)
        total = together([branch, skip])
        return total if self.norm_first else composed([total, *norm])

    def forward(self, value: Any) -> Any:
        before = self.norm if self.norm_first else None
        output = self.inner(value if before is None else before(value))
        skipped = value if self.projection is None else self.projection(value)
        branch, skip = as_features(output), as_features(skipped)
        if branch.shape != skip.shape:
            raise _unequal_summands(branch.shape, skip.shape)
        total = require_dense(skip, self) + require_dense(branch, self)
        result = output.replace(x=total) if isinstance(output, Graph) else total
        return result if self.norm is None or self.norm_first else self.norm(result)


def _unequal_summands(branch: tuple[int, ...], skip: tuple[int, ...]) -> ShapeError:
    advice = f"Pass projection=gk.nn.Linear({skip[-1]}, {branch[-1]})"
    if branch[0] != skip[0]:  # another grid
        like = f"gk.nn.Conv2d({skip[-1]}, {branch[-1]}, 3, stride=2)"
        advice = f"Pass as projection what has the windows of the branch, such as {like}"
    return ShapeError(
        f"A residual adds two equal shapes. The branch gave {list(branch)} and the input has {list(skip)}. {advice}."
    )


class DenseBlock(Sequential):
    """Layers that each see all that came before: layer ``k`` gets the outputs of all earlier ones and the input.

    ``x_k = layer_k([x_0, x_1, ..., x_{k-1}])``, joined along the channels, and the result is ``[x_0, ..., x_n]``.

    Parameters
    ----------
    *layers : Module
        Layer ``k`` takes the channels of the input and of all layers before it, and keeps the nodes.

    Raises
    ------
    ShapeError
        If a layer changes the nodes: what has other rows cannot be joined.

    Notes
    -----
    Without layers it returns what it is given. Other fields of the graph are those that the last layer returned.

    References
    ----------
    Huang et al., Densely connected convolutional networks, CVPR 2017.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> block = gk.nn.DenseBlock(gk.nn.Linear(3, 4, rng=0), gk.nn.Linear(7, 4, rng=1))
    >>> block(np.ones((5, 3), "float32")).shape
    (5, 11)
    """

    def forward(self, value: Any) -> Any:
        for layer in self:
            output = layer(value)
            known, new = require_dense(as_features(value), self), require_dense(as_features(output), self)
            if known.shape[:-1] != new.shape[:-1]:
                raise ShapeError(
                    f"The layers of a DenseBlock keep the nodes, as their outputs are joined along the channels. "
                    f"{layer_name(layer)} got {list(known.shape)} and gave {list(new.shape)}. "
                    "Put what changes the grid between two blocks."
                )
            joined = np.concatenate([known, new], axis=-1)
            value = output.replace(x=joined) if isinstance(output, Graph) else joined
        return value

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        return composed(self).without("channels")  # of the input and of each layer, one after another

    def _again(self, modules: list[Module]) -> DenseBlock:
        return DenseBlock(*modules)
