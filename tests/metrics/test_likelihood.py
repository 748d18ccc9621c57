"""Bounds on log p(x), against a linear model whose likelihood is known."""

import math

import pytest
import torch

from isthmus.errors import BadInput
from isthmus.families.cvae import CVAE
from isthmus.families.flow import Flow
from isthmus.families.ladder import Ladder
from isthmus.families.vae import VAE
from isthmus.families.vamp import Vamp
from isthmus.metrics.likelihood import log_likelihood_bound
from isthmus.testing import made, rows


def linear():
    """x = W z + noise of variance 0.3, with the posterior's mean right and its variance half as wide again."""
    generator = torch.Generator().manual_seed(0)
    model = VAE(latents=2, scale="learned").build((4,), "gaussian").double()
    weight, variance = torch.randn(4, 2, generator=generator).double(), 0.3
    precision = torch.eye(2).double() + weight.t() @ weight / variance
    with torch.no_grad():
        model.decoder.dictionary.copy_(weight)
        model.decoder.last_bias.zero_()
        model.log_variance.fill_(math.log(variance))
        model.encoder.last.weight[:2] = torch.linalg.solve(precision, weight.t()) / variance
        model.encoder.last.weight[2:] = 0
        model.encoder.last.bias[:2] = 0
        model.encoder.last.bias[2:] = torch.log(1.5 / precision.diagonal())
    x = torch.randn(50, 2, generator=generator).double() @ weight.t()
    covariance = weight @ weight.t() + variance * torch.eye(4)
    return model, x, torch.distributions.MultivariateNormal(torch.zeros(4).double(), covariance).log_prob(x)


def test_the_bound_reaches_the_likelihood_from_below():
    model, x, truth = linear()
    means = [log_likelihood_bound(model, x, k).mean().item() for k in (1, 10, 3000)]
    assert means[0] < means[1] < means[2]
    assert means[2] == pytest.approx(truth.mean().item(), abs=0.02)
    assert log_likelihood_bound(model, x, 3000).numpy() == pytest.approx(truth.numpy(), abs=0.2)


@pytest.mark.slow
def test_one_draw_is_the_evidence_bound_on_average():
    model, x, _ = linear()
    drawn = torch.stack([log_likelihood_bound(model, x, 1, seed) for seed in range(400)]).mean()
    noises = [torch.randn(50, 2, generator=torch.Generator().manual_seed(i)).double() for i in range(400)]
    terms = [model(x, x, noise).terms for noise in noises]
    bound = -4 * torch.stack([t["reconstruction"] + t["kl"] for t in terms]).mean() - 2 * math.log(2 * math.pi)
    assert drawn.item() == pytest.approx(bound.item(), abs=0.05)


def test_a_learnt_prior_counts(monkeypatch):
    x = rows((6,), 20)
    model = made(Vamp(latents=2, components=3), x, "bernoulli")
    before = log_likelihood_bound(model, x, 50)
    monkeypatch.setattr(type(model), "log_prior", lambda self, z: torch.full((len(z),), -100.0))
    assert (log_likelihood_bound(model, x, 50) < before - 50).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "width"),
    [(Ladder(latents=2, upper=1), 1), (Flow(latents=2, flows=2), 0), (CVAE(latents=3, condition=1), 0)],
)
def test_more_draws_tighten_the_bound_of_every_posterior(recipe, width):
    x = rows((6,), 30)
    model = made(recipe, x, "bernoulli").double()
    means = [log_likelihood_bound(model, x.double(), k).mean().item() for k in (1, 20, 2000)]
    assert means[0] < means[1] < means[2]
    one = torch.stack([log_likelihood_bound(model, x.double(), 1, seed).mean() for seed in range(200)]).mean()
    drawn = [torch.randn(30, 2 + width, generator=torch.Generator().manual_seed(i)).double() for i in range(200)]
    bound = (
        -model.size * torch.stack([sum(model(x.double(), x.double(), noise).terms.values()) for noise in drawn]).mean()
    )
    assert one.item() == pytest.approx(bound.item(), abs=0.05)


def test_chunks_change_nothing_but_the_draws(monkeypatch):
    model, x, _ = linear()
    whole = log_likelihood_bound(model, x, 500)
    monkeypatch.setattr("isthmus.metrics.likelihood.ROWS", 4 * 500 * 7)
    assert log_likelihood_bound(model, x, 500).mean().item() == pytest.approx(whole.mean().item(), abs=0.05)


def test_what_has_no_bound_is_refused():
    x = rows((6,), 5)
    for model, words in (
        (made(VAE(latents=2, head="student"), x, "gaussian"), "gaussian or bernoulli head"),
        (torch.nn.Linear(2, 2), "no posterior to draw from"),
    ):
        with pytest.raises(BadInput, match=words):
            log_likelihood_bound(model, x)
    with pytest.raises(BadInput, match="k must be a whole number"):
        log_likelihood_bound(made(VAE(latents=2), x, "gaussian"), x, 0)
