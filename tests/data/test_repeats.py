"""Rows and columns that stand in the data twice: counted as published, and no chance alike is called a copy."""

import numpy as np
import pytest

from isthmus.data.bundled import DATASETS
from isthmus.data.read import read
from isthmus.data.repeats import copies, twins

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_copies_are_counted_as_numpy_counts_them(kind):
    x = RNG.integers(0, 3, size=(500, 5)).astype(kind)
    assert copies(x) == 500 - len(np.unique(x, axis=0)) > 200
    assert copies(RNG.normal(size=(2000, 2)).astype(kind)) == 0
    pictures = np.repeat(RNG.integers(0, 9, size=(50, 4, 4)), 3, axis=0).astype(kind)
    assert copies(pictures) == 100


def test_zero_has_one_sign_and_a_gap_is_a_gap():
    x = np.array([[0.0, 1.0], [-0.0, 1.0], [np.nan, 1.0], [-np.nan, 1.0], [1.0, np.nan]])
    assert copies(x) == 2


def test_rows_that_differ_in_one_low_bit_are_no_copies():
    base = RNG.normal(size=8).astype(np.float32)
    rows = np.tile(base, (400, 1))
    rows[np.arange(400), np.arange(400) % 8] = np.nextafter(base, np.float32(np.inf))[np.arange(400) % 8]
    assert copies(rows) == 400 - 8
    assert copies(np.ldexp(1.0, np.arange(-500, 500))[:, None]) == 0


def test_columns_that_follow_from_another_one():
    a, few = RNG.normal(size=300), RNG.integers(0, 5, 300)
    names = np.array([3.0, 9.0, 1.0, 7.0, 2.0])[few]
    x = np.column_stack([a, few, a, -2.5 * a + 7, names, RNG.normal(size=300), few // 2])
    found = [(one.first, one.second, one.how) for one in twins(x.astype(np.float32), list("abcdefg"))]
    assert found == [("a", "c", "equal"), ("a", "d", "linear"), ("b", "e", "renamed")]


def test_columns_of_gaps_are_compared_with_their_gaps():
    a = np.where(RNG.random(200) < 0.2, np.nan, RNG.normal(size=200))
    other = np.where(RNG.random(200) < 0.2, np.nan, a)
    assert [(t.second, t.how) for t in twins(np.column_stack([a, a, other]), list("abc"))] == [("b", "equal")]


def test_columns_that_hardly_vary_are_nobodys_copy():
    x = np.zeros((500, 3))
    x[7, :2] = 1.0
    x[:, 2] = RNG.normal(size=500)
    assert twins(x, list("abc")) == []


@pytest.mark.parametrize("name", DATASETS)
def test_no_bundled_set_has_twins(name):
    data = read(name)
    assert data.x.ndim > 2 or twins(data.x, data.columns) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [("4_breastw", 234), ("14_glass", 1), ("23_mammography", 3335), ("38_thyroid", 116), ("6_cardio", 9)],
)
def test_copies_are_as_many_as_are_published(shared, name, said):
    with np.load(shared(f"adbench/{name}.npz"), allow_pickle=True) as file:
        assert copies(file["X"]) == said
