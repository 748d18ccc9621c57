"""Coded numbers come back, at the length that their entropy promises."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from isthmus.errors import BadInput
from isthmus.parts.entropy import FARTHEST, buckets, likely_bits, pack, pieces, table, unpack

RNG = np.random.default_rng(0)


def whole(values):
    return np.rint(values).astype(np.int64)


def entropy(p):
    p = np.asarray(p)[np.asarray(p) > 0]
    return float(-(p * np.log2(p)).sum())


def of_normal(spread):
    """Entropy in bits of a normal variable rounded to whole numbers."""
    edges = np.arange(-12 * math.ceil(spread), 12 * math.ceil(spread) + 2) - 0.5
    return entropy(np.diff(stats.norm.cdf(edges / spread)))


SOURCES = {
    "fair coin": (RNG.integers(0, 2, (20_000, 2)), 1.0, False),
    "rare event": (RNG.permutation(np.repeat([[0], [1]], [36_000, 4000], axis=0)), entropy([0.1, 0.9]), False),
    "100 symbols": (RNG.integers(0, 100, (20_000, 2)), math.log2(100), False),
    "skewed symbols": (RNG.choice(4, (20_000, 2), p=[0.7, 0.2, 0.05, 0.05]), entropy([0.7, 0.2, 0.05, 0.05]), False),
    "narrow normal": (whole(RNG.normal(size=(20_000, 2)) * 0.6), of_normal(0.6), True),
    "normal": (whole(RNG.normal(size=(20_000, 2)) * 5), of_normal(5), True),
    "wide normal": (whole(RNG.normal(size=(20_000, 2)) * 3000 + 1e6), of_normal(3000), True),
    "normal seen as symbols": (whole(RNG.normal(size=(20_000, 2)) * 5), of_normal(5), False),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_independent_numbers_take_their_entropy_within_two_percent(source):
    numbers, bits, measured = source
    content = pack(numbers, measured=measured)
    np.testing.assert_array_equal(unpack(content, *numbers.shape), numbers)
    assert 0.99 * bits < 8 * len(content) / numbers.size < 1.02 * bits


def test_heavy_tails_cost_little_more_than_their_entropy():
    numbers = whole(stats.cauchy.rvs(size=(20_000, 1), random_state=0) * 50)
    assert 8 * len(pack(numbers, measured=True)) / numbers.size < 1.02 * (math.log2(50) + math.log2(4 * math.pi))


@pytest.mark.slow
def test_what_does_not_vary_is_free():
    one, many = (len(pack(np.full((n, 50), 7), measured=True)) for n in (10, 100_000))
    assert one == many < 50


def test_measured_helps_numbers_and_symbols_help_names():
    numbers = whole(RNG.normal(size=(300, 4)) * 4000)
    names = RNG.permutation(1000)[whole(RNG.normal(size=(3000, 4)) * 2) + 500]
    assert len(pack(numbers, measured=True)) < 0.95 * len(pack(numbers, measured=False))
    assert len(pack(names, measured=False)) < 0.9 * len(pack(names, measured=True))


@settings(max_examples=60)
@given(
    arrays(
        np.int64,
        st.tuples(st.integers(0, 40), st.integers(0, 4)),
        elements=st.one_of(st.integers(-3, 3), st.integers(-FARTHEST, FARTHEST)),
    )
)
def test_any_measured_numbers_come_back(numbers):
    np.testing.assert_array_equal(unpack(pack(numbers, measured=True), *numbers.shape), numbers)


@settings(max_examples=40)
@given(arrays(np.int64, st.tuples(st.integers(0, 40), st.integers(0, 4)), elements=st.integers(-500, 500)))
def test_any_symbols_come_back(numbers):
    np.testing.assert_array_equal(unpack(pack(numbers, measured=False), *numbers.shape), numbers)


def test_numbers_out_of_reach_are_refused():
    with pytest.raises(BadInput, match="within 2\\^30"):
        pack(np.array([[FARTHEST + 1]]), measured=True)
    with pytest.raises(BadInput, match="too large to be learnt"):
        pack(np.array([[0], [FARTHEST]]), measured=False)


def test_sizes_that_contradict_each_other_are_refused():
    content = pack(RNG.integers(0, 9, (30, 2)), measured=False)
    for damaged in (b"", content[:9], content[:20]):
        with pytest.raises(BadInput, match="cut short"):
            unpack(damaged, 30, 2)


WRITTEN = {
    True: (
        "21000000300000000100000078dafbf9ffffffef40ccc3c0c0c007c4cc40bc81858181114873023100ec9c08c66cd82d"
        "05442ebe11525a4c93e2d2a6f0d638d74f2faf10521e4a65902cae8d8ceb99538f3d159ce25c2aaffb00fc51cc"
    ),
    False: (
        "0f0000001c0000000000000078da6360800071284607000414002fe66ddc027cfc05c937494be5c237b3ea97a8e88f6965597122318ab3"
    ),
}
"""What numbers were written as when containers had format 1."""


@pytest.mark.parametrize("measured", [True, False])
def test_bytes_of_format_1_stay_readable(measured):
    numbers = (np.arange(40) ** 2 * 7919 % 23 - 11).reshape(20, 2)
    numbers = numbers * [1, 300] if measured else numbers + 11
    np.testing.assert_array_equal(unpack(bytes.fromhex(WRITTEN[measured]), 20, 2), numbers)


def test_pieces_cover_every_row_once():
    for rows in (0, 1, 3, 4, 5, 100, 1001):
        cut = [i for start, end in pieces(rows) for i in range(start, end)]
        assert cut == list(range(rows))


def test_a_table_leaves_a_chance_to_everything():
    for measured in (True, False):
        for counts in ([0, 0, 0], [5, 0, 0], [1, 2, 3]):
            assert (table(np.array(counts), measured) > 0).all()
    assert table(np.array([0, 0, 9, 0, 0, 0]), measured=True)[1] > table(np.array([0, 0, 9, 0, 0, 0]), measured=True)[5]


def test_buckets_are_ordered_and_their_places_distinct():
    numbers = np.concatenate([np.arange(-70_000, 70_000), [-FARTHEST, FARTHEST]])
    for fine in (0, 3):
        spot, rest, bits = buckets(numbers, fine)
        assert (np.diff(spot[:-2]) >= 0).all()
        assert ((rest >= 0) & (rest < 1 << bits)).all()
        assert len(set(zip(spot.tolist(), rest.tolist(), strict=True))) == len(numbers)


@pytest.mark.parametrize("spread", [0.3, 2.0, 50.0])
def test_the_promise_is_close_to_what_is_written(spread):
    numbers = whole(RNG.normal(size=(1000, 8)) * spread)
    assert likely_bits(numbers) == pytest.approx(8 * len(pack(numbers, measured=True)), rel=0.08)
