"""iwae, vamp, cvae, flow, ladder, aae."""

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal, kl_divergence
from torch.func import jacrev

from isthmus.errors import BadInput
from isthmus.families.aae import AAE
from isthmus.families.cvae import CVAE
from isthmus.families.flow import Flow, planar
from isthmus.families.iwae import IWAE
from isthmus.families.ladder import Ladder, joined
from isthmus.families.plain import Plain
from isthmus.families.vae import VAE
from isthmus.families.vamp import Vamp
from isthmus.metrics.likelihood import log_likelihood_bound
from isthmus.metrics.rate import bits_back
from isthmus.parts import divergences
from isthmus.parts.posterior import NARROW
from isthmus.testing import made, noise, rows, train

X = rows((8,), 64)


@pytest.mark.parametrize("head", ["bernoulli", "gaussian"])
def test_iwae_of_one_draw_is_the_vae_whose_divergence_is_of_that_draw(head):
    ours, vae = made(IWAE(latents=3, samples=1), X, head).double(), made(VAE(latents=3), X, head).double()
    x = X.double()
    drawn = noise(ours, x)
    mean, log_variance = vae.posterior(x)
    posterior = Normal(mean, (0.5 * log_variance).exp())
    z = posterior.mean + posterior.stddev * drawn[:, 0]
    kl = (posterior.log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(1).mean() / 8
    want = vae(x, x, drawn[:, 0]).terms["reconstruction"] + kl
    torch.testing.assert_close(ours(x, x, drawn).terms["reconstruction"], want)


def test_iwae_of_many_draws_is_the_mean_of_their_weights():
    model = made(IWAE(latents=3, samples=7), X, "bernoulli").double()
    x = X.double()
    drawn = noise(model, x)
    log_weights, _ = model.log_weights(x, x, drawn)
    want = -log_weights.exp().mean(1).log().mean() / 8
    torch.testing.assert_close(model(x, x, drawn).terms["reconstruction"], want)
    more = made(IWAE(latents=3, samples=200), X, "bernoulli").double()
    assert more(x, x, noise(more, x)).terms["reconstruction"] < want


def drawn_errors(model, x, drawn):
    """Importance weights (B, k) at the model's variance, and squared errors per element, with no help of the family."""
    mean, log_variance = (part.unsqueeze(1) for part in model.posterior(x))
    z = mean + torch.exp(0.5 * log_variance) * drawn
    square = (model.decoder(z.flatten(0, 1)).view(*drawn.shape[:2], -1) - x.unsqueeze(1)).square()
    log_weights = Normal(0.0, 1.0).log_prob(z).sum(2) - Normal(mean, torch.exp(0.5 * log_variance)).log_prob(z).sum(2)
    return log_weights, square


def settle(model, x, drawn):
    """Give a model the variance at which ``absorb`` leaves it, for weights and draws that are held still."""
    for _ in range(100):
        seen = model(x, x, drawn).seen
        model.variance.copy_(seen["square"] / seen["rows"])
    before = model.variance.clone()
    model.absorb(model(x, x, drawn).seen)
    torch.testing.assert_close(model.variance, before, rtol=1e-6, atol=0)


@pytest.mark.parametrize("samples", [1, 5, 50])
def test_iwae_variance_settles_where_the_bound_is_best(samples):
    """With weights and draws held still, the remembered variance is the best of a fine grid."""
    model = made(IWAE(latents=3, samples=samples), X, "gaussian").double()
    x = X.double()
    with torch.no_grad():
        model.encoder.last.bias[3:].add_(3.0)  # wide posteriors: draws differ in how well they explain a row
    drawn = noise(model, x)
    settle(model, x, drawn)
    ratio, square = drawn_errors(model, x, drawn)
    grid = model.variance * torch.linspace(0.8, 1.25, 901).double()
    each = -0.5 * square.sum(2) / grid.view(-1, 1, 1) - 4 * torch.log(grid).view(-1, 1, 1) + ratio
    best = grid[torch.logsumexp(each, 2).mean(1).argmax()].item()
    assert model.variance.item() == pytest.approx(best, rel=2e-3)
    weights = (ratio - 0.5 * square.sum(2) / model.variance).softmax(1)
    torch.testing.assert_close(model.variance, (weights * square.mean(2)).sum(1).mean(), rtol=1e-4, atol=0)
    evenly = square.mean().item()
    assert (model.variance.item() < 0.95 * evenly) == (samples > 1)


@pytest.mark.slow
def test_iwae_of_linear_normal_rows_learns_their_variance():
    """With the decoder that made the rows and many draws, the bound is the likelihood, whose best variance is known."""
    g = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 2, generator=g).double()
    x = torch.randn(200, 2, generator=g).double() @ weight.t() + 0.3**0.5 * torch.randn(200, 6, generator=g).double()
    model = made(IWAE(latents=2, samples=200), x.float(), "gaussian").double()
    precision = torch.eye(2).double() + weight.t() @ weight / 0.3
    with torch.no_grad():
        for layer in (model.encoder.last, model.decoder.layers[0]):
            layer.weight.zero_()
            layer.bias.zero_()
        model.decoder.dictionary.copy_(weight)
        model.encoder.last.weight[:2] = torch.linalg.solve(precision, weight.t()) / 0.3
        model.encoder.last.bias[2:] = torch.log(4 * torch.linalg.inv(precision).diagonal())  # twice too wide
        model.variance.fill_(0.3)
    settle(model, x, noise(model, x))
    grid = torch.linspace(0.2, 0.4, 401).double()
    spread = weight @ weight.t() + grid.view(-1, 1, 1) * torch.eye(6)
    truth = MultivariateNormal(torch.zeros(6).double(), spread).log_prob(x.unsqueeze(1)).mean(0)
    assert model.variance.item() == pytest.approx(grid[truth.argmax()].item(), rel=0.02)


def test_iwae_beta_stands_inside():
    one, other = (made(IWAE(latents=3, beta=b), X, "bernoulli") for b in (1.0, 0.0))
    drawn = noise(one, X)
    mean, log_variance = (t.unsqueeze(1) for t in one.posterior(X))
    gap = one.log_weights(X, X, drawn)[0] - other.log_weights(X, X, drawn)[0]
    z = mean + torch.exp(0.5 * log_variance) * drawn
    want = (Normal(0.0, 1.0).log_prob(z) - Normal(mean, torch.exp(0.5 * log_variance)).log_prob(z)).sum(2)
    torch.testing.assert_close(gap, want, rtol=1e-4, atol=1e-4)
    with pytest.raises(BadInput, match="leave warmup at 0"):
        IWAE(warmup=0.5).build((4,), "gaussian")


def test_vamp_prior_is_the_mixture_of_its_pseudo_rows():
    model = made(Vamp(latents=3, components=4), X, "bernoulli")
    torch.testing.assert_close(model.pseudo.data, X[[0, 21, 42, 63]])
    mean, log_variance = model.posterior(model.pseudo)
    mixture = MixtureSameFamily(Categorical(torch.ones(4)), Independent(Normal(mean, (0.5 * log_variance).exp()), 1))
    z = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.log_prior(z), mixture.log_prob(z))
    drawn = model.prior(4000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(0), mixture.mean.detach(), rtol=0, atol=0.05)
    mean, log_variance = model.posterior(X)
    z = mean.detach()
    want = (Normal(mean, (0.5 * log_variance).exp()).log_prob(z).sum(1) - mixture.log_prob(z)).mean() / 8
    torch.testing.assert_close(model(X, X).terms["kl"], want)


def conditioned(n=200):
    """Rows of two kinds, the last column says which; the first columns differ by 0.5 between the kinds."""
    x = rows((6,), n) * 0.4
    kind = (torch.arange(n) % 2).float().unsqueeze(1)
    return torch.cat([x + 0.5 * kind, kind], dim=1)


@pytest.mark.slow
def test_cvae_decodes_what_the_condition_says():
    x = conditioned()
    model = made(CVAE(latents=4, condition=1, hidden=(16,)), x, "bernoulli")
    train(model, x, steps=400, rate=0.01)
    z = model.encode(x)
    assert torch.equal(z[:, -1], x[:, -1])
    assert torch.equal(model.decode(z)[:, -1], x[:, -1])
    turned = z.clone()
    turned[:, -1] = 1 - turned[:, -1]
    step = (model.decode(turned) - model.decode(z))[:, :-1].mean(1) * (1 - 2 * x[:, -1])
    assert step.mean().item() == pytest.approx(0.5, abs=0.15)
    drawn = model.prior(500, torch.Generator().manual_seed(0))
    assert drawn.shape == (500, 4)
    assert drawn[:, -1].mean().item() == pytest.approx(0.5, abs=0.1)


def given(n, columns=10, conditions=30, variance=0.3, seed=0):
    """Rows x = A y + W z + noise beside their y, the maps A and W, and log p(x | y) of each row."""
    fixed, g = torch.Generator().manual_seed(5), torch.Generator().manual_seed(seed)
    to_y = 0.3 * torch.randn(columns, conditions, generator=fixed).double()
    to_z = 2 * torch.linalg.qr(torch.randn(columns, 2, generator=fixed).double()).Q  # the posterior is a diagonal one
    y, z, noise = (torch.randn(n, width, generator=g).double() for width in (conditions, 2, columns))
    x = y @ to_y.t() + z @ to_z.t() + variance**0.5 * noise
    density = MultivariateNormal(torch.zeros(columns).double(), to_z @ to_z.t() + variance * torch.eye(columns))
    return torch.cat([x, y], 1), to_y, to_z, density.log_prob(x - y @ to_y.t())


@pytest.mark.slow
def test_cvae_of_linear_normal_rows_has_their_likelihood_and_their_variance():
    """The decoder that made the rows, with the exact posterior: what it bounds and what it remembers are known."""
    rows_, to_y, to_z, truth = given(600)
    model = made(CVAE(latents=32, condition=30), rows_.float(), "gaussian").double()
    precision = torch.eye(2).double() + to_z.t() @ to_z / 0.3
    to_mean = torch.linalg.solve(precision, to_z.t()) / 0.3
    spread = torch.linalg.inv(precision)
    with torch.no_grad():
        for layer in (model.encoder.last, model.decoder.layers[0]):
            layer.weight.zero_()
            layer.bias.zero_()
        model.decoder.dictionary[:10, :2] = to_z
        model.decoder.dictionary[:10, 2:] = to_y
        model.encoder.last.weight[:2] = torch.cat([to_mean, -to_mean @ to_y], 1)
        model.encoder.last.bias[32:34] = torch.log(spread.diagonal())
        model.variance.fill_(0.3)
    bounds = [log_likelihood_bound(model, rows_, k).mean().item() for k in (1, 200)]
    assert bounds[0] < bounds[1] + 1e-6
    assert bounds[1] == pytest.approx(truth.mean().item(), abs=0.05)
    assert bits_back(model.float(), rows_.float().numpy(), 0.01) * 10 * math.log(2) == pytest.approx(
        -bounds[0] - 10 * math.log(0.01), rel=0.02
    )
    model.double().variance.fill_(1.0)
    for i in range(800):
        model.absorb(model(rows_, rows_, noise(model, rows_, i)).seen)
    assert model.variance.item() == pytest.approx(0.3, rel=0.06)


@pytest.mark.slow
def test_cvae_that_was_trained_never_bounds_more_than_the_truth():
    x, (fresh, *_, truth) = given(1500)[0].float(), given(1500, seed=1)
    model = made(CVAE(latents=32, condition=30), x, "gaussian")
    assert model.variance.item() == pytest.approx(x[:, :10].var(0, correction=0).mean().item(), rel=1e-4)
    train(model, x, steps=400, rate=0.02)
    found = log_likelihood_bound(model, fresh.float(), 50).mean().item()
    assert truth.mean().item() - 1.5 < found < truth.mean().item()


def test_cvae_does_not_pay_for_the_condition():
    x = conditioned(50)
    model = made(CVAE(latents=3, condition=1), x, "gaussian")
    square = 0.5 * (model.decode(model.encode(x)) - x)[:, :-1].square().mean()
    want = square / model.variance + 0.5 * model.variance.log()
    torch.testing.assert_close(model(x, x).terms["reconstruction"], want)
    score = (model.reconstruct(x) - x)[:, :-1].square().mean(1)
    torch.testing.assert_close(model.score(x), score)
    for shape, fields in (((3, 3), {}), ((2,), {"condition": 2, "latents": 4}), ((9,), {"latents": 1})):
        with pytest.raises(BadInput, match="cvae: "):
            CVAE(**fields).build(shape, "gaussian")


def test_a_planar_flow_and_its_log_determinant():
    generator = torch.Generator().manual_seed(0)
    z, u, w = (torch.randn(5, 3, generator=generator, dtype=torch.float64) for _ in range(3))
    b = torch.randn(5, 1, generator=generator, dtype=torch.float64)
    found = planar(z, -5 * u.sign() * w.abs(), w, b)[1]  # u that would fold space without the constraint
    for i in range(5):
        one = [t[i : i + 1] for t in (-5 * u.sign() * w.abs(), w, b)]
        jacobian = jacrev(lambda c, one=one: planar(c.unsqueeze(0), *one)[0][0])(z[i])
        assert torch.linalg.det(jacobian) > 0
        torch.testing.assert_close(found[i], torch.linalg.slogdet(jacobian).logabsdet, rtol=1e-5, atol=1e-6)


def test_flows_of_none_are_the_vae_and_flows_add_their_stretch():
    none, vae = made(Flow(latents=3, flows=0), X, "bernoulli"), made(VAE(latents=3), X, "bernoulli")
    drawn = noise(none, X)
    assert torch.equal(none(X, X, drawn).terms["reconstruction"], vae(X, X, drawn).terms["reconstruction"])
    kl = [none(X, X, noise(none, X, i)).terms["kl"].item() for i in range(300)]
    assert sum(kl) / 300 == pytest.approx(vae(X, X).terms["kl"].item(), rel=0.02)
    model = made(Flow(latents=3, flows=2), X, "bernoulli")
    mean, log_variance, flows = model.split(X)
    first = mean + torch.exp(0.5 * log_variance) * drawn
    z, stretch = model.bent(first, flows)
    paid = Normal(mean, torch.exp(0.5 * log_variance)).log_prob(first).sum(1) - stretch
    want = (paid - Normal(0.0, 1.0).log_prob(z).sum(1)).mean() / 8
    torch.testing.assert_close(model(X, X, drawn).terms["kl"], want, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_aae_codes_come_to_pass_for_draws_of_the_prior():
    """Two sides that chase each other end elsewhere for each seed and processor: the middle one of three is held."""
    x, shares = rows((8,), 256), []
    prior = torch.randn(256, 2, generator=torch.Generator().manual_seed(1))
    for seed in range(3):
        gaps = []
        for recipe in (Plain(latents=2), AAE(latents=2)):
            model = made(recipe, x, "bernoulli", seed)
            losses = train(model, x, steps=500, rate=0.01)
            assert all(math.isfinite(loss) for loss in losses)
            gaps.append(divergences.mmd(model.encode(x), prior, "imq").item())
        shares.append(gaps[1] / gaps[0])
    assert sorted(shares)[1] < 0.3  # 0.10 to 0.20 for five seeds


def test_two_normal_opinions_are_joined_as_their_densities_multiply():
    a, b = Normal(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])), Normal(torch.zeros(2), torch.tensor([2.0, 0.1]))
    mean, log_variance = joined(a.mean, a.variance.log(), b.mean, b.variance.log())
    grid = torch.tensor([[-1.0, -0.5], [0.3, 0.2], [2.0, 1.0]])
    product = a.log_prob(grid) + b.log_prob(grid) - Normal(mean, (0.5 * log_variance).exp()).log_prob(grid)
    torch.testing.assert_close(product, product[:1].expand(3, 2))  # equal up to the constant of each element


def test_ladder_divergences_are_those_of_its_normals():
    model = made(Ladder(latents=3, upper=2, between=5), X, "bernoulli").double()
    x = X.double()
    drawn = noise(model, x)
    assert drawn.shape == (64, 5)
    mean, log_variance, top, top_log_variance = model.climb(x)
    upper = Normal(top, (0.5 * top_log_variance).exp())
    prior_mean, prior_log_variance = model.given(upper.mean + upper.stddev * drawn[:, :2])
    prior = Normal(prior_mean, (0.5 * prior_log_variance).exp())
    mean, log_variance = joined(mean, log_variance, prior_mean, prior_log_variance)
    posterior = Normal(mean, (0.5 * log_variance).exp())
    terms = model(x, x, drawn).terms
    torch.testing.assert_close(terms["kl"], kl_divergence(posterior, prior).sum(1).mean() / 8)
    torch.testing.assert_close(terms["kl_upper"], kl_divergence(upper, Normal(0.0, 1.0)).sum(1).mean() / 8)
    z = posterior.mean + posterior.stddev * drawn[:, 2:]
    torch.testing.assert_close(terms["reconstruction"], model.misfit(z, x))
    torch.testing.assert_close(model.encode(x), model.posterior(x)[0])


def test_ladder_whose_upper_layer_says_nothing_is_a_vae():
    model = made(Ladder(latents=3, upper=2), X, "bernoulli")
    with torch.no_grad():
        for layer in (model.up.last, model.down.last):
            layer.weight.zero_()
            layer.bias.zero_()
    drawn = noise(model, X)
    mean, log_variance = model.climb(X)[:2]
    mean, log_variance = joined(mean, log_variance, torch.zeros_like(mean), torch.zeros_like(mean))
    terms = model(X, X, drawn).terms
    want = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum(1).mean() / 8
    torch.testing.assert_close(terms["kl"], want)
    assert terms["kl_upper"].item() == 0.0
    codes = model.prior(4000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(codes.std(0), torch.ones(3), rtol=0, atol=0.05)


def test_ladder_free_bits_count_in_both_layers():
    model = made(Ladder(latents=3, upper=2, free_bits=50.0), X, "bernoulli")
    terms = model(X, X, noise(model, X)).terms
    assert terms["kl"].item() == pytest.approx(3 * 50 / 8)
    assert terms["kl_upper"].item() == pytest.approx(2 * 50 / 8)


def test_both_posteriors_of_a_ladder_start_narrow():
    model = made(Ladder(latents=3, upper=2), X, "bernoulli")
    _, log_variance, _, top = model.climb(X)
    torch.testing.assert_close(log_variance.mean(0), torch.full((3,), -NARROW))
    assert (top + NARROW).abs().max() < 2
