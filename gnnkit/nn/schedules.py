"""Learning-rate schedules. Import the optimisers and the error tree.

A schedule multiplies the learning rate that the optimiser had when the schedule was made by a factor of the epoch.
Call ``step()`` after each epoch; ``state_dict()`` is JSON-able.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gnnkit.errors import InvalidArgumentError, unknown_name
from gnnkit.nn.optim import Optimizer


class Schedule:
    """Base of the schedules: ``lr = base_lr * factor(epoch)``.

    Parameters
    ----------
    optimizer : Optimizer
        Whose ``lr`` to change; its value now is the base. The factor of epoch 0 is applied at once.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.base_lr = optimizer.lr
        self.epoch = 0
        optimizer.lr = self.base_lr * self.factor(0)

    def factor(self, epoch: int) -> float:
        """Return the multiplier of the base learning rate in an epoch, counted from 0."""
        raise NotImplementedError

    def step(self, value: float | None = None) -> None:
        """End an epoch. ``value`` is what :class:`ReduceOnPlateau` watches; other schedules do not look at it."""
        self.epoch += 1
        self.optimizer.lr = self.base_lr * self.factor(self.epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return the numbers that the next epochs depend on."""
        return {name: value for name, value in vars(self).items() if name != "optimizer"} | {
            "class": type(self).__name__
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken (the optimiser keeps its own ``lr`` in its own state).

        Raises
        ------
        InvalidArgumentError
            If it is the state of another schedule.
        """
        if state.get("class") != type(self).__name__ or set(state) != set(self.state_dict()):
            raise InvalidArgumentError(
                f"The state of a schedule fits the same schedule. Got one of {state.get('class')} for "
                f"{type(self).__name__}. Make the schedule as it was when the state was taken."
            )
        vars(self).update({name: value for name, value in state.items() if name != "class"})

    def __repr__(self) -> str:
        return f"{type(self).__name__}(epoch={self.epoch}, lr={self.optimizer.lr:g})"


class StepLR(Schedule):
    """Multiply by ``gamma`` after every ``every`` epochs.

    Examples
    --------
    >>> import gnnkit as gk
    >>> optimizer = gk.nn.SGD(gk.nn.Linear(1, 1), lr=1.0)
    >>> schedule = gk.nn.StepLR(optimizer, every=2, gamma=0.5)
    >>> rates = []
    >>> for _ in range(5):
    ...     rates.append(optimizer.lr)
    ...     schedule.step()
    >>> rates
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    def __init__(self, optimizer: Optimizer, *, every: int, gamma: float = 0.1) -> None:
        self.every = _positive("every", every)
        self.gamma = _factor("gamma", gamma)
        super().__init__(optimizer)

    def factor(self, epoch: int) -> float:
        return float(self.gamma ** (epoch // self.every))


class ExponentialLR(Schedule):
    """Multiply by ``gamma`` after every epoch."""

    def __init__(self, optimizer: Optimizer, *, gamma: float) -> None:
        self.gamma = _factor("gamma", gamma)
        super().__init__(optimizer)

    def factor(self, epoch: int) -> float:
        return float(self.gamma**epoch)


class CosineLR(Schedule):
    """Rise linearly for ``warmup`` epochs, then fall along half a cosine to ``minimum`` times the base rate.

    Parameters
    ----------
    optimizer : Optimizer
        Whose ``lr`` to change.
    epochs : int
        When the minimum is reached; it stays there afterwards.
    warmup : int
        Epochs of rising, fewer than ``epochs``; epoch 0 then uses ``1 / (warmup + 1)`` of the rate.
    minimum : float
        The last factor, in [0, 1].

    References
    ----------
    Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017 (without restarts); the
    warm-up of Goyal et al., Accurate, large minibatch SGD, 2017.

    Examples
    --------
    >>> import gnnkit as gk
    >>> schedule = gk.nn.CosineLR(gk.nn.SGD(gk.nn.Linear(1, 1), lr=1.0), epochs=4)
    >>> [round(schedule.factor(epoch), 4) for epoch in range(6)]
    [1.0, 0.8536, 0.5, 0.1464, 0.0, 0.0]
    """

    def __init__(self, optimizer: Optimizer, *, epochs: int, warmup: int = 0, minimum: float = 0.0) -> None:
        self.epochs = _positive("epochs", epochs)
        if not 0 <= warmup < epochs:
            raise InvalidArgumentError(
                f"warmup must lie in 0 .. epochs - 1 = {epochs - 1}. Got {warmup!r}. Use a tenth of the epochs."
            )
        self.warmup = int(warmup)
        self.minimum = _factor("minimum", minimum, zero=True)
        super().__init__(optimizer)

    def factor(self, epoch: int) -> float:
        if epoch < self.warmup:
            return (epoch + 1) / (self.warmup + 1)
        progress = min((epoch - self.warmup) / (self.epochs - self.warmup), 1.0)
        return self.minimum + (1.0 - self.minimum) * 0.5 * (1.0 + math.cos(math.pi * progress))


class WarmupLR(Schedule):
    """Rise linearly for ``warmup`` epochs, then stay at the base rate.

    Examples
    --------
    >>> import gnnkit as gk
    >>> schedule = gk.nn.WarmupLR(gk.nn.SGD(gk.nn.Linear(1, 1), lr=1.0), warmup=3)
    >>> [schedule.factor(epoch) for epoch in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """

    def __init__(self, optimizer: Optimizer, *, warmup: int) -> None:
        self.warmup = _positive("warmup", warmup)
        super().__init__(optimizer)

    def factor(self, epoch: int) -> float:
        return min((epoch + 1) / (self.warmup + 1), 1.0)


class ReduceOnPlateau(Schedule):
    """Multiply by ``gamma`` when a watched value has not improved for ``patience`` epochs.

    Parameters
    ----------
    optimizer : Optimizer
        Whose ``lr`` to change.
    mode : {"min", "max"}
        Whether smaller (a loss) or larger (an accuracy) is better.
    gamma : float
        The factor, in (0, 1].
    patience : int
        Epochs without improvement that are let pass.
    threshold : float
        Only a change by more than this counts as improvement.
    minimum : float
        The factor never falls below it.

    Examples
    --------
    >>> import gnnkit as gk
    >>> optimizer = gk.nn.SGD(gk.nn.Linear(1, 1), lr=1.0)
    >>> schedule = gk.nn.ReduceOnPlateau(optimizer, patience=1, gamma=0.5)
    >>> for loss in [3.0, 2.0, 2.0, 2.0]:
    ...     schedule.step(loss)
    >>> optimizer.lr
    0.5
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        mode: str = "min",
        gamma: float = 0.1,
        patience: int = 10,
        threshold: float = 0.0,
        minimum: float = 0.0,
    ) -> None:
        if mode not in ("min", "max"):
            raise unknown_name("mode", mode, ("min", "max"))
        self.mode = mode
        self.gamma = _factor("gamma", gamma)
        self.patience = int(patience)
        self.threshold = float(threshold)
        self.minimum = _factor("minimum", minimum, zero=True)
        self.scale = 1.0
        self.best: float | None = None
        self.waited = 0
        super().__init__(optimizer)

    def factor(self, epoch: int) -> float:
        return self.scale

    def step(self, value: float | None = None) -> None:
        if value is None:
            raise InvalidArgumentError(
                "A plateau is a plateau of something. step() was called without a value. Call step(validation_loss)."
            )
        value = float(value)
        if self._improves(value):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
            if self.waited > self.patience:
                self.scale, self.waited = max(self.scale * self.gamma, self.minimum), 0
        super().step()

    def _improves(self, value: float) -> bool:
        if self.best is None:
            return not math.isnan(value)
        gain = self.best - value if self.mode == "min" else value - self.best
        return gain > self.threshold


def _positive(name: str, value: int) -> int:
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise InvalidArgumentError(f"{name} must be an integer of at least 1. Got {value!r}. Use for example 10.")
    return int(value)


def _factor(name: str, value: float, *, zero: bool = False) -> float:
    if not (0.0 < value <= 1.0 or (zero and value == 0.0)):
        raise InvalidArgumentError(
            f"{name} must lie in {'[0' if zero else '(0'}, 1]. Got {value!r}. Use for example 0.1."
        )
    return float(value)
