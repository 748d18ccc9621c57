"""Rates between points, areas, and the length that bits-back coding promises."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from isthmus.families import named
from isthmus.metrics.rate import bits_back, mean_rate, normal_cells, rate_at, unit_cells
from isthmus.testing import made, rows

SHANNON = [(d, 0.5 * math.log2(1 / d)) for d in np.geomspace(1, 0.01, 60).tolist()]


def test_the_curve_of_a_normal_source_is_met_everywhere():
    d, r = zip(*SHANNON, strict=True)
    for target in (0.9, 0.1, 0.011):
        assert rate_at(d, r, target) == pytest.approx(0.5 * math.log2(1 / target), abs=1e-3)
    middle = math.sqrt(0.02 * 0.4)  # the mean over log distortion of what is linear in it
    assert mean_rate(d, r) == pytest.approx(0.5 * math.log2(1 / middle), abs=1e-3)


def test_between_two_points_rows_are_shared_out():
    assert rate_at([0.4, 0.1], [1.0, 2.0], 0.2) == pytest.approx(5 / 3)
    assert rate_at([0.4, 0.2, 0.1], [1.0, 1.9, 2.0], 0.2) == pytest.approx(5 / 3)  # a point worse than the mix


def test_a_better_point_serves_for_a_worse_one_and_an_unreached_target_has_no_rate():
    assert rate_at([0.05, 0.2], [1.0, 2.0], 0.1) == 1.0
    assert rate_at([0.05], [1.0], 0.4) == 1.0
    assert math.isnan(rate_at([0.2], [1.0], 0.1))
    assert math.isnan(rate_at([], [], 0.1))
    assert math.isnan(rate_at([0.2, math.nan], [1.0, 2.0], 0.3))
    assert rate_at([0.0], [5.0], 0.1) == 5.0


@given(st.lists(st.tuples(st.floats(1e-3, 1), st.floats(0, 9)), min_size=1, max_size=6), st.floats(0.01, 1))
def test_order_does_not_matter_and_more_points_never_raise_a_rate(points, target):
    rate = rate_at(*zip(*points, strict=True), target)
    assert rate == rate_at(*zip(*points[::-1], strict=True), target) or math.isnan(rate)
    more = rate_at(*zip(*points, (target, 4.5), strict=True), target)
    assert more <= np.fmin(4.5, rate) + 1e-9


def test_cells_of_a_normal_variable_add_up_to_one_also_far_in_the_tails():
    edges = np.linspace(-40, 40, 161)
    for spread in (0.01, 1.0, 5.0):
        mass = np.exp(normal_cells(np.zeros(160), spread, edges[:-1], edges[1:]))
        assert mass.sum() == pytest.approx(1, rel=1e-9)
    far = normal_cells(np.zeros(2), 1.0, np.array([30.0, -31.0]), np.array([31.0, -30.0]))
    np.testing.assert_allclose(far, stats.norm.logsf(30), rtol=1e-6)


def test_cells_of_a_continuous_bernoulli_variable_are_integrals_of_its_density():
    for mean in (0.003, 0.3, 0.5, 0.9999):
        whole = integrate.quad(lambda x, m=mean: m**x * (1 - m) ** (1 - x), 0, 1)[0]
        part = integrate.quad(lambda x, m=mean: m**x * (1 - m) ** (1 - x), 0.2, 0.35)[0]
        found = unit_cells(np.array([mean]), np.array([0.2]), np.array([0.35]))
        assert np.exp(found[0]) == pytest.approx(part / whole, rel=1e-5)
    edges = np.linspace(-0.1, 1.1, 13)
    assert np.exp(unit_cells(np.full(12, 0.8), edges[:-1], edges[1:])).sum() == pytest.approx(1, rel=1e-9)


class Linear(torch.nn.Module):
    """x = z w + noise of unit spread, z standard normal, with the exact posterior: the bound is the likelihood."""

    head, noises, size = "gaussian", 1, 3
    weight = torch.tensor([[2.0, 1.0, -1.0]])

    def proposals(self, x, noise):
        variance = 1 / (1 + self.weight.square().sum())
        mean = variance * x @ self.weight.t()
        z = mean.unsqueeze(1) + variance.sqrt() * noise
        return z, (
            torch.distributions.Normal(0.0, 1.0).log_prob(z)
            - torch.distributions.Normal(mean.unsqueeze(1), variance.sqrt()).log_prob(z)
        ).sum(2)

    def decode(self, z):
        return z @ self.weight

    def scaled(self, error):
        return error


def test_bits_back_of_an_exact_posterior_is_the_entropy_of_the_rounded_rows():
    cover = np.eye(3) + Linear.weight.numpy().T @ Linear.weight.numpy()
    x = np.random.default_rng(0).multivariate_normal(np.zeros(3), cover, 20_000).astype(np.float32)
    entropy = stats.multivariate_normal(np.zeros(3), cover).entropy() / math.log(2) / 3
    for width in (0.05, 0.2):
        assert bits_back(Linear(), x, width) == pytest.approx(entropy - math.log2(width), abs=0.01)


def test_bits_back_is_seeded_and_takes_both_heads():
    x = rows((6,), 50)
    for head, data in (("gaussian", x), ("bernoulli", torch.sigmoid(x))):
        model = made(named("vae").set_params(latents=2), data, head).eval()
        one, same, other = (bits_back(model, data.numpy(), 0.1, seed) for seed in (0, 0, 1))
        assert one == same != other
        assert 0 < one < 64
