"""Boosted trees as judges of made rows: what they must tell apart, what they must not, and how scores are folded."""

import numpy as np
import pytest
import sklearn.metrics

from isthmus.metrics.boosted import boosted, taught

PLAIN = np.zeros(2, bool)


def pair(n, seed, rho=0.8):
    return np.random.default_rng(seed).multivariate_normal([0, 0], [[1, rho], [rho, 1]], n)


@pytest.mark.slow
def test_equal_distributions_score_near_one_and_independent_columns_do_not():
    real = pair(600, 0)
    assert boosted(real, pair(600, 1), PLAIN) > 0.85
    assert boosted(real, pair(600, 2, rho=0.0), PLAIN) < 0.75
    assert boosted(real, real + 9, PLAIN) == pytest.approx(0, abs=1e-3)


def test_the_score_folds_the_area_under_the_curve(monkeypatch):
    """Of areas 0.9, 0.3 (which counts as chance) and 0.6: 1 - (0.8 + 0 + 0.2) / 3, as SDMetrics has it."""
    areas = iter([0.9, 0.3, 0.6])
    monkeypatch.setattr(sklearn.metrics, "roc_auc_score", lambda *_: next(areas))
    assert boosted(pair(30, 0), pair(30, 1), PLAIN) == pytest.approx(1 - 1 / 3)


@pytest.mark.slow
def test_trees_see_values_that_never_occur_gaps_and_categories():
    random = np.random.default_rng(0)
    whole = random.integers(0, 5, (400, 2)).astype(float)
    assert boosted(whole, random.integers(0, 5, (400, 2)).astype(float), PLAIN) > 0.8
    assert boosted(whole, random.integers(0, 5, (400, 2)) + random.uniform(-0.4, 0.4, (400, 2)), PLAIN) < 0.1
    gaps = whole.copy()
    gaps[random.random(gaps.shape) < 0.5] = np.nan
    assert boosted(whole, gaps, PLAIN) < 0.5


def test_a_category_is_split_into_any_two_sets(monkeypatch):
    """Which trees are asked, and what of: one split between even and odd values needs them to be categories."""
    monkeypatch.setattr("isthmus.metrics.boosted.DEPTH", 1)
    monkeypatch.setattr("isthmus.metrics.boosted.TREES", 1)
    random = np.random.default_rng(0)
    even, odd = (2.0 * random.integers(0, 15, (600, 1)) + side for side in (0, 1))
    assert boosted(even, odd, np.ones(1, bool)) < 0.01
    assert boosted(even, odd, np.zeros(1, bool)) > 0.8
    assert boosted(even, odd, np.zeros(1, bool), seed=1) != boosted(even, odd, np.zeros(1, bool), seed=2)


def test_what_has_no_number_is_nan():
    rows = pair(20, 0)
    assert np.isnan(boosted(rows[:2], rows, PLAIN))
    assert np.isnan(boosted(rows, np.full((20, 2), np.inf), PLAIN))
    y = np.repeat([0, 1], 10)
    assert np.isnan(taught(rows, 0 * y, rows, y, PLAIN))
    assert np.isnan(taught(rows, y, rows, 0 * y, PLAIN))


@pytest.mark.slow
def test_made_rows_teach_what_is_in_them():
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 900)
    x = np.column_stack([y + 0.5 * random.normal(size=900), random.normal(size=900)])
    half = slice(0, 450), slice(450, None)
    good = taught(x[half[0]], y[half[0]], x[half[1]], y[half[1]], PLAIN)
    none = taught(x[half[0]], random.permutation(y[half[0]]), x[half[1]], y[half[1]], PLAIN)
    assert good > 0.85
    assert none == pytest.approx(0.5, abs=0.1)
    spare = np.where(np.arange(450) < 5, 3, y[half[0]])  # a class that no real row has
    assert taught(x[half[0]], spare, x[half[1]], y[half[1]], PLAIN) == pytest.approx(good, abs=0.05)
