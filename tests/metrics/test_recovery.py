"""Features found again: closed forms, and the assignment by brute force."""

import itertools
import math

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from isthmus.metrics.recovery import absorption, detection, likeness, mean_correlation, uniqueness

RANDOM = np.random.default_rng(0)
ENTRIES, FEATURES = RANDOM.normal(size=(5, 7)), RANDOM.normal(size=(4, 7))


def test_likeness_is_the_size_of_the_cosine():
    near = likeness(ENTRIES, -3 * FEATURES)
    for i, j in itertools.product(range(5), range(4)):
        a, b = ENTRIES[i], FEATURES[j]
        assert near[i, j] == pytest.approx(abs(a @ b) / np.linalg.norm(a) / np.linalg.norm(b))


def test_mean_correlation_is_the_best_of_all_assignments():
    near = likeness(ENTRIES, FEATURES)
    best = max(np.mean([near[i, j] for j, i in enumerate(p)]) for p in itertools.permutations(range(5), 4))
    assert mean_correlation(ENTRIES, FEATURES) == pytest.approx(best)
    assert mean_correlation(FEATURES[::-1] * 2, FEATURES) == pytest.approx(1)


def test_uniqueness_counts_features_that_are_nearest_to_some_entry():
    eye = np.eye(4)
    assert uniqueness(eye, eye) == 1
    assert uniqueness(np.repeat(eye[:2], 2, axis=0), eye) == 0.5


def test_detection_is_that_of_scikit_learn():
    eye = np.eye(3)
    present = RANDOM.random((60, 3)) < 0.4
    codes = np.where(RANDOM.random((60, 3)) < 0.2, ~present, present) * RANDOM.normal(size=(60, 3))
    found = detection(codes, present * 2.0, eye, eye)
    for value, by in ((found.f1, f1_score), (found.precision, precision_score), (found.recall, recall_score)):
        assert value == pytest.approx(np.mean([by(present[:, j], codes[:, j] != 0) for j in range(3)]))


def test_units_that_never_fire_are_left_out_of_detection():
    eye, present = np.eye(2), np.ones((4, 2))
    codes = np.column_stack([np.ones(4), np.zeros(4)])
    assert detection(codes, present, eye, eye).f1 == 1
    assert math.isnan(detection(0 * codes, present, eye, eye).f1)


def test_absorption_is_a_hole_in_the_parent_where_the_child_speaks():
    eye, parents = np.eye(3), np.array([-1, 0, 0])
    present = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1], [1, 0, 0]])
    whole = present.astype(float)
    assert absorption(whole, present, eye, eye, parents) == 0
    holes = whole.copy()
    holes[0, 0] = 0  # of two rows with child 1 one, of one row with child 2 none
    assert absorption(holes, present, eye, eye, parents) == 0.25
    silent = holes.copy()
    silent[0, 1] = 0  # nobody speaks: a miss, and no absorption
    assert absorption(silent, present, eye, eye, parents) == 0
    assert math.isnan(absorption(whole, present, eye, eye, np.full(3, -1)))
