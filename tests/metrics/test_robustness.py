"""Movement and small adversarial steps, on maps whose answers are known."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isthmus.metrics.robustness import adversarial, gradient, movement, spread

CODES = np.random.default_rng(0).normal(size=(200, 3))
X = torch.randn(50, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_spread_is_the_root_of_the_total_variance():
    assert spread(CODES) == pytest.approx(math.sqrt(CODES.var(axis=0).sum()))
    assert spread(CODES.reshape(-1, 3, 1) + 7) == pytest.approx(spread(CODES))
    assert math.isnan(spread(np.full((9, 2), 0.1)))


def test_movement_of_known_disturbances():
    assert movement(CODES, CODES) == 0
    assert movement(CODES, CODES + np.array([3.0, 0, 0])) == pytest.approx(3 / spread(CODES))
    others = np.random.default_rng(1).normal(size=(20_000, 3))
    assert movement(others[:10_000], others[10_000:]) == pytest.approx(math.sqrt(2), abs=0.02)


@given(st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_movement_does_not_depend_on_the_scale_or_origin_of_the_code(scale, origin):
    moved = CODES + 0.1 * CODES[::-1]
    assert movement(scale * CODES + origin, scale * moved + origin) == pytest.approx(movement(CODES, moved), rel=1e-6)


def test_a_code_that_says_nothing_does_not_count_as_still():
    assert math.isnan(movement(np.ones((5, 2)), np.ones((5, 2))))
    assert math.isnan(movement(np.full((5, 2), np.nan), np.ones((5, 2))))


@pytest.mark.parametrize("factor", [0.5, 2.0, -1.0])
def test_a_diagonal_map_loses_what_the_closed_form_says(factor):
    """Each element of the worst row is |a - 1| |x| + |a| r off: the ball's far corner, on the side of the residual."""
    radius = 0.01
    x = torch.where(X.abs() < 0.1, 0.5, X)  # with the residual beyond the radius, the corner is the same from any start
    worst = adversarial(lambda x: factor * x, x, radius, steps=4, seed=3)
    lost = (factor * worst - x).square()
    torch.testing.assert_close(lost, (abs(factor - 1) * x.abs() + abs(factor) * radius).square())


def test_the_worst_row_of_a_projection_needs_a_start_off_the_clean_row():
    """At the row itself the residual of a projection is orthogonal to all it can change: no gradient, yet a loss."""
    plane = torch.eye(2, dtype=torch.float64)[:1]
    project = lambda x: x @ plane.t() @ plane  # noqa: E731
    x = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    assert not gradient(project, x, x).any()
    worst = adversarial(project, x, 0.1)
    assert (project(worst) - x).square().sum().item() == pytest.approx(2.0**2 + 0.1**2)


def test_no_element_moves_beyond_the_ball_and_each_option_matters():
    bend = lambda x: torch.tanh(x) * 1.5  # noqa: E731
    error = lambda moved: (bend(moved) - X).square().sum()  # noqa: E731
    found = {steps: adversarial(bend, X, 0.2, steps=steps, seed=0) for steps in (1, 4)}
    assert (found[4] - X).abs().max() <= 0.2 + 1e-12
    assert error(X) < error(found[1]) < error(found[4])
    assert error(found[4]) < error(adversarial(bend, X, 0.4, steps=4, seed=0))
    assert not torch.equal(found[1], adversarial(bend, X, 0.2, steps=1, seed=1))


@pytest.mark.parametrize("rebuild", [torch.round, torch.zeros_like, lambda x: torch.tensor(x.detach().numpy() + 1)])
def test_no_slope_no_attack(rebuild):
    assert adversarial(rebuild, X, 0.1) is None
