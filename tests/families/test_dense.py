"""The families with a dense code: plain, contractive, vae, pca."""

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA as ScikitPCA
from torch.distributions import Normal, kl_divergence

from isthmus.families.contractive import Contractive
from isthmus.families.pca import PCA
from isthmus.families.plain import Plain
from isthmus.families.vae import VAE
from isthmus.model import Ramp
from isthmus.parts.posterior import DECAY, LEAST_VARIANCE
from isthmus.testing import made, noise, rows, train

X = rows((6,), 40)


def gaussian_rows(n=200, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scale = torch.tensor([3.0, 2.0, 1.5, 0.6, 0.4, 0.2])
    turn = torch.linalg.qr(torch.randn(6, 6, generator=generator)).Q
    return torch.randn(n, 6, generator=generator) * scale @ turn + 1.0


@pytest.mark.parametrize("tied", [False, True])
def test_linear_plain_reaches_the_pca_subspace(tied):
    x = gaussian_rows().double()
    model = made(Plain(latents=3, backbone="linear", tied=tied), x.float(), "gaussian").double()
    params = list(model.parameters())
    solver = torch.optim.LBFGS(params, max_iter=800, tolerance_grad=1e-10, tolerance_change=0, history_size=50,
                               line_search_fn="strong_wolfe")  # fmt: skip

    def closure():
        solver.zero_grad()
        loss = model(x, x).terms["reconstruction"]
        loss.backward()
        return loss

    solver.step(closure)
    pca = ScikitPCA(3).fit(x.numpy())
    angles = subspace_angles(model.decoder.dictionary.detach().numpy(), pca.components_.T)
    assert angles.max() < 1e-3
    best = 0.5 * np.square(x.numpy() - pca.inverse_transform(pca.transform(x.numpy()))).mean()
    assert model(x, x).terms["reconstruction"].item() == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("shape", [(6,), (2, 3)])
def test_pca_is_scikit_learns(shape):
    x = gaussian_rows().reshape(-1, *shape)
    model = made(PCA(latents=3), x, "bernoulli")
    rival = ScikitPCA(3).fit(x.flatten(1).double().numpy())
    assert subspace_angles(model.components.numpy().T, rival.components_.T).max() < 1e-5
    z, back = model.encode(x).numpy(), model.decode(model.encode(x)).flatten(1).numpy()
    np.testing.assert_allclose(np.abs(z), np.abs(rival.transform(x.flatten(1).double().numpy())), rtol=1e-4, atol=1e-4)
    want = rival.inverse_transform(rival.transform(x.flatten(1).double().numpy()))
    np.testing.assert_allclose(back, want, rtol=1e-4, atol=1e-4)
    assert not list(model.parameters())
    rows_largest = model.components.abs().argmax(1)
    assert (model.components[torch.arange(3), rows_largest] > 0).all()


def test_pca_keeps_its_digits_on_a_large_offset():
    x = gaussian_rows().double() + 1e4
    rival = ScikitPCA(2).fit(x.float().double().numpy())
    model = made(PCA(latents=2), x.float(), "gaussian")
    assert subspace_angles(model.components.numpy().T, rival.components_.T).max() < 1e-4


def test_pca_pads_with_zeros_beyond_the_rank():
    x = gaussian_rows(3)
    model = made(PCA(latents=5), x, "gaussian")
    assert model.components[:2].norm(dim=1).tolist() == pytest.approx([1, 1])
    assert not model.components[2:].any()
    torch.testing.assert_close(model.decode(model.encode(x)), x)
    alone = made(PCA(latents=2), x[:1], "gaussian")
    assert not alone.components.any()
    torch.testing.assert_close(alone.decode(alone.encode(x[:1])), x[:1])


def test_contractive_uses_the_closed_form_and_the_exact_norm():
    for hidden in ((), (5,)):
        exact = {"estimator": "exact", "activation": "tanh"} if hidden else {}  # one layer has the closed form
        model = made(Contractive(latents=3, hidden=hidden, **exact), X, "gaussian")
        jacobians = [torch.autograd.functional.jacobian(lambda r, m=model: m.encode(r[None])[0], row) for row in X]
        want = torch.stack([j.square().sum() for j in jacobians]).mean() / 6
        torch.testing.assert_close(model(X, X).terms["contraction"], want)
        assert model.draw(X, torch.Generator()) is None


@pytest.mark.slow
def test_contractive_estimate_needs_noise_and_averages_to_the_norm():
    exact, estimate = (
        made(Contractive(latents=3, hidden=(5,), activation="tanh", estimator=e), X, "gaussian")
        for e in ("exact", "jvp")
    )
    want = exact(X, X).terms["contraction"].item()
    got = [estimate(X, X, noise(estimate, X, i)).terms["contraction"].item() for i in range(300)]
    assert np.mean(got) == pytest.approx(want, abs=4 * np.std(got) / np.sqrt(300))
    assert estimate(X, X, None).terms["contraction"].item() == pytest.approx(want, rel=1e-5)
    assert Contractive(estimator="jvp").build((6,), "gaussian").draw(X, torch.Generator()) is None


@pytest.mark.slow
def test_contraction_contracts():
    norms = []
    for strength in (0.0, 1.0):
        model = made(Contractive(latents=3, strength=strength), X, "bernoulli")
        train(model, X, steps=300, rate=0.02)
        norms.append(model(X, X).terms["contraction"].item())
    assert norms[1] < 0.5 * norms[0]


@pytest.mark.parametrize("head", ["gaussian", "bernoulli"])
def test_vae_terms_are_the_evidence_bound(head):
    model = made(VAE(latents=3), X, head)
    drawn = noise(model, X)
    mean, log_variance = model.posterior(X)
    q = Normal(mean, torch.exp(0.5 * log_variance))
    terms = model(X, X, drawn).terms
    kl = kl_divergence(q, Normal(torch.zeros_like(mean), 1.0)).sum(1).mean() / 6
    torch.testing.assert_close(terms["kl"], kl)
    z = mean + q.stddev * drawn
    if head == "gaussian":
        model.variance.fill_(0.3)
        p = Normal(model.decode(z), 0.3**0.5)
        want = -p.log_prob(X).mean() - 0.5 * np.log(2 * np.pi)
    else:
        p = model.decode(z)
        want = -(X * p.log() + (1 - X) * (1 - p).log()).mean()
    torch.testing.assert_close(model(X, X, drawn).terms["reconstruction"], want)
    assert torch.equal(model.encode(X), mean)


def test_vae_posteriors_start_narrow():
    log_variance = made(VAE(latents=3), X, "gaussian").posterior(X)[1]
    torch.testing.assert_close(log_variance.mean(0), torch.full((3,), -4.0))


def test_vae_variance_follows_the_squared_error():
    model = made(VAE(latents=2), X, "gaussian")
    assert model.variance.item() == pytest.approx((X - X.mean(0)).square().mean().item(), rel=1e-5)
    before = model.variance.item()
    drawn = noise(model, X)
    mean, log_variance = model.posterior(X)
    error = (model.decode(mean + torch.exp(0.5 * log_variance) * drawn) - X).square().mean().item()
    model.absorb(model(X, X, drawn).seen)
    assert model.variance.item() == pytest.approx(DECAY * before + (1 - DECAY) * error, rel=1e-5)
    flat = torch.full((9, 6), 0.5)
    assert made(VAE(latents=2), flat, "gaussian").variance.item() == pytest.approx(LEAST_VARIANCE)


@pytest.mark.slow
def test_vae_does_not_collapse_on_data_of_small_spread():
    x = 0.4 * X
    left = []
    for learnt in (True, False):
        model = made(VAE(latents=2), x, "gaussian")
        if not learnt:
            model.variance.fill_(1.0)
            model.absorb = lambda seen: None
        train(model, x, steps=500, rate=0.01)
        left.append(((model.decode(model.encode(x)) - x).square().mean() / (x - x.mean(0)).square().mean()).item())
    assert left[0] < 0.5
    assert left[1] > 0.9


def test_vae_extreme_posteriors_stay_finite():
    model = made(VAE(latents=2), X, "gaussian")
    for size in (-1e4, 1e4):
        with torch.no_grad():
            model.encoder.layers[-1].bias[2:].fill_(size)
        loss = model(X, X, noise(model, X))
        assert all(t.isfinite() for t in loss.terms.values())


def test_vae_warm_up():
    assert VAE(beta=0.5, warmup=0.1).build((6,), "gaussian").weights["kl"] == Ramp(0.5, 0.1)
    assert VAE(beta=0.5).build((6,), "gaussian").weights["kl"] == 0.5
