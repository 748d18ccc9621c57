"""The rivals of the facet anomaly: each equal to its library, or to its paper by rank counts."""

import numpy as np
import pytest
from contenders import split
from scipy.stats import rankdata, skew
from sklearn.decomposition import PCA
from sklearn.neighbors import LocalOutlierFactor
from sklearn.svm import OneClassSVM

from isthmus.facets import FACETS, outliers
from isthmus.facets.facet import Rows
from isthmus.facets.outliers import SCORERS
from isthmus.metrics.ranking import auroc

STREAM = np.random.default_rng(3)
X = np.hstack([STREAM.normal(size=(500, 3)), STREAM.exponential(size=(500, 2))]).astype(np.float32)
X[:, 1] += X[:, 0]
SPLITS = split(X, None, seed=1)
TRAIN, TEST = SPLITS.train.x, SPLITS.test.x


def test_all_of_them_stand_in_the_table_and_find_what_is_far_away():
    assert set(FACETS["anomaly"].rivals_on()) == set(SCORERS)
    odd = TEST + 8
    label = np.repeat([0, 1], len(TEST))
    for name, fit in SCORERS.items():
        score = fit(SPLITS)
        assert auroc(label, score(np.concatenate([TEST, odd]))) > 0.95, name
        assert score(TEST[::-1][:5]) == pytest.approx(score(TEST)[::-1][:5], rel=1e-5, abs=1e-7), f"{name}: company"


def test_the_factor_and_the_machine_are_scikit_learns():
    factor = LocalOutlierFactor(n_neighbors=20, novelty=True).fit(TRAIN)
    assert SCORERS["lof"](SPLITS)(TEST) == pytest.approx(-factor.score_samples(TEST))
    machine = OneClassSVM().fit(TRAIN.astype(float))
    assert SCORERS["one-class svm"](SPLITS)(TEST) == pytest.approx(-machine.score_samples(TEST.astype(float)))


def test_known_anomalies_choose_the_score_of_raw_columns():
    odd = TRAIN[:60].copy()
    odd[:, 1] -= 3  # the second column follows the first
    chosen, usual = (SCORERS["raw columns"](SPLITS._replace(odd=known)) for known in (odd[:30], None))
    label, asked = np.repeat([0, 1], (len(TEST), 30)), np.concatenate([TEST, odd[30:]])
    assert auroc(label, chosen(asked)) > auroc(label, usual(asked)) + 0.01


def test_both_are_bounded_in_rows(monkeypatch):
    monkeypatch.setattr(outliers, "MOST", 50)
    monkeypatch.setattr(outliers, "MOST_OF_MACHINE", 40)
    seen = []
    monkeypatch.setattr(LocalOutlierFactor, "fit", lambda self, x: seen.append(len(x)) or self)
    monkeypatch.setattr(OneClassSVM, "fit", lambda self, x: seen.append(len(x)) or self)
    SCORERS["lof"](SPLITS)
    SCORERS["one-class svm"](SPLITS)
    assert seen == [50, 40]


def by_ranks(row, train=TRAIN):
    """ECOD's score of one row beside the training rows, by ranks and scipy's skewness: algorithm 1 of the paper."""
    n = len(train) + 1
    left, right, both = 0.0, 0.0, 0.0
    for j in range(train.shape[1]):
        column = np.append(train[:, j], row[j])
        low = -np.log(rankdata(column, "max")[-1] / n)
        high = -np.log(rankdata(-column, "max")[-1] / n)
        left, right = left + low, right + high
        both += low if skew(train[:, j]) < 0 else high
    return max(left, right, both)


def test_ecod_is_its_paper_by_rank_counts():
    rows = np.concatenate([TEST[:40], TEST[:3] + 9, TRAIN[:3]])
    assert SCORERS["ecod"](SPLITS)(rows) == pytest.approx([by_ranks(row) for row in rows])


def test_ecod_of_columns_with_ties_is_too():
    coarse, rows = np.round(TRAIN), np.round(TEST[:20])
    score = SCORERS["ecod"](SPLITS._replace(train=Rows(coarse, None)))
    assert score(rows) == pytest.approx([by_ranks(row, coarse) for row in rows])


def test_probabilistic_components_are_scikit_learns_and_as_many_as_validation_rows_want():
    score = SCORERS["probabilistic pca"](SPLITS)(TEST)
    held = SPLITS.valid.x.astype(float)
    models = [PCA(n_components=count).fit(TRAIN.astype(float)) for count in (1, 2, 4)]
    best = max(models, key=lambda one: one.score(held))
    assert score == pytest.approx(-best.score_samples(TEST.astype(float)), rel=1e-6)
    planted = (STREAM.normal(size=(600, 2)) @ STREAM.normal(size=(2, 6)) + 0.1 * STREAM.normal(size=(600, 6))).astype(
        "f4"
    )
    splits = split(planted, None)
    two = PCA(n_components=2).fit(splits.train.x.astype(float))
    assert SCORERS["probabilistic pca"](splits)(splits.test.x) == pytest.approx(
        -two.score_samples(splits.test.x.astype(float)), rel=1e-6
    )


def test_rows_wider_than_many_and_columns_that_stand_still_have_finite_scores():
    wide = STREAM.normal(size=(60, 90)).astype(np.float32)
    wide[:, :5] = 1
    splits = split(wide, None)
    for name, fit in SCORERS.items():
        assert np.isfinite(fit(splits)(splits.test.x)).all(), name
