"""Vectors of floats as values inside numba functions, for generated kernels that read well. Imports simd, vector_math.

In a jitted function ``v.load(x, i, c, n)`` is a :class:`Vec`: the numbers ``x[i, c:c + n]`` in one vector register,
with zeros in the lanes from n on. Vecs take the arithmetic and comparison operators, with each other and with plain
numbers; a comparison is a :class:`Mask`. Matrices are C-contiguous, of float32 or float64; no function reads or writes
outside the n numbers it is told (1 <= n <= v.lanes(x)), and no lane depends on another but in :func:`total`.
Where a function takes ``x`` for its dtype alone, x may be an array or a Vec. Nothing is checked at run time.
"""

from __future__ import annotations

import math
import operator

from llvmlite import ir
from numba.core import cgutils, errors, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from gnnkit.kernels import simd, vector_math
from gnnkit.kernels.simd import INT32, _pointer, _row, _splat
from gnnkit.kernels.vector_math import Lanes, first_lanes

VECTOR_BITS = simd.VECTOR_BITS or 128  # LLVM cuts vectors into what the machine has, down to single numbers
BIT = ir.IntType(1)


class Vec(types.Type):
    """The numba type of a vector of ``lanes`` floats."""

    def __init__(self, dtype, lanes):
        self.dtype, self.lanes = dtype, lanes
        super().__init__(f"Vec({dtype}, {lanes})")


class Mask(types.Type):
    """The numba type of a vector of ``lanes`` bits."""

    def __init__(self, lanes):
        self.lanes = lanes
        super().__init__(f"Mask({lanes})")


@register_model(Vec)
class _VecModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        number = ir.FloatType() if kind.dtype.bitwidth == 32 else ir.DoubleType()
        super().__init__(manager, kind, ir.VectorType(number, kind.lanes))


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, ir.VectorType(BIT, kind.lanes))


def _refuse(text):
    raise errors.TypingError(text)


def _vec_of(x):
    """The Vec that holds numbers of ``x``, an array or a Vec."""
    if isinstance(x, Vec):
        return x
    if not isinstance(x, types.Array) or x.dtype not in (types.float32, types.float64):
        _refuse(f"Vectors hold numbers of float32 or float64 arrays; got {x}.")
    return Vec(x.dtype, VECTOR_BITS // x.dtype.bitwidth)


def _matrix(x, written=False):
    """The Vec for the rows of ``x``, which must be a C-contiguous matrix."""
    vec = _vec_of(x)
    if not isinstance(x, types.Array) or x.ndim != 2 or x.layout != "C" or (written and not x.mutable):
        _refuse(f"Vectors are read from C-contiguous matrices and written to writeable ones; got {x}.")
    return vec


def _as_vector(context, builder, kind, value, vec):
    """``value`` of numba type ``kind``, a Vec or a number, as a vector of the Vec type ``vec``."""
    if isinstance(kind, Vec):
        return value
    return _splat(builder, context.cast(builder, value, kind, vec.dtype), vec.lanes)


# --- memory


def _address(context, builder, sig, values):
    """Pointer to args[0][args[1], args[2]]."""
    return _row(builder, _pointer(context, builder, sig.args[0], values[0]), values[1], values[2])


def _whole(builder, n, vector):
    return builder.icmp_signed("==", n, ir.Constant(simd.INT64, vector.count))


def _masked(builder, name, pointer, n, vector, *values):
    """Call llvm.masked.load or llvm.masked.store on the first n lanes."""
    bits = 32 if vector.element == ir.FloatType() else 64
    alignment, mask = ir.Constant(INT32, bits // 8), first_lanes(builder, n, vector)
    address = builder.bitcast(pointer, vector.as_pointer())
    if name == "load":
        result, arguments = vector, [address, alignment, mask, ir.Constant(vector, [0.0] * vector.count)]
    else:
        result, arguments = ir.VoidType(), [*values, address, alignment, mask]
    function_type = ir.FunctionType(result, [argument.type for argument in arguments])
    full_name = f"llvm.masked.{name}.v{vector.count}f{bits}.p0"
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, full_name), arguments)


def _read(builder, pointer, n, vector):
    """The n numbers at ``pointer``; a plain load where they fill the vector."""
    with builder.if_else(_whole(builder, n, vector), likely=True) as (plain, partial):
        with plain:
            address = builder.bitcast(pointer, vector.as_pointer())
            full = builder.load(address, align=_itemsize(vector))
            from_plain = builder.block
        with partial:
            part = _masked(builder, "load", pointer, n, vector)
            from_partial = builder.block
    value = builder.phi(vector)
    value.add_incoming(full, from_plain)
    value.add_incoming(part, from_partial)
    return value


def _write(builder, pointer, n, value):
    """Store the first n lanes at ``pointer``."""
    with builder.if_else(_whole(builder, n, value.type), likely=True) as (plain, partial):
        with plain:
            builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=_itemsize(value.type))
        with partial:
            _masked(builder, "store", pointer, n, value.type, value)


def _itemsize(vector):
    return 4 if vector.element == ir.FloatType() else 8


@intrinsic
def lanes(typingctx, x):
    """How many numbers of the dtype of ``x`` one vector holds; a constant."""
    count = _vec_of(x).lanes

    def codegen(context, builder, sig, values):
        return ir.Constant(simd.INT64, count)

    return types.int64(x), codegen


@intrinsic
def load(typingctx, x, row, column, n):
    """The Vec ``x[row, column:column + n]``, zero from lane n on."""
    vec = _matrix(x)

    def codegen(context, builder, sig, values):
        pointer = _address(context, builder, sig, values)
        return _read(builder, pointer, values[3], context.get_value_type(vec))

    return vec(x, types.int64, types.int64, types.int64), codegen


def _writer(name, combine, doc):
    """An intrinsic (out, row, column, n, value): ``combine`` gives what to store from what is there and the value."""

    def typing(typingctx, out, row, column, n, value):
        vec = _matrix(out, written=True)
        if not isinstance(value, types.Number) and value != vec:
            _refuse(f"A row of {out} takes a {vec} or a number; got {value}.")

        def codegen(context, builder, sig, values):
            pointer = _address(context, builder, sig, values)
            new = _as_vector(context, builder, sig.args[4], values[4], vec)
            if combine is not None:
                old = _read(builder, pointer, values[3], new.type)
                new = combine(Lanes(builder, old), Lanes(builder, new)).value
            _write(builder, pointer, values[3], new)
            return context.get_dummy_value()

        return types.void(out, types.int64, types.int64, types.int64, types.unliteral(value)), codegen

    return _named(typing, name, doc)


def _named(typing, name, doc):
    typing.__name__, typing.__qualname__, typing.__doc__ = name, name, doc
    return intrinsic(typing)


store = _writer("store", None, "out[row, column:column + n] = the first n lanes of value.")
accumulate = _writer("accumulate", operator.add, "out[row, column:column + n] += the first n lanes of value.")
keep_larger = _writer(
    "keep_larger", vector_math.larger, "Raise out[row, column:column + n] to value where larger; NaN wins."
)


@intrinsic
def put(typingctx, out, row, column, number):
    """``out[row, column] = number``."""
    _matrix(out, written=True)

    def codegen(context, builder, sig, values):
        builder.store(values[3], _address(context, builder, sig, values))
        return context.get_dummy_value()

    return types.void(out, types.int64, types.int64, out.dtype), codegen


@intrinsic
def splat(typingctx, x, row, column):
    """The Vec with ``x[row, column]`` in every lane."""
    vec = _matrix(x)

    def codegen(context, builder, sig, values):
        return _splat(builder, builder.load(_address(context, builder, sig, values)), vec.lanes)

    return vec(x, types.int64, types.int64), codegen


@intrinsic
def constant(typingctx, x, number):
    """The Vec of the dtype of ``x`` with ``number`` in every lane."""
    vec = _vec_of(x)

    def codegen(context, builder, sig, values):
        return _splat(builder, values[1], vec.lanes)

    return vec(x, vec.dtype), codegen


@intrinsic
def zeros(typingctx, x):
    """The Vec of the dtype of ``x`` with zero in every lane."""
    vec = _vec_of(x)

    def codegen(context, builder, sig, values):
        return ir.Constant(context.get_value_type(vec), [0.0] * vec.lanes)

    return vec(x), codegen


@intrinsic
def total(typingctx, value, n):
    """Sum of the first n lanes, folded in halves: the order depends on the number of lanes alone."""
    if not isinstance(value, Vec):
        _refuse(f"The sum of lanes needs a Vec; got {value}.")

    def codegen(context, builder, sig, values):
        vector, count = values[0].type, value.lanes
        nothing = ir.Constant(vector, [-0.0] * count)  # the only number that adding never changes
        rest = builder.select(first_lanes(builder, values[1], vector), values[0], nothing)
        while count > 1:
            count //= 2
            halves = [
                builder.shuffle_vector(rest, rest, ir.Constant(ir.VectorType(INT32, count), list(part)))
                for part in (range(count), range(count, 2 * count))
            ]
            rest = builder.fadd(*halves)
        return builder.extract_element(rest, ir.Constant(INT32, 0))

    return value.dtype(value, types.int64), codegen


# --- functions of vectors


def _common(kinds):
    """The one Vec among the types ``kinds``, whose others are equal or numbers; None if there is no such Vec."""
    vecs = {kind for kind in kinds if isinstance(kind, Vec)}
    rest = [kind for kind in kinds if not isinstance(kind, (Vec, types.Number))]
    return vecs.pop() if len(vecs) == 1 and not rest else None


def _emit(formula, vec, result=None):
    """Code for ``formula`` of Lanes; numbers among the arguments fill a vector of type ``vec``."""

    def codegen(context, builder, sig, values):
        vectors = [_as_vector(context, builder, kind, value, vec) for kind, value in zip(sig.args, values)]
        return formula(*[Lanes(builder, vector) for vector in vectors]).value

    return codegen


def _typed(name, kinds, result=None):
    vec = _common(kinds)
    if vec is None:
        _refuse(f"{name} takes Vecs of one kind, and numbers; got {', '.join(map(str, kinds))}.")
    return vec, signature(result or vec, *map(types.unliteral, kinds))


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
log = _function("log", vector_math.log)
log1p = _function("log1p", vector_math.log1p)
tanh = _function("tanh", vector_math.tanh)
sigmoid = _function("sigmoid", vector_math.sigmoid)
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


def _scalar(name, python_function, arguments=1):
    """An intrinsic that calls numba's ``python_function`` for one lane after the other."""

    def build(typingctx, *kinds):
        vec, sig = _typed(name, kinds)
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
erf, erfc = _scalar("erf", math.erf), _scalar("erfc", math.erfc)
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


for _name in ("add", "sub", "mul", "truediv"):
    for _symbol in (getattr(operator, _name), getattr(operator, "i" + _name)):  # a += b makes a new Vec
        _register_vec(_symbol, getattr(operator, _name))
_register_vec(operator.neg, operator.neg, arity=1)
for _relation, _symbol in zip(
    vector_math.COMPARISONS, (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne)
):
    _register_vec(_symbol, lambda a, b, relation=_relation: a.compare(relation, b), mask=True)
for _symbol in (operator.and_, operator.or_, operator.xor):
    _register_mask(_symbol, _symbol)
_register_mask(operator.invert, lambda mask: mask ^ 1, arity=1)
