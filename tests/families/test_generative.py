"""The generative families: vae's options, betatc, factor, dip, infovae, wae, rae."""

import itertools
import math

import pytest
import torch
from sklearn.datasets import load_digits
from torch.func import jacrev

from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.families.betatc import BetaTC
from isthmus.families.dip import DIP
from isthmus.families.factor import Factor
from isthmus.families.infovae import InfoVAE
from isthmus.families.rae import RAE
from isthmus.families.vae import VAE
from isthmus.families.wae import WAE
from isthmus.parts import adversary, divergences, penalties
from isthmus.parts.posterior import sample
from isthmus.testing import made, noise, rows, train
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

X = rows((8,), 64)
GENERATOR = torch.Generator().manual_seed(0)


def normal(*shape):
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


def test_unit_and_learned_scale_of_a_gaussian_head():
    """The gaussian likelihood with variance v, up to log 2 pi: error / v + log(v) / 2, error half a square."""
    for scale, variance in (("unit", 1.0), ("learned", 0.3)):
        model = made(VAE(latents=3, scale=scale), X, "gaussian")
        if scale == "learned":
            torch.testing.assert_close(model.log_variance.exp(), (X - X.mean(0)).square().mean())
            model.log_variance.data.fill_(math.log(variance))
        square = (model.decode(model.encode(X)) - X).square()
        want = (square / (2 * variance) + 0.5 * math.log(variance)).mean()
        torch.testing.assert_close(model(X, X).terms["reconstruction"], want)


@pytest.mark.slow
def test_a_learned_scale_ends_at_the_error():
    model = made(VAE(latents=3, beta=0.0, scale="learned"), X, "gaussian")
    train(model, X, steps=300, rate=0.03)
    z = model.encode(X)
    drawn = noise(model, X, 1)
    error = (model.decode(z + torch.exp(0.5 * model.posterior(X)[1]) * drawn) - X).square().mean()
    assert model.log_variance.exp().item() == pytest.approx(error.item(), rel=0.3)


def test_a_scale_needs_a_gaussian_head():
    with pytest.raises(BadInput, match="scale learned is of the variance of a gaussian head; this one is bernoulli"):
        VAE(scale="learned").build((4,), "bernoulli")


def test_free_bits_cost_the_same_below_and_the_divergence_above():
    free, bound = made(VAE(latents=3), X, "bernoulli"), made(VAE(latents=3, free_bits=0.7), X, "bernoulli")
    mean, log_variance = free.posterior(X)
    each = penalties.kl_gauss_each(mean, log_variance).mean(0)
    want = sum(max(0.7, kl) for kl in each.tolist()) / 8
    assert bound(X, X).terms["kl"].item() == pytest.approx(want, rel=1e-5)
    tight = made(VAE(latents=3, free_bits=100.0), X, "bernoulli")
    assert torch.autograd.grad(tight(X, X).terms["kl"], tight.encoder.last.weight)[0].count_nonzero() == 0


@pytest.mark.slow
def test_free_bits_keep_a_code_alive_that_a_large_beta_would_empty():
    spread = []
    for bits in (0.0, 1.0):
        model = made(VAE(latents=2, beta=50.0, free_bits=bits), X, "bernoulli")
        train(model, X, steps=300, rate=0.03)
        spread.append(model.encode(X).std(0).max().item())
    assert spread[0] < 0.1
    assert spread[1] > 0.5


def test_mmd_of_three_points_by_hand():
    a, b = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[0.5], [0.5], [2.0]])

    def k(x, y):
        return sum(2 * s / (2 * s + (x - y) ** 2) for s in divergences.SCALES)

    pairs = list(itertools.permutations(range(3), 2))
    own = sum(sum(k(v[i], v[j]) for i, j in pairs) / 6 for v in (a.flatten().tolist(), b.flatten().tolist()))
    across = sum(k(x, y) for x in a.flatten().tolist() for y in b.flatten().tolist()) / 9
    assert divergences.mmd(a, b, "imq").item() == pytest.approx(own - 2 * across, rel=1e-5)


@pytest.mark.parametrize("kernel", divergences.KERNELS)
def test_mmd_is_zero_on_average_under_the_null_and_grows_with_the_shift(kernel):
    null = torch.stack([divergences.mmd(normal(40, 2), normal(40, 2), kernel) for _ in range(300)])
    assert abs(null.mean()) < 3 * null.std() / 300**0.5
    shifts = [divergences.mmd(normal(200, 2) + s, normal(200, 2), kernel).item() for s in (0.0, 1.0, 2.0)]
    assert shifts[0] < shifts[1] < shifts[2]


def test_mmd_of_many_is_the_mean_over_blocks(monkeypatch):
    a, b = normal(30, 2), normal(30, 2) + 1
    monkeypatch.setattr(divergences, "BLOCK", 10)
    parts = [divergences.mmd(a[i : i + 10], b[i : i + 10], "imq") for i in (0, 10, 20)]
    torch.testing.assert_close(divergences.mmd(a, b, "imq"), torch.stack(parts).mean())


def test_the_parts_of_the_divergence_add_up_to_a_draw_of_it():
    z, mean, log_variance = normal(7, 3), normal(7, 3), normal(7, 3)
    parts = divergences.decomposed(z, mean, log_variance, divergences.stratified(7, torch.tensor(50.0).double()))
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    prior = torch.distributions.Normal(0.0, 1.0)
    draw = (posterior.log_prob(z) - prior.log_prob(z)).sum(1).mean()
    torch.testing.assert_close(sum(parts.values()), draw)


def test_the_parts_are_exact_where_the_batch_is_all_there_is():
    """With every row in the batch, q(z) is the mean of the batch's posteriors."""
    z, mean, log_variance = normal(5, 2), normal(5, 2), normal(5, 2)
    log_weights = torch.full((5, 5), 0.2).double().log()
    parts = divergences.decomposed(z, mean, log_variance, log_weights)
    density = torch.distributions.Normal(mean, (0.5 * log_variance).exp()).log_prob(z.unsqueeze(1)).exp()
    whole, each = density.prod(2).mean(1), density.mean(1)
    torch.testing.assert_close(parts["correlation"], (whole.log() - each.log().sum(1)).mean())


def test_stratified_weights_speak_for_all_rows():
    log_weights = divergences.stratified(4, torch.tensor(100.0).double())
    weights = log_weights.exp()
    torch.testing.assert_close(weights.sum(1), torch.ones(4).double() * (1 / 100 + 97 / 300 + 2 / 3))
    torch.testing.assert_close(weights.diagonal(), torch.full((4,), 0.01).double())
    torch.testing.assert_close(divergences.weighted(4, torch.tensor(100.0)).exp(), torch.full((4, 4), 1 / 400))


def test_betatc_weights_its_parts():
    model = made(BetaTC(latents=3, alpha=0.5, beta=7.0, gamma=0.2, warmup=0.1), X, "bernoulli")
    ends = {name: getattr(w, "end", w) for name, w in model.weights.items()}
    assert ends == {"reconstruction": 1.0, "information": 0.5, "correlation": 7.0, "marginal": 0.2}
    assert model.weights["correlation"].at(0.05) == 3.5
    assert model.rows == 64


def correlated():
    """Rows with two factors of correlation 0.9 that a narrow code finds."""
    factors = torch.randn(256, 2, generator=torch.Generator().manual_seed(3))
    factors[:, 1] = 0.9 * factors[:, 0] + 0.45 * factors[:, 1]
    loadings = torch.randn(2, 8, generator=torch.Generator().manual_seed(4))
    return factors @ loadings


@pytest.mark.slow
@pytest.mark.parametrize("strong", [BetaTC(latents=2, beta=30.0, gamma=0.3), DIP(latents=2, strength=30.0)])
def test_what_asks_for_independence_gets_less_correlation(strong):
    x = correlated()
    found = []
    for recipe in (VAE(latents=2, beta=0.3), strong):
        model = made(recipe, x, "gaussian")
        train(model, x, steps=400, rate=0.02)
        z = sample(*model.posterior(x), noise(model, x))  # what the penalty sees: an idle element is only noise
        found.append(abs(torch.corrcoef(z.t())[0, 1].item()))
    assert found[1] < 0.15
    assert found[1] < 0.5 * found[0]


@pytest.mark.slow
def test_factor_critic_learns_the_density_ratio():
    """On normal codes of correlation r the total correlation is -log(1 - r^2) / 2."""
    torch.manual_seed(0)
    critic = adversary.Critic(2, 64)
    adam = torch.optim.Adam(critic.parameters(), lr=3e-3)
    for _ in range(600):
        z = torch.randn(512, 2)
        z[:, 1] = 0.9 * z[:, 0] + (1 - 0.81) ** 0.5 * z[:, 1]
        adam.zero_grad()
        adversary.told_apart(critic, z, adversary.shuffled(z, torch.rand(512, 2))).backward()
        adam.step()
    assert critic(z, still=True).mean().item() == pytest.approx(-0.5 * math.log(1 - 0.81), abs=0.25)


@pytest.mark.slow
def test_factor_lowers_the_total_correlation_wherever_tuning_may_look():
    x, found = load_digits().data, []
    where = Factor().space()["gamma"]
    for gamma in (0.0, Factor().gamma, where.high):
        fitted = fit(Factor(latents=6, hidden=(64,), gamma=gamma), x, plan=Plan(steps=1000))
        scaled = torch.from_numpy(fitted.scaled(x))
        with torch.no_grad():
            z = sample(*fitted.model.posterior(scaled), torch.randn(len(x), 6, generator=GENERATOR))
        found.append(-0.5 * torch.logdet(torch.corrcoef(z.double().t())).item())
    assert found[1] < 0.7 * found[0]
    assert found[2] < found[0]


def test_factor_sides_are_detached():
    model = made(Factor(latents=3), X, "bernoulli")
    terms = model(X, X, noise(model, X)).terms
    encoder, critic = list(model.encoder.parameters()), list(model.critic.parameters())
    for name, moved, still in (("critic", critic, encoder), ("correlation", encoder, critic)):
        for parameters, moves in ((moved, True), (still, False)):
            gradients = torch.autograd.grad(terms[name], parameters, retain_graph=True, allow_unused=True)
            assert any(g is not None and bool(g.any()) for g in gradients) == moves


def test_factor_terms_are_those_of_the_drawn_codes_and_of_the_drawn_shuffle():
    model = made(Factor(latents=3), X, "bernoulli")
    drawn = noise(model, X)
    z = sample(*model.posterior(X), drawn["code"])
    mixed = torch.stack([z[drawn["order"][:, j].argsort(), j] for j in range(3)], dim=1)
    terms, logit = model(X, X, drawn).terms, model.critic(z)
    apart = torch.nn.functional.softplus(-logit) + torch.nn.functional.softplus(model.critic(mixed))
    torch.testing.assert_close(terms["critic"], apart.mean() / 8)
    torch.testing.assert_close(terms["correlation"], logit.mean() / 8)
    fixed = torch.stack([z[:, j].roll(j) for j in range(3)], dim=1)
    assert not torch.allclose(model.critic(mixed).mean(), model.critic(fixed).mean(), rtol=1e-4)


def test_a_shuffle_keeps_each_column_and_mixes_rows():
    z = normal(50, 3)
    mixed = adversary.shuffled(z, torch.rand(50, 3, generator=GENERATOR))
    torch.testing.assert_close(mixed.sort(0).values, z.sort(0).values)
    assert not torch.equal(mixed, z)
    assert abs(torch.corrcoef(torch.stack([mixed[:, 0], z[:, 0]]))[0, 1]) < 0.5


@pytest.mark.parametrize("version", [1, 2])
def test_dip_is_of_the_covariance(version):
    model = made(DIP(latents=3, version=version), X, "bernoulli")
    mean, log_variance = model.posterior(X)
    covariance = torch.cov(mean.t(), correction=0) + (version == 2) * torch.diag(log_variance.exp().mean(0))
    off = covariance - torch.diag(covariance.diagonal())
    terms = model(X, X).terms
    torch.testing.assert_close(terms["covariance"], off.square().sum() / 8, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(terms["variance"], (covariance.diagonal() - 1).square().sum() / 8)


def test_infovae_of_no_preference_is_the_vae():
    ours, vae = made(InfoVAE(latents=3, alpha=0.0, strength=1.0), X, "bernoulli"), made(VAE(latents=3), X, "bernoulli")
    assert ours.weights == {"reconstruction": 1.0, "kl": 1.0, "mmd": 0.0}
    drawn = noise(ours, X)
    for name in ("reconstruction", "kl"):
        assert torch.equal(ours(X, X, drawn).terms[name], vae(X, X, drawn["code"]).terms[name])
    with pytest.raises(BadInput, match=r"strength must be at least 1 - alpha = 0\.5"):
        InfoVAE(alpha=0.5, strength=0.2).build((4,), "gaussian")


@pytest.mark.slow
def test_wae_draws_codes_to_the_prior():
    x, gaps = rows((8,), 256), []
    for strength in (0.0, 10.0):
        model = made(WAE(latents=2, strength=strength), x, "bernoulli")
        train(model, x, steps=300, rate=0.02)
        gaps.append(divergences.mmd(model.encode(x), torch.randn(256, 2, generator=GENERATOR), "imq").item())
    assert gaps[1] < 0.1 * gaps[0]


def test_rae_terms():
    model = made(RAE(latents=3, hidden=(5,), strength=0.5, smoothness=0.25), X, "bernoulli")
    z, terms = model.encode(X), model(X, X).terms
    torch.testing.assert_close(terms["code"], 0.5 * z.square().sum(1).mean() / 8)
    squares = sum(p.square().sum() for k, p in model.decoder.named_parameters() if "weight" in k)
    torch.testing.assert_close(terms["smoothness"], squares / 8)
    assert model.weights == {"reconstruction": 1.0, "code": 0.5, "smoothness": 0.25}


@pytest.mark.slow
def test_rae_gradient_is_the_slope_of_the_decoder_on_average():
    model = made(RAE(latents=2, hidden=(5,), activation="tanh", regulariser="gradient"), X, "bernoulli").double()
    x = X[:4].double()
    z = model.encode(x).detach()
    exact = sum(jacrev(lambda c: model.decode(c.unsqueeze(0))[0])(c).square().sum() for c in z) / 4
    draws = [model(x, x, normal(4, 2)).terms["smoothness"].item() for _ in range(1500)]
    assert sum(draws) / 1500 * 8 == pytest.approx(exact.item(), rel=0.1)


@pytest.mark.slow
def test_rae_spectral_bounds_every_layer():
    loose, tight = (made(RAE(latents=3, hidden=(5,), regulariser=r), X, "gaussian") for r in ("l2", "spectral"))
    assert "smoothness" not in tight.weights
    assert "smoothness" not in RAE(regulariser="spectral").space()
    for model in (loose, tight):
        model.weights = {k: 1.0 if k == "reconstruction" else 0.0 for k in model.weights}
        train(model, 3 * X, steps=200, rate=0.02)
    assert max(torch.linalg.matrix_norm(w, 2).item() for w in loose.matrices()) > 1.5
    assert max(torch.linalg.matrix_norm(w, 2).item() for w in tight.matrices()) < 1.02


@pytest.mark.parametrize("name", ["vae", "betatc", "factor", "dip", "infovae", "wae"])
def test_a_prior_gives_codes(name):
    model = named(name).set_params(latents=5).build((8,), "bernoulli")
    z = model.prior(2000, torch.Generator().manual_seed(0))
    assert z.shape == (2000, 5)
    assert abs(z.mean()) < 0.05
    assert model.decode(z[:3]).shape == (3, 8)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vae", "betatc", "factor", "dip", "infovae", "wae", "rae"])
def test_absurd_weights_stay_finite(name):
    strong = {"vae": "beta", "betatc": "beta", "factor": "gamma", "infovae": "strength"}.get(name, "strength")
    model = made(named(name).set_params(latents=3, **{strong: 1000.0}), X, "bernoulli")
    assert all(math.isfinite(loss) for loss in train(model, X, steps=100, rate=0.05))
    assert model.encode(X).isfinite().all()
