"""Module: what is found inside, modes, state, dtype, randomness, representation."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from gnnkit import nn
from gnnkit.errors import DTypeError, InvalidArgumentError, ShapeError


class Branches(nn.Module):
    """Two layers, a list, a parameter and a buffer: one of each."""

    def __init__(self, channels: int, *, rng: int | np.random.Generator | None = None) -> None:
        rng = np.random.default_rng(rng)
        self.first = nn.Linear(channels, channels, rng=rng)
        self.rest = nn.ModuleList([nn.Linear(channels, 1, bias=False, rng=rng), nn.Dropout(0.5)])
        self.gain = nn.Parameter([1.0])
        self.register_buffer("seen", np.zeros(2))

    def forward(self, x):
        return self.rest[1](self.rest[0](self.first(x))) * self.gain


def test_everything_inside_is_found_in_order():
    model = Branches(3)
    assert [name for name, _ in model.named_parameters()] == ["gain", "first.weight", "first.bias", "rest.0.weight"]
    assert [name for name, _ in model.named_modules()] == ["", "first", "rest", "rest.0", "rest.1"]
    assert [name for name, _ in model.named_buffers()] == ["seen"]
    assert model.num_parameters == 1 + 9 + 3 + 3
    assert [type(m).__name__ for _, m in model.children()] == ["Linear", "ModuleList"]


def test_no_base_constructor_is_needed_and_parameters_learn():
    model = Branches(2).eval()
    model(np.ones((4, 2))).sum().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("wrap", [list, tuple, lambda items: {"a": items[0]}])
def test_modules_in_a_plain_container_are_refused(wrap):
    model = nn.Module()
    with pytest.raises(InvalidArgumentError, match=r"would not be trained or saved.*Module\.layers.*ModuleList"):
        model.layers = wrap([nn.Linear(1, 1)])
    with pytest.raises(InvalidArgumentError, match="ModuleList"):
        model.weights = wrap([nn.Parameter([1.0])])
    with pytest.raises(InvalidArgumentError, match="ModuleList"):
        model.deep = [[1], wrap([nn.Linear(1, 1)])]
    model.sizes = wrap([1])


def test_modules_appended_to_a_plain_list_are_refused_too():
    class Grown(nn.Module):
        def __init__(self):
            self.layers = []
            self.layers.append(nn.Linear(1, 1))

    for look in (lambda m: m.num_parameters, lambda m: m.state_dict(), lambda m: nn.SGD(m, lr=0.1), nn.Module.train):
        with pytest.raises(InvalidArgumentError, match=r"list of them as Grown\.layers.*ModuleList"):
            look(Grown())


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Module does not"):
        nn.Module()(1)


def test_modes_reach_everything():
    model = Branches(2)
    assert all(m.training for m in model.modules())
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    assert model.train().rest[1].training


def test_shared_weights_count_once():
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    assert model.num_parameters == 6
    assert len(list(model.parameters())) == 2
    assert set(model.state_dict()) == {"0.weight", "0.bias"}


def test_state_dict_round_trip_keeps_bits_and_identity():
    one, two = Branches(3, rng=1), Branches(3, rng=2)
    one.seen[:] = [4.0, 5.0]
    weight = two.first.weight
    state = one.state_dict()
    two.load_state_dict(state)
    assert two.first.weight is weight
    assert all(np.array_equal(a, two.state_dict()[name]) for name, a in state.items())
    state["first.weight"][:] = 0
    assert one.first.weight.numpy().any(), "state_dict copies"


@pytest.mark.parametrize("value", [np.array([1j]), np.array(["a"]), np.array([None])])
def test_a_state_holds_real_numbers(value):
    model = Branches(2)
    with pytest.raises(ShapeError, match=r"'gain' has dtype .* and must hold real numbers"):
        model.load_state_dict({**model.state_dict(), "gain": value})


def test_a_wrong_state_lists_every_difference_and_loads_nothing():
    model = Branches(3, rng=0)
    before = model.state_dict()
    state = {**before, "extra": np.zeros(1), "gain": np.full(1, 7.0), "first.bias": np.zeros(4)}
    del state["seen"]
    with pytest.raises(
        ShapeError, match=r"missing 'seen'; unexpected 'extra'; 'first\.bias' has shape \[4\] and must have \[3\]"
    ):
        model.load_state_dict(state)
    assert model.gain.numpy()[0] == 1.0


def test_astype_converts_in_place_and_refuses_integers():
    model = Branches(2)
    weight = model.first.weight
    model(np.ones((1, 2))).sum().backward()
    assert model.astype("float64") is model
    assert model.dtype == np.float64
    assert model.seen.dtype == np.float64
    assert model.first.weight is weight
    assert weight.grad is None
    model(np.ones((1, 2))).sum().backward()
    assert weight.grad.dtype == np.float64
    with pytest.raises(DTypeError, match="float32 or float64"):
        model.astype("int32")


def test_parameter_assign_keeps_shape_and_dtype():
    parameter = nn.Parameter([[1.0, 2.0]], decay=0.5)
    parameter.assign([[3, 4]])
    assert parameter.dtype == np.float32
    assert parameter.numpy().tolist() == [[3.0, 4.0]]
    with pytest.raises(ShapeError, match=r"values of shape \[2\] to a parameter of shape \[1, 2\]"):
        parameter.assign([1, 2])


def test_deepcopy_is_independent():
    model = Branches(2, rng=0).seed(3)
    model.gain.decay = 0.25
    twin = copy.deepcopy(model)
    x = np.ones((5, 2), dtype=np.float32)
    assert np.array_equal(model(x).numpy(), twin(x).numpy()), "the generator is copied too"
    twin.first.weight.assign(np.zeros((2, 2)))
    assert model.first.weight.numpy().any()
    assert twin.gain.decay == 0.25
    assert twin.gain.requires_grad
    assert twin.config() == model.config()


def test_reset_parameters_same_seed_same_bits():
    model = Branches(3, rng=5)
    model.gain.assign([3.0])
    first = model.reset_parameters(0).state_dict()
    second = Branches(3).reset_parameters(np.random.default_rng(0)).state_dict()
    third = model.reset_parameters(1).state_dict()
    assert np.array_equal(first["first.weight"], second["first.weight"])
    assert np.array_equal(first["rest.0.weight"], second["rest.0.weight"])
    assert not np.array_equal(first["first.weight"], third["first.weight"])
    same = nn.Linear(3, 3, rng=0).weight.numpy()
    assert np.array_equal(same, nn.Linear(3, 3, rng=0, dtype="float64").weight.numpy().astype(np.float32))


def test_stochastic_modules_have_their_own_generators_and_resume_exactly():
    model = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5)).seed(0)
    x = np.ones((20, 5), dtype=np.float32)
    model(x)
    state = json.loads(json.dumps(model.rng_state()))
    expected = [model(x).numpy() for _ in range(2)]
    model.set_rng_state(state)
    assert all(np.array_equal(model(x).numpy(), e) for e in expected)
    assert set(state) == {"0", "1"}
    assert not np.array_equal(*(nn.Dropout(0.5).seed(s)(x).numpy() for s in (0, 1)))
    kept = model.seed(0)[0](x).numpy() != 0
    assert not np.array_equal(kept, model[1](x).numpy() != 0), "two layers draw different numbers"


def test_rng_state_errors():
    model = nn.Sequential(nn.Dropout(0.5)).seed(0)
    with pytest.raises(InvalidArgumentError, match=r"stochastic modules of the model: \['0'\]"):
        model.set_rng_state({})
    with pytest.raises(InvalidArgumentError, match="one of numpy's bit generators"):
        model.set_rng_state({"0": {"bit_generator": "seed"}})
    with pytest.raises(InvalidArgumentError, match="stochastic = True"):
        _ = nn.ReLU().generator


def test_repr_is_nested():
    assert repr(Branches(2)) == (
        "Branches(\n"
        "  (first): Linear(2, 2)\n"
        "  (rest): ModuleList(\n"
        "    (0): Linear(2, 1, bias=False)\n"
        "    (1): Dropout(0.5)\n"
        "  )\n"
        ")"
    )
    assert repr(nn.ELU(alpha=2.0)) == "ELU(alpha=2.0)"
    assert repr(nn.Linear(2, 3, dtype="float64")) == "Linear(2, 3, dtype='float64')"


def test_symmetry_of_containers():
    assert nn.Sequential(nn.Linear(1, 1), nn.ReLU()).symmetry == nn.POINTWISE
    assert nn.Sequential(nn.Lambda(abs)).symmetry == nn.UNKNOWN
    assert nn.Residual(nn.ReLU()).symmetry == nn.POINTWISE | {"channels": "equivariant"}
    assert nn.Residual(nn.Lambda(abs)).symmetry == nn.UNKNOWN


def test_parts_of_a_parameter_are_shared_by_all_nodes_but_rows_picked_by_an_array_are_not():
    weight = nn.Parameter(np.arange(24.0).reshape(2, 3, 4))
    for part in (
        weight[0],
        weight[:, 1:],
        weight[..., None],
        weight.reshape(6, 4),
        weight.transpose(1, 0, 2),
        weight.T,
    ):
        assert part.is_shared and part.requires_grad and not isinstance(part, nn.Parameter)
    assert weight[0].transpose().shape == (4, 3)
    for other in (weight[np.array([0, 1, 1])], weight[[0, 1]], weight + 1.0, weight * weight):
        assert not getattr(other, "is_shared", False)
