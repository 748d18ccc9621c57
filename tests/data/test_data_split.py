"""Every row once, sizes as asked, classes in proportion, the same again for the same seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.data.split import Split, duplicates, split
from isthmus.errors import BadInput


@settings(deadline=None)
@given(st.integers(10, 400), st.integers(0, 2**40), st.integers(0, 30))
def test_every_row_once_and_sizes_as_asked(n, seed, classes):
    y = np.random.default_rng(seed).integers(0, classes, n) if classes else None
    parts = split(n, seed, y=y)
    assert np.sort(np.concatenate(parts)).tolist() == list(range(n))
    assert [len(part) for part in parts[1:]] == [round(0.2 * n)] * 2
    assert all((np.diff(part) > 0).all() and part.dtype == np.int64 for part in parts)


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(0, 100))
def test_classes_stand_in_proportion(counts, seed):
    y = np.repeat(np.arange(len(counts)), counts)
    if len(y) < 10 or sum(count >= 3 for count in counts) > round(0.2 * len(y)):
        return
    small = sum(3 <= count < 10 for count in counts)  # each is sure of a row in every part, which others give up
    for part, share in zip(split(len(y), seed, y=y), (0.6, 0.2, 0.2), strict=True):
        found = np.bincount(y[part], minlength=len(counts))
        for got, count in zip(found, counts, strict=True):
            assert abs(got - share * count) <= 2 + small
            assert got >= 1 or count < 3


def test_digits_are_split_within_two_rows_of_exact_proportion():
    from sklearn.datasets import load_digits

    y = load_digits().target
    for part, share in zip(split(len(y), 0, y=y), (0.6, 0.2, 0.2), strict=True):
        assert np.abs(np.bincount(y[part]) - share * np.bincount(y)).max() <= 2


def test_rare_classes_go_where_chance_puts_them():
    y = np.array([0] * 50 + [1, 2, 2])
    homes = {next(i for i, part in enumerate(split(53, seed, y=y)) if 50 in part) for seed in range(40)}
    assert homes == {0, 1, 2}


def test_more_classes_than_room_still_splits():
    y = np.repeat(np.arange(4), 3)
    assert [len(part) for part in split(12, 0, y=y)] == [8, 2, 2]


def test_every_row_can_land_anywhere():
    landed = np.zeros((12, 3))
    for seed in range(600):
        for i, part in enumerate(split(12, seed)):
            landed[part, i] += 1
    expected = 600 * np.array([8, 2, 2]) / 12
    assert np.abs(landed - expected).max() < 5 * np.sqrt(600 * (1 / 6) * (5 / 6))


def test_equal_seeds_equal_parts_and_labels_may_have_any_codes():
    y = np.arange(40) % 3
    one, other = split(40, 5, y=y), split(40, 5, y=10 * y - 7)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert not np.array_equal(one.train, split(40, 6, y=y).train)


def test_fractions_are_used():
    assert [len(part) for part in split(100, 0, fractions=(0.8, 0.15, 0.05))] == [80, 15, 5]


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        ((9, 0), {}, "at least 10 rows; got 9"),
        ((20, 0), {"fractions": (0.5, 0.5)}, "three positive shares"),
        ((20, 0), {"fractions": (0.8, 0.2, 0.0)}, "three positive shares"),
        ((20, 0), {"fractions": (0.8, 0.2, 0.1)}, "three positive shares"),
        ((20, 0), {"fractions": (float("nan"), 0.2, 0.1)}, "three positive shares"),
        ((10, 0), {"fractions": (0.01, 0.49, 0.5)}, "no training row"),
        ((20, 0), {"y": [0, 1]}, "one entry for each of the 20 rows; got 2"),
    ],
)
def test_refusals(arguments, options, said):
    with pytest.raises(BadInput, match=said):
        split(*arguments, **options)


def test_duplicates_are_counted_across_parts_only():
    x = np.arange(24, dtype=np.float32).reshape(12, 1, 2)
    parts = Split(np.arange(6), np.arange(6, 9), np.arange(9, 12))
    assert duplicates(x, parts) == 0
    x[7] = x[8]  # twins within validation
    assert duplicates(x, parts) == 0
    x[9], x[10], x[6] = x[2], x[2], x[5]
    assert duplicates(x, parts) == 3
    x[11], x[0] = 0.0, -0.0
    assert duplicates(x, parts) == 4
