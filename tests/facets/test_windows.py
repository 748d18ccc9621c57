"""Rivals of windows of a series, and the metric of their steps."""

import numpy as np
import pytest

from isthmus.data.read import read
from isthmus.facets import FACETS
from isthmus.facets.anomaly import judged, of_steps
from isthmus.facets.facet import Rows, Splits
from isthmus.facets.windows import SCORERS, held
from isthmus.metrics.vus import vus_pr
from isthmus.study.design import design

RANDOM = np.random.default_rng(0)
TIME = np.arange(600)
STEPS = np.stack([np.sin(TIME / 5), np.cos(TIME / 9)], axis=1) + 0.05 * RANDOM.normal(size=(600, 2))
ODD = np.isin(TIME, [450, 451, 452, 520, 521]).astype(np.int64)
LENGTH = 12


def windows(low, high, steps=STEPS):
    first = np.arange(low, high - LENGTH + 1)
    x = np.stack([steps[i : i + LENGTH] for i in first]).astype(np.float32)
    return Rows(x, np.array([int(ODD[i : i + LENGTH].any()) for i in first]), first=first)


def parts(planted=3.0):
    steps = STEPS + planted * ODD[:, None] * np.array([1, -1])
    return Splits(windows(0, 240), windows(240, 360), windows(360, 600, steps), 0, 4, steps=ODD)


SPLITS = parts()


@pytest.mark.parametrize("name", SCORERS)
def test_every_rival_finds_steps_that_leap(name):
    found = judged(SCORERS[name](SPLITS), SPLITS)
    assert found["auroc"] > 0.9
    assert found["vus_pr"] > 2 * found["vus_pr_flat"]


def test_sub_pca_is_the_distance_to_the_mean_in_units_of_the_covariance():
    x = SPLITS.train.x.reshape(len(SPLITS.train.x), -1).astype(float)
    gap = x - x.mean(axis=0)
    expected = np.einsum("ni,ij,nj->n", gap, np.linalg.inv(np.cov(x.T)), gap)
    np.testing.assert_allclose(SCORERS["sub-pca"](SPLITS)(SPLITS.train.x), expected, rtol=1e-4)


def test_a_cubic_leaves_no_residual_and_persistence_sees_changes_only():
    time = np.linspace(-2, 3, LENGTH)
    cubic = np.stack([time**3 - time, 5 + 0 * time], axis=1)[None].astype(np.float32)
    assert SCORERS["polynomial residual"](SPLITS)(cubic)[0] < 1e-8
    quartic = np.stack([time**4, 0 * time], axis=1)[None].astype(np.float32)
    left = np.polynomial.Polynomial.fit(time, time**4, 3)(time) - time**4
    assert SCORERS["polynomial residual"](SPLITS)(quartic)[0] == pytest.approx(np.square(left).mean() / 2, rel=1e-4)
    level = np.full((1, LENGTH, 2), 7, np.float32)
    level[0, 5:, 0] = 9
    assert SCORERS["persistence"](SPLITS)(level)[0] == pytest.approx(4 / (LENGTH - 1))


@pytest.mark.parametrize(("latents", "kept"), [(4, [2, 2]), (3, [2, 1]), (1, [1, 0]), (99, [LENGTH, LENGTH])])
def test_held_values_stand_until_the_next(latents, kept):
    made = held(SPLITS.test.x, latents)
    x = SPLITS.test.x
    for channel, count in enumerate(kept):
        told = np.arange(count) * LENGTH // max(1, count)
        for step in range(LENGTH):
            before = told[told <= step]
            expected = x[:, before[-1], channel] if len(before) else np.zeros(len(x))
            np.testing.assert_array_equal(made[:, step, channel], expected)


def test_a_step_has_the_mean_score_of_its_windows():
    score = RANDOM.normal(size=len(SPLITS.test.x))
    mean = np.array(
        [score[(SPLITS.test.first <= i) & (i < SPLITS.test.first + LENGTH)].mean() for i in range(360, 600)]
    )
    found = of_steps(score, SPLITS)
    assert found["vus_pr"] == pytest.approx(vus_pr(ODD[360:], mean, LENGTH), abs=1e-12)
    assert found["vus_pr_flat"] == vus_pr(ODD[360:], np.zeros(240), LENGTH)
    score[5] = np.nan
    assert np.isnan(of_steps(score, SPLITS)["vus_pr"])
    assert of_steps(score, SPLITS._replace(steps=None)) == {}


def test_windows_are_judged_by_their_steps_and_other_rows_are_not():
    table = np.column_stack([STEPS, ODD])
    usual = {"replicates": 2, "configs": 1}
    series = read(STEPS, ODD, anomaly="1", window=12, time="rows")
    planned = design(series, **usual)
    assert planned.primary("anomaly") == "vus_pr"
    assert planned.floor("anomaly") == "vus_pr_flat"
    assert set(SCORERS) <= set(planned.rivals_of("anomaly"))
    assert "persistence" in planned.rivals_of("reconstruction")
    plain = design(read(table[:, :2], ODD, anomaly="1", time="rows"), facets="anomaly,reconstruction", **usual)
    assert plain.primary("anomaly") == "auroc"
    assert plain.floor("anomaly") == FACETS["anomaly"].floor == 0.5
    assert not set(SCORERS) & set(plain.rivals_of("anomaly"))
    assert "persistence" not in plain.rivals_of("reconstruction")
    assert design(read(STEPS, window=12, time="rows"), **usual).primary("anomaly") == "auroc_planted"
