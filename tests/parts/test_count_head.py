"""Likelihoods of counts beside scipy's, and the head that makes them of rows that are laid out."""

import copy

import numpy as np
import pytest
import torch
from scipy import stats

from isthmus.data.counts import Counts
from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.parts.heads import CountHead
from isthmus.parts.heads.counts import negative_binomial, poisson
from isthmus.train.fitted import fit_many
from isthmus.train.likelihood import of_counts
from isthmus.train.plan import Plan


def drawn(n: int = 400, seed: int = 0) -> np.ndarray:
    """Two kinds of rows over six columns, with totals of their own and a variance beyond Poisson's."""
    random = np.random.default_rng(seed)
    shares = np.array([[6, 3, 1, 1, 1, 0.1], [0.1, 1, 1, 1, 6, 3]])
    rates = (shares / shares.sum(axis=1, keepdims=True))[random.integers(0, 2, n)]
    mean = rates * random.lognormal(3, 0.5, (n, 1))
    return random.poisson(mean * random.gamma(2, 0.5, mean.shape)).astype(np.float64)


LAYOUT = Counts.fit(drawn())
GRID = [(mean, size, count) for mean in (1e-3, 0.7, 40.0) for size in (0.05, 1.0, 300.0) for count in (0, 1, 17, 500)]


def test_negative_binomial_is_scipys() -> None:
    mean, size, count = (np.array(one, np.float64) for one in zip(*GRID, strict=True))
    want = -stats.nbinom.logpmf(count, size, size / (size + mean))
    got = negative_binomial(*(torch.tensor(one) for one in (np.log(mean), np.log(size), count)))
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-9)


def test_poisson_is_scipys_and_what_a_negative_binomial_of_great_size_comes_to() -> None:
    mean, _, count = (np.array(one, np.float64) for one in zip(*GRID, strict=True))
    want = -stats.poisson.logpmf(count, mean)
    log, at = torch.tensor(np.log(mean)), torch.tensor(count)
    np.testing.assert_allclose(poisson(log, at).numpy(), want, rtol=1e-9)
    near = negative_binomial(log, torch.full_like(log, 20.0), at).numpy()
    np.testing.assert_allclose(near, want, rtol=1e-3)


def test_gradients_are_those_of_finite_differences() -> None:
    log_mean = torch.tensor([-3.0, 0.2, 3.0], dtype=torch.float64, requires_grad=True)
    log_size = torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64, requires_grad=True)
    count = torch.tensor([0.0, 1.0, 30.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda m, s: negative_binomial(m, s, count), (log_mean, log_size))
    assert torch.autograd.gradcheck(lambda m: poisson(m, count), (log_mean,))
    head = of_counts(LAYOUT).double()
    row = torch.tensor(LAYOUT.apply(drawn(3, 1))).double()
    raw = torch.randn(3, LAYOUT.width, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r: head.nll(r, row), (raw,))


@pytest.mark.parametrize("name", ["poisson", "negative_binomial"])
def test_the_head_costs_what_scipy_says_of_the_counts_of_a_row(name: str) -> None:
    rows = drawn(5, 2)
    head = of_counts(LAYOUT).but(name)
    assert isinstance(head, CountHead)
    raw = torch.randn(5, LAYOUT.width, generator=torch.Generator().manual_seed(0))
    share = torch.softmax(raw[:, :-1], dim=1).double().numpy()
    counts = rows[:, LAYOUT.kept]
    mean, size = counts.sum(axis=1, keepdims=True) * share, 1 / LAYOUT.dispersion
    want = stats.poisson(mean) if name == "poisson" else stats.nbinom(size, size / (size + mean))
    laid = torch.tensor(LAYOUT.apply(rows))
    got = head.nll(raw, laid)
    np.testing.assert_allclose(got[:, :-1].detach().numpy(), -want.logpmf(counts), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(got[:, -1], 0.5 * (raw[:, -1] - laid[:, -1]).square())


def test_mean_undoes_link_and_no_constant_in_the_raw_output_matters() -> None:
    head = of_counts(LAYOUT)
    raw = torch.randn(4, LAYOUT.width)
    mean = head.mean(raw)
    torch.testing.assert_close(head.mean(head.link(mean)), mean, rtol=1e-4, atol=1e-4)
    moved = raw.clone()
    moved[:, :-1] += 3
    torch.testing.assert_close(head.mean(moved), mean, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(LAYOUT.rates(mean.numpy()), torch.softmax(raw[:, :-1], 1).numpy(), atol=1e-5)


def test_dispersions_are_learnt() -> None:
    random = np.random.default_rng(0)
    shares, dispersion = random.dirichlet(np.ones(60)), 0.5
    mean = 2000 * np.broadcast_to(shares, (500, 60))
    counts = random.poisson(mean * random.gamma(1 / dispersion, dispersion, mean.shape))
    layout = Counts.fit(counts)
    head = of_counts(layout).but("auto")
    assert isinstance(head, CountHead)
    with torch.no_grad():
        head.log_size.fill_(3.0)
    rows, raw = torch.tensor(layout.apply(counts)), torch.log(torch.tensor([*shares, 1.0])).float().expand(500, 61)
    optimiser = torch.optim.Adam(head.parameters(), 0.1)
    for _ in range(120):
        optimiser.zero_grad()
        head.nll(raw, rows).mean().backward()
        optimiser.step()
    assert np.median(head.dispersion.numpy()) == pytest.approx(dispersion, abs=0.05)
    assert np.median(layout.dispersion) == pytest.approx(dispersion, abs=0.1)  # what it starts from is near


def test_models_share_no_dispersion() -> None:
    rows = LAYOUT.apply(drawn())
    made = fit_many([named("plain"), named("vae")], rows[:300], rows[300:], [Plan(steps=30)] * 2, layout=LAYOUT, seed=0)
    first, second = (one.model.head.dispersion.numpy() for one in made)
    assert not np.allclose(first, LAYOUT.dispersion)
    assert not np.allclose(first, second)


def test_a_recipe_says_which_likelihood() -> None:
    head = of_counts(LAYOUT)
    assert named("plain").likelihood(head).name == "negative_binomial"
    assert named("plain").set_params(head="poisson").likelihood(head).name == "poisson"
    assert named("plain").set_params(head="gaussian").likelihood(head) == "gaussian"
    with pytest.raises(BadInput, match="counts can be poisson, negative_binomial, gaussian, huber, student; got bern"):
        named("plain").set_params(head="bernoulli").likelihood(head)
    with pytest.raises(BadInput, match="head poisson is for rows of counts, which these are not"):
        named("plain").set_params(head="poisson").build((4,), "gaussian")


def test_a_copy_computes_in_float64() -> None:
    head = copy.deepcopy(of_counts(LAYOUT)).double()
    row = torch.tensor(LAYOUT.apply(drawn(3, 1))).double()
    assert head.nll(torch.zeros_like(row), row).dtype == torch.float64


def test_many_rows_without_a_gradient_cost_what_few_do(monkeypatch: pytest.MonkeyPatch) -> None:
    head, rows = of_counts(LAYOUT), torch.tensor(LAYOUT.apply(drawn(50, 3)))
    raw = torch.randn(rows.shape)
    whole = head.nll(raw, rows).detach()
    monkeypatch.setattr("isthmus.parts.heads.counts.AT_ONCE", 40)
    with torch.no_grad():
        torch.testing.assert_close(head.nll(raw, rows), whole, rtol=1e-4, atol=1e-4)
