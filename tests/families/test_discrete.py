"""Finite scalar, lookup-free and Gumbel-softmax quantisation, against their formulas."""

import math

import pytest
import torch

from isthmus.errors import BadInput
from isthmus.families.fsq import FSQ
from isthmus.families.gumbel import Gumbel
from isthmus.families.lfq import LFQ
from isthmus.testing import made, rows, train

pytestmark = pytest.mark.sensitive

X = rows((6,), 40)


@pytest.mark.parametrize("level", [3, 4, 5, 8, 9])
def test_every_level_is_reached_and_none_beyond(level):
    model = made(FSQ(latents=1, levels=(level,)), X, "gaussian").double()
    raw = torch.linspace(-9, 9, 20_001, dtype=torch.float64).unsqueeze(1)
    bounded = model.bound(raw)
    assert (bounded.diff(dim=0) > -1e-12).all()
    half = level // 2
    want = torch.arange(-half, level - half, dtype=torch.float64)
    assert torch.equal(bounded.round().unique(), want)
    assert model.bound(torch.zeros(1, 1, dtype=torch.float64)).abs() < 1e-12


def test_bound_of_an_odd_level_is_a_scaled_tanh():
    model = made(FSQ(latents=2, levels=(5, 3)), X, "gaussian").double()
    raw = torch.randn(7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.bound(raw), 0.999 * torch.tensor([2.0, 1.0], dtype=torch.float64) * raw.tanh())


def test_rounding_passes_the_gradient_of_the_bound():
    model = made(FSQ(latents=2, levels=(5, 3)), X, "gaussian")
    (got,) = torch.autograd.grad(model(X, X).terms["reconstruction"], model.encoder.last.weight)
    raw, code = model.encoder(X).detach(), model.encode(X).detach().requires_grad_()
    (at_code,) = torch.autograd.grad(model.misfit(code, X), code)
    slope = 0.999 * (1 - raw.tanh().square())  # both halves divide out of levels 5 and 3
    torch.testing.assert_close(got, (at_code * slope).t() @ X, rtol=1e-4, atol=1e-7)


def test_levels_spread_from_the_start():
    x = rows((6,), 200)
    for stretch in (1.0, 1000.0):
        z = made(FSQ(latents=4, levels=(5,)), x * stretch, "gaussian").encode(x * stretch)
        assert all(len(column.unique()) >= 4 for column in z.t())


def test_tokens_number_the_levels_in_mixed_radix():
    model = made(FSQ(latents=5, levels=(4, 3)), X, "gaussian")
    digits = (model.encode(X) * torch.tensor([2, 1, 2, 1, 2])).long() + torch.tensor([2, 1, 2, 1, 2])
    want = torch.stack([digits[:, 0] + 4 * digits[:, 1], digits[:, 2] + 4 * digits[:, 3], digits[:, 4]], dim=1)
    assert model.entries == 12
    assert torch.equal(model.tokens(X), want)
    assert model.tokens(X).dtype == torch.int64


def test_bits_are_signs_and_words_are_bytes():
    model = made(LFQ(latents=10), X, "gaussian")
    raw = model.encoder(X)
    assert torch.equal(model.encode(X), torch.where(raw > 0, 1.0, -1.0))
    on = (raw > 0).long()
    want = torch.stack([(on[:, :8] * 2 ** torch.arange(8)).sum(1), on[:, 8] + 2 * on[:, 9]], dim=1)
    assert torch.equal(model.tokens(X), want)
    assert (model.entries, made(LFQ(latents=3), X, "gaussian").entries) == (256, 8)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_entropies_are_those_of_the_choice_by_squared_distance(temperature):
    x = X.double()
    model = made(LFQ(latents=3, temperature=temperature, entropy=0.3, balance=0.5), X, "gaussian").double()
    terms, raw = model(x, x).terms, model.encoder(x)
    both = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    p = torch.softmax(-(raw.unsqueeze(2) - both).square() / temperature, dim=2)
    torch.testing.assert_close(terms["entropy"], -(p * p.log()).sum((1, 2)).mean() / 6)
    m = p.mean(0)
    torch.testing.assert_close(terms["balance"], (math.log(2) + (m * m.log()).sum(1)).sum() / 6, rtol=1e-4, atol=1e-8)
    torch.testing.assert_close(terms["commitment"], (raw - raw.sign()).square().sum(1).mean() / 6)
    assert (model.weights["entropy"], model.weights["balance"]) == (0.3, 0.15)


def test_sums_over_bits_are_entropies_of_symbols_when_bits_are_independent():
    p = torch.tensor([0.2, 0.7], dtype=torch.float64)
    joint = torch.outer(torch.stack([1 - p[0], p[0]]), torch.stack([1 - p[1], p[1]]))
    bits = -(p * p.log() + (1 - p) * (1 - p).log()).sum()
    torch.testing.assert_close(-(joint * joint.log()).sum(), bits)


def test_kl_is_the_distance_to_equal_probabilities():
    x = X.double()
    model = made(Gumbel(latents=4, width=2, codes=5), X, "gaussian").double()
    p = model.encoder(x).reshape(40, 2, 5).softmax(2)
    want = (p * (p * 5).log()).sum((1, 2)).mean() / 6
    torch.testing.assert_close(model(x, x, None).terms["kl"], want)


def test_code_is_the_vector_of_the_most_probable_category():
    model = made(Gumbel(latents=4, width=2, codes=5), X, "gaussian")
    number = model.encoder(X).reshape(40, 2, 5).argmax(2)
    assert torch.equal(model.tokens(X), number)
    assert torch.equal(model.encode(X), model.vectors[number].reshape(40, 4))


def test_noise_draws_categories_with_their_probability():
    model = made(Gumbel(latents=1, codes=3), X[:1], "gaussian")
    with torch.no_grad():
        model.encoder.last.weight.zero_()
        model.encoder.last.bias.copy_(torch.tensor([0.1, 0.3, 0.6]).log())
    many = X[:1].expand(20_000, 6)
    drawn = model.logits(many) + model.draw(many, torch.Generator().manual_seed(0))
    share = drawn.argmax(1).bincount(minlength=3) / 20_000
    torch.testing.assert_close(share, torch.tensor([0.1, 0.3, 0.6]), rtol=0, atol=0.012)


@pytest.mark.parametrize("hard", [True, False])
def test_gradient_is_that_of_the_softmax(hard):
    x = X.double()
    model = made(Gumbel(latents=2, width=2, codes=4, hard=hard, temperature=0.7), X, "gaussian").double()
    model.clock.fill_(0.0)
    noise = model.draw(x, torch.Generator().manual_seed(0))
    (got,) = torch.autograd.grad(model(x, x, noise).terms["reconstruction"], model.encoder.last.bias)
    logits = model.encoder(x).detach().requires_grad_()
    soft = ((logits + noise) / 0.7).softmax(1)
    one = torch.eye(4, dtype=torch.float64)[(logits + noise).argmax(1)]
    passed = (one if hard else soft).detach().requires_grad_()
    (at_choice,) = torch.autograd.grad(model.misfit(passed @ model.vectors, x), passed)
    (want,) = torch.autograd.grad(soft, logits, at_choice)
    torch.testing.assert_close(got, want.sum(0))


def test_temperature_falls_and_stays():
    model = made(Gumbel(temperature=2.0, cooling=0.5, coolest=0.5), X, "gaussian")
    assert model.temperature == 0.5  # a model at rest has it behind it
    assert model.settles == 0.5
    seen = []
    for i in range(20):
        model.clock.fill_(i / 20)
        seen.append(model.temperature.item())
    assert seen == pytest.approx([2.0 * 0.25 ** min(1, i / 10) for i in range(20)])
    with pytest.raises(BadInput, match=r"coolest must be at most temperature = 0\.3; got 0\.5"):
        Gumbel(temperature=0.3).build((4,), "gaussian")


def test_soft_choice_nears_the_drawn_category_as_it_cools():
    terms = []
    for temperature in (1.0, 0.01):
        model = made(Gumbel(latents=2, codes=4, hard=False, temperature=temperature, coolest=0.01), X, "gaussian")
        model.clock.fill_(0.0)
        hard = made(Gumbel(latents=2, codes=4, hard=True), X, "gaussian")
        noise = model.draw(X, torch.Generator().manual_seed(0))
        gap = model(X, X, noise).terms["reconstruction"] - hard(X, X, noise).terms["reconstruction"]
        terms.append(gap.abs().item())
    assert terms[1] < 0.02 * terms[0]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [FSQ(latents=4), LFQ(latents=4), Gumbel(latents=4)])
def test_symbols_are_used_after_training(recipe):
    x = rows((6,), 200)
    model = made(recipe, x, "gaussian")
    train(model, x, steps=200, rate=0.01)
    tokens = model.tokens(x)
    assert tokens.min() >= 0
    assert tokens.max() < model.entries
    assert len(tokens.unique()) >= 6
