"""Batches give the number that all rows at once give, however they are cut."""

from functools import reduce
from operator import add
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.metrics import METRICS, symbols
from isthmus.metrics.fidelity import Fidelity
from isthmus.metrics.frechet import between
from isthmus.metrics.jacobian import jacobian_norm
from isthmus.metrics.moments import Moments
from isthmus.metrics.robustness import movement_of
from isthmus.metrics.similarity import Likeness
from isthmus.metrics.sparsity import Activity

ROWS = 60
MEAN = np.array([0.2, -1.0, 3.0, 0.0])


def both(part):
    return lambda *arrays: tuple(map(part, arrays))


class Streamed(NamedTuple):
    """``sums(*batch)`` is a tuple of things that add up, and ``number(*total)`` what follows from them."""

    sums: object
    number: object


def fidelity(name):
    return Streamed(lambda x, y: (Fidelity.of(x, y, MEAN),), lambda total: getattr(total, name))


def activity(name):
    return Streamed(lambda x, _: (Activity.of(x),), lambda total: getattr(total, name))


def likeness(name):
    return Streamed(lambda x, y: (Likeness.of(x, y),), lambda total: getattr(total, name))


SUMS = {
    "mse": fidelity("mse"),
    "explained_variance": fidelity("explained_variance"),
    **{name: activity(name) for name in ("l0", "hoyer", "dead", "always_on")},
    **{name: likeness(name) for name in ("cka", "subspace_overlap", "matched_units")},
    "frechet": Streamed(both(Moments.of), between),
    "code_movement": Streamed(lambda x, y: (Moments.of(x), Moments.of(np.subtract(y, x))), movement_of),
}
"""By name in METRICS."""
WHOLE = {
    **{name: lambda f, x, _: f(x) for name in ("l0", "hoyer", "dead", "always_on")},
    "explained_variance": lambda f, x, y: f(x, y, MEAN),
}
CUTS = st.lists(st.integers(1, ROWS - 1), max_size=6, unique=True).map(sorted)
SETS = st.sampled_from(["plain", "far", "sparse", "copies", "still", "images"])


def rows(kind, seed):
    """Two sets of the same shape, float32."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(ROWS, 4)) * [3, 1, 0.1, 1]
    y = x @ random.normal(size=(4, 4)) + random.normal(size=(ROWS, 4))
    if kind == "far":
        x, y = x + 1000, y - 300
    if kind == "sparse":
        x, y = np.maximum(x, 0), np.where(y > 1, y, 0)
    if kind == "copies":
        x[:, 3], y[1::2] = x[:, 0], y[::2]
    if kind == "still":
        x[:, 1] = 0.1
    return x.astype(np.float32), y.astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", SUMS)
@given(kind=SETS, seed=st.integers(0, 2**32 - 1), cuts=CUTS)
@settings(max_examples=30)
def test_the_sums_of_batches_give_the_number_of_the_whole(name, kind, seed, cuts):
    x, y = rows(kind, seed)
    whole = WHOLE.get(name, lambda f, x, y: f(x, y))(METRICS[name].function, x, y)
    batches = [SUMS[name].sums(*batch) for batch in zip(np.split(x, cuts), np.split(y, cuts), strict=True)]
    total = [reduce(add, parts) for parts in zip(*batches, strict=True)]
    assert SUMS[name].number(*total) == pytest.approx(whole, rel=1e-6, abs=1e-6, nan_ok=False)


@pytest.mark.parametrize("name", sorted(SUMS))
@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_one_broken_batch_leaves_no_good_number(name, broken):
    x, y = rows("plain", 0)
    bad = np.full_like(x[:5], broken)
    total = [a + b for a, b in zip(SUMS[name].sums(x, y), SUMS[name].sums(bad, y[:5]), strict=True)]
    found = SUMS[name].number(*total)
    assert np.isnan(found) or (found == np.inf and not METRICS[name].higher)


@given(kind=SETS, seed=st.integers(0, 2**32 - 1), cuts=CUTS)
@settings(max_examples=30)
def test_moments_are_numpys(kind, seed, cuts):
    x = rows(kind, seed)[0].astype(np.float64)
    total = reduce(add, map(Moments.of, np.split(x, cuts)))
    assert total.rows == ROWS
    assert total.mean == pytest.approx(x.mean(axis=0), rel=1e-12, abs=1e-12)
    assert total.covariance == pytest.approx(np.cov(x.T), rel=1e-9, abs=1e-9)
    assert total.size == pytest.approx(np.square(x).sum(), rel=1e-12)
    assert (total.low == x.min(axis=0)).all()
    assert (total.high == x.max(axis=0)).all()


def test_spread_that_a_sum_of_squares_would_lose():
    """A hundred million times as far from 0 as apart: the difference of sums of squares has no digit left."""
    x = 1e8 + np.random.default_rng(0).normal(size=(400, 3))
    total = reduce(add, map(Moments.of, np.split(x, 20)))
    assert total.covariance == pytest.approx(np.cov(x.T), rel=1e-6, abs=1e-6)


@given(st.integers(0, 2**32 - 1), CUTS)
@settings(max_examples=30)
def test_counts_of_symbols_add_up(seed, cuts):
    tokens = np.random.default_rng(seed).integers(0, 7, (ROWS, 3)) ** 2 % 11
    total = reduce(add, map(symbols.Counts.of, np.split(tokens, cuts)))
    assert total.usage(11) == symbols.usage(tokens, 11)
    assert total.perplexity == pytest.approx(symbols.perplexity(tokens), rel=1e-12)


@pytest.mark.parametrize("name", ["probe_accuracy", "knn_accuracy", "jacobian_norm"])
@given(seed=st.integers(0, 2**32 - 1), cuts=CUTS)
@settings(max_examples=5)
def test_what_is_a_mean_over_rows_is_the_mean_of_batches_by_their_rows(name, seed, cuts):
    """Of test rows: what is fitted on training rows needs them at once."""
    x, y = rows("plain", seed)
    label = (x[:, 0] + y[:, 0] > 0).astype(int)

    def value(part):
        if name == "jacobian_norm":
            return jacobian_norm(lambda r: (r**2).cumsum(1), torch.from_numpy(part.astype(np.float64)))
        truth = label[[np.flatnonzero((x == row).all(axis=1))[0] for row in part]]
        return METRICS[name].function(y, label, part, truth)

    batches = np.split(x, cuts)
    found = np.average([value(batch) for batch in batches], weights=list(map(len, batches)))
    assert found == pytest.approx(value(x), rel=1e-6)
