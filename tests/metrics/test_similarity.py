"""Likeness of codes, where it is known without a computer, and as other libraries compute it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from scipy.stats import ortho_group, spearmanr

from isthmus.metrics import similarity
from isthmus.metrics.similarity import (
    cka,
    matched,
    matched_atoms,
    matched_units,
    principal_cosines,
    rank_agreement,
    subspace_overlap,
)

rng = np.random.default_rng(0)
CODE = rng.normal(size=(300, 6)) * np.array([3.0, 2.0, 1.5, 1.0, 0.7, 0.4])
OTHER = np.random.default_rng(1).normal(size=(300, 6))
OF_CODES = (cka, subspace_overlap, matched_units)
EVERY = pytest.mark.parametrize("likeness", OF_CODES)


@EVERY
def test_a_code_is_like_itself(likeness):
    assert likeness(CODE, CODE) == pytest.approx(1.0, abs=1e-12)
    assert likeness(CODE, OTHER) == pytest.approx(likeness(OTHER, CODE))


@EVERY
def test_units_in_another_order_with_other_signs_are_the_same_code(likeness):
    order, sign = rng.permutation(6), rng.choice([-1.0, 1.0], size=6)
    assert likeness(CODE, CODE[:, order] * sign + 5) == pytest.approx(1.0, abs=1e-12)


def test_a_rotation_keeps_geometry_and_subspace_and_loses_the_units():
    turned = CODE @ ortho_group.rvs(6, random_state=0)
    assert cka(CODE, turned) == pytest.approx(1.0, abs=1e-12)
    assert subspace_overlap(CODE, turned) == pytest.approx(1.0, abs=1e-12)
    assert matched_units(CODE, turned) < 0.9


def test_a_stretched_code_keeps_the_subspace_and_loses_the_geometry():
    stretched = CODE * np.array([1.0, 10.0, 1.0, 1.0, 1.0, 50.0])
    assert subspace_overlap(CODE, stretched) == pytest.approx(1.0, abs=1e-9)
    assert matched_units(CODE, stretched) == pytest.approx(1.0, abs=1e-12)
    assert cka(CODE, stretched) < 0.7


@EVERY
@given(scale=st.floats(1e-3, 1e3), origin=st.floats(-100, 100))
def test_scale_and_origin_of_a_code_do_not_matter(likeness, scale, origin):
    assert likeness(scale * CODE + origin, OTHER) == pytest.approx(likeness(CODE, OTHER), rel=1e-6)


def test_independent_codes_come_to_their_known_null():
    """E|A'B|^2 = n L^2 and E|A'A|^2 = n^2 L + n L^2 for white A and B; a projection of rank r keeps r / (n - 1)."""
    n, width, trials = 200, 8, 60
    draws = [np.random.default_rng(i).normal(size=(2, n, width)) for i in range(trials)]
    assert np.mean([cka(a, b) for a, b in draws]) == pytest.approx(width / (n + width), rel=0.05)
    assert np.mean([subspace_overlap(a, b) for a, b in draws]) == pytest.approx(width / (n - 1), rel=0.05)
    assert np.mean([matched_units(a, b) for a, b in draws]) < 0.2


def test_half_of_a_code_is_half_of_its_subspace():
    assert subspace_overlap(CODE, CODE[:, :3]) == pytest.approx(0.5)
    assert matched_units(CODE, CODE[:, :3]) == pytest.approx(0.5)
    white = np.linalg.qr(CODE - CODE.mean(axis=0))[0]
    assert cka(white, white[:, :3]) == pytest.approx(3 / math.sqrt(6 * 3))


def test_cka_is_that_of_centred_gram_matrices():
    """Kornblith et al. (2019), equation 3, with kernels a a' and b b'."""
    centre = np.eye(300) - 1 / 300
    k, m = (centre @ (z @ z.T) @ centre for z in (CODE, OTHER))
    expected = np.trace(k @ m) / math.sqrt(np.trace(k @ k) * np.trace(m @ m))
    assert cka(CODE, OTHER) == pytest.approx(expected, rel=1e-9)


def test_principal_angles_are_scipys():
    mixed = CODE[:, :4] + 0.5 * OTHER[:, :4]
    angles = subspace_angles(CODE - CODE.mean(axis=0), mixed - mixed.mean(axis=0))
    assert principal_cosines(CODE, mixed) == pytest.approx(np.sort(np.cos(angles))[::-1], abs=1e-9)
    assert subspace_overlap(CODE, mixed) == pytest.approx(np.square(np.cos(angles)).sum() / 6, abs=1e-9)


def test_matching_is_the_best_of_all_permutations():
    likeness = rng.normal(size=(4, 4))
    from itertools import permutations

    best = max(sum(abs(likeness[i, j]) for i, j in enumerate(order)) for order in permutations(range(4)))
    assert matched(likeness) == pytest.approx(min(1.0, best / 4))
    assert matched(0.1 * likeness) == pytest.approx(0.1 * best / 4)


def test_atoms_match_by_cosine_whatever_their_length_order_and_sign():
    atoms = rng.normal(size=(5, 3, 4))
    turned = -2 * atoms[::-1]
    assert matched_atoms(atoms, turned) == pytest.approx(1.0)
    assert matched_atoms(np.eye(3), np.eye(3)[:2]) == pytest.approx(2 / 3)
    assert matched_atoms(np.eye(4)[:2], np.eye(4)[2:]) == 0
    assert matched_atoms(np.append(atoms, np.zeros((1, 3, 4)), axis=0), atoms) == pytest.approx(1.0)
    assert math.isnan(matched_atoms(np.zeros((2, 3)), np.zeros((2, 3))))
    assert math.isnan(matched_atoms(np.full((2, 3), np.nan), np.eye(3)))


def test_ranks_agree_as_scipy_says_ties_included():
    a, b = rng.normal(size=80), rng.integers(0, 5, size=80).astype(float)
    assert rank_agreement(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert rank_agreement(a, np.exp(a)) == 1
    assert rank_agreement(a, -a) == -1
    assert math.isnan(rank_agreement(a, np.full(80, 0.1)))
    assert math.isnan(rank_agreement(a, np.where(a > 0, np.nan, a)))


@EVERY
@pytest.mark.parametrize("nothing", [0.0, 7.1, np.nan, np.inf])
def test_a_code_that_says_nothing_is_not_stable(likeness, nothing):
    flat = np.full((300, 6), nothing, dtype=np.float32)
    assert math.isnan(likeness(flat, flat))
    assert math.isnan(likeness(CODE, flat))


def test_rounding_does_not_make_a_constant_unit_alive():
    noise = (1e3 + 1e-5 * rng.normal(size=(300, 1))).astype(np.float32)
    half = np.hstack([CODE[:, :3], noise])
    assert matched_units(half, half) == pytest.approx(1.0)
    assert math.isnan(cka(noise, noise))
    assert matched_units(half, CODE[:, :3]) == pytest.approx(1.0)


def test_of_many_units_a_draw_of_one_side_is_matched_with_all_of_the_other(monkeypatch):
    random = np.random.default_rng(3)
    code = random.normal(size=(400, 60))
    turned = code[:, random.permutation(60)] * random.choice([-1, 1], size=60)
    half = code @ np.diag(np.repeat([1.0, 0.0], 30)) + random.normal(size=(400, 60)) @ np.diag(
        np.repeat([0.0, 1.0], 30)
    )
    whole = [matched_units(code, other) for other in (turned, half, code[:, :20])]
    monkeypatch.setattr(similarity, "MATCHED", 20)
    few = [matched_units(code, other) for other in (turned, half, code[:, :20])]
    assert few[0] == pytest.approx(1.0)
    assert few[1] == pytest.approx(whole[1], abs=0.1)
    assert few[2] == pytest.approx(whole[2]) == pytest.approx(1 / 3)


def test_cka_is_the_same_whichever_side_is_multiplied():
    random = np.random.default_rng(4)
    a, b = random.normal(size=(50, 80)), random.normal(size=(50, 90))
    centred = [x - x.mean(axis=0) for x in (a, b)]
    shared, *own = (np.linalg.norm(x.T @ y) for x, y in ((*centred,), (centred[0],) * 2, (centred[1],) * 2))
    assert cka(a, b) == pytest.approx(shared**2 / (own[0] * own[1]), rel=1e-12)
