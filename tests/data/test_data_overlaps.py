"""Data sets that share rows are found, whatever order, columns or scale; others are not."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

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


def one_pair(small, large):
    """The definition, where chance finds nothing: every row in every view, each distance by itself."""
    found = []
    plain, held, stretched = ((x - by.mean(0)) / by.std(0) for x, by in ((small, large), (large,) * 2, (small,) * 2))
    for rows, matched in ((plain, False), (plain, True), (stretched, True)):
        levels = [np.quantile(x, np.linspace(0, 1, 17), axis=0).T for x in (held, rows)]
        order = linear_sum_assignment(cdist(*levels, "cityblock"))[1] if matched else slice(None)
        found.append((cdist(rows[:, order], held).min(axis=1) < 1e-3).mean())
    return max(found)


@pytest.mark.slow
def test_many_sets_have_the_overlaps_that_pairs_have_one_by_one():
    rng = np.random.default_rng(7)
    mixed = rng.normal(size=(6, 6))
    sets = [rng.gamma(2, 1, (rng.integers(70, 200), 6)) @ mixed for _ in range(14)]
    for part in (0.1, 0.3, 0.6, 1.0):  # of the rows of the last one, in another's order and numbers
        rows, other = sets[-1][: int(part * len(sets[-1]))], rng.gamma(2, 1, (60, 6)) @ mixed
        sets.append(rng.permutation(np.concatenate([rows, other[: 0 if part == 1 else None]])))
    sets += [sets[3][:, ::-1].round(5), 7 * sets[4][:, rng.permutation(6)] - 3, sets[5][::-1].copy()]
    wanted = {}
    for j in range(len(sets)):
        for i in range(j):
            small, large = sorted((sets[i], sets[j]), key=len)
            if (there := one_pair(small, large)) >= 0.2:
                wanted[i, j] = there
    assert len(wanted) >= 6
    found = {(one.a, one.b): one.share for one in overlaps(sets)}
    assert found.keys() == wanted.keys()
    assert all(found[pair] == pytest.approx(wanted[pair], abs=1e-9) for pair in wanted)


def test_known_overlaps_among_real_sets_and_no_others(shared):
    folder = shared("data/adbench")
    names = ["30_satellite", "31_satimage-2", "4_breastw", "42_WBC", "2_annthyroid", "38_thyroid", "23_mammography"]
    found = overlaps([read(folder / f"{name}.npz").x for name in names])
    assert [(one.a, one.b) for one in found] == [(0, 1), (2, 3)]
    assert min(one.share for one in found) > 0.8
