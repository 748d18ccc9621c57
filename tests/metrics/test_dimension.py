import math

import numpy as np
import pytest

from isthmus.metrics.dimension import two_nearest

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_a_linear_subspace_has_the_dimension_that_it_has(d):
    axes = np.linalg.qr(RNG.normal(size=(20, d)))[0]
    found = [two_nearest(np.random.default_rng(s).normal(size=(2000, d)) @ axes.T) for s in range(3)]
    assert np.mean(found) == pytest.approx(d, rel=0.08)


def test_a_curved_surface_is_as_wide_as_it_is_locally():
    turn, height = RNG.uniform(1.5 * math.pi, 4.5 * math.pi, 3000), RNG.uniform(0, 20, 3000)
    roll = np.stack([turn * np.cos(turn), height, turn * np.sin(turn)], axis=1)
    assert two_nearest(roll) == pytest.approx(2, abs=0.15)
    ball = RNG.normal(size=(3000, 4))
    assert two_nearest(ball / np.linalg.norm(ball, axis=1, keepdims=True)) == pytest.approx(3, abs=0.2)


def test_against_the_line_of_the_paper_written_out():
    x = RNG.normal(size=(60, 3))
    apart = np.sort(np.linalg.norm(x[:, None] - x[None], axis=2), axis=1)
    m = np.sort(apart[:, 2] / apart[:, 1])[:54]
    steps = -np.log(1 - np.arange(1, 55) / 60)
    expected = np.linalg.lstsq(np.log(m)[:, None], steps, rcond=None)[0][0]
    assert two_nearest(x) == pytest.approx(expected, rel=1e-9)


def test_units_place_copies_and_order_change_nothing():
    x = RNG.normal(size=(200, 4))
    usual = two_nearest(x)
    assert two_nearest(1e-20 * x + 1e-20) == pytest.approx(usual, rel=1e-9)
    assert two_nearest(x + 1e8) == pytest.approx(usual, rel=1e-4)
    assert two_nearest(np.concatenate([x, x[:50]])[RNG.permutation(250)]) == pytest.approx(usual, rel=1e-9)
    assert two_nearest(x.reshape(200, 2, 2)) == usual


def test_nothing_to_tell():
    assert math.isnan(two_nearest(np.zeros((50, 3))))
    assert math.isnan(two_nearest(RNG.normal(size=(9, 3))))
    assert math.isnan(two_nearest(np.full((50, 3), np.inf)))
    assert math.isnan(two_nearest(np.arange(50.0)[:, None] // 8))  # seven distinct rows
    assert math.isnan(two_nearest(np.repeat(RNG.normal(size=(5, 2)), 10, 0) + 1e-13 * RNG.normal(size=(50, 2))))


def test_points_of_a_grid_have_no_dimension_that_distances_could_tell():
    """Their nearest neighbours are all equally far: the estimate was 1e15 (of 101 columns of words)."""
    grid = np.stack(np.meshgrid(*[np.arange(6.0)] * 3), axis=-1).reshape(-1, 3)
    assert np.isnan(two_nearest(grid))
    nearly = grid * [1.0, 1 + 1e-9, 1 + 2e-9]
    assert np.isnan(two_nearest(nearly))
