"""Adam on flat rows equals torch.optim.AdamW, row by row."""

import pytest
import torch

from isthmus.train import optim
from isthmus.train.optim import Adam


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
