import pytest
import torch
from torch.distributions import Bernoulli, Normal

from isthmus.parts import heads

RAW = torch.tensor([-60.0, -3.0, -0.1, 0.0, 0.7, 4.0, 60.0], dtype=torch.float64)


def test_gaussian_is_unit_normal_up_to_its_constant():
    target = torch.linspace(-2, 2, 7, dtype=torch.float64)
    constant = 0.5 * torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64))
    torch.testing.assert_close(heads.nll("gaussian", RAW, target), -Normal(RAW, 1.0).log_prob(target) - constant)


def test_bernoulli_is_cross_entropy_with_logits():
    for target in (torch.zeros_like(RAW), torch.ones_like(RAW)):
        torch.testing.assert_close(heads.nll("bernoulli", RAW, target), -Bernoulli(logits=RAW).log_prob(target))
    grey = torch.full_like(RAW, 0.3)
    p = torch.sigmoid(RAW[1:-1])
    want = -(0.3 * p.log() + 0.7 * (1 - p).log())
    torch.testing.assert_close(heads.nll("bernoulli", RAW, grey)[1:-1], want)


def test_bernoulli_gradient_is_mean_minus_target():
    raw = RAW.clone().requires_grad_()
    (grad,) = torch.autograd.grad(heads.nll("bernoulli", raw, torch.full_like(RAW, 0.3)).sum(), raw)
    torch.testing.assert_close(grad, heads.mean("bernoulli", RAW) - 0.3)


def test_huge_logits_stay_finite():
    raw = torch.tensor([-1e4, 1e4], requires_grad=True)
    loss = heads.nll("bernoulli", raw, torch.tensor([1.0, 0.0])).sum()
    loss.backward()
    assert loss.item() == pytest.approx(2e4)
    assert raw.grad.tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("head", ["gaussian", "bernoulli"])
def test_link_inverts_mean(head):
    value = torch.linspace(0.01, 0.99, 9, dtype=torch.float64)
    torch.testing.assert_close(heads.mean(head, heads.link(head, value)), value)
    assert heads.link(head, torch.tensor([0.0, 1.0])).isfinite().all()
