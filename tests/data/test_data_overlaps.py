"""Data sets that share rows are found, whatever order, columns or scale; others are not."""

import numpy as np
import pytest

from isthmus.data.overlaps import Overlap, groups, overlaps
from isthmus.data.overlaps import shared as share
from isthmus.data.read import read

RNG = np.random.default_rng(5)
ROWS = RNG.normal(size=(300, 8)) * RNG.uniform(0.1, 50, 8) + RNG.gamma(1, 1, (300, 8))


def test_the_same_rows_in_another_order():
    assert share(ROWS, RNG.permutation(ROWS)) == 1.0


def test_a_part_of_the_rows():
    assert share(ROWS, ROWS[:120]) == share(ROWS[:120], ROWS) == 1.0
    assert share(ROWS[:200], ROWS[100:]) == pytest.approx(0.5, abs=0.02)
    assert share(ROWS[:150], ROWS[150:]) == 0.0


def test_columns_rearranged_and_rescaled():
    order = RNG.permutation(8)
    assert share(ROWS, ROWS[:, order]) == 1.0
    assert share(ROWS, 3 * RNG.permutation(ROWS)[:, order] - RNG.uniform(0, 9, 8)) > 0.98
    assert share(ROWS, (ROWS[:, order] * 1e3).astype(np.float32)) > 0.98


def test_others_do_not_overlap():
    assert share(ROWS, RNG.permuted(ROWS, axis=0)) < 0.05
    assert share(ROWS, RNG.normal(size=(200, 8))) == 0.0
    bits = [RNG.random((400, 5)) < 0.3 for _ in range(2)]  # all 32 patterns stand in both
    assert share(*bits) < 0.1
    assert share(bits[0], RNG.permutation(bits[0])) == 1.0


def test_overlaps_are_listed_by_their_places_and_counted_as_one():
    small = ROWS[:100].astype(np.float32)
    found = overlaps(
        [small, RNG.normal(size=(90, 8)), small[::-1].copy(), np.ones((100, 4)), small[:60].reshape(60, 2, 4)]
    )
    assert found == [Overlap(0, 2, 1.0), Overlap(0, 4, 1.0), Overlap(2, 4, 1.0)]
    assert groups(5, found) == [[0, 2, 4], [1], [3]]
    assert groups(3, [Overlap(1, 2, 1.0), Overlap(0, 1, 1.0)]) == [[0, 1, 2]]


def test_known_overlaps_among_real_sets_and_no_others(shared):
    folder = shared("data/adbench")
    names = ["30_satellite", "31_satimage-2", "4_breastw", "42_WBC", "2_annthyroid", "38_thyroid", "23_mammography"]
    found = overlaps([read(folder / f"{name}.npz").x for name in names])
    assert [(one.a, one.b) for one in found] == [(0, 1), (2, 3)]
    assert min(one.share for one in found) > 0.8
