"""Vectors of floats as values inside numba functions, for generated kernels that read well. Imports vector_*.

In a jitted function ``v.load(x, i, c, n)`` is a :class:`Vec`: the numbers ``x[i, c:c + n]`` in one vector register,
with zeros in the lanes from n on. Vecs take the arithmetic and comparison operators, with each other and with plain
numbers; a comparison is a :class:`Mask`. Matrices are C-contiguous, of float32 or float64; no function reads or writes
outside the n numbers it is told (1 <= n <= v.lanes(x)), and no lane depends on another but in :func:`total` and
:func:`highest`. Where a function takes ``x`` for its dtype alone, x may be an array or a Vec. Nothing is checked at run
time.
"""

from __future__ import annotations

import math
import operator

from numba.core import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin

from gnnkit.kernels import vector_math
from gnnkit.kernels.vector_many import gather as gather
from gnnkit.kernels.vector_many import load_several as load_several
from gnnkit.kernels.vector_many import put_totals as put_totals
from gnnkit.kernels.vector_many import several as several
from gnnkit.kernels.vector_many import splat_several as splat_several
from gnnkit.kernels.vector_many import stream_several as stream_several
from gnnkit.kernels.vector_math import Lanes
from gnnkit.kernels.vector_random import kept as kept
from gnnkit.kernels.vector_rows import VECTOR_BITS as VECTOR_BITS
from gnnkit.kernels.vector_rows import Mask, Vec, _as_vector, _named, _refuse, _vec_of
from gnnkit.kernels.vector_rows import accumulate as accumulate
from gnnkit.kernels.vector_rows import constant as constant
from gnnkit.kernels.vector_rows import first as first
from gnnkit.kernels.vector_rows import highest as highest
from gnnkit.kernels.vector_rows import keep_larger as keep_larger
from gnnkit.kernels.vector_rows import lane as lane
from gnnkit.kernels.vector_rows import lanes as lanes
from gnnkit.kernels.vector_rows import load as load
from gnnkit.kernels.vector_rows import put as put
from gnnkit.kernels.vector_rows import settle as settle
from gnnkit.kernels.vector_rows import splat as splat
from gnnkit.kernels.vector_rows import store as store
from gnnkit.kernels.vector_rows import stream as stream
from gnnkit.kernels.vector_rows import total as total
from gnnkit.kernels.vector_rows import zeros as zeros

# --- functions of vectors


def _common(kinds):
    """The one Vec among the types ``kinds``, whose others are equal or numbers; None if there is no such Vec."""
    vecs = {kind for kind in kinds if isinstance(kind, Vec)}
    rest = [kind for kind in kinds if not isinstance(kind, (Vec, types.Number))]
    return vecs.pop() if len(vecs) == 1 and not rest else None


def _emit(formula, vec):
    """Code for ``formula`` of Lanes; numbers among the arguments fill a vector of type ``vec``."""

    def codegen(context, builder, sig, values):
        vectors = [_as_vector(context, builder, kind, value, vec) for kind, value in zip(sig.args, values)]
        return formula(*[Lanes(builder, vector) for vector in vectors]).value

    return codegen


def _typed(name, kinds):
    """The Vec among ``kinds``, and the signature that takes them and gives such a Vec."""
    vec = _common(kinds)
    if vec is None:
        _refuse(f"{name} takes Vecs of one kind, and numbers; got {', '.join(map(str, kinds))}.")
    return vec, signature(vec, *map(types.unliteral, kinds))


def _function(name, formula, arguments=1, mask=False):
    """An intrinsic from a formula of Lanes with 1, 2 or 3 arguments."""

    def build(*kinds):
        vec, sig = _typed(name, kinds)
        if mask:
            sig = signature(Mask(vec.lanes), *sig.args)
        return sig, _emit(formula, vec)

    typings = {
        1: lambda typingctx, x: build(x),
        2: lambda typingctx, a, b: build(a, b),
        3: lambda typingctx, a, b, c: build(a, b, c),
    }
    return _named(typings[arguments], name, f"{name} of each lane.")


def _of_llvm(name):
    return lambda x: x.intrinsic(name)


exp = _function("exp", vector_math.exp)
expm1 = _function("expm1", vector_math.expm1)
elu = _function("elu", vector_math.elu, 2)
log = _function("log", vector_math.log)
log1p = _function("log1p", vector_math.log1p)
tanh = _function("tanh", vector_math.tanh)
sigmoid = _function("sigmoid", vector_math.sigmoid)
softplus = _function("softplus", vector_math.softplus)
sign = _function("sign", vector_math.sign)
abs = _function("abs", _of_llvm("fabs"))
sqrt = _function("sqrt", _of_llvm("sqrt"))
floor = _function("floor", _of_llvm("floor"))
ceil = _function("ceil", _of_llvm("ceil"))
trunc = _function("trunc", _of_llvm("trunc"))
rint = _function("rint", _of_llvm("rint"))
maximum = _function("maximum", vector_math.larger, 2)
minimum = _function("minimum", vector_math.smaller, 2)
fma = _function("fma", lambda a, b, c: a * b + c, 3)
is_nan = _function("is_nan", lambda x: x.compare("!=", x), mask=True)
is_finite = _function("is_finite", lambda x: x.intrinsic("fabs").compare("<", math.inf), mask=True)


@intrinsic
def where(typingctx, mask, a, b):
    """``a`` in the lanes where the Mask is set, else ``b``; one of them may be a number."""
    vec, sig = _typed("where", (a, b))
    if mask != Mask(vec.lanes):
        _refuse(f"where needs a Mask of {vec.lanes} lanes; got {mask}.")

    def codegen(context, builder, sig, values):
        yes, no = (_as_vector(context, builder, kind, value, vec) for kind, value in zip(sig.args[1:], values[1:]))
        return builder.select(values[0], yes, no)

    return signature(vec, mask, *sig.args), codegen


@intrinsic
def number(typingctx, mask, x):
    """1.0 in the lanes where the Mask is set, else 0.0, in the dtype of ``x``."""
    vec = _vec_of(x)
    if mask != Mask(vec.lanes):
        _refuse(f"number needs a Mask of {vec.lanes} lanes; got {mask}.")

    def codegen(context, builder, sig, values):
        return builder.uitofp(values[0], context.get_value_type(vec))

    return vec(mask, x), codegen


def _scalar(name, python_function, arguments=1, float32=None):
    """An intrinsic that calls numba's ``python_function`` for one lane after the other.

    ``float32`` is a formula of Lanes that is used instead for this precision.
    """

    def build(typingctx, *kinds):
        vec, sig = _typed(name, kinds)
        if float32 is not None and vec.dtype == types.float32:
            return sig, _emit(float32, vec)
        one = signature(vec.dtype, *[vec.dtype] * arguments)

        def codegen(context, builder, sig, values):
            vectors = [_as_vector(context, builder, kind, value, vec) for kind, value in zip(sig.args, values)]
            call = context.get_function(python_function, one)
            return vector_math.lane_by_lane(builder, lambda *lane: call(builder, lane), *vectors)

        return sig, codegen

    typings = {1: lambda typingctx, x: build(typingctx, x), 2: lambda typingctx, a, b: build(typingctx, a, b)}
    return _named(typings[arguments], name, f"{name} of each lane, by the C library one lane at a time.")


sin, cos, tan = _scalar("sin", math.sin), _scalar("cos", math.cos), _scalar("tan", math.tan)
arcsin, arccos, arctan = _scalar("arcsin", math.asin), _scalar("arccos", math.acos), _scalar("arctan", math.atan)
sinh, cosh = _scalar("sinh", math.sinh), _scalar("cosh", math.cosh)
arcsinh, arccosh = _scalar("arcsinh", math.asinh), _scalar("arccosh", math.acosh)
arctanh = _scalar("arctanh", math.atanh)
erf = _scalar("erf", math.erf, float32=vector_math.erf_float32)
power, arctan2 = _scalar("power", math.pow, 2), _scalar("arctan2", math.atan2, 2)
hypot = _scalar("hypot", math.hypot, 2)


# --- operators


def _register(symbol, kinds, type_of, codegen):
    """Give the operator ``symbol`` a typing rule, and code for every tuple of classes in ``kinds``."""

    @infer_global(symbol)
    class Rule(AbstractTemplate):
        def generic(self, args, kws):
            result = type_of(args)
            return result and signature(result, *map(types.unliteral, args))

    for classes in kinds:
        lower_builtin(symbol, *classes)(codegen)


def _register_vec(symbol, formula, arity=2, mask=False):
    def type_of(args):
        vec = _common(args) if len(args) == arity else None
        return Mask(vec.lanes) if vec and mask else vec

    def codegen(context, builder, sig, values):
        return _emit(formula, _common(sig.args))(context, builder, sig, values)

    pairs = [(Vec, Vec), (Vec, types.Number), (types.Number, Vec)]
    _register(symbol, [(Vec,)] if arity == 1 else pairs, type_of, codegen)


def _register_mask(symbol, formula, arity=2):
    def type_of(args):
        same = len(args) == arity and isinstance(args[0], Mask) and all(kind == args[0] for kind in args)
        return args[0] if same else None

    def codegen(context, builder, sig, values):
        return formula(*[Lanes(builder, value) for value in values]).value

    _register(symbol, [(Mask,) * arity], type_of, codegen)


# each rounds by itself, so that an expression has the same bits in every kernel that computes it; fma is there to fuse
for _name, _instruction in (("add", "fadd"), ("sub", "fsub"), ("mul", "fmul"), ("truediv", "fdiv")):
    for _symbol in (getattr(operator, _name), getattr(operator, "i" + _name)):  # a += b makes a new Vec
        _register_vec(_symbol, lambda a, b, instruction=_instruction: a.rounded(instruction, b))
_register_vec(operator.neg, operator.neg, arity=1)
for _relation, _symbol in zip(
    vector_math.COMPARISONS, (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne)
):
    _register_vec(_symbol, lambda a, b, relation=_relation: a.compare(relation, b), mask=True)
for _symbol in (operator.and_, operator.or_, operator.xor):
    _register_mask(_symbol, _symbol)
_register_mask(operator.invert, lambda mask: mask ^ 1, arity=1)
