import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from isthmus.parts import penalties
from isthmus.parts.backbones import ACTIVATIONS, Encoder

GENERATOR = torch.Generator().manual_seed(0)


def frobenius(encode, x):
    """The mean squared norm, one row and one autograd Jacobian at a time."""
    rows = [torch.autograd.functional.jacobian(lambda r: encode(r.unsqueeze(0))[0], row) for row in x]
    return torch.stack([r.square().sum() for r in rows]).mean()


def test_l1():
    assert penalties.l1(torch.tensor([[1.0, -2.0], [0.0, 5.0]])).item() == 4.0


def test_kl_bernoulli_matches_distributions():
    share = torch.tensor([0.02, 0.3, 0.5, 0.97], dtype=torch.float64)
    want = kl_divergence(Bernoulli(probs=torch.full_like(share, 0.1)), Bernoulli(probs=share)).sum()
    torch.testing.assert_close(penalties.kl_bernoulli(0.1, share, eps=0.0), want)
    torch.testing.assert_close(penalties.kl_bernoulli(0.1, share), want, rtol=1e-4, atol=0)
    assert penalties.kl_bernoulli(0.1, torch.full((3,), 0.1, dtype=torch.float64)).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_kl_bernoulli_is_finite_at_its_ends_and_pulls_back(share):
    value = torch.tensor([share], requires_grad=True)
    loss = penalties.kl_bernoulli(0.1, value)
    loss.backward()
    assert loss.isfinite()
    assert value.grad.isfinite().all()
    assert value.grad.sign().item() == (-1 if share == 0 else 1)


def test_kl_gauss_matches_distributions():
    mean = torch.randn(5, 3, generator=GENERATOR, dtype=torch.float64)
    log_variance = torch.randn(5, 3, generator=GENERATOR, dtype=torch.float64)
    q = Normal(mean, torch.exp(0.5 * log_variance))
    want = kl_divergence(q, Normal(torch.zeros_like(mean), 1.0)).sum(1).mean()
    torch.testing.assert_close(penalties.kl_gauss(mean, log_variance), want)


def test_kl_gauss_keeps_its_digits_near_the_prior():
    log_variance = torch.full((1, 1), 1e-3)
    want = penalties.kl_gauss(torch.zeros(1, 1).double(), log_variance.double()).item()
    assert penalties.kl_gauss(torch.zeros(1, 1), log_variance).item() == pytest.approx(want, rel=1e-3)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_contraction_closed_form_is_the_jacobian_norm(activation):
    torch.manual_seed(1)
    encoder = Encoder((6,), (), 4, "relu").double()
    x = torch.randn(7, 6, dtype=torch.float64)

    def encode(x):
        return ACTIVATIONS[activation](encoder(x))

    closed = penalties.contraction(encode(x), encoder.layers[0].weight, activation)
    torch.testing.assert_close(closed, frobenius(encode, x))
    torch.testing.assert_close(penalties.jacobian_norm(encode, x), closed)


def test_exact_norm_of_a_deep_encoder_on_images():
    torch.manual_seed(1)
    encoder = Encoder((2, 3), (5, 4), 3, "tanh").double()
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(penalties.jacobian_norm(encoder, x), frobenius(encoder, x))


@pytest.mark.slow
def test_estimate_is_unbiased():
    torch.manual_seed(1)
    encoder = Encoder((4,), (5,), 3, "tanh").double()
    x = torch.randn(2, 4, dtype=torch.float64)
    draws = torch.randn(40_000, 2, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    many = torch.func.vmap(lambda v: penalties.jacobian_norm_estimate(encoder, x, v))(draws)
    error = (many.mean() - penalties.jacobian_norm(encoder, x)).abs()
    assert error < 4 * many.std() / 200  # four standard errors


def test_estimate_is_exact_for_a_complete_set_of_directions():
    torch.manual_seed(1)
    encoder = Encoder((4,), (5,), 3, "tanh").double()
    x = torch.randn(3, 4, dtype=torch.float64)
    axes = torch.eye(4, dtype=torch.float64)
    total = sum(penalties.jacobian_norm_estimate(encoder, x, axis.expand(3, 4)) for axis in axes)
    torch.testing.assert_close(total, penalties.jacobian_norm(encoder, x))
