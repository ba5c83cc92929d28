"""What a message program cannot do, said in three sentences: what must hold, what came and where, what to do."""

from __future__ import annotations

import re

import numpy as np
import pytest
import scipy.sparse as sp

import gnnkit as gk
from gnnkit.errors import (
    DTypeError,
    ImmutableError,
    InvalidArgumentError,
    ProgramError,
    ShapeError,
    UnknownFieldError,
    UnknownNameError,
)
from gnnkit.message import agg, message_passing, message_program

TOPOLOGY = gk.Topology.from_edges([0, 1, 2, 0], [1, 1, 0, 2], num_nodes=4)
X = np.arange(12.0).reshape(4, 3)
HERE = r"line {} of .*test_program_errors\.py"


def call(function, **given):
    return message_passing(TOPOLOGY, function, **(given or {"src": {"x": X, "mask": X[:, 0] > 1}}))


def refused(function, error, *texts, at=1, **given):
    """The error of a program, whose text holds ``texts`` in order and the line ``at`` lines below its ``def``."""
    with pytest.raises(error) as caught:
        call(function, **given)
    text = str(caught.value)
    line = HERE.format(function.__code__.co_firstlineno + at) if at is not None else ""
    assert re.search("(?s)" + ".*".join([re.escape(t) for t in texts]), text), text
    assert re.search(line, text), text
    assert text.count(". ") >= 2 and text.endswith("."), text
    return text


# --- choices that depend on values ------------------------------------------------------------------------------------


def branch(src):
    if src.x[0] > 0:
        return agg.sum(src.x)
    return agg.mean(src.x)


def loop(src):
    while (src.x > 1).sum():
        pass


def both(src):
    return agg.sum(src.x if src.mask and True else -src.x)


def compared(src):
    return agg.sum(src.x if 0 < src.x[0] < 1 else -src.x)


def largest(src):
    return agg.sum(max(src.x[0], src.x[1]))


def asserted(src):
    assert src.x[0] > 0


@pytest.mark.parametrize("function", [branch, loop, both, compared, largest, asserted])
def test_a_branch_on_a_value(function):
    refused(function, ProgramError, "once for all edges", "Got the truth value", "np.where(condition, a, b)")


def number(src):
    return agg.sum(src.x * float(src.x[0]))


def index(src):
    return agg.sum(src.x[int(src.x[0])])


def steps(src):
    return [src.x for _ in range(src.x[0])]


def item(src):
    return agg.sum(src.x * src.x[0].item())


@pytest.mark.parametrize("function", [number, index, steps, item])
def test_the_number_behind_a_value(function):
    refused(function, ProgramError, "Got the number of", "pass numbers that steer the program from outside")


def test_an_index_that_is_a_value():
    refused(lambda src: agg.sum(src.x[src.mask]), ProgramError, "Got an index that is a value", "np.where", at=0)


def test_an_index_that_is_an_array():
    found = [0, 2]
    refused(lambda src: agg.sum(src.x[found]), InvalidArgumentError, "indexed by whole numbers", "[0, 2]", at=0)


# --- functions it does not know ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda src: agg.sum(np.einsum("i,i->", src.x, src.x)), "np.einsum"),
        (lambda src: agg.sum(np.cumsum(src.x)), "np.cumsum"),
        (lambda src: agg.sum(np.sort(src.x)), "np.sort"),
        (lambda src: agg.sum(np.argmax(src.x)), "np.argmax"),
        (lambda src: agg.sum(np.linalg.inv(src.x)), "np.linalg.inv"),
        (lambda src: agg.sum(np.ldexp(src.x, 2)), "np.ldexp"),
        (lambda src: agg.sum(np.add.accumulate(src.x)), "np.add.accumulate"),
        (lambda src: agg.sum(np.sinc(src.x)), "np.sinc"),
    ],
)
def test_unknown_functions(function, name):
    text = refused(function, ProgramError, "must be known", f"Got {name}", "known", at=0)
    assert " tanh" in text and " concatenate" in text


def test_results_written_into_arrays():
    out = np.zeros(3)
    refused(lambda src: agg.sum(np.add(src.x, 1.0, out=out)), ProgramError, "Got np.add", "out", at=0)


def assigned(src):
    out = np.zeros(3)
    out[0] = src.x[0]
    return agg.sum(src.x + out)


def test_values_written_into_arrays():
    with pytest.raises(ValueError, match="setting an array element") as caught:  # numpy's own, because of ours
        call(assigned)
    assert isinstance(caught.value.__cause__, ProgramError)
    assert re.search(HERE.format(assigned.__code__.co_firstlineno + 2), str(caught.value.__cause__))


def in_place(src):
    y = src.x
    y[0] = 1.0
    return agg.sum(y)


def test_assignments_to_values():
    refused(in_place, ImmutableError, "never change", "Got an assignment to", "np.where", at=2)


def test_augmented_assignment_makes_a_new_value():
    def program(src):
        y = src.x
        y += 1.0
        return agg.sum(src.x), agg.sum(y)

    plain, more = call(program, src={"x": X})
    np.testing.assert_array_equal(more.numpy() - plain.numpy(), np.repeat([[1.0], [2], [1], [0]], 3, axis=1))


def test_dropout():
    refused(lambda src: agg.sum(gk.dropout(src.x, 0.5, rng=0)), ProgramError, "dropout", "outside", at=0)


# --- fields -----------------------------------------------------------------------------------------------------------


def test_unknown_fields():
    text = refused(lambda src: agg.sum(src.y), UnknownFieldError, "asks for src.y", "['mask', 'x']", "src={'y'", at=0)
    assert "given are" in text
    refused(lambda src, dst: agg.sum(src.x - dst.x), UnknownFieldError, "dst.x", "given are none", at=0)
    with pytest.raises(KeyError):
        call(lambda src: agg.sum(src["y"]))
    assert call(lambda src: agg.sum(src.x if "y" not in src and list(src) else src.y)).shape == (4, 3)


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ({"src": {"x": np.ones((3, 2))}}, ("one row per sender", "4 rows", "src.x", "(3, 2)", "params")),
        ({"dst": {"x": np.ones(5)}}, ("one row per receiver", "dst.x", "(5,)")),
        ({"edge": {"x": np.ones((3, 2))}}, ("one row per edge", "4 rows", "edge.x", "(3, 2)")),
        ({"globals": {"x": np.ones((2, 2))}}, ("one row per graph", "1 rows", "globals.x", "(2, 2)")),
        ({"src": {"x": 1.0}}, ("one row per sender", "src.x", "()")),
    ],
)
def test_wrong_numbers_of_rows(given, texts):
    (namespace,) = given
    functions = {
        "src": lambda src: agg.sum(src.x), "dst": lambda dst: agg.sum(dst.x), "edge": lambda edge: agg.sum(edge.x),
        "globals": lambda globals: agg.sum(globals.x),
    }  # fmt: skip
    refused(functions[namespace], ShapeError, *texts, at=None, **given)


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (np.array(["a", "b", "c", "d"]), ("hold numbers", "src.x", "<U1")),
        (np.ones(4, complex), ("hold numbers", "complex128")),
        (np.ones(4, np.float16), ("hold numbers", "float16", "astype")),
        (np.array([None] * 4), ("hold numbers", "object")),
        (gk.SparseMatrix.from_scipy(sp.eye_array(4).tocsr()), ("are dense", "src.x", "SparseMatrix", "toarray")),
        (sp.eye_array(4).tocsr(), ("are dense", "src.x", "toarray")),
    ],
)
def test_wrong_dtypes(value, texts):
    refused(lambda src: agg.sum(src.x), DTypeError, *texts, at=None, src={"x": value})


def test_captured_sparse_matrices():
    matrix = gk.SparseMatrix.from_scipy(sp.eye_array(3).tocsr())
    refused(lambda src: agg.sum(src.x * matrix), DTypeError, "dense arrays", "SparseMatrix", "outside", at=0)


def test_fields_without_names():
    refused(lambda src: agg.sum(src.x), InvalidArgumentError, "maps names to arrays", "list", "src=", at=None, src=[X])


def test_fields_of_arguments_that_are_not_there():
    refused(
        lambda src: agg.sum(src.x), InvalidArgumentError, "arguments of the program: src", "edge=['w']", "Add the",
        at=None, src={"x": X}, edge={"w": np.ones(4)},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("function", "texts"),
    [
        (lambda x: x, ("src, dst, edge, globals, params", "<lambda> has x")),
        (lambda src, dest: src, ("src, dest",)),
        (lambda: 1, ("none",)),
        (lambda src, alpha=2: src, ("alpha", "capture")),
        (np.tanh, ()),
        (3, ("made of a", "3")),
    ],
)
def test_wrong_arguments(function, texts):
    with pytest.raises(InvalidArgumentError) as caught:
        message_program(function)
    assert all(t in str(caught.value) for t in texts), str(caught.value)


@pytest.mark.parametrize("graph", [X, None, {"edges": []}])
def test_not_a_graph(graph):
    with pytest.raises(InvalidArgumentError, match=r"runs on a Graph or a Topology\. Got [\w.]+\. Convert it"):
        message_passing(graph, lambda src: agg.sum(src.x), src={"x": X})


# --- shapes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "texts"),
    [
        (lambda src: agg.sum(src.x + np.ones(2)), ("arguments of add", "src.x [3]", "[2]", "x[..., None]")),
        (lambda src: agg.sum(src.x @ np.ones((2, 2))), ("src.x [3] @", "[2, 2]", "channels")),
        (lambda src: agg.sum(src.x.sum(1)), ("feature axis", "axis 1", "gk.agg")),
        (lambda src: agg.sum(src.x[3]), ("index", "src.x", "no row axis")),
        (lambda src: agg.sum(src.x[:, 0]), ("index", "src.x", "no row axis")),
        (lambda src: agg.sum(src.x.reshape(2, 2)), ("reshape", "[2, 2]", "row axis")),
        (lambda src: agg.sum(np.concatenate([src.x, src.x[:, None]])), ("joined", "[[3], [3, 1]]", "Reshape")),
    ],
)
def test_shapes_that_do_not_go_together(function, texts):
    refused(function, ShapeError, *texts, at=0)


def test_lengths():
    assert call(lambda src: agg.sum(sum(src.x)), src={"x": X}).shape == (4,)
    refused(lambda src: agg.sum(src.x[0][0]), ShapeError, "index", at=0)
    with pytest.raises(ShapeError, match="has a length"):
        call(lambda src: agg.sum(src.x * len(src.x[0])))


# --- what comes back --------------------------------------------------------------------------------------------------


def nothing(src):
    agg.sum(src.x)


@pytest.mark.parametrize(
    ("function", "error", "texts"),
    [
        (nothing, ProgramError, ("returns what it computes", "nothing returned nothing", "return gk.agg.sum")),
        (lambda src: src.x > 0, ProgramError, ("floating values", "np.where(mask, 1.0, 0.0)")),
        (lambda src: src.mask, ProgramError, ("floating values", "np.where")),
        (lambda src: src, ProgramError, ("returns", "Fields")),
        (lambda src: (src.x, (src.x, src.x)), ProgramError, ("returns", "tuple")),
        (lambda src: {"a": src.x, "b": [src.x]}, ProgramError, ("returns", "list")),
        (lambda src: (src.x, None), ProgramError, ("returns", "NoneType")),
        (lambda src: "x", ProgramError, ("returns", "'x'")),
    ],
)
def test_what_cannot_be_returned(function, error, texts):
    refused(function, error, *texts, at=None)


# --- outside ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [X, gk.Tensor(X), 2.0])
def test_aggregating_outside(value):
    with pytest.raises(ProgramError, match=r"inside of a message program.*test_program_errors.*@gk.message_program"):
        agg.sum(value)


def test_values_kept_outside():
    kept = []

    def keep(src):
        kept.append(src.x)
        return agg.sum(src.x)

    call(keep)
    other = {"src": {"z": X}}
    for use in (
        lambda: kept[0] * X,
        lambda: agg.sum(kept[0]),
        lambda: call(lambda src: agg.sum(src.z + kept[0]), **other),
        lambda: call(lambda src: (src.z, kept[0]), **other),
    ):
        with pytest.raises(ProgramError, match=r"\. Got|\. One") as caught:
            use()
        assert str(caught.value).count(". ") >= 2


def test_unknown_reducers():
    with pytest.raises(UnknownNameError, match=r"reducer must be one of.*Got 'summ'\. Did you mean 'sum'"):
        call(lambda src: agg.reduce(src.x, "summ"))
    with pytest.raises(UnknownNameError, match=r"side .* must be one of.*Got 'sender'\. Did you mean 'senders'"):
        call(lambda src: agg.sum(src.x, to="sender"))


def test_after_an_error_the_program_still_runs():
    @message_program
    def program(src):
        return agg.sum(src.x)

    with pytest.raises(UnknownFieldError):
        program(TOPOLOGY, src={"y": X})
    with pytest.raises(ProgramError):
        call(branch)
    assert program(TOPOLOGY, src={"x": X}).numpy().tolist()[0] == X[2].tolist()
