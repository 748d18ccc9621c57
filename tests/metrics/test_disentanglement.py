import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from isthmus.metrics.disentanglement import (
    binned,
    concentrations,
    importances,
    informations,
    mutual_information_gap,
    separated_attributes,
)

RNG = np.random.default_rng(0)
FACTORS = RNG.uniform(size=(1200, 3))
SEEDS = st.integers(0, 2**32 - 1)


def dci(codes, factors=FACTORS, seed=0):
    return importances(codes[:800], factors[:800], codes[800:], factors[800:], seed=seed)


def rotated(angle):
    turn = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    return FACTORS @ turn


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_one_unit_for_one_factor_under_any_name_and_scale(order):
    codes = FACTORS[:, order] * [3.0, -0.1, 50.0] + [1.0, 0.0, -7.0]
    assert mutual_information_gap(codes, FACTORS) > 0.9  # less what 1200 rows tell by chance
    assert separated_attributes(codes, FACTORS) > 0.99
    found = dci(codes)
    assert min(found) > 0.98


def test_whole_grids_have_the_value_of_the_formula():
    grid = np.stack(np.meshgrid(range(4), range(3), range(2), indexing="ij"), axis=-1).reshape(-1, 3).astype(float)
    assert mutual_information_gap(grid, grid) == pytest.approx(1)
    assert separated_attributes(grid, grid) == pytest.approx(1)
    # A unit that holds two of four values of a factor knows one of its two bits; another knows none.
    half = np.stack([grid[:, 0] // 2, grid[:, 1]], axis=1)
    assert mutual_information_gap(half, grid[:, :1]) == pytest.approx(0.5)
    # Two units with one bit each of the same factor: none is ahead.
    bits = np.stack([grid[:, 0] // 2, grid[:, 0] % 2], axis=1)
    assert mutual_information_gap(bits, grid[:, :1]) == pytest.approx(0)
    # Squared correlations of (0, 1, 2, 3) with its two bits: 0.8 and 0.2.
    assert separated_attributes(bits, grid[:, :1]) == pytest.approx(0.6)


@pytest.mark.slow
def test_turned_doubled_and_independent_codes():
    whole = mutual_information_gap(FACTORS, FACTORS)
    turned = rotated(math.pi / 4)
    assert mutual_information_gap(turned, FACTORS) < 0.45 * whole  # the third factor is still one unit's
    assert separated_attributes(turned, FACTORS) == pytest.approx(1 / 3, abs=0.05)
    assert dci(turned).disentanglement < 0.75
    assert dci(turned).informativeness > 0.9
    doubled = np.repeat(FACTORS, 2, axis=1)
    assert mutual_information_gap(doubled, FACTORS) == separated_attributes(doubled, FACTORS) == 0
    assert dci(doubled).disentanglement > 0.98
    assert dci(doubled).completeness < 0.75
    noise = np.random.default_rng(1).normal(size=FACTORS.shape)
    assert mutual_information_gap(noise, FACTORS) < 0.03
    assert separated_attributes(noise, FACTORS) < 0.01
    assert dci(noise).informativeness < 0.05
    assert dci(noise).disentanglement < 0.2


@pytest.mark.slow
@given(SEEDS)
def test_informations_are_scikit_learns(seed):
    random = np.random.default_rng(seed)
    codes, factors = random.normal(size=(60, 3)), random.integers(0, 5, (60, 2)).astype(float)
    expected = [[mutual_info_score(binned(z), binned(v)) for v in factors.T] for z in codes.T]
    assert informations(codes, factors) == pytest.approx(np.array(expected), abs=1e-9)


@pytest.mark.slow
@given(SEEDS, st.permutations(range(4)))
def test_names_and_signs_of_units_do_not_matter(seed, order):
    random = np.random.default_rng(seed)
    factors = random.integers(0, 4, (50, 2)).astype(float)
    codes = np.hstack([factors, factors]) + random.normal(size=(50, 4))
    for metric in (mutual_information_gap, separated_attributes):
        value = metric(codes, factors)
        assert 0 <= value <= 1
        assert metric(codes[:, order], factors) == pytest.approx(value, abs=1e-12)
    assert separated_attributes(-3 * codes + 5, factors) == pytest.approx(
        separated_attributes(codes, factors), abs=1e-9
    )


def test_concentrations_written_out():
    table = np.array([[3.0, 1.0], [0.0, 0.0], [0.0, 4.0]])
    row = 1 + (0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    first, second = 1.0, 1 + (0.2 * math.log(0.2) + 0.8 * math.log(0.8)) / math.log(3)
    assert concentrations(table) == pytest.approx((0.5 * row + 0.5 * 1, (first + second) / 2))
    assert math.isnan(concentrations(table[:, :1])[0])
    assert math.isnan(concentrations(table[:1])[1])
    assert concentrations(np.zeros((2, 2))) == (0, 0)


def test_one_unit_has_no_rival():
    assert mutual_information_gap(FACTORS[:, :1], FACTORS[:, :1]) == pytest.approx(1)
    assert separated_attributes(FACTORS[:, :1], FACTORS[:, :1]) == pytest.approx(1)


def test_few_rows_tell_little_by_chance():
    """A unit that follows a factor loosely is told from noise with 300 rows as with 6000."""
    random = np.random.default_rng(2)
    made = random.normal(size=(6000, 1))
    codes = np.hstack([made + 0.5 * random.normal(size=(6000, 1)), random.normal(size=(6000, 5))])
    whole = mutual_information_gap(codes, made)
    assert whole > 0.2
    assert mutual_information_gap(codes[:300], made[:300]) == pytest.approx(whole, rel=0.35)


def test_units_that_stand_still_tell_nothing():
    still = np.full((1200, 2), 0.1, dtype=np.float32)
    assert mutual_information_gap(still, FACTORS) == separated_attributes(still, FACTORS) == 0
    assert dci(still) == pytest.approx((0, 0, 0), abs=1e-3)
    assert separated_attributes(np.hstack([still, FACTORS]), FACTORS) == pytest.approx(
        separated_attributes(FACTORS, FACTORS)
    )


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_what_is_not_finite_has_no_value(broken):
    bad = FACTORS.copy()
    bad[5, 1] = broken
    assert math.isnan(mutual_information_gap(bad, FACTORS))
    assert math.isnan(separated_attributes(bad, FACTORS))
    assert all(map(math.isnan, dci(bad)))
    assert math.isnan(mutual_information_gap(bad[:0], FACTORS[:0]))


@pytest.mark.slow
def test_forests_are_seeded():
    codes = rotated(0.3)
    assert dci(codes) == dci(codes) != dci(codes, seed=1)


def test_as_the_reference_has_it():
    """By scikit-learn and scipy from the formulas of the papers; see expected/make_disentanglement.py."""
    kept = json.loads((Path(__file__).parent / "expected" / "disentanglement.json").read_text())
    codes, factors = np.array(kept["codes"]), np.array(kept["factors"])
    assert mutual_information_gap(codes, factors) == pytest.approx(kept["mig"], abs=1e-9)
    assert separated_attributes(codes, factors) == pytest.approx(kept["sap"], abs=1e-9)
    table = np.array(kept["importances"])
    assert concentrations(table) == pytest.approx((kept["disentanglement"], kept["completeness"]), abs=1e-9)


def test_units_of_very_different_scale_count_alike():
    codes = FACTORS * [1e-6, 1.0, 1e6]
    assert separated_attributes(codes, FACTORS) == pytest.approx(separated_attributes(FACTORS, FACTORS), abs=1e-9)
