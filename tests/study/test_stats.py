"""Statistics against closed forms and against independent implementations."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats as reference

from isthmus.evidence.stats import (
    Masses,
    corrected_variance,
    estimate,
    holm,
    interval,
    masses,
    p_value,
    pairs,
    replicates_to_decide,
    steps,
)
from isthmus.facets import FACETS
from isthmus.metrics import METRICS
from isthmus.report import contests
from isthmus.study.deploy import origin

EXPECTED = json.loads((Path(__file__).parent / "expected" / "reference.json").read_text())
D = [0.01, 0.03, 0.02, 0.05, 0.04]


def test_variance_is_nadeau_and_bengios():
    assert corrected_variance(D, 0.25) == pytest.approx((1 / 5 + 0.25) * np.var(D, ddof=1), rel=1e-14)
    assert corrected_variance(D, 0.0) == pytest.approx(np.var(D, ddof=1) / 5, rel=1e-14)


def test_without_overlap_it_is_the_textbook_t_test():
    expected = reference.ttest_1samp(D, 0.0)
    assert p_value(D, 0.0) == pytest.approx(expected.pvalue, rel=1e-12)
    assert interval(D, 0.0) == pytest.approx(tuple(expected.confidence_interval(0.95)), rel=1e-12)
    assert interval(D, 0.0, level=0.8) == pytest.approx(tuple(expected.confidence_interval(0.8)), rel=1e-12)


def test_overlap_widens_by_a_known_factor():
    low, high = interval(D, 1 / 3)
    narrow_low, narrow_high = interval(D, 0.0)
    assert (high - low) / (narrow_high - narrow_low) == pytest.approx(math.sqrt((1 / 5 + 1 / 3) * 5), rel=1e-12)
    assert p_value(D, 1 / 3) > p_value(D, 0.0)


@pytest.mark.parametrize("case", EXPECTED["correlated"])
def test_masses_agree_with_baycomp(case):
    d = np.subtract(case["x"], case["y"])
    assert masses(d, case["rope"], case["test_fraction"]) == pytest.approx(tuple(case["masses"]), abs=1e-12)


def test_holm_agrees_with_statsmodels():
    assert holm(EXPECTED["p"]) == pytest.approx(EXPECTED["holm"], abs=1e-15)


def test_holm_counts_a_missing_comparison():
    assert holm([0.01, None, 0.02]) == [0.03, None, 0.04]
    assert holm([]) == []


def test_interval_p_and_masses_tell_one_story():
    """Without a rope: p is twice the smaller mass, and 0 lies on the end of the interval of level 1 - p."""
    m, p = masses(D, 0.0, 1 / 3), p_value(D, 1 / 3)
    assert p == pytest.approx(2 * m.left, rel=1e-12)
    assert interval(D, 1 / 3, level=1 - p)[0] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("value", "expected"), [(0.5, (0, 0, 1)), (-0.5, (1, 0, 0)), (0.25, (0, 1, 0)), (0.0, (0, 1, 0))]
)
def test_identical_differences_put_the_mass_where_they_lie(value, expected):
    assert masses([value] * 4, 0.25, 1 / 3) == Masses(*map(float, expected))
    assert p_value([value] * 4, 1 / 3) == float(value == 0)
    assert interval([value] * 4, 1 / 3) == (value, value)


@pytest.mark.parametrize("few", [[], [0.1], [0.1, None], [math.nan, 0.1, math.inf]])
def test_fewer_than_two_values_say_nothing(few):
    assert interval(few, 1 / 3) is masses(few, 0.1, 1 / 3) is p_value(few, 1 / 3) is None
    assert replicates_to_decide(few, 0.1, 1 / 3) is None


def test_what_is_not_finite_is_left_out():
    assert p_value([*D, math.nan], 0.2) == p_value(D, 0.2)
    assert masses([*D, None], 0.01, 0.2) == masses(D, 0.01, 0.2)


def test_pairs_drop_and_count_what_one_side_lacks():
    pair = pairs({"a": [1.0, 2.0, None, 4.0, None], "b": [0.5, math.nan, 1.0, 2.0, None]},
                 rope=0.1, higher=True, test_fraction=0.25)[0]  # fmt: skip
    assert (pair.n, pair.dropped) == (2, 2)
    assert pair.mean == pytest.approx((0.5 + 2.0) / 2)


def test_direction_swaps_better_and_worse_but_not_the_difference():
    scores = {"a": [0.2, 0.3, 0.25], "b": [0.4, 0.5, 0.55]}
    up = pairs(scores, rope=0.01, higher=True, test_fraction=0.25)[0]
    down = pairs(scores, rope=0.01, higher=False, test_fraction=0.25)[0]
    assert (up.better, up.worse, up.mean) == (down.worse, down.better, down.mean)
    assert up.worse > 0.9
    assert up.mean == pytest.approx(-0.7 / 3)


def test_pairs_are_adjusted_over_the_whole_table():
    rng = np.random.default_rng(0)
    table = {name: rng.standard_normal(6) for name in "abcd"}
    made = pairs(table, rope=0.1, higher=True, test_fraction=0.25)
    assert [(p.a, p.b) for p in made] == [("a", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("c", "d")]
    assert [p.p_adjusted for p in made] == holm([p.p for p in made])


def test_ratios_are_compared_on_logarithms_and_told_as_shares():
    scores = {"a": [1.0, 10.0, 100.0], "b": [2.0, 20.0, 200.0]}
    pair = pairs(scores, rope=0.05, higher=True, test_fraction=0.25, relative=True)[0]
    assert (pair.mean, pair.worse) == (pytest.approx(-0.5), 1.0)
    back = pair.flipped(relative=True)
    assert (back.a, back.mean, back.better) == ("b", pytest.approx(1.0), 1.0)
    near = pairs({"a": [1.0, 10.0, 100.0], "b": [1.04, 10.4, 104.0]}, rope=0.05, higher=True, test_fraction=0.25,
                 relative=True)[0]  # fmt: skip
    assert near.equal == 1.0
    assert pairs(scores, rope=0.05, higher=True, test_fraction=0.25)[0].mean == pytest.approx(-37.0)


def test_flipping_twice_changes_nothing():
    pair = pairs({"a": D, "b": D[::-1]}, rope=0.01, higher=True, test_fraction=0.25)[0]
    assert pair.flipped().flipped() == pair
    assert (pair.flipped().low, pair.flipped().high) == (-pair.high, -pair.low)


def test_steps_of_a_metric_are_found():
    rng = np.random.default_rng(1)
    counts = [rng.integers(20, 36, 5) / 36 for _ in range(3)]
    assert steps(counts) == pytest.approx(1 / 36, rel=1e-9)
    assert steps([np.array([2, 5, 5]) / 7, np.array([np.nan, 0.5, 0.5])]) == pytest.approx(3 / 7)
    assert steps(rng.random((3, 5))) < 1e-4
    assert steps([np.full(5, 1000.0), np.full(5, 2000.0)]) == 0.0


def test_coarse_scores_that_agree_by_chance_are_not_certain():
    """Three differences of one test row in 36: without the step's variance p would be 0."""
    d = [1 / 36] * 3
    assert p_value(d, 1 / 3) < 1e-12
    t = 1 / math.sqrt((1 / 3 + 1 / 3) / 6)
    assert p_value(d, 1 / 3, grain=1 / 36) == pytest.approx(2 * reference.t.sf(t, 2), rel=1e-9)
    assert masses(d, 0.0, 1 / 3, grain=1 / 36).right == pytest.approx(reference.t.cdf(t, 2), rel=1e-9)
    assert interval(d, 1 / 3, grain=1 / 36)[0] < 0 < interval(d, 1 / 3)[0]


def test_replicates_to_decide():
    d = [0.02, 0.05, -0.01, 0.06, 0.03]
    n = replicates_to_decide(d, 0.0, 0.0)
    mean, sd = np.mean(d), np.std(d, ddof=1)
    p = [2 * reference.t.sf(mean / sd * math.sqrt(k), k - 1) for k in (n - 1, n)]
    assert p[1] < 0.05 <= p[0]
    assert replicates_to_decide(d, 0.0, 0.0, tests=20) > n
    assert replicates_to_decide(d, 0.0, 0.0, most=n - 1) is None
    assert replicates_to_decide(d, 0.0, 5.0) is None, "overlap leaves a variance that replicates cannot remove"
    assert replicates_to_decide([0.0] * 4, 0.01, 1 / 3) == 5
    assert replicates_to_decide([0.0] * 4, 0.01, 1 / 3, grain=0.1) is None


UNBOUNDED = {"elbo", "iwae_bound"}
"""Logarithms of densities may be anything."""


def at_the_ends(bounds):
    """Scores that lie at one end of what there can be but for one inside, so that a t interval goes beyond."""
    low, high = bounds
    inside = (low + high) / 2 if np.isfinite([low, high]).all() else None
    found = [] if math.isinf(low) else [[low, low, low + 0.4 if inside is None else inside]]
    return found + ([] if math.isinf(high) else [[high, high, high - 0.4 if inside is None else inside]])


@pytest.mark.parametrize("name", [name for name in METRICS if name not in UNBOUNDED])
def test_no_interval_is_told_beyond_what_a_metric_can_be(name):
    metric = METRICS[name]
    low, high = metric.bounds
    assert math.isfinite(low) or math.isfinite(high)
    for scores in at_the_ends(metric.bounds):
        if not metric.relative:
            ends = interval(scores, 1 / 3)
            assert min(ends) < low or max(ends) > high, "else nothing is shown"
        told = contests.estimate(scores, name, 1 / 3)
        assert low <= told.low <= told.mean <= told.high <= high
        made = pairs(
            {"a": at_the_ends(metric.bounds)[0], "b": at_the_ends(metric.bounds)[-1]},
            rope=metric.rope,
            higher=bool(metric.higher),
            test_fraction=1 / 3,
            relative=metric.relative,
            bounds=metric.bounds,
        )[0]
        assert made.low >= (-1 if metric.relative else low - high)
        assert metric.relative or made.high <= high - low


@pytest.mark.parametrize("facet", list(FACETS))
def test_what_a_model_carries_of_its_study_is_within_what_its_metrics_can_be(facet):
    def scores(facet, metric):
        found = at_the_ends(METRICS[metric].bounds)
        return {"plain": np.array(found[-1] if found else [0.0, 1.0, 2.0])}

    about = {"name": "rows", "digest": "00" * 32, "rows": 9}
    design = SimpleNamespace(data=about, view=lambda facet: "all", primary=lambda facet: FACETS[facet].primary)
    study = SimpleNamespace(design=design, scores=scores, replicates=3, test_fraction=lambda view: 1 / 3)
    measured = origin(study, "plain", facet, None).measured
    assert measured
    for one in measured:
        low, high = METRICS[one.metric].bounds
        assert low <= one.low <= one.value <= one.high <= high


def test_an_estimate_is_the_mean_with_its_interval_and_of_ratios_the_geometric_one():
    assert estimate([None, 1.0, 2.0, math.nan, 4.0], 1 / 3, relative=True).mean == pytest.approx(2.0)
    found = estimate([0.2, 0.4, 0.6], 1 / 3)
    assert (found.low, found.high) == interval([0.2, 0.4, 0.6], 1 / 3)
    assert estimate([0.5], 1 / 3) == (0.5, None, None)
    assert estimate([None, math.inf], 1 / 3) is None
