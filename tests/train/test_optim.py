"""Adam on flat rows equals torch.optim.AdamW, row by row."""

import subprocess
import sys

import pytest
import torch

from isthmus import dispatch
from isthmus.families import named
from isthmus.train import optim
from isthmus.train.fitted import fit
from isthmus.train.optim import Adam
from isthmus.train.plan import Plan


@pytest.mark.parametrize("kernel", [optim.fused_update, optim.plain_update])
def test_every_row_is_an_adamw_of_its_own(kernel, monkeypatch):
    monkeypatch.setattr(optim, "update", kernel)
    generator = torch.Generator().manual_seed(0)
    rates, decay = [1e-3, 5e-2, 1e-3], 0.1
    state = torch.randn(3, 40, generator=generator)
    own = [torch.nn.Parameter(row.clone()) for row in state]
    reference = [torch.optim.AdamW([p], lr=r, weight_decay=decay) for p, r in zip(own, rates, strict=True)]
    adam = Adam(state, decay)
    for _ in range(30):
        gradient = torch.randn(3, 40, generator=generator)
        for p, g, o in zip(own, gradient, reference, strict=True):
            p.grad = g.clone()
            o.step()
        adam.step(gradient, rates)
    torch.testing.assert_close(state, torch.stack(own).detach(), rtol=1e-5, atol=1e-6)


def test_without_the_kernel_or_with_one_of_other_arguments_the_plain_way_is_taken(monkeypatch):
    assert dispatch.fused_adamw() is torch._fused_adamw_
    with monkeypatch.context() as patch:
        patch.delattr(torch, "_fused_adamw_")
        assert dispatch.fused_adamw() is None
    with monkeypatch.context() as patch:
        patch.setattr(dispatch, "FUSED", [*dispatch.FUSED, "something new"])
        assert dispatch.fused_adamw() is None


@pytest.mark.slow
def test_a_torch_without_the_kernel_trains_to_the_same_model():
    """Which update there is, is found out once: of a torch without it, in a process of its own."""
    code = """
import torch
del torch._fused_adamw_
from isthmus.families import named
from isthmus.train import optim
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan
x = torch.rand(64, 6, generator=torch.Generator().manual_seed(0)).numpy()
fitted = fit(named("plain"), x, plan=Plan(steps=20, check=10, weight_decay=0.1))
print(optim.update.__name__, *(float(p.detach().double().norm()) for p in fitted.model.parameters()))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    x = torch.rand(64, 6, generator=torch.Generator().manual_seed(0)).numpy()
    own = fit(named("plain"), x, plan=Plan(steps=20, check=10, weight_decay=0.1)).model
    name, *norms = said.split()
    assert (optim.update.__name__, name) == ("fused_update", "plain_update")
    assert [float(v) for v in norms] == pytest.approx([float(p.detach().norm()) for p in own.parameters()], rel=1e-4)


def test_a_row_of_rate_zero_stays_and_kept_rows_go_on():
    generator = torch.Generator().manual_seed(0)
    state = torch.randn(3, 10, generator=generator)
    before, adam = state.clone(), Adam(state)
    gradients = [torch.randn(3, 10, generator=generator) for _ in range(6)]
    for g in gradients[:3]:
        adam.step(g, [1e-2, 0.0, 1e-2])
    assert torch.equal(state[1], before[1])
    narrow = state[[0, 2]].clone()
    kept = adam.keep(narrow, [0, 2])
    for g in gradients[3:]:
        adam.step(g, [1e-2, 0.0, 1e-2])
        kept.step(g[[0, 2]], [1e-2, 1e-2])
    assert torch.equal(narrow, state[[0, 2]])
