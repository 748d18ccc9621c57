"""Levels that hold however often one looks: exact tests of two samples, what a look may spend, ranks, and bets."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import hypergeom, kstest

from isthmus.monitor.drift import SPENT, p_values, part, spend
from isthmus.monitor.martingale import JUMP, POWERS, SLOPE, STAKES, Capital, Ranks


@pytest.mark.parametrize(("n", "m"), [(200, 64), (1000, 4096), (30, 7), (5000, 64)])
def test_bounds_are_above_the_exact_p_value_and_close_where_it_is_small(n: int, m: int) -> None:
    random = np.random.default_rng(0)
    r = random.integers(0, n + 1, 300)
    w = random.integers(0, m + 1, 300)
    known, window = np.full(300, n), np.full(300, m)
    found = p_values(r, known, w, window)
    law = hypergeom(n + m, r + w, m)
    exact = np.minimum(1, 2 * np.minimum(law.cdf(w), law.sf(w - 1)))
    assert (found >= exact * (1 - 1e-8)).all()
    small = (exact < 1e-3) & (exact > 1e-250)
    assert small.sum() > 20
    assert (found[small] < 2 * exact[small]).all()


def test_a_window_without_rows_says_nothing() -> None:
    assert p_values([3], [10], [0], [0]).tolist() == [1.0]


def test_looks_spend_no_more_than_there_is() -> None:
    """The sum over i, to its end: the terms first, and the integral of what follows."""
    last = 100_000
    rest = 1 / (SPENT * math.log(last + 1))
    assert 0.999 < sum(spend(i) for i in range(last)) + rest <= 1.0
    assert sum(part(k, 0) for k in range(10_000)) == pytest.approx(spend(0), rel=1e-3)


def test_ranks_among_calibration_scores_are_uniform_and_independent() -> None:
    """Also where bins hold several calibration scores, and however few there are."""
    found = []
    for seed in range(300):
        random = np.random.default_rng(seed)
        ranks = Ranks.of(np.sort(random.normal(size=40)))
        ranks = Ranks(ranks.edges[3::4], np.add.reduceat(ranks.weights, [0, *range(4, 41, 4)]))
        assert ranks.weights.sum() == 41
        found.append(np.concatenate([ranks.p_values(random.normal(size=n), random) for n in (1, 7, 22)]))
    p = np.array(found)
    assert kstest(p[:, 0], "uniform").pvalue > 0.01
    assert kstest(p.ravel(), "uniform").pvalue > 0.01
    assert abs(np.corrcoef(p.T)[np.triu_indices(30, 1)]).mean() < 1.2 / math.sqrt(300)
    grid = Ranks.of(np.sort(np.random.default_rng(0).normal(size=5000)))
    assert len(grid.weights) <= 513
    assert grid.weights.sum() == 5001


def test_high_scores_have_small_p_values_and_one_score_meets_those_before_it() -> None:
    ranks = Ranks.of(np.arange(99.0))
    high, low = ranks.p_values(np.array([500.0, -500.0]), np.random.default_rng(0))
    assert high < 0.01
    assert low > 0.98
    again = ranks.p_values(np.array([500.0]), np.random.default_rng(0))
    assert again[0] <= 2 / 101


def test_odds_are_fair() -> None:
    for a in POWERS:
        assert quad(lambda p, a=a: a * p ** (a - 1), 0, 1)[0] == pytest.approx(1, abs=1e-6)
    assert quad(lambda p: 1 + SLOPE * (p - 0.5), 0, 1)[0] == pytest.approx(1)
    assert 1 - SLOPE / 2 > 0


def test_a_first_bet_is_what_it_should_be() -> None:
    own = Capital.new()
    assert own.bet(np.array([0.25]), 0.5, 100.0) is None
    odds = [0.3 * 0.25**-0.7, 0.6 * 0.25**-0.4, 1 + 1.5 * -0.25, 1.0]
    assert own.total == pytest.approx(0.5 + 0.5 / STAKES * sum(odds))
    assert 0 < JUMP < 1


@pytest.mark.slow
@pytest.mark.slow
def test_capital_hardly_ever_grows_by_chance_and_soon_where_scores_rise_or_fall() -> None:
    rich = 0
    for seed in range(200):
        random, own = np.random.default_rng(seed), Capital.new()
        rich += any(own.bet(random.uniform(size=64), spend(i), 10.0) is not None for i in range(15))
    assert rich <= 20 + 3 * math.sqrt(18)  # at a level of 1 in 10
    for p in (lambda u: u**3, lambda u: 1 - (1 - u) ** 1.0 * 0.3):
        random, own = np.random.default_rng(1), Capital.new()
        for i in range(5):
            assert own.bet(random.uniform(size=64), spend(i), 1e4) is None
        assert any(own.bet(p(random.uniform(size=64)), spend(i), 1e4) is not None for i in range(5, 12))
