"""Which columns made a score: exact shares, and the planted column is named far more often than by chance."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from isthmus.errors import BadInput
from isthmus.explain import explain, explains, leading, shares
from isthmus.families import named
from isthmus.scorer import AROUND, CALM, NEAREST, WEIGHTS, Crowd, whitening
from isthmus.ship.deployed import Deployed
from isthmus.train.fitted import Fitted, fit
from isthmus.train.plan import Plan

WIDTH = 8


def rows(n: int = 600, seed: int = 0) -> np.ndarray:
    """Two hidden causes, eight columns in units of their own, a little noise."""
    stream = np.random.default_rng(seed)
    angle = 2.4 * np.arange(WIDTH)  # no column stands out: each has a quarter of its variance in the residual's reach
    mixed = stream.normal(size=(n, 2)) @ np.stack([np.cos(angle), np.sin(angle)])
    mixed += 0.1 * stream.normal(size=mixed.shape)
    return mixed * 10.0 ** np.arange(-1, WIDTH - 1) + 5


@pytest.fixture(scope="module")
def pca() -> Fitted:
    return fit(named("pca").set_params(latents=2), rows())


def test_shares_are_those_of_the_score_and_their_sign_is_that_of_the_surprise(pca: Fitted) -> None:
    x = rows(50, seed=1)
    found, rebuilt = explain(pca, x), pca.reconstruct(x)
    scaled = (x - rebuilt) / pca.layout.scale
    expected = scaled**2 / (scaled**2).sum(axis=1, keepdims=True)
    assert np.abs(found) == pytest.approx(expected, abs=1e-3)
    clear = expected > 0.01
    assert (np.sign(found) == np.sign(x - rebuilt))[clear].all()
    score = pca.errors(x)
    assert np.abs(found) * score[:, None] * WIDTH == pytest.approx(scaled**2, rel=0.01, abs=1e-5)


@pytest.mark.slow
@given(arrays(np.float64, (3, 2, 2), elements=st.floats(-1e6, 1e6)), st.floats(0.01, 100))
def test_sizes_sum_to_one_and_do_not_depend_on_the_unit(x: np.ndarray, unit: float) -> None:
    found = shares(x, np.zeros_like(x))
    whole = np.abs(found).sum(axis=(1, 2))
    squares = np.square(x).sum(axis=(1, 2))
    assert np.abs(whole[squares > 1e-200] - 1).max(initial=0) < 1e-12
    assert shares(unit * x, np.zeros_like(x))[squares > 1e-200] == pytest.approx(found[squares > 1e-200], abs=1e-9)
    assert np.array_equal(shares(np.zeros_like(x), x), -found)


def test_a_perfect_row_has_no_share_and_a_diverged_one_none_that_is_a_number() -> None:
    assert shares(np.ones((1, 3)), np.ones((1, 3))).tolist() == [[0, 0, 0]]
    assert np.isnan(shares(np.ones((1, 2)), np.array([[math.inf, 0.0]]))).all()
    assert np.isnan(shares(np.ones((1, 2)), np.array([[math.nan, 0.0]]))).all()


def test_the_largest_come_first_whatever_their_sign() -> None:
    assert leading(np.array([[0.1, -0.6, 0.3], [0.0, 0.0, 1.0]]), 2).tolist() == [[1, 2], [2, 0]]
    assert leading(np.array([[[0.1], [-0.9]]])).tolist() == [[1, 0]]


def named_columns(fitted: Fitted, planted: np.ndarray, column: np.ndarray) -> float:
    """Share of rows whose planted column has the largest share."""
    return float(np.mean(leading(explain(fitted, planted), 1)[:, 0] == column))


def test_a_planted_column_is_named_eight_times_as_often_as_by_chance(pca: Fitted) -> None:
    stream, x = np.random.default_rng(2), rows(400, seed=0)
    column, everyone = stream.integers(0, WIDTH, len(x)), np.arange(len(x))
    shifted, broken = x.copy(), x.copy()
    shifted[everyone, column] += 3 * x.std(axis=0)[column]  # an odd value
    broken[everyone, column] = 2 * x.mean(axis=0)[column] - x[everyone, column]  # a usual value, of the wrong sign
    assert named_columns(pca, shifted, column) > 0.9  # chance: 0.125
    assert named_columns(pca, broken, column) > 0.6
    assert named_columns(pca, x, column) < 0.25


@pytest.mark.slow
def test_shares_of_the_score_of_studies_are_its_slopes() -> None:
    """Against differences: every coordinate's gap, to neighbours and to the mean, is stretched by a little."""
    stream = np.random.default_rng(0)
    crowd = Crowd.fit(stream.normal(size=(60, 4)), stream.normal(size=(40, 4)))
    asked = 2 * stream.normal(size=(5, 4))
    found, side = crowd.pulls(asked)

    def score(row: np.ndarray, stretch: np.ndarray) -> float:
        near = np.argsort(np.square(row - crowd.known).sum(axis=1))[:AROUND]
        apart = np.sqrt((np.square(row - crowd.known[near]) * stretch**2).sum(axis=1))
        sparse = np.maximum(apart, crowd.reach[near]).mean() + crowd.calm
        out = (row - crowd.known.mean(axis=0)) * stretch
        far = np.linalg.norm(out @ whitening(crowd.known, CALM)) + CALM
        return WEIGHTS @ (np.log([apart[NEAREST - 1] + crowd.calm, sparse, far]) / crowd.usual[:, 1])

    for row, slopes, sides in zip(asked, found, side, strict=True):
        near = np.argsort(np.square(row - crowd.known).sum(axis=1))[:AROUND]
        assert sides == pytest.approx(row - crowd.known[near].mean(axis=0))
        step = 1e-6 * np.eye(4)
        measured = [(score(row, 1 + one) - score(row, 1 - one)) / 2e-6 for one in step]
        assert slopes == pytest.approx(np.maximum(measured, 0), rel=1e-4, abs=0.05)  # a covariance may pull back


def test_a_model_that_ships_is_explained_by_its_own_score(pca: Fitted) -> None:
    x = rows(400, seed=0)
    ships = Deployed.of(pca, rows(), rows(200, seed=3))
    stream = np.random.default_rng(2)
    column, everyone = stream.integers(0, WIDTH, len(x)), np.arange(len(x))
    shifted = x.copy()
    shifted[everyone, column] += 3 * x.std(axis=0)[column]
    share = explain(ships, shifted)
    assert np.abs(share).sum(axis=1) == pytest.approx(1)
    assert named_columns(ships, shifted, column) > 0.8
    assert (share[everyone, column] > 0).mean() > 0.9
    assert not np.allclose(share, explain(pca, shifted))


def test_a_trained_network_names_it_too() -> None:
    x = rows(600)
    trained = fit(named("plain").set_params(latents=2), x, plan=Plan(steps=400, batch=64, learning_rate=0.01))
    stream = np.random.default_rng(3)
    column = stream.integers(0, WIDTH, len(x))
    planted = x.copy()
    planted[np.arange(len(x)), column] += 3 * x.std(axis=0)[column]
    assert named_columns(trained, planted, column) > 0.6  # five times chance


def test_what_has_no_share_is_refused_with_a_remedy() -> None:
    x = rows(60)
    own = fit(named("svdd").set_params(latents=2), x, plan=Plan(steps=10, batch=16))
    target = fit(named("plain").set_params(latents=2), x, x[:, ::-1], plan=Plan(steps=10, batch=16))
    for model in (own, target):
        assert not explains(model)
        with pytest.raises(BadInput, match=r"cannot be explained by columns: .*; take a family that does") as caught:
            explain(model, x)
        assert "\n" not in str(caught.value)
    with pytest.raises(BadInput, match="rows must have shape"):
        explain(fit(named("pca").set_params(latents=2), x), x[:, :3])
