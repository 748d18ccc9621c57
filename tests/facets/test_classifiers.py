"""Boosted trees and nearest rows: scikit-learn's, tuned on validation rows, bounded."""

import numpy as np
import pytest
from contenders import split
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier

from isthmus.facets import FACETS, classifiers
from isthmus.facets.classifiers import boosted_trees, nearest_rows, trees

STREAM = np.random.default_rng(2)
X = STREAM.normal(size=(500, 4)).astype(np.float32)
Y = ((X[:, 0] * X[:, 1] > 0).astype(np.int64) + (X[:, 2] > 1)).astype(np.int64)
SPLITS = split(X, Y, seed=4)
TRAIN, VALID, TEST = SPLITS[:3]
SIDES = (TRAIN.x, TRAIN.y, VALID.x, VALID.y)
SHARES = np.bincount(TRAIN.y) / len(TRAIN.y)


def fair(model, x):
    """What a classifier says whose chances are divided by the shares of the classes."""
    return model.classes_[(model.predict_proba(x) / SHARES).argmax(axis=1)]


@pytest.mark.slow
def test_trees_are_scikit_learns_at_the_rate_and_round_that_validation_rows_want():
    best = (-1.0, None)
    for rate in classifiers.RATES:
        for rounds in range(1, classifiers.ROUNDS + 1, 7):
            model = HistGradientBoostingClassifier(
                learning_rate=rate, max_iter=rounds, max_leaf_nodes=8, early_stopping=False, random_state=0
            ).fit(TRAIN.x, TRAIN.y)
            held, said = (
                model.classes_[(model.predict_proba(one) / SHARES).argmax(axis=1)] for one in (VALID.x, TEST.x)
            )
            scores = balanced_accuracy_score(VALID.y, held), balanced_accuracy_score(TEST.y, said)
            best = max(best, scores, key=lambda one: one[0])
    said = boosted_trees(*SIDES, TEST.x, 0).said
    assert balanced_accuracy_score(TEST.y, said.fair) == pytest.approx(best[1], abs=0.06)
    held = boosted_trees(*SIDES, VALID.x, 0).said
    assert balanced_accuracy_score(VALID.y, held.fair) >= best[0] - 1e-9, "every round is looked at"


def test_neighbours_are_scikit_learns_and_as_many_as_validation_rows_want(monkeypatch):
    for count in (1, 3, 5):
        monkeypatch.setattr(classifiers, "COUNTS", (count,))
        model = KNeighborsClassifier(count).fit(TRAIN.x, TRAIN.y)
        said = nearest_rows(*SIDES, TEST.x).said
        assert np.mean(said.usual == TEST.y) == pytest.approx(
            model.score(TEST.x, TEST.y), abs=0.05 if count > 1 else 1e-9
        ), "ties are broken in another way"
        theirs = fair(model, TEST.x)
        assert np.mean(said.fair == theirs) > (0.95 if count > 1 else 1 - 1e-9)
    monkeypatch.undo()
    held = {k: classifiers.knn_balanced(*SIDES, k=k) for k in classifiers.COUNTS}
    best = max(held, key=lambda k: (held[k], -k))
    found = balanced_accuracy_score(TEST.y, nearest_rows(*SIDES, TEST.x).said.fair)
    assert found == pytest.approx(classifiers.knn_balanced(*SIDES[:2], TEST.x, TEST.y, k=best))


@pytest.mark.slow
def test_they_see_what_a_line_does_not():
    found = {name: FACETS["features"].rivals[name](SPLITS) for name in ("raw columns", "boosted trees", "nearest rows")}
    assert found["boosted trees"]["probe_accuracy"] > found["raw columns"]["probe_accuracy"] + 0.1
    assert found["nearest rows"]["probe_accuracy"] > found["raw columns"]["probe_accuracy"] + 0.1
    assert len({one["commonest_class"] for one in found.values()}) == 1, "one floor for all"


def test_rounds_are_bounded_by_their_work_and_one_class_is_named():
    assert trees(1000, 64, 10) == classifiers.ROUNDS
    assert classifiers.LEAST_ROUNDS < trees(10_000, 784, 10) < classifiers.ROUNDS
    assert set(boosted_trees(X[:9], np.full(9, 3), X[:3], np.full(3, 3), X[:4], 0).said.fair) == {3}


@pytest.mark.slow
def test_the_commonest_class_is_no_merit():
    """3 % of the rows are of the second class and the columns are noise: nobody is better than the floor."""
    stream = np.random.default_rng(5)
    rare = (np.arange(1500) % 33 == 0).astype(np.int64)
    splits = split(stream.normal(size=(1500, 6)).astype(np.float32), rare, seed=1)
    for name in ("raw columns", "boosted trees", "nearest rows"):
        found = FACETS["features"].rivals[name](splits)
        assert found["probe_accuracy"] > 0.9, "plain accuracy would call this success"
        assert found["commonest_class"] == 0.5
        assert abs(found["probe_balanced"] - 0.5) < 0.25
    told = stream.normal(size=(1500, 6)).astype(np.float32)
    told[:, 0] += 2 * rare
    found = FACETS["features"].rivals["raw columns"](split(told, rare, seed=1))
    assert found["probe_balanced"] > 0.7, (
        "what is there is found, though the likeliest class is nearly always the first"
    )
    assert found["probe_accuracy"] < 0.99
