"""Data sets that share rows are found, whatever order, columns or scale; others are not."""

import numpy as np
import pytest

from isthmus.data.read import read
from isthmus.data.twins import Twins, families, overlap, twins

RNG = np.random.default_rng(5)
ROWS = RNG.normal(size=(300, 8)) * RNG.uniform(0.1, 50, 8) + RNG.gamma(1, 1, (300, 8))


def test_the_same_rows_in_another_order():
    assert overlap(ROWS, RNG.permutation(ROWS)) == 1.0


def test_a_part_of_the_rows():
    assert overlap(ROWS, ROWS[:120]) == overlap(ROWS[:120], ROWS) == 1.0
    assert overlap(ROWS[:200], ROWS[100:]) == pytest.approx(0.5, abs=0.02)
    assert overlap(ROWS[:150], ROWS[150:]) == 0.0


def test_columns_rearranged_and_rescaled():
    order = RNG.permutation(8)
    assert overlap(ROWS, ROWS[:, order]) == 1.0
    assert overlap(ROWS, 3 * RNG.permutation(ROWS)[:, order] - RNG.uniform(0, 9, 8)) > 0.98
    assert overlap(ROWS, (ROWS[:, order] * 1e3).astype(np.float32)) > 0.98


def test_others_are_not_twins():
    assert overlap(ROWS, RNG.permuted(ROWS, axis=0)) < 0.05
    assert overlap(ROWS, RNG.normal(size=(200, 8))) == 0.0
    bits = [RNG.random((400, 5)) < 0.3 for _ in range(2)]  # all 32 patterns stand in both
    assert overlap(*bits) < 0.1
    assert overlap(bits[0], RNG.permutation(bits[0])) == 1.0


def test_twins_are_listed_by_their_places_and_counted_as_one():
    small = ROWS[:100].astype(np.float32)
    found = twins(
        [small, RNG.normal(size=(90, 8)), small[::-1].copy(), np.ones((100, 4)), small[:60].reshape(60, 2, 4)]
    )
    assert found == [Twins(0, 2, 1.0), Twins(0, 4, 1.0), Twins(2, 4, 1.0)]
    assert families(5, found) == [[0, 2, 4], [1], [3]]
    assert families(3, [Twins(1, 2, 1.0), Twins(0, 1, 1.0)]) == [[0, 1, 2]]


def test_known_twins_among_real_sets_and_no_others(shared):
    folder = shared("data/adbench")
    names = ["30_satellite", "31_satimage-2", "4_breastw", "42_WBC", "2_annthyroid", "38_thyroid", "23_mammography"]
    found = twins([read(folder / f"{name}.npz").x for name in names])
    assert [(one.a, one.b) for one in found] == [(0, 1), (2, 3)]
    assert min(one.share for one in found) > 0.8
