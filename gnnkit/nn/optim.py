"""Optimisers: SGD, Adam, AdamW, and the clipping of gradients. May import kernels and the module base.

They write into ``parameter.data`` in place. ``weight_decay`` is multiplied by each parameter's own ``decay``, which the
layers set to 0 for biases and norms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from gnnkit import kernels
from gnnkit.errors import InvalidArgumentError, ShapeError
from gnnkit.nn.module import Module
from gnnkit.nn.parameter import Parameter


class Optimizer:
    """Base of the optimisers: which parameters, the learning rate, and the state that exact resuming needs.

    Parameters
    ----------
    parameters : Module or iterable of Parameter
        What to learn. From a module, the state is kept by parameter name.
    lr : float
        Learning rate, positive. Schedules change the attribute ``lr``.
    weight_decay : float
        At least 0; times ``parameter.decay``.

    Notes
    -----
    A parameter without gradient is left alone, its state too. Gradients are not cleared by :meth:`step`.
    """

    slots: ClassVar[tuple[str, ...]] = ()
    settings: ClassVar[tuple[str, ...]] = ("lr", "weight_decay")

    def __init__(self, parameters: Module | Iterable[Parameter], *, lr: float, weight_decay: float = 0.0) -> None:
        self._parameters = _named(parameters)
        self.lr = _at_least_zero("lr", lr)
        self.weight_decay = _at_least_zero("weight_decay", weight_decay)
        self._steps = dict.fromkeys(self._parameters, 0)
        self._state: dict[str, dict[str, np.ndarray]] = {name: {} for name in self._parameters}

    @property
    def parameters(self) -> list[Parameter]:
        """The parameters in the order of their names in the state."""
        return list(self._parameters.values())

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self._parameters.values():
            parameter.grad = None

    def step(self) -> None:
        """Change every parameter that has a gradient by one step of the method.

        Raises
        ------
        ShapeError
            If a gradient has not the shape of its parameter.
        """
        for name, parameter in self._parameters.items():
            if parameter.grad is None:
                continue
            gradient = parameter.grad.data
            if gradient.shape != parameter.data.shape:
                raise ShapeError(
                    f"A gradient has the shape of its parameter. {name!r} has shape {list(parameter.shape)} and its "
                    f"gradient {list(gradient.shape)}. Clear it with zero_grad() and run backward again."
                )
            gradient = gradient.astype(parameter.dtype, copy=False)
            self._steps[name] += 1
            self._update(parameter, gradient, self._slots_of(name, parameter), self._steps[name])

    def _slots_of(self, name: str, parameter: Parameter) -> dict[str, np.ndarray]:
        state = self._state[name]
        for slot in self.slots:
            if slot not in state:
                state[slot] = np.zeros_like(parameter.data)
            elif state[slot].dtype != parameter.dtype:  # model.astype() was called in between
                state[slot] = state[slot].astype(parameter.dtype)
        return state

    def _update(self, parameter: Parameter, gradient: np.ndarray, state: dict[str, np.ndarray], step: int) -> None:
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of everything that the next steps depend on.

        Returns
        -------
        dict
            ``"class"``, ``"settings"`` and ``"steps"`` survive JSON; ``"arrays"`` maps ``"name/slot"`` to arrays.
        """
        return {
            "class": type(self).__name__,
            "settings": {name: getattr(self, name) for name in self.settings},
            "steps": dict(self._steps),
            "arrays": {f"{name}/{slot}": a.copy() for name, state in self._state.items() for slot, a in state.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken, with the same bits.

        Raises
        ------
        InvalidArgumentError
            If it is the state of another method or of other parameters.
        ShapeError
            If an array does not fit its parameter.
        """
        method, steps, settings = state.get("class"), state.get("steps", {}), state.get("settings", {})
        same = method == type(self).__name__ and set(steps) == set(self._parameters)
        if not same or set(settings) != set(self.settings) or "arrays" not in state:
            raise InvalidArgumentError(
                f"The state of an optimiser fits the same method and the same parameters. Got one of {method} "
                f"for {sorted(steps)}; this is {type(self).__name__} for {sorted(self._parameters)}. "
                "Make the optimiser as it was when the state was taken."
            )
        loaded: dict[str, dict[str, np.ndarray]] = {name: {} for name in self._parameters}
        for key, array in state["arrays"].items():
            name, slot = key.rsplit("/", 1)
            if name not in loaded or np.shape(array) != self._parameters[name].shape:
                raise ShapeError(
                    f"The state {key!r} must belong to a parameter and have its shape. Got shape "
                    f"{list(np.shape(array))}. Build the model with the arguments it had when the state was taken."
                )
            loaded[name][slot] = np.array(array)
        for name in self.settings:
            value = settings[name]
            setattr(self, name, tuple(value) if isinstance(value, list) else value)  # JSON has no tuples
        self._steps = {name: int(steps[name]) for name in self._parameters}
        self._state = loaded

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.settings)
        return f"{type(self).__name__}({len(self._parameters)} parameters, {shown})"


class SGD(Optimizer):
    """Gradient descent, with momentum if asked: ``v = momentum v + g``, ``w = w - lr v``.

    Parameters
    ----------
    parameters : Module or iterable of Parameter
        What to learn.
    lr : float
        Learning rate.
    momentum : float
        In [0, 1).
    nesterov : bool
        Step along ``g + momentum v`` instead of ``v``; needs momentum.
    weight_decay : float
        Adds ``weight_decay * decay * w`` to the gradient.

    References
    ----------
    Sutskever et al., On the importance of initialization and momentum in deep learning, ICML 2013.

    Examples
    --------
    >>> import gnnkit as gk
    >>> w = gk.nn.Parameter([1.0], dtype="float64")
    >>> optimizer = gk.nn.SGD([w], lr=0.1)
    >>> (w * 3.0).sum().backward()
    >>> optimizer.step()
    >>> w.numpy()
    array([0.7])
    """

    settings = ("lr", "momentum", "nesterov", "weight_decay")

    def __init__(
        self,
        parameters: Module | Iterable[Parameter],
        *,
        lr: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr=lr, weight_decay=weight_decay)
        self.momentum = _fraction("momentum", momentum)
        self.nesterov = bool(nesterov)
        if nesterov and not momentum:
            raise InvalidArgumentError(
                "Nesterov's step needs momentum. Got nesterov=True and momentum=0. Pass for example momentum=0.9."
            )

    @property
    def slots(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("velocity",) if self.momentum else ()

    def _update(self, parameter: Parameter, gradient: np.ndarray, state: dict[str, np.ndarray], step: int) -> None:
        gradient = _with_l2(parameter, gradient, self.weight_decay)
        if self.momentum:
            velocity = state["velocity"]
            velocity *= self.momentum
            velocity += gradient
            gradient = gradient + self.momentum * velocity if self.nesterov else velocity
        parameter.data -= self.lr * gradient


class Adam(Optimizer):
    """Adam: a step per value, scaled by running means of the gradient and its square.

    Parameters
    ----------
    parameters : Module or iterable of Parameter
        What to learn.
    lr : float
        Learning rate.
    betas : (float, float)
        Decay of the two running means, each in [0, 1).
    eps : float
        Added to the root of the second.
    weight_decay : float
        Adds ``weight_decay * decay * w`` to the gradient (L2 regularisation, as in the GCN and GAT papers).

    Notes
    -----
    Both means are corrected for their start at 0. Each parameter counts its own steps.

    References
    ----------
    Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015.

    Examples
    --------
    >>> import gnnkit as gk
    >>> w = gk.nn.Parameter([1.0], dtype="float64")
    >>> optimizer = gk.nn.Adam([w], lr=0.1)
    >>> (w * 3.0).sum().backward()
    >>> optimizer.step()      # the first step has length lr, whatever the gradient
    >>> w.numpy().round(6)
    array([0.9])
    """

    slots = ("m", "v")
    decoupled: ClassVar[bool] = False
    settings = ("lr", "betas", "eps", "weight_decay")

    def __init__(
        self,
        parameters: Module | Iterable[Parameter],
        *,
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr=lr, weight_decay=weight_decay)
        self.betas = (_fraction("betas[0]", betas[0]), _fraction("betas[1]", betas[1]))
        self.eps = _at_least_zero("eps", eps)

    def _update(self, parameter: Parameter, gradient: np.ndarray, state: dict[str, np.ndarray], step: int) -> None:
        kernels.adam_update(  # one pass over the four arrays instead of ten
            parameter.data,
            gradient,
            state["m"],
            state["v"],
            lr=self.lr,
            beta1=self.betas[0],
            beta2=self.betas[1],
            eps=self.eps,
            step=step,
            weight_decay=self.weight_decay * parameter.decay,
            decoupled=self.decoupled,
        )


class AdamW(Adam):
    """Adam with decoupled weight decay: ``w`` shrinks by ``lr * weight_decay * decay * w``, apart from the gradient.

    Parameters
    ----------
    parameters : Module or iterable of Parameter
        What to learn.
    lr, betas, eps
        As in :class:`Adam`.
    weight_decay : float
        The decoupled decay, default 0.01.

    References
    ----------
    Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019.
    """

    decoupled = True

    def __init__(
        self,
        parameters: Module | Iterable[Parameter],
        *,
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


def _with_l2(parameter: Parameter, gradient: np.ndarray, weight_decay: float) -> np.ndarray:
    strength = weight_decay * parameter.decay
    return gradient + strength * parameter.data if strength else gradient


def _named(parameters: Module | Iterable[Parameter]) -> dict[str, Parameter]:
    if isinstance(parameters, Module):
        named = dict(parameters.named_parameters())
    else:
        named = {str(number): parameter for number, parameter in enumerate(parameters)}
    wrong = [type(p).__name__ for p in named.values() if not isinstance(p, Parameter)]
    if not named or wrong or len({id(p) for p in named.values()}) < len(named):
        came = f"a {wrong[0]}" if wrong else "the same parameter twice" if named else "no parameters at all"
        raise InvalidArgumentError(
            f"An optimiser learns a module's parameters, or parameters in a list, each once. Got {came}. "
            "Pass the model itself, or list(model.parameters())."
        )
    return named


def _at_least_zero(name: str, value: float) -> float:
    if not (np.isfinite(value) and value >= 0):
        raise InvalidArgumentError(
            f"{name} must be a finite number of at least 0. Got {value!r}. Use for example 0.01."
        )
    return float(value)


def _fraction(name: str, value: float) -> float:
    if not 0.0 <= value < 1.0:
        raise InvalidArgumentError(f"{name} must lie in [0, 1). Got {value!r}. Use for example 0.9.")
    return float(value)
