"""Rows through a model into bytes and back: the bound holds, bytes are as promised, discrete codes go as they are."""

import dataclasses
import functools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus import codec
from isthmus.abilities import Discrete
from isthmus.codec import DOUBLE, HALF, SINGLE, Units, code, decode, gains
from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.testing import made, rows

RNG = np.random.default_rng(0)


@dataclasses.dataclass
class Linear:
    """``decode`` is ``z @ axes``; ``encode`` its transpose."""

    axes: np.ndarray
    model: object = None

    def encode_scaled(self, x):
        return (x @ self.axes.T).astype(np.float32)

    def decode_scaled(self, z):
        return (z @ self.axes).astype(np.float32)


@dataclasses.dataclass
class Trained:
    """A torch model as the codec wants to see it."""

    model: object

    def encode_scaled(self, x):
        with torch.no_grad():
            return self.model.encode(torch.from_numpy(x)).numpy()

    def decode_scaled(self, z):
        with torch.no_grad():
            return self.model.decode(torch.from_numpy(z)).numpy()


PERFECT = Linear(np.eye(5, dtype=np.float32))
HALFWAY = Linear(np.eye(5, dtype=np.float32)[:2])


def normal(n, scale=1.0, width=5):
    return (RNG.normal(size=(n, width)) * scale).astype(np.float32)


@pytest.mark.parametrize("way", [PERFECT, HALFWAY, Linear(np.zeros((1, 5), np.float32))], ids=["perfect", "half", "no"])
def test_what_comes_back_is_what_was_promised_and_within_the_bound(way):
    x = normal(200)
    for bound in (0.5, 0.01, 1e-4):
        coded = code(way, x, step=2 * bound, bound=bound)
        content = coded.to_bytes()
        back = decode(way, content)
        np.testing.assert_array_equal(back, coded.made)
        assert np.abs(back - x).max() <= bound
        assert len(content) > 0


def test_bits_follow_the_distortion_of_a_normal_source_by_six_decibels_each():
    x = normal(20_000, width=2)
    turned = Linear(np.linalg.qr(RNG.normal(size=(2, 2)))[0].astype(np.float32))
    for way, bounded in ((turned, False), (Linear(np.zeros((1, 2), np.float32)), True)):  # all in the code; none
        found = []
        for step in (1 / 8, 1 / 64):
            coded = code(way, x, step=step, bound=step / 2 if bounded else math.inf)
            found.append((np.square(coded.made - x).mean(), 8 * len(coded.to_bytes()) / x.size))
        (d1, r1), (d2, r2) = found
        assert 10 * math.log10(d1 / d2) / (r2 - r1) == pytest.approx(6.02, rel=0.01)
        # A uniform quantiser with an entropy coder is a quarter of a bit above Shannon's 0.5 log2(variance / D).
        assert r2 - 0.5 * math.log2(1 / d2) == pytest.approx(0.5 * math.log2(math.pi * math.e / 6), abs=0.05)


def test_a_model_that_knows_the_mean_saves_what_the_mean_tells():
    x = normal(500) + 100 * np.float32([1, -1, 1, -1, 0])
    sizes = [len(code(way, x, step=0.1, bound=0.05).to_bytes()) for way in (PERFECT, Linear(np.zeros((1, 5), "f4")))]
    assert abs(sizes[0] - sizes[1]) < 0.05 * sizes[0]  # medians travel with the numbers: neither pays for the mean


def test_a_perfect_code_leaves_no_residual_and_a_good_one_takes_fewer_bytes():
    line = normal(2000, width=1) * np.float32([1, 2, -1, 0.5, 3])
    axis = np.float32([[1, 2, -1, 0.5, 3]]) / np.float32(np.sqrt(15.25))
    coded = code(Linear(axis), line, step=0.05, bound=0.05)
    assert not coded.missing.any()
    none = code(Linear(np.zeros((1, 5), np.float32)), line, step=0.05, bound=0.05)
    assert len(coded.to_bytes()) < 0.35 * len(none.to_bytes())


def test_without_a_bound_only_the_code_is_kept():
    x = normal(300)
    coded = code(HALFWAY, x, step=0.1)
    back = decode(HALFWAY, coded.to_bytes())
    assert np.abs(back[:, :2] - x[:, :2]).max() <= 0.051
    assert not back[:, 2:].any()
    assert len(coded.to_bytes()) < len(code(HALFWAY, x, step=0.1, bound=0.05).to_bytes())


def test_step_and_bound_are_heard():
    x = normal(300)
    sizes = [len(code(HALFWAY, x, step=s, bound=b).to_bytes()) for s, b in ((0.1, 0.1), (0.2, 0.1), (0.2, 0.2))]
    assert sizes[0] > sizes[1] > sizes[2]


@settings(max_examples=40)
@given(
    bound=st.floats(1e-6, 10),
    scale=st.floats(1e-3, 1e4),
    shift=st.floats(-1e4, 1e4),
    grid=st.sampled_from([DOUBLE, SINGLE, HALF, 0, 1, 3]),
    seed=st.integers(0, 99),
)
def test_the_bound_holds_in_the_units_and_the_type_of_the_data(bound, scale, shift, grid, seed):
    x = np.random.default_rng(seed).normal(size=(30, 5)) * scale + shift
    units = Units(np.full(5, shift), np.full(5, scale), np.full(5, grid, np.int8))
    data = units.settle(x)
    scaled = ((data - shift) / scale).astype(np.float32)
    coded = code(HALFWAY, scaled, step=2 * bound, bound=bound, rows=data, units=units)
    back = decode(HALFWAY, coded.to_bytes(), units=units)
    assert (np.abs(back - data) <= bound * scale).all()
    np.testing.assert_array_equal(units.settle(back), back)


def test_whole_numbers_are_exact_below_a_bound_of_one_and_off_by_whole_ones_above():
    data = RNG.integers(-50, 50, (300, 5)).astype(np.float64)
    units = Units(np.zeros(5), np.full(5, 25.0), np.zeros(5, np.int8))
    scaled = (data / 25).astype(np.float32)
    worst = []
    for bound in (0.9 / 25, 1 / 25, 2.5 / 25):
        content = code(HALFWAY, scaled, step=0.1, bound=bound, rows=data, units=units).to_bytes()
        worst.append(np.abs(decode(HALFWAY, content, units=units) - data).max())
    assert worst == [0, 1, 2]


def test_gains_are_norms_of_the_decoder_and_turn_steps_into_equal_errors():
    axes = np.diag([1.0, 10.0, 0.1, 4.0, 0.0]).astype(np.float32)
    np.testing.assert_allclose(gains(Linear(axes), normal(100)), [1, 10, 0.1, 4, 0], rtol=1e-4)
    skew = Linear(np.diag([1.0, 16.0, 1 / 16, 4.0, 1.0]).astype(np.float32))
    x = normal(4000)
    skew.encode_scaled = lambda x: x @ np.linalg.inv(skew.axes)
    errors = code(skew, x, step=0.1).made - x
    np.testing.assert_allclose(errors.std(axis=0), 0.1 / math.sqrt(12), rtol=0.1)


DISCRETE = {
    "vq": {"codes": 8},
    "rvq": {"codes": 8},
    "fsq": {"levels": (4, 3, 5)},
    "lfq": {},
    "gumbel": {"codes": 8},
}


@pytest.mark.slow
@pytest.mark.parametrize("family", DISCRETE)
def test_symbols_stand_for_the_code_and_are_what_is_written(family):
    x = rows((6,), 400)
    model = made(named(family).set_params(latents=12, **DISCRETE[family]), x, "gaussian").eval()
    assert isinstance(model, Discrete)
    tokens = model.tokens(x)
    torch.testing.assert_close(model.embed(tokens), model.encode(x))
    way = Trained(model)
    coded = code(way, x.numpy(), step=1e-9)
    np.testing.assert_array_equal(coded.symbols, tokens.numpy())
    assert coded.about is None
    assert len(coded.to_bytes()) < tokens.numel() * math.log2(model.entries) / 8 + 200
    np.testing.assert_allclose(
        decode(way, coded.to_bytes()), way.decode_scaled(way.encode_scaled(x.numpy())), atol=1e-5
    )


@functools.cache
def sample():
    return code(HALFWAY, normal(60), step=0.1, bound=0.05).to_bytes()


@settings(max_examples=150)
@given(place=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_one_wrong_byte_is_always_noticed(place, flip):
    content = bytearray(sample())
    content[place % len(content)] ^= flip
    with pytest.raises(BadInput, match="damaged"):
        decode(HALFWAY, bytes(content))


def test_a_cut_is_noticed():
    for size in (0, 10, 47, len(sample()) - 1):
        with pytest.raises(BadInput, match="damaged"):
            decode(HALFWAY, sample()[:size])


def test_numbers_that_are_none_are_refused():
    for bad in (np.nan, np.inf):
        with pytest.raises(BadInput, match="not finite"):
            code(Linear(np.full((2, 5), bad, np.float32)), np.ones((10, 5), np.float32), step=0.1)


def test_rows_that_do_not_vary_cost_next_to_nothing():
    few, many = (code(HALFWAY, np.full((n, 5), 0.3, np.float32), step=0.1, bound=0.05) for n in (20, 20_000))
    assert len(few.to_bytes()) == len(many.to_bytes()) < 200
    np.testing.assert_array_equal(decode(HALFWAY, few.to_bytes()), few.made)


def test_far_values_are_kept_as_they_are():
    x = normal(50)
    x[3, 4] = 1e12
    coded = code(HALFWAY, x, step=1e-3, bound=5e-4)
    assert len(coded.wrong) == 1
    assert np.abs(decode(HALFWAY, coded.to_bytes()) - x).max() <= 5e-4
    assert codec.HEAD.size < len(coded.to_bytes())
