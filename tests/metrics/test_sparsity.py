import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from isthmus.metrics.sparsity import Activity, always_on, dead, hoyer, l0, row_hoyer

CODES = arrays(
    np.float32, st.tuples(st.integers(1, 12), st.integers(2, 6)), elements=st.floats(-(2.0**100), 2.0**100, width=32)
)


def test_one_hot_is_sparse_and_constant_is_flat():
    assert row_hoyer(np.eye(5)).tolist() == [1.0] * 5
    assert row_hoyer(np.full((2, 9), -3.0)) == pytest.approx(0, abs=1e-15)
    assert row_hoyer(np.array([[1.0, -1.0, 1.0, -1.0]])).tolist() == [0.0]


@pytest.mark.parametrize("k", [1, 2, 4, 9, 16])
def test_k_equal_elements_of_sixteen(k):
    # |z|_1 / |z|_2 = sqrt(k), so (4 - sqrt(k)) / 3.
    z = np.zeros((1, 16))
    z[0, :k] = 0.3
    assert hoyer(z) == pytest.approx((4 - math.sqrt(k)) / 3, abs=1e-12)


def test_a_code_that_says_nothing_is_not_sparse():
    assert hoyer(np.zeros((3, 4))) == 0


def test_one_element_has_no_hoyer_but_counts():
    z = np.array([[0.0], [2.0]])
    assert math.isnan(hoyer(z))
    assert (l0(z), dead(z), always_on(z)) == (0.5, 0.0, 0.0)


def test_counts_by_hand():
    z = np.array([[0.0, 1.0, 2.0, 1e-20], [0.0, 0.0, -3.0, 1.0]])
    assert (l0(z), dead(z), always_on(z)) == (2.5, 0.25, 0.5)


def test_the_floor_decides_what_is_silent():
    z = np.array([[0.0, 1.0, 2.0, 1e-20], [0.0, 0.0, -3.0, 1.0]])
    assert (l0(z, 0.5), dead(z, 0.5), always_on(z, 0.5)) == (2.0, 0.25, 0.25)
    assert dead(z, 1.0) == 0.75


@given(CODES, st.integers(-20, 20))
@settings(max_examples=60)
def test_hoyer_ignores_scale_sign_and_order(z, power):
    found = row_hoyer(z)
    assert ((found >= 0) & (found <= 1)).all()
    assert row_hoyer(-z.astype(np.float64)[:, ::-1] * 2.0**power) == pytest.approx(found, abs=1e-12)


@pytest.mark.slow
@given(CODES, st.lists(st.integers(0, 12), max_size=4))
@settings(max_examples=60)
def test_streamed_is_exact(z, cuts):
    pieces = np.split(z, sorted(cuts))
    sums = sum((Activity.of(p) for p in pieces[1:]), Activity.of(pieces[0]))
    assert sums.l0 == pytest.approx(np.mean(np.sum(z != 0, axis=1)), abs=1e-12)
    assert sums.dead == np.mean(np.all(z == 0, axis=0))
    assert sums.always_on == np.mean(np.all(z != 0, axis=0))
    assert sums.hoyer == pytest.approx(row_hoyer(z).mean(), abs=1e-12)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_nan_does_not_pass_for_silence(broken):
    z = np.zeros((3, 4))
    z[1, 2] = broken
    assert all(math.isnan(number) for number in (l0(z), hoyer(z), dead(z), always_on(z)))


def test_no_rows_give_no_number():
    z = np.zeros((0, 4))
    assert all(math.isnan(number) for number in (l0(z), hoyer(z), dead(z), always_on(z)))
