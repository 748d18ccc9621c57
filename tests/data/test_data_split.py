"""Every row once, sizes as asked, classes in proportion, the same again for the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.data.split import duplicates, split
from isthmus.errors import BadInput


@given(st.integers(10, 400), st.integers(0, 2**40), st.integers(0, 30))
def test_every_row_once_and_sizes_as_asked(n, seed, classes):
    y = np.random.default_rng(seed).integers(0, classes, n) if classes else None
    parts = split(n, seed, y=y)
    assert np.sort(np.concatenate(parts)).tolist() == list(range(n))
    assert [len(part) for part in parts[1:]] == [round(0.2 * n)] * 2
    assert all((np.diff(part) > 0).all() and part.dtype == np.int64 for part in parts)


@pytest.mark.slow
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


def test_copies_are_counted_across_parts_only():
    x = np.arange(24, dtype=np.float32).reshape(12, 1, 2)
    train, held = x[:6], x[6:]
    assert duplicates(train, held) == 0
    held[1] = held[2]  # twins within validation
    assert duplicates(train, held) == 0
    held[3], held[4], held[0] = train[2], train[2], train[5]
    assert duplicates(train, held) == 3
    held[5], train[0] = 0.0, -0.0
    assert duplicates(train, held) == 4
    assert duplicates(train[:1], held) == 1
    assert duplicates(np.repeat(train, 9, axis=0), held) == 4  # copies of copies too


@pytest.mark.parametrize(("noise", "share"), [(1e-7, 1.0), (1e-5, 1.0), (1e-2, 0.0)])
def test_copies_up_to_rounding_count_and_noise_as_wide_as_rows_lie_apart_does_not(noise, share):
    rng = np.random.default_rng(0)
    train, others = rng.normal(size=(600, 12)), rng.normal(size=(60, 12))
    copies = train[rng.choice(600, 60, replace=False)] * (1 + noise * rng.normal(size=(60, 12)))
    held = np.concatenate([others, copies]).astype(np.float32)
    assert duplicates(train.astype(np.float32), held) == pytest.approx(60 * share, abs=2)


def test_a_set_that_holds_every_row_twice_leaks():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(300, 6))
    x = np.concatenate([rows, rows.round(4)]).astype(np.float32)
    parts = split(600, 0)
    expected = sum(((i + 300) % 600) in set(parts.train) for i in (*parts.valid, *parts.test))
    found = sum(duplicates(x[parts.train], x[part]) for part in (parts.valid, parts.test))
    assert found == pytest.approx(expected, abs=0.05 * expected)


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_rows_that_lie_dense_are_no_copies(dimension):
    """However dense: half of the rows crowd in a millionth of the room that the others have."""
    rng = np.random.default_rng(dimension)
    points = rng.normal(size=(4000, dimension)) * np.where(np.arange(4000) % 2, 1.0, 1e-6)[:, None]
    x = (points @ rng.normal(size=(dimension, 5))).astype(np.float32)
    assert duplicates(x[:3000], x[3000:]) <= (10 if dimension == 1 else 0)  # 4 of them are expected
