"""Module: the base of every layer and model. May import autodiff (through Parameter) and the error tree.

A module is a plain Python object. Its parameters, buffers and sub-modules are the attributes that hold them, found by
looking, so there is nothing to register and no base constructor to call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from gnnkit.errors import DTypeError, InvalidArgumentError, ShapeError
from gnnkit.nn.declared import UNKNOWN
from gnnkit.nn.parameter import Parameter
from gnnkit.nn.randomness import generator_from_state, plain_state

Observer = Callable[["Module", tuple[Any, ...], Any], None]
_observers: list[tuple[Callable[[Module, tuple[Any, ...]], None], Observer]] = []


def is_observed() -> bool:
    """Whether somebody, a summary, watches which modules are called with what."""
    return bool(_observers)


_registry: dict[str, type[Module]] = {}
_CONTAINERS = (list, tuple, dict)


class Module:
    """Base of layers and models: parameters, modes, state, randomness, and the arguments it was built with.

    Write a subclass with an ``__init__`` that sets attributes and a ``forward``; calling the module runs ``forward``.
    Attributes that are a :class:`Parameter` or a :class:`Module` are found by themselves. The arguments of the
    constructor are recorded, so that a saved model can be built again.

    Attributes
    ----------
    training : bool
        True after :meth:`train` (the start), False after :meth:`eval`.
    symmetry : mapping of str to str
        What it promises: name of a group of ``gk.symmetry.GROUPS`` -> "equivariant" or "invariant". Nothing, unless a
        class declares it, for instance with ``symmetry = gk.nn.EQUIVARIANT``; ``gnnkit check`` holds it to that.
    hops : float
        How far one call carries information: the number of edges along which a node sees others.
    stochastic : bool
        True for classes that draw random numbers in ``forward`` through :attr:`generator`.

    Notes
    -----
    Sub-modules in a plain list, tuple or dict would be overlooked, so assigning one is refused: use
    :class:`~gnnkit.nn.Sequential` or :class:`~gnnkit.nn.ModuleList`. A module that appears twice (shared weights)
    counts once.

    Examples
    --------
    >>> import gnnkit as gk
    >>> class Twice(gk.nn.Module):
    ...     def __init__(self, channels):
    ...         self.inner = gk.nn.Linear(channels, channels, rng=0)
    ...     def forward(self, x):
    ...         return self.inner(self.inner(x))
    >>> model = Twice(3)
    >>> [name for name, _ in model.named_parameters()], model.num_parameters
    (['inner.weight', 'inner.bias'], 12)
    >>> model.config()["arguments"]
    {'channels': 3}
    """

    symmetry: Mapping[str, str] = UNKNOWN
    hops: float = 0
    stochastic: ClassVar[bool] = False

    training: bool
    _arguments: tuple[tuple[Any, ...], dict[str, Any]]
    _buffer_names: tuple[str, ...]
    _generator: np.random.Generator | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        module = super().__new__(cls)
        state = vars(module)
        state["training"] = True
        state["_arguments"] = (args, kwargs)
        state["_buffer_names"] = ()
        state["_generator"] = None
        return module

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.split(".")[:2] == ["gnnkit", "nn"] and not cls.__name__.startswith("_"):
            _registry[cls.__name__] = cls

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, _CONTAINERS) and _holds_modules(value):
            raise _overlooked(self, name, value)
        object.__setattr__(self, name, value)

    # -- calling ------------------------------------------------------------------------------------------------

    def forward(self, *inputs: Any) -> Any:
        """Compute the output. Every subclass defines it; call the module itself instead of this method."""
        raise NotImplementedError(
            f"A module must define forward. {type(self).__name__} does not. Add 'def forward(self, graph): ...' to it."
        )

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        if not _observers:
            return self.forward(*inputs, **options)
        for before, _ in tuple(_observers):
            before(self, inputs)
        output = self.forward(*inputs, **options)
        for _, after in tuple(_observers):
            after(self, inputs, output)
        return output

    def work(self, graph_in: Any, graph_out: Any) -> float | None:
        """Floating-point operations of one call that mapped ``graph_in`` to ``graph_out``.

        None (the default) means: the sum over the sub-modules that were called; for a module without any, unknown.
        """
        return None

    def own_work(self, graph_in: Any, graph_out: Any) -> float | None:
        """Floating-point operations of one call apart from those of its sub-modules; None (the default): unknown."""
        return None

    # -- what is inside -----------------------------------------------------------------------------------------

    def children(self) -> Iterator[tuple[str, Module]]:
        """Yield (name, module) of the direct sub-modules."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif type(value) in _CONTAINERS and name != "_arguments" and _holds_modules(value):
                # it was filled after it was assigned
                raise _overlooked(self, name, value)

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield (dotted name, module), this one first (named ``""``), each module once, outer before inner."""
        yield from _walk(self, prefix, set())

    def modules(self) -> Iterator[Module]:
        """Yield this module and everything inside it, each once."""
        for _, module in self.named_modules():
            yield module

    def own_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield (name, parameter) of the parameters that this module holds itself, not those of its sub-modules."""
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield name, value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield (dotted name, parameter), each parameter once even if it is shared."""
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, parameter in module.own_parameters():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield _join(prefix, name), parameter

    def parameters(self) -> Iterator[Parameter]:
        """Yield every parameter once."""
        for _, parameter in self.named_parameters():
            yield parameter

    def named_buffers(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (dotted name, array) of the buffers: state that is saved but not learnt."""
        for prefix, module in self.named_modules():
            for name in module._buffer_names:
                yield _join(prefix, name), getattr(module, name)

    def register_buffer(self, name: str, array: ArrayLike) -> None:
        """Set attribute ``name`` to an array that belongs to the state of the module (running statistics)."""
        setattr(self, name, np.array(array))
        if name not in self._buffer_names:
            self._buffer_names = (*self._buffer_names, name)

    @property
    def num_parameters(self) -> int:
        """Number of learnt values, shared ones counted once."""
        return sum(parameter.size for parameter in self.parameters())

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the first parameter; float32 for a module without any."""
        for parameter in self.parameters():
            return parameter.dtype
        return np.dtype(np.float32)

    # -- modes --------------------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Switch this module and everything inside it to training (dropout on, statistics of the batch)."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Self:
        """Switch to evaluation: no dropout, running statistics. The same as ``train(False)``."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def astype(self, dtype: DTypeLike) -> Self:
        """Convert parameters and floating buffers to ``dtype`` in place; the layers then compute in it.

        Raises
        ------
        DTypeError
            If ``dtype`` is not float32 or float64.
        """
        dtype = np.dtype(dtype)
        if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise DTypeError(
                f"Parameters must be float32 or float64. Got {dtype}. Use model.astype('float32') or 'float64'."
            )
        for parameter in self.parameters():
            parameter.convert(dtype)
        for module in self.modules():
            for name in module._buffer_names:
                array = getattr(module, name)
                if array.dtype.kind == "f":
                    setattr(module, name, array.astype(dtype))
        return self

    # -- state --------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return a copy of all parameters and buffers by dotted name."""
        state = {name: parameter.data.copy() for name, parameter in self.named_parameters()}
        state.update((name, buffer.copy()) for name, buffer in self.named_buffers())
        return state

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Overwrite parameters and buffers with ``state``; the dtypes of the module stay.

        Raises
        ------
        ShapeError
            If a name is missing or not known, or a shape differs. Every difference is listed; nothing is loaded.
        """
        arrays = {name: np.asarray(value) for name, value in state.items()}
        own = {name: parameter.data for name, parameter in self.named_parameters()} | dict(self.named_buffers())
        problems = [f"missing {name!r}" for name in own if name not in arrays]
        problems += [f"unexpected {name!r}" for name in arrays if name not in own]
        problems += [
            f"{name!r} has shape {list(arrays[name].shape)} and must have {list(mine.shape)}"
            for name, mine in own.items()
            if name in arrays and arrays[name].shape != mine.shape
        ]
        problems += [
            f"{name!r} has dtype {arrays[name].dtype} and must hold real numbers"
            for name in own
            if name in arrays and arrays[name].dtype.kind not in "fiub"
        ]
        if problems:
            raise ShapeError(
                f"A state must have exactly the names and shapes of the module. For {type(self).__name__}: "
                f"{'; '.join(problems)}. Build the model with the arguments it was saved with."
            )
        for name, mine in own.items():
            mine[...] = arrays[name]  # in place: optimisers and shared holders keep their references

    # -- randomness ---------------------------------------------------------------------------------------------

    def reset_parameters(self, rng: int | np.random.Generator | None = None) -> Self:
        """Draw all parameters anew, in the order of :meth:`named_modules`; the same seed gives the same bits."""
        rng = np.random.default_rng(rng)
        for module in self.modules():
            module.initialise(rng)
        return self

    def initialise(self, rng: np.random.Generator) -> None:
        """Draw the parameters that this module holds itself and reset its buffers. Layers with parameters define it."""

    def seed(self, rng: int | np.random.Generator | None = None) -> Self:
        """Give every stochastic module inside (dropout) a generator of its own, derived from ``rng``."""
        rng = np.random.default_rng(rng)
        for module in self.modules():
            if module.stochastic:
                module._generator = np.random.default_rng(int(rng.integers(2**63)))
        return self

    @property
    def generator(self) -> np.random.Generator:
        """The random numbers of this module's ``forward``. Fresh entropy until :meth:`seed` is called."""
        if not self.stochastic:
            raise InvalidArgumentError(
                "A module that draws random numbers must say so, or seed() would pass it by. "
                f"{type(self).__name__} has stochastic = False. Set 'stochastic = True' on the class."
            )
        if self._generator is None:
            self._generator = np.random.default_rng()
        return self._generator

    def rng_state(self) -> dict[str, Any]:
        """Return the state of every generator inside, by dotted module name; it survives JSON."""
        return {
            name: plain_state(module.generator.bit_generator.state)
            for name, module in self.named_modules()
            if module.stochastic
        }

    def set_rng_state(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where :meth:`rng_state` was taken.

        Raises
        ------
        InvalidArgumentError
            If the names are not those of this module's stochastic sub-modules.
        """
        stochastic = {name: module for name, module in self.named_modules() if module.stochastic}
        if set(stochastic) != set(state):
            raise InvalidArgumentError(
                f"A random state must name the stochastic modules of the model: {sorted(stochastic)}. "
                f"Got {sorted(state)}. Use the state that rng_state() of the same model returned."
            )
        for name, module in stochastic.items():
            module._generator = generator_from_state(state[name])

    # -- description --------------------------------------------------------------------------------------------

    def arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments by name, defaults included; ``*args`` as a tuple under their name."""
        from gnnkit.nn.spec import bound_arguments

        return bound_arguments(self)

    def config(self) -> dict[str, Any]:
        """Return the JSON-able specification from which :func:`gnnkit.nn.build` makes the same architecture."""
        from gnnkit.nn.spec import specification

        return specification(self)

    def summary(self, *inputs: Any) -> Any:
        """Run once on ``inputs`` and return the table of layers, parameters, sizes, hops and work.

        See :func:`gnnkit.nn.summary`.
        """
        from gnnkit.nn.summary import summary

        return summary(self, *inputs)

    def extra_repr(self) -> str:
        """Text between the parentheses of the representation: the arguments that differ from their defaults."""
        from gnnkit.nn.spec import shown_arguments

        return shown_arguments(self)

    def __repr__(self) -> str:
        children = list(self.children())
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in children]
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


def registered_classes() -> dict[str, type[Module]]:
    """Return the public module classes of gnnkit.nn by name: those a model file may ask for."""
    return dict(_registry)


def _walk(module: Module, prefix: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
    if id(module) in seen:
        return
    seen.add(id(module))
    yield prefix, module
    for name, child in module.children():
        yield from _walk(child, _join(prefix, name), seen)


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _holds_modules(value: Any) -> bool:
    items = value.values() if isinstance(value, dict) else value
    return any(
        isinstance(item, Module | Parameter) or (isinstance(item, _CONTAINERS) and _holds_modules(item))
        for item in islice(items, 16)  # looked at in every forward, and a list may be a long table of numbers
    )


def _overlooked(module: Module, name: str, value: Any) -> InvalidArgumentError:
    return InvalidArgumentError(
        "Sub-modules and parameters must be attributes of their own, or they would not be trained or saved. "
        f"Got a {type(value).__name__} of them as {type(module).__name__}.{name}. "
        "Wrap it in gk.nn.ModuleList([...]) or gk.nn.Sequential(...)."
    )
