import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_squared_error, r2_score

from isthmus.metrics.fidelity import Fidelity, explained_variance, mse, row_errors

X = np.random.default_rng(0).normal(size=(50, 3, 4))


def test_perfect_explains_all_and_the_mean_nothing():
    mean = X.mean(axis=0)
    assert explained_variance(X, X, mean) == 1
    assert explained_variance(X, np.broadcast_to(mean, X.shape), mean) == 0
    assert mse(X, X) == 0


def test_the_mean_is_that_of_training_not_of_the_scored_rows():
    # Training mean 0, scored rows at 1 and 3: the training mean errs by 1 + 9, and predicting 2 by 1 + 1.
    x = np.array([[1.0], [3.0]])
    assert explained_variance(x, np.full((2, 1), 2.0), np.zeros(1)) == pytest.approx(0.8, abs=1e-15)
    assert explained_variance(x, np.full((2, 1), 2.0), x.mean(axis=0)) == 0


def test_a_shrunk_reconstruction_loses_the_square_of_what_it_shrank():
    mean = X.mean(axis=0)
    assert explained_variance(X, mean + 0.7 * (X - mean), mean) == pytest.approx(1 - 0.3**2, abs=1e-12)


def test_permuted_rows_explain_about_minus_one():
    # Independent copies: E (x - x')^2 = 2 Var x.
    x = np.random.default_rng(1).normal(size=(20_000, 2))
    assert explained_variance(x, np.roll(x, 1, axis=0), np.zeros(2)) == pytest.approx(-1, abs=0.03)


def test_numbers_move_as_the_units_do():
    x_hat, mean = X + 0.1, X.mean(axis=0)
    assert mse(10 * X, 10 * x_hat) == pytest.approx(100 * mse(X, x_hat))
    assert explained_variance(10 * X + 5, 10 * x_hat + 5, 10 * mean + 5) == pytest.approx(
        explained_variance(X, x_hat, mean)
    )


def test_as_scikit_learn_has_it():
    x_hat = X + np.random.default_rng(2).normal(size=X.shape)
    flat, flat_hat = X.reshape(50, -1), x_hat.reshape(50, -1)
    assert mse(X, x_hat) == pytest.approx(mean_squared_error(flat, flat_hat), abs=1e-12)
    ours = explained_variance(X, x_hat, X.mean(axis=0))
    assert ours == pytest.approx(r2_score(flat, flat_hat, multioutput="variance_weighted"), abs=1e-12)


def test_each_row_has_its_own_error():
    assert row_errors(np.zeros((2, 2, 1)), np.array([[[1.0], [1.0]], [[0.0], [3.0]]])).tolist() == [1.0, 4.5]


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 49), max_size=6), st.floats(-1e3, 1e3))
@settings(max_examples=50)
def test_streamed_is_exact(seed, cuts, offset):
    x = (X + offset).astype(np.float32)
    x_hat = x + np.random.default_rng(seed).normal(size=x.shape).astype(np.float32)
    mean = x.mean(axis=0, dtype=np.float64)
    pieces = zip(np.split(x, sorted(cuts)), np.split(x_hat, sorted(cuts)), strict=True)
    sums = sum((Fidelity.of(a, b, mean) for a, b in pieces), Fidelity(0.0, 0.0, 0.0, 0))
    assert sums.mse == pytest.approx(mse(x, x_hat), rel=1e-12)
    assert sums.explained_variance == pytest.approx(explained_variance(x, x_hat, mean), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("constant", [0.0, 0.1, 12345.678])
def test_constant_data_have_no_variance_to_explain(constant):
    x = np.full((7, 3), constant, dtype=np.float32)
    assert math.isnan(explained_variance(x, x + 1, x.mean(axis=0, dtype=np.float64)))
    assert mse(x, x) == 0


@pytest.mark.parametrize("broken", [math.nan, math.inf, 3e38])
def test_a_diverged_reconstruction_is_never_good(broken):
    x_hat = np.full((4, 2), broken, dtype=np.float32)
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    assert not mse(x, x_hat) < 1e30
    assert not explained_variance(x, x_hat, x.mean(axis=0)) > -1e30


def test_no_rows_give_no_number():
    empty = np.zeros((0, 3))
    assert math.isnan(mse(empty, empty))
    assert math.isnan(explained_variance(empty, empty, np.zeros(3)))


def test_spread_that_is_rounding_is_no_variance():
    x = np.full((7, 3), 12345.678, dtype=np.float32)
    mean = x.mean(axis=0, dtype=np.float64) + 1e-3  # one step of float32 at this size
    assert math.isnan(explained_variance(x, x, mean))
    assert explained_variance(x / 1e3, x / 1e3, mean) == 1
