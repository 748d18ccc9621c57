"""Made-up anomalies: what each type is, who finds which, and that nobody finds what is no anomaly."""

import numpy as np
import pytest
from contenders import pca, split

from isthmus.facets import planted as theme
from isthmus.facets.anomaly import against, judged
from isthmus.facets.facet import Rows, Splits, numbers, row_error
from isthmus.facets.outliers import knn_distance
from isthmus.facets.planted import planted


def linear(n=900, width=6, latents=2, seed=0):
    """Rows of a linear model with little noise: columns depend on each other, each by itself is normal."""
    stream = np.random.default_rng(seed)
    x = stream.normal(size=(n, latents)) @ stream.normal(size=(latents, width)) + 0.05 * stream.normal(size=(n, width))
    return split((x / x.std(axis=0)).astype(np.float32), None, latents=latents)


SPLITS = linear()
MADE = planted(SPLITS, SPLITS.test.x)


def test_four_types_of_as_many_rows_and_at_most_a_thousand():
    assert list(MADE) == ["local", "global", "dependency", "cluster"]
    assert all(rows.shape == SPLITS.test.x.shape and rows.dtype == np.float32 for rows in MADE.values())
    many = np.zeros((1500, 2, 3), np.float32)
    splits = SPLITS._replace(train=Rows(np.zeros((20, 2, 3), np.float32), None))
    assert all(rows.shape == (1000, 2, 3) for rows in planted(splits, many).values())


def test_the_seed_of_the_parts_and_nothing_else_draws():
    again, other = planted(SPLITS, SPLITS.test.x), planted(SPLITS._replace(seed=1), SPLITS.test.x)
    for name, rows in MADE.items():
        assert np.array_equal(rows, again[name])
        assert (name in {"local", "cluster"}) or not np.array_equal(rows, other[name])


def test_validation_rows_and_labels_are_not_looked_at():
    blind = Splits(SPLITS.train, Rows(SPLITS.valid.x * np.nan, None), SPLITS.test, SPLITS.seed, SPLITS.latents)
    assert all(np.array_equal(rows, planted(blind, SPLITS.test.x)[name]) for name, rows in MADE.items())


def test_at_strength_one_nothing_moves_and_every_scorer_is_at_chance(monkeypatch):
    monkeypatch.setattr(theme, "SPREAD", 1.0)
    monkeypatch.setattr(theme, "SHIFT", 1.0)
    still = planted(SPLITS, SPLITS.test.x)
    assert still["local"] == pytest.approx(SPLITS.test.x, abs=1e-6)
    assert still["cluster"] == pytest.approx(SPLITS.test.x, abs=1e-6)
    found = judged(knn_distance(SPLITS), SPLITS)
    assert (found["auroc_local"], found["auroc_cluster"]) == pytest.approx((0.5, 0.5), abs=1e-4)


def test_local_multiplies_the_variance_about_a_centre_and_cluster_moves_the_centre(monkeypatch):
    monkeypatch.setattr(theme, "COMPONENTS", 1)  # one component: its centre is the mean of the training rows
    made, mean = planted(SPLITS, SPLITS.test.x), SPLITS.train.x.mean(axis=0)
    assert made["local"] == pytest.approx(mean + 5**0.5 * (SPLITS.test.x - mean), abs=1e-4)
    assert made["cluster"] == pytest.approx(SPLITS.test.x, abs=1e-4)
    monkeypatch.setattr(theme, "COMPONENTS", 2)  # two far groups: each moves to five times its distance
    groups = np.repeat([[-10.0, 0.0], [10.0, 0.0]], 50, axis=0).astype(np.float32)
    splits = Splits(Rows(groups, None), Rows(groups, None), Rows(groups, None), 0, 1)
    assert planted(splits, groups)["cluster"] == pytest.approx(5 * groups, abs=1e-5)


def test_global_fills_the_range_made_a_tenth_wider():
    low, high = SPLITS.test.x.min(axis=0), SPLITS.test.x.max(axis=0)
    beyond = 0.05 * (high - low)
    assert (MADE["global"] >= low - beyond - 1e-6).all()
    assert (MADE["global"] <= high + beyond + 1e-6).all()
    assert (MADE["global"] < low).any()
    assert (MADE["global"] > high).any()
    assert MADE["global"].std(axis=0) == pytest.approx(1.1 * (high - low) / 12**0.5, rel=0.15)


def test_dependency_keeps_every_column_and_breaks_what_ties_them():
    assert np.array_equal(np.sort(MADE["dependency"], axis=0), np.sort(SPLITS.test.x, axis=0))
    before, after = (np.abs(np.corrcoef(rows.T) - np.eye(6)).max() for rows in (SPLITS.test.x, MADE["dependency"]))
    assert before > 0.8
    assert after < 0.3


def test_columns_one_by_one_do_not_show_a_broken_dependency_but_a_linear_model_does():
    extreme = against(np.abs(SPLITS.test.x).max(axis=1), np.abs(MADE["dependency"]).max(axis=1))["auroc"]
    contender = pca(SPLITS.train.x, 2)
    seen = against(row_error(contender, SPLITS.test.x), row_error(contender, MADE["dependency"]))["auroc"]
    assert extreme < 0.75
    assert seen > 0.98


def test_one_column_has_no_dependency_to_break():
    splits = split(np.random.default_rng(0).normal(size=(200, 1)).astype(np.float32), None)
    assert judged(lambda x: x[:, 0].astype(np.float64), splits)["auroc_dependency"] == 0.5


def test_a_scorer_that_knows_the_rows_is_perfect_and_a_reversed_one_is_wrong():
    mean = SPLITS.train.x.mean(axis=0)
    length = lambda x: np.square(x - mean).sum(axis=1, dtype=np.float64)  # noqa: E731
    found, reversed_ = judged(length, SPLITS), judged(lambda x: -length(x), SPLITS)
    assert found["auroc_cluster"] > 0.9
    assert all(found[name] == pytest.approx(1 - reversed_[name], abs=1e-12) for name in numbers(found))
