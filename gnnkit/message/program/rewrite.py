"""Rewriting while a program is written down: what moves from the edges to the nodes, and what moves out of a sum.

A value of the senders or receivers alone is computed per node by its level already. Here a sum over edges loses the
factors that its receiver knows, and a matrix product of something put together on an edge is taken apart into
products of its ends. Imports symbols only.
"""

from __future__ import annotations

from gnnkit.message.program import build as s
from gnnkit.message.program.build import call
from gnnkit.message.program.symbols import Symbol


def aggregate(x: Symbol, reducer: str, to: str) -> Symbol:
    """The aggregation of ``x``, with what can be done after it done after it."""
    if x.op == "reshape":
        return s.reshape(aggregate(x.args[0], reducer, to), x.info)
    if x.op == "concatenate":
        return s.concatenate([aggregate(a, reducer, to) for a in x.args], x.info)
    if reducer == "sum":
        found = _sum(x, to)
        if found is not None:
            return found
    return s.make("aggregate", (x,), (reducer, to), to, x.shape)


def _sum(x: Symbol, to: str) -> Symbol | None:
    known = {"const", to} if to != "graph" else {"const"}
    if x.level in known:
        return s.guard(x, to) * s.degree(to)
    if x.op == "call" and x.info == "negative":
        return -aggregate(x.args[0], "sum", to)
    # a + b stays together: the difference of two close values is exact per edge, that of two large sums is not
    if x.op == "call" and x.info in ("multiply", "divide"):
        return _without_factors(x, to, known)
    if x.op == "matmul" and x.args[1].level == "const":  # 0 without terms, also if the matrix holds infinity
        return s.guard(s.matmul(aggregate(x.args[0], "sum", to), x.args[1]), to, 0.0)
    return None


def _without_factors(x: Symbol, to: str, known: set[str]) -> Symbol | None:
    """``sum_k a_k b / c = (sum_k a_k) b / c`` for b and c that the receiver knows."""
    above, below = _factors(x)
    outside = [f for f in above if f.level in known and not (f.op == "number" and f.info == 1.0)]  # 1 / f stays
    under = [f for f in below if f.level in known]
    if not outside and not under:
        return _with_dots(x, above, below, to)
    inside = _product([f for f in above if f.level not in known], [f for f in below if f.level not in known])
    factor = _product(outside, under)
    return aggregate(inside, "sum", to) * s.guard(factor, to)


def _with_dots(x: Symbol, above: list[Symbol], below: list[Symbol], to: str) -> Symbol | None:
    """``sum_k a_k (r . s_k) = r . sum_k a_k s_k`` for features r of the receiver and s_k of the senders or edges.

    The dot product then is one per node; what is left per edge is a weighted sum of rows.
    """
    for place, factor in enumerate(above):
        rest = above[:place] + above[place + 1 :]
        terms = factor.args if factor.op == "call" and factor.info in ("add", "subtract") else ()
        if any(_dot(a, to) is not None for a in terms):
            parts = [_product([s.broadcast_to(a, factor.shape), *rest], below) for a in terms]
            left, right = (aggregate(s.broadcast_to(p, x.shape), "sum", to) for p in parts)
            return call(factor.info, left, right)
        dot = _dot(factor, to)
        if dot is not None and factor.shape == x.shape:
            mine, theirs, total = dot
            scale = _product(
                [_with_units_of(f, x.shape, total.shape) for f in rest],
                [_with_units_of(f, x.shape, total.shape) for f in below],
            )
            rows = aggregate(scale * theirs, "sum", to)
            return s.reshape(s.feature_sum(s.guard(mine, to) * rows, total.info, True), x.shape)
    return None


def _dot(x: Symbol, to: str) -> tuple[Symbol, Symbol, Symbol] | None:
    """A product of features of ``to`` and of others that is summed over features: both factors, and the sum itself."""
    if x.op == "reshape" and _moves_units(x):
        x = x.args[0]
    if x.op != "feature_sum" or x.args[0].op != "call" or x.args[0].info != "multiply":
        return None
    above, below = _factors(x.args[0])
    mine, theirs = (_product([f for f in above if (f.level == to) == own], []) for own in (True, False))
    if below or mine.level != to or theirs.level in ("const", to):
        return None
    shape = x.args[0].shape
    return s.broadcast_to(mine, shape), s.broadcast_to(theirs, shape), x


def _factors(x: Symbol) -> tuple[list[Symbol], list[Symbol]]:
    """Factors and divisors of a product, as they are written."""
    if x.op == "reshape":
        above, below = _factors(x.args[0])
        if len(above) + len(below) > 1 and _moves_units(x):
            return [_with_units(f, x) for f in above], [_with_units(f, x) for f in below]
    if x.op != "call" or x.info not in ("multiply", "divide"):
        return [x], []
    above, below = _factors(x.args[0])
    more, less = _factors(x.args[1])
    return (above + more, below + less) if x.info == "multiply" else (above + less, below + more)


def _moves_units(x: Symbol) -> bool:
    """Whether a reshape does nothing but add and remove axes of length one."""
    return [n for n in x.args[0].shape if n != 1] == [n for n in x.shape if n != 1]


def _with_units(factor: Symbol, x: Symbol) -> Symbol:
    """A factor of what ``x`` reshapes, reshaped the same way."""
    return _with_units_of(factor, x.args[0].shape, x.shape)


def _with_units_of(factor: Symbol, before: tuple[int, ...], after: tuple[int, ...]) -> Symbol:
    """``factor``, which broadcasts to ``before``, so that it broadcasts to ``after``: the same without axes of one."""
    full = (1,) * (len(before) - factor.ndim) + factor.shape
    kept = iter(n for n, whole in zip(full, before) if whole != 1)
    return s.reshape(factor, tuple(1 if n == 1 else next(kept) for n in after))


def _product(above: list[Symbol], below: list[Symbol]) -> Symbol:
    product = s.number(1.0)
    for factor in above:
        product = product * factor
    for divisor in below:
        product = product / divisor
    return product


def matmul(a: Symbol, b: Symbol) -> Symbol | None:
    """``a @ b`` for a shared matrix ``b``, taken apart where ``a`` is put together from both ends of an edge."""
    if s.join({a.level, b.level}) != "edge" or b.level != "const" or b.ndim != 2:
        return None
    if a.op == "concatenate" and a.info == -1:
        stops = [sum(p.shape[-1] for p in a.args[: i + 1]) for i in range(len(a.args))]
        parts = [s.matmul(p, b[stop - p.shape[-1] : stop]) for p, stop in zip(a.args, stops)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total
    if a.op == "reshape" and a.shape[:-1] and a.args[0].shape[-1:] == a.shape[-1:]:
        inner = a.args[0]  # only leading axes change
        found = s.matmul(inner, b) if inner.ndim > 1 else matmul(inner, b)
        return None if found is None else s.reshape(found, (*a.shape[:-1], b.shape[-1]))
    if a.op != "call":
        return None
    if a.info == "negative":
        return -s.matmul(a.args[0], b)
    if a.info in ("add", "subtract") and any(p.level != "edge" for p in a.args):
        left, right = (s.matmul(s.broadcast_to(p, a.shape), b) for p in a.args)
        return call(a.info, left, right)
    if a.info == "multiply":
        for scale, rows in (a.args, a.args[::-1]):
            if rows.level != "edge" and rows.shape == a.shape and (scale.ndim == 0 or scale.shape[-1] == 1):
                return scale * s.matmul(rows, b)
    return None


def contract(a: Symbol, g: Symbol, level: str) -> Symbol | None:
    """The sum of outer products over edges, with the factor that a node knows taken out."""
    if level != "edge":
        return None
    for node, other in ((a, g), (g, a)):
        if node.level in ("src", "dst"):
            summed = s.rows_of(s.aggregate(other, "sum", node.level), node.level)
            return s.contract(*((node, summed) if node is a else (summed, node)), node.level)
    return None
