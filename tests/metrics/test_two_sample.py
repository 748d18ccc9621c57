"""Telling two sets of rows apart: chance under equal distributions, certainty for others, closed forms between."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.svm import SVC

from isthmus.metrics.copying import copying
from isthmus.metrics.coverage import prdc
from isthmus.metrics.frechet import frechet, principal
from isthmus.metrics.two_sample import c2st, distances, mmd2

EXPECTED = json.loads((Path(__file__).parent / "expected" / "generation.json").read_text(encoding="utf-8"))
REAL, MADE = (np.array(EXPECTED[name]) for name in ("real", "made"))
FOUND = EXPECTED["found"]


def normal(n, d=5, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


@pytest.mark.slow
def test_chance_under_one_distribution_and_its_spread():
    """Over 40 pairs of samples: accuracy as a coin's, discrepancy 0 on average, coverage at its closed form."""
    pairs = [(normal(200, seed=2 * i), normal(200, seed=2 * i + 1)) for i in range(40)]
    accuracy = np.array([c2st(*pair) for pair in pairs])
    assert accuracy.min() >= 0.5
    # |accuracy - 1/2| of 400 fair coins is 0.02 on average; folds share rows, which adds a little.
    assert accuracy.mean() == pytest.approx(0.5 + math.sqrt(2 / math.pi) * 0.025, abs=0.012)
    assert accuracy.max() < 0.61
    gaps = np.array([mmd2(*pair) for pair in pairs])
    assert abs(gaps.mean()) < 4 * gaps.std() / math.sqrt(len(gaps))
    assert gaps.min() < 0
    shares = [prdc(*pair) for pair in pairs]
    assert np.mean([one["coverage"] for one in shares]) == pytest.approx(1 - 2**-5, abs=0.01)
    assert np.mean([one["density"] for one in shares]) == pytest.approx(1, abs=0.03)
    assert np.mean([one["precision"] for one in shares]) == pytest.approx(
        np.mean([one["recall"] for one in shares]), abs=0.02
    )


@pytest.mark.parametrize(
    ("change", "least"),
    [
        (lambda x: x + 0.6, 0.7),  # means: the best rule has 0.75
        (lambda x: 0.5 * x, 0.7),  # spread
        (lambda x: x @ np.array([[1, 1], [0, 0.1]]), 0.7),  # both, and dependence
    ],
)
def test_a_planted_difference_is_found(change, least):
    real = normal(300, 2, seed=5)
    made = change(normal(300, 2, seed=6))
    null = [mmd2(normal(300, 2, seed=20 + 2 * i), normal(300, 2, seed=21 + 2 * i)) for i in range(20)]
    assert c2st(real, made) > least - 0.1
    assert mmd2(real, made) > 3 * max(null)


def test_far_apart_is_the_extreme():
    real, made = normal(100), normal(100, seed=1) + 100
    assert c2st(real, made) == 1
    assert mmd2(real, made) > 0.6
    assert prdc(real, made) == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


def test_an_accuracy_below_chance_is_folded():
    """Twins across the sides: whoever is held out sits on a row of the other side, and is taken for it."""
    x = 100 * normal(40, 2)
    assert c2st(x, x) > 0.6


def test_the_classifier_is_what_scikit_learn_makes_of_the_rows_themselves():
    both, side = np.concatenate([REAL, MADE]), np.repeat([1, 0], 40)
    machine = SVC(C=1.0, gamma=1 / np.median(pdist(REAL, "sqeuclidean")))
    folds = StratifiedKFold(5, shuffle=True, random_state=3)
    accuracy = (cross_val_predict(machine, both, side, cv=folds) == side).mean()
    assert c2st(REAL, MADE, seed=3) == pytest.approx(0.5 + abs(accuracy - 0.5), abs=1e-12)


def test_the_folds_follow_the_seed():
    real, made = normal(60), normal(60, seed=1) + 0.3
    assert c2st(real, made, seed=1) == c2st(real, made, seed=1)
    assert len({c2st(real, made, seed=seed) for seed in range(8)}) > 1


def test_mode_collapse_is_precise_and_narrow():
    real = np.concatenate([normal(100, 2, seed=i) + 20 * i for i in range(4)])
    collapsed = normal(400, 2, seed=9)  # one mode of four
    found = prdc(real, collapsed)
    assert found["precision"] > 0.9
    assert found["recall"] < 0.3
    assert found["coverage"] < 0.3
    assert mmd2(real, collapsed) > 0.1
    assert c2st(real, collapsed) > 0.8


def test_one_outlier_buys_precision_and_hardly_density():
    """The wide ball of one real outlier holds what many small ones do not (Naeem et al. 2020, figure 1)."""
    real, made = normal(200, 2), 3 + 0.3 * normal(200, 2, seed=1)
    outlier = np.concatenate([real, [[5.0, 5.0]]])
    with_it, without = prdc(outlier, made), prdc(real, made)
    assert with_it["precision"] > without["precision"] + 0.3
    assert with_it["density"] < without["density"] + 0.3


def test_mmd_by_hand():
    """Two and two points on a line: all distances from the definition."""
    real, made = np.array([[0.0], [2.0]]), np.array([[1.0], [4.0]])

    def k(a, b):
        return np.mean([math.exp(-((a - b) ** 2) / (2 * 4 * s**2)) for s in (0.25, 0.5, 1, 2, 4)])

    across = np.mean([k(0, 1), k(0, 4), k(2, 1), k(2, 4)])
    assert mmd2(real, made) == pytest.approx(k(0, 2) + k(1, 4) - 2 * across, rel=1e-12)


def test_the_discrepancy_is_what_torchmetrics_says_of_our_kernel():
    assert mmd2(REAL, MADE) == pytest.approx(FOUND["mmd2 torchmetrics"], rel=1e-9)


@pytest.mark.parametrize("k", [3, 5])
def test_balls_agree_with_prdc(k):
    assert prdc(REAL, MADE[:30], k) == pytest.approx(FOUND[f"prdc {k}"], abs=1e-12)


def test_frechet_agrees_with_pot_and_torchmetrics():
    assert frechet(REAL, MADE) == pytest.approx(FOUND["frechet POT"], rel=1e-6)
    assert frechet(REAL, MADE) == pytest.approx(FOUND["frechet torchmetrics"], rel=1e-6)


def test_frechet_between_normals_in_closed_form():
    """Diagonal covariances commute: the distance is the sum of squared differences of means and deviations."""
    random = np.random.default_rng(0)
    exact = random.normal(size=(400, 4))
    exact = np.linalg.qr(exact - exact.mean(axis=0))[0] * math.sqrt(399)  # mean 0, covariance I
    spread, other = np.array([1.0, 2, 3, 4]), np.array([2.0, 2, 1, 0])
    mean = np.array([0.0, 1, 0, -2])
    assert frechet(exact * spread, exact * other + mean) == pytest.approx(5 + 1 + 4 + 16, rel=1e-9)
    assert frechet(exact, exact) == pytest.approx(0, abs=1e-9)


def test_frechet_with_fewer_rows_than_features():
    a, b = normal(6, 20), normal(9, 20, seed=1)
    s, t = np.cov(a.T), np.cov(b.T)
    eigen = np.linalg.eigvals(s @ t).real.clip(0)
    by_hand = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(s) + np.trace(t) - 2 * np.sqrt(eigen).sum()
    assert frechet(a, b) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("shape", [(50, 6), (8, 30)])
def test_principal_axes_are_those_of_the_singular_value_decomposition(shape):
    x = normal(*shape) * np.arange(1, shape[1] + 1)
    axes = principal(x, 3)
    truth = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:3]
    assert abs((axes.T @ truth.T).diagonal()) == pytest.approx(1, abs=1e-6)
    assert principal(x, 100).shape == (shape[1], min(shape))


def test_copies_are_found_among_new_rows():
    train, held, fresh = normal(300, 6), normal(100, 6, seed=1), normal(100, 6, seed=2)
    half = np.concatenate([train[:50] + 1e-3, fresh[:50]])
    assert copying(train, train[:100], held) == {"copied": 1, "nearness": 0, "copier": 1}
    found = copying(train, half, held)
    assert found["copied"] == pytest.approx(0.5, abs=0.02)
    assert found["copier"] == 1
    found = copying(train, fresh, held)
    assert found["copied"] < 0.02
    assert found["nearness"] == pytest.approx(1, abs=0.1)
    assert "copier" not in found
    collapsed = np.zeros((100, 6)) + normal(1, 6, seed=7)  # upon a row of its own
    assert "copier" not in copying(train, collapsed, held)


def test_copies_are_what_a_tree_of_neighbours_finds():
    train, made, held = normal(80, 3), normal(40, 3, seed=1), normal(30, 3, seed=2)
    tree = cKDTree(train)
    own, usual = (tree.query(rows, 2)[0] for rows in (made, held))
    found = copying(train, made, held)
    assert found["copied"] == np.mean(own[:, 0] * 3 <= own[:, 1]) > 0
    assert found["nearness"] == pytest.approx(np.median(own[:, 0]) / np.median(usual[:, 0]), rel=1e-9)


def test_a_few_copies_are_told_and_no_reason_to_exclude():
    train, held, fresh = normal(300, 6), normal(100, 6, seed=1), normal(100, 6, seed=2)
    found = copying(train, np.concatenate([train[:8], fresh[:92]]), held)
    assert found["copied"] == pytest.approx(0.08, abs=0.01)
    assert "copier" not in found


@pytest.mark.parametrize("d", [1, 2, 3])
def test_few_columns_bring_rows_close_by_chance(d):
    """Among uniform rows, the share within a third of the way to the second nearest is 3^-D."""
    random = np.random.default_rng(d)
    train, fresh = random.random((3000, d)), random.random((3000, d))
    found = copying(train, fresh, random.random((3000, d)))
    assert found["copied"] == pytest.approx(3.0**-d, abs=0.03)
    assert "copier" not in found


def test_rows_that_repeat_in_the_data_are_no_copies():
    train, held, fresh = (np.random.default_rng(i).integers(0, 3, (200, 2)).astype(float) for i in range(3))
    found = copying(train, fresh, held)
    assert found["copied"] > 0.9
    assert math.isnan(found["nearness"])
    assert "copier" not in found


def test_two_rows_prove_no_copying():
    assert "copier" not in copying(normal(50), normal(50)[:2], normal(2, seed=1))


@pytest.mark.parametrize(("made", "held", "copier"), [(9, 1, False), (10, 1, True), (7, 0, False), (8, 0, True)])
def test_copies_are_an_excess_of_three_standard_errors(made, held, copier):
    """Of 20 rows: the error is that of two shares of which the pooled one is true, sqrt(p (1 - p) / 10)."""
    train = np.arange(50.0)[:, None]
    rows = [np.concatenate([train[:n], train[n:20] + 0.5]) for n in (made, held)]
    pooled = (made + held) / 40
    assert copier == (made - held > 20 * 3 * math.sqrt(pooled * (1 - pooled) / 10))
    assert ("copier" in copying(train, *rows)) == copier


ALL = (
    c2st,
    mmd2,
    *(lambda a, b, name=name: prdc(a, b)[name] for name in ("precision", "recall", "density", "coverage")),
    frechet,
    *(lambda a, b, name=name: copying(a, b, a + 1)[name] for name in ("copied", "nearness")),
)


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_has_no_number(metric, bad):
    made = normal(20)
    made[3, 2] = bad
    assert math.isnan(metric(normal(20), made))
    assert math.isnan(metric(normal(20), made[:0]))


def test_equal_real_rows_have_no_scale():
    assert math.isnan(c2st(np.ones((20, 3)), normal(20, 3)))
    assert math.isnan(mmd2(np.ones((20, 3)), normal(20, 3)))


@pytest.mark.slow
@settings(max_examples=25)
@given(st.floats(0.01, 100), st.integers(0, 1000))
def test_scale_place_and_order_do_not_matter(scale, seed):
    """But for the Fréchet distance, which is in squared units."""
    real, made = normal(30, 3, seed), normal(30, 3, seed + 1) + 0.5
    moved = [scale * x + 7 * scale for x in (real, made)]
    order = np.random.default_rng(seed).permutation(30)
    assert c2st(*moved) == c2st(real, made)
    assert mmd2(*moved) == pytest.approx(mmd2(real[order], made), abs=1e-9)
    assert prdc(*moved) == pytest.approx(prdc(real[order], made), abs=1e-12)
    assert frechet(*moved) == pytest.approx(scale**2 * frechet(real[order], made), rel=1e-6, abs=1e-9 * scale**2)
    assert copying(*moved, moved[0] + scale) == pytest.approx(copying(real[order], made, real + 1), rel=1e-6)


def test_distances_of_pairs_and_images():
    a, b = normal(7, 4) + 1e4, normal(5, 4, seed=1) + 1e4
    truth = ((a[:, None] - b) ** 2).sum(2)
    assert distances(a, b) == pytest.approx(truth, rel=1e-9)
    assert np.array_equal(distances(a.reshape(7, 2, 2), b.reshape(5, 2, 2)), distances(a, b))
    assert (distances(a, a).diagonal() == 0).all()


def test_axes_of_large_tables_are_those_of_the_exact_ones(monkeypatch):
    random = np.random.default_rng(5)
    x = random.normal(size=(300, 5)) * [9, 7, 5, 4, 3] @ random.normal(size=(5, 120)) + random.normal(size=(300, 120))
    exact = principal(x, 5)
    monkeypatch.setattr("isthmus.metrics.frechet.EXACT", 50)
    near = principal(x, 5)
    assert near.shape == exact.shape
    assert np.linalg.svd(near.T @ exact, compute_uv=False).min() > 1 - 1e-6
    assert near.T @ near == pytest.approx(np.eye(5), abs=1e-9)


@pytest.mark.slow
def test_cutting_folds_more_often_is_the_same_number_with_less_noise():
    once, often = ([c2st(REAL, MADE, seed=seed, repeats=k) for seed in range(12)] for k in (1, 6))
    assert c2st(REAL, MADE, seed=5, repeats=1) == c2st(REAL, MADE, seed=5)
    assert np.std(often) < 0.7 * np.std(once)
    assert abs(np.mean(often) - np.mean(once)) < 3 * np.std(once) / np.sqrt(12)
