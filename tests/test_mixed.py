"""A mixture of several kinds of columns: closed forms, another library's, and what gaps must not change."""

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from isthmus.mixed import Mixed, MixedMixture, fit, improved


def none(n):
    return np.empty((n, 0), np.int64)


def two(n=600, seed=0):
    """Two kinds of rows: their numbers, their colours, how they go together; a tenth of the cells are missing."""
    random = np.random.default_rng(seed)
    kind = (random.random(n) < 0.3).astype(int)
    numbers = np.where(kind[:, None], [4.0, -1.0], [0.0, 2.0]) + random.normal(size=(n, 2)) * [1.0, 0.5]
    colour = np.where(random.random(n) < np.where(kind, 0.9, 0.2), 0, random.integers(1, 3, n))
    numbers[random.random((n, 2)) < 0.1] = np.nan
    colour = np.where(random.random(n) < 0.1, -1, colour)
    return Mixed(numbers, colour[:, None], (3,))


def test_one_component_is_what_the_columns_say_alone():
    rows = two()
    found = fit(rows, 1, floor=0.0, prior=0.0, seed=0)
    assert found.means[0] == pytest.approx(np.nanmean(rows.numbers, axis=0))
    assert found.variances[0] == pytest.approx(np.nanvar(rows.numbers, axis=0))
    there = rows.choices[rows.choices >= 0]
    assert found.shares[0] == pytest.approx(np.bincount(there) / len(there))


def test_with_numbers_alone_it_is_the_diagonal_mixture_of_scikit_learn():
    x = np.random.default_rng(1).normal(size=(400, 3)) * [1, 2, 0.5] + np.repeat([[0, 0, 0], [3, -4, 1]], 200, axis=0)
    start = MixedMixture(np.array([0.4, 0.6]), x[[0, -1]], np.full((2, 3), 2.0), np.empty((2, 0)), ())
    rows = Mixed(x, none(400), ())
    found = improved(start, rows, floor=1e-6)
    told = GaussianMixture(
        2,
        covariance_type="diag",
        tol=1e-7,
        max_iter=500,
        weights_init=start.weights,
        means_init=start.means,
        precisions_init=1 / start.variances,
    ).fit(x)
    assert found.weights == pytest.approx(told.weights_, abs=1e-3)
    assert found.means == pytest.approx(told.means_, abs=1e-2)
    assert found.variances == pytest.approx(told.covariances_, abs=1e-2)
    same = MixedMixture(told.weights_, told.means_, told.covariances_, np.empty((2, 0)), ())
    assert same.score(rows) == pytest.approx(told.score(x), abs=1e-9)


def test_the_likelihood_of_a_row_is_the_sum_over_components_and_a_gap_is_integrated_out():
    one = MixedMixture(
        np.array([0.25, 0.75]),
        np.array([[0.0], [2.0]]),
        np.array([[1.0], [4.0]]),
        np.array([[0.9, 0.1], [0.5, 0.5]]),
        (2,),
    )
    normal = lambda x, m, v: np.exp(-((x - m) ** 2) / (2 * v)) / np.sqrt(2 * np.pi * v)  # noqa: E731
    whole = Mixed(np.array([[1.0]]), np.array([[1]]), (2,))
    wanted = 0.25 * normal(1, 0, 1) * 0.1 + 0.75 * normal(1, 2, 4) * 0.5
    assert one.score(whole) == pytest.approx(np.log(wanted))
    no_number = Mixed(np.array([[np.nan]]), np.array([[1]]), (2,))
    assert one.score(no_number) == pytest.approx(np.log(0.25 * 0.1 + 0.75 * 0.5))
    nothing = Mixed(np.array([[np.nan]]), np.array([[-1]]), (2,))
    assert one.score(nothing) == pytest.approx(0.0)


def test_what_was_planted_is_found_and_drawn_again():
    rows = two(4000)
    found = fit(rows, 2, floor=1e-6, prior=0.0, seed=3)
    order = np.argsort(found.weights)
    assert found.weights[order] == pytest.approx([0.3, 0.7], abs=0.03)
    assert found.means[order] == pytest.approx(np.array([[4, -1], [0, 2]]), abs=0.15)
    assert found.shares[order, 0] == pytest.approx([0.9, 0.2], abs=0.04)
    made = found.draw(20_000, seed=5)
    assert made.numbers.mean(0) == pytest.approx(np.nanmean(rows.numbers, 0), abs=0.1)
    right = -0.21 * 4 * 3 / np.sqrt((1 + 0.21 * 16) * (0.25 + 0.21 * 9))  # between the kinds alone
    assert np.corrcoef(made.numbers.T)[0, 1] == pytest.approx(right, abs=0.02)
    there = rows.choices[rows.choices >= 0]
    assert np.bincount(made.choices[:, 0]) / 20_000 == pytest.approx(np.bincount(there) / len(there), abs=0.02)
    assert np.array_equal(made.choices, found.draw(20_000, seed=5).choices)


def test_every_round_makes_rows_likelier_until_the_judge_ends_it():
    rows, seen = two(), []
    whole = fit(rows, 8, floor=1e-3, prior=0.0, seed=0)

    def judge(mixture):
        seen.append(mixture.score(rows))
        return seen[-1] if len(seen) < 4 else -np.inf

    short = fit(rows, 8, floor=1e-3, prior=0.0, seed=0, judge=judge)
    assert len(seen) == 4
    assert seen == sorted(seen)
    assert short.score(rows) == pytest.approx(seen[2])
    assert short.score(rows) < whole.score(rows)


def test_a_prior_keeps_components_near_the_whole_and_a_floor_keeps_them_wide():
    rows = two()
    bare, held = (fit(rows, 30, floor=1e-6, prior=prior, seed=0) for prior in (0.0, 5.0))
    assert held.shares.min() > 0.01 > bare.shares.min()
    assert held.variances.min() > bare.variances.min()
    assert fit(rows, 30, floor=0.5, prior=0.0, seed=0).variances.min() >= 0.5


def test_blocks_change_nothing(monkeypatch):
    rows = two()
    whole = fit(rows, 3, floor=1e-3, prior=1.0, seed=0)
    monkeypatch.setattr("isthmus.mixed.BLOCK", 100)
    parts = fit(rows, 3, floor=1e-3, prior=1.0, seed=0)
    assert parts.means == pytest.approx(whole.means, abs=1e-6)
    assert parts.score(rows) == pytest.approx(whole.score(rows), abs=1e-9)
