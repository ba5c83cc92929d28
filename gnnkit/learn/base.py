"""The part of the scikit-learn contract that all estimators share: parameters, clones, tags, "is it fitted?".

scikit-learn is imported only when scikit-learn itself asks for tags. May import the error tree.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any, Self, TypeVar

from gnnkit.errors import NotFittedError, unknown_name

Constructor = TypeVar("Constructor", bound=Callable[..., None])


def suggests_names(constructor: Constructor) -> Constructor:
    """Let a constructor answer an unknown keyword with the closest known one, as ``set_params`` does."""
    known = [name for name in inspect.signature(constructor).parameters if name != "self"]

    @functools.wraps(constructor)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        for name in kwargs:
            if name not in known:
                raise unknown_name(f"{type(self).__name__} parameter", name, known)
        constructor(self, *args, **kwargs)

    return checked  # type: ignore[return-value]


def store_arguments(estimator: Estimator, arguments: dict[str, Any]) -> None:
    """Store the arguments of a constructor, its ``locals()``, under their own names."""
    for name in estimator._parameter_names():
        setattr(estimator, name, arguments[name])


class Estimator:
    """Base of all estimators: the constructor only stores its keyword arguments under their own names.

    What ``fit`` learns is stored in names that end in ``_``.
    """

    _kind: str = ""  # "classifier" or "regressor", for scikit-learn
    _learnt_name: str = ""  # the attribute that fit stores last: with it the estimator is fitted
    _samples: str = "samples"  # what X holds, in words

    # -- parameters -------------------------------------------------------------------------------------------------

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name. ``deep`` is there for scikit-learn and changes nothing."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Self:
        """Change constructor arguments; unknown names are refused. Takes effect at the next ``fit``."""
        known = self._parameter_names()
        for name in params:
            if name not in known:
                raise unknown_name(f"{type(self).__name__} parameter", name, known)
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __sklearn_clone__(self) -> Self:
        # A graph is immutable and may be large, so a clone shares it; a generator it must not share, or the clones of a
        # grid search would draw from one stream and compare luck.
        params = self.get_params()
        return type(self)(**{k: v if k == "graph" else copy.deepcopy(v) for k, v in params.items()})

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type=self._kind,
            target_tags=TargetTags(required=True),
            transformer_tags=None,
            classifier_tags=ClassifierTags() if self._kind == "classifier" else None,
            regressor_tags=RegressorTags() if self._kind == "regressor" else None,
        )

    def __sklearn_is_fitted__(self) -> bool:
        return self._is_fitted()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._changed())})"

    def _changed(self) -> list[str]:
        """The parameters that are not at their defaults, as ``name=value``."""
        defaults = inspect.signature(type(self).__init__).parameters
        return [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if name != "graph" and value is not defaults[name].default and repr(value) != repr(defaults[name].default)
        ]

    # -- checks -----------------------------------------------------------------------------------------------------

    def _is_fitted(self) -> bool:
        return self._learnt_name in vars(self)

    def _forget(self) -> None:
        # A fit that fails half-way must not leave an old model with the classes of a new one.
        vars(self).pop(self._learnt_name, None)

    def _check_fitted(self) -> None:
        if not self._is_fitted():
            raise NotFittedError(
                f"{type(self).__name__} must be fitted before it predicts. It is not. "
                f"Call fit(X, y) with {self._samples} and labels first."
            )
