"""Every public layer declares its symmetry, has an example in the catalogue, and keeps its word: checked one by one.

What a layer does not declare though a group could act must fail the check, so that no promise is missing or vacuous.
"""

from __future__ import annotations

import numpy as np
import pytest
from layer_catalogue import EXAMPLES, NOT_CALLABLE, ON_GRIDS, WHERE, Example, built, graphs_of, group_of, public_layers

import gnnkit as gk
from gnnkit import nn
from gnnkit.errors import GroupError
from gnnkit.nn.declared import declared_by

# True of these examples, and still not promised: (example, group) -> why.
UNPROMISED = {
    ("max pool", "flip"): "of even sizes only: of an odd one the last pixel is left out",
    ("max pool", "rot90"): "as flip",
    ("mean pool", "flip"): "as for max pool",
    ("mean pool", "rot90"): "as flip",
    ("max unpool", "flip"): "as for the pooling before it",
    ("max unpool", "rot90"): "as flip",
    ("max unpool", "channels"): "the positions that it is given have channels too",
}


def every(names):
    return pytest.mark.parametrize("name", names)


# --- nobody is left out -------------------------------------------------------------------------------------------


def undeclared(layers: dict[str, type[nn.Module]]) -> list[str]:
    """Classes that do not say in themselves or in a base, other than Module, what they promise."""
    return [
        name
        for name, layer in layers.items()
        if not any("symmetry" in vars(base) for base in layer.__mro__ if base not in (nn.Module, object))
    ]


def without_example(layers: dict[str, type[nn.Module]], examples: dict[str, Example]) -> list[str]:
    made = {type(part) for name in examples for part in [examples[name].make(np.random.default_rng(0))]}
    return [name for name, layer in layers.items() if layer not in made and name not in NOT_CALLABLE]


def test_every_public_layer_declares_its_symmetry():
    missing = [name for name in undeclared(public_layers()) if name != "Module"]
    assert not missing, (
        f"{', '.join(missing)} must declare a symmetry. Add to the class 'symmetry = EQUIVARIANT' (or another of "
        "gnnkit/nn/declared.py), or a property if it depends on arguments; UNKNOWN promises nothing."
    )


def test_every_public_layer_has_an_example():
    missing = without_example(public_layers(), EXAMPLES)
    assert not missing, (
        f"{', '.join(missing)} must have an example, on which the declared symmetry is checked. Add a line to {WHERE}, "
        "such as '\"my layer\": Example(lambda rng: nn.MyLayer(3, 2, rng=rng)),'."
    )
    assert set(public_layers()) >= NOT_CALLABLE  # and no exception is out of date


def test_a_layer_that_is_left_out_is_noticed():
    class Bare(nn.Module):
        pass

    assert undeclared({"Bare": Bare}) == ["Bare"]
    assert without_example({"Bare": Bare}, {}) == ["Bare"]
    assert without_example({"GCNConv": nn.GCNConv}, {"gat": EXAMPLES["gat"]}) == ["GCNConv"]


# --- everybody keeps their word -----------------------------------------------------------------------------------


def modes(name: str) -> tuple[bool, ...]:
    """Training and evaluation, if they differ."""
    layer, _ = built(name)
    return (
        (True, False)
        if any(isinstance(part, nn.BatchNorm) or part.stochastic for part in layer.modules())
        else (False,)
    )


def check(name, whole, group, expect, **options):
    chosen = group_of(whole, name, group)
    return gk.symmetry.check(whole, graphs_of(name, group), group=chosen, expect=expect, **options)


@every(EXAMPLES)
def test_what_a_layer_declares_holds(name):
    for training in modes(name):
        _, whole = built(name, training)
        for group, word in declared_by(whole).items():
            if group not in ON_GRIDS or graphs_of(name, group):
                report = check(name, whole, group, word, cases=6)
                assert report.passed, str(report)
                assert "NOT" not in report.gradients or name == "embedding", report.gradients


@every([name for name in EXAMPLES if name != "lambda"])  # which promises nothing, whatever its function does
def test_what_a_layer_does_not_declare_fails(name):
    _, whole = built(name, training=modes(name)[0])
    for group in gk.symmetry.GROUPS:
        graphs = graphs_of(name, group)
        on_grids = all(isinstance(graph.topology, gk.GridTopology) for graph in graphs)
        if declared_by(whole).promises(group) or not graphs or (group == "reversal" and on_grids):
            continue  # a grid is its own reverse
        try:
            report = check(name, whole, group, "equivariant", cases=6, gradients=False, shrink=False)
        except GroupError:
            continue  # it cannot act on such a result
        assert report.passed == ((name, group) in UNPROMISED), (group, str(report))


def test_each_group_is_declared_by_some_layer_and_not_by_another():
    words = {name: declared_by(built(name, training=False)[1]) for name in EXAMPLES}
    for group in gk.symmetry.GROUPS:
        promising = [name for name, word in words.items() if word.promises(group) and graphs_of(name, group)]
        assert promising and len(promising) < len(words), group


# --- a wrong declaration is caught --------------------------------------------------------------------------------

WRONG = [
    ("gcn widening", "reversal"),
    ("residual", "channels"),
    ("batch norm", "union"),
    ("gin with a shared norm", "union"),
    ("global pool with a shared norm", "union"),
    ("layer norm", "channels"),
    ("softmax", "euclidean"),
    ("conv on images", "flip"),
    ("conv on images", "rot90"),
    ("conv, zero border", "torus"),
    ("conv, valid", "torus"),
    ("upsample, bilinear", "torus"),
    ("upsample, zero", "flip"),
    ("isotropic conv, longer than high", "rot90"),
    ("isotropic conv, zero border", "torus"),
    ("locallyconnected on images", "torus"),
    ("lambda", "nodes"),
]


@pytest.mark.parametrize(("name", "group"), WRONG)
def test_a_wrong_declaration_is_caught(name, group):
    _, whole = built(name, training=True)
    if name == "softmax":  # positions in x are no features to it
        whole = nn.Sequential(nn.Lambda(lambda graph: graph.replace(nodes={"pos": gk.softmax(graph.nodes["pos"])})))
    assert not check(name, whole, group, "equivariant", cases=20, shrink=False).passed


@pytest.mark.parametrize("name", ["conv with a stride", "max pool", "stride pool"])
def test_a_step_that_is_too_small_is_caught(name):
    _, whole = built(name)
    graphs = graphs_of(name, "torus")
    assert gk.symmetry.check(whole, graphs, group=("torus", {"step": 2}), cases=6).passed
    with pytest.raises(GroupError, match="multiples of the stride"):
        gk.symmetry.check(whole, graphs, group=("torus", {"step": 1}), cases=20)


def test_the_two_words_are_told_apart():
    pool = nn.GlobalPool("sum")
    graphs = graphs_of("linear", "nodes")
    moved = nn.Linear(3, 2, rng=0)
    assert gk.symmetry.check(pool, graphs, expect="invariant", cases=4).passed
    with pytest.raises(GroupError, match="Only globals of a returned graph can be invariant"):
        gk.symmetry.check(moved, graphs, expect="invariant", cases=4)
    assert not gk.symmetry.check(lambda g: moved(g).x, graphs, expect="invariant", output="nodes", cases=4).passed
