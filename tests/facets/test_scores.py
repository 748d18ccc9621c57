"""Scores from the reconstruction, from the density of the code, and from both."""

import math

import numpy as np
import pytest
from contenders import Fixed, pca, split
from hypothesis import given
from hypothesis import strategies as st
from sklearn.covariance import EmpiricalCovariance

from isthmus.facets.anomaly import auroc
from isthmus.facets.facet import Rows, Splits, row_error
from isthmus.facets.scores import mahalanobis, scores, standardised

NORMAL = np.random.default_rng(0).normal(size=(400, 3)) @ np.array([[2.0, 0, 0], [1, 1, 0], [0, 0.5, 0.3]])


def test_the_distance_is_scikit_learns():
    asked = 3 * NORMAL[:50] + 1
    expected = np.sqrt(EmpiricalCovariance().fit(NORMAL).mahalanobis(asked))
    assert mahalanobis(NORMAL, asked) == pytest.approx(expected, rel=1e-4)


@given(st.integers(0, 2**32 - 1))
def test_the_distance_does_not_depend_on_the_axes_of_the_code(seed):
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0] * 7
    assert mahalanobis(NORMAL @ turn, 2 * NORMAL[:9] @ turn) == pytest.approx(
        mahalanobis(NORMAL, 2 * NORMAL[:9]), rel=1e-3
    )


def test_an_element_that_never_moved_has_a_finite_distance_and_still_codes_none():
    still, aside = NORMAL * [1, 1, 0], np.array([0, 0, 1])
    assert np.isfinite(mahalanobis(still, still + aside)).all()
    assert mahalanobis(still, still + aside).min() > 100
    assert mahalanobis(np.ones((5, 2)), np.ones((3, 2))).tolist() == [0, 0, 0]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_code_that_is_not_finite_has_no_distance(bad):
    broken = NORMAL.copy()
    broken[0, 0] = bad
    assert np.isnan(mahalanobis(broken, NORMAL)).all()
    assert np.isnan(mahalanobis(NORMAL, broken)).all()


def test_standard_deviations_over_normal_rows():
    assert standardised(np.array([1.0, 3.0]), np.array([2.0, 5.0])).tolist() == [0, 3]
    assert standardised(np.array([1.0, 1.0]), np.array([1.0, 2.0])).tolist() == [0, 1]
    assert standardised(np.array([1.0, 3.0]), np.array([2.0, 5.0]), floor=10.0).tolist() == [0, 0.3]


def plane():
    """Rows near a plane of three dimensions, and two kinds of anomaly: off the plane, and far out on it."""
    stream = np.random.default_rng(1)
    x = (stream.normal(size=(600, 3)) * [1, 1, 0.1]).astype(np.float32)
    splits = split(x, None)
    off, out = splits.test.x.copy(), splits.test.x.copy()
    off[:, 2] += 1
    out[:, :2] *= 6
    rows = np.concatenate([splits.test.x, off, out])
    return splits._replace(test=Rows(rows, None)), np.repeat([0, 1, 2], len(off))


def test_each_score_finds_its_kind_and_both_find_both():
    splits, kind = plane()
    found = scores(pca(splits.train.x, 2), splits, 0.0)
    ranks = {
        name: [auroc((kind[kind != other] > 0).astype(int), score[kind != other]) for other in (2, 1)]
        for name, score in found.items()
    }
    assert ranks["reconstruction"][0] > 0.99
    assert ranks["reconstruction"][1] < 0.6
    assert ranks["density"][0] < 0.6
    assert ranks["density"][1] > 0.85
    assert ranks["both"][0] > 0.99
    assert ranks["both"][1] > 0.85


def test_they_are_what_they_say():
    splits, _ = plane()
    contender = pca(splits.train.x, 2)
    found = scores(contender, splits, 0.0)
    assert found["reconstruction"] == pytest.approx(row_error(contender, splits.test.x))
    codes = [contender.encode_scaled(p.x) for p in (splits.train, splits.valid, splits.test)]
    assert found["density"] == pytest.approx(mahalanobis(codes[0], codes[2]))
    error, far = row_error(contender, splits.valid.x), mahalanobis(codes[0], codes[1])
    expected = standardised(error, found["reconstruction"]) + standardised(far, found["density"])
    assert found["both"] == pytest.approx(expected)


def test_rounding_is_not_blown_up():
    splits, _ = plane()
    contender = pca(splits.train.x, 3)  # keeps everything: every error is rounding
    found = scores(contender, splits, 1e-3)
    assert np.argsort(found["both"]).tolist() == np.argsort(found["density"]).tolist()


def test_the_order_of_test_rows_and_their_company_change_nothing():
    splits, _ = plane()
    contender = pca(splits.train.x, 2)
    some = Splits(splits.train, splits.valid, Rows(splits.test.x[::-1][:40], None), splits.seed, splits.latents)
    whole, part = scores(contender, splits, 0.0), scores(contender, some, 0.0)
    assert all(part[name] == pytest.approx(whole[name][::-1][:40], rel=1e-5, abs=1e-6) for name in whole)


def test_a_diverged_model_has_no_score():
    splits, _ = plane()
    broken = Fixed(lambda x: np.full((len(x), 2), np.inf, np.float32), lambda z: np.full((len(z), 3), np.inf))
    found = scores(broken, splits, 0.0)
    assert not np.isfinite(found["density"]).any()
    assert not np.isfinite(found["both"]).any()
