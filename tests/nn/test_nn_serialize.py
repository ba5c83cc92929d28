"""Specifications and model files: round trips, and every way in which a file can be wrong."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy

import gnnkit as gk
from gnnkit import nn
from gnnkit.errors import FileFormatError, FileMissingError, InvalidArgumentError, SaveError, UnknownNameError
from gnnkit.nn import serialize


class Scaled(nn.Module):
    """A module of a user, with nearly every kind of argument."""

    def __init__(self, inner, *extras, factors=(1.0, 2.0), table=None, options=None, rng=None):
        self.inner = inner
        self.extras = nn.ModuleList(extras)
        self.factors = factors
        self.table = table
        self.options = options

    def forward(self, x):
        return self.inner(x) * self.factors[0]


def model_with_everything():
    return nn.Sequential(
        nn.Linear(3, 8, rng=0),
        nn.BatchNorm(8, eps=1e-3),
        nn.LeakyReLU(0.1),
        nn.Dropout(0.25),
        nn.Residual(nn.MLP([8, 4, 8], activation="elu", norm="graph", rng=1)),
        nn.Linear(8, 2, bias=False, rng=2),
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def names(path):
    return sorted(entry.name for entry in path.parent.iterdir())


def test_spec_round_trip_through_json():
    model = model_with_everything()
    twin = nn.build(json.loads(json.dumps(model.config())))
    assert repr(twin) == repr(model)
    assert twin.config() == model.config()


def test_spec_of_a_users_class_with_all_kinds_of_arguments():
    model = Scaled(
        nn.Linear(2, 2), nn.ReLU(), nn.ELU(2.0), factors=(3, np.float64(0.5)), table=np.eye(2), options={"a": [1, None]}
    )
    spec = json.loads(json.dumps(model.config()))
    twin = nn.build(spec, [Scaled])
    assert twin.factors == (3, 0.5)
    assert np.array_equal(twin.table, np.eye(2))
    assert twin.options == {"a": [1, None]}
    assert [type(m).__name__ for m in twin.extras] == ["ReLU", "ELU"]
    with pytest.raises(UnknownNameError, match=r"must be passed by you.*'Scaled'.*classes=\[Scaled\]"):
        nn.build(spec)


def test_a_users_class_never_hides_one_of_ours():
    class Linear(nn.Module):
        def __init__(self, size):
            self.size = size

    spec = nn.Sequential(Linear(1), nn.Linear(2, 3)).config()
    twin = nn.build(spec, [Linear])
    assert type(twin[0]) is Linear
    assert type(twin[1]) is nn.Linear


def test_shared_modules_stay_shared(path):
    layer = nn.Linear(2, 2, rng=0)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    nn.save_model(model, path)
    twin = nn.load_model(path)
    assert twin[0] is twin[2]
    assert twin.num_parameters == 6
    x = np.ones((1, 2), dtype=np.float32)
    assert np.array_equal(twin(x).numpy(), model(x).numpy())


def test_spec_errors():
    with pytest.raises(InvalidArgumentError, match="'function' of Lambda is a builtin"):
        nn.Lambda(abs).config()
    with pytest.raises(UnknownNameError, match="Did you mean 'Linear'"):
        nn.build({"class": "Liner", "arguments": {}})
    with pytest.raises(FileFormatError, match="has a class and its arguments"):
        nn.build({"klass": 1})
    with pytest.raises(FileFormatError, match="Linear was given in_channels and answered"):
        nn.build({"class": "Linear", "arguments": {"in_channels": 2}})
    with pytest.raises(FileFormatError, match="reference to number 5"):
        nn.build({"class": "Sequential", "arguments": {"layers": {"tuple": [{"shared": 5}]}}})
    with pytest.raises(InvalidArgumentError, match="rate must lie in"):
        nn.build({"class": "Dropout", "arguments": {"rate": 7.0}})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_file_round_trip_same_bits(path, dtype):
    model = model_with_everything().astype(dtype)
    model[4].inner[1].mean_scale.convert("float64")
    x = np.random.default_rng(0).normal(size=(6, 3))
    model(x)  # moves the running statistics
    assert nn.save_model(model, str(path), metadata={"accuracy": 0.815, "classes": ["a", "b"]}) == path
    twin = nn.load_model(path)
    assert not twin.training
    assert all(
        np.array_equal(a, twin.state_dict()[name]) and a.dtype == twin.state_dict()[name].dtype
        for name, a in model.state_dict().items()
    )
    assert np.array_equal(twin(x).numpy(), model.eval()(x).numpy())
    content = nn.read_model_file(path)
    assert content.metadata == {"accuracy": 0.815, "classes": ["a", "b"]}
    assert content.spec == model.config()
    assert names(path) == ["model.safetensors"]
    nn.Adam(twin).zero_grad()
    twin.train()(x).sum().backward()


def test_same_model_same_bytes(path):
    nn.save_model(model_with_everything().reset_parameters(0), path)
    first = path.read_bytes()
    nn.save_model(model_with_everything().reset_parameters(0), path)
    assert path.read_bytes() == first


def test_a_transposed_parameter_and_a_scalar_are_saved_right(path):
    model = nn.Linear(2, 3, rng=0)
    model.weight.data = np.asfortranarray(model.weight.data)
    nn.save_model(model, path)
    assert np.array_equal(nn.load_model(path).weight.numpy(), model.weight.numpy())


def test_a_module_without_tensors(path):
    nn.save_model(nn.Sequential(nn.ReLU()), path)
    assert repr(nn.load_model(path)) == "Sequential(\n  (0): ReLU()\n)"


def test_decay_and_freezing_set_after_the_constructor_are_kept(path):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight.decay = 0.0
    model[0].bias.requires_grad = False
    nn.save_model(model, path)
    twin = nn.load_model(path)
    assert [p.decay for p in twin.parameters()] == [1.0, 0.0, 0.0, 0.0]
    assert [p.requires_grad for p in twin.parameters()] == [True, False, True, True]


@pytest.mark.parametrize("name", nn.models.names())
def test_every_named_model_survives_its_file(path, name):
    model = nn.models.build(name, 5, 3)
    nn.save_model(model, path)
    twin = nn.load_model(path)
    g = gk.cycle(6).replace(x=np.random.default_rng(0).normal(size=(6, 5)))
    assert repr(twin) == repr(model)
    assert np.array_equal(twin(g).x.numpy(), model.eval()(g).x.numpy())
    assert [p.decay for p in twin.parameters()] == [p.decay for p in model.parameters()]


def test_users_classes_are_built_only_when_passed(path):
    nn.save_model(Scaled(nn.Linear(2, 2, rng=0)), path)
    with pytest.raises(UnknownNameError, match=r"classes=\[Scaled\]"):
        nn.load_model(path)
    assert isinstance(nn.load_model(path, [Scaled]), Scaled)


def test_what_cannot_be_loaded_again_is_not_saved(path):
    model = nn.MLP([2, 2, 2])
    model.append(nn.Linear(2, 5))  # an MLP is its arguments, and these do not know
    with pytest.raises(InvalidArgumentError, match=r"MLP differs in 3, 3\.bias, .*3\.weight"):
        nn.save_model(model, path)
    with pytest.raises(InvalidArgumentError, match="a function"):
        nn.save_model(nn.Sequential(nn.Lambda(lambda x: x)), path)
    with pytest.raises(InvalidArgumentError, match="metadata of a model file must be JSON"):
        nn.save_model(nn.ReLU(), path, metadata={"a": np.zeros(1)})
    assert names(path) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda model: setattr(model[0], "self_loops", False), r"0\.self_loops"),
        (lambda model: setattr(model[1], "rate", 0.25), r"1\.rate"),
        (lambda model: setattr(model[2], "eps", 0.5), r"2\.eps"),
        (lambda model: model[2].mlp.append(nn.ReLU()), r"2\.mlp\.3"),
    ],
)
def test_settings_changed_after_the_constructor_are_not_lost_silently(path, change, named):
    model = nn.Sequential(nn.GCNConv(2, 2), nn.Dropout(0.5), nn.GINConv(nn.MLP([2, 2, 2])))
    nn.save_model(model, path)
    change(model)
    with pytest.raises(InvalidArgumentError, match=rf"Sequential differs in .*{named}"):
        nn.save_model(model, path)


FORGED = ['{"weight": {"data": 0}}', "[]", '{"weight": 1}', '{"bias": {"decay": "a"}}', "["]


@pytest.mark.parametrize("settings", FORGED)
def test_settings_of_a_forged_file_are_refused(path, settings):
    nn.save_model(nn.Linear(2, 2), path)
    tensors = safetensors.numpy.load(path.read_bytes())
    size = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(json.loads(path.read_bytes()[8 : 8 + size])["__metadata__"]["gnnkit-model"])
    header["settings"] = settings
    header["sha256"] = serialize._digest(header, tensors)
    path.write_bytes(safetensors.numpy.save(tensors, metadata={"gnnkit-model": json.dumps(header)}))
    with pytest.raises(FileFormatError, match="must be whole and as it was written"):
        nn.load_model(path)


@pytest.mark.parametrize("keep", [0, 4, 8, 60, 500, -1])
def test_truncated_files(path, keep):
    nn.save_model(model_with_everything(), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FileFormatError, match="must be whole and as it was written"):
        nn.load_model(path)


def test_any_changed_byte_is_noticed(path):
    nn.save_model(nn.Sequential(nn.Linear(3, 2, rng=0), nn.LeakyReLU(0.1)), path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in [*rng.integers(8, len(whole), 200).tolist(), len(whole) - 1]:
        changed = bytearray(whole)
        changed[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        try:
            loaded = nn.read_model_file(path)
        except FileFormatError:
            continue
        pytest.fail(f"byte {position} was changed and {loaded} was read")


def test_other_files(path):
    with pytest.raises(FileMissingError, match="A model file must exist"):
        nn.load_model(path)
    path.write_bytes(b"graph [ node [ id 1 ] ]" * 10)
    with pytest.raises(FileFormatError, match="must be whole"):
        nn.load_model(path)
    path.write_bytes(safetensors.numpy.save({"w": np.zeros(2)}, metadata={"format": "pt"}))
    with pytest.raises(FileFormatError, match="safetensors file of another program"):
        nn.load_model(path)
    newer = json.dumps({"format": "9", "gnnkit": "7"})
    path.write_bytes(safetensors.numpy.save({}, metadata={"gnnkit-model": newer}))
    with pytest.raises(FileFormatError, match=r"format 9, written by gnnkit 7\. Install"):
        nn.load_model(path)


def test_full_disk_keeps_the_old_file(path, monkeypatch):
    nn.save_model(nn.Linear(2, 2, rng=0), path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SaveError, match="No space left"):
        nn.save_model(nn.Linear(2, 2, rng=1), path)
    assert path.read_bytes() == before
    assert names(path) == ["model.safetensors"]
    with pytest.raises(SaveError, match="Create the folder"):
        nn.save_model(nn.Linear(2, 2), path.parent / "missing" / "m.safetensors")


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE, which Windows lacks")
def test_a_real_size_limit_while_saving(path):
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from gnnkit import nn\n"
        "from gnnkit.errors import SaveError\n"
        "model = nn.Linear(100, 100, rng=0)\n"
        "nn.save_model(nn.Linear(2, 2, rng=0), sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "try:\n"
        "    nn.save_model(model, sys.argv[1])\n"
        "except SaveError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-B", "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    assert names(path) == ["model.safetensors"]
    assert nn.load_model(path).in_channels == 2


def test_a_file_of_another_kind_is_called_so(tmp_path):
    other = tmp_path / "model.py"
    other.write_text("import gnnkit as gk\n")
    with pytest.raises(FileFormatError, match=r"model.py' is not a safetensors file"):
        gk.nn.load_model(other)
