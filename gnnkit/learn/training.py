"""What all estimators with a network share: the call of the training loop, held-out rows, one file.

May import nn, the training loop and the base of estimators. A subclass says how its data become tasks and how the
outputs of the network become answers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit import nn
from gnnkit.errors import InvalidArgumentError
from gnnkit.learn.base import Estimator
from gnnkit.learn.checkpoint import Checkpoint
from gnnkit.learn.history import History
from gnnkit.learn.loop import fit as train

Callback = Callable[[int, dict[str, float]], Any]
Validation = float | tuple[ArrayLike, ArrayLike] | None


class NetworkTrainer(Estimator):
    """Base of estimators that train a network with the settings of their constructor."""

    _loss = ""
    _metrics: tuple[str, ...] | None = None  # None: those that go with the loss
    _learnt_name = "model_"
    _pair = "(X, y)"  # what a validation set of one's own is, in words
    model: Any
    model_: Any
    history_: History
    epochs: int
    lr: float
    weight_decay: float
    optimizer: str
    schedule: Any
    clip_norm: float | None
    patience: int | None
    monitor: str | None
    random_state: int | np.random.Generator | None
    progress: bool | None

    # -- training ---------------------------------------------------------------------------------------------------

    def _train(
        self,
        model: Any,
        training: Any,
        *,
        validation: Any,
        test: Any,
        checkpoint: Checkpoint | str | os.PathLike[str] | None,
        resume: bool,
        callback: Callback | None,
    ) -> None:
        """Train ``model`` on tasks and store it, and what happened."""
        self.history_ = train(
            model,
            training,
            validation=validation,
            test=test,
            loss=self._loss,
            metrics=self._metrics,
            optimizer=self.optimizer,
            lr=self.lr,
            weight_decay=self.weight_decay,
            schedule=self._schedule(),
            clip_norm=self.clip_norm,
            epochs=self.epochs,
            patience=self.patience,
            monitor=self.monitor,
            random_state=self.random_state,
            reset=not isinstance(self.model, nn.Module),
            progress=self.progress,
            checkpoint=checkpoint,
            resume=resume,
            callback=callback,
        )
        self.model_ = model

    def _schedule(self) -> Callable[[Any], Any] | None:
        return self.schedule

    def _share(self, labels: Any, count: int, share: Any) -> NDArray[np.int64]:
        """The rows to validate on, a share of ``count`` drawn by the seed."""
        if not isinstance(share, float | np.floating) or not 0 < share < 1:
            raise InvalidArgumentError(
                f"validation is a share between 0 and 1, or a pair {self._pair}. Got {share!r}. "
                "Pass for example validation=0.2."
            )
        rng = np.random.default_rng(self.random_state).spawn(4)[3]  # training itself uses the first three
        return self._held_out(labels, count, float(share), rng)

    def _held_out(self, labels: Any, count: int, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
        return np.sort(rng.permutation(count)[: round(share * count)])

    def _check_pair(self, validation: tuple[Any, ...] | list[Any]) -> None:
        if len(validation) != 2:
            raise InvalidArgumentError(
                f"validation is a share of X or a pair {self._pair}. Got a {type(validation).__name__} of "
                f"{len(validation)}. Pass validation={self._pair}."
            )

    # -- files ------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], *, metadata: dict[str, Any] | None = None) -> Path:
        """Write the fitted estimator to one safetensors file (without data); see :func:`load_estimator`.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        SaveError
            If the file cannot be written; nothing is left behind.
        """
        self._check_fitted()
        plain = (str, int, float, bool, type(None), dict)
        given = {k: v.item() if isinstance(v, np.generic) else v for k, v in self.get_params().items()}
        params = {k: v for k, v in given.items() if k != "graph" and isinstance(v, plain)}
        learnt = {"history": self.history_.to_dict(), **self._learnt(), **self._learnt_inputs()}
        record = {"estimator": type(self).__name__, "params": params, "learnt": learnt}
        return nn.save_model(self.model_, path, metadata={**(metadata or {}), "gnnkit.estimator": record})

    def _learnt(self) -> dict[str, Any]:
        """What the estimator learnt about its targets, JSON-able."""
        raise NotImplementedError

    def _learnt_inputs(self) -> dict[str, Any]:
        """What it learnt about its inputs, JSON-able."""
        return {}

    def _restore(self, learnt: dict[str, Any]) -> None:
        """Take back what :meth:`_learnt` gave."""
        raise NotImplementedError

    def _restore_inputs(self, learnt: dict[str, Any]) -> None:
        """Take back what :meth:`_learnt_inputs` gave."""


def held_out_by_class(labels: NDArray[Any], share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """The same share of every class, and at least one of each stays for training."""
    held = []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        held.append(rows[: min(round(share * len(rows)), len(rows) - 1)])
    return np.sort(np.concatenate(held))
