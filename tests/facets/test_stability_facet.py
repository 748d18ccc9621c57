"""Stability: of contenders whose trainings differ in a known way, and of real ones."""

import dataclasses
import math

import numpy as np
import pytest
from contenders import Fixed, digits, pca, split
from scipy.stats import ortho_group

from isthmus.facets import FACETS, stability
from isthmus.facets.facet import FittedContender, numbers
from isthmus.families import named
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

FACET = FACETS["stability"]
SPLITS = split(*digits(), latents=8)
LINEAR = pca(SPLITS.train.x, 8)


def turned(matrix):
    """The same reconstructions by way of another code: z M, and back."""
    return dataclasses.replace(LINEAR, axes=matrix.T @ LINEAR.axes)


class Pair(type(LINEAR)):
    """Principal components whose other trainings are given."""

    others = ()

    def again(self, splits, *seeds):
        assert len(set(seeds)) == len(seeds) == stability.AGAIN
        return list(self.others)


def beside(*others):
    one = Pair(LINEAR.mean, LINEAR.axes, LINEAR.shape)
    one.others = others
    return FACET.measure(one, SPLITS)


def test_what_does_not_change_is_perfectly_stable():
    found = FACET.measure(LINEAR, SPLITS)
    assert numbers(found) == pytest.approx(
        {
            "cka": 1.0,
            "subspace_overlap": 1.0,
            "matched_units": 1.0,
            "matched_atoms": 1.0,
            "rank_agreement": 1.0,
            "spread_reconstruction": 0.0,
            "spread_sparsity": 0.0,
            "spread_robustness": 0.0,
            "spread_features": 0.0,
        },
        abs=1e-6,
    )
    assert found["angles"].x == tuple(range(1, 9))
    assert found["angles"].y == pytest.approx([1.0] * 8)


def test_rotated_codes_rebuild_and_rank_alike_and_share_no_unit():
    rotations = [turned(ortho_group.rvs(8, random_state=i)) for i in (0, 1)]
    found = beside(*rotations)
    for name in ("cka", "subspace_overlap", "rank_agreement"):
        assert found[name] == pytest.approx(1.0, abs=1e-4)
    for name in ("reconstruction", "robustness", "features"):
        assert found["spread_" + name] == pytest.approx(0, abs=1e-6)
    assert found["spread_sparsity"] > 0.01
    assert found["matched_units"] < 0.8
    assert found["matched_atoms"] < 0.9


def test_permuted_codes_have_the_same_units_and_atoms():
    found = beside(*(turned(np.eye(8)[np.random.default_rng(i).permutation(8)]) for i in (0, 1)))
    assert found["matched_units"] == pytest.approx(1.0, abs=1e-4)
    assert found["matched_atoms"] == pytest.approx(1.0, abs=1e-4)


def test_the_mean_is_over_all_pairs():
    """Of three trainings, one has half of the axes: two pairs overlap by half, one wholly."""
    half = dataclasses.replace(LINEAR, axes=LINEAR.axes * (np.arange(8) < 4)[:, None])
    found = beside(LINEAR, half)
    assert found["subspace_overlap"] == pytest.approx((1 + 0.5 + 0.5) / 3, abs=1e-6)
    assert found["angles"].y == pytest.approx([1.0] * 4 + [1 / 3] * 4, abs=1e-6)


@pytest.mark.slow
def test_the_spread_is_that_of_the_facets_own_scores():
    half = dataclasses.replace(LINEAR, axes=LINEAR.axes * (np.arange(8) < 4)[:, None])
    found = beside(LINEAR, half)
    scores = {
        "reconstruction": "explained_variance",
        "sparsity": "hoyer",
        "robustness": "explained_disturbed",
        "features": "knn_accuracy",
    }
    for name, metric in scores.items():
        each = [FACETS[name].measure(one, SPLITS)[metric] for one in (LINEAR, LINEAR, half)]
        assert found["spread_" + name] == pytest.approx(np.std(each, ddof=1), rel=1e-3)


def test_without_labels_nothing_is_said_of_features():
    bare = SPLITS._replace(**{name: getattr(SPLITS, name)._replace(y=None) for name in ("train", "valid", "test")})
    found = FACET.measure(LINEAR, bare)
    assert "spread_features" not in found
    assert found["spread_reconstruction"] == 0


def test_a_constant_code_is_not_stable():
    x = SPLITS.train.x
    constant = Fixed(lambda x: np.ones((len(x), 4), np.float32), lambda z: np.repeat(x[:1], len(z), axis=0))
    found = FACET.measure(constant, SPLITS)
    for name in ("cka", "subspace_overlap", "matched_units", "matched_atoms"):
        assert math.isnan(found[name])
    assert np.isnan(found["angles"].y).all()


def test_a_training_that_kept_no_step_leaves_nothing_to_compare():
    found = beside(LINEAR, dataclasses.replace(LINEAR, trained=False))
    assert set(found) == set(numbers(FACET.measure(LINEAR, SPLITS)))
    assert all(math.isnan(value) for value in found.values())


def test_atoms_of_a_linear_decoder_are_its_axes():
    codes = LINEAR.encode_scaled(SPLITS.test.x)
    found = stability.atoms(LINEAR, codes).reshape(8, -1)
    assert found == pytest.approx(codes.std(axis=0)[:, None] * LINEAR.axes, abs=1e-5)


def test_trainings_differ_by_the_seed_and_a_closed_form_does_not():
    plan = Plan(steps=60, check=20)
    found = {
        name: FACET.measure(
            FittedContender(fit(named(name), SPLITS.train.x, valid=SPLITS.valid.x, plan=plan, images=True), 1), SPLITS
        )
        for name in ("plain", "pca")
    }
    assert found["pca"]["cka"] == found["pca"]["matched_units"] == pytest.approx(1.0, abs=1e-6)
    assert 0.3 < found["plain"]["cka"] < 0.999
    assert found["plain"]["matched_units"] < 0.9
    assert all(found["plain"]["spread_" + name] > 0 for name in ("reconstruction", "sparsity", "robustness"))


def test_it_crowns_nobody():
    assert not FACETS["stability"].crowns


def test_wide_codes_are_compared_on_fewer_rows_and_no_subspace(monkeypatch):
    splits = split(*digits(), latents=8)
    narrow = FACETS["stability"].measure(pca(splits.train.x, 8), splits)
    assert "angles" in narrow
    monkeypatch.setattr(stability, "WIDE", 4)
    monkeypatch.setattr(stability, "MOST_WIDE", 50)
    asked = []
    monkeypatch.setattr(stability, "cka", lambda a, b, real=stability.cka: asked.append(len(a)) or real(a, b))
    wide = FACETS["stability"].measure(pca(splits.train.x, 8), splits)
    assert set(asked) == {50}
    assert np.isnan(wide["subspace_overlap"])
    assert "angles" not in wide
