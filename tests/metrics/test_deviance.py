import numpy as np
import pytest
from sklearn.metrics import mean_poisson_deviance

from isthmus.metrics.deviance import SMOOTH, deviance, explained_deviance

RANDOM = np.random.default_rng(0)
COUNTS = RANDOM.poisson(RANDOM.gamma(0.5, 2, (40, 6))).astype(float) + np.eye(40, 6)
USUAL = COUNTS.sum(axis=0) / COUNTS.sum()
SHARES = RANDOM.dirichlet(np.ones(6), 40)


def test_deviance_is_that_of_poisson_means_that_add_up_to_the_total() -> None:
    mean = COUNTS.sum(axis=1, keepdims=True) * ((1 - SMOOTH) * SHARES + SMOOTH * USUAL)
    want = [mean_poisson_deviance(c, m) * 6 for c, m in zip(COUNTS, mean, strict=True)]
    np.testing.assert_allclose(deviance(COUNTS, SHARES, USUAL), want, rtol=1e-9)


def test_usual_shares_explain_nothing_and_own_ones_nearly_all() -> None:
    assert explained_deviance(COUNTS, np.broadcast_to(USUAL, COUNTS.shape), USUAL) == pytest.approx(0, abs=1e-12)
    own = COUNTS / COUNTS.sum(axis=1, keepdims=True)
    assert 0.95 < explained_deviance(COUNTS, own, USUAL) < 1


def test_rows_count_as_their_weights_say() -> None:
    weight = np.where(np.arange(40) < 20, 3.0, 1.0)
    twice = np.repeat(np.arange(40), weight.astype(int))
    want = explained_deviance(COUNTS[twice], SHARES[twice], USUAL)
    assert explained_deviance(COUNTS, SHARES, USUAL, weight) == pytest.approx(want)


def test_a_share_of_zero_costs_no_infinity() -> None:
    assert np.isfinite(deviance(np.array([[3.0, 0.0]]), np.array([[0.0, 1.0]]), np.array([0.5, 0.5]))).all()
