import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from isthmus.metrics.ranking import auroc, average_precision, degenerate

SETS = st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3)), min_size=2, max_size=40).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


def test_perfect_reversed_and_constant():
    label = np.array([0, 0, 0, 1, 1])
    assert auroc(label, label) == 1
    assert average_precision(label, label) == 1
    assert auroc(label, -label) == 0
    assert auroc(label, np.full(5, 7.0)) == 0.5
    assert average_precision(label, np.full(5, 7.0)) == pytest.approx(0.4, abs=1e-15)


def test_one_tie_across_kinds_counts_half():
    # Pairs (normal, anomaly): 1 < 2, 1 < 3, 2 = 2, 2 < 3.
    assert auroc(np.array([0, 1, 0, 1]), np.array([1, 2, 2, 3])) == 3.5 / 4


def test_average_precision_by_hand():
    # Downwards: hit, miss, hit: 1/2 * 1 + 1/2 * 2/3.
    assert average_precision(np.array([1, 0, 1]), np.array([3.0, 2.0, 1.0])) == pytest.approx(5 / 6, abs=1e-15)


@pytest.mark.slow
@given(SETS)
@settings(max_examples=150)
def test_as_scikit_learn_has_it_ties_included(rows):
    label, score = (np.array(column) for column in zip(*rows, strict=True))
    assert auroc(label, score) == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    assert average_precision(label, score) == pytest.approx(average_precision_score(label, score), abs=1e-12)


@given(SETS)
@settings(max_examples=50)
def test_only_the_order_counts_and_kinds_mirror(rows):
    label, score = (np.array(column) for column in zip(*rows, strict=True))
    assert auroc(label, np.exp(score) + 5) == pytest.approx(auroc(label, score), abs=1e-15)
    assert auroc(1 - label, -score) == pytest.approx(auroc(label, score), abs=1e-12)


@pytest.mark.parametrize("label", [[0, 0], [1, 1]])
def test_one_kind_alone_has_no_auroc(label):
    assert math.isnan(auroc(np.array(label), np.array([1.0, 2.0])))


def test_without_anomalies_there_is_no_precision():
    assert math.isnan(average_precision(np.zeros(3, dtype=int), np.arange(3.0)))


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_ranks_nothing(broken):
    label, score = np.array([0, 1, 1]), np.array([0.0, 1.0, broken])
    assert math.isnan(auroc(label, score))
    assert math.isnan(average_precision(label, score))
    assert degenerate(score) == "a score is not finite"


def test_degenerate_scores_are_named():
    spread = np.random.default_rng(0).random(100)
    assert degenerate(np.zeros(5)) == degenerate(np.full(5, 3.7)) == "all scores are equal"
    assert degenerate(1 + 1e-9 * spread) == "scores differ by rounding only"
    assert degenerate(-1e8 - spread) == "scores differ by rounding only"
    assert degenerate(np.zeros(0)) == "there are no scores"
    assert degenerate(spread) is None
    assert degenerate(1 + 1e-5 * spread) is None
    assert degenerate(1e300 * np.array([-1.5, 1.5])) is None


def test_the_floor_says_what_is_rounding():
    tiny = 1e-24 * np.arange(5.0)
    assert degenerate(tiny) is None
    assert degenerate(tiny, floor=1e-20) == "scores differ by rounding only"
