"""Sparse coding and marginalised denoising: their optimality, and that they stand in the facets."""

import numpy as np
import pytest
from subjects import digits, split

from isthmus.facets import FACETS, rivals
from isthmus.metrics.fidelity import explained_variance


@pytest.fixture(scope="module")
def parts():
    return split(*digits(), latents=8)


def test_sparse_codes_are_minima_for_their_dictionary(parts):
    """A code is the minimum of half the squared error plus the penalty: its subgradient holds 0 in every element."""
    found = rivals.sparse_coding(parts)
    again = rivals.sparse_coding(parts)
    assert np.array_equal(found.codes, again.codes)
    assert found.codes.shape == (len(parts.test.x), 8)
    assert found.rebuilt.shape == parts.test.x.shape
    mean = parts.train.x.mean(axis=0, dtype=np.float64)
    flat = (found.rebuilt - mean.reshape(found.rebuilt.shape[1:])).reshape(len(found.codes), -1)
    atoms = np.linalg.lstsq(found.codes.astype(np.float64), flat, rcond=None)[0]
    residual = (parts.test.x - found.rebuilt).reshape(len(flat), -1)
    pull = residual @ atoms.T
    active = found.codes != 0
    assert np.abs(pull[active] - rivals.PENALTY * np.sign(found.codes[active])).max() < 0.02
    assert np.abs(pull[~active]).max() < rivals.PENALTY + 0.02


def test_sparse_coding_beats_the_mean_and_not_its_own_ceiling(parts):
    share = explained_variance(parts.test.x, rivals.sparse_coding(parts).rebuilt, parts.train.x.mean(axis=0))
    assert 0.3 < share < 0.9


@pytest.mark.parametrize("options", [{}, {"hidden": 0.2}, {"hidden": 0.0, "added": 1.0}, {"hidden": 0.3, "added": 0.5}])
def test_the_denoiser_is_least_squares_over_all_ways_to_hide_and_add(options):
    """In closed form what many corrupted copies of the rows come to."""
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 3)).astype(np.float32) + 1
    copies = np.repeat(x.astype(np.float64), 4000, axis=0)
    seen = copies * (random.random(copies.shape) >= options.get("hidden", rivals.NOISE))
    seen += options.get("added", 0.0) * random.normal(size=copies.shape)
    hidden = np.append(seen, np.ones((len(copies), 1)), axis=1)
    brute = np.linalg.lstsq(hidden, copies, rcond=None)[0].T
    assert rivals.denoiser(x, **options) == pytest.approx(brute, abs=0.02)


def test_features_are_of_the_training_rows_alone():
    x = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    first, second = rivals.marginalised_denoising(x, x[:5])
    assert first.shape == (30, 4)
    assert second == pytest.approx(first[:5])
    assert np.abs(first).max() < 1
    assert np.isfinite(rivals.marginalised_denoising(np.zeros_like(x))[0]).all()


@pytest.mark.parametrize(
    ("facet", "rival"),
    [
        ("reconstruction", "sparse coding"),
        ("sparsity", "sparse coding"),
        ("features", "marginalised denoising"),
        ("robustness", "marginalised denoising"),
    ],
)
def test_they_answer_the_facet(parts, facet, rival):
    found = FACETS[facet].rivals[rival](parts)
    assert FACETS[facet].primary in found
    assert np.isfinite(found[FACETS[facet].primary])
