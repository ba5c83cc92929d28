"""A program on the tape: forward with its values kept, backward as the program that is its derivative.

Imports autodiff and the runner.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.autodiff import Tensor, as_array, defvjp, is_grad_enabled, is_tensor, primitive
from gnnkit.autodiff.fused import contiguous
from gnnkit.message.memory import is_frozen, remember_constant
from gnnkit.message.program import build as s
from gnnkit.message.program.derive import adjoints, topological
from gnnkit.message.program.plan import Sweep
from gnnkit.message.program.run import evaluate, plan_for
from gnnkit.message.program.setting import Setting
from gnnkit.message.program.symbols import Symbol

Inputs = tuple[Symbol, ...]


class Run:
    """One forward run: what it computed, and what its derivative can use again."""

    def __init__(self, outputs: Inputs, inputs: Inputs, wrt: tuple[int, ...], setting: Setting) -> None:
        self.outputs, self.inputs, self.wrt, self.setting = outputs, inputs, wrt, setting
        self.results: list[np.ndarray] = []
        self.values: dict[Symbol, Any] = {}
        self._gradients: tuple[Any, dict[int, Any]] | None = None  # those not asked for yet

    def forward(self, arrays: Sequence[np.ndarray]) -> None:
        bound = dict(zip(self.inputs, map(_contiguous, arrays)))  # once, not in every sweep that reads them
        constants = {x: a for i, (x, a) in enumerate(bound.items()) if i not in self.wrt}
        memory = Memory(self.setting, constants)
        together = bool(self.wrt) and not K.sums_are_exact()  # there every sum is a pass of its own
        extras = brought_along(self.outputs, self.inputs, self.wrt) if together else ()
        needed: set[Symbol] = set()
        for index in range(len(self.outputs)) if self.wrt else ():
            needed |= needed_by(derivative(self.outputs, self.inputs, self.wrt, index)[0])
        found = evaluate(self.outputs + extras, bound, self.setting, self.values, needed, memory)
        self.results = found[: len(self.outputs)]
        self.values = {x: v for x, v in self.values.items() if x in needed}

    def adjoint(self, i: int, index: int, g: Any, args: Sequence[Any]) -> Any:
        """Adjoint of input ``i``, given that of output ``index``; all of them are computed at the first request."""
        if self._gradients is None or self._gradients[0] is not g or i not in self._gradients[1]:
            found, seed = derivative(self.outputs, self.inputs, self.wrt, index)
            places = [k for k, gradient in zip(self.wrt, found) if gradient is not None]
            outputs = tuple(gradient for gradient in found if gradient is not None)
            inputs = (*self.inputs, seed)
            if any(is_tensor(a) for a in (g, *args)):
                results = apply(outputs, inputs, (*args, g), self.setting, dict(self.values))
            else:
                bound = dict(zip(inputs, map(_contiguous, (*args, g))))
                results = evaluate(outputs, bound, self.setting, dict(self.values))
            self._gradients = (g, dict.fromkeys(self.wrt) | dict(zip(places, results)))
        gradient = self._gradients[1].pop(i)
        if not self._gradients[1]:
            self._gradients = None
        return gradient


def _contiguous(array: Any) -> np.ndarray:
    return K.contiguous(array)  # np.ascontiguousarray would give a number an axis


@lru_cache(maxsize=512)
def derivative(
    outputs: Inputs, inputs: Inputs, wrt: tuple[int, ...], index: int
) -> tuple[tuple[Symbol | None, ...], Symbol]:
    """Adjoints of the inputs ``wrt`` by output ``index``, and the input that stands for that output's own adjoint."""
    y = outputs[index]
    depth = sum(x.info[0] == "adjoint" for x in inputs)
    seed = s.make("input", (), ("adjoint", depth, y.level), y.level, y.shape)
    return tuple(adjoints([y], [seed], [inputs[i] for i in wrt])), seed


@lru_cache(maxsize=512)
def needed_by(gradients: tuple[Symbol | None, ...]) -> frozenset[Symbol]:
    """Everything that the derivative is computed from and that is no input."""
    order = topological([g for g in gradients if g is not None])
    return frozenset(x for x in order if x.level != "edge" and x.op not in ("input", "number"))


@lru_cache(maxsize=512)
def brought_along(outputs: Inputs, inputs: Inputs, wrt: tuple[int, ...]) -> Inputs:
    """Sums that only the derivative needs, but that a sweep of the forward run can take along: it reads the same."""
    if any(x.info[0] == "adjoint" for x in inputs):
        return ()  # a derivative itself: whoever differentiates it again does not count sweeps
    forward = [sweep for stage in plan_for(outputs, frozenset()).stages for sweep in stage]
    there = {sink for sweep in forward for sink in sweep.sinks}
    found = []
    for index in range(len(outputs)):
        gradients, seed = derivative(outputs, inputs, wrt, index)
        order = topological([g for g in gradients if g is not None])
        late = {seed}
        for x in order:
            if any(a in late for a in x.args):
                late.add(x)
            elif x.op == "aggregate" and x not in there and _joins(x, forward):
                found.append(x)
    return tuple(dict.fromkeys(found))


def _joins(sink: Symbol, forward: Sequence[Sweep]) -> bool:
    own = Sweep(sink.info[1], [sink]).settle()
    read = {x for x in own.leaves if x.op != "number"}
    return any(sweep.side == own.side and read <= set(sweep.leaves) for sweep in forward)


class Memory:
    """Aggregations of inputs that never change are computed once and kept with the topology."""

    def __init__(self, setting: Setting, constants: dict[Symbol, np.ndarray]) -> None:
        self._setting, self._constants = setting, constants

    def __call__(self, sink: Symbol, build: Callable[[], np.ndarray]) -> np.ndarray:
        leaves = constant_inputs(sink)
        arrays = [self._constants[x] for x in leaves if x in self._constants]
        if not arrays or len(arrays) < len(leaves):
            return build()
        source = max(arrays, key=lambda a: a.size)
        others = [a for a in arrays if a is not source]
        if source.dtype.kind != "f" or source.ndim < 2 or not all(is_frozen(a) for a in others):
            return build()

        def kept() -> np.ndarray:
            found = build()
            found.flags.writeable = False  # it is handed out again and again
            return found

        key = ("program", sink, tuple(map(_Identity, others)), self._setting.dtype.str)
        return remember_constant(self._setting.topology, key, source, kept)


class _Identity:
    """Equal for one living array only; an array that takes the place of a dead one is another."""

    def __init__(self, array: np.ndarray) -> None:
        self._array, self._id = weakref.ref(array), id(array)

    def __hash__(self) -> int:
        return hash(self._id)

    def __eq__(self, other: object) -> bool:
        mine = self._array()
        return isinstance(other, _Identity) and mine is not None and mine is other._array()


@lru_cache(maxsize=512)
def constant_inputs(sink: Symbol) -> tuple[Symbol, ...]:
    """The inputs of a sum that may be kept with the topology: none if it depends on the graphs of a batch."""
    order = topological([sink])
    if any(x.level == "graph" for x in order):
        return ()
    return tuple(x for x in order if x.op == "input")


def apply(
    outputs: Inputs, inputs: Inputs, values: Sequence[Any], setting: Setting, known: dict[Symbol, Any] | None = None
) -> list[Tensor]:
    """Run a program on arrays and Tensors, and record it where one of them requires a gradient.

    Parameters
    ----------
    outputs, inputs : tuple of Symbol
    values : sequence of array or Tensor
        One for each input, in the dtype of the run.
    setting : Setting
    known : Symbol -> array, optional
        Values of nodes that another run has computed from the same inputs.
    """
    # here and not in every run that reads them, forward and backward; the tape has the copies
    values = [contiguous(v) if is_tensor(v) and not v.data.flags.c_contiguous else v for v in values]
    recording = is_grad_enabled()
    wrt = tuple(i for i, v in enumerate(values) if recording and is_tensor(v) and v.requires_grad)
    run = Run(outputs, inputs, wrt, setting)
    run.values = known or {}
    run.forward([as_array(v) for v in values])
    if not wrt:
        return [Tensor(y) for y in run.results]
    tensors = [_output(*values, run=run, index=i) for i in range(len(outputs))]
    run.results = []  # the tape must not keep what its user may have dropped
    return tensors


@primitive
def _output(*arrays: Any, run: Run, index: int) -> Any:
    return run.results[index]


def _rule(i: int, g: Any, y: Any, *args: Any, run: Run, index: int) -> Any:
    return run.adjoint(i, index, g, args)


defvjp(_output, each=_rule)
_output.op.name = "message_program"  # type: ignore[attr-defined]
_output.op.keep_output = False  # type: ignore[attr-defined]  # the rule computes from arguments and kept sums
