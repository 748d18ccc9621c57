"""Boosted trees and nearest rows: scikit-learn's, tuned on validation rows, bounded."""

import numpy as np
import pytest
from contenders import split
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neighbors import KNeighborsClassifier

from isthmus.facets import FACETS, classifiers
from isthmus.facets.classifiers import boosted_trees, nearest_rows, trees

STREAM = np.random.default_rng(2)
X = STREAM.normal(size=(500, 4)).astype(np.float32)
Y = ((X[:, 0] * X[:, 1] > 0).astype(np.int64) + (X[:, 2] > 1)).astype(np.int64)
SPLITS = split(X, Y, seed=4)
TRAIN, VALID, TEST = SPLITS[:3]
SIDES = (TRAIN.x, TRAIN.y, VALID.x, VALID.y)


@pytest.mark.slow
def test_trees_are_scikit_learns_at_the_rate_and_round_that_validation_rows_want():
    best = (-1.0, None)
    for rate in classifiers.RATES:
        for rounds in range(1, classifiers.ROUNDS + 1, 7):
            model = HistGradientBoostingClassifier(
                learning_rate=rate, max_iter=rounds, max_leaf_nodes=8, early_stopping=False, random_state=0
            ).fit(TRAIN.x, TRAIN.y)
            best = max(best, (model.score(VALID.x, VALID.y), model.score(TEST.x, TEST.y)), key=lambda one: one[0])
    said = boosted_trees(*SIDES, TEST.x, 0)
    assert np.mean(said == TEST.y) == pytest.approx(best[1], abs=0.06)
    assert np.mean(boosted_trees(*SIDES, VALID.x, 0) == VALID.y) >= best[0], "every round is looked at"


def test_neighbours_are_scikit_learns_and_as_many_as_validation_rows_want(monkeypatch):
    for count in (1, 3, 5):
        monkeypatch.setattr(classifiers, "COUNTS", (count,))
        model = KNeighborsClassifier(count).fit(TRAIN.x, TRAIN.y)
        assert nearest_rows(*SIDES, TEST.x, TEST.y) == pytest.approx(
            model.score(TEST.x, TEST.y), abs=0.05 if count > 1 else 1e-9
        ), "ties are broken in another way"
    monkeypatch.undo()
    held = {k: classifiers.knn_accuracy(*SIDES, k=k) for k in classifiers.COUNTS}
    best = max(held, key=lambda k: (held[k], -k))
    assert nearest_rows(*SIDES, TEST.x, TEST.y) == classifiers.knn_accuracy(*SIDES[:2], TEST.x, TEST.y, k=best)


def test_they_see_what_a_line_does_not():
    found = {name: FACETS["features"].rivals[name](SPLITS) for name in ("raw columns", "boosted trees", "nearest rows")}
    assert found["boosted trees"]["probe_accuracy"] > found["raw columns"]["probe_accuracy"] + 0.1
    assert found["nearest rows"]["probe_accuracy"] > found["raw columns"]["probe_accuracy"] + 0.1
    assert len({one["commonest_class"] for one in found.values()}) == 1, "one floor for all"


def test_rounds_are_bounded_by_their_work_and_one_class_is_named():
    assert trees(1000, 64, 10) == classifiers.ROUNDS
    assert classifiers.LEAST_ROUNDS < trees(10_000, 784, 10) < classifiers.ROUNDS
    assert set(boosted_trees(X[:9], np.full(9, 3), X[:3], np.full(3, 3), X[:4], 0)) == {3}
