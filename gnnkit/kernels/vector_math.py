"""exp, log, tanh, ... of whole LLVM vectors, as the instructions that numba's code generator emits. Imports simd alone.

Every function here takes and gives :class:`Lanes`, an LLVM vector under construction that reads like arithmetic.
Results do not depend on the lane a number stands in. The errors are measured in tests/kernels/test_kernels_vectors.py:
at most 2.5 units in the last place for float32 and float64, over the whole range and with subnormal results.
A multiply and an add may fuse ("contract"); nothing else about IEEE arithmetic is given up.

References
----------
The range reductions and the logarithms are those of Sun's fdlibm (S. Moshier's Cephes has the same structure); the
polynomial of exp is a minimax fit of (e^r - 1 - r) / r^2 on |r| <= 0.347.
"""

from __future__ import annotations

import math

from llvmlite import ir
from numba.core import cgutils

from gnnkit.kernels.simd import FUSE, INT32, _splat

COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


class Lanes:
    """A vector of floats, or of integers or bits as wide, in the function that ``builder`` writes."""

    def __init__(self, builder, value):
        self.builder, self.value = builder, value

    @property
    def kind(self):
        return self.value.type.element

    @property
    def count(self):
        return self.value.type.count

    @property
    def table(self):
        """Constants of this precision."""
        return FLOAT32 if self.kind == ir.FloatType() else FLOAT64

    @property
    def integer(self):
        """The integer as wide as one lane."""
        return ir.IntType(self.table.bits)

    def constant(self, number, kind=None):
        vector = ir.VectorType(kind or self.kind, self.count)
        return Lanes(self.builder, ir.Constant(vector, [number] * self.count))

    def _emit(self, instruction, other, **flags):
        other = other if isinstance(other, Lanes) else self.constant(other)
        return Lanes(self.builder, getattr(self.builder, instruction)(self.value, other.value, **flags))

    def _arithmetic(self, float_instruction, integer_instruction, other):
        if isinstance(self.kind, ir.IntType):
            return self._emit(integer_instruction, other)
        return self._emit(float_instruction, other, flags=FUSE)

    def rounded(self, instruction, other):
        """The result of one floating instruction, which never fuses with another."""
        return self._emit(instruction, other)

    def __add__(self, other):
        return self._arithmetic("fadd", "add", other)

    def __sub__(self, other):
        return self._arithmetic("fsub", "sub", other)

    def __rsub__(self, other):
        return self.constant(other) - self

    def __mul__(self, other):
        return self._arithmetic("fmul", "mul", other)

    def __truediv__(self, other):
        return self._emit("fdiv", other)

    def __neg__(self):
        return Lanes(self.builder, self.builder.fneg(self.value))

    __radd__, __rmul__ = __add__, __mul__

    def __rshift__(self, places):
        return self._emit("ashr", places)

    def __lshift__(self, places):
        return self._emit("shl", places)

    def __and__(self, other):
        return self._emit("and_", other)

    def __or__(self, other):
        return self._emit("or_", other)

    def __xor__(self, other):
        return self._emit("xor", other)

    def compare(self, relation, other):
        """Bits of a comparison; with NaN only ``!=`` holds."""
        other = other if isinstance(other, Lanes) else self.constant(other)
        emit = self.builder.fcmp_unordered if relation == "!=" else self.builder.fcmp_ordered
        return Lanes(self.builder, emit(relation, self.value, other.value))

    def select(self, yes, no):
        """Where this bit is set ``yes``, else ``no``; one of them may be a plain number."""
        yes = yes if isinstance(yes, Lanes) else no.constant(yes)
        no = no if isinstance(no, Lanes) else yes.constant(no)
        return Lanes(self.builder, self.builder.select(self.value, yes.value, no.value))

    def bits(self):
        """The same bits as integers."""
        return Lanes(self.builder, self.builder.bitcast(self.value, ir.VectorType(self.integer, self.count)))

    def floats(self, like):
        """These integers' bits as floats of the type of ``like``."""
        return Lanes(self.builder, self.builder.bitcast(self.value, like.value.type))

    def converted(self, like):
        """These integers, small ones, as floats of equal value."""
        return (self + like.table.magic_bits).floats(like) - like.table.magic

    def intrinsic(self, name, *others):
        """LLVM's own function ``name`` of vectors."""
        values = [self.value, *(other.value for other in others)]
        full_name = f"llvm.{name}.v{self.count}f{self.table.bits}"
        signature = ir.FunctionType(self.value.type, [value.type for value in values])
        function = cgutils.get_or_insert_function(self.builder.module, signature, full_name)
        return Lanes(self.builder, self.builder.call(function, values))


def lane_positions(builder, count, kind):
    """The vector 0, 1, 2, ..."""
    return Lanes(builder, ir.Constant(ir.VectorType(kind, count), list(range(count))))


def first_lanes(builder, n, like):
    """Bits that are set in the lanes before ``n`` (int64)."""
    kind = ir.IntType(32 if like.element in (ir.FloatType(), ir.IntType(32)) else 64)
    limit = builder.trunc(n, kind) if kind.width < 64 else n
    positions = lane_positions(builder, like.count, kind).value
    return builder.icmp_signed("<", positions, _splat(builder, limit, like.count))


def polynomial(x, coefficients):
    """Horner's rule, constant term first."""
    *rest, total = coefficients
    total = x.constant(total)
    for coefficient in reversed(rest):
        total = total * x + coefficient
    return total


class _Precision:
    """Constants of one floating type."""

    def __init__(self, bits, digits, **constants):
        self.bits, self.digits = bits, digits  # digits: of the stored fraction
        self.bias = 127 if bits == 32 else 1023
        self.__dict__.update(constants)


FLOAT32 = _Precision(
    32, 23,
    magic=1.5 * 2.0**23, magic_bits=0x4B400000,  # adding it rounds to an integer, in the low bits
    ln2_high=0.693138122558594, ln2_low=9.05800061445916e-06,
    exp_lowest=-105.0, exp_highest=89.0, expm1_lowest=-18.0,  # from there on the result is 0, inf, -1
    exp=(0.5000000062414894, 0.166665424310627, 0.041666280116703897, 0.00836665934202087, 0.001394659032891308),
    log=(0.6666666269302368, 0.40000972151756287, 0.2849878668785095, 0.24279078841209412),
    root_half=0x3F3504F3, smallest_normal=2.0**-126, lift=25,
)  # fmt: skip
FLOAT64 = _Precision(
    64, 52,
    magic=1.5 * 2.0**52, magic_bits=0x4338000000000000,
    ln2_high=6.93147180369123816490e-01, ln2_low=1.90821492927058770002e-10,
    exp_lowest=-746.0, exp_highest=710.0, expm1_lowest=-40.0,
    exp=(0.5, 0.16666666666666677, 0.0416666666666667, 0.00833333333332151, 0.0013888888888866678,
         0.00019841269886463478, 2.4801587360892164e-05, 2.7557243842265717e-06, 2.755724245780758e-07,
         2.5109173672362897e-08, 2.092454027900014e-09),
    log=(6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01,
         1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01),
    root_half=0x3FE6A09E667F3BCD, smallest_normal=2.0**-1022, lift=54,
)  # fmt: skip


ERF_INSIDE = (1.28379166e-1, -3.76125336e-1, 1.12819925e-1, -2.67681349e-2, 4.99119423e-3, -5.96761703e-4)
ERF_EXPONENT = (
    -1.28717512e-1, -6.34846687e-1, -1.06777877e-1, 2.42546219e-2, -3.88396438e-3, 3.83197126e-4, -1.72853470e-5,
)  # fmt: skip


def power_of_two(exponent, like):
    """2.0 ** exponent for integers within the normal range."""
    table = like.table
    return ((exponent + table.bias) << table.digits).floats(like)


def _reduced(x, lowest, highest=None):
    """Integers k and floats r, c with x = k ln 2 + r + c, |r| <= ln 2 / 2, after x was cut to lowest..highest."""
    table = x.table
    x = x.compare("<", lowest).select(lowest, x)  # NaN stays
    if highest is not None:
        x = x.compare(">", highest).select(highest, x)
    shifted = x * (1 / math.log(2)) + table.magic
    k = shifted - table.magic
    high = x - k * table.ln2_high
    low = k * table.ln2_low
    r = high - low
    return shifted.bits() - table.magic_bits, r, (high - r) - low


def exp(x):
    table = x.table
    k, r, c = _reduced(x, table.exp_lowest, table.exp_highest)
    p = (r * r) * polynomial(r, table.exp) + c + r + 1.0
    # in two steps, as 2^k itself may be too large or too small where the result is not
    half = k >> 1
    return p * power_of_two(half, x) * power_of_two(k - half, x)


def expm1(x):
    table = x.table
    k, r, c = _reduced(x, table.expm1_lowest, table.exp_highest)
    e = ((r * r) * polynomial(r, table.exp) + c) + r
    half = power_of_two(k - 1, x)  # 2^k itself may be too large
    return x.compare("==", 0.0).select(x, (e * half + (half - 0.5)) * 2.0)  # keeps -0.0


def elu(x, alpha):
    """x where it is positive, else alpha expm1(x), which is simpler there: 2^k is at most 1."""
    table = x.table
    k, r, c = _reduced(x, table.expm1_lowest)
    power = power_of_two(k, x)
    e = ((r * r) * polynomial(r, table.exp) + c) + r
    below = (e * power + (power - 1.0)).intrinsic("copysign", x)  # keeps -0.0
    return x.compare(">", 0.0).select(x, below * alpha)


def sigmoid(x):
    e = exp(-x.intrinsic("fabs"))  # never overflows, so that both tails are exact
    return x.compare(">=", 0.0).select(1.0, e) / (e + 1.0)


def softplus(x):
    """log(1 + e^x)"""
    return larger(x, x.constant(0.0)) + log1p(exp(-x.intrinsic("fabs")))


def tanh(x):
    t = expm1(x.intrinsic("fabs") * 2.0)
    large = t.compare(">", 2.0)  # near 1 the distance from 1 is the small number
    quotient = large.select(2.0, t) / (t + 2.0)
    return large.select(1.0 - quotient, quotient).intrinsic("copysign", x)


def _split(x):
    """Integers k and floats m with x = 2^k m, sqrt(1/2) <= m < sqrt(2), for normal x > 0."""
    table = x.table
    above = x.bits() - table.root_half
    return above >> table.digits, ((above & ((1 << table.digits) - 1)) + table.root_half).floats(x)


def _log_of(x, f, k, rest):
    """log(2^k (1 + f)) + rest; x, whose logarithm it is, gives the special values."""
    table = x.table
    s = f / (f + 2.0)
    z = s * s
    half_square = f * 0.5 * f
    result = (half_square + z * polynomial(z, table.log)) * s + (k * table.ln2_low + rest)
    result = (result - half_square) + f + k * table.ln2_high
    return result


def _log_limits(x, zero, result):
    """``result``, but -inf at x = zero, NaN below, and x itself at infinity and NaN."""
    result = x.compare("<", math.inf).select(result, x)
    outside = x.compare("==", zero).select(-math.inf, x.constant(math.nan))
    return x.compare("<=", zero).select(outside, result)


def log(x):
    table = x.table
    tiny = x.compare("<", table.smallest_normal)
    normal = tiny.select(x * 2.0**table.lift, x)
    k, m = _split(normal)
    k = k.converted(x) - tiny.select(float(table.lift), x.constant(0.0))
    return _log_limits(x, 0.0, _log_of(x, m - 1.0, k, x.constant(0.0)))


def log1p(x):
    u = x + 1.0
    k, m = _split(u)
    k = k.converted(x)
    lost = u.compare(">=", 2.0).select(1.0 - (u - x), x - (u - 1.0)) / u  # what rounding 1 + x lost
    near = k.compare("==", 0.0)  # there x itself is exact
    result = _log_of(x, near.select(x, m - 1.0), k, near.select(0.0, lost))
    return x.compare("==", 0.0).select(x, _log_limits(x, -1.0, result))  # keeps -0.0


def erf_float32(x):
    """The error function, for float32 alone: N. Juffa's two polynomials (below 1 of x^2, above of the exponent)."""
    t, square = x.intrinsic("fabs"), x * x
    inside = polynomial(square, ERF_INSIDE) * x + x
    outside = (1.0 - exp(polynomial(t, ERF_EXPONENT) * t - t)).intrinsic("copysign", x)
    return t.compare(">", 0.921875).select(outside, inside)


def larger(a, b, relation=">"):
    """Maximum (minimum with "<") of each lane; NaN if either is NaN."""
    ordered = a.compare(relation, b).select(a, b)  # b where either is NaN
    return Lanes(a.builder, a.builder.fcmp_unordered("uno", a.value, a.value)).select(a, ordered)


def smaller(a, b):
    return larger(a, b, "<")


def sign(x):
    """-1, 0 or 1; NaN stays."""
    up = x.compare(">", 0.0).select(1.0, x.constant(0.0))
    down = x.compare("<", 0.0).select(1.0, x.constant(0.0))
    return x.compare("!=", x).select(x, up - down)


def lane_by_lane(builder, function, *vectors):
    """``function`` of one number (or of several) at a time, in a loop over the lanes."""
    kind = vectors[0].type
    numbers = []
    for vector in vectors:
        slot = cgutils.alloca_once(builder, kind)
        builder.store(vector, slot)
        numbers.append(builder.bitcast(slot, kind.element.as_pointer()))
    with cgutils.for_range(builder, ir.Constant(INT32, kind.count)) as loop:
        places = [builder.gep(pointer, [loop.index]) for pointer in numbers]
        builder.store(function(*map(builder.load, places)), places[0])
    return builder.load(builder.bitcast(numbers[0], kind.as_pointer()))
