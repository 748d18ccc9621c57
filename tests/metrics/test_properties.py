"""Of every metric: it stays within its bounds on any rows, and does not see what it should not see."""

import math

import numpy as np
import pytest
from cases import CASES, NAMES, READINGS, codes, number, pair, plain, points, scored, wild
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.metrics import METRICS
from isthmus.metrics.rate import rate_at
from isthmus.metrics.sparsity import row_hoyer

SEEDS = st.integers(0, 2**32 - 1)


def test_every_metric_has_a_case_or_is_a_reading():
    assert set(CASES) | set(READINGS) == set(METRICS)
    assert not set(CASES) & set(READINGS)
    for name in set(CASES) - set(NAMES):
        stem = "explained_variance" if name.startswith("explained") else name.split("_")[0]
        assert METRICS[name].function is METRICS[stem].function


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@given(SEEDS)
@settings(max_examples=20)
def test_any_rows_give_a_number_within_the_bounds_or_none(name, seed):
    random, (low, high) = np.random.default_rng(seed), METRICS[name].bounds
    found = number(name, CASES[name].draw(random, wild))
    assert math.isnan(found) or low <= found <= high


@pytest.mark.slow
@pytest.mark.parametrize(("name", "word"), [(name, word) for name in NAMES for word in CASES[name].same])
@given(SEEDS)
@settings(max_examples=8)
def test_it_does_not_see_what_it_should_not_see(name, word, seed):
    case, random = CASES[name], np.random.default_rng(seed)
    given = case.draw(random, plain)
    usual = number(name, given)
    assert math.isfinite(usual)
    assert number(name, case.same[word](random, given)) == pytest.approx(usual, rel=1e-6, abs=case.within)


PERFECT = {
    "mse": (lambda x: (x, x), 0),
    "explained_variance": (lambda x: (x, x), 1),
    "l0": (lambda x: (0 * x,), 0),
    "hoyer": (lambda x: (np.eye(3) * x[0],), 1),
    "dead": (lambda x: (0 * x,), 1),
    "always_on": (lambda x: (np.exp(x),), 1),
    "knn_accuracy": (lambda x: (x, (x[:, 0] > 0).astype(int), x, (x[:, 0] > 0).astype(int), 1), 1),
    "auroc": (lambda x: ((x[:, 0] > 0).astype(int), x[:, 0]), 1),
    "average_precision": (lambda x: ((x[:, 0] > 0).astype(int), x[:, 0]), 1),
    "cluster_ari": (lambda x: ((x[:, 0] > 0).astype(int), (x[:, 0] < 0).astype(int)), 1),
    "cluster_nmi": (lambda x: ((x[:, 0] > 0).astype(int), (x[:, 0] < 0).astype(int)), 1),
    "frechet": (lambda x: (x, x), 0),
    **{name: (lambda x: (x, x), 1) for name in ("precision", "recall", "coverage")},
    "copied": (lambda x: (x, x, x + 1), 1),
    "nearness": (lambda x: (x, x, x + 1), 0),
    "code_movement": (lambda x: (x, x), 0),
    **{name: (lambda x: (x, x), 1) for name in ("cka", "subspace_overlap", "matched_units", "matched_atoms")},
    "rank_agreement": (lambda x: (x[:, 0], x[:, 0]), 1),
    "mig": (lambda x: (np.sign(x) * [-3, 0, 0], np.sign(x[:, :1])), 1),
    "sap": (lambda x: (x * [-3, 0, 0], x[:, :1]), 1),
    **dict.fromkeys(("mcc", "uniqueness"), (lambda x: (-2 * x[::-1], x), 1)),
}


@pytest.mark.parametrize("name", PERFECT)
@given(SEEDS)
@settings(max_examples=8)
def test_what_is_perfect_is_at_the_end_of_the_range(name, seed):
    change, best = PERFECT[name]
    x = plain(np.random.default_rng(seed))
    x[:2, 0] = -1, 1
    assert number(name, change(x)) == pytest.approx(best, abs=1e-6)


@given(SEEDS, st.floats(0, 3), st.floats(0, 3))
@settings(max_examples=30)
def test_more_error_is_worse(seed, little, much):
    random, (little, much) = np.random.default_rng(seed), sorted((little, much))
    x, noise = plain(random), plain(random)
    for name in ("mse", "explained_variance", "code_movement"):
        less, more = (number(name, (x, x + share * noise)) for share in (little, much))
        assert more <= less if METRICS[name].higher else more >= less
    assert number("code_movement", (x, x + noise * little)) == pytest.approx(
        little * number("code_movement", (x, x + noise))
    )


@given(SEEDS, st.floats(0, 3))
@settings(max_examples=30)
def test_an_anomaly_that_scores_higher_never_ranks_worse(seed, step):
    """Average precision only where no scores are equal: to leave a tie with many anomalies may cost it."""
    for name, rows in (("auroc", wild), ("average_precision", plain)):
        label, score = scored(np.random.default_rng(seed), rows)
        raised = score.astype(np.float64)
        raised[-1] += step
        assert number(name, (label, raised)) >= number(name, (label, score.astype(np.float64))) - 1e-12


@given(SEEDS, st.floats(0.01, 0.49))
@settings(max_examples=30)
def test_what_the_rich_give_to_the_poor_makes_a_code_flatter(seed, share):
    """Hurley and Rickard (2009): Robin Hood, and the rising tide; and silence is sparse."""
    z = np.abs(codes(np.random.default_rng(seed), plain)[0]) + 1e-3
    rich, poor, row = z.argmax(axis=1), z.argmin(axis=1), np.arange(24)
    gift = share * (z[row, rich] - z[row, poor])
    given = z.copy()
    given[row, rich] -= gift
    given[row, poor] += gift
    assert (row_hoyer(given) <= row_hoyer(z) + 1e-12).all()
    assert (row_hoyer(z + share) <= row_hoyer(z) + 1e-12).all()
    silent = z.copy()
    silent[:, 0] = 0
    assert number("l0", (silent,)) < number("l0", (z,))
    assert number("dead", (silent,)) > number("dead", (z,))
    assert number("always_on", (silent,)) < number("always_on", (z,))


@given(SEEDS)
@settings(max_examples=20)
def test_more_new_rows_cover_no_less_and_a_step_adds_its_square(seed):
    random = np.random.default_rng(seed)
    (real, new), more, step = pair(random, plain), plain(random), random.normal(size=3)
    assert number("coverage", (real, np.concatenate([new, more]))) >= number("coverage", (real, new))
    apart = new.mean(axis=0) - real.mean(axis=0)
    grown = np.square(apart + step).sum() - np.square(apart).sum()
    assert number("frechet", (real, new + step)) - number("frechet", (real, new)) == pytest.approx(grown, abs=1e-6)


@given(SEEDS, st.floats(0.1, 10))
@settings(max_examples=20)
def test_rates_are_in_the_unit_of_their_points_and_fall_with_the_error(seed, factor):
    distortion, bits = points(np.random.default_rng(seed), plain)
    for name in ("bits_per_element", "bits_mean"):
        whole = number(name, (distortion, factor * bits))
        assert whole == pytest.approx(factor * number(name, (distortion, bits)), rel=1e-9, nan_ok=True)
    assert np.all(np.diff([rate_at(distortion, bits, target) for target in np.sort(distortion)]) <= 1e-12)
