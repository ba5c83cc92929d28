"""Modules of torch through the adapter, against torch itself: collected only where torch is installed (conftest.py)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gnnkit as gk
from gnnkit.errors import DTypeError, InvalidArgumentError

check, from_torch = gk.symmetry.check, gk.symmetry.from_torch


def small(**fields):
    rng = np.random.default_rng(0)
    ends = rng.integers(0, 6, (2, 12))
    return gk.from_edges(*ends, num_nodes=6, x=rng.normal(size=(6, 3)), nodes=fields or None)


def torch_sum():
    class NeighbourSum(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(3, 2)

        def forward(self, x, edge_index):
            hidden = torch.tanh(self.linear(x))
            return torch.zeros_like(hidden).index_add(0, edge_index[1], hidden[edge_index[0]])

    torch.manual_seed(0)
    return NeighbourSum()


@pytest.mark.parametrize("group", ["nodes", "edges", "union"])
def test_a_module_of_torch(group):
    module = torch_sum()
    before = module.linear.weight.clone()
    report = check(from_torch(module), small(), group=group, output="nodes")
    assert report.passed, str(report)
    assert report.gradients == "gradients were compared too"
    assert {"gradient of nodes x", "gradient of parameter linear.weight"} <= set(report.errors)
    assert module.linear.weight.dtype == torch.float32 and torch.equal(module.linear.weight, before)


def test_a_wrong_module_of_torch():
    class Numbered(torch.nn.Module):
        def forward(self, x, edge_index):
            return x * torch.arange(len(x), dtype=x.dtype)[:, None]

    report = check(from_torch(Numbered()), small(), output="nodes")
    assert not report.passed and report.counterexample.num_nodes == 2


def test_a_wrong_gradient_of_torch():
    class FirstOnly(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 1.0 * x

        @staticmethod
        def backward(ctx, gradient):
            return gradient * (torch.arange(len(gradient)) == 0)[:, None]

    class Module(torch.nn.Module):
        def forward(self, x, edge_index):
            return FirstOnly.apply(x)

    report = check(from_torch(Module()), small(), output="nodes")
    assert report.counterexample.finding.kind == "gradient"


def test_fields_of_torch():
    def call(module, fields):
        messages = fields["w"][:, None] * fields["x"][fields["edge_index"][0]]
        rows = torch.zeros_like(fields["x"]).index_add(0, fields["edge_index"][1], messages)
        return torch.zeros(fields["num_graphs"], 3, dtype=rows.dtype).index_add(0, fields["batch"], rows)

    g = small().replace(edges={"w": np.random.default_rng(0).normal(size=12)})
    for group in ("nodes", "edges", "union"):
        report = check(from_torch(torch.nn.Identity(), call), g, group=group, output="globals")
        assert report.passed and "gradient of edges w" in report.errors, str(report)

    def at_edges(module, fields):
        return fields["w"] * fields["x"][fields["edge_index"][0], 0]

    for group in ("nodes", "edges", "union"):
        assert check(from_torch(torch.nn.Identity(), at_edges), g, group=group, output="edges").passed


def test_dropout_of_torch_is_seeded_and_the_generator_put_back():
    class Shared(torch.nn.Module):
        def forward(self, x, edge_index):
            return x * torch.rand(())

    state = torch.random.get_rng_state()
    assert check(from_torch(Shared()), small(), output="nodes").passed
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_from_torch_refuses():
    with pytest.raises(InvalidArgumentError, match=r"from_torch adapts a torch\.nn\.Module\. Got ReLU"):
        from_torch(gk.nn.ReLU())
    with pytest.raises(DTypeError, match=r"A module of torch needs an adapter\. Got torch\.ReLU"):
        check(torch.nn.ReLU(), small(), output="nodes")
    with pytest.raises(InvalidArgumentError, match=r"'batch' names two"):
        check(from_torch(torch.nn.Identity()), small(batch=np.zeros(6)), output="nodes")
